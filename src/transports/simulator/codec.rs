//! The messages of the simulator protocol. Pure: text to samples, leg commands
//! to text. It neither orders nor paces audio.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::actors::link::LegCommand;
use crate::transports::hex::{self, HexError};
use crate::transports::websocket::{Decoder, Encoder, Inbound, Outbound, Rejection, WireMessage};
use crate::types::{CallEvent, CallId, Epoch, SampleRate};

/// Longest piece of a sentence in one message. At 16 kHz this is 960 kB of hex,
/// within the 1 MiB that common WebSocket clients accept.
const SENTENCE_MS_MAX: u32 = 15_000;

/// Samples of the decoding buffer that a connection keeps for the next chunk.
const KEPT_SAMPLES_MAX: usize = 1 << 15;

/// Reads one connection's messages.
#[derive(Debug, Default)]
pub(in crate::transports) struct SimulatorDecoder {
    samples: Vec<i16>,
    seq: Option<u64>,
    taken_seq: Option<u64>,
}

impl Decoder for SimulatorDecoder {
    fn decode<'a>(&'a mut self, message: WireMessage<'a>) -> Result<Inbound<'a>, Rejection> {
        self.seq = None;
        self.samples.shrink_to(KEPT_SAMPLES_MAX);
        let decoded = match message {
            WireMessage::Text(text) => self.decode_text(text),
            WireMessage::Binary(_) => Err(MessageError::Binary),
        };
        match decoded {
            Ok(()) => Ok(Inbound::Samples(&self.samples)),
            Err(error) => {
                Err(Rejection { code: error.code(), message: error.to_string(), seq: self.seq })
            }
        }
    }

    fn accepted(&mut self) {
        self.taken_seq = self.seq;
    }

    fn seq(&self) -> Option<u64> {
        self.seq
    }
}

impl SimulatorDecoder {
    fn decode_text(&mut self, text: &str) -> Result<(), MessageError> {
        let chunk: AudioChunk<'_> = match serde_json::from_str(text) {
            Ok(chunk) => chunk,
            Err(_) => return Err(diagnose(text)),
        };
        if chunk.kind != AUDIO_CHUNK {
            return Err(MessageError::UnknownType);
        }
        self.seq = chunk.seq;
        if self.seq.is_some_and(|seq| seq > 0) && self.seq == self.taken_seq {
            return Err(MessageError::Repeated);
        }
        hex::decode_samples(chunk.pcm.as_bytes(), &mut self.samples)?;
        Ok(())
    }
}

const AUDIO_CHUNK: &str = "audio_chunk";

#[derive(Deserialize)]
struct AudioChunk<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    pcm: Cow<'a, str>,
    #[serde(default, rename = "timestamp")]
    _timestamp_s: Option<f64>,
    #[serde(default)]
    seq: Option<u64>,
}

/// Why a message is refused.
#[derive(Debug, PartialEq, thiserror::Error)]
enum MessageError {
    #[error("the message is not JSON: {0}")]
    Json(String),
    #[error("the message is not a JSON object")]
    NotAnObject,
    #[error("the message is binary: send audio as hex in a JSON text message")]
    Binary,
    #[error("the message type is unknown: use audio_chunk")]
    UnknownType,
    #[error("{field} is missing or has the wrong type: it must be {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error("a field is given twice")]
    FieldTwice,
    #[error("pcm is not audio: {0}")]
    Hex(#[from] HexError),
    #[error("the chunk repeats the seq of the one before: it was not taken a second time")]
    Repeated,
}

impl MessageError {
    const fn code(&self) -> &'static str {
        match self {
            Self::Json(_) | Self::NotAnObject => "bad_json",
            Self::Binary => "binary_message",
            Self::UnknownType => "unknown_type",
            Self::Field { .. } | Self::FieldTwice => "bad_field",
            Self::Hex(HexError::OddBytes { .. }) => "odd_byte_count",
            Self::Hex(_) => "bad_hex",
            Self::Repeated => "duplicate_seq",
        }
    }
}

/// Finds out what is wrong with a message that is no [`AudioChunk`]. Slow, and
/// only for messages that are refused anyway.
fn diagnose(text: &str) -> MessageError {
    let message = match serde_json::from_str::<Value>(text) {
        Ok(Value::Object(message)) => message,
        Ok(_) => return MessageError::NotAnObject,
        // Syntax errors name a place, never the content.
        Err(error) => return MessageError::Json(error.to_string()),
    };
    let wrong = |field, expected| MessageError::Field { field, expected };
    let is_absent_or = |field: &str, is_right: fn(&Value) -> bool| {
        message.get(field).is_none_or(|value| value.is_null() || is_right(value))
    };
    match message.get("type") {
        Some(Value::String(kind)) if kind == AUDIO_CHUNK => {}
        Some(Value::String(_)) => return MessageError::UnknownType,
        _ => return wrong("type", "the string audio_chunk"),
    }
    if !message.get("pcm").is_some_and(Value::is_string) {
        wrong("pcm", "a string of hex digits")
    } else if !is_absent_or("timestamp", Value::is_number) {
        wrong("timestamp", "a number of seconds")
    } else if !is_absent_or("seq", Value::is_u64) {
        wrong("seq", "a whole number from 0")
    } else {
        MessageError::FieldTwice
    }
}

/// Writes one connection's messages.
#[derive(Debug)]
pub(in crate::transports) struct SimulatorEncoder {
    rate: SampleRate,
    wants_events: bool,
    epoch: Epoch,
}

impl SimulatorEncoder {
    /// Writes audio at `rate`; `wants_events` adds everything but audio.
    pub(super) const fn new(rate: SampleRate, wants_events: bool) -> Self {
        Self { rate, wants_events, epoch: Epoch(0) }
    }

    /// What a client that wants events is told first.
    pub(super) fn started(&self, call_id: CallId, resumed: bool) -> Vec<Outbound> {
        self.event(&Message::Started { call_id, resumed, sample_rate: self.rate.hz() })
    }

    fn event(&self, message: &Message<'_>) -> Vec<Outbound> {
        if self.wants_events { vec![Outbound::json(message)] } else { Vec::new() }
    }

    fn sentence(&self, sentence: u32, intent: Option<&str>, bytes: &[u8]) -> Vec<Outbound> {
        let piece_bytes = 2 * self.rate.samples_in_ms(SENTENCE_MS_MAX);
        bytes
            .chunks(piece_bytes)
            .map(|piece| {
                Outbound::json(&Message::TtsAudio {
                    pcm: hex::encode(piece),
                    intent: intent.unwrap_or_default(),
                    sentence,
                    epoch: self.epoch,
                    sample_rate: self.rate.hz(),
                })
            })
            .collect()
    }
}

impl Encoder for SimulatorEncoder {
    fn encode(&mut self, command: &LegCommand) -> Vec<Outbound> {
        match command {
            LegCommand::Sentence { epoch, .. } if *epoch < self.epoch => Vec::new(),
            LegCommand::Sentence { epoch, sentence, intent, bytes } => {
                self.epoch = *epoch;
                self.sentence(sentence.0, intent.as_deref(), bytes)
            }
            // Only legs that asked for paced audio get it; this one asks for sentences.
            LegCommand::Audio { .. } | LegCommand::Superseded => Vec::new(),
            LegCommand::Flush { epoch } => {
                self.epoch = *epoch;
                self.event(&Message::Flush { epoch: *epoch })
            }
            LegCommand::Event(event) => self.event(&Message::Event { event }),
            LegCommand::End { cause } => self.event(&Message::End { cause: cause.as_str() }),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
    TtsAudio {
        pcm: String,
        intent: &'a str,
        sentence: u32,
        epoch: Epoch,
        sample_rate: u32,
    },
    Started {
        call_id: CallId,
        resumed: bool,
        sample_rate: u32,
    },
    Event {
        #[serde(flatten)]
        event: &'a CallEvent,
    },
    Flush {
        epoch: Epoch,
    },
    End {
        cause: &'a str,
    },
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::types::{EndCause, SentenceId};

    /// Feeds text messages, each taken by the call, and writes down what each was.
    fn verdicts(messages: &[&str]) -> Vec<Result<usize, &'static str>> {
        let mut decoder = SimulatorDecoder::default();
        let verdict = |message: &&str| match decoder.decode(WireMessage::Text(message)) {
            Ok(Inbound::Samples(samples)) => {
                let count = samples.len();
                decoder.accepted();
                Ok(count)
            }
            Ok(other) => panic!("the protocol has no {other:?}"),
            Err(rejection) => Err(rejection.code),
        };
        messages.iter().map(verdict).collect()
    }

    fn chunk(seq: u64) -> String {
        format!(r#"{{"type":"audio_chunk","pcm":"01000200","timestamp":0.5,"seq":{seq}}}"#)
    }

    #[test]
    fn a_chunk_becomes_its_samples() {
        let mut decoder = SimulatorDecoder::default();
        let text = r#"{"type":"audio_chunk","pcm":"0100fFfF","timestamp":1.5,"seq":0}"#;
        assert_eq!(decoder.decode(WireMessage::Text(text)), Ok(Inbound::Samples(&[1, -1])));
    }

    #[test]
    fn the_order_of_fields_extra_fields_and_missing_numbers_do_not_matter() {
        let messages = [
            r#"{"seq":1,"pcm":"0100","more":{"a":[1]},"type":"audio_chunk","timestamp":3}"#,
            r#"{"type":"audio_chunk","pcm":"0100"}"#,
            r#"{"type":"audio_chunk","pcm":"","timestamp":null,"seq":null}"#,
            r#"{"type":"audio\u005fchunk","pcm":"\u0030100","seq":2}"#,
        ];
        assert_eq!(verdicts(&messages), [Ok(1), Ok(1), Ok(0), Ok(1)]);
    }

    #[test]
    fn a_wrong_field_is_named() {
        let refused = [
            ("pcm", r#"{"type":"audio_chunk","pcm":5,"timestamp":0,"seq":1}"#),
            ("pcm", r#"{"type":"audio_chunk","timestamp":0,"seq":1}"#),
            ("timestamp", r#"{"type":"audio_chunk","pcm":"","timestamp":"now","seq":1}"#),
            ("seq", r#"{"type":"audio_chunk","pcm":"","timestamp":0,"seq":"1"}"#),
            ("seq", r#"{"type":"audio_chunk","pcm":"","timestamp":0,"seq":-1}"#),
            ("seq", r#"{"type":"audio_chunk","pcm":"","timestamp":0,"seq":1.5}"#),
            ("type", r#"{"pcm":"","timestamp":0,"seq":1}"#),
            ("type", r#"{"type":7}"#),
        ];
        for (field, text) in refused {
            let mut decoder = SimulatorDecoder::default();
            let rejection = decoder.decode(WireMessage::Text(text)).expect_err("must be refused");
            assert_eq!(rejection.code, "bad_field");
            assert!(rejection.message.starts_with(field), "{}", rejection.message);
        }
    }

    #[test]
    fn what_is_no_chunk_is_refused_by_name() {
        let messages = [
            "",
            "{",
            "[1]",
            "NaN",
            r#"{"type":"hello"}"#,
            r#"{"type":"audio_chunk","pcm":"0","seq":1}"#,
            r#"{"type":"audio_chunk","pcm":"00xx","seq":1}"#,
            r#"{"type":"audio_chunk","pcm":"010203","seq":1}"#,
            r#"{"type":"audio_chunk","pcm":"0100","pcm":"0200","seq":1}"#,
        ];
        let codes = [
            "bad_json",
            "bad_json",
            "bad_json",
            "bad_json",
            "unknown_type",
            "bad_hex",
            "bad_hex",
            "odd_byte_count",
            "bad_field",
        ];
        assert_eq!(verdicts(&messages), codes.map(Err));
        let mut decoder = SimulatorDecoder::default();
        let refused = decoder.decode(WireMessage::Binary(&[1, 0])).expect_err("must be refused");
        assert_eq!(refused.code, "binary_message");
    }

    #[test]
    fn odd_numbers_cost_no_audio_and_only_an_exact_repeat_is_refused() {
        let numbered = |numbers: &[u64]| {
            let chunks: Vec<String> = numbers.iter().copied().map(chunk).collect();
            verdicts(&chunks.iter().map(String::as_str).collect::<Vec<_>>())
        };
        assert_eq!(numbered(&[0, 0, 0]), [Ok(2), Ok(2), Ok(2)]);
        assert_eq!(numbered(&[7, 9, 8, 1]), [Ok(2), Ok(2), Ok(2), Ok(2)]);
        assert_eq!(numbered(&[1, 2, 2, 3]), [Ok(2), Ok(2), Err("duplicate_seq"), Ok(2)]);
    }

    #[test]
    fn a_refused_chunk_does_not_use_up_its_number() {
        let bad = r#"{"type":"audio_chunk","pcm":"01","timestamp":0,"seq":5}"#;
        assert_eq!(verdicts(&[bad, &chunk(5)]), [Err("odd_byte_count"), Ok(2)]);

        let mut decoder = SimulatorDecoder::default();
        for _ in 0..2 {
            // The call had no room: `accepted` was not called.
            assert!(decoder.decode(WireMessage::Text(&chunk(5))).is_ok());
            assert_eq!(decoder.seq(), Some(5));
        }
    }

    fn sentence(epoch: u32, samples: usize) -> LegCommand {
        LegCommand::Sentence {
            epoch: Epoch(epoch),
            sentence: SentenceId(3),
            intent: Some("book \"room\"".to_owned()),
            bytes: Bytes::from(vec![0xab; samples * 2]),
        }
    }

    fn texts(messages: Vec<Outbound>) -> Vec<Value> {
        let parse = |message| match message {
            Outbound::Text(text) => serde_json::from_str(&text).expect("valid JSON"),
            Outbound::Binary(_) => panic!("the protocol sends text only"),
        };
        messages.into_iter().map(parse).collect()
    }

    fn encoder(wants_events: bool) -> SimulatorEncoder {
        SimulatorEncoder::new(SampleRate::new(8_000).expect("supported"), wants_events)
    }

    #[test]
    fn a_sentence_is_one_message_with_its_intent() {
        let sent = texts(encoder(false).encode(&sentence(0, 2)));
        let expected = serde_json::json!({
            "type": "tts_audio", "pcm": "abababab", "intent": "book \"room\"",
            "sentence": 3, "epoch": 0, "sample_rate": 8_000,
        });
        assert_eq!(sent, [expected]);
    }

    #[test]
    fn a_very_long_sentence_is_cut_into_messages_that_clients_accept() {
        let sent = texts(encoder(false).encode(&sentence(0, 8_000 * 20)));
        let lengths: Vec<_> = sent.iter().map(|m| m["pcm"].as_str().map(str::len)).collect();
        assert_eq!(lengths, [Some(8_000 * 15 * 4), Some(8_000 * 5 * 4)]);
    }

    #[test]
    fn a_client_that_asked_for_nothing_gets_nothing_but_sentences() {
        let mut plain = encoder(false);
        assert_eq!(plain.started(CallId::from_bits(1), false), []);
        assert_eq!(plain.encode(&LegCommand::Flush { epoch: Epoch(1) }), []);
        assert_eq!(plain.encode(&LegCommand::End { cause: EndCause::DialogEnded }), []);

        let mut curious = encoder(true);
        let flush = texts(curious.encode(&LegCommand::Flush { epoch: Epoch(1) }));
        assert_eq!(flush, [serde_json::json!({"type": "flush", "epoch": 1})]);
        let end = texts(curious.encode(&LegCommand::End { cause: EndCause::DialogEnded }));
        assert_eq!(end, [serde_json::json!({"type": "end", "cause": "dialog_ended"})]);
    }

    #[test]
    fn audio_of_an_epoch_before_the_last_flush_is_not_sent() {
        let mut encoder = encoder(false);
        encoder.encode(&LegCommand::Flush { epoch: Epoch(2) });
        assert_eq!(encoder.encode(&sentence(1, 2)), []);
        assert_eq!(encoder.encode(&sentence(2, 2)).len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text: String) {
            prop_assert!(verdicts(&[&text])[0].is_err());
        }

        #[test]
        fn any_samples_come_through(samples: Vec<i16>, seq: u64, timestamp: f64) {
            let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            let text = serde_json::json!({
                "type": "audio_chunk", "pcm": hex::encode(&bytes), "timestamp": timestamp, "seq": seq,
            }).to_string();
            let mut decoder = SimulatorDecoder::default();
            let decoded = decoder.decode(WireMessage::Text(&text));
            prop_assert_eq!(decoded, Ok(Inbound::Samples(&samples)));
        }
    }
}
