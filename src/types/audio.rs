//! Audio as the engine names it: formats at the door, utterances inside.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ids::UtteranceId;
use super::private::Private;
use super::time::MediaTime;

/// Samples a second. Only rates that the engine converts exist as values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct SampleRate(u32);

/// The rate of everything inside the engine.
pub const INNER_RATE: SampleRate = SampleRate(16_000);

impl SampleRate {
    /// The rates that are converted.
    pub const SUPPORTED_HZ: [u32; 8] =
        [8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000];

    /// Accepts a supported rate.
    pub fn new(hz: u32) -> Result<Self, MediaFormatError> {
        if Self::SUPPORTED_HZ.contains(&hz) {
            Ok(Self(hz))
        } else {
            Err(MediaFormatError::Rate(hz))
        }
    }

    /// Samples a second.
    #[must_use]
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// Samples in `ms` milliseconds, rounded down.
    #[must_use]
    pub const fn samples_in_ms(self, ms: u32) -> usize {
        (self.0 as usize) * (ms as usize) / 1000
    }

    /// Milliseconds that `samples` last, rounded down.
    #[must_use]
    pub const fn ms_of_samples(self, samples: u64) -> u64 {
        samples * 1000 / self.0 as u64
    }

    /// How many samples at the inner rate last as long as `samples` at this one, rounded down.
    #[must_use]
    pub const fn at_inner_rate(self, samples: u64) -> u64 {
        samples.saturating_mul(INNER_RATE.0 as u64) / self.0 as u64
    }
}

impl TryFrom<u32> for SampleRate {
    type Error = MediaFormatError;
    fn try_from(hz: u32) -> Result<Self, MediaFormatError> {
        Self::new(hz)
    }
}

impl From<SampleRate> for u32 {
    fn from(rate: SampleRate) -> Self {
        rate.0
    }
}

/// How a sample is written on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codec {
    /// Signed 16-bit little-endian.
    Pcm16,
    /// G.711 µ-law, one byte a sample.
    Mulaw,
    /// G.711 A-law, one byte a sample.
    Alaw,
}

impl Codec {
    /// Bytes of one sample of one channel.
    #[must_use]
    pub const fn bytes_per_sample(self) -> usize {
        match self {
            Self::Pcm16 => 2,
            Self::Mulaw | Self::Alaw => 1,
        }
    }
}

/// What a carrier declared about its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MediaFormat {
    /// How samples are written.
    pub codec: Codec,
    /// Samples a second of each channel.
    pub rate: SampleRate,
    /// 1, or 2 interleaved (mixed down to one).
    pub channels: u8,
}

impl MediaFormat {
    /// Mono 16-bit at `rate`.
    #[must_use]
    pub const fn pcm16(rate: SampleRate) -> Self {
        Self { codec: Codec::Pcm16, rate, channels: 1 }
    }

    /// Checks the three parts of a declared format.
    pub fn new(codec: Codec, rate_hz: u32, channels: u8) -> Result<Self, MediaFormatError> {
        let rate = SampleRate::new(rate_hz)?;
        match channels {
            1 | 2 => Ok(Self { codec, rate, channels }),
            _ => Err(MediaFormatError::Channels(channels)),
        }
    }

    /// Bytes of one sample of every channel: what a whole number of must arrive.
    #[must_use]
    pub const fn bytes_per_frame(self) -> usize {
        self.codec.bytes_per_sample() * self.channels as usize
    }
}

/// Why a declared format is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MediaFormatError {
    /// Not one of [`SampleRate::SUPPORTED_HZ`].
    #[error(
        "sample rate {0} is not supported: use 8000, 11025, 16000, 22050, 24000, 32000, 44100 or 48000"
    )]
    Rate(u32),
    /// Not mono or stereo.
    #[error("{0} channels are not supported: use 1 or 2")]
    Channels(u8),
}

/// Speech as one shared buffer: mono, at the inner rate. Prints its length only.
#[derive(Clone, PartialEq, Eq)]
pub struct SpeechAudio(Private<Arc<[i16]>>);

impl SpeechAudio {
    /// Wraps samples at the inner rate.
    pub fn new(samples: impl Into<Arc<[i16]>>) -> Self {
        Self(Private::new(samples.into()))
    }

    /// The samples.
    #[must_use]
    pub fn samples(&self) -> &[i16] {
        self.0.expose()
    }

    /// How long it lasts, in whole milliseconds.
    #[must_use]
    pub fn ms(&self) -> u64 {
        INNER_RATE.ms_of_samples(self.samples().len() as u64)
    }
}

impl fmt::Debug for SpeechAudio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpeechAudio({} ms)", self.ms())
    }
}

/// What closed an utterance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UtteranceEnd {
    /// The caller was silent long enough.
    Silence,
    /// The caller stopped sending.
    Stalled,
    /// It reached the longest utterance allowed; the rest begins another one.
    MaxLength,
    /// The call ended or its media was lost while the caller spoke.
    MediaEnded,
}

impl UtteranceEnd {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Stalled => "stalled",
            Self::MaxLength => "max_length",
            Self::MediaEnded => "media_ended",
        }
    }
}

/// One piece of caller speech, pre-roll and trailing silence included.
#[derive(Clone, Debug)]
pub struct Utterance {
    /// Its number within the call.
    pub id: UtteranceId,
    /// The audio.
    pub audio: SpeechAudio,
    /// Where speech was first heard.
    pub started_at: MediaTime,
    /// Where speech was last heard.
    pub ended_at: MediaTime,
    /// What closed it.
    pub end: UtteranceEnd,
}
