//! The running calls as an operator sees them, in virtual time.

use std::time::Duration;

use actix_web::App;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::actors::link::Delivery;
use crate::actors::tests::stage::{Caller, Script, Stage, Told, act};
use crate::config::HttpCallbackSettings;
use crate::transports::http_callback::{HttpCallback, routes};
use crate::types::{CallId, Route};

/// Asks a stage over HTTP.
async fn ask(stage: &Stage, request: TestRequest) -> (u16, Value) {
    let state = HttpCallback::new(stage.switchboard.clone(), &HttpCallbackSettings::default());
    let app = init_service(App::new().configure(move |config| routes(config, state))).await;
    let response = call_service(&app, request.to_request()).await;
    let status = response.status().as_u16();
    let body = read_body(response).await;
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

async fn get(stage: &Stage, uri: &str) -> (u16, Value) {
    ask(stage, TestRequest::get().uri(uri)).await
}

fn path(caller: &Caller) -> String {
    format!("/v1/calls/{}", caller.call_id)
}

fn stage() -> Stage {
    Stage::new(Script::default(), Route::default())
}

#[test]
fn the_list_goes_through_all_calls_page_by_page() {
    act(|| async {
        let stage = stage();
        let mut callers = Vec::new();
        for id in ["c", "a", "b"] {
            callers.push(stage.call(id, Delivery::WholeSentences).await);
        }
        sleep(Duration::from_millis(1_500)).await;
        let (status, page) = get(&stage, "/v1/calls?limit=2").await;
        assert_eq!((status, &page["total"], &page["next"]), (200, &json!(3), &json!(2)));
        let ids: Vec<&Value> = page["calls"]
            .as_array()
            .expect("calls")
            .iter()
            .map(|c| &c["carrier_call_id"])
            .collect();
        assert_eq!(ids, ["c", "a"], "in the order in which they began");
        let first = &page["calls"][0];
        assert_eq!(
            (&first["transport"], &first["state"], &first["conversation"], &first["turn"]),
            (&json!("stage"), &json!("running"), &json!("listening"), &json!(0))
        );
        assert!((1_500..2_000).contains(&first["age_ms"].as_u64().expect("an age")), "{first}");
        assert!(first["started"].as_str().expect("a time").ends_with('Z'), "{first}");

        let (_, page) = get(&stage, "/v1/calls?after=2").await;
        let last = &page["calls"][0];
        assert_eq!((&last["carrier_call_id"], &page["next"]), (&json!("b"), &Value::Null));
        assert_eq!(last["call_id"], callers[2].call_id.to_string());
        for wrong in ["limit=0", "limit=201", "limit=x", "after=-1", "before=1"] {
            let (status, answer) = get(&stage, &format!("/v1/calls?{wrong}")).await;
            assert_eq!((status, &answer["error"]["code"]), (400, &json!("bad_query")), "{wrong}");
        }
    });
}

#[test]
fn a_call_shows_how_it_stands_and_nothing_that_was_said() {
    act(|| async {
        let stage = stage();
        let caller = stage.call("a", Delivery::WholeSentences).await;
        caller.say().await;
        let (status, call) = get(&stage, &path(&caller)).await;
        assert_eq!((status, &call["state"], &call["turn"]), (200, &json!("running"), &json!(1)));
        let stages = &call["last_turn"];
        assert_eq!((&stages["stt_ms"], &stages["dialog_wait_ms"]), (&json!(30), &json!(0)));
        assert!(call["audio_ms"].as_u64() > Some(1_000), "{call}");
        let children = call["children"].as_array().expect("children");
        assert_eq!(children.len(), 5);
        assert_eq!(children[0], json!({ "child": "ingest", "generation": 1, "restarts": 0 }));
        assert!(call["rings"]["ingest_ms"].is_u64() && call["rings"]["playout_ms"].is_u64());
        let text = call.to_string();
        assert!(!text.contains("\"user") && !text.contains("answer."), "{text}");

        let unknown = format!("/v1/calls/{}", CallId::of_test("nobody"));
        for path in [&unknown, "/v1/calls/nobody", "/v1/calls/a"] {
            assert_eq!(get(&stage, path).await.0, 404, "{path}: only the engine's id names it");
        }
    });
}

#[test]
fn a_call_whose_caller_is_away_says_so() {
    act(|| async {
        let stage = stage();
        let caller = stage.call("a", Delivery::WholeSentences).await;
        caller.vanish();
        sleep(Duration::from_millis(100)).await;
        assert_eq!(get(&stage, &path(&caller)).await.1["state"], "away");
    });
}

#[test]
fn an_operator_ends_a_call_of_any_transport() {
    act(|| async {
        let stage = stage();
        let caller = stage.call("a", Delivery::WholeSentences).await;
        let delete = || TestRequest::delete().uri(&path(&caller));
        let (status, answer) = ask(&stage, delete()).await;
        assert_eq!(
            (status, answer),
            (200, json!({ "call_id": caller.call_id, "state": "ending" }))
        );
        caller.pause(100).await;
        let end = Told::End("ended_by_operator".to_owned());
        assert_eq!(caller.told.lock().last(), Some(&end));
        assert_eq!(ask(&stage, delete()).await.0, 404);
        assert_eq!(get(&stage, "/v1/calls").await.1["total"], 0);
    });
}
