//! The speech providers of the sandbox: `POST /tts/synthesize` and
//! `POST /v1/audio/transcriptions`.
//!
//! Synthesis is real speech where the sandbox was given a synthesiser, and a tone
//! per word otherwise, streamed piece by piece. Recognition always hears the configured phrase: it proves
//! the contract, not an ear.

use std::f32::consts::TAU;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;

use super::Stand;
use super::body::Streamed;
use super::multipart::{self, Part};
use super::problem::{BodyResult, Problem, credential, read_bytes, read_json};

/// Speaks a text in a voice: 16 kHz mono, or why not.
pub type Synthesiser = Arc<dyn Fn(SpeechOrder) -> SpeechFuture + Send + Sync>;

/// Speech in the making.
pub type SpeechFuture = Pin<Box<dyn Future<Output = Result<Vec<i16>, String>> + Send>>;

/// What is to be spoken.
#[derive(Clone)]
pub struct SpeechOrder {
    /// The words.
    pub text: String,
    /// The client's name of the voice.
    pub voice: String,
}

/// Largest recording taken; the public service's limit.
pub(super) const RECORDING_BYTES_MAX: usize = 25 << 20;
/// Longest text spoken in one request.
const TEXT_CHARS_MAX: usize = 5_000;
const RATE_HZ: u32 = 16_000;
const ENCODING: &str = "LINEAR16";

/// Sounding and silent samples of a word that is spoken as a tone.
const TONE_SAMPLES: usize = 3_200;
const PAUSE_SAMPLES: usize = 800;
const TONE_AMPLITUDE: f32 = 6_000.0;

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/tts/synthesize", web::post().to(synthesize)).service(
        web::resource("/v1/audio/transcriptions")
            .app_data(web::PayloadConfig::new(RECORDING_BYTES_MAX))
            .route(web::post().to(transcribe)),
    );
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SynthesizeOrder {
    text: String,
    /// `ssml` or `text`, which is what it is where nothing is said.
    #[serde(rename = "type", default)]
    kind: Option<String>,
    voice: String,
    sample_rate_hertz: u32,
    audio_encoding: String,
}

impl SynthesizeOrder {
    /// What is spoken: the words, whatever stands around them.
    fn words(&self) -> String {
        if self.kind.as_deref() != Some("ssml") {
            return self.text.clone();
        }
        let behind_tags = self
            .text
            .split('<')
            .map(|part| part.split_once('>').map_or(part, |(_, behind)| behind));
        let words = behind_tags.collect::<Vec<_>>().join(" ");
        [("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")]
            .iter()
            .fold(words, |words, (entity, character)| words.replace(entity, character))
    }

    fn check(&self) -> Result<(), Problem> {
        if self.text.trim().is_empty() || self.text.chars().count() > TEXT_CHARS_MAX {
            return Err(Problem::bad_request(format!(
                "text must have 1 to {TEXT_CHARS_MAX} characters"
            )));
        }
        if self.sample_rate_hertz != RATE_HZ {
            return Err(Problem::bad_request(format!("sampleRateHertz must be {RATE_HZ}")));
        }
        if self.audio_encoding != ENCODING {
            return Err(Problem::bad_request(format!("audioEncoding must be {ENCODING}")));
        }
        Ok(())
    }
}

async fn synthesize(
    request: HttpRequest,
    body: BodyResult,
    stand: web::Data<Stand>,
) -> HttpResponse {
    let order = async {
        check_key(&request, &stand)?;
        let order: SynthesizeOrder = read_json(body)?;
        order.check()?;
        let samples = match &stand.synthesiser {
            None => tones(&order.words()),
            Some(speak) => speak(SpeechOrder { text: order.words(), voice: order.voice })
                .await
                .map_err(|reason| Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason))?,
        };
        let bytes: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let body = Streamed::new(bytes, stand.speech_pace);
        Ok(HttpResponse::Ok().content_type("audio/l16;rate=16000;channels=1").body(body))
    };
    stand.tts.serve(order).await
}

async fn transcribe(
    request: HttpRequest,
    body: BodyResult,
    stand: web::Data<Stand>,
) -> HttpResponse {
    let recording = async {
        check_key(&request, &stand)?;
        let content_type = request.headers().get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
        let boundary = content_type.and_then(multipart::boundary).ok_or_else(|| {
            Problem::bad_request("the body must be multipart/form-data with a boundary")
        })?;
        let bytes = read_bytes(body)?;
        check_recording(&multipart::parts(&bytes, boundary))?;
        Ok(HttpResponse::Ok().json(json!({"text": stand.phrase})))
    };
    stand.stt.serve(recording).await
}

fn check_recording(parts: &[Part<'_>]) -> Result<(), Problem> {
    let part = |name: &str| parts.iter().find(|part| part.name == name);
    let file = part("file").ok_or_else(|| Problem::bad_request("no file part in the request"))?;
    if !file.body.starts_with(b"RIFF") {
        return Err(Problem::bad_request("the file part is not a WAV recording"));
    }
    if part("model").is_none_or(|model| model.body.is_empty()) {
        return Err(Problem::bad_request("no model part in the request"));
    }
    if part("response_format").is_some_and(|format| format.body != b"json") {
        return Err(Problem::bad_request("response_format must be json"));
    }
    Ok(())
}

fn check_key(request: &HttpRequest, stand: &Stand) -> Result<(), Problem> {
    if credential(request.headers(), "Bearer") == Some(stand.key.expose()) {
        Ok(())
    } else {
        Err(Problem::new(StatusCode::UNAUTHORIZED, "the API key is missing or not known"))
    }
}

/// A tone per word, its pitch out of the word's letters: the same text always
/// sounds the same, and different texts differ.
fn tones(text: &str) -> Vec<i16> {
    text.split_whitespace().flat_map(tone).collect()
}

fn tone(word: &str) -> impl Iterator<Item = i16> {
    let letters = word.bytes().fold(0u32, |sum, byte| sum.wrapping_mul(31) + u32::from(byte));
    let hz = 300.0 + (letters % 50) as f32 * 20.0;
    let sample = move |at: usize| {
        let turns = hz * at as f32 / RATE_HZ as f32;
        ((TAU * turns).sin() * TONE_AMPLITUDE) as i16
    };
    (0..TONE_SAMPLES).map(sample).chain(std::iter::repeat_n(0, PAUSE_SAMPLES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_ssml_the_words_are_spoken() {
        let order = |kind: &str, text: &str| SynthesizeOrder {
            text: text.to_owned(),
            kind: Some(kind.to_owned()),
            voice: String::new(),
            sample_rate_hertz: RATE_HZ,
            audio_encoding: ENCODING.to_owned(),
        };
        let words =
            |kind, text| order(kind, text).words().split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words("ssml", "<speak>5 &lt; 7<break/> now</speak>"), "5 < 7 now");
        assert_eq!(words("text", "5 <b> 7"), "5 <b> 7");
    }

    #[test]
    fn a_text_always_sounds_the_same_and_like_no_other() {
        assert_eq!(tones("good morning"), tones("good morning"));
        assert_ne!(tones("good morning"), tones("good evening"));
        assert_eq!(tones("good morning").len(), 2 * (TONE_SAMPLES + PAUSE_SAMPLES));
        assert!(tones("good").iter().any(|sample| *sample > 5_000));
    }
}
