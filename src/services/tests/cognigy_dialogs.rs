//! `cognigy-dialogs`: the contract, what is tried again, the key check.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::scripted_server::{ReservedPort, ScriptedServer, Step};
use super::{breaker, turn, words};
use crate::config::CognigyDialogsSettings;
use crate::resilience::Place;
use crate::services::cognigy_dialogs::CognigyDialogs;
use crate::services::governor::Governor;
use crate::services::{DialogBackend, Health};
use crate::types::{DialogFailure, DialogReply, Private, SessionId};

const KEY: &str = "key-0123456789-XYZ1";

fn backend_at(addr: SocketAddr, timeout_ms: u32, governor: Arc<Governor>) -> CognigyDialogs {
    let settings = CognigyDialogsSettings {
        base_url: format!("http://{addr}/api/v2/"),
        timeout_ms,
        ..CognigyDialogsSettings::default()
    };
    let environment = |name: &str| (name == "COGNIGY_API_KEY").then(|| KEY.to_owned());
    CognigyDialogs::new(&settings, &environment, governor, breaker(), || 0.0).unwrap()
}

fn backend(server: &ScriptedServer) -> CognigyDialogs {
    backend_at(server.addr, server.patience_ms(), Governor::new(10, 1_000, None))
}

fn hello() -> Step {
    Step::json(200, &json!({"outputs": [{"text": "Hello."}]}))
}

/// Asks one turn of a server that does `steps`. Returns the outcome and how many
/// requests arrived.
async fn ask(steps: Vec<Step>) -> (Result<DialogReply, DialogFailure>, usize) {
    let server = ScriptedServer::start(steps);
    let outcome = backend(&server).ask(turn("call-1")).await;
    (outcome, server.seen().len())
}

async fn ask_for_failure(steps: Vec<Step>) -> (DialogFailure, usize) {
    let (outcome, requests) = ask(steps).await;
    (outcome.unwrap_err(), requests)
}

#[tokio::test]
async fn a_turn_is_posted_and_its_reply_read_as_the_contract_says() {
    let server = ScriptedServer::start(vec![Step::json(
        200,
        &json!({
            "outputs": [
                {"text": "For how many nights?", "data": {"interruptible": false}},
                {"text": null},
            ],
            "nextState": "nights",
            "intent": "book_room",
            "confidence": 0.5,
            "sessionData": {"step": 2},
        }),
    )]);
    let mut request = turn("call-1");
    request.session = Private::new(json!({"step": 1}));
    let reply = backend(&server).ask(request).await.unwrap();

    let seen = &server.seen()[0];
    assert_eq!(seen.target(), "POST /api/v2/dialogs");
    assert_eq!(seen.header("authorization"), Some("ApiKey key-0123456789-XYZ1"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(
        seen.json(),
        json!({
            "botId": "hotel",
            "dialogId": SessionId::of_test("call-1").to_string(),
            "userId": "+4930123456",
            "inputs": [{"type": "text", "text": "a room please"}],
            "sessionData": {"step": 1},
        })
    );
    assert_eq!(words(&reply), ["For how many nights?"]);
    assert_eq!(reply.outputs[0].interruptible, Some(false));
    assert_eq!(reply.next_state.as_deref(), Some("nights"));
    assert_eq!((reply.intent.as_deref(), reply.confidence), (Some("book_room"), Some(0.5)));
    assert_eq!(reply.session.expose(), &json!({"step": 2}));
    assert!(!reply.end_call);
}

#[tokio::test]
async fn the_first_turn_sends_empty_session_data() {
    let server = ScriptedServer::start(vec![hello()]);
    backend(&server).ask(turn("call-1")).await.unwrap();
    assert_eq!(server.seen()[0].json()["sessionData"], json!({}));
}

#[tokio::test]
async fn a_server_error_is_tried_again_and_a_refused_key_is_not() {
    let (reply, requests) = ask(vec![Step::status(502), Step::status(500), hello()]).await;
    assert_eq!((words(&reply.unwrap()), requests), (vec!["Hello."], 3));

    let failing = DialogFailure::Status { status: 500 };
    assert_eq!(ask_for_failure(vec![Step::status(500)]).await, (failing, 3));
    assert_eq!(ask_for_failure(vec![Step::status(401)]).await, (DialogFailure::Unauthorized, 1));
    assert_eq!(ask_for_failure(vec![Step::status(403)]).await, (DialogFailure::Forbidden, 1));
    let redirected = DialogFailure::Status { status: 302 };
    assert_eq!(ask_for_failure(vec![Step::status(302)]).await, (redirected, 1));
}

#[tokio::test]
async fn what_may_have_run_is_not_tried_again() {
    assert_eq!(ask_for_failure(vec![Step::Hang]).await, (DialogFailure::Timeout, 1));
    assert_eq!(ask_for_failure(vec![Step::Break]).await, (DialogFailure::Unreachable, 1));
    assert_eq!(ask_for_failure(vec![Step::BreakInBody]).await, (DialogFailure::Unreachable, 1));
}

#[tokio::test]
async fn a_connection_that_could_not_be_made_is_tried_again() {
    let port = ReservedPort::new();
    let backend = backend_at(port.addr, 10_000, Governor::new(10, 10, None));
    let (reply, server) = tokio::join!(backend.ask(turn("call-1")), async {
        // Nothing tells of a connection that was refused: there is nothing else to wait for.
        tokio::time::sleep(Duration::from_millis(50)).await;
        port.serve(vec![hello()])
    });
    assert_eq!((words(&reply.unwrap()), server.seen().len()), (vec!["Hello."], 1));
}

#[tokio::test]
async fn a_rate_limited_turn_waits_as_many_seconds_as_the_platform_says() {
    let server = ScriptedServer::start(vec![Step::retry_after(429, "1"), hello()]);
    backend(&server).ask(turn("call-1")).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_rate_limited_turn_waits_until_the_date_that_the_platform_says() {
    let now = SystemTime::now();
    let date = httpdate::fmt_http_date(now + Duration::from_secs(2));
    let server = ScriptedServer::start(vec![Step::retry_after(429, &date), hello()]);
    backend(&server).ask(turn("call-1")).await.unwrap();
    // A date has whole seconds, so it is at least one ahead of now; a millisecond is
    // lost to rounding.
    assert!(now.elapsed().unwrap() >= Duration::from_millis(999));
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_absurd_retry_after_fails_the_turn_instead_of_holding_it() {
    let limited = vec![Step::retry_after(429, "86400"), hello()];
    assert_eq!(ask_for_failure(limited).await, (DialogFailure::RateLimited, 1));
}

/// Returns when no permit is given any more for the next few milliseconds.
async fn until_paused(governor: &Arc<Governor>) {
    let call = turn("probe").call_id;
    for _ in 0..5_000 {
        let soon = Instant::now() + Duration::from_millis(5);
        if governor.acquire(&call, Place::Back, soon).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    panic!("the platform said 429 and the governor goes on giving permits");
}

#[tokio::test]
async fn while_one_call_is_rate_limited_no_other_call_reaches_the_platform() {
    let server = ScriptedServer::start(vec![Step::retry_after(429, "1"), hello()]);
    let governor = Governor::new(10, 10, None);
    let backend = backend_at(server.addr, server.patience_ms(), Arc::clone(&governor));
    let (first, second) = tokio::join!(backend.ask(turn("call-1")), async {
        until_paused(&governor).await;
        backend.ask(turn("call-2")).await
    });
    assert!(first.is_ok() && second.is_ok());
    let seen = server.seen();
    assert!(seen[1..].iter().all(|later| later.at - seen[0].at >= Duration::from_secs(1)));
}

#[tokio::test]
async fn an_answer_that_is_not_the_contracts_is_malformed_and_is_not_repeated() {
    let planted = "planted-caller-words";
    for step in [
        Step::typed("application/json", format!("{{\"outputs\": [{planted}")),
        Step::typed("text/html", format!("<p>{planted}</p>")),
        Step::json(200, &json!({"error": planted})),
        Step::json(200, &json!({"outputs": planted})),
        Step::json(200, &json!([[{"text": planted}], null, null, null, null])),
        Step::json(204, &Value::Null),
    ] {
        let (failure, requests) = ask_for_failure(vec![step]).await;
        let DialogFailure::Malformed { message } = failure else { panic!("{failure:?}") };
        assert!(!message.contains(planted), "{message}");
        assert_eq!(requests, 1);
    }
}

#[tokio::test]
async fn an_answer_of_100_mb_is_refused_after_the_first() {
    let server = ScriptedServer::start(vec![Step::Flood]);
    let failure = backend(&server).ask(turn("call-1")).await.unwrap_err();
    assert!(matches!(failure, DialogFailure::Malformed { .. }), "{failure:?}");
    // What the sockets hold is on its way already; the rest is never taken.
    assert!(server.flooded_bytes() < 50_000_000, "{}", server.flooded_bytes());

    let header = "Content-Length: 104857600\r\n\r\n".to_owned();
    let announced = Step::Answer { status: 200, headers: header, body: Vec::new() };
    let (failure, _) = ask_for_failure(vec![announced]).await;
    assert!(matches!(failure, DialogFailure::Malformed { .. }), "{failure:?}");
}

#[tokio::test]
async fn fifty_turns_at_once_never_have_more_than_ten_requests_at_the_platform() {
    let slow = Step::Slow { ms: 20, answer: Box::new(hello()) };
    let server = ScriptedServer::start(vec![slow]);
    let backend = Arc::new(backend(&server));
    let mut asks = JoinSet::new();
    for call in 0..50 {
        let backend = Arc::clone(&backend);
        asks.spawn(async move { backend.ask(turn(&format!("call-{call}"))).await });
    }
    assert!(asks.join_all().await.iter().all(Result::is_ok));
    assert_eq!(server.seen().len(), 50);
    assert!((2..=10).contains(&server.in_flight_max()), "{}", server.in_flight_max());
}

async fn check(step: Step) -> Health {
    backend(&ScriptedServer::start(vec![step])).check().await
}

#[tokio::test]
async fn the_key_check_asks_for_the_bots_and_shows_the_key_masked() {
    let server = ScriptedServer::start(vec![Step::json(200, &json!([]))]);
    let Health::Ready(found) = backend(&server).check().await else { panic!("not ready") };
    let seen = &server.seen()[0];
    assert_eq!(seen.target(), "GET /api/v2/bots");
    assert_eq!(seen.header("authorization"), Some("ApiKey key-0123456789-XYZ1"));
    assert!(found.contains("****XYZ1") && !found.contains(KEY), "{found}");
}

#[tokio::test]
async fn a_page_in_place_of_the_bots_and_another_address_are_not_called_well() {
    for step in [
        Step::typed("text/html", "<h1>Welcome</h1>"),
        Step::status(308),
        Step::json(200, &json!({"status": "ok"})),
        Step::json(200, &json!("welcome")),
        Step::json(200, &json!(null)),
    ] {
        let health = check(step.clone()).await;
        assert!(matches!(health, Health::Unavailable(_)), "{step:?}: {health:?}");
    }
}

#[tokio::test]
async fn a_page_of_a_list_of_bots_is_called_well() {
    for body in [json!([{"id": "hotel"}]), json!({"items": [], "total": 0})] {
        let health = check(Step::json(200, &body)).await;
        assert!(matches!(health, Health::Ready(_)), "{body}: {health:?}");
    }
}

#[tokio::test]
async fn a_long_list_of_bots_is_judged_by_its_beginning_and_a_long_page_is_none() {
    let bots = json!(vec![json!({"id": "hotel", "description": "x".repeat(1_000)}); 400]);
    let page = "<p>[Welcome]</p>".repeat(10_000);
    for (step, is_well) in [
        (Step::json(200, &bots), true),
        (Step::json(200, &json!({"items": bots, "total": 400})), true),
        (Step::typed("text/html", page), false),
        (Step::json(200, &json!({"status": "x".repeat(100_000)})), false),
    ] {
        let health = check(step).await;
        assert_eq!(matches!(health, Health::Ready(_)), is_well, "{health:?}");
    }
}

#[tokio::test]
async fn a_list_of_bots_that_is_compressed_is_told_as_that() {
    let health = check(Step::coded("application/json", "gzip", [0x1f, 0x8b, 8, 0])).await;
    let Health::Unavailable(text) = health else { panic!("{health:?}") };
    assert!(text.contains("is compressed (Content-Encoding)"), "{text}");
}

#[tokio::test]
async fn a_refused_key_names_the_permission_and_where_the_key_came_from() {
    let Health::Refused(text) = check(Step::status(401)).await else { panic!("not refused") };
    assert!(text.contains("dialog:execute and dialog:read"), "{text}");
    assert!(text.contains("COGNIGY_API_KEY") && !text.contains(KEY), "{text}");

    let body = json!({"detail": "scope dialog:execute is missing"});
    let Health::Refused(text) = check(Step::json(403, &body)).await else { panic!("not refused") };
    assert!(text.contains("the permission dialog:execute (403)"), "{text}");
}

#[tokio::test]
async fn a_platform_that_is_down_or_busy_is_unavailable_and_not_refused() {
    for step in [Step::status(500), Step::status(429), Step::status(404), Step::Break] {
        assert!(matches!(check(step).await, Health::Unavailable(_)));
    }
    let port = ReservedPort::new();
    let health = backend_at(port.addr, 10_000, Governor::new(1, 1, None)).check().await;
    let Health::Unavailable(text) = health else { panic!("{health:?}") };
    assert!(text.contains("dialog.cognigy-dialogs.base_url"), "{text}");
}
