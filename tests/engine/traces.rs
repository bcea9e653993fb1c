//! Traces as a collector gets them: one for each call, with its turns and what each of them
//! was spent on.

use std::sync::Arc;

use crate::support::{Phone, Setup, free_address, sandbox, speech};
use actix_web::{App, HttpResponse, HttpServer, web};
use parking_lot::Mutex;
use serde_json::Value;

/// The bodies that a collector was sent.
type Bodies = web::Data<Mutex<Vec<Value>>>;

async fn take(body: web::Json<Value>, bodies: Bodies) -> HttpResponse {
    bodies.lock().push(body.into_inner());
    HttpResponse::Ok().json(serde_json::json!({}))
}

/// A collector; its address and what it got.
fn collector() -> (String, Bodies) {
    let bodies: Bodies = web::Data::from(Arc::new(Mutex::new(Vec::new())));
    let shared = bodies.clone();
    let app =
        move || App::new().app_data(shared.clone()).route("/base/v1/traces", web::post().to(take));
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").expect("a free port");
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    (format!("http://{address}/base"), bodies)
}

#[tokio::test]
async fn a_call_is_one_trace_with_a_span_for_each_stage_of_its_turns() {
    let (sandbox, (endpoint, bodies)) = (sandbox(), collector());
    let setup = Setup::with(&sandbox).key("SERVER__USER_ID_IN_QUERY", "true");
    let engine = setup.key("TELEMETRY__OTLP__ENDPOINT", &endpoint).start().await;
    let path = "/?events=1&call_id=traced&user_id=%2B15550123456";
    let mut phone = Phone::dial(&engine.simulator, path).await.expect("taken");
    let told = phone.turn(&speech()).await;
    phone.hang_up().await;
    engine.stop().await.assert_code(0);

    let bodies = bodies.lock();
    let text = format!("{bodies:?}");
    assert!(!text.contains("15550123456") && !text.contains("How can I"), "{text}");
    let spans: Vec<&Value> = bodies
        .iter()
        .flat_map(|body| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array())
        .flatten()
        .collect();
    let named = |name: &str| {
        let found = spans.iter().find(|span| span["name"] == name);
        *found.unwrap_or_else(|| panic!("no span {name}: {text}"))
    };
    let call = named("call");
    assert!(call["parentSpanId"].is_null(), "{call}");
    let turn = named("turn");
    assert_eq!(turn["parentSpanId"], call["spanId"]);
    const INTERNAL: u64 = 1;
    const CLIENT: u64 = 3;
    for (stage, kind) in [
        ("end_of_speech", INTERNAL),
        ("stt", CLIENT),
        ("dialog", CLIENT),
        ("tts", INTERNAL),
        ("sentence", CLIENT),
    ] {
        assert_eq!(named(stage)["parentSpanId"], turn["spanId"]);
        assert_eq!(named(stage)["kind"], kind, "{stage}");
    }
    assert!(spans.iter().all(|span| span["traceId"] == call["traceId"]), "{text}");
    let nanos = |span: &Value, name: &str| -> u64 {
        span[name].as_str().and_then(|text| text.parse().ok()).expect("nanoseconds")
    };
    let answered = told.iter().find(|message| message.event() == "turn_answered");
    let timings = answered.expect("an answer").fact("timings").clone();
    let silence = named("end_of_speech");
    let lasted = nanos(silence, "endTimeUnixNano") - nanos(silence, "startTimeUnixNano");
    assert_eq!(Some(lasted / 1_000_000), timings["end_of_speech_ms"].as_u64());
    assert!(nanos(call, "startTimeUnixNano") < nanos(silence, "startTimeUnixNano"));
}

#[tokio::test]
async fn a_collector_that_is_not_there_costs_its_spans_and_nothing_else() {
    let sandbox = sandbox();
    let endpoint = format!("http://{}", free_address());
    let engine = Setup::with(&sandbox).key("TELEMETRY__OTLP__ENDPOINT", &endpoint).start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    assert_eq!(engine.metric("antiphon_spans_exported_total").await, 0.0);
    let ended = engine.stop().await;
    ended.assert_code(0);
    assert!(ended.log.contains("traces are not taken"), "{ended:?}");
}
