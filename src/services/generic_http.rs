//! A synthesiser behind `POST {endpoint}/tts/synthesize` with a bearer key.
//!
//! The answer is speech as [`super::speech_body`] reads it, and heard while it comes. One
//! request for a sentence; dropping the answer stops it. Where the server takes SSML, `type`
//! says whether `text` is that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder, Url};
use serde::Serialize;
use tokio::time::Instant;

use super::breaker::{Admitted, ProviderBreaker};
use super::credentials::{CredentialSource, Environment};
use super::http::{self, ExchangeError, Incoming};
use super::providers::{ProviderError, both};
use super::repeatable::Clients;
use super::speech_body::{SpeechBody, SpeechBodyError};
use super::{Health, ServiceFuture, Speech, SpeechSource, TextToSpeech, TtsRequest};
use crate::config::GenericHttpSettings;
use crate::types::{CallerText, INNER_RATE, Secret, SpeechAudio, TtsFailure};

const ENDPOINT: &str = "tts.generic-http.endpoint";
/// The voice of routes that name none.
const VOICE: &str = "en-US-Standard-A";
/// What a check has spoken.
const CHECK_WORDS: &str = "Hello.";
/// Largest answer: two minutes at 48 kHz, with some room.
const AUDIO_BYTES_MAX: usize = 12 * 1024 * 1024;

/// Refusals of SSML in a row after which it is not sent for a while. One text may be at fault.
const SSML_REFUSALS_MAX: u32 = 3;
/// Time for which it is not sent then.
const SSML_REST: Duration = Duration::from_secs(300);

/// The `generic-http` synthesiser.
pub(super) struct GenericTts {
    clients: Clients,
    synthesize: Url,
    key: Secret,
    key_place: String,
    takes_ssml: bool,
    ssml: Mutex<SsmlRefusals>,
    timeout_ms: u32,
    breaker: Arc<ProviderBreaker>,
    /// Something was spoken there, or would have been.
    is_known: Arc<AtomicBool>,
}

/// How often SSML was refused.
#[derive(Debug, Default)]
struct SsmlRefusals {
    in_a_row: u32,
    rests_until: Option<Instant>,
}

impl SsmlRefusals {
    /// Whether it is not to be sent.
    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn taken(&mut self) {
        *self = Self::default();
    }

    /// Notes a refusal, and says whether it is not sent for a while now. After that while one
    /// more refusal is enough.
    fn refused(&mut self, now: Instant) -> bool {
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.rests_until = (self.in_a_row >= SSML_REFUSALS_MAX).then(|| now + SSML_REST);
        self.rests_until.is_some()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentenceBody<'a> {
    text: &'a str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    voice: &'a str,
    sample_rate_hertz: u32,
    audio_encoding: &'static str,
}

impl GenericTts {
    /// Reads address and key as `settings` and `environment` say.
    pub(super) fn new(
        settings: &GenericHttpSettings,
        environment: Environment<'_>,
        breaker: Arc<ProviderBreaker>,
    ) -> Result<Self, ProviderError> {
        let source = CredentialSource {
            what: "API key",
            variable: "ANTIPHON_TTS_API_KEY",
            setting: "tts.generic-http.api_key_file",
            file: &settings.api_key_file,
        };
        let endpoint = http::address(ENDPOINT, &settings.endpoint);
        let (endpoint, key) = both(endpoint, source.read(environment))?;
        Ok(Self {
            clients: Clients::new(ENDPOINT, &endpoint)?,
            synthesize: http::below(&endpoint, "/tts/synthesize"),
            key,
            key_place: source.place(),
            takes_ssml: settings.ssml,
            ssml: Mutex::default(),
            timeout_ms: settings.timeout_ms,
            breaker,
            is_known: Arc::default(),
        })
    }

    /// The deadline is for the first audio; from there on the limits of all growing
    /// speech count.
    async fn begin(&self, request: TtsRequest) -> Result<Speech, TtsFailure> {
        let ms_max = self.timeout_ms.min(request.answer_ms_max);
        let pass = self.breaker.admit(ms_max)?;
        http::within(ms_max, async {
            let incoming = match self.open(&request).await {
                Ok(incoming) => incoming,
                Err(error) => {
                    pass.judge(&Err::<(), _>(error.clone()));
                    return Err(error.into());
                }
            };
            Speech::begin(Body::new(incoming, pass, Arc::clone(&self.is_known))?).await
        })
        .await
    }

    /// Has the sentence spoken with its markup where that is taken, and otherwise, or when it
    /// is not this time, without: plain words are better than none.
    async fn open(&self, request: &TtsRequest) -> Result<Incoming, ExchangeError> {
        let ask = async |text: &CallerText, kind| {
            let post = |client: &Client| {
                let post = self.post(client, text.expose(), kind, &request.voice);
                http::traced(post, request.trace)
            };
            self.clients.open(post, AUDIO_BYTES_MAX).await
        };
        if !self.takes_ssml {
            return ask(&request.text, None).await;
        }
        let may_send = |_: &&CallerText| !self.ssml.lock().rests(Instant::now());
        if let Some(ssml) = request.ssml.as_ref().filter(may_send) {
            let opened = ask(ssml, Some("ssml")).await;
            let Err(ExchangeError::Status { status: 400 | 413 | 422, .. }) = opened else {
                if opened.is_ok() {
                    self.ssml.lock().taken();
                }
                return opened;
            };
            let rests = self.ssml.lock().refused(Instant::now());
            let for_s = if rests { SSML_REST.as_secs() } else { 0 };
            tracing::warn!(for_s, "a synthesiser refused SSML; the words are spoken without");
        }
        ask(&request.text, Some("text")).await
    }

    fn post(
        &self,
        client: &Client,
        text: &str,
        kind: Option<&'static str>,
        voice: &str,
    ) -> RequestBuilder {
        let body = http::json_body(&SentenceBody {
            text,
            kind,
            voice: if voice.is_empty() { VOICE } else { voice },
            sample_rate_hertz: INNER_RATE.hz(),
            audio_encoding: "LINEAR16",
        });
        client
            .post(self.synthesize.clone())
            .bearer_auth(self.key.expose())
            .header(CONTENT_TYPE, "application/json")
            .body(body)
    }

    /// Makes a connection. Until something was spoken, it has a word spoken as well: whatever
    /// else a server answers, callers would hear nothing of it.
    async fn check_server(&self) -> Health {
        let head = self.clients.kept().head(self.synthesize.clone());
        match http::probe(head).await {
            Ok((status, _)) if http::is_away(status) => {
                let found = format!("leads elsewhere or is not ready (status {status})");
                return self.unavailable(&found);
            }
            Ok(_) => {}
            Err(error) => return self.unavailable(&format!("is not reachable ({error})")),
        }
        if self.is_known.load(Ordering::Relaxed) {
            return Health::Ready(format!("{} answers", self.synthesize));
        }
        let kind = self.takes_ssml.then_some("text");
        let post = |client: &Client| self.post(client, CHECK_WORDS, kind, "");
        match self.clients.open(post, AUDIO_BYTES_MAX).await {
            Ok(incoming) => self.listen_to(incoming).await,
            Err(ExchangeError::Status { status: status @ (401 | 403), .. }) => {
                Health::Refused(format!(
                    "the synthesiser at {} refuses the key (status {status}): put another one \
                     into {}",
                    self.synthesize, self.key_place
                ))
            }
            // It may not know the voice of routes that name none.
            Err(ExchangeError::Status { status: status @ (400 | 422 | 429), .. }) => {
                Health::Ready(format!(
                    "{} answers with status {status}; whether it speaks is not verified until the \
                     first sentence of a route (antiphon check --deep has one spoken)",
                    self.synthesize
                ))
            }
            Err(error) => self.unavailable(&format!("answers calls with an error ({error})")),
        }
    }

    async fn listen_to(&self, incoming: Incoming) -> Health {
        let speech = match SpeechBody::new(&incoming.media_type) {
            Ok(speech) => speech,
            Err(error) => {
                return self.unavailable(&format!("speaks what is not read here ({error})"));
            }
        };
        let body = Body { incoming, speech, pass: None, is_known: Arc::clone(&self.is_known) };
        match Speech::begin(body).await {
            Ok(_) => {
                self.is_known.store(true, Ordering::Relaxed);
                Health::Ready(format!("{} speaks", self.synthesize))
            }
            Err(failure) => self.unavailable(&format!("sends no speech ({failure})")),
        }
    }

    fn unavailable(&self, found: &str) -> Health {
        Health::Unavailable(format!(
            "the synthesiser at {} {found}: check {ENDPOINT}",
            self.synthesize
        ))
    }
}

impl TextToSpeech for GenericTts {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(async move { self.begin(request).await?.whole().await })
    }

    fn speak(&self, request: TtsRequest) -> ServiceFuture<'_, Result<Speech, TtsFailure>> {
        Box::pin(self.begin(request))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.check_server())
    }
}

/// The answer's body, read as it comes.
struct Body {
    incoming: Incoming,
    speech: SpeechBody,
    /// Until the first speech is there: that shows whether it speaks.
    pass: Option<Admitted>,
    is_known: Arc<AtomicBool>,
}

impl Body {
    fn new(
        incoming: Incoming,
        pass: Admitted,
        is_known: Arc<AtomicBool>,
    ) -> Result<Self, TtsFailure> {
        match SpeechBody::new(&incoming.media_type) {
            Ok(speech) => Ok(Self { incoming, speech, pass: Some(pass), is_known }),
            Err(error) => {
                pass.judge(&Err::<(), _>(NO_SPEECH));
                Err(error.into())
            }
        }
    }

    async fn next(&mut self, samples: &mut Vec<i16>) -> Result<bool, (ExchangeError, TtsFailure)> {
        let chunk = self.incoming.chunk().await.map_err(|error| (error.clone(), error.into()))?;
        let read = match &chunk {
            Some(bytes) => self.speech.read(bytes, samples),
            None => self.speech.end(samples),
        };
        read.map_err(|error| (NO_SPEECH, error.into()))?;
        Ok(chunk.is_some())
    }
}

/// What the breaker is told of an answer that nobody can hear.
const NO_SPEECH: ExchangeError = ExchangeError::Malformed("is no speech");

impl From<SpeechBodyError> for TtsFailure {
    fn from(error: SpeechBodyError) -> Self {
        Self::Failed { message: error.to_string() }
    }
}

impl SpeechSource for Body {
    async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
        let before = samples.len();
        let (verdict, outcome) = match self.next(samples).await {
            Ok(goes_on) => (Ok(()), Ok(goes_on)),
            Err((error, failure)) => (Err(error), Err(failure)),
        };
        if (samples.len() > before || !matches!(outcome, Ok(true)))
            && let Some(pass) = self.pass.take()
        {
            self.is_known.fetch_or(verdict.is_ok(), Ordering::Relaxed);
            pass.judge(&verdict);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssml_that_is_refused_again_and_again_is_tried_again_after_some_minutes() {
        let (mut ssml, begun) = (SsmlRefusals::default(), Instant::now());
        let refused: Vec<bool> = (0..3).map(|_| ssml.refused(begun)).collect();
        assert_eq!(refused, [false, false, true]);
        assert!(ssml.rests(begun + SSML_REST - Duration::from_millis(1)));
        let later = begun + SSML_REST;
        assert!(!ssml.rests(later));
        assert!(ssml.refused(later) && ssml.rests(later), "one more is enough");
        ssml.taken();
        assert!(!ssml.rests(later) && !ssml.refused(later), "one text is at fault");
    }
}
