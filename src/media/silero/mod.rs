//! Silero VAD, the 16 kHz half of the model, with an inference of our own.
//!
//! A window is 512 samples; the last 64 of the window before go in front of it, and
//! its own last 64 are mirrored behind it. What is computed: the loudness of 129
//! frequencies in four frames, four layers of convolution, a memory of 128 units, one
//! number. The result is that of the published model to within rounding (checked
//! against another runtime, window by window, in `tests/track/oracle.rs`).
//!
//! | file | what it is |
//! |---|---|
//! | `model.rs` | the weights |
//! | `spectrum.rs`, `network.rs` | what is computed, for any processor |
//! | `lanes.rs`, `level.rs` | processors, and which this is |
//!
//! It knows no threshold and no duration, allocates nothing after it was made, and does
//! not decide which windows are worth hearing: its memory is still changing after 19 s of
//! digital silence, and after minutes of noise.

mod lanes;
mod level;
mod model;
mod network;
mod spectrum;

use std::fmt;

pub use level::Level;

use model::Model;
use network::Memory;
use spectrum::{COVERED_SAMPLES, Samples};

/// Samples of a window (32 ms).
pub const WINDOW_SAMPLES: usize = 512;
/// Samples of the window before that are heard again.
const CONTEXT_SAMPLES: usize = 64;

/// One stream.
#[derive(Clone)]
pub struct Silero {
    model: &'static Model,
    level: Level,
    memory: Memory,
    context: [i16; CONTEXT_SAMPLES],
}

impl Silero {
    /// A stream for this processor. Cheap: the weights are shared.
    #[must_use]
    pub fn new() -> Self {
        Self::at_level(Level::best())
    }

    /// A stream that uses no more of the processor than `level`.
    #[must_use]
    pub fn at_level(level: Level) -> Self {
        Self {
            model: Model::shared(),
            level,
            memory: Memory::default(),
            context: [0; CONTEXT_SAMPLES],
        }
    }

    /// How probable speech is in the next window, 0 to 1.
    pub fn speech_probability(&mut self, window: &[i16; WINDOW_SAMPLES]) -> f32 {
        let samples = self.covered(window);
        self.context.copy_from_slice(&window[WINDOW_SAMPLES - CONTEXT_SAMPLES..]);
        level::run(self.level, self.model, &mut self.memory, &samples)
    }

    /// Takes a window for digital silence: a fifth of the work. The next one begins where it
    /// ended.
    pub fn hear_silence(&mut self, window: &[i16; WINDOW_SAMPLES]) {
        self.skip(window);
        level::run_silence(self.level, self.model, &mut self.memory);
    }

    /// Lets go of a `share` of what it has got used to, 0 to 1.
    pub fn fade(&mut self, share: f32) {
        self.memory.fade(share);
    }

    /// Passes over a window without hearing it; the next one begins where it ended.
    pub fn skip(&mut self, window: &[i16; WINDOW_SAMPLES]) {
        self.context.copy_from_slice(&window[WINDOW_SAMPLES - CONTEXT_SAMPLES..]);
    }

    /// The samples of all frames: context, window, and the window's end mirrored.
    fn covered(&self, window: &[i16; WINDOW_SAMPLES]) -> Samples {
        let mut all = [0; COVERED_SAMPLES];
        let (context, rest) = all.split_at_mut(CONTEXT_SAMPLES);
        let (own, mirrored) = rest.split_at_mut(WINDOW_SAMPLES);
        context.copy_from_slice(&self.context);
        own.copy_from_slice(window);
        // The last sample is the mirror itself.
        for (to, from) in mirrored.iter_mut().zip(window.iter().rev().skip(1)) {
            *to = *from;
        }
        let every_second = |first: usize| {
            std::array::from_fn(|quad| {
                std::array::from_fn(|n| f32::from(all[8 * quad + 2 * n + first]))
            })
        };
        Samples { even: every_second(0), odd: every_second(1) }
    }
}

impl Default for Silero {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Silero {
    /// Without the audio.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Silero").field("level", &self.level).finish_non_exhaustive()
    }
}
