//! The messages of the audio stream. Pure: binary messages pass as they are, text
//! messages are control. It neither cuts nor joins audio; the leg carries odd
//! bytes over.

use serde::{Deserialize, Serialize};

use crate::actors::link::LegCommand;
use crate::transports::websocket::{Decoder, Encoder, Inbound, Outbound, Rejection, WireMessage};
use crate::types::{CallEvent, CallId, Epoch, SampleRate};

/// Reads one connection's messages.
#[derive(Clone, Copy, Debug)]
pub(in crate::transports) struct StreamDecoder;

impl Decoder for StreamDecoder {
    fn decode<'a>(&'a mut self, message: WireMessage<'a>) -> Result<Inbound<'a>, Rejection> {
        match message {
            WireMessage::Binary(bytes) => Ok(Inbound::Bytes(bytes)),
            WireMessage::Text(text) => match serde_json::from_str(text) {
                Ok(Control::Hangup {}) => Ok(Inbound::HangUp),
                Err(_) => Err(Rejection {
                    code: "bad_control",
                    message: r#"the text message is not understood: send {"type":"hangup"}, and audio as binary messages"#
                        .to_owned(),
                    seq: None,
                }),
            },
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Control {
    Hangup {},
}

/// Writes one connection's messages.
#[derive(Debug)]
pub(in crate::transports) struct StreamEncoder {
    wants_events: bool,
    epoch: Epoch,
}

impl StreamEncoder {
    /// `wants_events` adds the events of the call to the control messages.
    pub(super) const fn new(wants_events: bool) -> Self {
        Self { wants_events, epoch: Epoch(0) }
    }

    /// What the client is told first.
    pub(super) fn started(call_id: CallId, resumed: bool, rate: SampleRate) -> Outbound {
        Outbound::json(&Message::Started { call_id, resumed, sample_rate: rate.hz() })
    }
}

impl Encoder for StreamEncoder {
    fn encode(&mut self, command: &LegCommand) -> Vec<Outbound> {
        let message = match command {
            LegCommand::Audio { epoch, bytes, .. } if *epoch >= self.epoch => {
                Outbound::Binary(bytes.clone())
            }
            LegCommand::Flush { epoch } => {
                self.epoch = *epoch;
                Outbound::json(&Message::Flush { epoch: *epoch })
            }
            LegCommand::Event(event) if self.wants_events => {
                Outbound::json(&Message::Event { event })
            }
            LegCommand::End { cause } => Outbound::json(&Message::End { cause: cause.as_str() }),
            // Audio that came too late, events nobody asked for, and whole
            // sentences, which only legs get that asked for them.
            LegCommand::Audio { .. }
            | LegCommand::Event(_)
            | LegCommand::Sentence { .. }
            | LegCommand::Superseded => return Vec::new(),
        };
        vec![message]
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Message<'a> {
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
    use std::sync::Arc;

    use super::*;
    use crate::types::{CallEventKind, EndCause, MediaTime};

    fn audio(epoch: u32) -> LegCommand {
        LegCommand::Audio {
            epoch: Epoch(epoch),
            position: 0,
            bytes: Bytes::from_static(b"\x01\x00"),
        }
    }

    fn event() -> LegCommand {
        LegCommand::Event(Arc::new(CallEvent {
            sequence: 4,
            turn: None,
            audio_at: MediaTime(16),
            kind: CallEventKind::SpeechStarted { at: MediaTime(8) },
        }))
    }

    fn sent(encoder: &mut StreamEncoder, commands: &[LegCommand]) -> Vec<String> {
        let line = |message| match message {
            Outbound::Text(text) => text,
            Outbound::Binary(bytes) => format!("{} bytes", bytes.len()),
        };
        commands.iter().flat_map(|command| encoder.encode(command)).map(line).collect()
    }

    #[test]
    fn audio_of_any_size_passes_as_it_is() {
        for bytes in [&b""[..], b"\x01", b"\x01\x02\x03"] {
            let mut decoder = StreamDecoder;
            let decoded = decoder.decode(WireMessage::Binary(bytes)).ok();
            assert_eq!(decoded, Some(Inbound::Bytes(bytes)));
        }
    }

    #[test]
    fn hangup_ends_the_call_and_any_other_text_is_refused() {
        let verdict = |text| match StreamDecoder.decode(WireMessage::Text(text)) {
            Ok(inbound) => inbound == Inbound::HangUp,
            Err(_) => false,
        };
        let texts = [r#"{"type":"hangup"}"#, r#"{"type":"hangup","why":1}"#, "hangup", "{}", ""];
        assert_eq!(texts.map(verdict), [true, true, false, false, false]);
    }

    #[test]
    fn commands_go_out_in_order_and_audio_before_a_flush_does_not_come_after_it() {
        let flush = LegCommand::Flush { epoch: Epoch(1) };
        let end = LegCommand::End { cause: EndCause::CallerHungUp };
        let lines = sent(
            &mut StreamEncoder::new(true),
            &[audio(0), flush, audio(0), audio(1), event(), end],
        );
        assert_eq!(
            lines,
            [
                "2 bytes",
                r#"{"type":"flush","epoch":1}"#,
                "2 bytes",
                r#"{"type":"event","sequence":4,"turn":null,"audio_at":16,"kind":{"event":"speech_started","at":8}}"#,
                r#"{"type":"end","cause":"caller_hung_up"}"#,
            ]
        );
    }

    #[test]
    fn a_client_may_do_without_events() {
        assert!(sent(&mut StreamEncoder::new(false), &[event()]).is_empty());
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_a_panic(text: String) {
            prop_assert!(StreamDecoder.decode(WireMessage::Text(&text)).is_err());
        }
    }
}
