//! The way to an engine: a WebSocket, over TLS or not, and why there is none.

use std::time::Duration;

use reqwest::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::load::connection::{Trust, Unconnected, connect_tcp, is_tls};
use crate::types::TlsFault;

/// Longest wait for the connection.
pub(super) const CONNECT_MS_MAX: u64 = 5_000;
/// Largest message taken: more than a minute of hex at 16 kHz.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// Why a call could not be placed or did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The address is none.
    #[error("{url:?} is no WebSocket address: use ws://host:port or wss://host:port")]
    Url {
        /// What was given.
        url: String,
    },
    /// Another protocol is spoken there.
    #[error(
        "{url} is the audio stream, and `antiphon call` speaks the simulator protocol: use the \
         engine's simulator address (ws://host:8765), or `antiphon load --calls 1 --url {url}`"
    )]
    Stream {
        /// What was given.
        url: String,
    },
    /// Nobody answers.
    #[error("no engine answers at {address}: start one with `antiphon serve`")]
    Connect {
        /// Host and port.
        address: String,
        /// What the connection said.
        source: Box<tungstenite::Error>,
    },
    /// Somebody answers, and speaks TLS only, or not at all.
    #[error("what answers at {address} speaks no {tried}: use {instead}://{address}")]
    Scheme {
        /// Host and port.
        address: String,
        /// The scheme of the address.
        tried: &'static str,
        /// The other one.
        instead: &'static str,
    },
    /// Somebody answers with whom there is no TLS.
    #[error("no TLS with {address}: {fault}")]
    Tls {
        /// Host and port.
        address: String,
        /// What is wrong.
        fault: TlsFault,
    },
    /// The engine did not take the call.
    #[error("the engine refused the call with {status}: {reason}")]
    Refused {
        /// The HTTP status, or the close code 1013.
        status: u16,
        /// The engine's words.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection was lost in mid-call")]
    Lost(#[source] Box<tungstenite::Error>),
    /// The engine stopped reading or never answered.
    #[error("the engine did not {0} in time")]
    Stalled(&'static str),
    /// The engine sent something that the protocol does not know.
    #[error("the engine sent a message that is not understood: {0}")]
    Message(String),
}

/// A connection to an engine.
pub(super) type Socket = WebSocketStream<Box<dyn Duplex>>;

/// What is below it.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// Connects, within a time.
pub(super) async fn connect(url: &Url) -> Result<Socket, CallError> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX));
    let connecting = async {
        let stream = open(url).await.map_err(|error| unconnected(url, error))?;
        let socket = client_async_with_config(url.as_str(), stream, Some(config)).await;
        socket.map(|(socket, _)| socket).map_err(|error| not_taken(url, error))
    };
    let connected = timeout(Duration::from_millis(CONNECT_MS_MAX), connecting).await;
    connected.unwrap_or(Err(CallError::Stalled("answer the connection")))
}

async fn open(url: &Url) -> Result<Box<dyn Duplex>, Unconnected> {
    let tcp = connect_tcp(url).await?;
    if !is_tls(url) {
        return Ok(Box::new(tcp));
    }
    Ok(Box::new(Trust::of_the_system()?.connect(url, tcp).await?))
}

fn unconnected(url: &Url, error: Unconnected) -> CallError {
    let address = url.authority().to_owned();
    match error {
        Unconnected::Io(source) => {
            CallError::Connect { address, source: Box::new(tungstenite::Error::Io(source)) }
        }
        Unconnected::Tls(TlsFault::NotTls) => {
            CallError::Scheme { address, tried: "wss", instead: "ws" }
        }
        Unconnected::Tls(fault) => CallError::Tls { address, fault },
    }
}

/// There is no room for the call.
pub(super) fn refused(close: &CloseFrame) -> CallError {
    CallError::Refused { status: close.code.into(), reason: close.reason.to_string() }
}

fn not_taken(url: &Url, error: tungstenite::Error) -> CallError {
    match error {
        tungstenite::Error::Http(response) => CallError::Refused {
            status: response.status().as_u16(),
            reason: String::from_utf8_lossy(response.body().as_deref().unwrap_or_default())
                .into_owned(),
        },
        // A port with TLS answers with bytes that are no HTTP.
        tungstenite::Error::Protocol(ProtocolError::HttparseError(_)) if !is_tls(url) => {
            let address = url.authority().to_owned();
            CallError::Scheme { address, tried: "ws", instead: "wss" }
        }
        error => {
            CallError::Connect { address: url.authority().to_owned(), source: Box::new(error) }
        }
    }
}
