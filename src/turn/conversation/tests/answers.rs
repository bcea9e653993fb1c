//! Answers that the caller did not wait for.

use super::{Story, finished, no_match, replied, says, started, told, transcribed, utterance};
use crate::turn::{TurnInput, TurnOutput};
use crate::types::{CallEventKind, HeldAnswer, SessionData, TurnId};

fn dropping() -> Story {
    let mut story = Story::with(|route| route.turns.held_answer = HeldAnswer::Drop);
    story.then(utterance(1));
    story.then(transcribed(1, "a room"));
    story
}

#[test]
fn a_route_may_drop_an_answer_that_the_caller_did_not_wait_for() {
    let mut story = dropping();
    story.then(TurnInput::SpeechStarted);
    story.then(replied(1, says("For how many? Well?")));
    assert_eq!(story.then(utterance(2)), ["transcribe 2"], "whether it holds words decides");
    let done = story.feed(transcribed(2, "for two"));
    let abandoned = CallEventKind::TurnAbandoned { turn: TurnId(1) };
    assert!(done.iter().any(|output| matches!(
        output,
        TurnOutput::Tell { kind, .. } if *kind == abandoned
    )));
    let done: Vec<_> = done.iter().filter_map(told).collect();
    assert_eq!(done, ["drop 1", "drop 2", "ask 2 for two", "go on"]);
}

#[test]
fn a_cough_drops_no_answer() {
    let mut story = dropping();
    story.then(TurnInput::SpeechStarted);
    story.then(replied(1, says("For how many?")));
    story.then(utterance(2));
    assert_eq!(story.then(no_match(2)), ["go on"]);
}

#[test]
fn what_else_the_answer_asked_for_stands() {
    let mut story = dropping();
    story.then(utterance(2));
    story.then(transcribed(2, "for two"));
    let mut reply = says("For how many?");
    reply.session = SessionData::new(serde_json::json!({"nights": 2}));
    let done = story.feed(replied(1, reply));
    let session = done.iter().find_map(|output| match output {
        TurnOutput::Ask { session, .. } => Some(session.expose().clone()),
        _ => None,
    });
    assert_eq!(session, Some(serde_json::json!({"nights": 2})));
    assert!(!done.iter().any(|output| matches!(output, TurnOutput::Speak { .. })), "{done:?}");
    // The end of the call, with the words it ends with.
    let mut story = dropping();
    story.then(utterance(2));
    story.then(transcribed(2, "for two"));
    let mut goodbye = says("Goodbye.");
    goodbye.end_call = true;
    assert_eq!(story.then(replied(1, goodbye)), ["speak 1 Goodbye."]);
    story.then(started(1));
    assert_eq!(story.then(finished(1)), ["end dialog_ended"]);
}
