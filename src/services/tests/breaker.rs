//! The breaker in front of each provider: what reaches the server and what does not.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use super::scripted_server::{ScriptedServer, Step};
use super::speech::sentence;
use super::{breaker, turn};
use crate::config::{
    BreakerSettings, CognigyRestSettings, GenericHttpSettings, OpenAiHttpSettings,
};
use crate::services::breaker::ProviderBreaker;
use crate::services::cognigy_rest::CognigyRest;
use crate::services::generic_http::GenericTts;
use crate::services::governor::Governor;
use crate::services::openai_http::OpenAiStt;
use crate::services::{DialogBackend, Health, SpeechToText, SttRequest, TextToSpeech};
use crate::types::{CallId, DialogFailure, SpeechAudio, SttFailure, TtsFailure};

fn backend(server: &ScriptedServer) -> Arc<CognigyRest> {
    let settings = CognigyRestSettings { timeout_ms: 10_000, ..CognigyRestSettings::default() };
    let url = server.url("/token");
    let environment = |name: &str| (name == "COGNIGY_ENDPOINT_URL").then(|| url.clone());
    let governor = Governor::new(10, 100, None);
    Arc::new(CognigyRest::new(&settings, &environment, governor, breaker(), || 0.0).unwrap())
}

fn hello() -> Step {
    Step::json(200, &json!({"text": "Hello.", "outputStack": [{"text": "Hello."}]}))
}

/// Five failures, and what the script says after them.
fn failing_then(steps: Vec<Step>) -> ScriptedServer {
    ScriptedServer::start([vec![Step::status(500); 5], steps].concat())
}

async fn five<T>(mut ask: impl AsyncFnMut() -> T) {
    for _ in 0..5 {
        ask().await;
    }
}

/// Lets the breaker's five seconds pass, and no time for anybody who waits for a socket.
async fn five_seconds_later() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(5_000)).await;
    tokio::time::resume();
}

async fn until(condition: impl Fn() -> bool) {
    for _ in 0..5_000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(1)).await;
    }
    panic!("it never came true");
}

fn is_refused<T>(outcome: &Result<T, DialogFailure>) -> bool {
    matches!(outcome, Err(DialogFailure::BreakerOpen { .. }))
}

#[tokio::test]
async fn after_five_failures_turns_fail_at_once_and_nothing_reaches_the_platform() {
    let server = failing_then(vec![hello()]);
    let backend = backend(&server);
    five(async || backend.ask(turn("call-1")).await).await;
    let outcomes = join_all((0..20).map(|call| backend.ask(turn(&format!("call-{call}"))))).await;
    assert!(outcomes.iter().all(is_refused), "{outcomes:?}");
    assert_eq!(server.seen().len(), 5);
}

#[tokio::test]
async fn one_probe_goes_out_for_all_who_ask_and_its_success_lets_them_through() {
    let slow = Step::Slow { ms: 50, answer: Box::new(hello()) };
    let server = failing_then(vec![slow, hello()]);
    let backend = backend(&server);
    five(async || backend.ask(turn("call-1")).await).await;
    five_seconds_later().await;
    let ask_all = || join_all((0..20).map(|call| backend.ask(turn(&format!("call-{call}")))));
    let outcomes = ask_all().await;
    assert_eq!(server.seen().len(), 6);
    assert_eq!(outcomes.iter().filter(|outcome| is_refused(outcome)).count(), 19);
    assert!(ask_all().await.iter().all(Result::is_ok));
    assert_eq!(server.seen().len(), 26);
}

#[tokio::test]
async fn a_failed_probe_keeps_it_open() {
    let server = failing_then(vec![Step::Break, hello()]);
    let backend = backend(&server);
    five(async || backend.ask(turn("call-1")).await).await;
    five_seconds_later().await;
    assert_eq!(backend.ask(turn("call-1")).await.err(), Some(DialogFailure::Unreachable));
    assert!(is_refused(&backend.ask(turn("call-1")).await));
    five_seconds_later().await;
    assert!(backend.ask(turn("call-1")).await.is_ok());
    assert_eq!(server.seen().len(), 7);
}

#[tokio::test]
async fn a_cancelled_probe_is_followed_by_another_one() {
    let server = failing_then(vec![Step::Hang, hello()]);
    let backend = backend(&server);
    five(async || backend.ask(turn("call-1")).await).await;
    five_seconds_later().await;
    let asked = Arc::clone(&backend);
    let probe = tokio::spawn(async move { asked.ask(turn("call-1")).await.is_ok() });
    until(|| server.seen().len() == 6).await;
    assert!(is_refused(&backend.ask(turn("call-2")).await));
    probe.abort();
    assert!(probe.await.is_err());
    assert!(backend.ask(turn("call-2")).await.is_ok());
}

#[tokio::test]
async fn a_platform_that_declines_turns_or_refuses_some_is_not_left_alone() {
    for step in [Step::retry_after(429, "0"), Step::status(404), Step::typed("text/html", "no")] {
        let server = ScriptedServer::start(vec![step.clone()]);
        let backend = backend(&server);
        five(async || backend.ask(turn("call-1")).await).await;
        assert!(!is_refused(&backend.ask(turn("call-1")).await), "{step:?}");
    }
}

#[tokio::test]
async fn the_periodic_check_goes_out_while_the_breaker_is_open_and_does_not_close_it() {
    let server = failing_then(vec![hello()]);
    let backend = backend(&server);
    five(async || backend.ask(turn("call-1")).await).await;
    assert!(matches!(backend.check().await, Health::Ready(_)));
    assert!(is_refused(&backend.ask(turn("call-1")).await));
    assert_eq!(server.seen().len(), 6);
}

/// Asks five times, and once more; returns that answer and how many requests arrived.
async fn sixth<F: Future>(server: &ScriptedServer, ask: impl Fn() -> F) -> (F::Output, usize) {
    five(async || drop(ask().await)).await;
    (ask().await, server.seen().len())
}

#[tokio::test]
async fn callers_do_not_wait_for_a_recogniser_or_a_synthesiser_that_is_broken() {
    let key = |_: &str| Some("key-0123456789-XYZ1".to_owned());
    let message = "it failed too often in a row (last time: the answer has status 500)".to_owned();

    let server = ScriptedServer::start(vec![Step::status(500)]);
    let base_url = server.url("");
    let settings = OpenAiHttpSettings { base_url, ..OpenAiHttpSettings::default() };
    let recogniser = OpenAiStt::new(&settings, &key, breaker()).unwrap();
    let utterance = || SttRequest {
        call_id: CallId::of_test("call-1"),
        speech: SpeechAudio::new(vec![1, -2, 3]).into(),
        language: "en-US".to_owned(),
        answer_ms_max: 10_000,
        trace: None,
    };
    let outcome = sixth(&server, || recogniser.transcribe(utterance())).await;
    let failure = SttFailure::BreakerOpen { message: message.clone() };
    assert_eq!(outcome, (Err(failure), 5));

    let server = ScriptedServer::start(vec![Step::status(500)]);
    let endpoint = server.url("");
    let settings = GenericHttpSettings { endpoint, ..GenericHttpSettings::default() };
    let synthesiser = GenericTts::new(&settings, &key, breaker()).unwrap();
    let (outcome, arrived) = sixth(&server, || synthesiser.synthesize(sentence())).await;
    assert_eq!((outcome.err(), arrived), (Some(TtsFailure::BreakerOpen { message }), 5));
}

#[tokio::test]
async fn what_becomes_of_a_sentence_after_its_first_audio_says_nothing_about_the_synthesiser() {
    let chunks = vec![vec![1; 16_000]];
    let server = ScriptedServer::start(vec![
        Step::Stream { every_ms: 0, chunks: chunks.clone(), ends: Some(false) },
        Step::Stream { every_ms: 0, chunks, ends: None },
    ]);
    let settings = BreakerSettings { failures_max: 1, ..BreakerSettings::default() };
    let breaker = ProviderBreaker::new(&settings, None);
    let endpoint = server.url("");
    let settings = GenericHttpSettings { endpoint, ..GenericHttpSettings::default() };
    let key = |_: &str| Some("key-0123456789-XYZ1".to_owned());
    let synthesiser = GenericTts::new(&settings, &key, Arc::clone(&breaker)).unwrap();
    let speak = async || synthesiser.speak(sentence()).await.expect("its beginning is there");
    assert!(speak().await.whole().await.is_err(), "it broke off");
    drop(speak().await);
    assert!(!breaker.refuses_in(0));
}
