//! Carriers: how audio comes in and goes out, one folder per protocol.
//!
//! Each protocol is a pure codec (bytes to events and back, no IO) and a thin
//! connection that carries it. All they know of a call is
//! [`crate::actors::link`]: they connect a leg, give it bytes and carry out its
//! commands. A transport decides nothing about the conversation, keeps no state
//! of a call beyond its own connection, and never waits for one call while
//! serving another.
//!
//! | protocol | where | for |
//! |---|---|---|
//! | [`simulator`] | WebSocket, a port of its own | JSON with hex audio, whole sentences back |
//! | [`http_callback`] | `/v1/calls` | numbered audio posts, reply by body, stream or callback |
//! | [`stream`] | `/v1/stream` | WebSocket, raw audio both ways, paced |
//!
//! Each of them may be under TLS: [`Tls`] belongs to a [`Port`], not to a protocol.

pub mod hex;
pub mod http_callback;
pub mod simulator;
pub mod stream;

mod access;
mod allowance;
mod answer;
mod guests;
mod http_stream;
mod listener;
mod patience;
mod query;
mod read_ahead;
mod refusal;
mod tls;
mod visitors;
mod websocket;

pub use access::Access;
pub use listener::Port;
pub use tls::{CertificateError, CertificateFiles, Tls};
pub use visitors::Places;

#[cfg(test)]
mod tests;
