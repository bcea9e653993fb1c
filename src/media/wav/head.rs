//! What stands before the audio of a WAV file: chunks, one of which names the format.
//!
//! Writers are careless. A chunk of odd size may lack its byte of padding, an empty
//! `data` chunk may stand before the one that counts, and a writer that streams does not
//! know the size and leaves 0 or the largest number; then the audio goes on to the end.

use super::WavError;
use super::wide::Width;
use crate::types::{Codec, MediaFormat};

pub(super) const TAG_PCM: u16 = 1;
pub(super) const TAG_FLOAT: u16 = 3;
pub(super) const TAG_ALAW: u16 = 6;
pub(super) const TAG_MULAW: u16 = 7;
/// The real tag stands at the beginning of the sub-format then.
pub(super) const TAG_EXTENSIBLE: u16 = 0xfffe;

/// What tells a WAV file: RIFF, a size, WAVE.
const SIGN_BYTES: usize = 12;
/// Name and size of a chunk.
const CHUNK_HEADER_BYTES: usize = 8;
/// Names by which it shows that a chunk begins where the size before leads elsewhere.
const KNOWN_IDS: [&[u8; 4]; 10] =
    [b"data", b"fmt ", b"LIST", b"fact", b"JUNK", b"bext", b"cue ", b"id3 ", b"ID3 ", b"PEAK"];

/// How the audio of a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WavFormat {
    /// What it is, once its samples are narrow.
    pub(super) media: MediaFormat,
    /// How wide they are, where that is not what `media` says.
    pub(super) width: Option<Width>,
}

/// How far the head of a file is there.
pub(super) enum Head {
    /// More must come before it can be told.
    Unfinished,
    /// The audio begins at a place and has no more bytes than that.
    Samples { format: WavFormat, at: usize, bytes_max: usize },
}

/// Reads the head of a file, of which `bytes` are the beginning, or all when `is_all`.
pub(super) fn read(bytes: &[u8], is_all: bool) -> Result<Head, WavError> {
    match sign(bytes) {
        Sign::Is => {}
        Sign::MayBecome if !is_all => return Ok(Head::Unfinished),
        Sign::MayBecome | Sign::IsNot => return Err(WavError::NotWav),
    }
    let mut format = None;
    let mut at = SIGN_BYTES;
    while let Some((id, size)) = chunk(bytes, at) {
        let body = at + CHUNK_HEADER_BYTES;
        match id {
            b"fmt " => match bytes.get(body..body.saturating_add(size)) {
                Some(fmt) => format = Some(parse_format(fmt)?),
                None if is_all => format = Some(parse_format(&bytes[body..])?),
                None => return Ok(Head::Unfinished),
            },
            b"data" if size > 0 => return samples(format, body, size),
            b"data" => match (known_id(bytes, body), is_all) {
                (Some(true), _) => {}
                (Some(false), _) | (None, true) => return samples(format, body, usize::MAX),
                (None, false) => return Ok(Head::Unfinished),
            },
            _ => {}
        }
        match behind(bytes, body.saturating_add(size), size, is_all) {
            Some(next) => at = next,
            None => return Ok(Head::Unfinished),
        }
    }
    match format {
        _ if !is_all => Ok(Head::Unfinished),
        Some(_) => Err(WavError::NoData),
        None => Err(WavError::NoFormat),
    }
}

/// Whether bytes begin a WAV file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Is,
    /// They are too few to tell.
    MayBecome,
    IsNot,
}

pub(super) fn sign(bytes: &[u8]) -> Sign {
    let begins = bytes.iter().zip(b"RIFF").all(|(byte, sign)| byte == sign);
    let goes_on = bytes.iter().skip(8).zip(b"WAVE").all(|(byte, sign)| byte == sign);
    match (begins && goes_on, bytes.len() >= SIGN_BYTES) {
        (true, true) => Sign::Is,
        (true, false) => Sign::MayBecome,
        (false, _) => Sign::IsNot,
    }
}

fn samples(format: Option<WavFormat>, at: usize, bytes_max: usize) -> Result<Head, WavError> {
    let format = format.ok_or(WavError::NoFormat)?;
    Ok(Head::Samples { format, at, bytes_max })
}

/// The id and the declared size of the chunk that begins at a place.
fn chunk(bytes: &[u8], at: usize) -> Option<(&[u8; 4], usize)> {
    let header = bytes.get(at..)?;
    Some((header.first_chunk()?, u32_at(header, 4)? as usize))
}

/// Where the chunk behind one of `size` begins, which ends at `end`: at an even distance,
/// unless its writer did not know that. `None` when more must come to tell.
fn behind(bytes: &[u8], end: usize, size: usize, is_all: bool) -> Option<usize> {
    if size.is_multiple_of(2) {
        return Some(end);
    }
    match known_id(bytes, end) {
        Some(true) => Some(end),
        Some(false) => Some(end.saturating_add(1)),
        None => is_all.then_some(end.saturating_add(1)),
    }
}

/// Whether a chunk of a well-known name begins there. `None` when that is not there yet.
fn known_id(bytes: &[u8], at: usize) -> Option<bool> {
    let id: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(KNOWN_IDS.contains(&id))
}

fn parse_format(body: &[u8]) -> Result<WavFormat, WavError> {
    let field = |at| u16_at(body, at).ok_or(WavError::NoFormat);
    let (tag, channels, bits) = (field(0)?, field(2)?, field(14)?);
    let rate_hz = u32_at(body, 4).ok_or(WavError::NoFormat)?;
    let tag = if tag == TAG_EXTENSIBLE { field(24)? } else { tag };
    let width = Width::of(tag, bits);
    let codec = match (tag, bits) {
        (TAG_PCM, 16) => Codec::Pcm16,
        (TAG_MULAW, 8) => Codec::Mulaw,
        (TAG_ALAW, 8) => Codec::Alaw,
        _ if width.is_some() => Codec::Pcm16,
        _ => return Err(WavError::Codec { tag, bits }),
    };
    let channels = u8::try_from(channels).unwrap_or(u8::MAX);
    Ok(WavFormat { media: MediaFormat::new(codec, rate_hz, channels)?, width })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
