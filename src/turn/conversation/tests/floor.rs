//! The caller speaks, and the bot waits.

use super::{
    NOTHING, Story, cut, facts, finished, no_match, replied, says, started, stopped, transcribed,
    utterance,
};
use crate::turn::{TurnInput, UtteranceFacts};
use crate::types::{EndCause, Prompt, ReplyOutput, UtteranceEnd};

/// The caller has asked and the answer is on its way.
fn asked() -> Story {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "a room"));
    story
}

#[test]
fn an_answer_waits_until_the_caller_has_finished_and_is_asked_for_once() {
    let mut story = asked();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    let replied = story.then(replied(1, says("For how many? Well?")));
    assert_eq!(replied, ["speak 1 For how many?", "speak 2 Well?", "hold from 1"], "it is made");
    assert_eq!(story.then(utterance(2)), ["transcribe 2", "go on"], "and said now");
    story.then(started(1));
    assert_eq!(story.then(transcribed(2, "for two")), ["ask 2 for two"], "a turn of its own");
    assert_eq!(story.then(finished(1)), NOTHING);
}

#[test]
fn a_question_that_was_not_sent_waits_for_what_the_caller_adds() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(TurnInput::SpeechStarted);
    assert_eq!(story.then(transcribed(1, "a room")), NOTHING);
    story.then(utterance(2));
    assert_eq!(story.then(transcribed(2, "for two")), ["ask 1 a room for two"]);
}

#[test]
fn a_slow_greeting_waits_for_a_caller_who_speaks_first() {
    let greeting = Prompt { text: "Welcome.".to_owned(), interruptible: None };
    let mut story = Story::with(|route| route.prompts.greeting = Some(greeting));
    story.then(TurnInput::CallBegan);
    assert_eq!(story.then(TurnInput::SpeechStarted), ["hold from 1"]);
    assert_eq!(story.then(TurnInput::SpeechSustained), NOTHING);
    assert_eq!(story.then(utterance(1)), ["transcribe 1", "go on"]);
}

#[test]
fn so_does_the_word_that_the_caller_was_not_understood() {
    let mut story = Story::begin();
    story.then(utterance(1));
    let apology = story.then(no_match(1));
    assert!(apology[0].starts_with("speak 1 Sorry"), "{apology:?}");
    assert_eq!(story.then(TurnInput::SpeechStarted), ["hold from 1"]);
}

#[test]
fn who_speaks_again_before_it_was_clear_that_they_were_not_understood_gets_no_apology() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(TurnInput::SpeechStarted);
    assert_eq!(story.then(no_match(1)), NOTHING);
    story.then(utterance(2));
    assert_eq!(story.then(transcribed(2, "a room")), ["ask 1 a room"]);
}

#[test]
fn what_may_not_be_interrupted_begins_all_the_same_and_who_spoke_before_it_is_heard() {
    let mut story = asked();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    let mut reply = says("Listen.");
    reply.outputs[0].interruptible = Some(false);
    reply.outputs.push(ReplyOutput { text: "Well?".into(), markup: None, interruptible: None });
    assert_eq!(story.then(replied(1, reply)), ["speak 1 Listen.", "speak 2 Well?", "hold from 2"]);
    assert_eq!(story.then(started(1)), NOTHING);
    assert_eq!(story.then(utterance(2)), ["transcribe 2", "go on"]);
}

#[test]
fn a_sentence_that_begins_while_the_news_of_speech_is_on_its_way_is_silenced_and_begins_later() {
    let mut story = asked();
    story.then(replied(1, says("For how many? Well?")));
    assert_eq!(story.then(TurnInput::SpeechStarted), ["hold from 1"]);
    // The player had begun when it saw the order.
    assert_eq!(story.then(started(1)), ["stop, epoch 1"]);
    assert_eq!(story.then(stopped(1, [cut(1, 10)])), NOTHING);
    assert_eq!(story.then(utterance(2)), ["transcribe 2", "go on"]);
    assert_eq!(story.events(started(1)), ["turn_answered"]);
}

#[test]
fn what_began_before_the_player_heard_of_a_stop_has_not_begun() {
    let mut story = Story::bot_speaks();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    let raced = story.all([finished(1), started(2), stopped(1, [cut(2, 10)])]);
    assert_eq!(raced, ["hold from 2"]);
    story.then(utterance(2));
    assert_eq!(story.then(no_match(2)), ["go on"]);
    assert_eq!(story.all([started(2), finished(2)]), NOTHING);
}

#[test]
fn a_caller_who_never_stops_is_taken_for_noise_and_the_bot_speaks() {
    let mut story = asked();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    story.then(replied(1, says("For how many?")));
    assert!(story.conversation.holds());
    assert_eq!(story.then(TurnInput::HoldExpired), ["go on"]);
    assert!(!story.conversation.holds());
    assert_eq!(story.then(started(1)), NOTHING);
    // The utterance reaches its limit, and the noise goes on.
    let cut = UtteranceFacts { end: UtteranceEnd::MaxLength, ..facts(2, true) };
    story.then(TurnInput::Utterance(cut));
    let more = [TurnInput::SpeechStarted, TurnInput::SpeechSustained];
    assert_eq!(story.all(more), NOTHING, "the bot speaks on");
    assert_eq!(story.then(no_match(2)), NOTHING);
    // After a silence the caller is heard again.
    story.then(utterance(3));
    story.then(no_match(3));
    let interrupts = story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    assert_eq!(interrupts, ["stop, epoch 1", "hold from 1"]);
}

#[test]
fn the_last_words_wait_for_nobody() {
    let mut story = asked();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    let mut goodbye = says("Goodbye. Take care.");
    goodbye.end_call = true;
    assert_eq!(story.then(replied(1, goodbye)), ["speak 1 Goodbye.", "speak 2 Take care."]);
    assert_eq!(story.events(started(1)), ["turn_answered"]);
    story.then(utterance(2));
    // Nor does the next sentence.
    assert_eq!(story.all([TurnInput::SpeechStarted, finished(1), started(2)]), NOTHING);
    assert_eq!(story.then(finished(2)), ["end dialog_ended"]);
    // What was held for the caller goes with it.
    let mut story = asked();
    story.then(TurnInput::SpeechStarted);
    assert_eq!(story.then(replied(1, says("Well?"))), ["speak 1 Well?", "hold from 1"]);
    let given_up = story.then(TurnInput::GiveUp { cause: EndCause::Drained });
    assert_eq!(given_up[0], "drop 1");
    assert!(given_up.last().is_some_and(|done| done == "go on"), "{given_up:?}");
    assert!(!story.conversation.holds());
}

#[test]
fn noise_that_ends_just_where_an_utterance_was_cut_is_over() {
    let mut story = asked();
    story.then(TurnInput::SpeechStarted);
    story.then(replied(1, says("For how many?")));
    let cut = UtteranceFacts { end: UtteranceEnd::MaxLength, ..facts(2, true) };
    story.then(TurnInput::Utterance(cut));
    assert_eq!(story.then(TurnInput::HoldExpired), ["go on"]);
    assert!(story.conversation.expects_more_speech(), "it may go on");
    assert_eq!(story.then(TurnInput::SpeechEnded), NOTHING);
    assert_eq!(story.then(TurnInput::SpeechStarted), ["hold from 1"], "it is no noise any more");
}

#[test]
fn words_in_what_was_taken_for_noise_stop_the_bot() {
    let mut story = asked();
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    story.then(replied(1, says("For how many?")));
    story.then(TurnInput::HoldExpired);
    story.then(started(1));
    story.then(utterance(2));
    let meant = story.then(transcribed(2, "for two"));
    assert_eq!(meant, ["stop, epoch 1", "drop 1", "ask 2 for two"]);
}

#[test]
fn who_is_cut_at_the_limit_of_an_utterance_is_taken_to_speak_on() {
    let mut story = asked();
    story.then(TurnInput::SpeechStarted);
    story.then(replied(1, says("For how many?")));
    let cut = UtteranceFacts { end: UtteranceEnd::MaxLength, ..facts(2, true) };
    assert_eq!(story.then(TurnInput::Utterance(cut)), ["transcribe 2"], "no word of going on");
    assert!(story.conversation.expects_more_speech());
    assert_eq!(story.then(TurnInput::SpeechEnded), ["go on"]);
}
