//! One call over one WebSocket: sends what [`Caller`] says is due, and tells an
//! observer what comes back. Decides nothing itself, and does not reconnect.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use reqwest::Url;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::caller::{Caller, CallerSettings};
use super::connection::{Trust, Unconnected, connect_tcp, is_tls};
use super::plan::{Carrier, Target};
use super::recording::StereoRecording;
use super::wire::{self, Message};
use crate::types::{CallEvent, CallEventKind, CarrierCallId, Now, TlsFault};

/// What the engine's own first sentence has in place of an intent. A platform may call one
/// of its intents so as well, but cannot answer with it before it was asked.
const GREETING: &str = "greeting";
/// Longest wait for the connection.
const CONNECT_MS_MAX: u64 = 5_000;
/// Longest wait until the engine takes a chunk.
const SEND_MS_MAX: u64 = 10_000;
/// Largest message taken: more than a minute of hex at 16 kHz.
const MESSAGE_BYTES_MAX: usize = 8 << 20;

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

type Socket = WebSocketStream<Box<dyn Duplex>>;

/// A connection, whatever is below.
trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

async fn connect(url: &Url) -> Result<Socket, CallError> {
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

fn refused(close: &CloseFrame) -> CallError {
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
mod tests {
    use tokio::net::TcpListener;
    use tokio_tungstenite::accept_async;

    use super::*;
    use crate::media::wav;
    use crate::types::SampleRate;

    const REPLY: &str = r#"{"type":"tts_audio","pcm":"07000800","intent":"greet"}"#;
    const FINISHED: &str = r#"{"type":"event","sequence":1,"turn":0,"audio_at":0,
        "kind":{"event":"bot_turn_stopped","heard":""}}"#;

    /// An engine on a free port that answers every utterance, and after the last one
    /// sends `ending` and closes.
    async fn engine(answers: usize, ending: Option<&'static str>) -> String {
        greeting_engine(&[], answers, ending).await
    }

    /// The same engine; it says `first` before it hears anything.
    async fn greeting_engine(
        first: &'static [&'static str],
        answers: usize,
        ending: Option<&'static str>,
    ) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.expect("a caller");
            let mut socket = accept_async(stream).await.expect("a WebSocket");
            for message in first {
                socket.send(Frame::text(*message)).await.expect("the caller listens");
            }
            let (mut spoken, mut answered) = (false, 0);
            while let Some(Ok(Frame::Text(text))) = socket.next().await {
                let speaks = text.contains("0100");
                if spoken && !speaks {
                    for message in [REPLY, FINISHED] {
                        socket.send(Frame::text(message)).await.expect("the caller listens");
                    }
                    answered += 1;
                }
                spoken = speaks;
                if let Some(ending) = ending.filter(|_| answered == answers) {
                    socket.send(Frame::text(ending)).await.expect("the caller listens");
                    socket.close(None).await.expect("an orderly end");
                    return;
                }
            }
        });
        url
    }

    fn plan(url: String, utterances: usize) -> CallPlan {
        let rate = SampleRate::new(8_000).expect("8 kHz is supported");
        let settings = CallerSettings { pause_ms: 40, ..CallerSettings::new(rate) };
        let utterance: Arc<[i16]> = vec![1; 320].into();
        CallPlan { url, call_id: None, settings, utterances: vec![utterance; utterances].into() }
    }

    async fn call(plan: &CallPlan) -> (Result<CallOutcome, CallError>, Vec<String>) {
        let mut seen = Vec::new();
        let outcome = place_call(plan, &mut |observation| {
            seen.push(match observation {
                CallObservation::UtteranceBegan { turn } => format!("says {turn}"),
                CallObservation::Reply { turn, intent } => format!("hears {intent} in {turn}"),
                CallObservation::Event { turn: None, event } => {
                    format!("{} before", event.kind.name())
                }
                CallObservation::Event { event, .. } => event.kind.name().to_owned(),
                CallObservation::Refused { code, .. } => code.to_owned(),
            });
        })
        .await;
        (outcome, seen)
    }

    #[tokio::test]
    async fn each_utterance_waits_for_the_answer_to_the_one_before() {
        let (outcome, seen) = call(&plan(engine(2, None).await, 2)).await;
        let outcome = outcome.expect("a call");
        assert_eq!(
            seen,
            [
                "says 0",
                "hears greet in 0",
                "bot_turn_stopped",
                "says 1",
                "hears greet in 1",
                "bot_turn_stopped",
            ]
        );
        assert_eq!((outcome.end, outcome.unanswered), (CallEnd::CallerHungUp, 0));
        let wav = wav::read(&outcome.recording.to_stereo_wav()).expect("a recording");
        let loud = |channel: usize| wav.channels[channel].iter().filter(|it| **it != 0).count();
        assert_eq!([loud(0), loud(1)], [640, 4]);
    }

    #[tokio::test]
    async fn a_call_that_the_engine_ends_tells_the_cause_and_what_was_left_unsaid() {
        let ending = r#"{"type":"end","cause":"dialog_ended"}"#;
        let (outcome, _) = call(&plan(engine(1, Some(ending)).await, 3)).await;
        let outcome = outcome.expect("a call");
        let cause = Some("dialog_ended".to_owned());
        assert_eq!((outcome.end, outcome.unanswered), (CallEnd::EngineEnded { cause }, 2));
    }

    #[tokio::test]
    async fn what_is_no_message_is_an_error_that_says_so() {
        let (outcome, _) = call(&plan(engine(1, Some("{}")).await, 1)).await;
        let error = outcome.err().expect("no call");
        assert!(error.to_string().contains("missing field `type`"), "{error}");
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named_with_what_to_do() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        drop(listener);
        let (outcome, _) = call(&plan(format!("ws://{address}"), 1)).await;
        assert_eq!(
            outcome.err().expect("no call").to_string(),
            format!("no engine answers at {address}: start one with `antiphon serve`")
        );
    }

    #[tokio::test]
    async fn an_address_of_another_kind_is_refused() {
        for url in ["http://127.0.0.1:8765", "127.0.0.1:8765", ""] {
            let (outcome, _) = call(&plan(url.to_owned(), 1)).await;
            assert!(matches!(outcome, Err(CallError::Url { .. })), "{url}");
        }
        let (outcome, _) = call(&plan("ws://127.0.0.1:8080/v1/stream".to_owned(), 1)).await;
        let told = outcome.err().expect("no call").to_string();
        assert!(told.contains("audio stream") && told.contains("ws://host:8765"), "{told}");
    }

    #[tokio::test]
    async fn a_greeting_is_told_apart_from_the_answer_to_the_first_utterance() {
        const GREETED: &str = r#"{"type":"tts_audio","pcm":"07000800","intent":"greeting"}"#;
        let url = greeting_engine(&[GREETED, FINISHED], 1, None).await;
        let (outcome, seen) = call(&plan(url, 1)).await;
        assert_eq!(outcome.expect("a call").unanswered, 0);
        assert_eq!(
            seen,
            ["bot_turn_stopped before", "says 0", "hears greet in 0", "bot_turn_stopped"]
        );
    }
}
