//! What the generator knows of itself while it runs: the processor time of its threads,
//! and figures for whoever watches.

use std::sync::atomic::{AtomicU64, Ordering};

use super::tally::Tally;
use crate::types::Now;

/// Where Linux tells what the calling thread has used, and how long it could have run and
/// had no core, in nanoseconds.
const SCHEDULED_FILE: &str = "/proc/thread-self/schedstat";

/// Measures the processor time of one thread. Where the system does not tell, all is 0.
#[derive(Debug)]
pub(super) struct CpuGauge {
    first: Option<Reading>,
    last: Reading,
    share_max: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reading {
    at: Now,
    used_ns: u64,
    waited_ns: u64,
}

impl CpuGauge {
    /// Begins to measure the thread that calls it.
    pub(super) fn start() -> Self {
        Self { first: None, last: Reading::at(Now::default()), share_max: 0.0 }
    }

    /// The share of a core since the last look.
    pub(super) fn look(&mut self, now: Now) -> f64 {
        let reading = Reading::at(now);
        let share = self.last.share_used(reading);
        self.last = reading;
        // The first look only marks the beginning.
        if self.first.is_some() {
            self.share_max = self.share_max.max(share);
        } else {
            self.first = Some(reading);
        }
        share
    }

    /// The share of a core from the first look to the last.
    pub(super) fn share_in_all(&self) -> f64 {
        self.first.map_or(0.0, |first| first.share_used(self.last))
    }

    /// The share of the time in which the thread waited for a core, likewise.
    pub(super) fn share_waited(&self) -> f64 {
        self.first.map_or(0.0, |first| first.share_waited(self.last))
    }

    /// The largest share between two looks.
    pub(super) const fn share_max(&self) -> f64 {
        self.share_max
    }
}

impl Reading {
    fn at(at: Now) -> Self {
        let text = std::fs::read_to_string(SCHEDULED_FILE).unwrap_or_default();
        let mut numbers = text.split_whitespace().map(|ns| ns.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { at, used_ns: next(), waited_ns: next() }
    }

    fn share_used(self, to: Self) -> f64 {
        to.used_ns.saturating_sub(self.used_ns) as f64 / self.ns_until(to)
    }

    fn share_waited(self, to: Self) -> f64 {
        to.waited_ns.saturating_sub(self.waited_ns) as f64 / self.ns_until(to)
    }

    fn ns_until(self, to: Self) -> f64 {
        to.at.0.saturating_sub(self.at.0).max(1) as f64
    }
}

/// Figures of a run that goes on, kept by all threads.
#[derive(Debug, Default)]
pub struct Live {
    calls: AtomicU64,
    counts: [AtomicU64; 4],
}

/// A look at a run that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Calls that are running.
    pub calls: u64,
    /// Turns that are over.
    pub turns: u64,
    /// Of those, the ones with a flaw or without an answer.
    pub turns_bad: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// Things that went wrong.
    pub errors: u64,
}

impl Live {
    /// How the run stands.
    pub fn progress(&self) -> Progress {
        let [turns, turns_bad, refused, errors] =
            [0, 1, 2, 3].map(|place| self.counts[place].load(Ordering::Relaxed));
        Progress { calls: self.calls.load(Ordering::Relaxed), turns, turns_bad, refused, errors }
    }

    pub(super) fn call_began(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn call_ended(&self) {
        self.calls.fetch_sub(1, Ordering::Relaxed);
    }

    /// Adds what a thread has counted since it told last.
    pub(super) fn tell(&self, told: &mut [u64; 4], tally: &Tally) {
        let turns = &tally.turns;
        let bad = turns.flawed + turns.unanswered + turns.not_understood;
        let over = bad + turns.intact + turns.uncoded;
        let errors: u64 = tally.errors.values().sum();
        let counted = [over, bad, tally.refused, errors];
        for ((count, told), counted) in self.counts.iter().zip(told).zip(counted) {
            count.fetch_add(counted - *told, Ordering::Relaxed);
            *told = counted;
        }
    }
}
