//! Samples that are not 16 bits wide, as recorders and audio programs write them, to
//! samples that are.

use super::head::{TAG_FLOAT, TAG_PCM};

/// Bytes of the widest sample.
const SAMPLE_BYTES_MAX: usize = 8;

/// How wide a sample is, and what its bits mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Width {
    /// 8 bits, 128 is silence.
    Unsigned8,
    Integer24,
    Integer32,
    /// From -1 to 1; what is beyond is cut off.
    Float32,
    /// Likewise.
    Float64,
}

impl Width {
    /// That of a WAV format, if it is one of these.
    pub(super) const fn of(tag: u16, bits: u16) -> Option<Self> {
        Some(match (tag, bits) {
            (TAG_PCM, 8) => Self::Unsigned8,
            (TAG_PCM, 24) => Self::Integer24,
            (TAG_PCM, 32) => Self::Integer32,
            (TAG_FLOAT, 32) => Self::Float32,
            (TAG_FLOAT, 64) => Self::Float64,
            _ => return None,
        })
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Unsigned8 => 1,
            Self::Integer24 => 3,
            Self::Integer32 | Self::Float32 => 4,
            Self::Float64 => 8,
        }
    }

    /// The 16-bit sample that is nearest to one of [`Self::bytes`].
    fn narrow(self, sample: &[u8]) -> i16 {
        match *sample {
            [a] => (i16::from(a) - 128) << 8,
            [a, b, c] => rounded(i32::from_le_bytes([0, a, b, c])),
            [a, b, c, d] if self == Self::Integer32 => rounded(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d] => scaled(f32::from_le_bytes([a, b, c, d]).into()),
            [a, b, c, d, e, f, g, h] => scaled(f64::from_le_bytes([a, b, c, d, e, f, g, h])),
            _ => 0,
        }
    }
}

fn rounded(sample: i32) -> i16 {
    (sample.saturating_add(1 << 15) >> 16) as i16
}

/// What is no number is silence.
fn scaled(sample: f64) -> i16 {
    (sample * 32_768.0).round() as i16
}

/// Narrows the samples of one file, cut anywhere.
#[derive(Debug)]
pub(super) struct Narrower {
    width: Width,
    carried: [u8; SAMPLE_BYTES_MAX],
    carried_len: usize,
}

impl Narrower {
    pub(super) const fn new(width: Width) -> Self {
        Self { width, carried: [0; SAMPLE_BYTES_MAX], carried_len: 0 }
    }

    /// Appends to `narrow` the 16-bit samples of `bytes`, little-endian. A sample cut by
    /// their end is completed by the next ones.
    pub(super) fn read(&mut self, mut bytes: &[u8], narrow: &mut Vec<u8>) {
        let length = self.width.bytes();
        if self.carried_len > 0 {
            let missing = (length - self.carried_len).min(bytes.len());
            let (completing, rest) = bytes.split_at(missing);
            self.carry(completing);
            bytes = rest;
            if self.carried_len < length {
                return;
            }
            narrow.extend(self.width.narrow(&self.carried[..length]).to_le_bytes());
            self.carried_len = 0;
        }
        let samples = bytes.chunks_exact(length);
        let rest = samples.remainder();
        narrow.extend(samples.flat_map(|sample| self.width.narrow(sample).to_le_bytes()));
        self.carry(rest);
    }

    fn carry(&mut self, bytes: &[u8]) {
        self.carried[self.carried_len..self.carried_len + bytes.len()].copy_from_slice(bytes);
        self.carried_len += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn narrowed<'a>(width: Width, parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<i16> {
        let (mut narrower, mut narrow) = (Narrower::new(width), Vec::new());
        parts.into_iter().for_each(|part| narrower.read(part, &mut narrow));
        narrow.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
    }

    fn bytes<const N: usize, T>(samples: &[T], write: fn(&T) -> [u8; N]) -> Vec<u8> {
        samples.iter().flat_map(write).collect()
    }

    #[test]
    fn each_width_keeps_silence_and_both_ends() {
        let ends = [i16::MIN, 0, i16::MAX];
        assert_eq!(narrowed(Width::Unsigned8, [&[0, 128, 255][..]]), [i16::MIN, 0, 0x7f00]);
        let wide = bytes(&[i32::MIN, 0x7fff, i32::MAX], |it| it.to_le_bytes());
        assert_eq!(narrowed(Width::Integer32, [&wide[..]]), ends);
        let wide: Vec<u8> = [[0, 0, 0x80], [0x7f, 0, 0], [0xff, 0xff, 0x7f]].concat();
        assert_eq!(narrowed(Width::Integer24, [&wide[..]]), ends);
        let wide = bytes(&[-1.0_f32, 0.0, 1.0], |it| it.to_le_bytes());
        assert_eq!(narrowed(Width::Float32, [&wide[..]]), ends);
        let wide = bytes(&[-1.0_f64, 0.0, 1.0], |it| it.to_le_bytes());
        assert_eq!(narrowed(Width::Float64, [&wide[..]]), ends);
    }

    #[test]
    fn floats_beyond_the_ends_are_cut_off_and_what_is_no_number_is_silence() {
        let wide = bytes(&[1.7_f32, -9.0, f32::INFINITY, f32::NAN, 0.5], |it| it.to_le_bytes());
        let narrow = [i16::MAX, i16::MIN, i16::MAX, 0, 16_384];
        assert_eq!(narrowed(Width::Float32, [&wide[..]]), narrow);
    }

    proptest! {
        #[test]
        fn samples_may_be_cut_anywhere(
            width in prop_oneof![
                Just(Width::Unsigned8),
                Just(Width::Integer24),
                Just(Width::Integer32),
                Just(Width::Float32),
                Just(Width::Float64),
            ],
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            cut in 1_usize..20,
        ) {
            let whole = narrowed(width, [&bytes[..]]);
            prop_assert_eq!(whole.len(), bytes.len() / width.bytes());
            prop_assert_eq!(narrowed(width, bytes.chunks(cut)), whole);
        }
    }
}
