//! The caller's audio on its way into the ring, fed no faster than a burst allows.
//!
//! Audio and gaps wait in one order. What waits is bounded: by one burst, and for a
//! caller who is behind real time by as much more as he is behind (see
//! [`allowance`](self)). What becomes of more depends on who sends it:
//!
//! * Who is ahead of real time is refused, and sends it again later: nothing is lost.
//! * Who is not was held up for longer than [`CREDIT_MS_MAX`]. The oldest that waits is
//!   dropped and told before what is left, so that what he says now is heard now.
//!
//! Every span tells when its audio came, and since when it could have been heard: what
//! was held back only because its sender is ahead is not late.

mod allowance;

use std::collections::VecDeque;

use allowance::{Allowance, Pace};

pub use allowance::CREDIT_MS_MAX;

use super::lead::{Lead, ns_of_samples};
use super::ring::RingProducer;
use crate::types::{Now, SampleRate};

/// A gap takes this much of the caller's time, and is replaced by so much silence.
/// What it lasted longer is skipped.
pub const GAP_MS_MAX: u32 = 1_000;

/// How long a refusal shows that the caller sends faster than he may.
const PUSHING_MS: u64 = 1_000;

/// With so little lead (0.25 s) a caller is not ahead of real time: it is the jitter of the
/// network.
const ON_TIME_NS: i64 = 250_000_000;

/// Audio that came so close together waits together, so that the number of entries does
/// not depend on the size of what is sent.
const MERGED_MS: u64 = 20;

/// Most audio that waits together.
const MERGED_SAMPLES_MAX: usize = 16_000;

/// What arrived in one burst may be heard at so many times real time before it counts as
/// waiting: the last of 10 s has 2.5 s for it. Engines hear about 25 times as fast.
const HEARING_PACE: i64 = 4;

/// How a span of the ingest ring came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// Audio.
    Audio(Timing),
    /// Samples at the carrier's rate that never came. Without samples.
    Missing(u64),
    /// Samples at the carrier's rate that were dropped here. Without samples.
    Dropped(u64),
}

/// The times of a piece of audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// When it came.
    pub at: Now,
    /// Since when it could have been heard.
    pub due: Now,
    /// When the next audio is due from a caller who keeps real-time pace.
    pub covers_until: Now,
}

/// The backlog of one connection.
pub struct Backlog {
    rate: SampleRate,
    burst_ms_max: u32,
    entries: VecDeque<Entry>,
    /// Samples in `entries`.
    samples: usize,
    allowance: Allowance,
    lead: Lead,
    refused_at: Option<Now>,
}

enum Entry {
    Audio(Waiting),
    Missing(u64),
    Dropped(u64),
}

struct Waiting {
    samples: Vec<i16>,
    taken: usize,
    timing: Timing,
}

impl Backlog {
    /// Of a connection that begins at `begun`, whose caller is `behind_ms` behind real
    /// time already: because he comes back, and what he said meanwhile may follow.
    #[must_use]
    pub fn new(rate: SampleRate, burst_ms_max: u32, begun: Now, behind_ms: u32) -> Self {
        Self {
            rate,
            burst_ms_max,
            entries: VecDeque::new(),
            samples: 0,
            allowance: Allowance::new(rate, burst_ms_max, begun, behind_ms),
            lead: Lead::new(rate, begun, behind_ms),
            refused_at: None,
        }
    }

    /// Whether there is room for `samples` more at `now` while `held` wait elsewhere. Of a
    /// caller who is behind it makes room. A piece of any length is taken when nothing
    /// waits; how long one may be is the caller's to say.
    pub fn make_room(&mut self, now: Now, samples: usize, held: usize) -> bool {
        self.fill(now);
        let surplus = self.surplus(samples, held);
        if surplus == 0 {
            return true;
        }
        let coming = ns_of_samples(self.rate, (samples + held) as u64);
        if self.lead.ns(now).saturating_add(coming) < ON_TIME_NS && surplus <= self.samples {
            self.drop_oldest(surplus);
            return true;
        }
        self.refused_at = Some(now);
        false
    }

    /// By how many samples too many would wait.
    fn surplus(&self, samples: usize, held: usize) -> usize {
        let waiting = self.samples + held;
        let limit_ns = i64::from(self.burst_ms_max) * 1_000_000 + self.allowance.level_ns();
        let limit = super::lead::samples_in_ns(self.rate, limit_ns);
        if waiting == 0 { 0 } else { (waiting + samples).saturating_sub(limit) }
    }

    /// Takes audio that came at `at` and is to be heard from `now` on.
    pub fn offer(&mut self, at: Now, now: Now, samples: &[i16], ring: &mut RingProducer<Arrival>) {
        self.fill(now);
        self.lead.add(samples.len() as u64);
        let lasts_ns = ns_of_samples(self.rate, samples.len() as u64);
        // Nothing is promised to who sends more than a burst at once.
        let lasts_ms = u32::try_from(lasts_ns / 1_000_000).unwrap_or(u32::MAX);
        let timing = Timing {
            at,
            due: self.heard_by(now, self.samples + ring.occupied_samples()),
            covers_until: now.plus_ms(lasts_ms.min(self.burst_ms_max)),
        };
        let taken = if self.entries.is_empty() { self.feed(samples, timing, now, ring) } else { 0 };
        if taken < samples.len() {
            let timing = Timing { due: self.heard_by(timing.due, taken), ..timing };
            self.wait(&samples[taken..], timing);
        }
    }

    /// Takes note that `samples` will never come.
    pub fn offer_gap(&mut self, samples: u64, ring: &mut RingProducer<Arrival>) {
        self.lead.add(samples);
        let passed = usize::try_from(samples).unwrap_or(usize::MAX);
        self.allowance.spend(passed.min(self.rate.samples_in_ms(GAP_MS_MAX)));
        if !(self.entries.is_empty() && ring.push_mark(Arrival::Missing(samples))) {
            self.entries.push_back(Entry::Missing(samples));
        }
    }

    /// Moves what waits into the ring, as far as there is room and allowance. Returns
    /// whether any moved.
    pub fn refill(&mut self, now: Now, ring: &mut RingProducer<Arrival>) -> bool {
        self.fill(now);
        let mut moved = false;
        while let Some(entry) = self.entries.pop_front() {
            let (is_done, left) = self.move_entry(entry, now, ring);
            moved |= is_done;
            if let Some((entry, taken)) = left {
                moved |= taken > 0;
                self.entries.push_front(entry);
                break;
            }
        }
        if self.entries.is_empty() {
            self.entries.shrink_to(0);
        }
        moved
    }

    /// Whether all of an entry moved; else what is left of it, and how many samples moved.
    fn move_entry(
        &mut self,
        entry: Entry,
        now: Now,
        ring: &mut RingProducer<Arrival>,
    ) -> (bool, Option<(Entry, usize)>) {
        let mark = match entry {
            Entry::Audio(mut waiting) => {
                let rest = &waiting.samples[waiting.taken..];
                let taken = self.feed(rest, waiting.timing, now, ring);
                self.samples -= taken;
                if taken == rest.len() {
                    return (true, None);
                }
                waiting.taken += taken;
                waiting.timing.due = self.heard_by(waiting.timing.due, taken);
                return (false, Some((Entry::Audio(waiting), taken)));
            }
            Entry::Missing(samples) => Arrival::Missing(samples),
            Entry::Dropped(samples) => Arrival::Dropped(samples),
        };
        match ring.push_mark(mark) {
            true => (true, None),
            false => (false, Some((entry, 0))),
        }
    }

    /// Whether anything waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Samples that wait.
    #[must_use]
    pub fn samples(&self) -> usize {
        self.samples
    }

    fn fill(&mut self, now: Now) {
        let pace = self.pace(now);
        self.allowance.fill(now, pace);
    }

    fn pace(&mut self, now: Now) -> Pace {
        let is_pushing = |at: Now| now.ms_since(at) < PUSHING_MS;
        if self.entries.is_empty() || !self.allowance.holds_back() {
            Pace::RealTime
        } else if self.lead.ns(now) < ON_TIME_NS {
            Pace::CatchingUp
        } else if self.refused_at.is_some_and(is_pushing) {
            Pace::Pushing
        } else {
            Pace::Draining
        }
    }

    /// When what is behind `samples` could be heard if these could from `since` on.
    fn heard_by(&self, since: Now, samples: usize) -> Now {
        let ns = ns_of_samples(self.rate, samples as u64) / HEARING_PACE;
        Now(since.0.saturating_add(ns.unsigned_abs()))
    }

    /// Feeds the ring; returns how many samples it took.
    fn feed(
        &mut self,
        samples: &[i16],
        timing: Timing,
        now: Now,
        ring: &mut RingProducer<Arrival>,
    ) -> usize {
        let due = timing.due.max(self.allowance.emptied_at());
        let count = self.allowance.take(now, samples.len());
        let taken = ring.push(&samples[..count], Arrival::Audio(Timing { due, ..timing }));
        self.allowance.spend(taken);
        taken
    }

    fn wait(&mut self, samples: &[i16], timing: Timing) {
        self.samples += samples.len();
        if let Some(Entry::Audio(last)) = self.entries.back_mut()
            && timing.at.ms_since(last.timing.at) < MERGED_MS
            && last.samples.len() + samples.len() <= MERGED_SAMPLES_MAX
        {
            last.samples.extend_from_slice(samples);
            last.timing.covers_until = last.timing.covers_until.max(timing.covers_until);
            return;
        }
        self.entries.push_back(Entry::Audio(Waiting {
            samples: samples.to_vec(),
            taken: 0,
            timing,
        }));
    }

    /// Drops the oldest `samples` that wait. Before what is left stands how many were dropped,
    /// and then how many were missing between them: two sums, whatever their order was, so that
    /// nobody who is held up and leaves gaps fills the queue with marks.
    fn drop_oldest(&mut self, samples: usize) {
        let (mut left, mut dropped, mut missing) = (samples, 0, 0);
        while let Some(entry) = self.entries.pop_front() {
            match entry {
                Entry::Audio(mut waiting) => {
                    let count = left.min(waiting.samples.len() - waiting.taken);
                    waiting.taken += count;
                    left -= count;
                    dropped += count as u64;
                    if waiting.taken < waiting.samples.len() {
                        self.entries.push_front(Entry::Audio(waiting));
                        break;
                    }
                }
                Entry::Missing(samples) => missing += samples,
                Entry::Dropped(samples) => dropped += samples,
            }
        }
        self.samples -= samples;
        if missing > 0 {
            self.entries.push_front(Entry::Missing(missing));
        }
        if dropped > 0 {
            self.entries.push_front(Entry::Dropped(dropped));
        }
    }
}

#[cfg(test)]
#[path = "../tests/backlog.rs"]
mod tests;
