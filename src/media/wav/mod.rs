//! WAV files as byte slices: read what callers, recorders and synthesisers write, write
//! PCM16.
//!
//! Reads PCM of 8, 16, 24 and 32 bits, floats of 32 and 64, µ-law and A-law, one or two
//! channels, at the rates that the engine converts. What is wider than 16 bits is rounded.
//! What is odd in a file and does no harm is tolerated, see `head`. It opens no file;
//! [`WavStream`] reads files as they come.

mod head;
mod stream;
mod wide;

pub use stream::WavStream;

use std::borrow::Cow;

use self::head::{Head, TAG_PCM};
use self::wide::Narrower;
use super::decoder::Decoder;
use crate::types::{MediaFormat, MediaFormatError, SampleRate};

const HEADER_BYTES: usize = 44;

/// A recording, channel by channel.
#[derive(Clone, PartialEq, Eq)]
pub struct Wav {
    /// Samples a second of each channel.
    pub rate: SampleRate,
    /// One or two channels of the same length.
    pub channels: Vec<Vec<i16>>,
}

/// Why a file is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// It does not begin like a WAV file.
    #[error("this is no WAV file: it does not begin with RIFF and WAVE")]
    NotWav,
    /// There is no usable `fmt ` chunk before the audio.
    #[error("the WAV file does not say how its audio is written: no whole fmt chunk before data")]
    NoFormat,
    /// What stands before the audio is longer than anybody needs.
    #[error("the WAV file has more than {bytes_max} bytes before its audio")]
    HeadTooLong {
        /// The limit.
        bytes_max: usize,
    },
    /// There is no `data` chunk.
    #[error("the WAV file holds no audio: no data chunk")]
    NoData,
    /// Written in a way that is not read.
    #[error(
        "WAV format {tag} with {bits} bits is not supported: use PCM of 8, 16, 24 or 32 bits, \
         floats of 32 or 64, µ-law or A-law"
    )]
    Codec {
        /// The format tag.
        tag: u16,
        /// Bits of a sample.
        bits: u16,
    },
    /// A rate or a channel count that is not supported.
    #[error(transparent)]
    Format(#[from] MediaFormatError),
}

/// Reads a file. A sample cut by its end is left out.
pub fn read(file: &[u8]) -> Result<Wav, WavError> {
    let (format, data) = locate(file)?;
    Ok(decode(format, &data))
}

/// Finds the audio in a file: its format, and its bytes as they are written in that.
pub fn locate(file: &[u8]) -> Result<(MediaFormat, Cow<'_, [u8]>), WavError> {
    match head::read(file, true)? {
        Head::Samples { format, at, bytes_max } => {
            let data = &file[at..];
            let data = &data[..bytes_max.min(data.len())];
            let Some(width) = format.width else { return Ok((format.media, data.into())) };
            let mut narrow = Vec::new();
            Narrower::new(width).read(data, &mut narrow);
            Ok((format.media, narrow.into()))
        }
        Head::Unfinished => Err(WavError::NotWav),
    }
}

/// A one-channel file.
#[must_use]
pub fn write_mono(rate: SampleRate, samples: &[i16]) -> Vec<u8> {
    let mut file = header(rate, 1, samples.len());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// A two-channel file. The shorter channel is filled up with silence.
#[must_use]
pub fn write_stereo(rate: SampleRate, left: &[i16], right: &[i16]) -> Vec<u8> {
    let frames = left.len().max(right.len());
    let mut file = header(rate, 2, frames);
    for frame in 0..frames {
        for channel in [left, right] {
            let sample = channel.get(frame).copied().unwrap_or_default();
            file.extend_from_slice(&sample.to_le_bytes());
        }
    }
    file
}

fn decode(format: MediaFormat, data: &[u8]) -> Wav {
    let frames = data.len() / format.bytes_per_frame();
    let mut interleaved = Vec::with_capacity(frames * usize::from(format.channels));
    let whole = &data[..frames * format.bytes_per_frame()];
    // As one channel: the decoder would mix two.
    Decoder::new(MediaFormat { channels: 1, ..format }).decode_stream(whole, &mut interleaved);
    let count = usize::from(format.channels);
    let channel = |first| interleaved.iter().skip(first).step_by(count).copied().collect();
    Wav { rate: format.rate, channels: (0..count).map(channel).collect() }
}

fn header(rate: SampleRate, channels: u16, frames: usize) -> Vec<u8> {
    let frame_bytes = channels * 2;
    // Longer than 4 GB: "to the end", which every reader takes.
    let data_bytes = u32::try_from(frames * usize::from(frame_bytes)).unwrap_or(u32::MAX);
    let riff_bytes = data_bytes.saturating_add(HEADER_BYTES as u32 - 8);
    let mut file = Vec::with_capacity(HEADER_BYTES + frames * usize::from(frame_bytes));
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&riff_bytes.to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16_u32.to_le_bytes());
    file.extend_from_slice(&TAG_PCM.to_le_bytes());
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.hz().to_le_bytes());
    file.extend_from_slice(&(rate.hz() * u32::from(frame_bytes)).to_le_bytes());
    file.extend_from_slice(&frame_bytes.to_le_bytes());
    file.extend_from_slice(&16_u16.to_le_bytes());
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_bytes.to_le_bytes());
    file
}

impl std::fmt::Debug for Wav {
    /// Without the audio.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let frames = self.channels.first().map_or(0, Vec::len);
        write!(f, "Wav({} Hz, {} × {frames})", self.rate.hz(), self.channels.len())
    }
}

#[cfg(test)]
mod tests {
    use super::head::{TAG_ALAW, TAG_EXTENSIBLE, TAG_FLOAT, TAG_MULAW};
    use super::*;
    use proptest::prelude::*;

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn chunk(id: &[u8; 4], size: u32, body: &[u8]) -> Vec<u8> {
        [id, &size.to_le_bytes()[..], body].concat()
    }

    fn file(chunks: &[Vec<u8>]) -> Vec<u8> {
        [&b"RIFF\0\0\0\0WAVE"[..], &chunks.concat()].concat()
    }

    fn fmt(tag: u16, channels: u16, rate_hz: u32, bits: u16) -> Vec<u8> {
        let mut body = [tag.to_le_bytes(), channels.to_le_bytes()].concat();
        body.extend(rate_hz.to_le_bytes());
        body.extend([0; 6]);
        body.extend(bits.to_le_bytes());
        chunk(b"fmt ", 16, &body)
    }

    fn channels(file: &[u8]) -> Result<Vec<Vec<i16>>, WavError> {
        read(file).map(|wav| wav.channels)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mono = read(&write_mono(rate(8_000), &[1, -2, 3])).unwrap();
        assert_eq!(mono, Wav { rate: rate(8_000), channels: vec![vec![1, -2, 3]] });
        let stereo = read(&write_stereo(rate(16_000), &[1, 2, 3], &[4])).unwrap();
        assert_eq!(stereo.channels, [[1, 2, 3], [4, 0, 0]]);
    }

    #[test]
    fn the_header_is_the_canonical_one() {
        let file = write_stereo(rate(16_000), &[0; 10], &[]);
        assert_eq!(file.len(), 44 + 40);
        let u32_at = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap());
        assert_eq!([4, 28, 40].map(u32_at), [36 + 40, 64_000, 40]);
    }

    #[test]
    fn g711_is_read_by_channel() {
        let data = chunk(b"data", 4, &[0x80, 0xff, 0x00, 0xff]);
        let mulaw = file(&[fmt(TAG_MULAW, 2, 8_000, 8), data.clone()]);
        assert_eq!(channels(&mulaw), Ok(vec![vec![32_124, -32_124], vec![0, 0]]));
        let alaw = file(&[fmt(TAG_ALAW, 1, 8_000, 8), chunk(b"data", 1, &[0xd5])]);
        assert_eq!(channels(&alaw), Ok(vec![vec![8]]));
    }

    #[test]
    fn an_extensible_format_names_its_codec_in_the_sub_format() {
        let mut body = fmt(TAG_EXTENSIBLE, 1, 16_000, 16)[8..].to_vec();
        body.extend([22, 0, 16, 0, 4, 0, 0, 0, 1, 0]);
        let file = file(&[chunk(b"fmt ", 26, &body), chunk(b"data", 2, &[5, 0])]);
        assert_eq!(channels(&file), Ok(vec![vec![5]]));
    }

    #[test]
    fn other_widths_than_16_bits_are_read_by_channel_and_a_cut_sample_is_left_out() {
        let data = |body: &[u8]| chunk(b"data", body.len() as u32, body);
        let wide = file(&[fmt(TAG_PCM, 2, 48_000, 24), data(&[0, 1, 0, 0, 254, 255, 9])]);
        assert_eq!(channels(&wide), Ok(vec![vec![1], vec![-2]]));
        let floats = [0.5_f32, -0.25].map(f32::to_le_bytes).concat();
        let float = file(&[fmt(TAG_FLOAT, 1, 24_000, 32), data(&floats)]);
        assert_eq!(channels(&float), Ok(vec![vec![16_384, -8_192]]));
        let (format, samples) = locate(&float).unwrap();
        assert_eq!(format, MediaFormat::pcm16(rate(24_000)));
        assert_eq!(*samples, [0, 64, 0, 224]);
    }

    #[test]
    fn other_chunks_are_skipped_with_their_padding() {
        let list = chunk(b"LIST", 3, b"abc\0");
        let data = chunk(b"data", 2, &[7, 0]);
        let file = file(&[list.clone(), fmt(TAG_PCM, 1, 16_000, 16), list, data]);
        assert_eq!(channels(&file), Ok(vec![vec![7]]));
    }

    #[test]
    fn an_odd_chunk_without_its_padding_and_an_empty_data_chunk_cost_nothing() {
        let odd = chunk(b"LIST", 3, b"abc");
        let data = chunk(b"data", 2, &[7, 0]);
        let format = fmt(TAG_PCM, 1, 16_000, 16);
        let files = [
            file(&[odd.clone(), format.clone(), odd.clone(), data.clone()]),
            file(&[format.clone(), chunk(b"data", 0, b""), odd, data.clone()]),
            file(&[format.clone(), chunk(b"data", 0, b""), data.clone()]),
            file(&[format, chunk(b"LIST", 3, b"abc "), data]),
        ];
        assert!(files.iter().all(|file| channels(file) == Ok(vec![vec![7]])));
    }

    #[test]
    fn sizes_that_were_never_filled_in_mean_to_the_end() {
        for size in [0, u32::MAX, 1_000] {
            let data = chunk(b"data", size, &[7, 0, 8, 0, 9]);
            let file = file(&[fmt(TAG_PCM, 1, 16_000, 16), data]);
            assert_eq!(channels(&file), Ok(vec![vec![7, 8]]), "size {size}");
        }
    }

    #[test]
    fn files_that_cannot_be_used_are_refused_with_the_reason() {
        let data = chunk(b"data", 2, &[7, 0]);
        let refused = |chunks: &[Vec<u8>]| channels(&file(chunks)).unwrap_err();
        assert_eq!(read(b"RIFF"), Err(WavError::NotWav));
        assert_eq!(read(b"OggS\0\0\0\0WAVEfmt "), Err(WavError::NotWav));
        assert_eq!(refused(std::slice::from_ref(&data)), WavError::NoFormat);
        assert_eq!(refused(&[chunk(b"fmt ", 4, &[1, 0, 1, 0])]), WavError::NoFormat);
        assert_eq!(refused(&[fmt(TAG_PCM, 1, 16_000, 16)]), WavError::NoData);
        let adpcm = refused(&[fmt(17, 1, 16_000, 4), data.clone()]);
        assert_eq!(adpcm, WavError::Codec { tag: 17, bits: 4 });
        let rate = refused(&[fmt(TAG_PCM, 1, 12_345, 16), data.clone()]);
        assert_eq!(rate, WavError::Format(MediaFormatError::Rate(12_345)));
        let surround = refused(&[fmt(TAG_PCM, 258, 16_000, 16), data]);
        assert_eq!(surround, WavError::Format(MediaFormatError::Channels(255)));
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_fail_otherwise(
            head in 0_usize..60,
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let whole = write_mono(rate(8_000), &[1; 20]);
            let file = [&whole[..head], &noise].concat();
            if let Ok(wav) = read(&file) {
                prop_assert!(wav.channels.iter().map(Vec::len).sum::<usize>() <= file.len());
            }
        }
    }
}
