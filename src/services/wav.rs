//! Speech in and out of HTTP bodies: raw 16-bit little-endian samples, or the same
//! in a WAV file.
//!
//! Pure. Bodies are read as they come, cut anywhere. It reads 16 kHz only (mono, or
//! stereo mixed down) and refuses everything else with the reason: a provider is asked
//! for 16 kHz, so another rate is a wrong setting there, and played as it is it would be
//! a wrong pitch here.

use crate::types::INNER_RATE;

const HEADER_BYTES: usize = 44;
/// What tells a WAV file: RIFF, a size, WAVE.
const SIGN_BYTES: usize = 12;
/// Name and size of a chunk.
const CHUNK_HEADER_BYTES: usize = 8;
/// What every format chunk has.
const FMT_BYTES: usize = 16;
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

/// Reads a body as it comes: of a WAV file the samples, else everything as raw mono.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// What came and is not understood yet: less than a header, or than a sample.
    held: Vec<u8>,
    place: Place,
    /// There was a sample.
    heard: bool,
}

/// Where in the body the next byte belongs.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// At the beginning.
    #[default]
    Start,
    /// At the header of a chunk.
    Chunk { channels: Option<u16> },
    /// In the format chunk of so many bytes.
    Format { size: usize },
    /// In a chunk of which so many bytes mean nothing here.
    Skipped { left: usize, channels: Option<u16> },
    /// In the samples; `None`: to the end of the body.
    Samples { left: Option<usize>, channels: u16 },
    /// Behind them; nothing counts any more.
    Over,
}

/// Samples from the first byte on.
const RAW: Place = Place::Samples { left: None, channels: 1 };

impl Reader {
    /// Takes the next bytes and appends the samples that are complete with them.
    pub(super) fn read(&mut self, bytes: &[u8], samples: &mut Vec<i16>) -> Result<(), WavError> {
        let mut held = std::mem::take(&mut self.held);
        held.extend_from_slice(bytes);
        let mut rest = held.as_slice();
        while let Some((place, taken)) = self.step(rest, samples)? {
            self.place = place;
            rest = &rest[taken..];
        }
        self.held = rest.to_vec();
        Ok(())
    }

    /// That was the last byte.
    pub(super) fn end(&mut self, samples: &mut Vec<i16>) -> Result<(), WavError> {
        if matches!(self.place, Place::Start) {
            // Too short for a WAV file.
            self.place = RAW;
            self.read(&[], samples)?;
        }
        match self.place {
            Place::Samples { .. } if !self.held.len().is_multiple_of(2) => Err(WavError::OddBytes),
            Place::Samples { .. } | Place::Over if self.heard => Ok(()),
            Place::Samples { .. } | Place::Over => Err(WavError::Empty),
            _ => Err(WavError::Incomplete),
        }
    }

    /// What the first of the `bytes` are: where those behind them belong, and how many
    /// they are. `None` when more are needed to tell.
    fn step(&mut self, bytes: &[u8], samples: &mut Vec<i16>) -> Result<Step, WavError> {
        Ok(match self.place {
            Place::Start => read_sign(bytes),
            Place::Chunk { channels } => read_chunk_header(bytes, channels)?,
            Place::Format { size } if size < FMT_BYTES => return Err(WavError::Incomplete),
            Place::Format { size } => match bytes.first_chunk() {
                None => None,
                Some(fmt) => {
                    let channels = Some(channels_of_fmt(fmt)?);
                    let left = size - FMT_BYTES + size % 2;
                    Some((Place::Skipped { left, channels }, FMT_BYTES))
                }
            },
            Place::Skipped { left: 0, channels } => Some((Place::Chunk { channels }, 0)),
            Place::Skipped { left, channels } => {
                let taken = left.min(bytes.len());
                let place = Place::Skipped { left: left - taken, channels };
                (taken > 0).then_some((place, taken))
            }
            Place::Samples { left, channels } => {
                let step = read_samples(bytes, left, channels, samples)?;
                self.heard |= step.is_some_and(|(_, taken)| taken > 0);
                step
            }
            Place::Over => (!bytes.is_empty()).then_some((Place::Over, bytes.len())),
        })
    }
}

type Step = Option<(Place, usize)>;

fn read_sign(bytes: &[u8]) -> Step {
    let begins = bytes.iter().zip(b"RIFF").all(|(byte, sign)| byte == sign);
    match bytes.get(8..SIGN_BYTES) {
        None if begins => None,
        Some(b"WAVE") if begins => Some((Place::Chunk { channels: None }, SIGN_BYTES)),
        _ => Some((RAW, 0)),
    }
}

fn read_chunk_header(bytes: &[u8], channels: Option<u16>) -> Result<Step, WavError> {
    let Some(&[n0, n1, n2, n3, s0, s1, s2, s3]) = bytes.first_chunk() else { return Ok(None) };
    let size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
    let place = match &[n0, n1, n2, n3] {
        // A server that streams does not know the size and writes 0 or the largest.
        b"data" => Place::Samples {
            left: (size > 0).then_some(size),
            channels: channels.ok_or(WavError::Incomplete)?,
        },
        b"fmt " => Place::Format { size },
        // Chunks are padded to an even size.
        _ => Place::Skipped { left: size + size % 2, channels },
    };
    Ok(Some((place, CHUNK_HEADER_BYTES)))
}

/// Takes as many samples of all channels as are complete, of those that are `left`.
fn read_samples(
    bytes: &[u8],
    left: Option<usize>,
    channels: u16,
    samples: &mut Vec<i16>,
) -> Result<Step, WavError> {
    let frame = usize::from(channels) * 2;
    if let Some(left) = left.filter(|&left| left < frame && left <= bytes.len()) {
        // One sample of two channels is no sound.
        return if left.is_multiple_of(2) {
            Ok(Some((Place::Over, left)))
        } else {
            Err(WavError::OddBytes)
        };
    }
    let whole = left.unwrap_or(usize::MAX).min(bytes.len()) / frame * frame;
    let sample = |pair: &[u8]| i32::from(i16::from_le_bytes([pair[0], pair[1]]));
    let mixed = |frame: &[u8]| match frame.split_at(2) {
        (left, []) => sample(left) as i16,
        // The mean of two 16-bit samples fits 16 bits.
        (left, right) => ((sample(left) + sample(right)) / 2) as i16,
    };
    samples.extend(bytes[..whole].chunks_exact(frame).map(mixed));
    let left = left.map(|left| left - whole);
    Ok((whole > 0).then_some((Place::Samples { left, channels }, whole)))
}

fn channels_of_fmt(fmt: &[u8; FMT_BYTES]) -> Result<u16, WavError> {
    let &[t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, _, _, b0, b1] = fmt;
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(body: &[u8]) -> Result<Vec<i16>, WavError> {
        decode_in_parts(&[body])
    }

    fn decode_in_parts(parts: &[&[u8]]) -> Result<Vec<i16>, WavError> {
        let (mut reader, mut samples) = (Reader::default(), Vec::new());
        for part in parts {
            reader.read(part, &mut samples)?;
            assert!(reader.held.len() < FMT_BYTES, "no more is held than is needed");
        }
        reader.end(&mut samples).map(|()| samples)
    }

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
    fn half_a_sample_at_the_end_of_a_file_is_refused_and_what_is_behind_it_is_not_heard() {
        let mut file = encode(&[1, 2]);
        file[40..44].copy_from_slice(&3_u32.to_le_bytes());
        assert_eq!(decode(&file), Err(WavError::OddBytes));
        file[40..44].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(decode(&file), Ok(vec![1]));
    }

    #[test]
    fn what_only_begins_like_a_file_is_raw() {
        assert_eq!(decode(b"RIFF").map(|samples| samples.len()), Ok(2));
        assert_eq!(decode(b"RIFF....WAVY").map(|samples| samples.len()), Ok(6));
        assert_eq!(decode(b"RIFF....WAVE"), Err(WavError::Incomplete));
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
        fn a_body_may_be_cut_anywhere(
            samples in proptest::collection::vec(any::<i16>(), 0..40),
            channels in 0_u16..4,
            size in prop_oneof![Just(None), Just(Some(0)), Just(Some(u32::MAX)), (0_u32..90).prop_map(Some)],
            is_file in any::<bool>(),
            removed in 0_usize..9,
            cuts in proptest::collection::vec(1_usize..9, 1..120),
        ) {
            let mut body = with_format(channels, 16_000, &samples);
            if let Some(size) = size {
                body[40..44].copy_from_slice(&size.to_le_bytes());
            }
            body.splice(36..36, *b"LIST\x03\0\0\0abc\0");
            if !is_file {
                body.drain(..56);
            }
            body.truncate(body.len().saturating_sub(removed));
            let (mut parts, mut rest) = (Vec::new(), body.as_slice());
            for &cut in cuts.iter().cycle() {
                let (part, behind) = rest.split_at(cut.min(rest.len()));
                parts.push(part);
                rest = behind;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(decode_in_parts(&parts), decode(&body));
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
