//! One WebSocket: whole messages in, whole messages out, both bounded. It answers
//! pings, sends its own, and tells an orderly close from a lost connection. It never
//! reads or writes what the messages say.
//!
//! Reading and writing share the socket within one task. Nothing is kept for a peer
//! that does not read: a message is sent when the system has taken it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use tokio::io::AsyncReadExt as _;
use tokio::time::{Instant, Sleep, sleep, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Result as WireResult};

use super::Outbound;
use super::connection::Connection;
use crate::config::{LimitSettings, WebSocketRefusal};
use crate::transports::allowance::Allowance;

/// How long a message may wait for a peer that reads slowly.
const SEND_MS_MAX: u64 = 5_000;

/// Read at once. Zeroed before each read, so no more than a few frames of audio.
const READ_BUFFER_BYTES: usize = 2 * 1024;

/// Pings within the idle time: two may be lost.
const PINGS_PER_IDLE_TIME: u32 = 3;

/// Pings and pongs of one peer: clients send one every few seconds, and answer one in twenty.
const CONTROL_FRAMES_PER_SECOND_MAX: u32 = 20;

/// So many may have waited somewhere and come at once.
const CONTROL_FRAMES_AT_ONCE_MAX: u32 = 100;

/// How long a peer may take to close its side after it was told to.
pub(super) const CLOSE_MS_MAX: u64 = 2_000;

/// Limits of a connection, and what becomes of one for which there is no room.
#[derive(Clone, Copy, Debug)]
pub(in crate::transports) struct SocketLimits {
    /// Largest message from the peer, in bytes.
    pub message_bytes_max: usize,
    /// A peer that sent nothing for so long, not even a pong, is lost; in
    /// milliseconds. Found out within a third of it.
    pub idle_ms_max: u32,
    /// How a client learns that there is no room.
    pub refusal: WebSocketRefusal,
}

impl From<&LimitSettings> for SocketLimits {
    fn from(limits: &LimitSettings) -> Self {
        Self {
            message_bytes_max: limits.message_bytes_max,
            idle_ms_max: limits.idle_ms_max,
            refusal: limits.websocket_refusal,
        }
    }
}

/// An accepted connection. Dropping it ends the connection.
pub(in crate::transports) struct Socket {
    pub(super) incoming: Incoming,
    pub(super) outgoing: Outgoing,
}

impl Socket {
    /// A WebSocket on a connection that was upgraded.
    pub(super) async fn new(connection: Connection, limits: SocketLimits) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_message_size(Some(limits.message_bytes_max))
            .max_frame_size(Some(limits.message_bytes_max));
        let stream = WebSocketStream::from_raw_socket(connection, Role::Server, Some(config)).await;
        let outgoing = Outgoing(Rc::new(RefCell::new(stream)));
        let period = Duration::from_millis(u64::from(limits.idle_ms_max)) / PINGS_PER_IDLE_TIME;
        let incoming = Incoming {
            outgoing: outgoing.clone(),
            period,
            ping_at: Box::pin(sleep(period)),
            heard: true,
            silent_periods: 0,
            control: Allowance::new(
                CONTROL_FRAMES_PER_SECOND_MAX,
                CONTROL_FRAMES_AT_ONCE_MAX,
                Instant::now(),
            ),
        };
        Self { incoming, outgoing }
    }

    /// Says goodbye, unless the peer did and is answered, then reads and throws away what
    /// the peer still sends until it has closed its side, or for a few seconds: a
    /// connection torn down with unread data would take the last words with it.
    pub(super) async fn close(mut self, code: CloseCode, reason: &'static str) {
        let frame = CloseFrame { code, reason: reason.into() };
        let closing = match self.outgoing.send_wire(Message::Close(Some(frame))).await {
            Ok(()) => self.outgoing.drain().boxed_local(),
            Err(SendError::Gone) => self.outgoing.answer_close().boxed_local(),
            Err(SendError::Slow) => return,
        };
        // A peer that does not close in time has had its time.
        let _closed = timeout(Duration::from_millis(CLOSE_MS_MAX), closing).await;
    }
}

/// What arrived.
#[derive(Debug)]
pub(super) enum Received {
    /// A whole text or binary message.
    Message(Message),
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
    /// More pings and pongs come than anybody needs.
    TooManyControls,
    /// The peer broke the WebSocket protocol.
    Violation(CloseCode),
}

/// The receiving half.
pub(super) struct Incoming {
    outgoing: Outgoing,
    /// Time between two pings.
    period: Duration,
    /// One timer for the whole connection: one for each message would cost more than
    /// the message.
    ping_at: Pin<Box<Sleep>>,
    /// Something came in this period.
    heard: bool,
    /// Periods in which nothing came.
    silent_periods: u32,
    /// Pings and pongs that the peer may send.
    control: Allowance,
}

impl Incoming {
    /// Waits for the next message or the end.
    pub(super) async fn next(&mut self) -> Received {
        loop {
            match poll_fn(|context| self.poll(context)).await {
                Event::Wire(None) => return Received::Lost,
                Event::Wire(Some(Err(error))) => return failure(&error),
                Event::Wire(Some(Ok(Message::Close(frame)))) => return closed(frame.as_ref()),
                // The library answers pings itself.
                Event::Wire(Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)))) => {
                    if !self.control.spend(1, Instant::now()) {
                        return Received::TooManyControls;
                    }
                }
                Event::Wire(Some(Ok(message))) => return Received::Message(message),
                Event::PeriodOver if self.silent_periods >= PINGS_PER_IDLE_TIME => {
                    return Received::Silent;
                }
                Event::PeriodOver => {
                    if self.outgoing.send_wire(Message::Ping(Bytes::new())).await.is_err() {
                        return Received::Lost;
                    }
                }
            }
        }
    }

    /// Looks at the clock whether or not messages wait: while they do, only writing
    /// shows that the peer is gone.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if self.ping_at.as_mut().poll(context).is_ready() {
            self.silent_periods = if self.heard { 0 } else { self.silent_periods + 1 };
            self.heard = false;
            self.ping_at.as_mut().reset(Instant::now() + self.period);
            return Poll::Ready(Event::PeriodOver);
        }
        let message = ready!(self.outgoing.0.borrow_mut().poll_next_unpin(context));
        self.heard = true;
        Poll::Ready(Event::Wire(message))
    }
}

enum Event {
    Wire(Option<WireResult<Message>>),
    PeriodOver,
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
pub(super) struct Outgoing(Rc<RefCell<WebSocketStream<Connection>>>);

impl Outgoing {
    /// Sends a message; done when the system has taken all of it.
    pub(super) async fn send(&mut self, message: Outbound) -> Result<(), SendError> {
        self.send_wire(match message {
            Outbound::Text(text) => Message::text(text),
            Outbound::Binary(bytes) => Message::Binary(bytes),
        })
        .await
    }

    async fn send_wire(&mut self, message: Message) -> Result<(), SendError> {
        let mut message = Some(message);
        let sending = poll_fn(|context| self.poll_send(&mut message, context));
        match timeout(Duration::from_millis(SEND_MS_MAX), sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(SendError::Gone),
            Err(_) => Err(SendError::Slow),
        }
    }

    fn poll_send(
        &self,
        message: &mut Option<Message>,
        context: &mut Context<'_>,
    ) -> Poll<WireResult<()>> {
        let mut stream = self.0.borrow_mut();
        if message.is_some() {
            ready!(stream.poll_ready_unpin(context))?;
            message.take().map_or(Ok(()), |message| stream.start_send_unpin(message))?;
        }
        stream.poll_flush_unpin(context)
    }

    /// Sends the library's answer to a close frame.
    async fn answer_close(&self) {
        // The end of it is an error, like everything behind a close frame.
        let _sent = poll_fn(|context| self.0.borrow_mut().poll_flush_unpin(context)).await;
    }

    /// Reads on until the peer has closed.
    async fn drain(&self) {
        self.0.borrow_mut().get_mut().drain();
        let next = || poll_fn(|context| self.0.borrow_mut().poll_next_unpin(context));
        while let Some(Ok(message)) = next().await {
            if matches!(message, Message::Close(_)) {
                return;
            }
        }
        // What comes behind a bad frame makes no sense any more.
        let mut scratch = BytesMut::with_capacity(READ_BUFFER_BYTES);
        while self.read_raw(&mut scratch).await.is_ok_and(|bytes| bytes > 0) {
            scratch.clear();
        }
    }

    async fn read_raw(&self, scratch: &mut BytesMut) -> io::Result<usize> {
        poll_fn(|context| {
            let mut stream = self.0.borrow_mut();
            pin!(stream.get_mut().read_buf(scratch)).poll(context)
        })
        .await
    }
}

fn closed(frame: Option<&CloseFrame>) -> Received {
    match frame.map(|frame| frame.code) {
        None | Some(CloseCode::Normal | CloseCode::Away) => Received::Closed,
        Some(_) => Received::Failed,
    }
}

fn failure(error: &Error) -> Received {
    match error {
        Error::Capacity(_) => Received::TooLarge,
        Error::Utf8(_) => Received::Violation(CloseCode::Invalid),
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Received::Lost,
        Error::Protocol(_) => Received::Violation(CloseCode::Protocol),
        _ => Received::Lost,
    }
}
