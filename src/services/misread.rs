//! Whether 16-bit samples are a sound, or bytes of something else that were taken for
//! samples: coded or compressed audio, other sizes and orders of bytes, a file.
//!
//! Pure. Such bytes make full-scale noise: neighbours have nothing to do with each other.
//! The sounds of speech are never like that for long; on human recordings, cut by
//! clipping at four times their full scale, for 300 ms at most.

/// What is judged at once: 50 ms at 16 kHz.
pub(super) const WINDOW: usize = 800;
/// So many windows of noise in a row are no speech: 400 ms.
const WINDOWS_MAX: usize = 8;
/// What is too short to be judged.
const SAMPLES_MIN: usize = 100;
/// A step between two neighbours that a sound hardly makes.
const JUMP: u32 = 24_000;
/// More such steps in a thousand are noise.
const JUMPS_PER_1000_MAX: usize = 30;
/// Noise under this level harms nobody, and hissing consonants are there.
const LOUD: f64 = 6_000.0;
/// Neighbours of a loud sound have at least so much in common.
const CORRELATION_MIN: f64 = 0.2;

/// Listens to a sentence as it comes.
#[derive(Debug, Default)]
pub(super) struct NoiseWatch {
    /// Windows of noise in a row, and all windows.
    noisy: usize,
    windows: usize,
}

/// What is to become of what came so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can be heard.
    Sound,
    /// More will tell.
    Doubtful,
    /// Nobody should hear it.
    Noise,
}

impl NoiseWatch {
    /// Takes in the next window.
    pub(super) fn hear(&mut self, window: &[i16]) -> Verdict {
        self.windows += 1;
        if !is_noise(window) {
            self.noisy = 0;
            return Verdict::Sound;
        }
        self.noisy += 1;
        if self.noisy == WINDOWS_MAX { Verdict::Noise } else { Verdict::Doubtful }
    }

    /// Takes in the last samples, fewer than a window: short noise is noise when it is all.
    pub(super) fn end(&mut self, rest: &[i16]) -> Verdict {
        if rest.len() >= SAMPLES_MIN {
            self.hear(rest);
        }
        let all_noise = self.windows > 0 && self.noisy == self.windows;
        if all_noise { Verdict::Noise } else { Verdict::Sound }
    }
}

fn is_noise(samples: &[i16]) -> bool {
    let pairs = || samples.iter().zip(&samples[1..]);
    let jumps = pairs().filter(|(a, b)| i32::from(**a).abs_diff(i32::from(**b)) > JUMP).count();
    if jumps * 1_000 > samples.len() * JUMPS_PER_1000_MAX {
        return true;
    }
    let mean = samples.iter().map(|sample| f64::from(*sample)).sum::<f64>() / samples.len() as f64;
    let swing = |sample: &i16| f64::from(*sample) - mean;
    let energy: f64 = samples.iter().map(|sample| swing(sample).powi(2)).sum();
    let common: f64 = pairs().map(|(a, b)| swing(a) * swing(b)).sum();
    energy > LOUD.powi(2) * samples.len() as f64 && common < CORRELATION_MIN * energy
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::g711::{alaw_encode, mulaw_encode};

    const RECORDINGS: [&str; 4] =
        ["cards_003.wav", "jfk.wav", "forever_4.wav", "librivox_0880.wav"];

    /// A recording, its loudest sample at `peak` and what is beyond the range clipped.
    fn recording(name: &str, peak: i64) -> Vec<i16> {
        let path = format!("{}/tests/audio/{name}", env!("CARGO_MANIFEST_DIR"));
        let wav = crate::media::wav::read(&std::fs::read(path).unwrap()).unwrap();
        let samples = &wav.channels[0];
        let loudest = samples.iter().map(|sample| i64::from(*sample).abs()).max().unwrap();
        let louder =
            |sample: &i16| (i64::from(*sample) * peak / loudest).clamp(-32_768, 32_767) as i16;
        samples.iter().map(louder).collect()
    }

    fn verdict(samples: &[i16]) -> Verdict {
        let mut watch = NoiseWatch::default();
        let windows = samples.chunks_exact(WINDOW);
        let rest = windows.remainder();
        let noise = windows.map(|window| watch.hear(window)).find(|it| *it == Verdict::Noise);
        noise.unwrap_or_else(|| watch.end(rest))
    }

    fn as_samples(bytes: impl IntoIterator<Item = u8>) -> Vec<i16> {
        let bytes: Vec<u8> = bytes.into_iter().collect();
        bytes.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
    }

    #[test]
    fn speech_is_sound_at_every_level_also_clipped() {
        for name in RECORDINGS {
            for peak in [300, 3_000, 32_767, 131_000] {
                assert_eq!(verdict(&recording(name, peak)), Verdict::Sound, "{name} at {peak}");
            }
        }
    }

    #[test]
    fn speech_that_is_coded_otherwise_is_noise() {
        for name in RECORDINGS {
            let samples = recording(name, 32_767);
            let each = |encode: fn(i16) -> Vec<u8>| {
                as_samples(samples.iter().flat_map(|sample| encode(*sample)))
            };
            let misread = [
                each(|sample| vec![mulaw_encode(sample)]),
                each(|sample| vec![alaw_encode(sample)]),
                each(|sample| vec![((sample >> 8) + 128) as u8]),
                each(|sample| sample.to_be_bytes().to_vec()),
                each(|sample| (f32::from(sample) / 32_768.0).to_le_bytes().to_vec()),
                each(|sample| (i32::from(sample) << 8).to_le_bytes()[..3].to_vec()),
            ];
            for (number, samples) in misread.iter().enumerate() {
                assert_eq!(verdict(samples), Verdict::Noise, "{name}, coding {number}");
            }
        }
    }

    #[test]
    fn compressed_bytes_are_noise_however_few_and_a_few_samples_are_not_judged() {
        let mut state = 1_u32;
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .take(4_000)
        .collect();
        assert_eq!(verdict(&as_samples(bytes.clone())), Verdict::Noise);
        assert_eq!(verdict(&as_samples(bytes[..300].to_vec())), Verdict::Noise);
        assert_eq!(verdict(&as_samples(bytes[..100].to_vec())), Verdict::Sound);
        assert_eq!(verdict(&[]), Verdict::Sound);
    }
}
