//! What a machine reads of the log.

use serde_json::{Map, Value, json};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{fmt, registry};

use super::samples::{call_events, engine_events, event, scope};
use super::support::{LogLines, telemetry};
use crate::telemetry::json_lines::JsonLines;
use crate::types::TraceId;

/// The members of each line that `tell` logs.
fn logged(tell: impl FnOnce()) -> Vec<Map<String, Value>> {
    let log = LogLines::default();
    let lines = fmt::layer().event_format(JsonLines).with_writer(log.writer());
    tracing::subscriber::with_default(registry().with(lines), tell);
    let text = log.text();
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON object")).collect()
}

#[test]
fn every_line_is_one_flat_object_and_those_of_a_call_name_it_and_its_trace() {
    let (telemetry, _queue, _) = telemetry(1_000, 50);
    let lines = logged(|| {
        for (sequence, kind) in (1..).zip(call_events()) {
            telemetry.call_event(&scope(), &event(sequence, kind));
        }
        engine_events().iter().for_each(|event| telemetry.engine_event(event));
        tracing::warn!(error = %"a \"quoted\"\nword", "trouble");
    });
    let call = scope().call_id;
    let (call, trace) = (call.to_string(), TraceId::of_call(&call).to_string());
    for line in &lines {
        assert!(line.values().all(|value| !value.is_object() && !value.is_array()), "{line:?}");
        assert!(line["timestamp"].is_string() && line["message"].is_string(), "{line:?}");
        assert!(!line.contains_key("details"), "{line:?}");
        if line["target"] == "antiphon::call" {
            assert_eq!((&line["call_id"], &line["trace_id"]), (&json!(call), &json!(trace)));
        }
    }
    let calls = lines.iter().filter(|line| line["target"] == "antiphon::call").count();
    assert_eq!(calls, call_events().len());
    assert_eq!(lines.last().expect("lines")["error"], "a \"quoted\"\nword");
}

#[test]
fn fields_are_members_with_their_own_types_and_nothing_is_null() {
    let (telemetry, _queue, _) = telemetry(10, 10);
    let kind = call_events().into_iter().find(|kind| kind.name() == "turn_answered");
    let lines = logged(|| telemetry.call_event(&scope(), &event(9, kind.expect("a sample"))));
    let line = Value::from(lines[0].clone());
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["message"], "turn_answered");
    assert_eq!((&line["turn"], &line["confidence"]), (&json!(3), &json!(0.75)));
    assert_eq!((&line["stt_latency_ms"], &line["response_ms"]), (&json!(40), &json!(190)));
    assert!(lines[0].values().all(|value| !value.is_null()), "{line}");
}
