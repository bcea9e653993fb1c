//! Mono samples to the bytes a carrier wants, at the rate the samples have.
//!
//! The other direction of [`super::decoder`]. Does not resample.

use super::g711;
use crate::types::{Codec, MediaFormat};

/// Encodes mono samples. Holds no state: any piece may be encoded by itself.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    codec: Codec,
    stereo: bool,
}

impl Encoder {
    /// An encoder to `format`. Stereo carries the same sample in both channels.
    #[must_use]
    pub fn new(format: MediaFormat) -> Self {
        Self { codec: format.codec, stereo: format.channels == 2 }
    }

    /// Appends the bytes of `samples` to `bytes`.
    pub fn encode(&self, samples: &[i16], bytes: &mut Vec<u8>) {
        bytes.reserve(samples.len() * self.codec.bytes_per_sample() * self.copies());
        match self.codec {
            Codec::Pcm16 => self.extend(samples, bytes, i16::to_le_bytes),
            Codec::Mulaw => self.extend(samples, bytes, |sample| [g711::mulaw_encode(sample)]),
            Codec::Alaw => self.extend(samples, bytes, |sample| [g711::alaw_encode(sample)]),
        }
    }

    fn extend<const N: usize>(
        &self,
        samples: &[i16],
        bytes: &mut Vec<u8>,
        encode: impl Fn(i16) -> [u8; N],
    ) {
        for sample in samples {
            let encoded = encode(*sample);
            for _ in 0..self.copies() {
                bytes.extend_from_slice(&encoded);
            }
        }
    }

    fn copies(&self) -> usize {
        if self.stereo { 2 } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::decoder::Decoder;
    use crate::types::SampleRate;
    use proptest::prelude::*;

    fn encoded(codec: Codec, channels: u8, samples: &[i16]) -> Vec<u8> {
        let rate = SampleRate::new(8_000).unwrap();
        let mut bytes = Vec::new();
        Encoder::new(MediaFormat { codec, rate, channels }).encode(samples, &mut bytes);
        bytes
    }

    #[test]
    fn stereo_carries_the_sample_in_both_channels() {
        assert_eq!(encoded(Codec::Pcm16, 2, &[258]), [2, 1, 2, 1]);
        assert_eq!(encoded(Codec::Alaw, 2, &[8]), [0xd5, 0xd5]);
    }

    #[test]
    fn g711_takes_one_byte_a_sample() {
        assert_eq!(encoded(Codec::Mulaw, 1, &[0, 32_767]), [0xff, 0x80]);
    }

    proptest! {
        #[test]
        fn pcm_comes_back_as_it_was(samples: Vec<i16>, channels in 1_u8..=2) {
            let rate = SampleRate::new(16_000).unwrap();
            let format = MediaFormat { codec: Codec::Pcm16, rate, channels };
            let mut back = Vec::new();
            let bytes = encoded(Codec::Pcm16, channels, &samples);
            Decoder::new(format).decode_stream(&bytes, &mut back);
            prop_assert_eq!(back, samples);
        }
    }
}
