//! What every WebSocket carrier needs, whatever it says in its messages: bounded
//! messages in, nothing kept for who does not read, pings, close codes, and the loop
//! that joins a socket to a leg. It knows no protocol: a [`Door`] says who may come
//! in, a [`Decoder`] and an [`Encoder`] say what messages mean.

mod carry;
mod connection;
mod door;
mod meter;
mod pongs;
mod socket;
#[cfg(test)]
mod tests;

use actix_web::web::Bytes;
use serde::Serialize;

use carry::carry;
use socket::Socket;

pub(super) use connection::SEND_BUFFER_BYTES;
pub(super) use door::{Door, Opened, not_a_websocket, upgrade};
pub(super) use socket::SocketLimits;

use super::refusal::Refusal;
use crate::actors::link::LegCommand;

/// A whole message from the carrier, put together from its fragments.
#[derive(Clone, Copy, Debug)]
pub(super) enum WireMessage<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// A whole message to the carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outbound {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
}

impl Outbound {
    /// A JSON text message.
    pub(super) fn json(message: &impl Serialize) -> Self {
        Self::Text(to_json(message))
    }
}

fn to_json(message: &impl Serialize) -> String {
    // Fails only for maps with keys that are no strings; no message has one.
    serde_json::to_string(message).unwrap_or_default()
}

/// What a message of the carrier means for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inbound<'a> {
    /// Caller audio as samples.
    Samples(&'a [i16]),
    /// Caller audio as bytes of a stream; a sample may be cut in two.
    Bytes(&'a [u8]),
    /// The caller ends the call.
    HangUp,
}

/// Why a message of the carrier was not taken. The carrier gets it as
/// `{"type":"error","code":…,"message":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rejection {
    /// For programs.
    pub code: &'static str,
    /// For people: what was wrong and what to do.
    pub message: String,
    /// Number of the chunk that was refused, where it had one.
    pub seq: Option<u64>,
}

impl Rejection {
    fn to_outbound(&self) -> Outbound {
        Outbound::Text(self.to_json())
    }

    fn to_json(&self) -> String {
        to_json(&ErrorMessage {
            kind: "error",
            code: self.code,
            message: &self.message,
            seq: self.seq,
        })
    }
}

impl From<&Refusal> for Rejection {
    fn from(refusal: &Refusal) -> Self {
        Self { code: refusal.code(), message: refusal.to_string(), seq: None }
    }
}

/// Reads a protocol's messages. Pure.
pub(super) trait Decoder {
    /// What `message` means.
    fn decode<'a>(&'a mut self, message: WireMessage<'a>) -> Result<Inbound<'a>, Rejection>;

    /// The call took the audio of the last message. Without this the message
    /// counts as never sent.
    fn accepted(&mut self) {}

    /// Number of the chunk in the last message, where the protocol has numbers.
    fn seq(&self) -> Option<u64> {
        None
    }
}

/// Writes a protocol's messages. Pure.
pub(super) trait Encoder {
    /// The messages that carry out `command`, in order; often none.
    fn encode(&mut self, command: &LegCommand) -> Vec<Outbound>;
}

#[derive(Serialize)]
struct ErrorMessage<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    code: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
}
