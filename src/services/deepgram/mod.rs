//! A recogniser behind Deepgram's live contract, `wss://…/v1/listen`: it listens while the
//! caller speaks and answers when the caller stops.
//!
//! Where utterances end is the engine's to say, so its end-of-speech settings hold here as
//! they do with any other recogniser. A stream that breaks in mid-utterance is replaced, and
//! the utterance is said again from its beginning. Errors are told by status only.

mod idle;
mod stream;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Upgraded, Url};
use tokio::time::sleep;

use self::idle::IdleStreams;
use self::stream::Stream;
use super::breaker::ProviderBreaker;
use super::credentials::{CredentialSource, Environment};
use super::http::{self, ExchangeError};
use super::jitter::Jitter;
use super::providers::{ProviderError, both};
use super::{
    Health, LiveSpeech, ServiceFuture, SpeechToText, SttRequest, recogniser_health, websocket,
};
use crate::config::DeepgramSettings;
use crate::resilience::Backoff;
use crate::types::{CallId, Secret, SttFailure, Transcript};

const BASE_URL: &str = "stt.deepgram.base_url";

/// Longest time to open a stream.
const OPEN_MS_MAX: u32 = 5_000;
/// Streams tried for one utterance. It is spoken meanwhile, so that most of these cost
/// no time.
const ATTEMPTS_MAX: u32 = 4;
/// Waits between them.
const BACKOFF: Backoff = Backoff::new(250, 1_000);
/// How often it is looked whether the breaker lets a stream through.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The `deepgram` recogniser.
pub(super) struct DeepgramStt {
    client: Client,
    listen: Url,
    projects: Url,
    key: Secret,
    key_place: String,
    timeout_ms: u32,
    idle: IdleStreams<Upgraded>,
    breaker: Arc<ProviderBreaker>,
    jitter: Jitter,
    /// A stream was opened there.
    is_known: AtomicBool,
}

impl DeepgramStt {
    /// Reads address and key as `settings` and `environment` say.
    pub(super) fn new(
        settings: &DeepgramSettings,
        environment: Environment<'_>,
        jitter: Jitter,
        breaker: Arc<ProviderBreaker>,
    ) -> Result<Self, ProviderError> {
        let source = CredentialSource {
            what: "API key",
            variable: "DEEPGRAM_API_KEY",
            setting: "stt.deepgram.api_key_file",
            file: &settings.api_key_file,
        };
        let base = http::address(BASE_URL, &settings.base_url);
        let (base, key) = both(base, source.read(environment))?;
        let mut listen = http::below_v1(&base, "/listen");
        listen.query_pairs_mut().extend_pairs(wire::QUERY).append_pair("model", &settings.model);
        Ok(Self {
            client: http::client(BASE_URL, &base)?,
            listen,
            projects: http::below_v1(&base, "/projects"),
            key,
            key_place: source.place(),
            timeout_ms: settings.timeout_ms,
            idle: IdleStreams::default(),
            breaker,
            jitter,
            is_known: AtomicBool::new(false),
        })
    }

    async fn recognise(&self, request: SttRequest) -> Result<Transcript, SttFailure> {
        let ms_max = self.timeout_ms.min(request.answer_ms_max);
        let too_late = async {
            request.speech.whole().await;
            sleep(Duration::from_millis(ms_max.into())).await;
        };
        tokio::select! {
            outcome = self.attempts(&request, ms_max) => outcome,
            () = too_late => Err(SttFailure::Timeout),
        }
    }

    /// To recognise an utterance twice has no effect on anything.
    ///
    /// The breaker's pass is for the whole utterance: that a stream opens does not prove that
    /// anybody listens. So a probe lasts as long as its caller speaks.
    async fn attempts(&self, request: &SttRequest, ms_max: u32) -> Result<Transcript, SttFailure> {
        let mut attempts_used = 0;
        loop {
            self.rest_is_over(&request.speech).await;
            let pass = self.breaker.admit(ms_max)?;
            let outcome = self.attempt(request).await;
            pass.judge(&outcome);
            let error = match outcome {
                Ok(transcript) => return Ok(transcript),
                Err(error) => error,
            };
            attempts_used += 1;
            if attempts_used == ATTEMPTS_MAX || !is_passing(&error) {
                return Err(error.into());
            }
            let wait_ms = BACKOFF.wait_ms(attempts_used, None, (self.jitter)());
            sleep(Duration::from_millis(wait_ms.into())).await;
        }
    }

    /// While the breaker is open and the caller still speaks, nothing is lost by waiting.
    async fn rest_is_over(&self, speech: &LiveSpeech) {
        while self.breaker.refuses_in(0) && !speech.has_ended() {
            tokio::select! {
                _ = speech.whole() => {}
                () = sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn attempt(&self, request: &SttRequest) -> Result<Transcript, ExchangeError> {
        let stream = match self.idle.take(&request.call_id).await {
            Some(stream) => stream,
            None => self.open(request).await?,
        };
        let recognised = stream.recognise(&request.speech).await?;
        match recognised.stream {
            Some(stream) if request.speech.is_cut_off() => stream.close().await,
            Some(stream) => self.idle.put(request.call_id, stream),
            None => {}
        }
        Ok(recognised.transcript)
    }

    async fn open(&self, request: &SttRequest) -> Result<Stream<Upgraded>, ExchangeError> {
        let mut url = self.listen.clone();
        url.query_pairs_mut().append_pair("language", &request.language);
        let get = http::traced(self.authorized(self.client.get(url)), request.trace);
        self.open_by(get).await
    }

    async fn open_by(&self, get: RequestBuilder) -> Result<Stream<Upgraded>, ExchangeError> {
        let stream = Stream::new(websocket::open(get, OPEN_MS_MAX).await?);
        self.is_known.store(true, Ordering::Relaxed);
        Ok(stream)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.header("Authorization", format!("Token {}", self.key.expose()))
    }

    /// Opens a stream, and ends it at once, until that has worked once: a list of projects
    /// may be refused to a key that may recognise, and given by a server that does not. Then
    /// the list is enough; calls show the rest. Neither costs anything.
    async fn check_server(&self) -> Health {
        if self.is_known.load(Ordering::Relaxed) {
            let get = self.authorized(self.client.get(self.projects.clone()));
            return recogniser_health::ask(get, &self.projects, BASE_URL, &self.key_place).await;
        }
        let opened = self.open_by(self.authorized(self.client.get(self.listen.clone()))).await;
        let mut url = self.listen.clone();
        url.set_query(None);
        match opened {
            Ok(stream) => {
                stream.close().await;
                Health::Ready(format!("{url} listens"))
            }
            Err(ExchangeError::Status { status: status @ (401 | 403), .. }) => {
                Health::Refused(format!(
                    "the recogniser at {url} refuses the key (status {status}): put another one \
                     into {}",
                    self.key_place
                ))
            }
            // It may not know the model in the language that is its default.
            Err(ExchangeError::Status { status: 400, .. }) => Health::Ready(format!(
                "{url} answers with status 400; whether it knows the model in the language of a \
                 route shows with the first utterance (antiphon check --deep has one recognised)"
            )),
            Err(error) => Health::Unavailable(format!(
                "the recogniser at {url} opens no stream ({error}): check {BASE_URL}"
            )),
        }
    }
}

/// Whether another stream may do better.
const fn is_passing(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::NotSent | ExchangeError::Broken | ExchangeError::TimedOut => true,
        ExchangeError::Status { status, .. } => *status >= 500,
        ExchangeError::NotSecure(_)
        | ExchangeError::TooLong { .. }
        | ExchangeError::Malformed(_) => false,
    }
}

impl SpeechToText for DeepgramStt {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(self.recognise(request))
    }

    fn follows_speech(&self) -> bool {
        true
    }

    fn forget(&self, call_id: &CallId) {
        self.idle.drop_of(call_id);
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.check_server())
    }
}

#[cfg(test)]
mod tests;
