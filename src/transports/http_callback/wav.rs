//! Finds the samples in a WAV body. Pure; it reads the parts that telephony
//! writes (16-bit PCM and G.711, mono or stereo) and converts nothing.

use crate::types::{Codec, MediaFormat, MediaFormatError};

/// A WAV file's format and its samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wav<'a> {
    /// What the samples are.
    pub format: MediaFormat,
    /// The samples, as written.
    pub samples: &'a [u8],
}

/// Why a body is no usable WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum WavError {
    /// The file does not begin as one.
    #[error("the body is no WAV file: it must begin with RIFF … WAVE")]
    NotWav,
    /// No format before the samples, or no samples.
    #[error("the WAV file has no {0} chunk, or it is cut off")]
    Missing(&'static str),
    /// Samples that are not converted.
    #[error("the WAV file is not 16-bit PCM, mu-law or A-law")]
    Encoding,
    /// A rate or a channel count that is not converted.
    #[error(transparent)]
    Media(#[from] MediaFormatError),
}

/// Reads `file`. A data chunk that claims to be longer than the file (as files
/// written on the fly do) ends with the file.
pub(super) fn parse(file: &[u8]) -> Result<Wav<'_>, WavError> {
    let Some((b"RIFF", rest)) = file.split_first_chunk::<4>() else {
        return Err(WavError::NotWav);
    };
    let mut rest =
        rest.get(4..).and_then(|rest| rest.strip_prefix(b"WAVE")).ok_or(WavError::NotWav)?;
    let mut format = None;
    while let Some((id, after)) = rest.split_first_chunk::<4>() {
        let Some((length, after)) = after.split_first_chunk::<4>() else { break };
        let length = u32::from_le_bytes(*length) as usize;
        let body = &after[..length.min(after.len())];
        match id {
            b"fmt " => format = Some(parse_format(body)?),
            b"data" => {
                let format = format.ok_or(WavError::Missing("fmt"))?;
                return Ok(Wav { format, samples: body });
            }
            _ => {}
        }
        // Chunks begin at even places.
        rest = after.get(length.saturating_add(length % 2)..).unwrap_or_default();
    }
    Err(WavError::Missing(if format.is_some() { "data" } else { "fmt" }))
}

fn parse_format(body: &[u8]) -> Result<MediaFormat, WavError> {
    let word = |at: usize| match body.get(at..at + 2) {
        Some(&[low, high]) => Ok(u16::from_le_bytes([low, high])),
        _ => Err(WavError::Missing("fmt")),
    };
    let tag = match word(0)? {
        EXTENSIBLE => word(EXTENSIBLE_TAG_AT)?,
        tag => tag,
    };
    let codec = match (tag, word(14)?) {
        (1, 16) => Codec::Pcm16,
        (6, 8) => Codec::Alaw,
        (7, 8) => Codec::Mulaw,
        _ => return Err(WavError::Encoding),
    };
    let rate_hz = u32::from(word(4)?) | u32::from(word(6)?) << 16;
    let channels = u8::try_from(word(2)?).unwrap_or(u8::MAX);
    Ok(MediaFormat::new(codec, rate_hz, channels)?)
}

/// Format tag of files that say their real tag further back.
const EXTENSIBLE: u16 = 0xfffe;

/// Where they say it.
const EXTENSIBLE_TAG_AT: usize = 24;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(tag: u16, channels: u16, rate_hz: u32, bits: u16, data: &[u8]) -> Vec<u8> {
        let mut format = Vec::new();
        for word in [tag, channels] {
            format.extend(word.to_le_bytes());
        }
        format.extend(rate_hz.to_le_bytes());
        format.extend(0u32.to_le_bytes());
        for word in [0, bits] {
            format.extend(word.to_le_bytes());
        }
        let chunk =
            |id: &[u8], body: &[u8]| [id, &(body.len() as u32).to_le_bytes(), body].concat();
        let odd = chunk(b"LIST", b"abc\0").split_off(0);
        [&b"RIFF\0\0\0\0WAVE"[..], &chunk(b"fmt ", &format), &odd, &chunk(b"data", data)].concat()
    }

    #[test]
    fn samples_are_found_behind_the_format_and_other_chunks() {
        let bytes = file(1, 2, 48_000, 16, &[1, 2, 3, 4]);
        let wav = parse(&bytes).expect("valid");
        assert_eq!(wav.format, MediaFormat::new(Codec::Pcm16, 48_000, 2).expect("supported"));
        assert_eq!(wav.samples, [1, 2, 3, 4]);
        let mulaw = file(7, 1, 8_000, 8, &[9]);
        assert_eq!(parse(&mulaw).expect("valid").format.codec, Codec::Mulaw);
    }

    #[test]
    fn a_data_chunk_longer_than_the_file_ends_with_the_file() {
        let mut bytes = file(1, 1, 8_000, 16, &[1, 2]);
        let at = bytes.len() - 6;
        bytes[at..at + 4].fill(0xff);
        assert_eq!(parse(&bytes).expect("valid").samples, [1, 2]);
    }

    #[test]
    fn what_is_no_telephone_wav_is_refused_by_name() {
        assert_eq!(parse(b"ID3"), Err(WavError::NotWav));
        assert_eq!(parse(b"RIFF\0\0\0\0WAVE"), Err(WavError::Missing("fmt")));
        assert_eq!(parse(&file(3, 1, 8_000, 32, &[])), Err(WavError::Encoding));
        let rate = parse(&file(1, 1, 11_025, 16, &[]));
        assert_eq!(rate, Err(MediaFormatError::Rate(11_025).into()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(
            tail: Vec<u8>, cut in 0usize..60,
        ) {
            let mut bytes = file(1, 1, 8_000, 16, &[0; 8]);
            bytes.truncate(cut);
            bytes.extend(tail);
            let length = bytes.len();
            prop_assert!(parse(&bytes).is_ok_and(|wav| wav.samples.len() <= length) || parse(&bytes).is_err());
        }
    }
}
