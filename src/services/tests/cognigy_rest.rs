//! `cognigy-rest`: the contract, and that no turn runs twice.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;

use super::scripted_server::{ReservedPort, ScriptedServer, Step};
use super::speech::failures;
use super::{breaker, turn, words};
use crate::config::CognigyRestSettings;
use crate::services::cognigy_rest::CognigyRest;
use crate::services::governor::Governor;
use crate::services::watched::WatchedDialog;
use crate::services::{DialogBackend, Health};
use crate::types::{DialogFailure, SessionId};

const TOKEN: &str = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00";

fn backend(server: &ScriptedServer) -> CognigyRest {
    backend_at(server.addr, server.patience_ms())
}

fn backend_at(addr: SocketAddr, timeout_ms: u32) -> CognigyRest {
    let settings = CognigyRestSettings { timeout_ms, ..CognigyRestSettings::default() };
    let environment =
        |name: &str| (name == "COGNIGY_ENDPOINT_URL").then(|| format!("http://{addr}/{TOKEN}"));
    CognigyRest::new(&settings, &environment, Governor::new(10, 10, None), breaker(), || 0.0)
        .unwrap()
}

fn hello() -> Step {
    Step::json(200, &json!({"text": "Hello.", "outputStack": [{"text": "Hello."}]}))
}

#[tokio::test]
async fn a_turn_is_posted_and_its_reply_read_as_the_contract_says() {
    let server = ScriptedServer::start(vec![Step::json(
        200,
        &json!({
            "text": "One. Two.",
            "data": {"intent": "cancel_booking", "confidence": 0.75},
            "outputStack": [
                {"text": "One.", "data": {}, "traceId": "t", "source": "bot"},
                {"text": null, "data": {"x": 1}},
                {"text": "<speak>Two.</speak>", "data": {"endCall": true}},
            ],
            "userId": "+4930123456",
            "sessionId": SessionId::of_test("call-1").to_string(),
        }),
    )]);
    let reply = backend(&server).ask(turn("call-1")).await.unwrap();

    let seen = &server.seen()[0];
    assert_eq!(seen.target(), format!("POST /{TOKEN}"));
    assert_eq!(seen.header("authorization"), None);
    assert_eq!(
        seen.json(),
        json!({
            "userId": "+4930123456",
            "sessionId": SessionId::of_test("call-1").to_string(),
            "text": "a room please",
            "data": {},
        })
    );
    assert_eq!(words(&reply), ["One.", "Two."]);
    assert_eq!(
        (reply.intent.as_deref(), reply.confidence, reply.end_call),
        (Some("cancel_booking"), Some(0.75), true)
    );
}

#[tokio::test]
async fn a_turn_that_may_have_run_is_never_sent_again() {
    for step in [
        Step::status(500),
        Step::status(502),
        Step::Hang,
        Step::Break,
        Step::BreakInBody,
        Step::typed("application/json", "{"),
    ] {
        let server = ScriptedServer::start(vec![step.clone(), hello()]);
        let outcome = backend(&server).ask(turn("call-1")).await;
        assert!(outcome.is_err(), "{step:?}");
        assert_eq!(server.seen().len(), 1, "{step:?}");
    }
}

#[tokio::test]
async fn a_turn_that_the_platform_declined_is_sent_again() {
    for status in [429, 503] {
        let server = ScriptedServer::start(vec![Step::status(status), hello()]);
        let reply = backend(&server).ask(turn("call-1")).await.unwrap();
        assert_eq!((words(&reply), server.seen().len()), (vec!["Hello."], 2));
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_serves_is_unreachable_after_three_attempts() {
    let port = ReservedPort::new();
    let outcome = backend_at(port.addr, 10_000).ask(turn("call-1")).await;
    assert_eq!(outcome, Err(DialogFailure::Unreachable));
}

#[tokio::test]
async fn the_check_sends_no_turn_and_says_what_it_cannot_know_until_a_turn_was_answered() {
    let server = ScriptedServer::start(vec![Step::status(404), hello(), Step::status(404)]);
    let backend = backend(&server);
    let Health::Ready(found) = backend.check().await else { panic!("not ready") };
    let seen = server.seen();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].target(), format!("HEAD /{TOKEN}"));
    assert!(
        found.contains("not verified until the first one") && !found.contains(TOKEN),
        "{found}"
    );
    backend.ask(turn("call-1")).await.unwrap();
    let Health::Ready(found) = backend.check().await else { panic!("not ready") };
    assert!(found.ends_with("answers turns"), "{found}");

    let port = ReservedPort::new();
    let health = backend_at(port.addr, 10_000).check().await;
    let Health::Unavailable(text) = health else { panic!("{health:?}") };
    assert!(!text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn however_a_platform_fails_it_is_told_and_it_is_not_called_well_after_two_of_them() {
    let own = [
        ("no JSON", Step::typed("application/json", "{"), ""),
        ("neither outputs nor a text", Step::json(200, &json!({"title": "no such endpoint"})), ""),
        ("a list", Step::json(200, &json!([])), ""),
        ("a list of numbers", Step::json(200, &json!([1, 2])), ""),
        ("a list of texts", Step::json(200, &json!(["One.", {}, ["Two."]])), ""),
        ("a text", Step::json(200, &json!("One.")), ""),
    ];
    for (what, step, _) in failures().into_iter().chain(own) {
        let server = ScriptedServer::start(vec![step]);
        let watched = WatchedDialog::new(Arc::new(backend(&server)));
        for _ in 0..2 {
            assert!(watched.ask(turn("call-1")).await.is_err(), "{what}");
        }
        assert!(!matches!(watched.check().await, Health::Ready(_)), "{what}");
    }
}

#[tokio::test]
async fn an_endpoint_that_leads_elsewhere_or_is_gone_behind_its_gateway_is_not_ready() {
    for status in [301, 308, 502, 503, 504] {
        let server = ScriptedServer::start(vec![Step::status(status)]);
        let health = backend(&server).check().await;
        let Health::Unavailable(text) = health else { panic!("{status}: {health:?}") };
        assert!(text.contains(&format!("status {status}")) && !text.contains(TOKEN), "{text}");
    }
}

#[test]
fn an_endpoint_that_is_no_address_is_refused_without_repeating_it() {
    let environment = |_: &str| Some(TOKEN.to_owned());
    let settings = CognigyRestSettings::default();
    let error =
        CognigyRest::new(&settings, &environment, Governor::new(1, 1, None), breaker(), || 0.0)
            .err();
    let text = error.unwrap().to_string();
    assert!(text.contains("COGNIGY_ENDPOINT_URL") && !text.contains(TOKEN), "{text}");
}

#[tokio::test]
async fn a_turn_carries_its_place_in_the_trace_where_there_is_one() {
    use crate::types::{CallId, SpanId, TraceId, TraceParent, TurnId, TurnStage};
    let server = ScriptedServer::start(vec![hello(), hello()]);
    let backend = backend(&server);
    let call_id = CallId::of_test("call-1");
    let span = SpanId::of_stage(&call_id, TurnId(1), TurnStage::Dialog);
    let place = TraceParent { trace: TraceId::of_call(&call_id), span };
    let traced = crate::types::DialogRequest { trace: Some(place), ..turn("call-1") };
    backend.ask(traced).await.unwrap();
    backend.ask(turn("call-1")).await.unwrap();
    let carried: Vec<bool> = server
        .seen()
        .iter()
        .map(|seen| seen.head.contains(&format!("traceparent: {place}")))
        .collect();
    assert_eq!(carried, [true, false]);
}
