//! `openai-http` and `generic-http`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use super::breaker;
use super::scripted_server::{ReservedPort, ScriptedServer, Seen, Step};
use crate::config::{GenericHttpSettings, OpenAiHttpSettings};
use crate::media::wav;
use crate::services::generic_http::GenericTts;
use crate::services::openai_http::OpenAiStt;
use crate::services::watched::{WatchedStt, WatchedTts};
use crate::services::{Health, SpeechToText, SttRequest, TextToSpeech, TtsRequest};
use crate::types::{CallId, INNER_RATE, SpeechAudio, SttFailure, Transcript, TtsFailure};

const KEY: &str = "key-0123456789-XYZ1";

fn with_key(_: &str) -> Option<String> {
    Some(KEY.to_owned())
}

/// A recogniser as calls ask it.
fn recogniser(server: &ScriptedServer) -> WatchedStt {
    let settings = OpenAiHttpSettings {
        base_url: server.url(""),
        model: "tiny".to_owned(),
        timeout_ms: server.patience_ms(),
        ..OpenAiHttpSettings::default()
    };
    let recogniser = OpenAiStt::new(&settings, &with_key, breaker()).unwrap();
    WatchedStt::new(Arc::new(recogniser))
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
    let file = wav::write_mono(INNER_RATE, &[1, -2, 3]);
    assert!(seen.body.windows(file.len()).any(|window| window == file));
}

#[tokio::test]
async fn the_answers_of_the_cases_are_heard_as_they_should() {
    let cases = include_str!("../../../tests/cases/recogniser-answers.jsonl");
    for line in cases.lines() {
        let case: Value = serde_json::from_str(line).expect("a case");
        let outcome = transcribe(Step::json(200, &case["body"])).await;
        match (case["failure"].as_str(), case["heard"].as_str()) {
            (Some(name), _) => {
                assert_eq!(outcome.as_ref().map_err(SttFailure::as_str), Err(name), "{line}");
            }
            (None, Some(text)) => {
                let words = Transcript::Final { text: text.into(), confidence: None };
                assert_eq!(outcome, Ok(words), "{line}");
            }
            (None, None) => assert_eq!(outcome, Ok(Transcript::NoMatch), "{line}"),
        }
    }
}

#[tokio::test]
async fn json_that_is_declared_as_text_or_begins_with_a_byte_order_mark_is_heard() {
    for step in [
        Step::typed("text/plain; charset=utf-8", "{\"text\": \"yes\"}"),
        Step::typed("application/json", "\u{feff}{\"text\": \"yes\", \"error\": null}"),
    ] {
        let heard = Transcript::Final { text: "yes".into(), confidence: None };
        assert_eq!(transcribe(step).await, Ok(heard));
    }
}

#[tokio::test]
async fn a_request_without_effect_is_sent_once_more_where_its_connection_breaks() {
    let answer = Step::json(200, &json!({ "text": "yes" }));
    let server = ScriptedServer::start(vec![answer.clone(), Step::Break, answer]);
    let recogniser = recogniser(&server);
    for _ in 0..2 {
        let heard = Transcript::Final { text: "yes".into(), confidence: None };
        assert_eq!(recogniser.transcribe(utterance()).await, Ok(heard));
    }
    assert_eq!(server.seen().len(), 3);

    let spoken = Step::typed("audio/l16", [0, 16, 0, 16]);
    let server = ScriptedServer::start(vec![spoken.clone(), Step::Break, spoken]);
    let synthesiser = synthesiser(&server);
    for _ in 0..2 {
        assert!(synthesiser.synthesize(sentence()).await.is_ok());
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_recogniser_that_fails_says_how() {
    assert_eq!(transcribe(Step::Hang).await, Err(SttFailure::Timeout));
    assert_eq!(transcribe(Step::status(429)).await, Err(SttFailure::RateLimited));
    for step in [Step::Break].into_iter().chain([500, 502, 503, 504].map(Step::status)) {
        assert!(matches!(transcribe(step).await, Err(SttFailure::Unavailable { .. })));
    }
    for step in [
        Step::status(401),
        Step::status(404),
        Step::typed("application/json", "{\"text\": 1}"),
        Step::typed("application/json", "[]"),
        Step::typed("application/json", "{}"),
        Step::typed("application/json", b"{\"text\": \"\xff\xfe\"}"),
        Step::typed("application/json", b"{\"text\": \"caf\xe9\"}"),
        Step::typed("text/html", "{\"text\": \"yes\"}"),
        Step::typed("text/plain", "yes"),
        Step::coded("application/json", "gzip", b"\x1f\x8b\x08"),
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
async fn a_recogniser_is_ready_when_it_does_what_calls_ask_for_and_not_otherwise() {
    let check = async |step| recogniser(&ScriptedServer::start(vec![step])).check().await;
    assert!(matches!(check(nothing_heard()).await, Health::Ready(_)));
    for step in [
        Step::status(404),
        Step::status(308),
        Step::status(429),
        Step::status(503),
        Step::Break,
        Step::typed("text/html", "<h1>Welcome</h1>"),
        Step::json(200, &json!({"detail": "no such model"})),
    ] {
        let health = check(step.clone()).await;
        assert!(matches!(health, Health::Unavailable(_)), "{step:?}: {health:?}");
    }
    let Health::Refused(text) = check(Step::status(401)).await else { panic!("not refused") };
    assert!(text.contains("OPENAI_API_KEY") && !text.contains(KEY), "{text}");
}

#[tokio::test]
async fn what_leads_elsewhere_or_is_gone_behind_its_gateway_is_not_ready_although_it_is_known() {
    for status in [301, 308, 502, 503, 504] {
        let server = ScriptedServer::start(vec![nothing_heard(), Step::status(status)]);
        let settings =
            OpenAiHttpSettings { base_url: server.url(""), ..OpenAiHttpSettings::default() };
        let recogniser = OpenAiStt::new(&settings, &with_key, breaker()).unwrap();
        assert!(matches!(recogniser.check().await, Health::Ready(_)));
        assert!(matches!(recogniser.check().await, Health::Unavailable(_)), "{status}");

        let sound = Step::typed("audio/l16", [0, 16]);
        let server = ScriptedServer::start(vec![sound, Step::status(status)]);
        let synthesiser = synthesiser(&server);
        synthesiser.synthesize(sentence()).await.unwrap();
        assert!(matches!(synthesiser.check().await, Health::Unavailable(_)), "{status}");
    }
}

fn nothing_heard() -> Step {
    Step::json(200, &serde_json::json!({"text": ""}))
}

#[tokio::test]
async fn the_check_of_a_recogniser_asks_for_silence_once_until_it_is_known() {
    let server = ScriptedServer::start(vec![nothing_heard(), Step::status(405), Step::status(405)]);
    let recogniser = recogniser(&server);
    for _ in 0..3 {
        assert!(matches!(recogniser.check().await, Health::Ready(_)));
    }
    let targets: Vec<String> = server.seen().iter().map(Seen::target).collect();
    let head = "HEAD /v1/audio/transcriptions";
    assert_eq!(targets, ["POST /v1/audio/transcriptions", head, head]);
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
        ssml: None,
        voice: String::new(),
        language: "en-US".to_owned(),
        answer_ms_max: 10_000,
        trace: None,
    }
}

async fn synthesize(step: Step) -> Result<SpeechAudio, TtsFailure> {
    let server = ScriptedServer::start(vec![step]);
    WatchedTts::new(Arc::new(synthesiser(&server))).synthesize(sentence()).await
}

#[tokio::test]
async fn a_sentence_is_posted_as_the_contract_says_with_a_default_voice() {
    let raw = Step::typed("application/octet-stream", [1, 2, 2, 2]);
    let server = ScriptedServer::start(vec![raw]);
    let audio = synthesiser(&server).synthesize(sentence()).await.unwrap();
    assert_eq!(audio.samples(), [0x201, 0x202]);

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

/// What a synthesiser is asked for, each time as its kind and its text, that speaks a sentence
/// with markup and answers so.
async fn asked_with_markup(ssml: bool, steps: Vec<Step>) -> Vec<(Value, Value)> {
    let server = ScriptedServer::start(steps);
    let endpoint = server.url("");
    let settings = GenericHttpSettings { endpoint, ssml, ..GenericHttpSettings::default() };
    let synthesiser = GenericTts::new(&settings, &with_key, breaker()).unwrap();
    let document = "<speak>Breakfast is at <emphasis>seven</emphasis>.</speak>";
    for ssml in [Some(document.into()), None] {
        synthesiser.synthesize(TtsRequest { ssml, ..sentence() }).await.unwrap();
    }
    let asked = |seen: &Seen| (seen.json()["type"].clone(), seen.json()["text"].clone());
    server.seen().iter().map(asked).collect()
}

#[tokio::test]
async fn markup_is_sent_to_a_synthesiser_that_takes_it_and_plain_words_to_every_other() {
    let sound = || Step::typed("audio/l16", [0, 16]);
    let text = "Breakfast is at seven.";
    let ssml = "<speak>Breakfast is at <emphasis>seven</emphasis>.</speak>";
    let plain = (Value::Null, json!(text));
    assert_eq!(asked_with_markup(false, vec![sound()]).await, [plain.clone(), plain]);
    let (marked, words) = ((json!("ssml"), json!(ssml)), (json!("text"), json!(text)));
    let asked = asked_with_markup(true, vec![sound()]).await;
    assert_eq!(asked, [marked.clone(), words.clone()]);
    let asked = asked_with_markup(true, vec![Step::status(400), sound()]).await;
    assert_eq!(asked, [marked, words.clone(), words], "words without markup are better than none");
}

#[tokio::test]
async fn markup_that_was_refused_three_times_in_a_row_is_not_sent_any_more() {
    let sound = || Step::typed("audio/l16", [0, 16]);
    let refused_each = || [Step::status(400), sound()];
    let steps = [refused_each(), refused_each(), refused_each()].concat();
    let server = ScriptedServer::start([steps, vec![sound()]].concat());
    let endpoint = server.url("");
    let settings = GenericHttpSettings { endpoint, ssml: true, ..GenericHttpSettings::default() };
    let synthesiser = GenericTts::new(&settings, &with_key, breaker()).unwrap();
    for _ in 0..5 {
        let ssml = Some("<speak>Breakfast<break/> is at seven.</speak>".into());
        synthesiser.synthesize(TtsRequest { ssml, ..sentence() }).await.unwrap();
    }
    let kinds: Vec<Value> = server.seen().iter().map(|seen| seen.json()["type"].clone()).collect();
    assert_eq!(kinds, ["ssml", "text", "ssml", "text", "ssml", "text", "text", "text"]);
}

#[tokio::test]
async fn the_voice_of_the_route_is_asked_for() {
    let server = ScriptedServer::start(vec![Step::typed("audio/l16", [0, 16])]);
    let request = TtsRequest { voice: "en-GB-Neural-B".to_owned(), ..sentence() };
    synthesiser(&server).synthesize(request).await.unwrap();
    assert_eq!(server.seen()[0].json()["voice"], "en-GB-Neural-B");
}

#[tokio::test]
async fn a_wav_file_is_read_whatever_it_is_declared_as() {
    let audio = synthesize(Step::typed(
        "application/octet-stream",
        wav::write_mono(INNER_RATE, &[500, 600]),
    ))
    .await;
    assert_eq!(audio.unwrap().samples(), [500, 600]);
}

#[tokio::test]
async fn a_synthesiser_that_fails_says_how() {
    assert_eq!(synthesize(Step::Hang).await, Err(TtsFailure::Timeout));
    assert_eq!(synthesize(Step::status(429)).await, Err(TtsFailure::RateLimited));
    let broken = [Step::Break, Step::BreakInBody];
    for step in broken.into_iter().chain([500, 502, 503, 504].map(Step::status)) {
        assert!(matches!(synthesize(step).await, Err(TtsFailure::Unavailable { .. })));
    }
    for step in [
        Step::typed("audio/l16", []),
        Step::typed("audio/l16", [0; 3_200]),
        Step::coded("audio/pcm", "gzip", b"\x1f\x8b\x08\0"),
        Step::part("bytes 0-3/100", [0, 16, 0, 16]),
        Step::typed("audio/mpeg", [0, 16, 0, 16]),
        Step::status(404),
        Step::typed("application/json", "{\"error\": \"no such voice\"}"),
        Step::status(401),
    ] {
        assert!(matches!(synthesize(step).await, Err(TtsFailure::Failed { .. })));
    }
}

#[tokio::test]
async fn an_answer_with_status_206_that_is_whole_is_heard() {
    let audio = synthesize(Step::part("bytes 0-3/4", [0, 16, 0, 16])).await;
    assert_eq!(audio.unwrap().samples(), [0x1000, 0x1000]);
}

#[tokio::test]
async fn the_reason_names_the_type_and_repeats_nothing_of_the_body() {
    let body = "{\"detail\": \"quota of acme exceeded\"}";
    for (media_type, named) in [
        ("application/json", "application/json"),
        ("application/problem+json", "application/problem+json"),
        ("text/html", "text/html"),
        ("audio/pcm", "text, declared as audio/pcm"),
        ("application/octet-stream", "text, declared as application/octet-stream"),
    ] {
        let failure = synthesize(Step::typed(media_type, body)).await.unwrap_err().to_string();
        assert!(failure.contains(named) && !failure.contains("acme"), "{failure}");
    }
}

#[tokio::test]
async fn a_synthesiser_that_would_refuse_calls_is_not_called_well() {
    let check = async |step| {
        let steps = vec![Step::status(405), step];
        synthesiser(&ScriptedServer::start(steps)).check().await
    };
    for step in [Step::status(400), Step::status(422), Step::typed("audio/l16", [0, 16])] {
        assert!(matches!(check(step).await, Health::Ready(_)));
    }
    for step in [
        Step::status(404),
        Step::status(405),
        Step::status(308),
        Step::status(500),
        Step::Break,
        Step::typed("audio/mpeg", [0xff, 0xfb, 0x90, 0x64]),
        Step::typed("text/html", "<h1>Welcome</h1>"),
        Step::typed("audio/l16", []),
        Step::typed("audio/l16", [0; 3_200]),
        Step::typed("audio/wav", wav::write_mono(INNER_RATE, &[])),
        Step::typed("audio/wav", "{\"error\": 1}"),
    ] {
        let health = check(step.clone()).await;
        assert!(matches!(health, Health::Unavailable(_)), "{step:?}: {health:?}");
    }
    let Health::Refused(text) = check(Step::status(401)).await else { panic!("not refused") };
    assert!(text.contains("ANTIPHON_TTS_API_KEY") && !text.contains("XYZ1"), "{text}");
}

#[tokio::test]
async fn the_check_of_the_synthesiser_has_a_word_spoken_once_until_it_is_known() {
    let spoken = Step::typed("audio/l16", [0, 16]);
    let steps = vec![Step::status(404), spoken, Step::status(404)];
    let server = ScriptedServer::start(steps);
    let synthesiser = synthesiser(&server);
    for _ in 0..3 {
        assert!(matches!(synthesiser.check().await, Health::Ready(_)));
    }
    let targets: Vec<String> = server.seen().iter().map(Seen::target).collect();
    let head = "HEAD /voice/tts/synthesize";
    assert_eq!(targets, [head, "POST /voice/tts/synthesize", head, head]);
    assert_eq!(server.seen()[1].json()["text"], "Hello.");

    let port = ReservedPort::new();
    let nobody = synthesiser_at(format!("http://{}", port.addr), 10_000).check().await;
    assert!(matches!(nobody, Health::Unavailable(_)));
}

// === Every way to fail ===

/// What a server may do instead of its work, and what a call is told then.
pub(super) fn failures() -> Vec<(&'static str, Step, &'static str)> {
    vec![
        ("401", Step::status(401), "failed"),
        ("404", Step::status(404), "failed"),
        ("415", Step::status(415), "failed"),
        ("308", Step::status(308), "failed"),
        ("429", Step::retry_after(429, "60"), "rate_limited"),
        ("500", Step::status(500), "unavailable"),
        ("503", Step::status(503), "unavailable"),
        ("nothing is answered", Step::Hang, "timeout"),
        ("the connection breaks", Step::Break, "unavailable"),
        ("the answer is cut off", Step::BreakInBody, "unavailable"),
        ("the answer is too long", Step::Flood, "failed"),
        ("an empty page", Step::typed("text/html", ""), "failed"),
        ("a page", Step::typed("text/html", "<h1>Welcome</h1>"), "failed"),
        ("compressed", Step::coded("", "gzip", b"\x1f\x8b\x08\0\0\0"), "failed"),
    ]
}

#[tokio::test]
async fn however_a_recogniser_fails_it_is_told_and_it_is_not_called_well_after_two_of_them() {
    for (what, step, name) in failures() {
        let server = ScriptedServer::start(vec![step]);
        let recogniser = recogniser(&server);
        for _ in 0..2 {
            let failure = recogniser.transcribe(utterance()).await.expect_err(what);
            assert_eq!(failure.as_str(), name, "{what}: {failure}");
        }
        assert!(!matches!(recogniser.check().await, Health::Ready(_)), "{what}");
    }
}

#[tokio::test]
async fn however_a_synthesiser_fails_it_is_told_and_it_is_not_called_well_after_two_of_them() {
    let stalled = Step::Stream { every_ms: 0, chunks: vec![vec![16; 100]], ends: None };
    let own = [
        ("no audio", Step::typed("audio/wav", ""), "failed"),
        ("only silence", Step::typed("audio/pcm", vec![0; 64_000]), "failed"),
        ("noise", Step::typed("audio/pcm", noise()), "failed"),
        ("an error as audio", Step::typed("audio/wav", "{\"error\": 1}"), "failed"),
        ("a stream that stalls", stalled, "timeout"),
    ];
    for (what, step, name) in failures().into_iter().chain(own) {
        let server = ScriptedServer::start(vec![step]);
        let patience_ms = if name == "timeout" { 200 } else { 10_000 };
        let synthesiser =
            WatchedTts::new(Arc::new(synthesiser_at(server.url("/voice"), patience_ms)));
        for _ in 0..2 {
            let failure = synthesiser.synthesize(sentence()).await.expect_err(what);
            assert_eq!(failure.as_str(), name, "{what}: {failure}");
        }
        assert!(!matches!(synthesiser.check().await, Health::Ready(_)), "{what}");
    }
}

fn noise() -> Vec<u8> {
    let mut state = 1_u32;
    let step = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(step).take(32_000).collect()
}

#[tokio::test]
async fn a_synthesiser_that_is_slow_and_one_that_works_again_are_heard() {
    let spoken = Step::typed("audio/l16", [0, 16, 0, 16]);
    let slow = Step::Slow { ms: 50, answer: Box::new(spoken.clone()) };
    let server = ScriptedServer::start(vec![Step::status(404), Step::status(404), slow, spoken]);
    let synthesiser = WatchedTts::new(Arc::new(synthesiser(&server)));
    for _ in 0..2 {
        assert!(synthesiser.synthesize(sentence()).await.is_err());
    }
    tokio::time::timeout(Duration::from_secs(10), synthesiser.synthesize(sentence()))
        .await
        .expect("it answers")
        .expect("it speaks");
    assert!(matches!(synthesiser.check().await, Health::Ready(_)));
}
