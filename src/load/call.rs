//! One call over one WebSocket: sends what [`Caller`] says is due, and tells an
//! observer what comes back. Decides nothing itself, and does not reconnect.

mod socket;

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message as Frame};

pub use socket::CallError;

use self::socket::{CONNECT_MS_MAX, Socket, connect, refused};
use super::caller::{Caller, CallerSettings};
use super::plan::{Carrier, Target};
use super::recording::StereoRecording;
use super::wire::{self, Message};
use crate::types::{CallEvent, CallEventKind, CarrierCallId, Now};

/// What the engine's own first sentence has in place of an intent. A platform may call one
/// of its intents so as well, but cannot answer with it before it was asked.
const GREETING: &str = "greeting";
/// Longest wait until the engine takes a chunk.
const SEND_MS_MAX: u64 = 10_000;

/// A call to be placed.
#[derive(Clone)]
pub struct CallPlan {
    /// The engine's simulator WebSocket, `ws://host:port` with or without a path.
    pub url: String,
    /// Names the call; the engine names it otherwise.
    pub call_id: Option<CarrierCallId>,
    /// How the caller behaves.
    pub settings: CallerSettings,
    /// What it says, at the rate of `settings`.
    pub utterances: Arc<[Arc<[i16]>]>,
}

/// What is worth telling while a call runs.
#[derive(Debug)]
pub enum CallObservation<'a> {
    /// The caller begins its `turn`-th utterance, from 0.
    UtteranceBegan {
        /// Which one.
        turn: usize,
    },
    /// A sentence that is no greeting came, while the caller was in `turn`.
    Reply {
        /// The utterance it came after.
        turn: usize,
        /// Empty for what the engine says by itself.
        intent: &'a str,
    },
    /// The engine told a fact, while the caller was in `turn`.
    Event {
        /// The utterance it came after; none for what belongs to the greeting.
        turn: Option<usize>,
        /// The fact.
        event: &'a CallEvent,
    },
    /// The engine refused something.
    Refused {
        /// Its error code.
        code: &'a str,
        /// Its words.
        message: &'a str,
    },
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// The caller had said everything and hung up.
    CallerHungUp,
    /// The engine ended it.
    EngineEnded {
        /// Its cause, where it told one.
        cause: Option<String>,
    },
}

/// What became of a call.
#[derive(Clone)]
pub struct CallOutcome {
    /// How it ended.
    pub end: CallEnd,
    /// Utterances that no reply came to, those never said included.
    pub unanswered: usize,
    /// Both sides.
    pub recording: StereoRecording,
}

/// Places a call and stays until it ends.
///
/// # Errors
/// [`CallError`] when there was no call or it was cut off. A call in which nothing
/// was answered is an outcome, not an error.
pub async fn place_call(
    plan: &CallPlan,
    observe: &mut dyn FnMut(CallObservation<'_>),
) -> Result<CallOutcome, CallError> {
    let socket = connect(&call_url(plan)?).await?;
    let connection = Connection {
        socket,
        started: Instant::now(),
        caller: Caller::new(plan.settings, Arc::clone(&plan.utterances), Now::default()),
        recording: StereoRecording::new(plan.settings.rate),
        cause: None,
        has_spoken: false,
        may_be_greeted: true,
        is_greeted: false,
        observe,
    };
    connection.run().await
}

fn call_url(plan: &CallPlan) -> Result<Url, CallError> {
    let wrong = || CallError::Url { url: plan.url.clone() };
    let target = Target::parse(&plan.url).map_err(|_| wrong())?;
    let mut url = match target.carrier {
        Carrier::Simulator => target.url,
        Carrier::Stream => return Err(CallError::Stream { url: plan.url.clone() }),
        Carrier::HttpCallback => return Err(wrong()),
    };
    url.query_pairs_mut()
        .append_pair("rate", &plan.settings.rate.hz().to_string())
        .append_pair("events", "1")
        .extend_pairs(plan.call_id.iter().map(|id| ("call_id", id.expose())));
    Ok(url)
}

/// A call that runs.
struct Connection<'a> {
    socket: Socket,
    started: Instant,
    caller: Caller,
    recording: StereoRecording,
    /// Why the engine ended the call.
    cause: Option<String>,
    /// The caller said something.
    has_spoken: bool,
    /// Nothing was answered yet: a sentence called greeting is the engine's own.
    may_be_greeted: bool,
    /// A greeting is being heard.
    is_greeted: bool,
    observe: &'a mut dyn FnMut(CallObservation<'_>),
}

impl Connection<'_> {
    async fn run(mut self) -> Result<CallOutcome, CallError> {
        let (mut text, mut samples) = (String::new(), Vec::new());
        loop {
            self.send_due(&mut text, &mut samples).await?;
            if self.caller.is_done() {
                return self.hang_up().await;
            }
            let due = self.started + Duration::from_nanos(self.caller.poll_timeout().0);
            tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Frame::Close(Some(close)))) if close.code == CloseCode::Again => {
                        return Err(refused(&close));
                    }
                    Some(Ok(frame)) if !frame.is_close() => self.take(&frame)?,
                    Some(Err(error)) => return self.broken(error),
                    _ => return Ok(self.ended_by_engine()),
                },
                () = tokio::time::sleep_until(due) => {}
            }
        }
    }

    fn now(&self) -> Now {
        let ns = self.started.elapsed().as_nanos();
        Now(u64::try_from(ns).unwrap_or(u64::MAX))
    }

    async fn send_due(
        &mut self,
        text: &mut String,
        samples: &mut Vec<i16>,
    ) -> Result<(), CallError> {
        while let Some(chunk) = self.caller.poll_chunk(self.now(), samples) {
            if let Some(turn) = chunk.begins {
                self.has_spoken = true;
                (self.observe)(CallObservation::UtteranceBegan { turn });
            }
            self.recording.put_caller(chunk.at, samples);
            let rate = self.recording.rate();
            wire::write_chunk(text, chunk.sequence, chunk.at, rate, samples);
            let sending = self.socket.send(Frame::text(text.as_str()));
            match timeout(Duration::from_millis(SEND_MS_MAX), sending).await {
                Ok(Ok(())) => {}
                // The engine may have ended the call in the meantime; what it
                // said last is still to be read.
                Ok(Err(tungstenite::Error::ConnectionClosed | tungstenite::Error::Protocol(_))) => {
                    return Ok(());
                }
                Ok(Err(error)) => return Err(CallError::Lost(Box::new(error))),
                Err(_) => return Err(CallError::Stalled("take the audio")),
            }
        }
        Ok(())
    }

    fn take(&mut self, frame: &Frame) -> Result<(), CallError> {
        let Frame::Text(text) = frame else { return Ok(()) };
        let message =
            serde_json::from_str(text).map_err(|error| CallError::Message(error.to_string()))?;
        let (now, turn) = (self.now(), self.caller.turn());
        match message {
            Message::TtsAudio { pcm, intent } => {
                let samples = wire::read_samples(&pcm)
                    .ok_or_else(|| CallError::Message("pcm is not whole samples in hex".into()))?;
                if self.may_be_greeted && intent == GREETING {
                    self.is_greeted = true;
                    let at = self.caller.handle_greeting(now, samples.len());
                    self.recording.put_bot(at, &samples);
                } else {
                    let at = self.caller.handle_reply(now, samples.len());
                    self.recording.put_bot(at, &samples);
                    (self.observe)(CallObservation::Reply { turn, intent: &intent });
                }
            }
            Message::Event { event } => {
                let turn = self.turn_of(&event.kind);
                (self.observe)(CallObservation::Event { turn, event: &event });
            }
            Message::Flush {} => {
                let at = self.caller.handle_flush(now);
                self.recording.cut_bot(at);
            }
            Message::Error { code, message } => {
                (self.observe)(CallObservation::Refused { code: &code, message: &message });
            }
            Message::End { cause } => self.cause = Some(cause),
            Message::Other => {}
        }
        Ok(())
    }

    /// The utterance that an event came after, if it is not about the greeting.
    fn turn_of(&mut self, kind: &CallEventKind) -> Option<usize> {
        let mut is_about_greeting = false;
        match kind {
            CallEventKind::BotTurnStopped { .. } => {
                self.caller.handle_bot_finished();
                is_about_greeting = std::mem::take(&mut self.is_greeted);
            }
            CallEventKind::Interruption { .. } => {
                is_about_greeting = std::mem::take(&mut self.is_greeted);
            }
            CallEventKind::DialogReplied { .. } => self.may_be_greeted = false,
            _ => {}
        }
        (self.has_spoken && !is_about_greeting).then(|| self.caller.turn())
    }

    /// Closes in order and reads what the engine still has to say, its last events.
    async fn hang_up(mut self) -> Result<CallOutcome, CallError> {
        let closing = async {
            self.socket.close(None).await.ok();
            while let Some(Ok(frame)) = self.socket.next().await {
                self.take(&frame)?;
            }
            Ok(())
        };
        // An engine that does not finish the handshake in time is left without it.
        if let Ok(read) = timeout(Duration::from_millis(CONNECT_MS_MAX), closing).await {
            read?;
        }
        Ok(self.outcome(CallEnd::CallerHungUp))
    }

    /// A connection that breaks after the engine said that the call is over did its work.
    fn broken(self, error: tungstenite::Error) -> Result<CallOutcome, CallError> {
        if self.cause.is_some() {
            Ok(self.ended_by_engine())
        } else {
            Err(CallError::Lost(Box::new(error)))
        }
    }

    fn ended_by_engine(mut self) -> CallOutcome {
        let cause = self.cause.take();
        self.outcome(CallEnd::EngineEnded { cause })
    }

    fn outcome(self, end: CallEnd) -> CallOutcome {
        CallOutcome { end, unanswered: self.caller.unanswered(), recording: self.recording }
    }
}

#[cfg(test)]
mod tests;
