//! Content types of audio bodies and what they mean. Pure. It names formats and
//! checks bodies against them; it converts nothing but the width of a WAV file's samples.

use std::borrow::Cow;

use actix_web::web::Bytes;

use crate::media::wav::{self, WavError};
use crate::types::{Codec, MediaFormat, MediaFormatError};

/// The rate of 16-bit audio that names none, in hertz.
const PCM16_RATE_HZ: u32 = 16_000;

/// The rate of G.711 audio that names none, in hertz.
const G711_RATE_HZ: u32 = 8_000;

/// What a body declares itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// Samples in this format.
    Samples(MediaFormat),
    /// A WAV file, which names its format itself.
    Wav,
    /// Samples in the format of the call.
    OfCall,
}

/// Why a content type or a body is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FormatError {
    /// No audio type that is known here.
    #[error(
        "content type is not supported: use audio/l16;rate=…;channels=…, audio/x-mulaw, \
         audio/x-alaw, audio/wav or application/octet-stream"
    )]
    ContentType,
    /// A parameter that is no number.
    #[error("content type parameter {name} is not a number")]
    Parameter {
        /// The parameter.
        name: &'static str,
    },
    /// A rate or a channel count that is not converted.
    #[error(transparent)]
    Media(#[from] MediaFormatError),
    /// A WAV file that cannot be read.
    #[error(transparent)]
    Wav(#[from] WavError),
    /// Not the format of the call.
    #[error("the body is {body}, but the call's audio is {call}: one call has one format")]
    NotOfCall {
        /// What the body declares.
        body: String,
        /// What the call was started with.
        call: String,
    },
}

/// Why a body is no whole number of samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are not whole samples: send a multiple of {multiple_of}")]
pub(super) struct OddByteCount {
    bytes: usize,
    multiple_of: usize,
}

impl BodyFormat {
    /// Reads a `Content-Type`. None stands for the format of the call.
    pub(super) fn parse(content_type: Option<&str>) -> Result<Self, FormatError> {
        let Some(text) = content_type else { return Ok(Self::OfCall) };
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (codec, rate_hz) = match essence.as_str() {
            "application/octet-stream" => return Ok(Self::OfCall),
            "audio/wav" | "audio/x-wav" | "audio/wave" => return Ok(Self::Wav),
            "audio/l16" => (Codec::Pcm16, PCM16_RATE_HZ),
            "audio/x-mulaw" | "audio/pcmu" | "audio/basic" => (Codec::Mulaw, G711_RATE_HZ),
            "audio/x-alaw" | "audio/pcma" => (Codec::Alaw, G711_RATE_HZ),
            _ => return Err(FormatError::ContentType),
        };
        let (mut rate_hz, mut channels) = (rate_hz, 1);
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "rate" => rate_hz = number("rate", value)?,
                "channels" => channels = number("channels", value)?,
                _ => {}
            }
        }
        let channels = u8::try_from(channels).unwrap_or(u8::MAX);
        Ok(Self::Samples(MediaFormat::new(codec, rate_hz, channels)?))
    }

    /// The format of a call that begins with this body.
    pub(super) fn format_of_new_call(self, body: &[u8]) -> Result<MediaFormat, FormatError> {
        match self {
            Self::Samples(format) => Ok(format),
            Self::Wav => Ok(wav::locate(body)?.0),
            Self::OfCall => Ok(MediaFormat::new(Codec::Pcm16, PCM16_RATE_HZ, 1)?),
        }
    }

    /// The samples in `body`, which belongs to a call in format `call`.
    pub(super) fn samples(self, body: &Bytes, call: MediaFormat) -> Result<Bytes, FormatError> {
        let (format, samples) = match self {
            Self::OfCall => return Ok(body.clone()),
            Self::Samples(format) => (format, Cow::from(&body[..])),
            Self::Wav => wav::locate(body)?,
        };
        if format != call {
            return Err(FormatError::NotOfCall {
                body: content_type(format).into_owned(),
                call: content_type(call).into_owned(),
            });
        }
        Ok(match samples {
            Cow::Borrowed(samples) => body.slice_ref(samples),
            Cow::Owned(samples) => samples.into(),
        })
    }
}

/// Refuses a body that ends within a sample.
pub(super) fn check_whole(samples: &[u8], format: MediaFormat) -> Result<(), OddByteCount> {
    let multiple_of = format.bytes_per_frame();
    if samples.len().is_multiple_of(multiple_of) {
        Ok(())
    } else {
        Err(OddByteCount { bytes: samples.len(), multiple_of })
    }
}

/// The `Content-Type` of samples in `format`.
pub(super) fn content_type(format: MediaFormat) -> Cow<'static, str> {
    let essence = match format.codec {
        Codec::Pcm16 => "audio/l16",
        Codec::Mulaw => "audio/x-mulaw",
        Codec::Alaw => "audio/x-alaw",
    };
    format!("{essence};rate={};channels={}", format.rate.hz(), format.channels).into()
}

fn number(name: &'static str, value: &str) -> Result<u32, FormatError> {
    value.parse().map_err(|_| FormatError::Parameter { name })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn samples(codec: Codec, rate_hz: u32, channels: u8) -> BodyFormat {
        BodyFormat::Samples(MediaFormat::new(codec, rate_hz, channels).expect("supported"))
    }

    #[test]
    fn content_types_are_read_with_their_parameters_and_defaults() {
        let parsed = [
            ("audio/l16;rate=8000;channels=2", samples(Codec::Pcm16, 8_000, 2)),
            ("Audio/L16 ; Rate=\"48000\"", samples(Codec::Pcm16, 48_000, 1)),
            ("audio/l16", samples(Codec::Pcm16, 16_000, 1)),
            ("audio/basic", samples(Codec::Mulaw, 8_000, 1)),
            ("audio/x-mulaw;rate=16000", samples(Codec::Mulaw, 16_000, 1)),
            ("audio/PCMA", samples(Codec::Alaw, 8_000, 1)),
            ("audio/x-wav", BodyFormat::Wav),
            ("application/octet-stream", BodyFormat::OfCall),
        ];
        for (text, format) in parsed {
            assert_eq!(BodyFormat::parse(Some(text)), Ok(format), "{text}");
        }
        assert_eq!(BodyFormat::parse(None), Ok(BodyFormat::OfCall));
    }

    #[test]
    fn what_cannot_be_converted_is_refused() {
        let refused = |text| BodyFormat::parse(Some(text)).expect_err("must be refused");
        assert_eq!(refused("audio/mpeg"), FormatError::ContentType);
        assert_eq!(refused(""), FormatError::ContentType);
        assert_eq!(refused("audio/l16;rate=fast"), FormatError::Parameter { name: "rate" });
        assert_eq!(refused("audio/l16;rate=12345"), MediaFormatError::Rate(12_345).into());
        assert_eq!(refused("audio/l16;channels=6"), MediaFormatError::Channels(6).into());
        assert_eq!(refused("audio/l16;channels=257"), MediaFormatError::Channels(255).into());
    }

    #[test]
    fn every_body_of_a_call_has_the_format_of_the_call() {
        let call = MediaFormat::new(Codec::Pcm16, 8_000, 1).expect("supported");
        let body = Bytes::from_static(b"ab");
        assert_eq!(BodyFormat::OfCall.samples(&body, call), Ok(body.clone()));
        assert_eq!(samples(Codec::Pcm16, 8_000, 1).samples(&body, call), Ok(body.clone()));
        let error = samples(Codec::Mulaw, 8_000, 1).samples(&body, call).expect_err("differs");
        assert!(error.to_string().contains("audio/l16;rate=8000;channels=1"), "{error}");
    }

    #[test]
    fn a_wav_body_names_its_format_itself() {
        let rate = crate::types::SampleRate::new(8_000).expect("supported");
        let file = Bytes::from(wav::write_mono(rate, &[1, -1]));
        let format = BodyFormat::Wav.format_of_new_call(&file).expect("valid");
        assert_eq!(format, MediaFormat::pcm16(rate));
        let samples = Bytes::from_static(&[1, 0, 0xff, 0xff]);
        assert_eq!(BodyFormat::Wav.samples(&file, format), Ok(samples));
        let error = BodyFormat::Wav.samples(&Bytes::from_static(b"no file"), format);
        assert_eq!(error, Err(FormatError::Wav(WavError::NotWav)));
    }

    #[test]
    fn a_wav_body_of_wider_samples_belongs_to_a_call_of_16_bits() {
        let rate = crate::types::SampleRate::new(8_000).expect("supported");
        let mut file = wav::write_mono(rate, &[]);
        file[34..36].copy_from_slice(&24_u16.to_le_bytes());
        file.extend([0, 1, 0, 0, 255, 255]);
        let file = Bytes::from(file);
        let format = BodyFormat::Wav.format_of_new_call(&file).expect("valid");
        assert_eq!(format, MediaFormat::pcm16(rate));
        let samples = Bytes::from_static(&[1, 0, 0xff, 0xff]);
        assert_eq!(BodyFormat::Wav.samples(&file, format), Ok(samples));
    }

    #[test]
    fn a_sample_cut_in_two_is_refused() {
        let stereo = MediaFormat::new(Codec::Pcm16, 16_000, 2).expect("supported");
        assert_eq!(check_whole(&[0; 8], stereo), Ok(()));
        assert_eq!(check_whole(&[0; 6], stereo), Err(OddByteCount { bytes: 6, multiple_of: 4 }));
    }

    proptest! {
        #[test]
        fn a_format_is_read_back_from_its_content_type(
            codec in prop_oneof![Just(Codec::Pcm16), Just(Codec::Mulaw), Just(Codec::Alaw)],
            rate_hz in prop::sample::select(&crate::types::SampleRate::SUPPORTED_HZ[..]),
            channels in 1u8..3,
        ) {
            let format = MediaFormat::new(codec, rate_hz, channels).expect("supported");
            let parsed = BodyFormat::parse(Some(&content_type(format)));
            prop_assert_eq!(parsed, Ok(BodyFormat::Samples(format)));
        }

        #[test]
        fn any_content_type_is_answered_without_a_panic(text: String) {
            prop_assert!(BodyFormat::parse(Some(&text)).is_err());
        }
    }
}
