//! The simulator protocol from the caller's side, written from its description
//! and not shared with the engine: a caller that used the engine's own codec
//! could not find a mistake in it.

use std::fmt::Write as _;

use serde::Deserialize;

use crate::types::{CallEvent, SampleRate};

/// What the engine says.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// A sentence, or a part of one.
    TtsAudio {
        /// Hex of 16-bit little-endian samples.
        pcm: String,
        /// What the caller wanted, or what the engine says by itself: `greeting` and others.
        #[serde(default)]
        intent: String,
    },
    /// It did not like something.
    Error {
        code: String,
        #[serde(default)]
        message: String,
    },
    /// Something happened in the call.
    Event {
        #[serde(flatten)]
        event: Box<CallEvent>,
    },
    /// What was not heard yet is not to be heard.
    Flush {},
    /// The call is over.
    End { cause: String },
    /// Anything newer than this caller.
    #[serde(other)]
    Other,
}

/// Writes one message of audio into `text`, which it replaces.
pub(super) fn write_chunk(
    text: &mut String,
    sequence: u64,
    at: u64,
    rate: SampleRate,
    samples: &[i16],
) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.clear();
    text.reserve(samples.len() * 4 + 80);
    text.push_str(r#"{"type":"audio_chunk","pcm":""#);
    for byte in samples.iter().flat_map(|sample| sample.to_le_bytes()) {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    let seconds = at as f64 / f64::from(rate.hz());
    // Writing into a String cannot fail.
    let _infallible = write!(text, r#"","timestamp":{seconds:.4},"seq":{sequence}}}"#);
}

/// The samples of `hex`; `None` if it is not whole samples in hex.
pub(super) fn read_samples(hex: &str) -> Option<Vec<i16>> {
    if !hex.len().is_multiple_of(4) {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).map(|value| value as u8);
    let byte = |pair: &[u8]| Some((value(pair[0])? << 4) | value(pair[1])?);
    hex.as_bytes()
        .chunks_exact(4)
        .map(|digits| Some(i16::from_le_bytes([byte(&digits[..2])?, byte(&digits[2..])?])))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CallEventKind;

    #[test]
    fn a_chunk_is_written_as_the_protocol_says() {
        let mut text = "old".to_owned();
        let rate = SampleRate::new(8_000).expect("8 kHz is supported");
        write_chunk(&mut text, 7, 4_000, rate, &[1, -2]);
        assert_eq!(text, r#"{"type":"audio_chunk","pcm":"0100feff","timestamp":0.5000,"seq":7}"#);
    }

    #[test]
    fn samples_are_read_back_and_anything_else_is_refused() {
        assert_eq!(read_samples("0100FEff"), Some(vec![1, -2]));
        assert_eq!(read_samples(""), Some(vec![]));
        assert_eq!(read_samples("010"), None);
        assert_eq!(read_samples("01zz"), None);
        assert_eq!(read_samples("ü10"), None);
    }

    #[test]
    fn messages_are_understood_with_fields_this_caller_does_not_know() {
        let read = |text: &str| serde_json::from_str::<Message>(text).expect("a message");
        let reply = read(r#"{"type":"tts_audio","pcm":"0100","intent":"goodbye","epoch":3}"#);
        assert!(matches!(reply, Message::TtsAudio { intent, .. } if intent == "goodbye"));
        assert!(matches!(read(r#"{"type":"flush","epoch":1}"#), Message::Flush {}));
        assert!(matches!(read(r#"{"type":"news","more":[1]}"#), Message::Other));
        let event = r#"{"type":"event","sequence":4,"turn":1,"audio_at":160,
            "kind":{"event":"bot_turn_stopped","heard":"hello"}}"#;
        let Message::Event { event } = read(event) else { panic!("no event") };
        assert!(matches!(event.kind, CallEventKind::BotTurnStopped { .. }));
    }
}
