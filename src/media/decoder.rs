//! Bytes of a carrier to mono samples, at the carrier's own rate.
//!
//! Bytes may be cut anywhere: a sample cut in two is put together again. Whether a
//! message may end within a sample at all is its transport's to say. Does not
//! resample.

use super::g711;
use crate::types::{Codec, MediaFormat};

/// Most bytes that can be carried over: one short of a stereo 16-bit sample.
const CARRIED_BYTES_MAX: usize = 3;

/// Decodes one stream.
#[derive(Clone, Debug)]
pub struct Decoder {
    codec: Codec,
    stereo: bool,
    carried: [u8; CARRIED_BYTES_MAX],
    carried_len: usize,
}

impl Decoder {
    /// A decoder of audio in `format`.
    #[must_use]
    pub fn new(format: MediaFormat) -> Self {
        Self {
            codec: format.codec,
            stereo: format.channels == 2,
            carried: [0; CARRIED_BYTES_MAX],
            carried_len: 0,
        }
    }

    /// How many samples [`Self::decode_stream`] would make of `bytes` more.
    #[must_use]
    pub fn samples_in(&self, bytes: usize) -> usize {
        (self.carried_len + bytes) / self.frame_bytes()
    }

    /// Appends the samples of `bytes` to `samples`. A sample cut by the end of
    /// `bytes` is kept and completed by the next call.
    pub fn decode_stream(&mut self, bytes: &[u8], samples: &mut Vec<i16>) {
        let bytes = self.complete_carried(bytes, samples);
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % self.frame_bytes());
        self.append(whole, samples);
        self.carry(rest);
    }

    /// Finishes the cut sample, if there is one, and returns the bytes behind it.
    fn complete_carried<'a>(&mut self, bytes: &'a [u8], samples: &mut Vec<i16>) -> &'a [u8] {
        if self.carried_len == 0 {
            return bytes;
        }
        let missing = (self.frame_bytes() - self.carried_len).min(bytes.len());
        let (completing, rest) = bytes.split_at(missing);
        if self.carried_len + missing < self.frame_bytes() {
            self.carry(completing);
            return rest;
        }
        let mut frame = [0; CARRIED_BYTES_MAX + 1];
        frame[..self.carried_len].copy_from_slice(&self.carried[..self.carried_len]);
        frame[self.carried_len..self.frame_bytes()].copy_from_slice(completing);
        self.append(&frame[..self.frame_bytes()], samples);
        self.carried_len = 0;
        rest
    }

    fn carry(&mut self, rest: &[u8]) {
        self.carried[self.carried_len..self.carried_len + rest.len()].copy_from_slice(rest);
        self.carried_len += rest.len();
    }

    fn append(&self, bytes: &[u8], samples: &mut Vec<i16>) {
        match self.codec {
            Codec::Pcm16 => {
                let decoded = bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair));
                self.extend(decoded, samples);
            }
            Codec::Mulaw => self.extend(bytes.iter().map(|b| g711::mulaw_decode(*b)), samples),
            Codec::Alaw => self.extend(bytes.iter().map(|b| g711::alaw_decode(*b)), samples),
        }
    }

    fn extend(&self, mut decoded: impl ExactSizeIterator<Item = i16>, samples: &mut Vec<i16>) {
        if !self.stereo {
            samples.extend(decoded);
            return;
        }
        samples.reserve(decoded.len() / 2);
        while let (Some(left), Some(right)) = (decoded.next(), decoded.next()) {
            samples.push(mix(left, right));
        }
    }

    fn frame_bytes(&self) -> usize {
        self.codec.bytes_per_sample() * if self.stereo { 2 } else { 1 }
    }
}

/// The mean of both channels: the sum would clip where both are loud.
fn mix(left: i16, right: i16) -> i16 {
    ((i32::from(left) + i32::from(right)) / 2) as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SampleRate;
    use proptest::prelude::*;

    fn format(codec: Codec, channels: u8) -> MediaFormat {
        MediaFormat { codec, rate: SampleRate::new(8_000).unwrap(), channels }
    }

    fn decoded(format: MediaFormat, bytes: &[u8]) -> Vec<i16> {
        let mut samples = Vec::new();
        Decoder::new(format).decode_stream(bytes, &mut samples);
        samples
    }

    #[test]
    fn samples_are_little_endian() {
        assert_eq!(decoded(format(Codec::Pcm16, 1), &[0x01, 0x00, 0x00, 0x80]), vec![1, -32_768]);
    }

    #[test]
    fn g711_bytes_are_samples() {
        assert_eq!(decoded(format(Codec::Mulaw, 1), &[0x80, 0xff]), vec![32_124, 0]);
        assert_eq!(decoded(format(Codec::Alaw, 1), &[0x2a, 0xd5]), vec![-32_256, 8]);
    }

    #[test]
    fn stereo_is_mixed_down_without_clipping() {
        let bytes = [0xff, 0x7f, 0xff, 0x7f, 0x64, 0x00, 0x9c, 0xff];
        assert_eq!(decoded(format(Codec::Pcm16, 2), &bytes), vec![32_767, 0]);
        assert_eq!(decoded(format(Codec::Mulaw, 2), &[0x80, 0x00]), vec![0]);
    }

    #[test]
    fn an_odd_byte_waits_for_the_next_piece() {
        let mut decoder = Decoder::new(format(Codec::Pcm16, 1));
        let mut samples = Vec::new();
        decoder.decode_stream(&[1, 0, 2], &mut samples);
        assert_eq!(samples, [1]);
        decoder.decode_stream(&[0, 3, 0], &mut samples);
        assert_eq!(samples, [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn a_stream_decodes_alike_however_it_is_cut(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            cuts in prop::collection::vec(0_usize..9, 1..60),
            codec in prop::sample::select(vec![Codec::Pcm16, Codec::Mulaw, Codec::Alaw]),
            channels in 1_u8..=2,
        ) {
            let format = format(codec, channels);
            let frames = bytes.len() / format.bytes_per_frame() * format.bytes_per_frame();
            let expected = decoded(format, &bytes[..frames]);

            let (mut decoder, mut samples, mut rest) = (Decoder::new(format), vec![], &bytes[..]);
            for cut in cuts {
                let (piece, behind) = rest.split_at(cut.min(rest.len()));
                let expected = samples.len() + decoder.samples_in(piece.len());
                decoder.decode_stream(piece, &mut samples);
                prop_assert_eq!(samples.len(), expected);
                rest = behind;
            }
            decoder.decode_stream(rest, &mut samples);
            prop_assert_eq!(samples, expected);
        }
    }
}
