//! WAV files as they come, cut anywhere, to samples at the inner rate.
//!
//! A synthesiser that speaks in pieces may send a file for each: they are one sound. Where
//! the next file begins is told by its head and not by the size of the one before, which
//! a writer that streams does not know. What stands behind the audio of a file is skipped,
//! and half a sample at its end is left out.

use super::head::{self, Head, Sign, WavFormat};
use super::wide::Narrower;
use super::{Decoder, WavError};
use crate::media::Resampler;

/// Longest head of a file.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Reads one or more files, one behind the other.
#[derive(Debug, Default)]
pub struct WavStream {
    /// What came and is not understood yet: a head at most.
    held: Vec<u8>,
    place: Place,
    sound: Option<Sound>,
}

/// Where the first byte held belongs.
#[derive(Clone, Copy, Debug, Default)]
enum Place {
    /// To the head of a file.
    #[default]
    Head,
    /// To the audio, of which no more than so many bytes are to come.
    Samples { bytes_max: usize },
    /// Behind it.
    Behind,
}

#[derive(Debug)]
struct Sound {
    format: WavFormat,
    narrower: Option<Narrower>,
    decoder: Decoder,
    resampler: Resampler,
    narrow: Vec<u8>,
    decoded: Vec<i16>,
}

impl WavStream {
    /// Whether `bytes` begin like a WAV file; `None` when they are too few to tell.
    #[must_use]
    pub fn is_begun_by(bytes: &[u8]) -> Option<bool> {
        match head::sign(bytes) {
            Sign::Is => Some(true),
            Sign::IsNot => Some(false),
            Sign::MayBecome => None,
        }
    }

    /// Takes the next bytes and appends to `samples` what they make complete.
    ///
    /// # Errors
    /// A file that cannot be read. What was read before it stays.
    pub fn read(&mut self, bytes: &[u8], samples: &mut Vec<i16>) -> Result<(), WavError> {
        self.held.extend_from_slice(bytes);
        while self.step(false, samples)? {}
        if self.held.len() > HEAD_BYTES_MAX {
            return Err(WavError::HeadTooLong { bytes_max: HEAD_BYTES_MAX });
        }
        Ok(())
    }

    /// That was the last byte.
    ///
    /// # Errors
    /// Bytes that are no WAV file. A further file that was only begun is left out.
    pub fn end(&mut self, samples: &mut Vec<i16>) -> Result<(), WavError> {
        let is_first = self.sound.is_none();
        loop {
            match self.step(true, samples) {
                Ok(true) => {}
                Err(error) if is_first => return Err(error),
                Ok(false) | Err(_) => break,
            }
        }
        if let Some(sound) = &mut self.sound {
            sound.resampler.flush(samples);
        }
        Ok(())
    }

    /// Deals with the first of what is held. Returns whether there is more to do.
    fn step(&mut self, is_all: bool, samples: &mut Vec<i16>) -> Result<bool, WavError> {
        match self.place {
            Place::Head => match head::read(&self.held, is_all)? {
                Head::Unfinished => Ok(false),
                Head::Samples { format, at, bytes_max } => {
                    self.begin(format, samples);
                    self.go_on_at(at, Place::Samples { bytes_max });
                    Ok(true)
                }
            },
            Place::Samples { bytes_max } => {
                let (next, is_there) = next_file(&self.held, is_all);
                let until = next.min(bytes_max);
                if let Some(sound) = &mut self.sound {
                    sound.hear(&self.held[..until], samples);
                }
                let place = match bytes_max - until {
                    _ if is_there && until == next => Place::Head,
                    0 => Place::Behind,
                    bytes_max => Place::Samples { bytes_max },
                };
                self.go_on_at(until, place);
                Ok(!matches!(place, Place::Samples { .. }))
            }
            Place::Behind => {
                let (next, is_there) = next_file(&self.held, is_all);
                self.go_on_at(next, if is_there { Place::Head } else { Place::Behind });
                Ok(is_there)
            }
        }
    }

    fn go_on_at(&mut self, at: usize, place: Place) {
        self.held.drain(..at);
        self.place = place;
    }

    /// The sound of the next file: the same one goes on without a seam.
    fn begin(&mut self, format: WavFormat, samples: &mut Vec<i16>) {
        match &mut self.sound {
            Some(sound) if sound.format == format => sound.begin_file(),
            sound => {
                if let Some(before) = sound {
                    before.resampler.flush(samples);
                }
                *sound = Some(Sound::new(format));
            }
        }
    }
}

impl Sound {
    fn new(format: WavFormat) -> Self {
        Self {
            format,
            narrower: format.width.map(Narrower::new),
            decoder: Decoder::new(format.media),
            resampler: Resampler::to_inner(format.media.rate),
            narrow: Vec::new(),
            decoded: Vec::new(),
        }
    }

    /// Half a sample at the end of the file before is left out.
    fn begin_file(&mut self) {
        self.narrower = self.format.width.map(Narrower::new);
        self.decoder = Decoder::new(self.format.media);
    }

    fn hear(&mut self, bytes: &[u8], samples: &mut Vec<i16>) {
        self.decoded.clear();
        if let Some(narrower) = &mut self.narrower {
            self.narrow.clear();
            narrower.read(bytes, &mut self.narrow);
            self.decoder.decode_stream(&self.narrow, &mut self.decoded);
        } else {
            self.decoder.decode_stream(bytes, &mut self.decoded);
        }
        self.resampler.process(&self.decoded, samples);
    }
}

/// Where the next file begins, and whether that is certain: at the last bytes it may only
/// look so. It begins behind them when it does not begin at all.
fn next_file(bytes: &[u8], is_all: bool) -> (usize, bool) {
    let mut from = 0;
    while let Some(found) = bytes[from..].iter().position(|byte| *byte == b'R') {
        let at = from + found;
        match head::sign(&bytes[at..]) {
            Sign::Is => return (at, true),
            Sign::MayBecome if !is_all => return (at, false),
            Sign::MayBecome | Sign::IsNot => from = at + 1,
        }
    }
    (bytes.len(), false)
}

#[cfg(test)]
#[path = "../tests/wav_stream.rs"]
mod tests;
