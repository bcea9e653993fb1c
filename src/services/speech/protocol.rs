//! The line protocol between the engine and a speech worker: one JSON object a line,
//! requests on the worker's stdin, replies on its stdout.
//!
//! Pure: it turns lines into values and back. It refuses to read or write anything,
//! and it never puts audio or text into an error. `docs/local-speech.md` describes the
//! protocol for people who write a worker of their own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::types::{CallerText, SpeechAudio};

/// The version in the first line. A worker of another version is refused.
pub const PROTOCOL_VERSION: u32 = 1;

/// Longest line in either direction, line feed included: a minute and a half of
/// 16 kHz audio. A longer one is refused without being kept.
pub const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The only rate on the wire, in hertz.
pub const WIRE_RATE_HZ: u32 = 16_000;

/// What the engine asks of a worker.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Request {
    /// Say the first line again.
    Hello,
    /// Recognise an utterance.
    Transcribe {
        /// Comes back in the reply.
        id: u64,
        /// Hertz, of `pcm`.
        sample_rate: u32,
        /// The audio.
        pcm: Pcm,
        /// BCP 47 tag, for example `en-US`.
        #[serde(default)]
        language: String,
    },
    /// Speak a sentence.
    Synthesize {
        /// Comes back in the reply.
        id: u64,
        /// Hertz, of the reply.
        #[serde(default = "wire_rate")]
        sample_rate: u32,
        /// The words.
        text: CallerText,
        /// The worker's name of the voice. Empty: its own choice.
        #[serde(default)]
        voice: String,
        /// BCP 47 tag, for example `en-US`.
        #[serde(default)]
        language: String,
    },
}

impl Request {
    /// What the reply has to name.
    #[must_use]
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Hello => None,
            Self::Transcribe { id, .. } | Self::Synthesize { id, .. } => Some(*id),
        }
    }
}

/// A worker's first line, and its answer to `hello`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// [`PROTOCOL_VERSION`].
    pub protocol: u32,
    /// The speech engine's name, for people.
    pub engine: String,
    /// What it can do.
    pub capabilities: Vec<Capability>,
}

/// What a worker can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Capability {
    /// Recognise utterances.
    Transcribe,
    /// Speak sentences.
    Synthesize,
    /// Something that this version does not know.
    #[serde(other)]
    Unknown,
}

/// What a worker answers.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is ready for requests.
    Ready(Ready),
    /// The words of an utterance.
    Recognised {
        /// Of the request.
        id: u64,
        /// What was said.
        text: CallerText,
        /// 0 to 1.
        confidence: Option<f32>,
    },
    /// Audio without anything that the worker knows.
    NoMatch {
        /// Of the request.
        id: u64,
    },
    /// The speech for a sentence.
    Spoken {
        /// Of the request.
        id: u64,
        /// Hertz, of `audio`.
        sample_rate: u32,
        /// The speech.
        audio: Pcm,
    },
    /// It could not. Without an id: the request was not understood, or the worker
    /// cannot start at all.
    Failed {
        /// Of the request, where it is known.
        id: Option<u64>,
        /// What went wrong.
        error: WorkerFailure,
    },
}

impl Reply {
    /// The request it answers.
    #[must_use]
    pub const fn id(&self) -> Option<u64> {
        match self {
            Self::Ready(_) => None,
            Self::Recognised { id, .. } | Self::NoMatch { id } | Self::Spoken { id, .. } => {
                Some(*id)
            }
            Self::Failed { id, .. } => *id,
        }
    }
}

/// Why a worker could not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message} ({code})")]
pub struct WorkerFailure {
    /// For programs: a lower-case word such as `missing_library`.
    pub code: String,
    /// For people; holds no caller data.
    pub message: String,
}

impl WorkerFailure {
    /// A failure called `code`.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }
}

/// Why a line is no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not JSON, or not the fields that belong there.
    #[error("the line is not a message of this protocol (column {column})")]
    Malformed {
        /// Where the reader gave up, from 1.
        column: usize,
    },
    /// JSON, but neither ready nor a result nor an error.
    #[error("the line is neither ready nor a result nor an error")]
    Empty,
}

/// 16-bit samples; base64 of their little-endian bytes on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pcm(pub SpeechAudio);

impl Serialize for Pcm {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let samples = self.0.samples();
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        serializer.serialize_str(&STANDARD.encode(bytes))
    }
}

impl<'de> Deserialize<'de> for Pcm {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        let bytes =
            STANDARD.decode(text.as_bytes()).map_err(|_| D::Error::custom("pcm is no base64"))?;
        let (samples, rest) = bytes.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(D::Error::custom("pcm has an odd number of bytes"));
        }
        let samples: Vec<i16> = samples.iter().map(|bytes| i16::from_le_bytes(*bytes)).collect();
        Ok(Self(SpeechAudio::new(samples)))
    }
}

/// The line of `request`, line feed included.
#[must_use]
pub fn encode_request(request: &Request) -> Vec<u8> {
    line(request)
}

/// The line of `reply`, line feed included.
#[must_use]
pub fn encode_reply(reply: &Reply) -> Vec<u8> {
    line(&WireReply::from(reply.clone()))
}

/// Reads a request. Unknown fields are ignored.
///
/// # Errors
/// [`LineError::Malformed`].
pub fn decode_request(line: &[u8]) -> Result<Request, LineError> {
    serde_json::from_slice(line).map_err(malformed)
}

/// Reads a reply. Unknown fields are ignored.
///
/// # Errors
/// [`LineError`].
pub fn decode_reply(line: &[u8]) -> Result<Reply, LineError> {
    let wire: WireReply = serde_json::from_slice(line).map_err(malformed)?;
    wire.into_reply().ok_or(LineError::Empty)
}

/// All fields that a reply may have.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct WireReply {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready: Option<Ready>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<CallerText>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confidence: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_match: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pcm: Option<Pcm>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<WorkerFailure>,
}

impl WireReply {
    fn into_reply(self) -> Option<Reply> {
        if let Some(error) = self.error {
            return Some(Reply::Failed { id: self.id, error });
        }
        if let Some(ready) = self.ready {
            return Some(Reply::Ready(ready));
        }
        let id = self.id?;
        if self.no_match == Some(true) {
            return Some(Reply::NoMatch { id });
        }
        if let Some(audio) = self.pcm {
            let sample_rate = self.sample_rate.unwrap_or(WIRE_RATE_HZ);
            return Some(Reply::Spoken { id, sample_rate, audio });
        }
        let confidence = self.confidence.map(|value| value.clamp(0.0, 1.0));
        self.text.map(|text| Reply::Recognised { id, text, confidence })
    }
}

impl From<Reply> for WireReply {
    fn from(reply: Reply) -> Self {
        match reply {
            Reply::Ready(ready) => Self { ready: Some(ready), ..Self::default() },
            Reply::Recognised { id, text, confidence } => {
                Self { id: Some(id), text: Some(text), confidence, ..Self::default() }
            }
            Reply::NoMatch { id } => Self { id: Some(id), no_match: Some(true), ..Self::default() },
            Reply::Spoken { id, sample_rate, audio } => Self {
                id: Some(id),
                sample_rate: Some(sample_rate),
                pcm: Some(audio),
                ..Self::default()
            },
            Reply::Failed { id, error } => Self { id, error: Some(error), ..Self::default() },
        }
    }
}

fn line(message: &impl Serialize) -> Vec<u8> {
    // Strings, numbers and lists only: there is nothing in it that JSON cannot say.
    let mut line = serde_json::to_vec(message).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Keeps the column and not the text: that may quote what the caller said.
fn malformed(error: serde_json::Error) -> LineError {
    LineError::Malformed { column: error.column() }
}

const fn wire_rate() -> u32 {
    WIRE_RATE_HZ
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &[u8]) -> &str {
        std::str::from_utf8(line).unwrap()
    }

    fn pcm(samples: &[i16]) -> Pcm {
        Pcm(SpeechAudio::new(samples))
    }

    #[test]
    fn a_request_reads_as_documented() {
        let line = br#"{"id":7,"op":"transcribe","sample_rate":16000,"pcm":"AQD//w==","mood":1}"#;
        let expected = Request::Transcribe {
            id: 7,
            sample_rate: 16_000,
            pcm: pcm(&[1, -1]),
            language: String::new(),
        };
        assert_eq!(decode_request(line), Ok(expected.clone()));
        assert_eq!(decode_request(&encode_request(&expected)), Ok(expected));
        assert_eq!(decode_request(b"{\"op\":\"hello\"}"), Ok(Request::Hello));
    }

    #[test]
    fn replies_are_written_as_documented() {
        let replies = [
            Reply::Recognised { id: 7, text: "book a room".into(), confidence: Some(0.5) },
            Reply::NoMatch { id: 7 },
            Reply::Spoken { id: 8, sample_rate: 16_000, audio: pcm(&[1, -1]) },
            Reply::Failed { id: None, error: WorkerFailure::new("bad_line", "no") },
            Reply::Ready(Ready {
                protocol: 1,
                engine: "flite".to_owned(),
                capabilities: vec![Capability::Synthesize],
            }),
        ];
        let lines: Vec<Vec<u8>> = replies.iter().map(encode_reply).collect();
        assert_eq!(
            lines.iter().map(|line| text(line)).collect::<String>(),
            concat!(
                "{\"id\":7,\"text\":\"book a room\",\"confidence\":0.5}\n",
                "{\"id\":7,\"no_match\":true}\n",
                "{\"id\":8,\"sample_rate\":16000,\"pcm\":\"AQD//w==\"}\n",
                "{\"error\":{\"code\":\"bad_line\",\"message\":\"no\"}}\n",
                "{\"ready\":{\"protocol\":1,\"engine\":\"flite\",\"capabilities\":[\"synthesize\"]}}\n",
            )
        );
        for (reply, line) in replies.iter().zip(&lines) {
            assert_eq!(decode_reply(line).as_ref(), Ok(reply));
        }
    }

    #[test]
    fn a_line_that_is_no_message_is_an_error_that_quotes_nothing() {
        let lines: [&[u8]; 6] = [
            b"",
            b"four one one one",
            b"{\"op\":\"sing\",\"text\":\"4111\"}",
            b"{\"id\":1,\"op\":\"transcribe\",\"sample_rate\":16000,\"pcm\":\"AQ==\"}",
            b"{\"id\":1,\"op\":\"transcribe\",\"sample_rate\":16000,\"pcm\":\"4111 \"}",
            b"\xff\xfe",
        ];
        for line in lines {
            let error = decode_request(line).unwrap_err();
            assert!(!error.to_string().contains("4111"), "{error}");
        }
        assert_eq!(decode_reply(b"{\"id\":3}"), Err(LineError::Empty));
    }

    #[test]
    fn a_worker_may_be_able_to_do_more_than_this_version_knows() {
        let line = br#"{"ready":{"protocol":1,"engine":"mine","capabilities":["sing"]}}"#;
        let Ok(Reply::Ready(ready)) = decode_reply(line) else { panic!("no ready line") };
        assert_eq!(ready.capabilities, [Capability::Unknown]);
    }

    #[test]
    fn the_longest_utterance_of_a_call_fits_in_a_line() {
        let pcm = pcm(&vec![0; 31 * WIRE_RATE_HZ as usize]);
        let language = "en-US".to_owned();
        let request = Request::Transcribe { id: u64::MAX, sample_rate: 16_000, pcm, language };
        assert!(encode_request(&request).len() < LINE_BYTES_MAX);
    }
}
