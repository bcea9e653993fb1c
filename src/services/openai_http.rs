//! A recogniser behind OpenAI's `/v1/audio/transcriptions`, which whisper.cpp,
//! speaches, vLLM and others serve too.
//!
//! One request for a whole utterance. Errors are told by status only: the bodies differ
//! from server to server. An error in a 200 answer is one; no text is no words.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Map, Value};

use super::breaker::ProviderBreaker;
use super::credentials::{CredentialSource, Environment};
use super::http::{self, Answer, ExchangeError};
use super::providers::ProviderError;
use super::repeatable::Clients;
use super::{Health, ServiceFuture, SpeechToText, SttRequest};
use crate::config::OpenAiHttpSettings;
use crate::media::wav;
use crate::types::{CallerText, INNER_RATE, Secret, SttFailure, TraceParent, Transcript};

const BASE_URL: &str = "stt.openai-http.base_url";
/// How much silence a check has recognised.
const PROBE_MS: u32 = 500;

/// The `openai-http` recogniser.
pub(super) struct OpenAiStt {
    clients: Clients,
    transcriptions: Url,
    model: String,
    /// Servers on one's own machine need none.
    key: Option<Secret>,
    key_place: String,
    timeout_ms: u32,
    breaker: Arc<ProviderBreaker>,
    /// It has given a transcript.
    is_known: AtomicBool,
}

impl OpenAiStt {
    /// Reads address and key as `settings` and `environment` say.
    pub(super) fn new(
        settings: &OpenAiHttpSettings,
        environment: Environment<'_>,
        breaker: Arc<ProviderBreaker>,
    ) -> Result<Self, ProviderError> {
        let base = http::address(BASE_URL, &settings.base_url)?;
        let source = CredentialSource {
            what: "API key",
            variable: "OPENAI_API_KEY",
            setting: "stt.openai-http.api_key_file",
            file: &settings.api_key_file,
        };
        Ok(Self {
            clients: Clients::new(BASE_URL, &base)?,
            transcriptions: http::below_v1(&base, "/audio/transcriptions"),
            model: settings.model.clone(),
            key: source.read_optional(environment)?,
            key_place: source.place(),
            timeout_ms: settings.timeout_ms,
            breaker,
            is_known: AtomicBool::new(false),
        })
    }

    async fn recognise(&self, request: SttRequest) -> Result<Transcript, SttFailure> {
        let ms_max = self.timeout_ms.min(request.answer_ms_max);
        let pass = self.breaker.admit(ms_max)?;
        let whole = request.speech.whole().await;
        let file = Bytes::from(wav::write_mono(INNER_RATE, whole.samples()));
        let transcript = self.ask(file, &request.language, request.trace, ms_max).await;
        pass.judge(&transcript);
        match transcript {
            Err(AN_ERROR) => {
                let message = "it answers with an error instead of a transcript".to_owned();
                Err(SttFailure::Unavailable { message })
            }
            transcript => Ok(transcript?),
        }
    }

    async fn ask(
        &self,
        file: Bytes,
        language: &str,
        trace: Option<TraceParent>,
        ms_max: u32,
    ) -> Result<Transcript, ExchangeError> {
        let post = |client: &Client| {
            let post = self.authorized(client.post(self.transcriptions.clone()));
            http::traced(post.multipart(self.form(file.clone(), language)), trace)
        };
        let answer = self.clients.exchange(post, http::JSON_BYTES_MAX, ms_max).await?;
        let transcript = transcript(&answer)?;
        self.is_known.store(true, Ordering::Relaxed);
        Ok(transcript)
    }

    fn form(&self, file: Bytes, language: &str) -> Form {
        let file = Part::stream(file).file_name("u.wav").mime_str("audio/wav");
        let file = file.expect("audio/wav is a media type");
        let form = Form::new()
            .part("file", file)
            .text("model", self.model.clone())
            .text("response_format", "json");
        match iso_639_1(language) {
            Some(language) => form.text("language", language),
            None => form,
        }
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    /// Has half a second of silence recognised until that has worked once: a list of models
    /// may be refused to a key that may transcribe, and given by a server that cannot. Then
    /// it is enough that the server answers; the calls show the rest.
    async fn check_server(&self) -> Health {
        let url = &self.transcriptions;
        if self.is_known.load(Ordering::Relaxed) {
            return match http::probe(self.clients.kept().head(url.clone())).await {
                Ok((status, _)) if http::is_away(status) => {
                    self.unavailable(&format!("leads elsewhere or is not ready (status {status})"))
                }
                Ok(_) => Health::Ready(format!("{url} answers")),
                Err(error) => self.unavailable(&format!("is not reachable ({error})")),
            };
        }
        let silence = vec![0; INNER_RATE.samples_in_ms(PROBE_MS)];
        let file = Bytes::from(wav::write_mono(INNER_RATE, &silence));
        match self.ask(file, "", None, http::CHECK_MS_MAX).await {
            Ok(_) => Health::Ready(format!("{url} recognises speech")),
            Err(ExchangeError::Status { status: status @ (401 | 403), .. }) => {
                Health::Refused(format!(
                    "the recogniser at {url} refuses the key (status {status}): put another one \
                     into {}",
                    self.key_place
                ))
            }
            Err(ExchangeError::Status { status: status @ 300..=399, .. }) => self
                .unavailable(&format!("leads elsewhere (status {status}), which is not followed")),
            Err(ExchangeError::NotSent) => self.unavailable("is not reachable"),
            Err(error) => self.unavailable(&format!("answers calls with an error ({error})")),
        }
    }

    fn unavailable(&self, what: &str) -> Health {
        let url = &self.transcriptions;
        Health::Unavailable(format!("the recogniser at {url} {what}: check {BASE_URL}"))
    }
}

impl SpeechToText for OpenAiStt {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(self.recognise(request))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.check_server())
    }
}

/// What the breaker is told of an answer that is one of failure by its content only.
const AN_ERROR: ExchangeError = ExchangeError::Malformed("is an error");

/// What servers tell of in an answer that is none.
const ERROR_KEYS: [&str; 4] = ["error", "errors", "detail", "message"];

/// What an answer says. An object without a text is one in which nothing was heard, unless it
/// tells of something else, or of nothing at all. Bytes that are no text hide what was heard,
/// and would be no words.
fn transcript(answer: &Answer) -> Result<Transcript, ExchangeError> {
    let body: Map<String, Value> = answer.json()?;
    if body.is_empty() {
        return Err(ExchangeError::Malformed("is an empty object"));
    }
    if std::str::from_utf8(&answer.body).is_err() {
        return Err(ExchangeError::Malformed("is not in UTF-8"));
    }
    let tells = |key: &&str| body.get(*key).is_some_and(|told| !told.is_null());
    if tells(&"error") || !tells(&"text") && ERROR_KEYS.iter().any(tells) {
        return Err(AN_ERROR);
    }
    match body.get("text") {
        None | Some(Value::Null) => Ok(Transcript::NoMatch),
        Some(Value::String(text)) => {
            Ok(Transcript::Final { text: CallerText::from(text.as_str()), confidence: None })
        }
        Some(_) => Err(ExchangeError::Malformed("has a text that is none")),
    }
}

/// The language of a BCP 47 tag where it has two letters: `en` of `en-US`.
fn iso_639_1(tag: &str) -> Option<String> {
    let language = tag.split('-').next()?;
    (language.len() == 2).then(|| language.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_sent_where_it_has_a_two_letter_code() {
        let codes = ["en-US", "DE", "yue-HK", ""].map(iso_639_1);
        assert_eq!(codes, [Some("en".to_owned()), Some("de".to_owned()), None, None]);
    }
}
