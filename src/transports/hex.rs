//! Audio as hexadecimal text: the simulator protocol's way of putting 16-bit
//! samples into JSON. Pure; it accepts whole samples only and guesses nothing.

/// Hex digits of one 16-bit sample.
pub const DIGITS_PER_SAMPLE: usize = 4;

/// Why a text is no audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// Half a byte is left over.
    #[error("{digits} hex digits are not whole bytes: send two digits for each byte")]
    OddDigits {
        /// Digits given.
        digits: usize,
    },
    /// Half a sample is left over.
    #[error("{bytes} bytes are not whole 16-bit samples: send an even number of bytes")]
    OddBytes {
        /// Bytes given.
        bytes: usize,
    },
    /// A character that is no hex digit.
    #[error("the character at position {at} is no hex digit: use 0-9, a-f or A-F")]
    BadDigit {
        /// Its position, from 0.
        at: usize,
    },
}

/// Replaces `samples` by what `hex` says: signed 16-bit little-endian, four
/// digits a sample, upper or lower case. After an error `samples` is empty.
pub fn decode_samples(hex: &[u8], samples: &mut Vec<i16>) -> Result<(), HexError> {
    samples.clear();
    if !hex.len().is_multiple_of(2) {
        return Err(HexError::OddDigits { digits: hex.len() });
    }
    if !hex.len().is_multiple_of(DIGITS_PER_SAMPLE) {
        return Err(HexError::OddBytes { bytes: hex.len() / 2 });
    }
    // Whether a digit was bad is collected on the way and asked once at the end:
    // a branch for each digit would cost more than the decoding.
    let mut seen = 0u8;
    samples.extend(hex.chunks_exact(DIGITS_PER_SAMPLE).map(|digits| {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| DIGIT_VALUES[usize::from(digits[i])]);
        seen |= a | b | c | d;
        i16::from_le_bytes([a << 4 | b & 0x0f, c << 4 | d & 0x0f])
    }));
    if seen & BAD == 0 {
        return Ok(());
    }
    samples.clear();
    let at = hex.iter().position(|digit| DIGIT_VALUES[usize::from(*digit)] & BAD != 0);
    Err(HexError::BadDigit { at: at.unwrap_or_default() })
}

/// Writes `bytes` as lower-case hex.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    text
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Marks a byte that is no hex digit; no value of a digit has these bits.
const BAD: u8 = 0xf0;

const DIGIT_VALUES: [u8; 256] = {
    let mut values = [BAD; 256];
    let mut value = 0;
    while value < 16 {
        let digit = DIGITS[value as usize];
        values[digit as usize] = value;
        values[digit.to_ascii_uppercase() as usize] = value;
        value += 1;
    }
    values
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(hex: &str) -> Result<Vec<i16>, HexError> {
        let mut samples = vec![7];
        decode_samples(hex.as_bytes(), &mut samples).map(|()| samples)
    }

    #[test]
    fn samples_are_little_endian_in_either_case() {
        assert_eq!(decoded("0100ff7f0080FFFF"), Ok(vec![1, i16::MAX, i16::MIN, -1]));
        assert_eq!(decoded(""), Ok(vec![]));
    }

    #[test]
    fn half_bytes_half_samples_and_bad_digits_are_told_apart() {
        assert_eq!(decoded("010"), Err(HexError::OddDigits { digits: 3 }));
        assert_eq!(decoded("010203"), Err(HexError::OddBytes { bytes: 3 }));
        assert_eq!(decoded("0100zz00"), Err(HexError::BadDigit { at: 4 }));
        assert_eq!(decoded("01é0"), Err(HexError::OddDigits { digits: 5 }));
    }

    #[test]
    fn a_refused_text_leaves_no_samples_behind() {
        let mut samples = vec![1, 2, 3];
        assert!(decode_samples(b"0100 000", &mut samples).is_err());
        assert!(samples.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_to_the_same_samples(samples: Vec<i16>) {
            let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            prop_assert_eq!(decoded(&encode(&bytes)), Ok(samples));
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>) {
            let mut samples = Vec::new();
            let good = bytes.len() % 4 == 0 && bytes.iter().all(u8::is_ascii_hexdigit);
            prop_assert_eq!(decode_samples(&bytes, &mut samples).is_ok(), good);
        }
    }
}
