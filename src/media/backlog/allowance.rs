//! How much of a caller's audio may be taken now.
//!
//! A bucket of time that fills at real time. It begins with one burst, so that its level
//! is a burst less the caller's lead: who keeps real-time pace on average never finds it
//! empty, and who was held up for 6 s may be taken 6 s of at once.

use super::super::lead::{ns_of_samples, samples_in_ns};
use crate::types::{Now, SampleRate};

/// What a caller who is behind may be taken at once. What he was held up for longer than
/// this is taken at `Pace::CatchingUp`.
pub const CREDIT_MS_MAX: u32 = 10_000;

/// How fast the bucket fills, in percent of real time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Nothing waits.
    RealTime = 100,
    /// More waits although the caller is behind real time: it is out of date.
    CatchingUp = 400,
    /// Something waits of a caller who sends live and began with a pre-buffered start.
    /// Without this every later word of his would be heard as late.
    Draining = 150,
    /// The caller sends faster than he may. If it is a file, it is heard about as it was
    /// spoken; if he is live behind his own buffers, these become empty.
    Pushing = 110,
}

/// The bucket of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    rate: SampleRate,
    level_ns: i64,
    level_ns_max: i64,
    filled_at: Now,
    /// When audio was last held back because the bucket was empty.
    emptied_at: Now,
    /// Whether it was at the last look.
    holds_back: bool,
}

impl Allowance {
    /// A bucket at `begun`, of a caller who is `behind_ms` behind already.
    pub fn new(rate: SampleRate, burst_ms_max: u32, begun: Now, behind_ms: u32) -> Self {
        let ns = |ms: u32| i64::from(ms) * 1_000_000;
        let level_ns_max = ns(burst_ms_max.max(CREDIT_MS_MAX));
        let level_ns = (ns(burst_ms_max) + ns(behind_ms)).min(level_ns_max);
        Self {
            rate,
            level_ns,
            level_ns_max,
            filled_at: begun,
            emptied_at: Now(0),
            holds_back: false,
        }
    }

    /// Fills up to `now`.
    pub fn fill(&mut self, now: Now, pace: Pace) {
        let passed = now.0.saturating_sub(self.filled_at.0).min(self.level_ns_max.unsigned_abs());
        let gained = passed as i64 * pace as i64 / 100;
        self.level_ns = (self.level_ns + gained).min(self.level_ns_max);
        self.filled_at = self.filled_at.max(now);
    }

    /// What may be taken of `samples` at `now`.
    pub fn take(&mut self, now: Now, samples: usize) -> usize {
        let available = samples_in_ns(self.rate, self.level_ns);
        self.holds_back = available < samples;
        if self.holds_back {
            self.emptied_at = self.emptied_at.max(now);
        }
        samples.min(available)
    }

    /// So many samples were taken, or passed without having come.
    pub fn spend(&mut self, samples: usize) {
        self.level_ns -= ns_of_samples(self.rate, samples as u64);
    }

    /// What is in it; not below zero.
    pub fn level_ns(&self) -> i64 {
        self.level_ns.max(0)
    }

    /// Whether audio waits for it, and not for room.
    pub fn holds_back(&self) -> bool {
        self.holds_back
    }

    /// When audio was last held back because of it.
    pub fn emptied_at(&self) -> Now {
        self.emptied_at
    }
}
