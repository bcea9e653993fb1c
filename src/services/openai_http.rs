//! A recogniser behind OpenAI's `/v1/audio/transcriptions`, which whisper.cpp,
//! speaches, vLLM and others serve too.
//!
//! One request for a whole utterance, no repetition. Errors are told by status only:
//! the bodies differ from server to server.

use std::sync::Arc;

use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Url};
use serde::Deserialize;

use super::breaker::ProviderBreaker;
use super::credentials::{CredentialSource, Environment};
use super::http::{self, ExchangeError};
use super::providers::ProviderError;
use super::{Health, ServiceFuture, SpeechToText, SttRequest, recogniser_health, wav};
use crate::config::OpenAiHttpSettings;
use crate::types::{CallerText, Secret, SttFailure, Transcript};

const BASE_URL: &str = "stt.openai-http.base_url";

/// The `openai-http` recogniser.
pub(super) struct OpenAiStt {
    client: Client,
    transcriptions: Url,
    models: Url,
    model: String,
    /// Servers on one's own machine need none.
    key: Option<Secret>,
    key_place: String,
    timeout_ms: u32,
    breaker: Arc<ProviderBreaker>,
}

#[derive(Deserialize)]
struct TranscriptionBody {
    text: String,
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
            client: http::client(BASE_URL, &base)?,
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
        let post = self
            .authorized(self.client.post(self.transcriptions.clone()))
            .multipart(self.form(&request).await?);
        let post = http::traced(post, request.trace);
        let answer = http::exchange(post, http::JSON_BYTES_MAX, ms_max).await;
        pass.judge(&answer);
        let body: TranscriptionBody = answer?.json()?;
        let text = body.text.trim();
        if text.is_empty() {
            return Ok(Transcript::NoMatch);
        }
        Ok(Transcript::Final { text: CallerText::from(text), confidence: None })
    }

    async fn form(&self, request: &SttRequest) -> Result<Form, ExchangeError> {
        let file = Part::bytes(wav::encode(request.speech.whole().await.samples()))
            .file_name("u.wav")
            .mime_str("audio/wav")
            .map_err(|_| ExchangeError::NotSent)?;
        let form = Form::new()
            .part("file", file)
            .text("model", self.model.clone())
            .text("response_format", "json");
        Ok(match iso_639_1(&request.language) {
            Some(language) => form.text("language", language),
            None => form,
        })
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key.expose()),
            None => request,
        }
    }

    /// Asks for the list of models, which costs nothing.
    async fn check_server(&self) -> Health {
        let get = self.authorized(self.client.get(self.models.clone()));
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
