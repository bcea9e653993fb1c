//! What Cognigy's two contracts have in common: the outputs of a flow, and how the
//! other fields of a reply are read.
//!
//! Pure, and lenient: a field of another form than expected counts as absent,
//! because flows and transformers may put anything there.
//!
//! An output without a text of its own says the text of its rich template (quick replies,
//! buttons, a list, a gallery and so on), as the platform's own voice gateway does.
//!
//! A reply ends the call when the next state is `end`, or when `data` holds
//! `{"endCall": true}` or the hang-up of a voice node
//! (`_cognigy._voiceGateway2.json.hangup`, also spelt `_voice-gateway2`); what it says
//! is said first. Every other command of a voice node is told as one that cannot be done
//! here. Nodes of the older gateways put activities into `_voiceGateway.json` and
//! `_bandwidth.json`: messages, which are said, and events, which are commands.
//!
//! `{"interruptible": false}` in `data` says that the caller may not interrupt this output,
//! `true` that the caller may; so does `bargeIn` of an older gateway's message.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::ssml::{self, Spoken};
use crate::types::{CallerText, Private, ReplyFlaw, ReplyOutput};

/// Longest intent, state or action name that is kept; longer ones are cut. They reach the
/// event file and the carrier.
const NAME_CHARS_MAX: usize = 128;
/// Most outputs of one reply that are said.
const OUTPUTS_MAX: usize = 200;
/// Most different actions of one reply that are told.
const ACTIONS_MAX: usize = 16;

/// The next state that ends the call.
pub(super) const END_STATE: &str = "end";

/// The two spellings of where a voice node puts its commands.
const VOICE_COMMANDS: [&str; 2] =
    ["/_cognigy/_voiceGateway2/json", "/_cognigy/_voice-gateway2/json"];
const HANGUP: &str = "hangup";
/// Where the nodes of the older gateways put their activities.
const ACTIVITIES: [&str; 2] = ["/_cognigy/_voiceGateway/json", "/_cognigy/_bandwidth/json"];
const MESSAGE: &str = "message";

/// Where an output holds its rich templates.
const TEMPLATES: &str = "/_cognigy/_default";
/// What of a template is said, the first that has words.
const TEMPLATE_TEXTS: [&str; 3] = ["text", "fallbackText", "fallback"];

/// The outputs of one reply.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct FlowOutputs {
    /// Those that have words.
    pub(super) spoken: Vec<ReplyOutput>,
    /// Whether one of them ends the call.
    pub(super) end_call: bool,
    /// What of them is not done.
    pub(super) flaws: Vec<ReplyFlaw>,
}

/// Reads the list of outputs: objects with `text` and `data`, or plain texts.
/// Outputs without words are skipped, their `data` is heeded.
pub(super) fn read_outputs(outputs: &[Value]) -> FlowOutputs {
    let mut reading = Reading::default();
    for output in outputs {
        let (text, data) = match output {
            Value::Object(output) => (field(output, "text"), field(output, "data")),
            text => (text, &Value::Null),
        };
        reading.outputs.heed(data);
        reading.take(text, data);
    }
    reading.end()
}

impl FlowOutputs {
    /// Takes from `data` what is to be done besides speaking.
    pub(super) fn heed(&mut self, data: &Value) {
        self.end_call |= data["endCall"] == Value::Bool(true);
        for commands in VOICE_COMMANDS.iter().filter_map(|place| data.pointer(place)) {
            match commands {
                Value::Array(commands) => commands.iter().for_each(|command| self.command(command)),
                command => self.command(command),
            }
        }
        activities(data).for_each(|activity| self.activity(activity));
    }

    /// An event is a command; a message without a text asks for something else.
    fn activity(&mut self, activity: &Value) {
        let is_message = activity["type"] == MESSAGE;
        if is_message && text_of(&activity["text"]).is_some() {
            return;
        }
        let asked = if is_message { &activity["type"] } else { &activity["name"] };
        name(asked).into_iter().for_each(|action| self.act(action));
    }

    /// A node's command is named by its key, one written by hand by its `verb`.
    fn command(&mut self, command: &Value) {
        let Value::Object(command) = command else { return };
        if let Some(verb) = command.get("verb").and_then(name) {
            return self.act(verb);
        }
        let asked = |argument: &Value| !matches!(argument, Value::Null | Value::Bool(false));
        let actions = command.iter().filter(|(_, argument)| asked(argument));
        actions.filter_map(|(action, _)| bounded_name(action)).for_each(|action| self.act(action));
    }

    fn act(&mut self, action: String) {
        if action == HANGUP {
            self.end_call = true;
            return;
        }
        let flaw = ReplyFlaw::ActionNotPossible { action };
        if self.flaws.len() < ACTIONS_MAX && !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }
}

/// Outputs while they are read. Markup is read once, and not at all where it is not said.
#[derive(Default)]
struct Reading {
    outputs: FlowOutputs,
    /// As they are written.
    unsaid_chars: u64,
}

impl Reading {
    fn end(mut self) -> FlowOutputs {
        if self.unsaid_chars > 0 {
            let flaw = ReplyFlaw::TooLong { unsaid_chars: self.unsaid_chars };
            self.outputs.flaws.push(flaw);
        }
        self.outputs
    }

    /// Takes what an output says, in order: its own text, or that of its template, and the
    /// messages of older gateways.
    fn take(&mut self, text: &Value, data: &Value) {
        let by_data = data["interruptible"].as_bool();
        if !self.say(text, by_data)
            && let Some(Value::Object(templates)) = data.pointer(TEMPLATES)
        {
            let _is_said = templates.values().any(|template| self.say_template(template, by_data));
        }
        for message in activities(data).filter(|activity| activity["type"] == MESSAGE) {
            let by_message = message.pointer("/activityParams/bargeIn").and_then(Value::as_bool);
            self.say(&message["text"], by_data.or(by_message));
        }
    }

    fn say_template(&mut self, template: &Value, interruptible: Option<bool>) -> bool {
        match template {
            Value::Object(template) => {
                TEMPLATE_TEXTS.iter().any(|key| self.say(field(template, key), interruptible))
            }
            text => self.say(text, interruptible),
        }
    }

    /// Takes a text or a number; `false` when there are no words in it. Where there is no room
    /// for more, whatever is written counts as words.
    fn say(&mut self, text: &Value, interruptible: Option<bool>) -> bool {
        let Some(text) = text_of(text) else { return false };
        if self.outputs.spoken.len() >= OUTPUTS_MAX {
            self.unsaid_chars += text.chars().count() as u64;
            return true;
        }
        let Spoken { plain, markup } = ssml::read(&text);
        let has_words = !plain.trim().is_empty();
        if has_words {
            let (text, markup) = (CallerText::new(plain), markup.map(Private::new));
            self.outputs.spoken.push(ReplyOutput { text, markup, interruptible });
        }
        has_words
    }
}

fn activities(data: &Value) -> impl Iterator<Item = &Value> {
    let lists = ACTIVITIES.iter().filter_map(|place| data.pointer(place));
    lists.flat_map(|json| match json.get("activities").unwrap_or(json) {
        Value::Array(activities) => activities.as_slice(),
        activity => std::slice::from_ref(activity),
    })
}

/// A text or a number as it is written; `None` when nothing is.
fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    let text: Cow<'_, str> = match value {
        Value::String(text) => text.into(),
        Value::Number(number) => number.to_string().into(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

fn field<'a>(object: &'a Map<String, Value>, key: &str) -> &'a Value {
    object.get(key).unwrap_or(&Value::Null)
}

/// A name (intent, state), cut to 128 characters; `None` for anything but words.
pub(super) fn name(value: &Value) -> Option<String> {
    bounded_name(value.as_str()?)
}

fn bounded_name(name: &str) -> Option<String> {
    let name = name.trim();
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outputs(list: Value) -> FlowOutputs {
        read_outputs(list.as_array().unwrap())
    }

    fn words(list: Value) -> Vec<String> {
        outputs(list).spoken.iter().map(|output| output.text.expose().clone()).collect()
    }

    fn actions(data: Value) -> Vec<String> {
        let flaws = outputs(json!([{"text": null, "data": data}])).flaws;
        let action = |flaw| match flaw {
            ReplyFlaw::ActionNotPossible { action } => action,
            flaw => panic!("{flaw:?}"),
        };
        flaws.into_iter().map(action).collect()
    }

    #[test]
    fn outputs_are_spoken_in_order_and_those_without_words_are_skipped() {
        let list = json!([
            {"text": "One."}, {"text": null, "data": {"x": 1}}, {"text": " "}, {"data": {}}, [1],
            true, "Two.", {"text": "<speak>Three<break/></speak>"}
        ]);
        assert_eq!(words(list), ["One.", "Two.", "Three"]);
    }

    #[test]
    fn numbers_are_spoken() {
        assert_eq!(words(json!([{"text": 7}, 12, {"text": 4.5}])), ["7", "12", "4.5"]);
    }

    #[test]
    fn an_output_without_a_text_says_what_its_template_says() {
        let template =
            |template: Value| json!([{"text": "", "data": {"_cognigy": {"_default": template}}}]);
        for said in [
            json!({"_quickReplies": {"text": "Which floor?", "quickReplies": [{"title": "One"}]}}),
            json!({"_buttons": {"text": "Which floor?", "buttons": []}}),
            json!({"_list": {"items": [{"title": "One"}], "fallbackText": "Which floor?"}}),
            json!({"_gallery": {"items": [], "fallbackText": "Which floor?"}}),
            json!({"_image": {"imageUrl": "x", "fallbackText": "Which floor?"}}),
            json!({"_adaptiveCard": {"adaptiveCard": {}, "text": null, "fallbackText": "Which floor?"}}),
            json!({"_text": {"text": "<speak>Which floor?</speak>"}}),
        ] {
            assert_eq!(words(template(said.clone())), ["Which floor?"], "{said}");
        }
        assert_eq!(words(template(json!({"_gallery": {"items": [{"title": "x"}]}}))), [""; 0]);
        assert_eq!(words(template(json!("nonsense"))), [""; 0]);
    }

    #[test]
    fn the_messages_of_older_gateways_are_said_and_their_events_are_commands() {
        for gateway in ["_voiceGateway", "_bandwidth"] {
            let data = |activities: Value| {
                let json = json!({"activities": activities});
                json!({"_cognigy": {gateway: {"json": json}}})
            };
            let activities = json!([
                {"type": "message", "text": "One.", "activityParams": {"bargeIn": false}},
                {"type": "event", "name": "sendMetaData", "value": {"x": 1}},
                {"type": "message", "text": "<speak>Two<break/>.</speak>", "activityParams": {}},
                {"type": "message", "attachments": []},
                {"type": "event"}, 7
            ]);
            let read = outputs(json!([{"text": null, "data": data(activities)}]));
            let said: Vec<_> = read.spoken.iter().map(|it| it.text.expose().as_str()).collect();
            assert_eq!(said, ["One.", "Two."]);
            let interruptible: Vec<_> = read.spoken.iter().map(|it| it.interruptible).collect();
            assert_eq!(interruptible, [Some(false), None]);
            let not_possible =
                |action: &str| ReplyFlaw::ActionNotPossible { action: action.to_owned() };
            assert_eq!(read.flaws, [not_possible("sendMetaData"), not_possible(MESSAGE)]);
            assert!(!read.end_call);
            let hangup = json!([{"type": "event", "name": "hangup", "activityParams": {}}]);
            assert!(outputs(json!([{"text": null, "data": data(hangup)}])).end_call);
        }
        assert_eq!(
            actions(json!({"_cognigy": {"_voiceGateway": {"json": [{"name": "transfer"}]}}})),
            ["transfer"]
        );
    }

    #[test]
    fn markup_is_kept_beside_the_words() {
        let read = outputs(json!([{"text": "Hold<break/> on."}, {"text": "<speak>Hm.</speak>"}]));
        let is_marked: Vec<bool> = read.spoken.iter().map(|it| it.markup.is_some()).collect();
        assert_eq!(is_marked, [true, false]);
    }

    #[test]
    fn a_template_does_not_repeat_the_text_beside_it() {
        let data = json!({"_cognigy": {"_default": {"_buttons": {"text": "Pick one."}}}});
        assert_eq!(words(json!([{"text": "Pick.", "data": data}])), ["Pick."]);
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
            json!({"_cognigy": {"_voiceGateway2": {"json": [{"verb": "hangup"}]}}}),
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
    fn a_command_that_cannot_be_done_is_named_once() {
        let gateway = |json: Value| json!({"_cognigy": {"_voiceGateway2": {"json": json}}});
        assert_eq!(actions(gateway(json!({"dial": {"target": []}}))), ["dial"]);
        assert_eq!(
            actions(gateway(json!({"sip:refer": {}, "hangup": {}, "play": null}))),
            ["sip:refer"]
        );
        assert_eq!(actions(gateway(json!([{"verb": "dial"}, {"verb": "dial"}, 7]))), ["dial"]);
        assert_eq!(
            actions(json!({"_cognigy": {"_voice-gateway2": {"json": {"dtmf": {}}}}})),
            ["dtmf"]
        );
        let many: Map<String, Value> =
            (0..1_000).map(|number| (format!("x{number}"), json!({}))).collect();
        assert_eq!(actions(gateway(Value::Object(many))).len(), ACTIONS_MAX);
    }

    #[test]
    fn of_a_list_without_end_the_first_two_hundred_are_said_and_the_rest_is_told() {
        let mut list = vec![json!({"text": "Yes."}); 100_000];
        list.push(json!({"text": null, "data": {"endCall": true}}));
        let read = read_outputs(&list);
        assert_eq!((read.spoken.len(), read.end_call), (200, true));
        assert_eq!(read.flaws, [ReplyFlaw::TooLong { unsaid_chars: 99_800 * 4 }]);
    }

    #[test]
    fn what_is_not_said_is_not_read_and_counts_as_it_is_written() {
        let marked = "<speak>No.</speak>";
        let mut list = vec![json!({"text": "Yes."}); 200];
        list.push(json!({"text": marked, "data": {"_cognigy": {"_default": {"_text": "Or."}}}}));
        list.push(json!({"data": {"_cognigy": {"_voiceGateway": {"json": {"activities": [
            {"type": "message", "text": marked}, {"type": "message", "text": " "}
        ]}}}}}));
        let read = read_outputs(&list);
        assert_eq!(read.spoken.len(), 200);
        let unsaid_chars = 2 * marked.len() as u64;
        let not_possible = ReplyFlaw::ActionNotPossible { action: MESSAGE.to_owned() };
        assert_eq!(read.flaws, [not_possible, ReplyFlaw::TooLong { unsaid_chars }]);
    }

    #[test]
    fn a_message_of_nothing_but_a_pause_says_nothing_and_asks_for_nothing() {
        let activity = json!({"type": "message", "text": "<speak><break/></speak>"});
        let data = json!({"_cognigy": {"_bandwidth": {"json": activity}}});
        assert_eq!(outputs(json!([{"text": null, "data": data}])), FlowOutputs::default());
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
