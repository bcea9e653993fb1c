//! How far a caller's audio is ahead of real time.
//!
//! Reckoned from the beginning of the connection: who has sent 5 s of audio after 3 s
//! is 2 s ahead, who was silent without sending it, or was held up by the network, is
//! behind.

use crate::types::{Now, SampleRate};

/// Further behind than this (a minute) nobody counts: what was not sent until then is
/// not waiting to be sent.
const BEHIND_MS_MAX: u32 = 60_000;

/// A day: with it nothing below overflows.
const SECONDS_MAX: u64 = 86_400;

const NS_OF_MS: i64 = 1_000_000;

/// The lead of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Lead {
    rate: SampleRate,
    /// At the instant `at`, in nanoseconds of audio.
    ns: i64,
    at: Now,
}

impl Lead {
    /// Of a connection that begins at `begun` and is `behind_ms` behind already.
    #[must_use]
    pub fn new(rate: SampleRate, begun: Now, behind_ms: u32) -> Self {
        Self { rate, ns: -i64::from(behind_ms) * NS_OF_MS, at: begun }
    }

    /// In nanoseconds at `now`; negative when behind.
    pub fn ns(&mut self, now: Now) -> i64 {
        let passed = i64::try_from(now.0.saturating_sub(self.at.0)).unwrap_or(i64::MAX);
        self.ns = self.ns.saturating_sub(passed).max(-i64::from(BEHIND_MS_MAX) * NS_OF_MS);
        self.at = self.at.max(now);
        self.ns
    }

    /// Whoever was further behind than `ms` at `now`, was not; nobody was held up so long.
    pub fn limit_behind(&mut self, now: Now, ms: u32) {
        self.ns = self.ns(now).max(-i64::from(ms) * NS_OF_MS);
    }

    /// So many samples more have come.
    pub fn add(&mut self, samples: u64) {
        self.ns = self.ns.saturating_add(ns_of_samples(self.rate, samples));
    }
}

/// How long `samples` last, in nanoseconds. More than fit into a day count as a day.
pub(super) fn ns_of_samples(rate: SampleRate, samples: u64) -> i64 {
    let samples = samples.min(u64::from(rate.hz()) * SECONDS_MAX);
    (samples * 1_000_000_000 / u64::from(rate.hz())) as i64
}

/// Whole samples in `ns` nanoseconds; none in negative time, no more than in a day.
pub(super) fn samples_in_ns(rate: SampleRate, ns: i64) -> usize {
    let ns = ns.max(0).unsigned_abs().min(SECONDS_MAX * 1_000_000_000);
    (ns * u64::from(rate.hz()) / 1_000_000_000) as usize
}
