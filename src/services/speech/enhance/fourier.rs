//! The short spectra of 16 kHz audio: 512 windowed samples to 257 bins, and back.
//!
//! A plain radix-2 transform. A second of audio needs 125 of them, 2 ms in all, so
//! nothing cleverer is worth a dependency.

use std::f32::consts::PI;

/// Samples in a frame.
pub(super) const SIZE: usize = 512;
/// Bins of a spectrum, 31.25 Hz apart.
pub(super) const BINS: usize = SIZE / 2 + 1;

/// The tables, and room to work in.
pub(super) struct Fourier {
    /// The square root of a Hann window: applied before and behind, four frames deep,
    /// it adds up to 2.
    window: Vec<f32>,
    /// `e^(-2πik/SIZE)`.
    turns: Vec<(f32, f32)>,
    room: Vec<(f32, f32)>,
}

impl Fourier {
    pub(super) fn new() -> Self {
        let angle = |index: usize| 2.0 * PI * index as f32 / SIZE as f32;
        Self {
            window: (0..SIZE).map(|at| (0.5 - 0.5 * angle(at).cos()).sqrt()).collect(),
            turns: (0..SIZE / 2).map(|at| (angle(at).cos(), -angle(at).sin())).collect(),
            room: vec![(0.0, 0.0); SIZE],
        }
    }

    /// The spectrum of a frame.
    pub(super) fn forward(&mut self, frame: &[f32; SIZE]) -> [(f32, f32); BINS] {
        for ((slot, sample), window) in self.room.iter_mut().zip(frame).zip(&self.window) {
            *slot = (sample * window, 0.0);
        }
        self.transform();
        std::array::from_fn(|bin| self.room[bin])
    }

    /// The frame of a spectrum, windowed once more.
    pub(super) fn backward(&mut self, spectrum: &[(f32, f32); BINS]) -> [f32; SIZE] {
        // Of a real signal the upper half is the lower one mirrored; and the inverse is
        // the transform of the conjugate.
        for (bin, (re, im)) in spectrum.iter().enumerate() {
            self.room[bin] = (*re, -im);
            if bin > 0 && bin < SIZE / 2 {
                self.room[SIZE - bin] = (*re, *im);
            }
        }
        self.transform();
        std::array::from_fn(|at| self.room[at].0 * self.window[at] / SIZE as f32)
    }

    fn transform(&mut self) {
        for at in 0..SIZE {
            let mirrored = at.reverse_bits() >> (usize::BITS - SIZE.trailing_zeros());
            if at < mirrored {
                self.room.swap(at, mirrored);
            }
        }
        let mut half = 1;
        while half < SIZE {
            for start in (0..SIZE).step_by(2 * half) {
                for offset in 0..half {
                    let turn = self.turns[offset * (SIZE / 2 / half)];
                    self.butterfly(start + offset, start + offset + half, turn);
                }
            }
            half *= 2;
        }
    }

    fn butterfly(&mut self, a: usize, b: usize, turn: (f32, f32)) {
        let (first, second) = (self.room[a], self.room[b]);
        let turned = (second.0 * turn.0 - second.1 * turn.1, second.0 * turn.1 + second.1 * turn.0);
        self.room[a] = (first.0 + turned.0, first.1 + turned.1);
        self.room[b] = (first.0 - turned.0, first.1 - turned.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_in_its_bin_and_comes_back() {
        let mut fourier = Fourier::new();
        let tone: [f32; SIZE] =
            std::array::from_fn(|at| 1_000.0 * (2.0 * PI * 32.0 * at as f32 / SIZE as f32).sin());
        let spectrum = fourier.forward(&tone);
        let loudest = (0..BINS).max_by(|a, b| {
            spectrum[*a].0.hypot(spectrum[*a].1).total_cmp(&spectrum[*b].0.hypot(spectrum[*b].1))
        });
        assert_eq!(loudest, Some(32));
        let back = fourier.backward(&spectrum);
        for at in 0..SIZE {
            let expected = tone[at] * fourier.window[at] * fourier.window[at];
            assert!((back[at] - expected).abs() < 0.1, "{at}: {} {expected}", back[at]);
        }
    }
}
