//! G.711: µ-law and A-law, one byte a sample, by the arithmetic of ITU-T G.711.
//!
//! Knows nothing of packets, rates or channels. Every byte and every sample has
//! an answer, so nothing here can fail.

/// Added to a µ-law magnitude so that every segment begins at a power of two.
const MULAW_BIAS: u16 = 132;
/// Largest 16-bit magnitude that µ-law can carry.
const MULAW_MAGNITUDE_MAX: u16 = 32_635;
/// Every other bit of an A-law byte is sent inverted.
const ALAW_INVERTED_BITS: u8 = 0x55;
/// Set in a byte of either law when the sample is not negative (after inversion).
const SIGN_BIT: u8 = 0x80;

static MULAW_SAMPLES: [i16; 256] = mulaw_samples();
static ALAW_SAMPLES: [i16; 256] = alaw_samples();

/// The 16-bit sample of a µ-law byte.
#[must_use]
pub fn mulaw_decode(byte: u8) -> i16 {
    MULAW_SAMPLES[byte as usize]
}

/// The 16-bit sample of an A-law byte.
#[must_use]
pub fn alaw_decode(byte: u8) -> i16 {
    ALAW_SAMPLES[byte as usize]
}

/// The µ-law byte nearest to a 16-bit sample.
#[must_use]
pub fn mulaw_encode(sample: i16) -> u8 {
    let biased = magnitude(sample).min(MULAW_MAGNITUDE_MAX) + MULAW_BIAS;
    // The bias puts the leading one at bit 7 or above, so this cannot underflow.
    let segment = 8 - biased.leading_zeros() as u16;
    let step = (biased >> (segment + 3)) & 0x0f;
    let byte = (segment << 4 | step) as u8;
    // µ-law sends all bits inverted; a positive sample has its sign bit set then.
    if sample < 0 { !(byte | SIGN_BIT) } else { !byte }
}

/// The A-law byte nearest to a 16-bit sample.
#[must_use]
pub fn alaw_encode(sample: i16) -> u8 {
    let level = magnitude(sample) >> 4;
    let byte = if level < 32 {
        // Segments 0 and 1 have the same step: the level is segment and step at once.
        level
    } else {
        let segment = 12 - level.leading_zeros() as u16;
        segment << 4 | (level >> (segment - 1)) & 0x0f
    };
    let sign = if sample < 0 { 0 } else { SIGN_BIT };
    (byte as u8 | sign) ^ ALAW_INVERTED_BITS
}

/// One's complement for negative samples: both laws are symmetric around -½.
fn magnitude(sample: i16) -> u16 {
    if sample < 0 { !sample as u16 } else { sample as u16 }
}

const fn mulaw_samples() -> [i16; 256] {
    let mut samples = [0; 256];
    let mut index = 0;
    while index < 256 {
        let bits = !(index as u8);
        let segment = (bits >> 4) & 0x07;
        let biased = (((bits & 0x0f) as i16) << 3 | MULAW_BIAS as i16) << segment;
        let level = biased - MULAW_BIAS as i16;
        samples[index] = if bits & SIGN_BIT == 0 { level } else { -level };
        index += 1;
    }
    samples
}

const fn alaw_samples() -> [i16; 256] {
    let mut samples = [0; 256];
    let mut index = 0;
    while index < 256 {
        let bits = index as u8 ^ ALAW_INVERTED_BITS;
        let segment = (bits >> 4) & 0x07;
        let step = ((bits & 0x0f) as i16) << 4 | 0x08;
        let level = if segment == 0 { step } else { (step | 0x100) << (segment - 1) };
        samples[index] = if bits & SIGN_BIT == 0 { -level } else { level };
        index += 1;
    }
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn mulaw_decodes_the_values_of_the_recommendation() {
        let known = [(0xff, 0), (0x7f, 0), (0x80, 32_124), (0x00, -32_124), (0xfe, 8), (0xef, 132)];
        for (byte, sample) in known {
            assert_eq!(mulaw_decode(byte), sample, "byte {byte:#04x}");
        }
    }

    #[test]
    fn alaw_decodes_the_values_of_the_recommendation() {
        let known = [(0xd5, 8), (0x55, -8), (0xaa, 32_256), (0x2a, -32_256), (0xc5, 264)];
        for (byte, sample) in known {
            assert_eq!(alaw_decode(byte), sample, "byte {byte:#04x}");
        }
    }

    #[test]
    fn the_extremes_are_encoded_as_the_loudest_bytes() {
        assert_eq!([mulaw_encode(i16::MAX), mulaw_encode(i16::MIN)], [0x80, 0x00]);
        assert_eq!([alaw_encode(i16::MAX), alaw_encode(i16::MIN)], [0xaa, 0x2a]);
    }

    #[test]
    fn every_byte_survives_decoding_and_encoding() {
        for byte in 0..=u8::MAX {
            // 0x7f is µ-law's second zero; it comes back as the first.
            let expected = if byte == 0x7f { 0xff } else { byte };
            assert_eq!(mulaw_encode(mulaw_decode(byte)), expected, "µ-law {byte:#04x}");
            assert_eq!(alaw_encode(alaw_decode(byte)), byte, "A-law {byte:#04x}");
        }
    }

    proptest! {
        #[test]
        fn a_sample_is_off_by_half_a_step_at_most(sample: i16) {
            let off = |decoded: i16| (i32::from(decoded) - i32::from(sample)).abs();
            // A step is a sixteenth of where its segment begins.
            let level = i32::from(sample).abs();
            prop_assert!(off(mulaw_decode(mulaw_encode(sample))) <= (level + 132) / 32);
            prop_assert!(off(alaw_decode(alaw_encode(sample))) <= (level / 32).max(8));
        }

        #[test]
        fn a_louder_sample_never_decodes_quieter(a: i16, b: i16) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(mulaw_decode(mulaw_encode(low)) <= mulaw_decode(mulaw_encode(high)));
            prop_assert!(alaw_decode(alaw_encode(low)) <= alaw_decode(alaw_encode(high)));
        }
    }
}
