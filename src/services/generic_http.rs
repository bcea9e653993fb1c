//! A synthesiser behind `POST {endpoint}/tts/synthesize` with a bearer key.
//!
//! The answer is 16 kHz speech, raw or as a WAV file, and heard while it comes. One
//! request for a sentence, no repetition; dropping the answer stops it.

use std::sync::Arc;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::Serialize;

use super::breaker::{Admitted, ProviderBreaker};
use super::credentials::{CredentialSource, Environment};
use super::http::{self, Incoming};
use super::providers::ProviderError;
use super::{Health, ServiceFuture, Speech, SpeechSource, TextToSpeech, TtsRequest, wav};
use crate::config::GenericHttpSettings;
use crate::types::{INNER_RATE, Secret, SpeechAudio, TtsFailure};

const ENDPOINT: &str = "tts.generic-http.endpoint";
/// The voice of routes that name none.
const VOICE: &str = "en-US-Standard-A";
/// Largest answer: two minutes of stereo.
const AUDIO_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The `generic-http` synthesiser.
pub(super) struct GenericTts {
    client: Client,
    endpoint: Url,
    synthesize: Url,
    key: Secret,
    timeout_ms: u32,
    breaker: Arc<ProviderBreaker>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SentenceBody<'a> {
    text: &'a str,
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
        let endpoint = http::address(ENDPOINT, &settings.endpoint)?;
        let source = CredentialSource {
            what: "API key",
            variable: "ANTIPHON_TTS_API_KEY",
            setting: "tts.generic-http.api_key_file",
            file: &settings.api_key_file,
        };
        Ok(Self {
            client: http::client(ENDPOINT, &endpoint)?,
            synthesize: http::below(&endpoint, "/tts/synthesize"),
            endpoint,
            key: source.read(environment)?,
            timeout_ms: settings.timeout_ms,
            breaker,
        })
    }

    /// The deadline is for the first audio; from there on the limits of all growing
    /// speech count.
    async fn begin(&self, request: TtsRequest) -> Result<Speech, TtsFailure> {
        let ms_max = self.timeout_ms.min(request.answer_ms_max);
        let pass = self.breaker.admit(ms_max)?;
        let body = http::json_body(&SentenceBody {
            text: request.text.expose(),
            voice: if request.voice.is_empty() { VOICE } else { &request.voice },
            sample_rate_hertz: INNER_RATE.hz(),
            audio_encoding: "LINEAR16",
        });
        let post = self
            .client
            .post(self.synthesize.clone())
            .bearer_auth(self.key.expose())
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let post = http::traced(post, request.trace);
        http::within(ms_max, async {
            let incoming = match http::open(post, AUDIO_BYTES_MAX).await {
                Ok(incoming) => incoming,
                Err(error) => {
                    pass.judge(&Err::<(), _>(error.clone()));
                    return Err(error.into());
                }
            };
            Speech::begin(Body::new(incoming, pass)?).await
        })
        .await
    }

    /// Asks the address itself: a sentence would cost money. Whether the key is accepted
    /// shows with the first sentence.
    async fn check_server(&self) -> Health {
        match http::probe(self.client.head(self.endpoint.clone())).await {
            Ok(_) => Health::Ready(format!(
                "{} answers; whether it accepts the key {} shows with the first sentence",
                self.endpoint, self.key
            )),
            Err(error) => Health::Unavailable(format!(
                "the synthesiser at {} is not reachable ({error}): check {ENDPOINT}",
                self.endpoint
            )),
        }
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
    reader: wav::Reader,
    /// Until the first part of the body is there: that one shows whether it speaks.
    pass: Option<Admitted>,
}

impl Body {
    fn new(incoming: Incoming, pass: Admitted) -> Result<Self, TtsFailure> {
        let media_type = incoming.media_type.as_str();
        // Played as audio, an error message in a 200 answer would be noise.
        if media_type.starts_with("text/") || media_type == "application/json" {
            pass.judge(&Ok(()));
            let message = "the answer is declared as text or JSON, not as audio".to_owned();
            return Err(TtsFailure::Failed { message });
        }
        Ok(Self { incoming, reader: wav::Reader::default(), pass: Some(pass) })
    }
}

impl SpeechSource for Body {
    async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
        let chunk = self.incoming.chunk().await;
        if let Some(pass) = self.pass.take() {
            pass.judge(&chunk);
        }
        let chunk = chunk?;
        let read = match &chunk {
            Some(bytes) => self.reader.read(bytes, samples),
            None => self.reader.end(samples),
        };
        read.map_err(|error| TtsFailure::Failed { message: error.to_string() })?;
        Ok(chunk.is_some())
    }
}
