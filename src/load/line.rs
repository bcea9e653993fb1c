//! A call over a WebSocket, the simulator's or the stream's: writes what its talker says is
//! due without ever waiting, and hands over what comes. It decides nothing.
//!
//! A thread's calls share one ticker and one set of buffers. What a slow engine does not
//! take is kept up to a limit, and then the call is given up.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;

use reqwest::Url;
use serde::Deserialize;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, WebSocket};

use super::connection::Connection;
use super::plan::{Carrier, Target};
use super::said;
use super::talker::Talker;
use super::tally::Tally;
use super::wire::{self, Message};
use crate::types::{CallEventKind, Now, SampleRate};

/// What is read at once. The library fills it with zeros before each read, so it is
/// small: a frame of the stream and its head.
const READ_BYTES: usize = 2 * 1024;
/// What the engine may leave unread, per call.
const UNSENT_BYTES_MAX: usize = 512 * 1024;
/// Largest message taken: more than a minute of hex at 16 kHz.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// The caller hung up.
    HungUp,
    /// The engine ended it in an orderly way.
    EngineEnded,
    /// The engine has no room after all.
    Refused {
        /// When to come back, where it said so.
        retry_after_ms: Option<u64>,
    },
    /// Something went wrong; the name says what.
    Failed(&'static str),
}

/// Buffers that the calls of a thread share.
#[derive(Default)]
pub(super) struct Scratch {
    samples: Vec<i16>,
    text: String,
}

/// The clock of a run.
pub(super) type Clock<'a> = &'a dyn Fn() -> Now;

/// The address of one call at `target`.
pub(super) fn url_of_call(target: &Target, rate: SampleRate) -> Url {
    let mut url = target.url.clone();
    url.query_pairs_mut().append_pair("rate", &rate.hz().to_string()).append_pair("events", "1");
    url
}

/// A call that runs.
pub(super) struct Line {
    tcp: Rc<TcpStream>,
    socket: RefCell<WebSocket<Connection>>,
    talker: RefCell<Talker>,
    carrier: Carrier,
    rate: SampleRate,
    end: Cell<Option<LineEnd>>,
    /// The engine's side did not take the last message at once.
    is_blocked: Cell<bool>,
    /// The engine said that the call is over.
    is_told: Cell<bool>,
    /// When the call was placed, until it is taken.
    placed: Cell<Option<Now>>,
    /// The engine said why it does not take the call.
    is_declined: Cell<bool>,
}

impl Line {
    /// A call that was `placed` over `connection`, on which `read` was read behind the upgrade.
    pub(super) fn new(
        connection: Connection,
        read: Vec<u8>,
        carrier: Carrier,
        rate: SampleRate,
        talker: Talker,
        placed: Now,
    ) -> Self {
        let tcp = Rc::clone(connection.socket());
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .max_write_buffer_size(UNSENT_BYTES_MAX)
            .max_message_size(Some(MESSAGE_BYTES_MAX))
            .max_frame_size(Some(MESSAGE_BYTES_MAX))
            .write_buffer_size(UNSENT_BYTES_MAX / 2);
        let socket = WebSocket::from_partially_read(connection, read, Role::Client, Some(config));
        Self {
            tcp,
            socket: RefCell::new(socket),
            talker: RefCell::new(talker),
            carrier,
            rate,
            end: Cell::new(None),
            is_blocked: Cell::new(false),
            is_told: Cell::new(false),
            placed: Cell::new(Some(placed)),
            is_declined: Cell::new(false),
        }
    }

    /// How it ended, once it has.
    pub(super) const fn end(&self) -> Option<LineEnd> {
        self.end.get()
    }

    /// When the next message is due.
    pub(super) fn poll_timeout(&self) -> Now {
        self.talker.borrow().poll_timeout()
    }

    /// Waits until more may have come than was read.
    pub(super) async fn readable(&self) -> io::Result<()> {
        self.tcp.readable().await
    }

    /// Sends what is due. Does not wait.
    pub(super) fn send_due(&self, clock: Clock<'_>, scratch: &mut Scratch, tally: &mut Tally) {
        if self.end.get().is_some() {
            return;
        }
        if let Err(end) = self.try_send_due(clock, scratch, tally) {
            self.finish(end, tally);
        }
    }

    fn try_send_due(
        &self,
        clock: Clock<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
    ) -> Result<(), LineEnd> {
        let (mut socket, mut talker) = (self.socket.borrow_mut(), self.talker.borrow_mut());
        loop {
            let due = talker.poll_timeout();
            let Some(chunk) = talker.poll_chunk(clock(), &mut scratch.samples, tally) else {
                break;
            };
            let message = match self.carrier {
                Carrier::Simulator => {
                    let Scratch { samples, text } = scratch;
                    wire::write_chunk(text, chunk.sequence, chunk.at, self.rate, samples);
                    Frame::text(text.as_str())
                }
                Carrier::Stream | Carrier::HttpCallback => Frame::binary(bytes(&scratch.samples)),
            };
            self.written(socket.write(message).and_then(|()| socket.flush()), tally)?;
            let now = clock();
            tally.sent(now, now.0.saturating_sub(due.0) / 1_000);
        }
        if self.is_blocked.get() {
            self.written(socket.flush(), tally)?;
        }
        Ok(())
    }

    fn written(&self, outcome: Result<(), Error>, tally: &mut Tally) -> Result<(), LineEnd> {
        match outcome {
            Ok(()) => self.is_blocked.set(false),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                tally.blocked += u64::from(!self.is_blocked.replace(true));
            }
            Err(Error::WriteBufferFull(_)) => return Err(LineEnd::Failed("engine_does_not_read")),
            // What the engine said last is still to be read.
            Err(_) => {}
        }
        Ok(())
    }

    /// Takes everything that has come; how the call ended, if it has.
    pub(super) fn read(
        &self,
        clock: Clock<'_>,
        scratch: &mut Scratch,
        tally: &mut Tally,
    ) -> Option<LineEnd> {
        while self.end.get().is_none() {
            let read = self.socket.borrow_mut().read();
            match read {
                Ok(frame) => self.take(&frame, clock(), scratch, tally),
                Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return None,
                Err(Error::ConnectionClosed) => self.finish(LineEnd::EngineEnded, tally),
                Err(_) if self.is_told.get() => self.finish(LineEnd::EngineEnded, tally),
                Err(_) => self.finish(LineEnd::Failed("connection_lost"), tally),
            }
        }
        self.end.get()
    }

    /// Begins to hang up; the engine's answer ends the call.
    pub(super) fn hang_up(&self, tally: &mut Tally) {
        self.talker.borrow_mut().end(tally);
        let mut socket = self.socket.borrow_mut();
        // An engine that is gone has nothing to be told.
        let _gone = socket.close(None).and_then(|()| socket.flush());
    }

    fn finish(&self, end: LineEnd, tally: &mut Tally) {
        self.talker.borrow_mut().end(tally);
        self.end.set(Some(end));
    }

    fn take(&self, frame: &Frame, now: Now, scratch: &mut Scratch, tally: &mut Tally) {
        match frame {
            Frame::Binary(bytes) => {
                self.taken(now, tally);
                scratch.samples.clear();
                let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]);
                scratch.samples.extend(bytes.chunks_exact(2).map(sample));
                self.talker.borrow_mut().handle_audio(now, &scratch.samples, tally);
            }
            Frame::Text(text) => match serde_json::from_str(text) {
                Ok(message) => self.take_message(message, now, tally),
                Err(_) => tally.error(now, "bad_message"),
            },
            Frame::Close(close) => {
                let refusal = close.as_ref().filter(|close| close.code == CloseCode::Again);
                if let Some(close) = refusal {
                    if !self.is_declined.get() {
                        tally.answers.add(&said::of_close(&close.reason));
                    }
                    let retry_after_ms = retry_after_ms(&close.reason);
                    self.finish(LineEnd::Refused { retry_after_ms }, tally);
                }
            }
            _ => {}
        }
    }

    /// The engine speaks, so it has taken the call.
    fn taken(&self, now: Now, tally: &mut Tally) {
        if let Some(placed) = self.placed.take() {
            tally.call_connected(now.0.saturating_sub(placed.0) / 1_000);
        }
    }

    fn take_message(&self, message: Message, now: Now, tally: &mut Tally) {
        // An engine without room says why, and nothing else.
        if !matches!(message, Message::Error { .. }) {
            self.taken(now, tally);
        }
        let mut talker = self.talker.borrow_mut();
        match message {
            Message::TtsAudio { pcm, .. } => match wire::read_samples(&pcm) {
                Some(samples) => talker.handle_audio(now, &samples, tally),
                None => tally.error(now, "bad_message"),
            },
            Message::Event { event } => {
                if matches!(event.kind, CallEventKind::BotTurnStopped { .. }) {
                    talker.handle_bot_finished();
                }
                tally.event(now, &event.kind);
            }
            Message::Flush {} => talker.handle_flush(now, tally),
            Message::Error { code, message } if self.placed.get().is_some() => {
                self.is_declined.set(true);
                tally.answers.add(&said::of_message(&code, &message));
            }
            Message::Error { .. } => tally.error(now, "refused_message"),
            Message::End { .. } => self.is_told.set(true),
            Message::Other => {}
        }
    }
}

/// When a close frame's reason says to come back.
fn retry_after_ms(reason: &str) -> Option<u64> {
    #[derive(Deserialize)]
    struct Reason {
        retry_after_s: u64,
    }
    let reason: Reason = serde_json::from_str(reason).ok()?;
    Some(reason.retry_after_s.saturating_mul(1_000))
}

fn bytes(samples: &[i16]) -> Vec<u8> {
    let mut bytes = vec![0; 2 * samples.len()];
    for (bytes, sample) in bytes.chunks_exact_mut(2).zip(samples) {
        bytes.copy_from_slice(&sample.to_le_bytes());
    }
    bytes
}
