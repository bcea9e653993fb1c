//! One WebSocket: whole messages in, whole messages out, both bounded. It
//! answers pings, sends its own, and tells an orderly close from a lost
//! connection. It never reads or writes what the messages say.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, Payload};
use actix_web::{FromRequest, HttpRequest, HttpResponse, dev};
use actix_ws::{
    AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, ProtocolError, Session,
};
use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout, timeout_at};

use super::Outbound;
use super::frames::{FrameGuard, TooLarge};
use crate::config::LimitSettings;
use crate::transports::refusal::Refusal;

/// Bytes that may wait for a peer that reads slowly, besides the message that
/// passes this mark.
const BACKLOG_BYTES_MAX: usize = 1 << 20;

/// How long a message may wait for room before its reader counts as too slow.
const SEND_MS_MAX: u64 = 5_000;

/// Pings within the idle time: two may be lost.
const PINGS_PER_IDLE_TIME: u32 = 3;

/// Limits of a connection.
#[derive(Clone, Copy, Debug)]
pub(in crate::transports) struct SocketLimits {
    /// Largest message from the peer, in bytes.
    pub message_bytes_max: usize,
    /// A peer that sent nothing for so long, not even a pong, is lost; in
    /// milliseconds.
    pub idle_ms_max: u32,
}

impl From<&LimitSettings> for SocketLimits {
    fn from(limits: &LimitSettings) -> Self {
        Self { message_bytes_max: limits.message_bytes_max, idle_ms_max: limits.idle_ms_max }
    }
}

/// An accepted connection. Dropping it ends the connection.
pub(in crate::transports) struct Socket {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

/// Makes a WebSocket of a request, or says why not. The socket comes alive when
/// the response has been sent.
pub(in crate::transports) fn accept(
    request: &HttpRequest,
    payload: Payload,
    limits: SocketLimits,
) -> Result<(HttpResponse, Socket), Refusal> {
    let payload = guarded(request, payload, limits.message_bytes_max)?;
    let (response, session, stream) =
        actix_ws::handle(request, payload).map_err(|error| not_a_websocket(&error))?;
    let backlog = Arc::new(Backlog::default());
    let response = response
        .map_body(|_, body| BoxBody::new(SocketBody { body, backlog: Arc::clone(&backlog) }));
    let idle = Duration::from_millis(u64::from(limits.idle_ms_max));
    let outgoing = Outgoing { session, backlog };
    let incoming = Incoming {
        stream: stream
            .max_frame_size(limits.message_bytes_max)
            .aggregate_continuations()
            .max_continuation_size(limits.message_bytes_max),
        outgoing: outgoing.clone(),
        idle,
        heard_at: Instant::now(),
        ping_at: Instant::now() + idle / PINGS_PER_IDLE_TIME,
    };
    Ok((response, Socket { incoming, outgoing }))
}

impl Socket {
    /// Says goodbye and lets go of the connection. The server reads and throws away
    /// what the peer still sends until it has closed its side, or for a few seconds:
    /// a connection torn down with unread data would take the last words with it.
    pub(super) async fn close(self, code: CloseCode, reason: &str) {
        let reason = CloseReason { code, description: Some(reason.to_owned()) };
        if in_time(self.outgoing.session.close(Some(reason))).await.is_err() {
            tracing::trace!("there was no room for the close frame");
        }
    }
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Received {
    /// A whole text or binary message.
    Message(AggregatedMessage),
    /// The peer closed because it is done.
    Closed,
    /// The peer closed because it cannot go on.
    Failed,
    /// The connection is gone.
    Lost,
    /// The peer has been silent for too long.
    Silent,
    /// A message over the limit is coming.
    TooLarge,
    /// The peer broke the WebSocket protocol.
    Violation(CloseCode),
}

/// The receiving half.
pub(super) struct Incoming {
    stream: AggregatedMessageStream,
    outgoing: Outgoing,
    idle: Duration,
    heard_at: Instant,
    ping_at: Instant,
}

impl Incoming {
    /// Waits for the next message or the end.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            // Whether or not messages wait: while they do, only writing shows that the
            // peer is gone.
            if Instant::now() >= self.ping_at && self.ping().await.is_err() {
                return Received::Lost;
            }
            let silent_at = self.heard_at + self.idle;
            let wake_at = self.ping_at.min(silent_at);
            let Ok(message) = timeout_at(wake_at, self.stream.recv()).await else {
                if Instant::now() >= silent_at {
                    return Received::Silent;
                }
                continue;
            };
            self.heard_at = Instant::now();
            match message {
                None => return Received::Lost,
                Some(Err(error)) => return failure(&error),
                Some(Ok(AggregatedMessage::Ping(payload))) => {
                    if self.outgoing.pong(&payload).await.is_err() {
                        return Received::Lost;
                    }
                }
                Some(Ok(AggregatedMessage::Pong(_))) => {}
                Some(Ok(AggregatedMessage::Close(reason))) => return closed(reason.as_ref()),
                Some(Ok(message)) => return Received::Message(message),
            }
        }
    }

    async fn ping(&mut self) -> Result<(), SendError> {
        self.ping_at = Instant::now() + self.idle / PINGS_PER_IDLE_TIME;
        self.outgoing.ping().await
    }
}

/// Why a message did not go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SendError {
    /// The peer does not read what it gets.
    Slow,
    /// The connection is gone.
    Gone,
}

/// The sending half. Clones send on the same connection.
#[derive(Clone)]
pub(super) struct Outgoing {
    session: Session,
    backlog: Arc<Backlog>,
}

impl Outgoing {
    /// Sends a message as soon as there is room for it.
    pub(super) async fn send(&mut self, message: Outbound) -> Result<(), SendError> {
        let bytes = message.len();
        let Self { session, backlog } = self;
        in_time(async {
            backlog.room().await;
            backlog.add(bytes);
            match message {
                Outbound::Text(text) => session.text(text).await,
                Outbound::Binary(bytes) => session.binary(bytes).await,
            }
        })
        .await
    }

    async fn ping(&mut self) -> Result<(), SendError> {
        in_time(self.session.ping(b"")).await
    }

    async fn pong(&mut self, payload: &[u8]) -> Result<(), SendError> {
        in_time(self.session.pong(payload)).await
    }
}

async fn in_time(
    sending: impl Future<Output = Result<(), actix_ws::Closed>>,
) -> Result<(), SendError> {
    match timeout(Duration::from_millis(SEND_MS_MAX), sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(SendError::Gone),
        Err(_) => Err(SendError::Slow),
    }
}

/// Bytes handed to the connection that it has not yet begun to write.
#[derive(Default)]
pub(super) struct Backlog {
    bytes: AtomicUsize,
    drained: Notify,
}

impl Backlog {
    pub(super) fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) async fn room(&self) {
        while self.bytes.load(Ordering::Relaxed) > BACKLOG_BYTES_MAX {
            self.drained.notified().await;
        }
    }

    pub(super) fn drain(&self) {
        self.bytes.store(0, Ordering::Relaxed);
        self.drained.notify_one();
    }
}

/// The response body that carries the outgoing messages. It tells when they were
/// fetched: the connection fetches only while its own buffer has room.
struct SocketBody {
    body: BoxBody,
    backlog: Arc<Backlog>,
}

impl MessageBody for SocketBody {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        let fetched = Pin::new(&mut this.body).poll_next(context);
        if matches!(fetched, Poll::Ready(Some(_))) {
            // One fetch takes every message that waits.
            this.backlog.drain();
        }
        fetched
    }
}

/// Puts the frame guard in front of the library.
fn guarded(
    request: &HttpRequest,
    payload: Payload,
    message_bytes_max: usize,
) -> Result<Payload, Refusal> {
    let mut guard = FrameGuard::new(message_bytes_max);
    let stream = payload.into_inner().map(move |bytes| {
        let bytes = bytes?;
        guard.check(&bytes).map_err(|TooLarge| PayloadError::Overflow)?;
        Ok(bytes)
    });
    let mut payload = dev::Payload::Stream { payload: stream.boxed_local() };
    Payload::from_request(request, &mut payload)
        .into_inner()
        .map_err(|error| not_a_websocket(&error))
}

fn not_a_websocket(error: &actix_web::Error) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "not_a_websocket",
        format_args!("this address speaks WebSocket: {error}"),
    )
}

fn closed(reason: Option<&CloseReason>) -> Received {
    match reason.map(|reason| reason.code) {
        None | Some(CloseCode::Normal | CloseCode::Away) => Received::Closed,
        Some(_) => Received::Failed,
    }
}

fn failure(error: &ProtocolError) -> Received {
    let ProtocolError::Io(error) = error else {
        return Received::Violation(CloseCode::Protocol);
    };
    let cause = error.get_ref();
    match cause.and_then(|cause| cause.downcast_ref::<PayloadError>()) {
        Some(PayloadError::Overflow) => Received::TooLarge,
        Some(_) => Received::Lost,
        None if cause
            .is_some_and(<dyn std::error::Error + Send + Sync>::is::<std::str::Utf8Error>) =>
        {
            Received::Violation(CloseCode::Invalid)
        }
        None => Received::Violation(CloseCode::Protocol),
    }
}
