//! What Cognigy's two contracts have in common: the outputs of a flow, and how the
//! other fields of a reply are read.
//!
//! Pure, and lenient: a field of another form than expected counts as absent,
//! because flows and transformers may put anything there.
//!
//! A reply ends the call when the next state is `end`, or when `data` holds
//! `{"endCall": true}` or the hang-up of a voice node
//! (`_cognigy._voiceGateway2.json.hangup`, also spelt `_voice-gateway2`); what it says
//! is said first. `{"interruptible": false}` in `data` says that the caller may
//! not interrupt this output, `true` that the caller may.

use serde_json::Value;

use super::http::ExchangeError;
use super::ssml;
use crate::types::{CallerText, ReplyOutput};

/// Longest intent or state name that is kept; longer ones are cut. They reach the
/// event file and the carrier.
const NAME_CHARS_MAX: usize = 128;
/// Most outputs in one reply.
const OUTPUTS_MAX: usize = 200;

/// The next state that ends the call.
pub(super) const END_STATE: &str = "end";

const HANGUPS: [&str; 2] =
    ["/_cognigy/_voiceGateway2/json/hangup", "/_cognigy/_voice-gateway2/json/hangup"];

/// The outputs of one reply.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FlowOutputs {
    /// Those that have words.
    pub(super) spoken: Vec<ReplyOutput>,
    /// Whether one of them ends the call.
    pub(super) end_call: bool,
}

/// Reads the list of outputs: objects with `text` and `data`, or plain strings.
/// Outputs without words are skipped, their `data` is heeded.
pub(super) fn read_outputs(outputs: &[Value]) -> Result<FlowOutputs, ExchangeError> {
    if outputs.len() > OUTPUTS_MAX {
        return Err(ExchangeError::Malformed("holds more than 200 outputs"));
    }
    let mut read = FlowOutputs::default();
    for output in outputs {
        let (text, data) = match output {
            Value::String(text) => (Some(text.as_str()), &Value::Null),
            other => (other["text"].as_str(), &other["data"]),
        };
        read.end_call |= ends_call(data);
        read.spoken.extend(text.and_then(|text| spoken(text, data)));
    }
    Ok(read)
}

/// Whether `data` asks for the call to end.
pub(super) fn ends_call(data: &Value) -> bool {
    let hangs_up = |pointer| {
        data.pointer(pointer)
            .is_some_and(|hangup| !matches!(hangup, Value::Null | Value::Bool(false)))
    };
    data["endCall"] == Value::Bool(true) || HANGUPS.into_iter().any(hangs_up)
}

/// A name (intent, state), cut to 128 characters; `None` for anything but words.
pub(super) fn name(value: &Value) -> Option<String> {
    let name = value.as_str()?.trim();
    (!name.is_empty()).then(|| name.chars().take(NAME_CHARS_MAX).collect())
}

/// A confidence from 0 to 1, as a number or as text; `None` for anything else.
pub(super) fn confidence(value: &Value) -> Option<f32> {
    let number = match value {
        Value::String(text) => text.trim().parse().ok()?,
        other => other.as_f64()?,
    };
    (0.0..=1.0).contains(&number).then_some(number as f32)
}

fn spoken(text: &str, data: &Value) -> Option<ReplyOutput> {
    let words = ssml::plain_text(text);
    (!words.trim().is_empty()).then(|| ReplyOutput {
        text: CallerText::new(words),
        interruptible: data["interruptible"].as_bool(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs(list: Value) -> FlowOutputs {
        read_outputs(list.as_array().unwrap()).unwrap()
    }

    fn words(list: Value) -> Vec<String> {
        outputs(list).spoken.iter().map(|output| output.text.expose().clone()).collect()
    }

    #[test]
    fn outputs_are_spoken_in_order_and_those_without_words_are_skipped() {
        let list = json!([
            {"text": "One."}, {"text": null, "data": {"x": 1}}, {"text": " "}, {"data": {}}, 7,
            {"text": 7}, "Two.", {"text": "<speak>Three<break/></speak>"}
        ]);
        assert_eq!(words(list), ["One.", "Two.", "Three"]);
    }

    #[test]
    fn data_says_whether_the_caller_may_interrupt() {
        let read = outputs(json!([
            {"text": "a", "data": {"interruptible": false}},
            {"text": "b", "data": {"interruptible": true}},
            {"text": "c", "data": {"interruptible": "no"}},
            {"text": "d"}
        ]));
        let interruptible: Vec<_> = read.spoken.iter().map(|o| o.interruptible).collect();
        assert_eq!(interruptible, [Some(false), Some(true), None, None]);
    }

    #[test]
    fn end_call_and_the_hangup_of_a_voice_node_end_the_call() {
        let ends = [
            json!({"endCall": true}),
            json!({"_cognigy": {"_voiceGateway2": {"json": {"hangup": {}}}}}),
            json!({"_cognigy": {"_voice-gateway2": {"json": {"hangup": {"headers": {}}}}}}),
        ];
        let goes_on = [
            json!({"endCall": false}),
            json!({"endCall": "true"}),
            json!({"_cognigy": {"_voiceGateway2": {"json": {"hangup": null}}}}),
            json!(null),
            json!("hangup"),
        ];
        assert!(ends.iter().all(|data| outputs(json!([{"text": null, "data": data}])).end_call));
        assert!(!goes_on.iter().any(|data| outputs(json!([{"text": "x", "data": data}])).end_call));
    }

    #[test]
    fn a_list_without_end_is_malformed() {
        assert!(read_outputs(&vec![Value::Null; OUTPUTS_MAX + 1]).is_err());
    }

    #[test]
    fn a_confidence_outside_0_to_1_is_none() {
        let values = [json!(0.5), json!("0.25"), json!(1), json!(87), json!(-1), json!({})];
        assert_eq!(
            values.map(|value| confidence(&value)),
            [Some(0.5), Some(0.25), Some(1.0), None, None, None]
        );
    }

    #[test]
    fn a_name_is_words_of_bounded_length() {
        assert_eq!(name(&json!(" book_room ")), Some("book_room".to_owned()));
        assert_eq!(
            [json!(""), json!(3), json!(null)].map(|value| name(&value)),
            [None, None, None]
        );
        assert_eq!(name(&json!("é".repeat(500))).map(|n| n.chars().count()), Some(NAME_CHARS_MAX));
    }
}
