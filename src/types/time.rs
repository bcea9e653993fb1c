//! Two clocks, never mixed: [`Now`] for waiting, [`MediaTime`] for audio.

use serde::{Deserialize, Serialize};

use super::audio::INNER_RATE;

/// Nanoseconds since the engine started. Pure code receives it as an argument
/// and never asks a clock for it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Now(pub u64);

impl Now {
    /// This instant shifted by `ms` milliseconds; saturates at the end of time.
    #[must_use]
    pub fn plus_ms(self, ms: u32) -> Self {
        Self(self.0.saturating_add(u64::from(ms) * 1_000_000))
    }

    /// Whole milliseconds since `earlier`; zero when `earlier` lies ahead.
    #[must_use]
    pub fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }

    /// Time left until this instant, zero when it has passed.
    #[must_use]
    pub fn after(self, now: Self) -> std::time::Duration {
        std::time::Duration::from_nanos(self.0.saturating_sub(now.0))
    }
}

/// A position in a call's audio: samples at the inner rate since its first one.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct MediaTime(pub u64);

impl MediaTime {
    /// This position shifted by `samples`.
    #[must_use]
    pub fn plus_samples(self, samples: u64) -> Self {
        Self(self.0.saturating_add(samples))
    }

    /// This position shifted back by `samples`; stops at the beginning.
    #[must_use]
    pub fn minus_samples(self, samples: u64) -> Self {
        Self(self.0.saturating_sub(samples))
    }

    /// Whole milliseconds from the first sample.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.0 * 1000 / u64::from(INNER_RATE.hz())
    }

    /// Nanoseconds from the first sample, rounded down.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        (u128::from(self.0) * 1_000_000_000 / u128::from(INNER_RATE.hz())) as u64
    }

    /// Samples from `earlier` to here; zero when `earlier` lies ahead.
    #[must_use]
    pub fn samples_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
