//! The one place that knows which processor this is.

#![allow(unsafe_code, reason = "calls functions compiled for processors that may be absent")]

use super::lanes::Plain;
#[cfg(target_arch = "x86_64")]
use super::lanes::{Avx2, Avx512};
use super::model::Model;
use super::network::{Memory, speech_probability};
use super::spectrum::Samples;

/// A kind of processor that the network is compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// Whatever the program is compiled for.
    Plain,
    /// x86-64 with AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// x86-64 with AVX-512F.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// Every kind that this processor is of, the fastest first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if std::arch::is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
            if std::arch::is_x86_feature_detected!("avx2")
                && std::arch::is_x86_feature_detected!("fma")
            {
                levels.push(Self::Avx2);
            }
        }
        levels.push(Self::Plain);
        levels
    }
}

/// The network on this kind of processor.
pub(super) fn run(level: Level, model: &Model, memory: &mut Memory, samples: &Samples) -> f32 {
    match level {
        Level::Plain => speech_probability::<Plain, 1, 1, 1>(model, memory, samples),
        // SAFETY: a level other than `Plain` is had from `available` only.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { run_avx2(model, memory, samples) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { run_avx512(model, memory, samples) },
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn run_avx2(model: &Model, memory: &mut Memory, samples: &Samples) -> f32 {
    speech_probability::<Avx2, 1, 2, 4>(model, memory, samples)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn run_avx512(model: &Model, memory: &mut Memory, samples: &Samples) -> f32 {
    speech_probability::<Avx512, 4, 4, 8>(model, memory, samples)
}
