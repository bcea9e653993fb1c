//! The JSON bodies and the headers of the callback. Pure; they name things and
//! check their shape, and know no call.

use actix_web::http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use serde::{Deserialize, Serialize};

use super::format::{BodyFormat, FormatError};
use crate::transports::query::{NAME_BYTES_MAX, anonymous};
use crate::types::{
    CallId, CallTarget, CarrierCallId, Codec, Epoch, MediaFormat, TwoTargets, UserId,
};

/// Header: number of a media post.
pub(super) const SEQUENCE_ID: &str = "X-Sequence-Id";
/// Header: first sample of a reply part.
pub(super) const AUDIO_POSITION: &str = "X-Audio-Position";
/// Header: epoch of a reply part.
pub(super) const EPOCH: &str = "X-Epoch";
/// Header: the call of a playback post.
pub(super) const CALL_ID: &str = "X-Call-Id";
/// Header: what a playback post is for.
pub(super) const PLAYBACK: &str = "X-Playback";
/// Header: as `next_expected_seq`.
pub(super) const NEXT_SEQUENCE: &str = "X-Next-Sequence";
/// Header: as `buffered_ms`.
pub(super) const BUFFERED_MS: &str = "X-Buffered-Ms";
/// Header: as `duplicate`.
pub(super) const DUPLICATE: &str = "X-Duplicate";
/// Header: as `state`.
pub(super) const CALL_STATE: &str = "X-Call-State";

/// What a call start asks for.
#[derive(Debug)]
pub(super) struct Start {
    /// The carrier's name for the call, if it has one.
    pub carrier_call_id: Option<CarrierCallId>,
    /// Who is calling.
    pub user_id: UserId,
    /// What selects the route.
    pub target: Option<CallTarget>,
    /// The caller's audio.
    pub format: MediaFormat,
    /// Where to post the reply audio.
    pub playback_url: Option<String>,
}

/// Why a start is not understood.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    /// Not JSON, or not of this shape.
    #[error("the body is not a call start: {0}")]
    Json(String),
    /// Too long.
    #[error("{name} is longer than {max} bytes", max = NAME_BYTES_MAX)]
    TooLong {
        /// The field.
        name: &'static str,
    },
    /// Two ways to select the route.
    #[error(transparent)]
    Target(#[from] TwoTargets),
    /// Audio that is not converted.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl Start {
    /// Reads the body of `POST /v1/calls`. An empty one asks for the defaults.
    pub(super) fn parse(body: &[u8]) -> Result<Self, StartError> {
        let body = if body.trim_ascii().is_empty() { b"{}" } else { body };
        let start: StartBody =
            serde_json::from_slice(body).map_err(|error| StartError::Json(error.to_string()))?;
        let format = match (start.format, start.content_type) {
            (Some(format), _) => format.media_format()?,
            (None, Some(text)) => BodyFormat::parse(Some(&text))?.format_of_new_call(&[])?,
            (None, None) => BodyFormat::OfCall.format_of_new_call(&[])?,
        };
        let names =
            [("user_id", &start.user_id), ("route", &start.route), ("called", &start.called)];
        for (name, value) in names {
            if value.as_ref().is_some_and(|value| value.len() > NAME_BYTES_MAX) {
                return Err(StartError::TooLong { name });
            }
        }
        Ok(Self {
            carrier_call_id: start.call_id,
            user_id: start.user_id.map_or_else(anonymous, UserId::from),
            target: CallTarget::of(start.route, start.called)?,
            format,
            playback_url: start.playback_url,
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StartBody {
    #[serde(default)]
    call_id: Option<CarrierCallId>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    route: Option<String>,
    #[serde(default)]
    called: Option<String>,
    #[serde(default)]
    format: Option<FormatBody>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    playback_url: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FormatBody {
    codec: Codec,
    rate: u32,
    #[serde(default = "mono")]
    channels: u8,
}

const fn mono() -> u8 {
    1
}

impl FormatBody {
    fn media_format(&self) -> Result<MediaFormat, FormatError> {
        Ok(MediaFormat::new(self.codec, self.rate, self.channels)?)
    }
}

/// What a media post says in its head.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaHead {
    /// Its number.
    pub sequence: u64,
    /// What its body is.
    pub format: BodyFormat,
    /// Whether the answer is to be reply audio instead of JSON.
    pub wants_audio: bool,
}

/// Why a media post is refused by its head.
#[derive(Debug, thiserror::Error)]
pub(super) enum HeadError {
    /// No usable number.
    #[error("header X-Sequence-Id is missing or not a whole number from 0")]
    Sequence,
    /// No usable format.
    #[error(transparent)]
    Format(#[from] FormatError),
}

impl MediaHead {
    /// Reads the headers and the query of a media post.
    pub(super) fn parse(headers: &HeaderMap, query: &str) -> Result<Self, HeadError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let sequence = text(SEQUENCE_ID).and_then(|value| value.trim().parse().ok());
        let content_type = match headers.get(CONTENT_TYPE) {
            Some(value) => Some(value.to_str().map_err(|_| FormatError::ContentType)?),
            None => None,
        };
        let accepts_audio = text(ACCEPT.as_str()).is_some_and(|types| {
            types.split(',').any(|accepted| accepted.trim_start().starts_with("audio/"))
        });
        Ok(Self {
            sequence: sequence.ok_or(HeadError::Sequence)?,
            format: BodyFormat::parse(content_type)?,
            wants_audio: accepts_audio || query.split('&').any(|pair| pair == "reply=audio"),
        })
    }
}

/// The answer to a start.
#[derive(Debug, Serialize)]
pub(super) struct StartAnswer {
    /// The engine's id of the call.
    pub call_id: CallId,
    /// Whether a call was continued.
    pub resumed: bool,
    /// Number of the first media post; lower ones are duplicates.
    pub first_sequence: u64,
    /// `Content-Type` of the reply audio.
    pub reply_content_type: String,
    /// Where media is posted.
    pub media_url: String,
    /// Where reply audio is fetched.
    pub audio_url: String,
}

/// The answer to a media post.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct MediaAnswer {
    /// Lowest number that was not taken.
    pub next_expected_seq: u64,
    /// Caller audio that waits to be processed.
    pub buffered_ms: u64,
    /// `running` or `ended`.
    pub state: &'static str,
    /// Current epoch of the reply.
    pub epoch: Epoch,
    /// Whether the post's number had been taken before.
    pub duplicate: bool,
}

/// The answer to `GET` and `DELETE` of a call.
#[derive(Debug, Serialize)]
pub(super) struct CallAnswer {
    /// The engine's id of the call; missing before it was connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call_id: Option<CallId>,
    /// `running`, `away` (its media is lost), `ending` or `ended`.
    pub state: serde_json::Value,
    /// Why it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<&'static str>,
    /// Current epoch of the reply.
    pub epoch: Epoch,
    /// Position behind the newest reply audio, in samples.
    pub audio_position: u64,
    /// Reply audio that was dropped because nobody fetched it, in samples.
    pub audio_dropped_samples: u64,
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn an_empty_start_asks_for_16_khz_mono() {
        for body in [&b""[..], b" \n", b"{}"] {
            let start = Start::parse(body).expect("empty is allowed");
            assert_eq!((start.format.rate.hz(), start.format.channels), (16_000, 1));
            assert_eq!((start.carrier_call_id, start.playback_url), (None, None));
        }
    }

    #[test]
    fn a_start_names_its_format_either_way() {
        let fields = br#"{"call_id":"a","format":{"codec":"mulaw","rate":8000},"called":"100"}"#;
        let start = Start::parse(fields).expect("valid");
        assert_eq!((start.format.codec, start.format.rate.hz()), (Codec::Mulaw, 8_000));
        assert_eq!(start.target, Some(CallTarget::Called("100".to_owned())));
        let typed = Start::parse(br#"{"content_type":"audio/l16;rate=48000;channels=2"}"#);
        assert_eq!(typed.expect("valid").format.channels, 2);
    }

    #[test]
    fn a_start_that_is_not_understood_says_why() {
        let refused = |body: &str| Start::parse(body.as_bytes()).expect_err("refused").to_string();
        assert!(refused(r#"{"callid":"a"}"#).contains("unknown field `callid`"));
        assert!(refused(r#"{"call_id":"a/b"}"#).contains("letters, digits"));
        assert!(refused(r#"{"format":{"codec":"pcm16","rate":12345}}"#).contains("12345"));
        assert!(refused(r#"{"format":{"codec":"opus","rate":8000}}"#).contains("opus"));
        assert!(refused(r#"{"content_type":"text/plain"}"#).contains("audio/l16"));
        assert!(refused("[1,").contains("not a call start"));
        assert!(refused(r#"{"route":"a","called":"1"}"#).contains("send one of them"));
        let long = "x".repeat(NAME_BYTES_MAX + 1);
        assert!(refused(&format!(r#"{{"user_id":"{long}"}}"#)).contains("user_id"));
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let name = |name: &str| HeaderName::from_bytes(name.as_bytes()).expect("valid");
        pairs.iter().map(|(n, v)| (name(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn a_media_post_needs_a_number() {
        for bad in ["", "-1", "1.5", "x", "18446744073709551616"] {
            let head = MediaHead::parse(&headers(&[("x-sequence-id", bad)]), "");
            assert!(matches!(head, Err(HeadError::Sequence)), "{bad}");
        }
        let head = MediaHead::parse(&headers(&[("x-sequence-id", "7")]), "").expect("valid");
        assert_eq!((head.sequence, head.format, head.wants_audio), (7, BodyFormat::OfCall, false));
    }

    #[test]
    fn audio_is_asked_for_by_header_or_by_query() {
        let wants = |accept, query| {
            let headers = headers(&[("x-sequence-id", "7"), ("accept", accept)]);
            MediaHead::parse(&headers, query).is_ok_and(|head| head.wants_audio)
        };
        assert!(wants("application/json, audio/l16", ""));
        assert!(wants("*/*", "a=1&reply=audio"));
        assert!(!wants("*/*", "reply=json"));
    }
}
