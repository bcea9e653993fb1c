//! `openai-http` and `generic-http`.

use serde_json::json;

use super::breaker;
use super::scripted_server::{ReservedPort, ScriptedServer, Step};
use crate::config::{GenericHttpSettings, OpenAiHttpSettings};
use crate::services::generic_http::GenericTts;
use crate::services::openai_http::OpenAiStt;
use crate::services::{Health, SpeechToText, SttRequest, TextToSpeech, TtsRequest, wav};
use crate::types::{CallId, SpeechAudio, SttFailure, Transcript, TtsFailure};

const KEY: &str = "key-0123456789-XYZ1";

fn with_key(_: &str) -> Option<String> {
    Some(KEY.to_owned())
}

fn recogniser(server: &ScriptedServer) -> OpenAiStt {
    let settings = OpenAiHttpSettings {
        base_url: server.url(""),
        model: "tiny".to_owned(),
        timeout_ms: server.patience_ms(),
        ..OpenAiHttpSettings::default()
    };
    OpenAiStt::new(&settings, &with_key, breaker()).unwrap()
}

fn utterance() -> SttRequest {
    SttRequest {
        call_id: CallId::of_test("call-1"),
        speech: SpeechAudio::new(vec![1, -2, 3]).into(),
        language: "en-US".to_owned(),
        answer_ms_max: 10_000,
        trace: None,
    }
}

async fn transcribe(step: Step) -> Result<Transcript, SttFailure> {
    recogniser(&ScriptedServer::start(vec![step])).transcribe(utterance()).await
}

#[tokio::test]
async fn an_utterance_is_posted_as_a_wav_file_with_model_and_language() {
    let server = ScriptedServer::start(vec![Step::json(200, &json!({"text": " Yes please. "}))]);
    let transcript = recogniser(&server).transcribe(utterance()).await;
    let expected = Transcript::Final { text: "Yes please.".into(), confidence: None };
    assert_eq!(transcript, Ok(expected));

    let seen = &server.seen()[0];
    assert_eq!(seen.target(), "POST /v1/audio/transcriptions");
    assert_eq!(seen.header("authorization"), Some("Bearer key-0123456789-XYZ1"));
    let parts = String::from_utf8_lossy(&seen.body);
    for part in [
        "name=\"file\"; filename=\"u.wav\"\r\nContent-Type: audio/wav\r\n",
        "name=\"model\"\r\n\r\ntiny\r\n",
        "name=\"language\"\r\n\r\nen\r\n",
        "name=\"response_format\"\r\n\r\njson\r\n",
    ] {
        assert!(parts.contains(part), "{part:?} is missing");
    }
    let file = wav::encode(&[1, -2, 3]);
    assert!(seen.body.windows(file.len()).any(|window| window == file));
}

#[tokio::test]
async fn an_empty_transcript_is_no_match() {
    for text in ["", "  \n"] {
        let transcript = transcribe(Step::json(200, &json!({ "text": text }))).await;
        assert_eq!(transcript, Ok(Transcript::NoMatch));
    }
}

#[tokio::test]
async fn a_recogniser_that_fails_says_how() {
    assert_eq!(transcribe(Step::Hang).await, Err(SttFailure::Timeout));
    assert_eq!(transcribe(Step::status(429)).await, Err(SttFailure::Saturated));
    for step in [Step::Break, Step::status(503)] {
        assert!(matches!(transcribe(step).await, Err(SttFailure::Unavailable { .. })));
    }
    for step in [
        Step::status(401),
        Step::status(500),
        Step::typed("application/json", "{\"txt\": 1}"),
        Step::typed("text/plain", "{\"text\": \"yes\"}"),
        Step::Flood,
    ] {
        assert!(matches!(transcribe(step).await, Err(SttFailure::Failed { .. })));
    }
}

#[tokio::test]
async fn the_time_of_the_request_bounds_the_answer_too() {
    let server = ScriptedServer::start(vec![Step::Hang]);
    let settings = OpenAiHttpSettings {
        base_url: server.url(""),
        timeout_ms: 600_000,
        ..OpenAiHttpSettings::default()
    };
    let recogniser = OpenAiStt::new(&settings, &with_key, breaker()).unwrap();
    let request = SttRequest { answer_ms_max: 50, ..utterance() };
    assert_eq!(recogniser.transcribe(request).await, Err(SttFailure::Timeout));
}

#[tokio::test]
async fn a_recogniser_without_a_list_of_models_is_ready_and_one_that_refuses_the_key_is_not() {
    let check = async |step| recogniser(&ScriptedServer::start(vec![step])).check().await;
    assert!(matches!(check(Step::status(404)).await, Health::Ready(_)));
    assert!(matches!(check(Step::status(503)).await, Health::Unavailable(_)));
    assert!(matches!(check(Step::Break).await, Health::Unavailable(_)));
    let Health::Refused(text) = check(Step::status(401)).await else { panic!("not refused") };
    assert!(text.contains("OPENAI_API_KEY") && !text.contains(KEY), "{text}");
}

pub(super) fn synthesiser(server: &ScriptedServer) -> GenericTts {
    synthesiser_at(server.url("/voice/"), server.patience_ms())
}

pub(super) fn synthesiser_at(endpoint: String, timeout_ms: u32) -> GenericTts {
    let settings = GenericHttpSettings { endpoint, timeout_ms, ..GenericHttpSettings::default() };
    GenericTts::new(&settings, &with_key, breaker()).unwrap()
}

pub(super) fn sentence() -> TtsRequest {
    TtsRequest {
        text: "Breakfast is at seven.".into(),
        voice: String::new(),
        language: "en-US".to_owned(),
        answer_ms_max: 10_000,
        trace: None,
    }
}

async fn synthesize(step: Step) -> Result<SpeechAudio, TtsFailure> {
    let server = ScriptedServer::start(vec![step]);
    synthesiser(&server).synthesize(sentence()).await
}

#[tokio::test]
async fn a_sentence_is_posted_as_the_contract_says_with_a_default_voice() {
    let raw = Step::typed("application/octet-stream", [1, 0, 2, 0]);
    let server = ScriptedServer::start(vec![raw]);
    let audio = synthesiser(&server).synthesize(sentence()).await.unwrap();
    assert_eq!(audio.samples(), [1, 2]);

    let seen = &server.seen()[0];
    assert_eq!(seen.target(), "POST /voice/tts/synthesize");
    assert_eq!(seen.header("authorization"), Some("Bearer key-0123456789-XYZ1"));
    assert_eq!(
        seen.json(),
        json!({
            "text": "Breakfast is at seven.",
            "voice": "en-US-Standard-A",
            "sampleRateHertz": 16_000,
            "audioEncoding": "LINEAR16",
        })
    );
}

#[tokio::test]
async fn the_voice_of_the_route_is_asked_for() {
    let server = ScriptedServer::start(vec![Step::typed("audio/l16", [0, 0])]);
    let request = TtsRequest { voice: "en-GB-Neural-B".to_owned(), ..sentence() };
    synthesiser(&server).synthesize(request).await.unwrap();
    assert_eq!(server.seen()[0].json()["voice"], "en-GB-Neural-B");
}

#[tokio::test]
async fn a_wav_file_is_read_whatever_it_is_declared_as() {
    let audio = synthesize(Step::typed("application/octet-stream", wav::encode(&[5, 6]))).await;
    assert_eq!(audio.unwrap().samples(), [5, 6]);
}

#[tokio::test]
async fn a_synthesiser_that_fails_says_how() {
    assert_eq!(synthesize(Step::Hang).await, Err(TtsFailure::Timeout));
    assert_eq!(synthesize(Step::status(429)).await, Err(TtsFailure::Saturated));
    for step in [Step::Break, Step::BreakInBody, Step::status(503)] {
        assert!(matches!(synthesize(step).await, Err(TtsFailure::Unavailable { .. })));
    }
    for step in [
        Step::typed("audio/l16", [1, 0, 2]),
        Step::typed("audio/l16", []),
        Step::typed("application/json", "{\"error\": \"no such voice\"}"),
        Step::status(401),
        Step::status(500),
    ] {
        assert!(matches!(synthesize(step).await, Err(TtsFailure::Failed { .. })));
    }
}

#[tokio::test]
async fn the_check_of_the_synthesiser_makes_a_connection_and_costs_no_sentence() {
    let server = ScriptedServer::start(vec![Step::status(404)]);
    assert!(matches!(synthesiser(&server).check().await, Health::Ready(_)));
    assert_eq!(server.seen()[0].target(), "HEAD /voice");
    assert_eq!(server.seen()[0].header("authorization"), None);

    let port = ReservedPort::new();
    let nobody = synthesiser_at(format!("http://{}", port.addr), 10_000).check().await;
    assert!(matches!(nobody, Health::Unavailable(_)));
}
