//! A turn from the caller's words to the bot's.

use super::{NOTHING, Story, finished, no_match, replied, says, started, transcribed, utterance};
use crate::turn::{TurnInput, TurnOutput};
use crate::types::{CallEventKind, IgnoredReason, Prompt, SessionData, SttFailure, UtteranceId};

#[test]
fn a_turn_goes_from_the_utterance_to_the_spoken_answer() {
    let mut story = Story::begin();
    assert_eq!(story.then(utterance(1)), ["transcribe 1"]);
    assert_eq!(story.then(transcribed(1, "breakfast")), ["ask 1 breakfast"]);
    assert_eq!(
        story.then(replied(1, says("At seven. Enjoy."))),
        ["speak 1 At seven.", "speak 2 Enjoy."]
    );
    assert_eq!(story.events(started(1)), ["turn_answered"]);
    assert_eq!(story.then(finished(1)), NOTHING);
    assert_eq!(story.events(finished(2)), ["bot_turn_stopped"]);
}

#[test]
fn the_stages_of_an_answered_turn_are_timed() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("At seven."));
    let answered = story.feed(started(1)).into_iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::TurnAnswered { timings, .. }, .. } => Some(timings),
        _ => None,
    });
    let timings = answered.expect("the turn is answered");
    assert_eq!(
        (timings.end_of_speech_ms, timings.stt_ms, timings.dialog_ms, timings.tts_ms),
        (500, 10, 10, 10)
    );
    assert_eq!(timings.response_ms, 30);
}

#[test]
fn the_session_goes_back_with_the_next_turn() {
    let mut story = Story::begin();
    let mut reply = says("One.");
    reply.session = SessionData::new(serde_json::json!({"nights": 2}));
    story.turn(1, "first", reply);
    story.then(utterance(2));
    let asked = story.feed(transcribed(2, "second"));
    let session = asked.iter().find_map(|output| match output {
        TurnOutput::Ask { session, .. } => Some(session.expose().clone()),
        _ => None,
    });
    assert_eq!(session, Some(serde_json::json!({"nights": 2})));
}

#[test]
fn a_greeting_is_said_when_one_is_configured() {
    let greeting = Prompt { text: "Welcome.".to_owned(), interruptible: None };
    let mut story = Story::with(|route| route.prompts.greeting = Some(greeting));
    assert_eq!(story.then(TurnInput::CallBegan), ["speak 1 Welcome."]);
    assert_eq!(Story::begin().then(TurnInput::CallBegan), NOTHING);
}

#[test]
fn the_platform_may_end_the_call_after_the_last_word() {
    let mut story = Story::begin();
    let mut reply = says("Goodbye.");
    reply.end_call = true;
    assert_eq!(story.turn(1, "bye", reply), ["speak 1 Goodbye."]);
    story.then(started(1));
    assert_eq!(story.then(finished(1)), ["end dialog_ended"]);
    assert_eq!(story.then(utterance(2)), NOTHING, "nothing happens after the end");
}

#[test]
fn a_conversation_survives_being_written_down_at_any_point() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("First part. Second part."));
    story.then(started(1));
    let text = serde_json::to_string(&story.conversation).expect("it can be written");
    story.conversation = serde_json::from_str(&text).expect("it can be read");
    story.then(finished(1));
    story.then(started(2));
    assert_eq!(story.events(finished(2)), ["bot_turn_stopped"]);
}

#[test]
fn turns_are_asked_one_at_a_time_in_the_order_they_were_spoken() {
    let mut story = Story::begin();
    story.then(utterance(1));
    assert_eq!(story.then(transcribed(1, "first")), ["ask 1 first"]);
    story.then(utterance(2));
    assert_eq!(story.then(transcribed(2, "second")), NOTHING, "the first is being asked");
    assert_eq!(story.then(replied(1, says("One."))), ["speak 1 One.", "ask 2 second"]);
    assert_eq!(story.then(replied(2, says("Two."))), ["speak 2 Two."]);
}

#[test]
fn what_is_said_before_a_question_is_sent_belongs_to_it_in_the_order_it_was_spoken() {
    for order in [[1, 2], [2, 1]] {
        let mut story = Story::begin();
        story.then(utterance(1));
        story.then(utterance(2));
        let texts = ["", "a room", "for two"];
        assert_eq!(story.then(transcribed(order[0], texts[order[0] as usize])), NOTHING);
        let asked = story.then(transcribed(order[1], texts[order[1] as usize]));
        assert_eq!(asked, ["ask 1 a room for two"]);
    }
}

#[test]
fn an_utterance_without_words_does_not_spoil_the_question_it_belongs_to() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(utterance(2));
    story.then(transcribed(2, "second"));
    assert_eq!(story.then(no_match(1)), ["ask 1 second"], "and nobody apologises");
}

#[test]
fn a_question_of_which_a_part_is_lost_is_not_asked() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(utterance(2));
    story.then(transcribed(1, "a room"));
    let failed =
        TurnInput::Transcribed { utterance: UtteranceId(2), result: Err(SttFailure::Timeout) };
    assert!(story.then(failed)[0].starts_with("speak 1 Sorry, something went wrong"));
}

#[test]
fn the_oldest_utterance_of_a_question_is_given_up_when_too_many_wait() {
    let mut story = Story::with(|route| route.turns.utterances_joined_max = 2);
    story.then(utterance(1));
    story.then(utterance(2));
    let done = story.feed(utterance(3));
    let ignored = |output: &TurnOutput| match output {
        TurnOutput::Tell {
            kind: CallEventKind::UtteranceIgnored { utterance, reason }, ..
        } => Some((*utterance, *reason)),
        _ => None,
    };
    let ignored: Vec<_> = done.iter().filter_map(ignored).collect();
    assert_eq!(ignored, [(UtteranceId(1), IgnoredReason::TooMany)]);
    assert!(done.contains(&TurnOutput::Discard { utterance: UtteranceId(1) }));
    assert_eq!(story.then(transcribed(1, "late")), NOTHING);
    story.then(transcribed(2, "second"));
    assert_eq!(story.then(transcribed(3, "third")), ["ask 1 second third"]);
}
