//! `docs/api` has the fields of every event, and of a turn's timings, as their own types take
//! them: what a deserialiser accepts in the place of each field is its schema.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Map, Value, json};

use super::samples::{TIMINGS, call_events, label_events};
use crate::types::CallEventKind;

/// What is no name of anything.
const UNHEARD_OF: &str = "unheard_of";

fn read(document: &str) -> Value {
    let path = format!("{}/docs/api/{document}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).expect("the document")).expect("JSON")
}

#[test]
fn the_documented_schema_has_the_fields_of_every_event() {
    let expected = event_kind();
    let documented = read("messages.schema.json")["$defs"]["event_kind"].take();
    let shown = serde_json::to_string_pretty(&expected).expect("JSON");
    assert!(documented == expected, "$defs/event_kind should be:\n{shown}");
}

#[test]
fn an_operator_finds_every_timing_of_a_turn_documented() {
    let timings = serde_json::to_value(TIMINGS).expect("JSON");
    let documented = read("openapi.json")["components"]["schemas"]["Timings"].take();
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().into_iter().flat_map(Map::keys).cloned().collect()
    };
    assert_eq!(names(&documented["properties"]), names(&timings));
}

fn event_kind() -> Value {
    let mut samples = BTreeMap::<&str, Vec<Value>>::new();
    let kinds = [call_events(), label_events()].concat();
    for kind in &kinds {
        samples.entry(kind.name()).or_default().push(serde_json::to_value(kind).expect("JSON"));
    }
    let fields = samples.iter().map(|(name, samples)| {
        let is_it = json!({ "properties": { "event": { "const": name } } });
        json!({ "if": is_it, "then": object(samples, "") })
    });
    json!({
        "description": "What it is, and its fields. docs/events.md says what they mean.",
        "type": "object",
        "required": ["event"],
        "properties": { "event": { "type": "string" } },
        "allOf": fields.collect::<Vec<_>>(),
    })
}

/// The schema of the objects at `place` in events of one kind.
fn object(samples: &[Value], place: &str) -> Value {
    let objects = samples.iter().filter_map(|sample| sample.pointer(place)?.as_object());
    let objects: Vec<&Map<String, Value>> = objects.collect();
    let names: BTreeSet<&String> = objects.iter().flat_map(|object| object.keys()).collect();
    let is_always_there = |name: &&&String| objects.iter().all(|it| it.contains_key(**name));
    let required: Vec<&&String> = names.iter().filter(is_always_there).collect();
    let field = |name: &&String| ((*name).clone(), value(samples, &format!("{place}/{name}")));
    json!({
        "type": "object",
        "properties": names.iter().map(field).collect::<Map<String, Value>>(),
        "required": required,
        "additionalProperties": false,
    })
}

fn value(samples: &[Value], place: &str) -> Value {
    let sample = samples.iter().find(|sample| sample.pointer(place).is_some()).expect("one has it");
    if place == "/event" {
        return json!({ "const": sample["event"] });
    }
    if sample.pointer(place).is_some_and(Value::is_object) {
        return object(samples, place);
    }
    let takes = |value: Value| {
        let mut changed = sample.clone();
        *changed.pointer_mut(place).expect("it is there") = value;
        serde_json::from_value::<CallEventKind>(changed)
    };
    if let Err(refusal) = takes(json!(UNHEARD_OF)) {
        let refusal = refusal.to_string();
        if let Some((_, names)) = refusal.split_once(&format!("`{UNHEARD_OF}`, expected")) {
            let names: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
            return json!({ "enum": names });
        }
    }
    let types = [
        ("string", takes(json!(UNHEARD_OF)).is_ok()),
        ("boolean", takes(json!(true)).is_ok()),
        ("number", takes(json!(0.5)).is_ok()),
        ("integer", takes(json!(1)).is_ok() && takes(json!(0.5)).is_err()),
        ("null", takes(Value::Null).is_ok()),
    ];
    let types: Vec<&str> = types.iter().filter(|(_, fits)| *fits).map(|(name, _)| *name).collect();
    let mut schema = match types.as_slice() {
        [one] => json!({ "type": one }),
        several => json!({ "type": several }),
    };
    if types.contains(&"integer") && takes(json!(-1)).is_err() {
        schema["minimum"] = json!(0);
    }
    schema
}
