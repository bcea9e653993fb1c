//! How loud a sound is in eight bands of the telephone, every 10 ms. It knows no speech and
//! no echo.

#![allow(unsafe_code, reason = "calls a function compiled for processors that may be absent")]

use std::f32::consts::TAU;

/// Bands from 100 to 3,800 Hz, each as wide as the next in octaves.
pub(super) const BANDS: usize = 8;
/// Samples of a frame: 10 ms.
pub(super) const FRAME_SAMPLES: usize = 160;
/// Frames over which a level is measured: 50 ms.
pub(super) const LEVEL_FRAMES: usize = 5;

/// What is quieter than this counts as this (dB of full scale).
const QUIETEST_DB: f32 = -75.0;
const STEPS_PER_DB: f32 = 2.0;
/// Decibels that are as much as twice the energy.
const DOUBLE_DB: f32 = 3.010_3;

const LOWEST_HZ: f32 = 100.0;
const HIGHEST_HZ: f32 = 3_800.0;
/// Filters run on every other sample, the mean of two.
const FILTER_HZ: f32 = 8_000.0;
const FILTERED_SAMPLES: usize = FRAME_SAMPLES / 2;
/// A frame of which no sample is further from zero than this (-60 dB, as for a detector) is
/// silent. What follows is not filtered until something is louder: so a quiet line costs
/// nothing, where with 7 it cost as much as speech.
const SILENT: u16 = 31;
/// Noise of -110 dB, so that no filter dies away to numbers that are too small for a processor
/// to be fast with: without it the silence behind a word took ten times as long.
const HISS: [f32; FILTERED_SAMPLES] = {
    // Bits with no order in them, again and again.
    const SIGNS: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hiss = [3e-6; FILTERED_SAMPLES];
    let mut at = 0;
    while at < FILTERED_SAMPLES {
        if SIGNS.rotate_left(at as u32) & 1 == 1 {
            hiss[at] = -hiss[at];
        }
        at += 1;
    }
    hiss
};

/// Loudness in half decibels above the quietest: a byte holds every one there is.
pub(super) type Steps = u8;

/// A loudness in dB of full scale as steps.
pub(super) const fn steps(db: f32) -> Steps {
    ((db - QUIETEST_DB) * STEPS_PER_DB) as Steps
}

/// A difference of loudness in steps.
pub(super) const fn steps_between(db: f32) -> f32 {
    db * STEPS_PER_DB
}

/// 10 ms of a sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    /// Loudness in each band.
    pub bands: [Steps; BANDS],
    /// Loudness in all, of this frame and the four before it.
    pub level: Steps,
}

/// Eight band filters side by side, and the frame that they are in.
#[derive(Clone, Debug)]
pub(super) struct BandFilter {
    gain: [f32; BANDS],
    feedback: [[f32; BANDS]; 2],
    /// The last two outputs.
    outputs: [[f32; BANDS]; 2],
    /// The last two inputs.
    inputs: [f32; 2],
    energy: [f32; BANDS],
    square: f32,
    /// Something in the frame was not silent.
    is_loud: bool,
    /// Nothing was since the frame before this one.
    is_asleep: bool,
    /// Samples of the frame that were heard, the one that waits for its neighbour included.
    filled: usize,
    /// What the filters heard of it, or slept through.
    filtered: usize,
    first_of_two: i16,
    /// Of the last frames, in a ring.
    squares: [f32; LEVEL_FRAMES],
    next: usize,
}

impl BandFilter {
    pub fn new() -> Self {
        let ratio = (HIGHEST_HZ / LOWEST_HZ).powf(1.0 / BANDS as f32);
        // The usual resonator: as wide as the band between its edges.
        let of_band = |of: fn(f32, f32) -> f32| {
            std::array::from_fn(|band| {
                let centre_hz = LOWEST_HZ * ratio.powi(band as i32) * ratio.sqrt();
                let centre = TAU * centre_hz / FILTER_HZ;
                of(centre, centre.sin() * (ratio - 1.0) / (2.0 * ratio.sqrt()))
            })
        };
        Self {
            gain: of_band(|_, alpha| alpha / (1.0 + alpha)),
            feedback: [
                of_band(|centre, alpha| 2.0 * centre.cos() / (1.0 + alpha)),
                of_band(|_, alpha| (alpha - 1.0) / (1.0 + alpha)),
            ],
            outputs: [[0.0; BANDS]; 2],
            inputs: [0.0; 2],
            energy: [0.0; BANDS],
            square: 0.0,
            is_loud: false,
            is_asleep: true,
            filled: 0,
            filtered: 0,
            first_of_two: 0,
            squares: [0.0; LEVEL_FRAMES],
            next: 0,
        }
    }

    /// Forgets what it heard.
    pub fn reset(&mut self) {
        let Self { gain, feedback, .. } = *self;
        *self = Self { gain, feedback, ..Self::new() };
    }

    /// Hears `samples` up to the end of the frame. Gives that frame and what is behind it;
    /// `None` when they do not reach that far.
    pub fn hear<'a>(&mut self, samples: &'a [i16]) -> Option<(Frame, &'a [i16])> {
        let missing = FRAME_SAMPLES - self.filled;
        let (piece, behind) = samples.split_at(samples.len().min(missing));
        let mut rest = piece;
        if self.filled % 2 == 1
            && let Some((&second, behind)) = rest.split_first()
        {
            self.filter(&[[self.first_of_two, second]]);
            rest = behind;
        }
        let (pairs, odd) = rest.as_chunks::<2>();
        self.filter(pairs);
        if let &[odd] = odd {
            self.first_of_two = odd;
        }
        self.filled += piece.len();
        (self.filled == FRAME_SAMPLES).then(|| (self.finish(), behind))
    }

    fn filter(&mut self, pairs: &[[i16; 2]]) {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: this processor has it.
            return unsafe { self.filter_at_once(pairs) };
        }
        self.filter_here(pairs);
    }

    /// All bands in one register: in half the time.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2")]
    fn filter_at_once(&mut self, pairs: &[[i16; 2]]) {
        self.filter_here(pairs);
    }

    #[inline(always)]
    fn filter_here(&mut self, pairs: &[[i16; 2]]) {
        let mut from = self.filtered;
        self.filtered += pairs.len();
        let mut pairs = pairs;
        self.is_loud = self.is_loud || are_loud(pairs);
        if self.is_asleep {
            if !self.is_loud {
                return;
            }
            let loud = pairs.iter().position(|pair| are_loud(std::slice::from_ref(pair)));
            let at = loud.unwrap_or_default();
            self.is_asleep = false;
            (from, pairs) = (from + at, &pairs[at..]);
        }
        let mut inputs = [0.0; FILTERED_SAMPLES];
        let (inputs, hiss) = (&mut inputs[..pairs.len()], &HISS[from..from + pairs.len()]);
        for ((input, [first, second]), hiss) in inputs.iter_mut().zip(pairs).zip(hiss) {
            *input = (f32::from(*first) + f32::from(*second)) / 65_536.0 + hiss;
        }
        // In registers: the filters wait for nothing but themselves.
        let Self { gain, feedback, mut energy, mut square, .. } = *self;
        let ([mut last, mut before], [mut input_last, mut input_before]) =
            (self.outputs, self.inputs);
        for &input in &*inputs {
            let difference = input - input_before;
            let output: [f32; BANDS] = std::array::from_fn(|band| {
                gain[band] * difference
                    + feedback[1][band] * before[band]
                    + feedback[0][band] * last[band]
            });
            (input_last, input_before) = (input, input_last);
            (last, before) = (output, last);
            for (energy, output) in energy.iter_mut().zip(output) {
                *energy += output * output;
            }
            square += input * input;
        }
        (self.energy, self.square) = (energy, square);
        (self.outputs, self.inputs) = ([last, before], [input_last, input_before]);
    }

    fn finish(&mut self) -> Frame {
        self.squares[self.next] = self.square;
        self.next = (self.next + 1) % LEVEL_FRAMES;
        let frame = Frame {
            bands: self.energy.map(|energy| steps_of(energy / FILTERED_SAMPLES as f32)),
            level: steps_of(
                self.squares.iter().sum::<f32>() / (LEVEL_FRAMES * FILTERED_SAMPLES) as f32,
            ),
        };
        (self.energy, self.square) = ([0.0; BANDS], 0.0);
        (self.filled, self.filtered) = (0, 0);
        if !std::mem::take(&mut self.is_loud) {
            self.is_asleep = true;
            (self.outputs, self.inputs) = ([[0.0; BANDS]; 2], [0.0; 2]);
        }
        frame
    }
}

fn are_loud(pairs: &[[i16; 2]]) -> bool {
    // It has a bit above those of the silent ones.
    const { assert!((SILENT + 1).is_power_of_two()) };
    pairs.as_flattened().iter().fold(0, |bits, sample| bits | sample.unsigned_abs()) > SILENT
}

/// Of a mean square. A float's bits are its logarithm, to 0.13 dB.
fn steps_of(mean_square: f32) -> Steps {
    const ONE: f32 = (1 << 23) as f32;
    let doublings = mean_square.max(1e-12).to_bits() as f32 / ONE - 126.957;
    ((doublings * DOUBLE_DB - QUIETEST_DB) * STEPS_PER_DB) as Steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(samples: &[i16], length: usize) -> Vec<Frame> {
        let (mut filter, mut frames) = (BandFilter::new(), Vec::new());
        for mut piece in samples.chunks(length) {
            while let Some((frame, behind)) = filter.hear(piece) {
                frames.push(frame);
                piece = behind;
            }
        }
        frames
    }

    #[test]
    fn a_tone_is_loud_in_its_own_band() {
        for (hz, expected) in [(125.0, 0), (500.0, 3), (1_250.0, 5), (3_000.0, 7)] {
            let tone = |n: usize| (8_000.0 * (TAU * hz * n as f32 / 16_000.0).sin()) as i16;
            let samples: Vec<i16> = (0..3_200).map(tone).collect();
            let last = frames(&samples, 3_200)[19];
            let loudest = (0..BANDS).max_by_key(|band| last.bands[*band]);
            assert_eq!(loudest, Some(expected), "{hz} Hz: {last:?}");
            assert!((steps(-17.0)..steps(-14.0)).contains(&last.level), "{hz} Hz: {last:?}");
        }
    }

    #[test]
    fn a_level_in_steps_is_right_to_half_a_decibel() {
        for db in [-74.0_f32, -60.5, -47.0, -20.0, -3.0] {
            let wanted = (db - QUIETEST_DB) * STEPS_PER_DB;
            let error = f32::from(steps_of(10_f32.powf(db / 10.0))) - wanted;
            assert!(error.abs() <= 1.0, "{db}: {error} steps");
        }
        assert_eq!(steps_of(0.0), 0);
    }

    #[test]
    fn samples_may_come_in_any_pieces() {
        let sound = |n: i32| (n * 7_919 % 4_001) as i16 - 2_000;
        let quiet = |n: i32| (n % 8) as i16;
        let samples = (0..1_000).map(|n| if n / 320 % 2 == 0 { sound(n) } else { quiet(n) });
        let samples: Vec<i16> = samples.collect();
        assert_eq!(frames(&samples, 1_000).len(), 6);
        assert_eq!(frames(&samples, 7), frames(&samples, 1_000));
    }

    #[test]
    fn no_filter_dies_away_to_numbers_that_a_processor_is_slow_with() {
        let mut filter = BandFilter::new();
        // A word, and then what is hardly more than silence for a second.
        let word = (0..160).map(|n| (n * 7_919 % 4_001) as i16 - 2_000);
        let rest = (0..16_000).map(|n| if n % 160 == 0 { 32 } else { 0 });
        for samples in word.chain(rest).collect::<Vec<i16>>().chunks(80) {
            filter.hear(samples);
            let numbers = filter.outputs.as_flattened().iter().chain(&filter.energy);
            assert!(numbers.copied().all(|it| it == 0.0 || it.is_normal()), "{filter:?}");
        }
    }
}
