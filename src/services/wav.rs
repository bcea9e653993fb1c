//! Speech in and out of HTTP bodies: raw 16-bit little-endian samples, or the same
//! in a WAV file.
//!
//! Pure. It reads 16 kHz only (mono, or stereo mixed down) and refuses everything
//! else with the reason: a provider is asked for 16 kHz, so another rate is a wrong
//! setting there, and played as it is it would be a wrong pitch here.

use crate::types::INNER_RATE;

const HEADER_BYTES: usize = 44;
const PCM: u16 = 1;
const EXTENSIBLE: u16 = 0xFFFE;

/// Why a body is no speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WavError {
    /// No sample at all.
    #[error("the audio is empty")]
    Empty,
    /// Half a sample is left over.
    #[error("the audio has an odd number of bytes, so it is not 16-bit samples")]
    OddBytes,
    /// A WAV file without format or samples.
    #[error("the audio is a WAV file without a fmt or a data chunk")]
    Incomplete,
    /// Not 16-bit PCM.
    #[error("the audio is a WAV file that is not 16-bit PCM")]
    NotPcm16,
    /// Another rate or number of channels.
    #[error("the audio has {rate_hz} Hz and {channels} channels: 16000 Hz mono or stereo is read")]
    Format { rate_hz: u32, channels: u16 },
}

/// A WAV file of mono samples at the inner rate.
pub(super) fn encode(samples: &[i16]) -> Vec<u8> {
    let data_bytes = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let rate_hz = INNER_RATE.hz();
    let mut file = Vec::with_capacity(HEADER_BYTES + samples.len() * 2);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&data_bytes.saturating_add(HEADER_BYTES as u32 - 8).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&PCM.to_le_bytes());
    file.extend_from_slice(&1_u16.to_le_bytes());
    file.extend_from_slice(&rate_hz.to_le_bytes());
    file.extend_from_slice(&(rate_hz * 2).to_le_bytes());
    file.extend_from_slice(&2_u16.to_le_bytes());
    file.extend_from_slice(&16_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// The samples of `body`: of a WAV file if it is one, else raw mono.
pub(super) fn decode(body: &[u8]) -> Result<Vec<i16>, WavError> {
    let (bytes, channels) = if body.starts_with(b"RIFF") && body.get(8..12) == Some(b"WAVE") {
        data_of_wav(&body[12..])?
    } else {
        (body, 1)
    };
    if bytes.len() % 2 != 0 {
        return Err(WavError::OddBytes);
    }
    let samples: Vec<i16> =
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect();
    if samples.is_empty() {
        return Err(WavError::Empty);
    }
    Ok(if channels == 2 { mixed_down(&samples) } else { samples })
}

/// The bytes of the data chunk, and how many channels (1 or 2) they hold.
fn data_of_wav(mut chunks: &[u8]) -> Result<(&[u8], u16), WavError> {
    let mut channels = None;
    while let Some((header, rest)) = chunks.split_at_checked(8) {
        let (name, size) = header.split_at(4);
        let size = u32::from_le_bytes([size[0], size[1], size[2], size[3]]) as usize;
        if name == b"data" {
            // A server that streams does not know the size and writes 0 or the largest.
            let end = if size == 0 { rest.len() } else { size.min(rest.len()) };
            return Ok((&rest[..end], channels.ok_or(WavError::Incomplete)?));
        }
        if name == b"fmt " {
            channels = Some(channels_of_fmt(rest.get(..size).ok_or(WavError::Incomplete)?)?);
        }
        // Chunks are padded to an even size.
        chunks = rest.get(size + size % 2..).ok_or(WavError::Incomplete)?;
    }
    Err(WavError::Incomplete)
}

fn channels_of_fmt(fmt: &[u8]) -> Result<u16, WavError> {
    let Some(&[t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1]) = fmt.first_chunk()
    else {
        return Err(WavError::Incomplete);
    };
    let coding = u16::from_le_bytes([t0, t1]);
    if !matches!(coding, PCM | EXTENSIBLE) || u16::from_le_bytes([b0, b1]) != 16 {
        return Err(WavError::NotPcm16);
    }
    let channels = u16::from_le_bytes([c0, c1]);
    let rate_hz = u32::from_le_bytes([r0, r1, r2, r3]);
    if rate_hz != INNER_RATE.hz() || !matches!(channels, 1 | 2) {
        return Err(WavError::Format { rate_hz, channels });
    }
    Ok(channels)
}

fn mixed_down(samples: &[i16]) -> Vec<i16> {
    // The mean of two 16-bit samples fits 16 bits.
    let mean = |pair: &[i16]| ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
    samples.chunks_exact(2).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_format(channels: u16, rate_hz: u32, samples: &[i16]) -> Vec<u8> {
        let mut file = encode(samples);
        file[22..24].copy_from_slice(&channels.to_le_bytes());
        file[24..28].copy_from_slice(&rate_hz.to_le_bytes());
        file
    }

    #[test]
    fn raw_bytes_are_little_endian_samples() {
        assert_eq!(decode(&[1, 0, 0xFF, 0xFF]), Ok(vec![1, -1]));
    }

    #[test]
    fn half_a_sample_and_nothing_are_refused() {
        assert_eq!(decode(&[1, 0, 2]), Err(WavError::OddBytes));
        assert_eq!(decode(&[]), Err(WavError::Empty));
        assert_eq!(decode(&encode(&[])), Err(WavError::Empty));
    }

    #[test]
    fn a_streamed_header_without_a_size_reads_to_the_end() {
        for size in [0, u32::MAX] {
            let mut file = encode(&[1, 2, 3]);
            file[40..44].copy_from_slice(&size.to_le_bytes());
            assert_eq!(decode(&file), Ok(vec![1, 2, 3]));
        }
    }

    #[test]
    fn chunks_around_the_samples_are_skipped() {
        let mut file = encode(&[1, 2]);
        file.splice(36..36, *b"LIST\x03\0\0\0abc\0");
        file.extend_from_slice(b"LIST\x02\0\0\0ab");
        assert_eq!(decode(&file), Ok(vec![1, 2]));
    }

    #[test]
    fn stereo_is_mixed_down() {
        let file = with_format(2, 16_000, &[100, 200, i16::MIN, i16::MIN]);
        assert_eq!(decode(&file), Ok(vec![150, i16::MIN]));
    }

    #[test]
    fn another_rate_is_refused_with_what_was_found() {
        let error = decode(&with_format(1, 24_000, &[1])).unwrap_err();
        assert_eq!(error, WavError::Format { rate_hz: 24_000, channels: 1 });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(samples in proptest::collection::vec(any::<i16>(), 1..200)) {
            prop_assert_eq!(decode(&encode(&samples)), Ok(samples));
        }

        #[test]
        fn a_broken_file_gives_no_more_samples_than_it_has(
            size in any::<u32>(),
            name in prop_oneof![Just(*b"LIST"), Just(*b"data"), Just(*b"fmt ")],
            cut in 0_usize..90,
        ) {
            let mut file = encode(&[7; 20]);
            file.splice(12..12, [name, size.to_le_bytes()].concat());
            file.truncate(cut);
            prop_assert!(decode(&file).map_or(0, |samples| samples.len()) <= cut / 2);
        }
    }
}
