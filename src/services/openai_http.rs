//! A recogniser behind OpenAI's `/v1/audio/transcriptions`, which whisper.cpp,
//! speaches, vLLM and others serve too.
//!
//! One request for a whole utterance. Errors are told by status only: the bodies differ
//! from server to server. An error in a 200 answer is one; no text is no words.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Map, Value};

use super::breaker::ProviderBreaker;
use super::credentials::{CredentialSource, Environment};
use super::http::{self, Answer, ExchangeError};
use super::providers::ProviderError;
use super::repeatable::Clients;
use super::{Health, ServiceFuture, SpeechToText, SttRequest, recogniser_health};
use crate::config::OpenAiHttpSettings;
use crate::media::wav;
use crate::types::{CallerText, INNER_RATE, Secret, SttFailure, Transcript};

const BASE_URL: &str = "stt.openai-http.base_url";

/// The `openai-http` recogniser.
pub(super) struct OpenAiStt {
    clients: Clients,
    transcriptions: Url,
    models: Url,
    model: String,
    /// Servers on one's own machine need none.
    key: Option<Secret>,
    key_place: String,
    timeout_ms: u32,
    breaker: Arc<ProviderBreaker>,
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
            transcriptions: http::below(&base, "/v1/audio/transcriptions"),
            models: http::below(&base, "/v1/models"),
            model: settings.model.clone(),
            key: source.read_optional(environment)?,
            key_place: source.place(),
            timeout_ms: settings.timeout_ms,
            breaker,
        })
    }

    async fn recognise(&self, request: SttRequest) -> Result<Transcript, SttFailure> {
        let ms_max = self.timeout_ms.min(request.answer_ms_max);
        let pass = self.breaker.admit(ms_max)?;
        let whole = request.speech.whole().await;
        let file = Bytes::from(wav::write_mono(INNER_RATE, whole.samples()));
        let post = |client: &Client| {
            let post = self.authorized(client.post(self.transcriptions.clone()));
            http::traced(post.multipart(self.form(file.clone(), &request.language)), request.trace)
        };
        let answer = self.clients.exchange(post, http::JSON_BYTES_MAX, ms_max).await;
        let transcript = answer.and_then(|answer| transcript(&answer));
        pass.judge(&transcript);
        match transcript {
            Err(AN_ERROR) => {
                let message = "it answers with an error instead of a transcript".to_owned();
                Err(SttFailure::Unavailable { message })
            }
            transcript => Ok(transcript?),
        }
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

    /// Asks for the list of models, which costs nothing.
    async fn check_server(&self) -> Health {
        let get = self.authorized(self.clients.kept().get(self.models.clone()));
        recogniser_health::ask(get, &self.models, BASE_URL, &self.key_place).await
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

/// What an answer says. An object without a text is one in which nothing was heard.
fn transcript(answer: &Answer) -> Result<Transcript, ExchangeError> {
    let body: Map<String, Value> = answer.json()?;
    if body.get("error").is_some_and(|error| !error.is_null()) {
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
