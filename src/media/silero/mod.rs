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
/// Windows of a quiet line before a call: 128 ms. Digital silence would make noise at the
/// beginning of a call stand out too much.
const WARMING_WINDOWS: usize = 4;

/// One stream.
#[derive(Clone)]
pub struct Silero {
    model: &'static Model,
    level: Level,
    memory: Memory,
    fresh: Option<Fresh>,
    context: [i16; CONTEXT_SAMPLES],
}

/// A second memory, which knows nothing of what was heard before it began to listen.
#[derive(Clone, Default)]
struct Fresh {
    memory: Memory,
    /// How probable it found speech in the last window.
    probability: f32,
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
            fresh: None,
            context: [0; CONTEXT_SAMPLES],
        }
    }

    /// A stream that has heard a quiet line for a moment: one that knows nothing misses short
    /// words.
    #[must_use]
    pub fn on_a_quiet_line() -> Self {
        let mut stream = Self::new();
        // One bit of hiss, the same each time.
        let mut state = 1_u32;
        for _ in 0..WARMING_WINDOWS {
            let line = std::array::from_fn(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (i32::from((state >> 16) as i16) / (1 << 14)) as i16
            });
            stream.speech_probability(&line);
        }
        stream
    }

    /// How probable speech is in the next window, 0 to 1.
    pub fn speech_probability(&mut self, window: &[i16; WINDOW_SAMPLES]) -> f32 {
        let samples = self.covered(window);
        self.context.copy_from_slice(&window[WINDOW_SAMPLES - CONTEXT_SAMPLES..]);
        let Some(fresh) = &mut self.fresh else {
            let [probability] = level::run(self.level, self.model, [&mut self.memory], &samples);
            return probability;
        };
        let memories = [&mut self.memory, &mut fresh.memory];
        let [probability, afresh] = level::run(self.level, self.model, memories, &samples);
        fresh.probability = afresh;
        probability
    }

    /// Takes a window for digital silence: a fifth of the work. The next one begins where it
    /// ended. A second memory hears no silence: it ends.
    pub fn hear_silence(&mut self, window: &[i16; WINDOW_SAMPLES]) {
        self.skip(window);
        self.fresh = None;
        level::run_silence(self.level, self.model, &mut self.memory);
    }

    /// From now on hears everything with a second memory too, which knows nothing of what was
    /// heard so far: a fifth more work.
    pub fn hear_afresh(&mut self) {
        self.fresh = Some(Fresh::default());
    }

    /// How probable speech was in the last window to the second memory, if there is one.
    #[must_use]
    pub fn probability_afresh(&self) -> Option<f32> {
        self.fresh.as_ref().map(|fresh| fresh.probability)
    }

    /// Puts the second memory in the place of the first, which is forgotten.
    pub fn keep_fresh(&mut self) {
        if let Some(fresh) = self.fresh.take() {
            self.memory = fresh.memory;
        }
    }

    /// Ends the second memory.
    pub fn drop_fresh(&mut self) {
        self.fresh = None;
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
