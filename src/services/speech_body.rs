//! A synthesiser's answer as it comes: 16-bit samples, G.711 or WAV files, to speech at
//! the inner rate.
//!
//! Pure. Whatever else is played as samples is full-scale noise in a caller's ear. So
//! nothing is heard before its type, its first bytes and the sound itself agree that it
//! is speech; everything else is refused with the reason, which names the type and never
//! repeats the body. What is asked for, 16-bit mono at 16 kHz, is taken where a type does
//! not say what is inside.

mod byte_order;
mod foreign;

use self::byte_order::ByteOrder;
use super::media_type::MediaType;
use super::misread::{NoiseWatch, Verdict, WINDOW};
use crate::media::wav::{WavError, WavStream};
use crate::media::{Decoder, Resampler};
use crate::types::{Codec, INNER_RATE, MediaFormat, MediaFormatError};

/// What is looked at before anything is heard.
const SNIFF_BYTES: usize = 64;
/// The rate of G.711 that names none, in hertz.
const G711_RATE_HZ: u32 = 8_000;

/// Why a body is no speech.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SpeechBodyError {
    /// Not a single sample.
    #[error("the audio is empty")]
    Empty,
    /// A type that is not read.
    #[error(
        "the answer is declared as {0}: have it speak 16-bit PCM (audio/pcm, audio/l16), G.711 \
         (audio/basic, audio/pcma) or WAV (audio/wav)"
    )]
    Type(String),
    /// A type whose parameters name something that is not read.
    #[error("the answer is declared as {declared} with a {parameter} that is not supported")]
    Parameter {
        /// The type.
        declared: String,
        /// Which parameter.
        parameter: &'static str,
    },
    /// The body begins as something that is not read.
    #[error("the answer is {found}, declared as {declared}: have it speak 16-bit PCM or WAV")]
    Foreign {
        /// What it is.
        found: &'static str,
        /// The type.
        declared: String,
    },
    /// It sounds as only misread bytes do.
    #[error("the answer is declared as {0}, but its bytes are no such samples: they are noise")]
    Noise(String),
    /// A WAV file that cannot be read.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// A rate or a number of channels that is not converted.
    #[error(transparent)]
    Format(#[from] MediaFormatError),
}

/// The body of one answer.
#[derive(Debug)]
pub(super) struct SpeechBody {
    media_type: MediaType,
    declared: Declared,
    state: State,
    /// There was a sample.
    heard: bool,
}

/// What the type says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Declared {
    Wav,
    Samples(MediaFormat, Option<ByteOrder>),
}

#[derive(Debug)]
enum State {
    /// These are too few to tell.
    Begun(Vec<u8>),
    Wav(Box<WavStream>),
    Samples(Box<Samples>),
}

impl SpeechBody {
    /// A body of which nothing came yet.
    pub(super) fn new(media_type: &MediaType) -> Result<Self, SpeechBodyError> {
        Ok(Self {
            declared: declared(media_type)?,
            media_type: media_type.clone(),
            state: State::Begun(Vec::new()),
            heard: false,
        })
    }

    /// Takes the next bytes and appends to `samples` what is certain to be speech.
    pub(super) fn read(
        &mut self,
        bytes: &[u8],
        samples: &mut Vec<i16>,
    ) -> Result<(), SpeechBodyError> {
        let before = samples.len();
        match &mut self.state {
            State::Begun(held) => {
                held.extend_from_slice(bytes);
                if held.len() >= SNIFF_BYTES {
                    self.begin(samples)?;
                }
            }
            State::Wav(stream) => stream.read(bytes, samples)?,
            State::Samples(stream) => {
                stream.read(bytes, samples).map_err(|Noise| self.noise())?;
            }
        }
        self.heard |= samples.len() > before;
        Ok(())
    }

    /// That was the last byte.
    pub(super) fn end(&mut self, samples: &mut Vec<i16>) -> Result<(), SpeechBodyError> {
        let before = samples.len();
        if matches!(&self.state, State::Begun(held) if !held.is_empty()) {
            self.begin(samples)?;
        }
        match &mut self.state {
            State::Begun(_) => {}
            State::Wav(stream) => stream.end(samples)?,
            State::Samples(stream) => stream.end(samples).map_err(|Noise| self.noise())?,
        }
        self.heard |= samples.len() > before;
        if self.heard { Ok(()) } else { Err(SpeechBodyError::Empty) }
    }

    /// Finds out what the first bytes are, and reads them as that.
    fn begin(&mut self, samples: &mut Vec<i16>) -> Result<(), SpeechBodyError> {
        let State::Begun(held) = &mut self.state else { return Ok(()) };
        let first = std::mem::take(held);
        self.state = if WavStream::is_begun_by(&first) == Some(true) {
            State::Wav(Box::default())
        } else if let Some(found) = foreign::found(&first) {
            return Err(SpeechBodyError::Foreign { found, declared: self.media_type.to_string() });
        } else {
            match self.declared {
                Declared::Wav => return Err(WavError::NotWav.into()),
                Declared::Samples(format, order) => {
                    State::Samples(Box::new(Samples::new(format, order)))
                }
            }
        };
        self.read(&first, samples)
    }

    fn noise(&self) -> SpeechBodyError {
        SpeechBodyError::Noise(self.media_type.to_string())
    }
}

fn declared(media_type: &MediaType) -> Result<Declared, SpeechBodyError> {
    let codec = match media_type.essence() {
        "audio/wav" | "audio/x-wav" | "audio/wave" | "audio/vnd.wave" | "audio/x-pn-wav" => {
            return Ok(Declared::Wav);
        }
        ""
        | "application/octet-stream"
        | "binary/octet-stream"
        | "audio/pcm"
        | "audio/x-pcm"
        | "audio/raw"
        | "audio/x-raw"
        | "audio/l16"
        | "audio/x-l16"
        | "audio/linear16"
        | "audio/x-linear16" => Codec::Pcm16,
        "audio/basic" | "audio/pcmu" | "audio/mulaw" | "audio/x-mulaw" | "audio/ulaw"
        | "audio/x-ulaw" => Codec::Mulaw,
        "audio/pcma" | "audio/alaw" | "audio/x-alaw" => Codec::Alaw,
        _ => return Err(SpeechBodyError::Type(media_type.to_string())),
    };
    let codec = declared_codec(media_type, codec)?;
    let number = |parameter, names: &[&str], default| match media_type.parameter(names) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| unsupported(media_type, parameter)),
    };
    let rate_hz = if codec == Codec::Pcm16 { INNER_RATE.hz() } else { G711_RATE_HZ };
    let rate_hz = number("rate", &["rate", "samplerate", "sample_rate", "sample-rate"], rate_hz)?;
    let channels = number("number of channels", &["channels", "channel"], 1)?;
    let bits = 8 * codec.bytes_per_sample() as u32;
    let names = ["bits", "bit", "bits_per_sample", "bits-per-sample", "bit-depth", "width"];
    if number("sample size", &names, bits)? != bits {
        return Err(unsupported(media_type, "sample size"));
    }
    let format = MediaFormat::new(codec, rate_hz, u8::try_from(channels).unwrap_or(u8::MAX))?;
    Ok(Declared::Samples(format, declared_order(media_type, codec)))
}

/// What a parameter says beside the type.
fn declared_codec(media_type: &MediaType, codec: Codec) -> Result<Codec, SpeechBodyError> {
    let Some(named) = media_type.parameter(&["codec", "codecs", "encoding", "format"]) else {
        return Ok(codec);
    };
    match named.to_ascii_lowercase().as_str() {
        "" => Ok(codec),
        "1" | "pcm" | "audio/pcm" | "linear" | "linear16" | "l16" | "s16" | "s16le" | "s16_le"
        | "int16" | "pcm16" | "pcm_16" | "pcm_s16le" | "signed-int" | "signed-integer" => {
            Ok(Codec::Pcm16)
        }
        "7" | "mulaw" | "mu-law" | "ulaw" | "u-law" | "pcmu" | "pcm_mulaw" => Ok(Codec::Mulaw),
        "6" | "alaw" | "a-law" | "pcma" | "pcm_alaw" => Ok(Codec::Alaw),
        _ => Err(unsupported(media_type, "coding")),
    }
}

/// The order of the bytes of a sample, where it is told or certain. `audio/l16` is big-endian
/// by its definition and little-endian by most who send it: its samples show it.
fn declared_order(media_type: &MediaType, codec: Codec) -> Option<ByteOrder> {
    let told = media_type.parameter(&["endianness", "endian", "byte-order", "byteorder"]);
    let told = told.unwrap_or_default().to_ascii_lowercase();
    if codec == Codec::Pcm16 && told.starts_with("big") {
        Some(ByteOrder::Big)
    } else if told.starts_with("little") || !media_type.essence().ends_with("l16") {
        Some(ByteOrder::Little)
    } else {
        None
    }
}

fn unsupported(media_type: &MediaType, parameter: &'static str) -> SpeechBodyError {
    SpeechBodyError::Parameter { declared: media_type.to_string(), parameter }
}

/// The sound is noise.
struct Noise;

/// Samples without a head.
#[derive(Debug)]
struct Samples {
    order: byte_order::Reader,
    decoder: Decoder,
    resampler: Resampler,
    watch: NoiseWatch,
    /// What nobody has listened to yet, behind what may be noise.
    decoded: Vec<i16>,
    /// How many of them may be noise.
    doubtful: usize,
    ordered: Vec<u8>,
}

impl Samples {
    fn new(format: MediaFormat, order: Option<ByteOrder>) -> Self {
        Self {
            order: byte_order::Reader::new(order),
            decoder: Decoder::new(format),
            resampler: Resampler::to_inner(format.rate),
            watch: NoiseWatch::default(),
            decoded: Vec::new(),
            doubtful: 0,
            ordered: Vec::new(),
        }
    }

    fn read(&mut self, bytes: &[u8], samples: &mut Vec<i16>) -> Result<(), Noise> {
        self.order.read(bytes, &mut self.ordered);
        self.decode();
        while let Some(window) = self.decoded.get(self.doubtful..self.doubtful + WINDOW) {
            match self.watch.hear(window) {
                Verdict::Noise => return Err(Noise),
                Verdict::Doubtful => self.doubtful += WINDOW,
                Verdict::Sound => self.let_through(self.doubtful + WINDOW, samples),
            }
        }
        Ok(())
    }

    fn end(&mut self, samples: &mut Vec<i16>) -> Result<(), Noise> {
        self.order.end(&mut self.ordered);
        self.decode();
        self.read(&[], samples)?;
        if self.watch.end(&self.decoded[self.doubtful..]) == Verdict::Noise {
            return Err(Noise);
        }
        self.let_through(self.decoded.len(), samples);
        self.resampler.flush(samples);
        Ok(())
    }

    fn decode(&mut self) {
        self.decoder.decode_stream(&self.ordered, &mut self.decoded);
        self.ordered.clear();
    }

    fn let_through(&mut self, count: usize, samples: &mut Vec<i16>) {
        self.resampler.process(&self.decoded[..count], samples);
        self.decoded.drain(..count);
        self.doubtful = 0;
    }
}

#[cfg(test)]
mod tests;
