//! Where a voice ends, by loudness: to a few milliseconds, where a detector knows it to a
//! window. It does not tell a voice from a noise.

/// Samples that are measured together: 5 ms.
const BLOCK_SAMPLES: usize = 80;

/// Mean square of what is silence whatever is around it: noise with a peak of 32, 60 dB
/// below the loudest there is.
const SILENT_MEAN_SQUARE: u64 = 32 * 32 / 3;

/// What counts as silence, as a mean square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Silence(u64);

impl Silence {
    /// Nothing to hear, whatever is around it.
    pub const COMPLETE: Self = Self(SILENT_MEAN_SQUARE);

    /// Silence as it is in `window`, which a detector found to be without speech: up to
    /// 3 dB louder than its second half, since the voice may fade out in its first one.
    pub fn like(window: &[i16]) -> Self {
        Self((2 * mean_square(&window[window.len() / 2..])).max(SILENT_MEAN_SQUARE))
    }

    /// How much of `samples` is silence at its end, in samples, in steps of 5 ms. `None`
    /// if all of it is: then loudness does not tell where the voice was.
    pub fn at_end_of(self, samples: &[i16]) -> Option<usize> {
        let mut blocks = samples.rchunks_exact(BLOCK_SAMPLES);
        let silent = blocks.position(|block| mean_square(block) > self.0)?;
        Some(silent * BLOCK_SAMPLES)
    }

    /// Whether nothing in `samples` is louder.
    pub fn covers(self, samples: &[i16]) -> bool {
        samples.chunks(BLOCK_SAMPLES).all(|block| mean_square(block) <= self.0)
    }
}

fn mean_square(samples: &[i16]) -> u64 {
    let sum: u64 = samples.iter().map(|&sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    sum / samples.len().max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A square wave, as loud as `level`.
    fn tone(level: i16, samples: usize) -> Vec<i16> {
        (0..samples).map(|n| if n % 2 == 0 { level } else { -level }).collect()
    }

    #[test]
    fn the_end_of_a_voice_is_found_in_noise_to_five_milliseconds() {
        let silence = Silence::like(&tone(100, 512));
        let samples = [tone(1_000, 400), tone(110, 333)].concat();
        assert_eq!(silence.at_end_of(&samples), Some(320));
    }

    #[test]
    fn a_voice_that_fades_out_in_the_window_is_not_taken_for_silence() {
        let window = [tone(1_000, 200), tone(20, 312)].concat();
        assert!(!Silence::like(&window).covers(&window));
        assert!(Silence::like(&window).covers(&window[200..]));
    }

    #[test]
    fn loudness_does_not_tell_a_voice_from_an_equally_loud_noise() {
        let silence = Silence::like(&tone(1_000, 512));
        assert_eq!(silence.at_end_of(&tone(1_200, 1_536)), None);
    }

    #[test]
    fn what_nobody_hears_is_silence_after_digital_silence_too() {
        assert!(Silence::like(&[0; 512]).covers(&tone(18, 100)));
        assert!(!Silence::like(&[0; 512]).covers(&tone(19, 100)));
    }
}
