//! The recogniser that listens while the caller speaks: `GET /v1/listen`, a WebSocket with
//! audio one way and results the other.
//!
//! Like the other recogniser it hears the configured phrase in everything; of speech that
//! lasts it tells the first half before the end. It minds what the public service minds: a
//! key, a model, an audio format; an empty message ends a stream, and so does silence
//! without a `KeepAlive`. The fault profile counts handshakes and utterances.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use actix_ws::{CloseCode, CloseReason, Message, MessageStream, Session};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::Stand;
use super::faults::{Fault, FaultProfile};
use super::problem::{Problem, credential};

/// Longest time without audio and without `KeepAlive`.
const SILENT_MAX: Duration = Duration::from_secs(10);
const RATE_HZ: u32 = 16_000;
/// Speech of which a part is told before it ends.
const LASTING_SAMPLES: usize = 3 * RATE_HZ as usize;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/v1/listen", web::get().to(listen))
        .route("/v1/projects", web::get().to(projects));
}

#[derive(Deserialize)]
struct Listening {
    model: Option<String>,
    encoding: Option<String>,
    sample_rate: Option<u32>,
}

impl Listening {
    fn check(&self) -> Result<(), Problem> {
        if self.model.as_deref().is_none_or(str::is_empty) {
            return Err(Problem::bad_request("model is missing"));
        }
        if self.encoding.as_deref() != Some("linear16") || self.sample_rate != Some(RATE_HZ) {
            let format = format!("encoding must be linear16 and sample_rate {RATE_HZ}");
            return Err(Problem::bad_request(format));
        }
        Ok(())
    }
}

fn check_key(request: &HttpRequest, stand: &Stand) -> Result<(), Problem> {
    if credential(request.headers(), "Token") == Some(stand.key.expose()) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNAUTHORIZED, "the API key is missing or not known"))
    }
}

async fn projects(request: HttpRequest, stand: web::Data<Stand>) -> HttpResponse {
    match check_key(&request, &stand) {
        Ok(()) => HttpResponse::Ok().json(json!({"projects": []})),
        Err(problem) => problem.into(),
    }
}

async fn listen(
    request: HttpRequest,
    listening: web::Query<Listening>,
    body: web::Payload,
    stand: web::Data<Stand>,
) -> HttpResponse {
    let opening = async {
        check_key(&request, &stand)?;
        listening.check()?;
        let (response, session, messages) = actix_ws::handle(&request, body)
            .map_err(|error| Problem::bad_request(error.to_string()))?;
        let hearing = Hearing { stand: stand.clone(), session, heard: 0, told: 0 };
        actix_web::rt::spawn(hearing.run(messages));
        Ok(response)
    };
    stand.stt.serve(opening).await
}

/// One stream.
struct Hearing {
    stand: web::Data<Stand>,
    session: Session,
    /// Samples of the utterance in progress.
    heard: usize,
    /// Words of the phrase that were told of it already.
    told: usize,
}

/// What ends a stream.
enum End {
    /// The client wants it, or is gone.
    Orderly,
    /// Without a word.
    Broken,
    Closed(CloseCode, &'static str),
}

impl Hearing {
    async fn run(mut self, mut messages: MessageStream) {
        let end = loop {
            let silent = End::Closed(CloseCode::Error, "NET-0001");
            let Ok(message) = timeout(SILENT_MAX, messages.recv()).await else { break silent };
            let done = match message {
                Some(Ok(Message::Binary(bytes))) => self.hear(bytes.len()).await,
                Some(Ok(Message::Text(text))) => self.obey(&text).await,
                Some(Ok(Message::Close(_)) | Err(_)) | None => Err(End::Orderly),
                Some(Ok(_)) => Ok(()),
            };
            if let Err(end) = done {
                break end;
            }
        };
        let reason = match end {
            End::Broken => return,
            End::Orderly => None,
            End::Closed(code, why) => Some(CloseReason { code, description: Some(why.to_owned()) }),
        };
        // Whoever is gone needs no goodbye.
        self.session.close(reason).await.ok();
    }

    async fn hear(&mut self, bytes: usize) -> Result<(), End> {
        match bytes {
            0 => return Err(End::Orderly),
            odd if odd % 2 != 0 => return Err(End::Closed(CloseCode::Policy, "DATA-0000")),
            _ => {}
        }
        self.heard += bytes / 2;
        let first_half = self.words().len() / 2;
        if self.heard >= LASTING_SAMPLES && self.told < first_half {
            self.tell(first_half, false).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: &str) -> Result<(), End> {
        let order: Value = serde_json::from_str(order).unwrap_or_default();
        match order["type"].as_str() {
            Some("KeepAlive") => Ok(()),
            Some("Finalize") => self.finalize().await,
            Some("CloseStream") => {
                let metadata = json!({"type": "Metadata", "request_id": "sandbox", "channels": 1});
                self.send(&metadata).await?;
                Err(End::Orderly)
            }
            _ => Err(End::Closed(CloseCode::Policy, "unknown message type")),
        }
    }

    async fn finalize(&mut self) -> Result<(), End> {
        match self.stand.clone().stt.admit().await {
            Ok(()) => {}
            Err(Fault::Break) => return Err(End::Broken),
            Err(Fault::Status) => return Err(End::Closed(CloseCode::Error, "NET-0000")),
            Err(Fault::Hang) => {
                tokio::time::sleep(Duration::from_millis(FaultProfile::HANG_MS.into())).await;
            }
        }
        let words = if self.heard == 0 { 0 } else { self.words().len() };
        self.tell(words, true).await?;
        (self.heard, self.told) = (0, 0);
        Ok(())
    }

    /// Tells the phrase as far as `to`, from the word on that was not told.
    async fn tell(&mut self, to: usize, from_finalize: bool) -> Result<(), End> {
        let transcript = self.words()[self.told.min(to)..to].join(" ");
        self.told = to;
        let results = json!({
            "type": "Results",
            "channel_index": [0, 1],
            "duration": self.heard as f64 / f64::from(RATE_HZ),
            "start": 0.0,
            "is_final": true,
            "speech_final": false,
            "from_finalize": from_finalize,
            "channel": {"alternatives": [
                {"transcript": transcript, "confidence": 0.99, "words": []}
            ]},
            "metadata": {"request_id": "sandbox"},
        });
        self.send(&results).await
    }

    fn words(&self) -> Vec<&str> {
        self.stand.phrase.split_whitespace().collect()
    }

    async fn send(&mut self, message: &Value) -> Result<(), End> {
        self.session.text(message.to_string()).await.map_err(|_| End::Orderly)
    }
}
