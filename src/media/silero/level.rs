//! The one place that knows which processor this is.

#![allow(unsafe_code, reason = "calls functions compiled for processors that may be absent")]

use std::fmt;

use super::lanes::Plain;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::model::Model;
use super::network::{Memory, remember_silence, speech_probability};
use super::spectrum::Samples;

/// A kind of processor that the network is compiled for, and that this one is of: there
/// is no other way to get one than [`Level::available`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Level(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Plain,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Whatever the program is compiled for.
    pub const PLAIN: Self = Self(Kind::Plain);

    /// Every kind that this processor is of, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                levels.push(Self(Kind::Avx512));
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                levels.push(Self(Kind::Avx2));
            }
        }
        levels.push(Self::PLAIN);
        levels
    }

    /// The fastest.
    #[must_use]
    pub fn best() -> Self {
        Self::available()[0]
    }
}

impl fmt::Debug for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The network on this kind of processor.
pub(super) fn run<const MEMORIES: usize>(
    level: Level,
    model: &Model,
    memories: [&mut Memory; MEMORIES],
    samples: &Samples,
) -> [f32; MEMORIES] {
    match level.0 {
        Kind::Plain => speech_probability::<Plain, 1, 1, 1, MEMORIES>(model, memories, samples),
        // SAFETY: `available` alone makes this kind of level, behind its check.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { run_avx2(model, memories, samples) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { run_avx512(model, memories, samples) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2<const MEMORIES: usize>(
    model: &Model,
    memories: [&mut Memory; MEMORIES],
    samples: &Samples,
) -> [f32; MEMORIES] {
    speech_probability::<Avx2, 1, 2, 4, MEMORIES>(model, memories, samples)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_avx512<const MEMORIES: usize>(
    model: &Model,
    memories: [&mut Memory; MEMORIES],
    samples: &Samples,
) -> [f32; MEMORIES] {
    speech_probability::<Avx512, 4, 4, 8, MEMORIES>(model, memories, samples)
}

/// A window of digital silence on this kind of processor.
pub(super) fn run_silence(level: Level, model: &Model, memory: &mut Memory) {
    match level.0 {
        Kind::Plain => remember_silence::<Plain>(model, memory),
        // SAFETY: as in `run`.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx2 => unsafe { run_silence_avx2(model, memory) },
        // SAFETY: as in `run`.
        #[cfg(target_arch = "x86_64")]
        Kind::Avx512 => unsafe { run_silence_avx512(model, memory) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_silence_avx2(model: &Model, memory: &mut Memory) {
    remember_silence::<Avx2>(model, memory);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_silence_avx512(model: &Model, memory: &mut Memory) {
    remember_silence::<Avx512>(model, memory);
}
