//! A caller of the simulator protocol that says exactly what a test tells it to,
//! right or wrong, and hands over everything that comes back.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use super::HANG_GUARD;

/// Audio in one message.
const CHUNK_MS: usize = 20;
/// Samples in one millisecond at 16 kHz.
const SAMPLES_PER_MS: usize = 16;

/// What came.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// A JSON text message.
    Json(Value),
    /// The engine closed the connection, with this code.
    Closed(Option<u16>),
    /// The connection broke.
    Broken,
}

impl Message {
    /// The string in field `name`, or nothing.
    pub fn text<'a>(&'a self, name: &str) -> &'a str {
        match self {
            Self::Json(message) => message[name].as_str().unwrap_or_default(),
            _ => "",
        }
    }

    /// The event's name, or nothing.
    pub fn event(&self) -> &str {
        match self {
            Self::Json(message) => message["kind"]["event"].as_str().unwrap_or_default(),
            _ => "",
        }
    }

    /// The event's fields.
    pub fn fact(&self, name: &str) -> &Value {
        match self {
            Self::Json(message) => &message["kind"][name],
            _ => &Value::Null,
        }
    }

    /// The field `name` of the message itself.
    pub fn field(&self, name: &str) -> &Value {
        match self {
            Self::Json(message) => &message[name],
            _ => &Value::Null,
        }
    }

    /// Whether nothing follows.
    pub fn is_last(&self) -> bool {
        !matches!(self, Self::Json(_))
    }
}

/// Why a call was not taken.
#[derive(Debug)]
pub struct Refused {
    /// HTTP status, or the code that the WebSocket is closed with.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after: Option<String>,
    /// The answer's body.
    pub body: String,
}

/// One connection to the simulator port.
pub struct Phone {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    seq: u64,
}

impl Phone {
    /// Connects; `path` is everything behind the port, such as `/?events=1`.
    pub async fn dial(simulator: &str, path: &str) -> Result<Self, Refused> {
        let url = format!("{simulator}{path}");
        let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
        let dialling = connect_async_with_config(url, Some(config), true);
        match timeout(HANG_GUARD, dialling).await.expect("an answer") {
            Ok((socket, _)) => Ok(Self { socket, seq: 0 }),
            Err(tungstenite::Error::Http(answer)) => {
                let retry_after = answer.headers().get("retry-after");
                let body = answer.body().clone().unwrap_or_default();
                Err(Refused {
                    status: answer.status().as_u16(),
                    retry_after: retry_after.and_then(|it| it.to_str().ok()).map(str::to_owned),
                    body: String::from_utf8_lossy(&body).into_owned(),
                })
            }
            Err(error) => panic!("no connection: {error}"),
        }
    }

    /// Connects and waits for the engine's first word, which the stream and `events=1` promise:
    /// that the call is taken, or that there is no room for it.
    pub async fn ask(simulator: &str, path: &str) -> Result<Self, Refused> {
        let mut phone = Self::dial(simulator, path).await?;
        let mut body = String::new();
        loop {
            match timeout(HANG_GUARD, phone.socket.next()).await.expect("the engine speaks") {
                Some(Ok(Frame::Text(text))) if text.contains(r#""type":"error""#) => {
                    body = text.to_string();
                }
                Some(Ok(Frame::Close(Some(close)))) => {
                    let reason: Value = serde_json::from_str(&close.reason).expect("JSON");
                    let retry_after = reason["retry_after_s"].as_u64();
                    let retry_after = retry_after.map(|seconds| seconds.to_string());
                    return Err(Refused { status: close.code.into(), retry_after, body });
                }
                Some(Ok(_)) => return Ok(phone),
                gone => panic!("no word from the engine: {gone:?}"),
            }
        }
    }

    /// Sends a frame as it is. A connection that is gone swallows it.
    pub async fn send(&mut self, frame: Frame) {
        let sent = timeout(HANG_GUARD, self.socket.send(frame)).await;
        // Whoever sends wrong things may be sent away in the middle of it.
        drop(sent.expect("the engine reads"));
    }

    /// Sends one chunk.
    pub async fn chunk(&mut self, samples: &[i16]) {
        self.seq += 1;
        let text = chunk(self.seq, samples);
        self.send(Frame::text(text)).await;
    }

    /// Says something at the pace of speech.
    pub async fn say(&mut self, samples: &[i16]) {
        let mut tick = tokio::time::interval(Duration::from_millis(CHUNK_MS as u64));
        for samples in samples.chunks(CHUNK_MS * SAMPLES_PER_MS) {
            tick.tick().await;
            self.chunk(samples).await;
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Message {
        timeout(HANG_GUARD, self.next_message()).await.expect("the engine speaks")
    }

    async fn next_message(&mut self) -> Message {
        loop {
            return match self.socket.next().await {
                Some(Ok(Frame::Text(text))) => {
                    Message::Json(serde_json::from_str(&text).expect("the engine sends JSON"))
                }
                Some(Ok(Frame::Close(reason))) => {
                    Message::Closed(reason.map(|reason| reason.code.into()))
                }
                // The engine asks whether anybody is there.
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => Message::Broken,
            };
        }
    }

    /// Everything up to the first message that is `wanted`, and that one; fails
    /// when the connection ends before.
    pub async fn until(&mut self, what: &str, wanted: impl Fn(&Message) -> bool) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let message = self.next().await;
            let (found, is_last) = (wanted(&message), message.is_last());
            messages.push(message);
            if found {
                return messages;
            }
            assert!(!is_last, "before {what}: {:?}", brief(&messages));
        }
    }

    /// Everything up to the event `name`, and that one.
    pub async fn until_event(&mut self, name: &str) -> Vec<Message> {
        self.until(name, |message| message.event() == name).await
    }

    /// Says something and stays until the answer is complete; the messages meanwhile.
    /// The connection must have asked for events.
    pub async fn turn(&mut self, samples: &[i16]) -> Vec<Message> {
        self.say(samples).await;
        self.until_event("bot_turn_stopped").await
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> Vec<Message> {
        self.until("the end", Message::is_last).await
    }

    /// Hangs up, and everything that is still said.
    pub async fn hang_up(mut self) -> Vec<Message> {
        drop(self.socket.close(None).await);
        self.rest().await
    }

    /// Vanishes without a close frame, as a dying network does.
    pub fn vanish(self) {
        let MaybeTlsStream::Plain(stream) = self.socket.into_inner() else { return };
        // A linger of zero turns the end into a reset.
        drop(stream.set_zero_linger());
    }
}

/// A chunk message.
pub fn chunk(seq: u64, samples: &[i16]) -> String {
    let mut text = String::with_capacity(samples.len() * 4 + 80);
    text.push_str(r#"{"type":"audio_chunk","pcm":""#);
    for byte in samples.iter().flat_map(|sample| sample.to_le_bytes()) {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    write!(text, r#"","timestamp":0.0,"seq":{seq}}}"#).expect("a String takes everything");
    text
}

/// What messages were, without their audio.
pub fn brief(messages: &[Message]) -> Vec<String> {
    let name = |message: &Message| match message {
        Message::Json(_) if !message.event().is_empty() => message.event().to_owned(),
        Message::Json(_) => {
            let (kind, intent) = (message.text("type"), message.text("intent"));
            format!("{kind} {intent}{}", message.text("code"))
        }
        other => format!("{other:?}"),
    };
    messages.iter().map(name).collect()
}
