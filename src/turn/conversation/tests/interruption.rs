//! What stops the bot, what does not, and what is taken back.

use super::{
    NOTHING, Story, cut, facts, finished, no_match, replied, says, started, stopped, transcribed,
    utterance,
};
use crate::turn::{CutShort, TurnInput, TurnOutput};
use crate::types::{CallEventKind, Epoch, ReplyOutput, SentenceId, SttFailure, UtteranceId};

#[test]
fn an_interruption_stops_the_bot_and_counts_only_what_was_heard() {
    let mut story = Story::bot_speaks();
    story.then(TurnInput::SpeechStarted);
    assert_eq!(story.then(TurnInput::SpeechSustained), ["stop, epoch 1", "hold from 1"]);
    let stopped = story.feed(stopped(1, [cut(1, 500), cut(2, 0)]));
    let heard = stopped.iter().find_map(|output| match output {
        TurnOutput::Tell {
            kind: CallEventKind::Interruption { heard, unheard_ms, .. }, ..
        } => Some((heard.expose().clone(), *unheard_ms)),
        _ => None,
    });
    assert_eq!(heard, Some(("One two".to_owned(), 1_500)));
    assert_eq!(story.then(utterance(2)), ["transcribe 2"]);
    let meant = story.then(transcribed(2, "stop"));
    assert_eq!(meant, ["drop 1", "drop 2", "ask 2 stop", "go on"]);
}

#[test]
fn of_a_sentence_that_still_grew_no_more_counts_as_heard_than_may_have_been_said() {
    let heard = |heard_samples| {
        let mut story = Story::begin();
        story.turn(1, "breakfast", says("One two three four."));
        story.then(started(1));
        story.then(TurnInput::SpeechSustained);
        let cut = CutShort { sentence: SentenceId(1), heard_samples, samples: 16_000, open: true };
        let stopped = TurnInput::SpeakingStopped { epoch: Epoch(1), cuts: vec![cut] };
        story.feed(stopped).into_iter().find_map(|output| match output {
            TurnOutput::Tell { kind: CallEventKind::Interruption { heard, .. }, .. } => {
                Some(heard.expose().clone())
            }
            _ => None,
        })
    };
    // 19 letters at 80 ms are 24,320 samples.
    assert_eq!(heard(16_000).as_deref(), Some("One two"));
    assert_eq!(heard(5_000).as_deref(), Some("One"));
}

#[test]
fn a_sentence_that_may_not_be_interrupted_is_not() {
    let mut story = Story::begin();
    let mut reply = says("Listen to the terms.");
    reply.outputs[0].interruptible = Some(false);
    story.turn(1, "terms", reply);
    story.then(started(1));
    assert_eq!(story.then(TurnInput::SpeechSustained), NOTHING);
    assert_eq!(story.then(utterance(2)), ["discard 2"]);
}

#[test]
fn an_interruption_without_words_is_taken_back_and_the_bot_goes_on() {
    let mut story = Story::bot_speaks();
    story.speaks(2);
    story.then(stopped(1, [cut(1, 500), cut(2, 0)]));
    let taken_back = story.feed(no_match(2));
    let events: Vec<&str> = taken_back
        .iter()
        .filter_map(|output| match output {
            TurnOutput::Tell { kind, .. } => Some(kind.name()),
            _ => None,
        })
        .collect();
    assert_eq!(events, ["not_understood", "false_interruption"]);
    assert!(taken_back.contains(&TurnOutput::Hold { from: None }));
    // The player begins the sentence anew.
    assert_eq!(story.all([started(1), finished(1), started(2)]), NOTHING);
    assert_eq!(heard_at_last(&mut story, 2).as_deref(), Some("One two three four. Five."));
}

/// What the caller heard of the bot, when `sentence` is its last one.
fn heard_at_last(story: &mut Story, sentence: u32) -> Option<String> {
    story.feed(finished(sentence)).into_iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::BotTurnStopped { heard }, .. } => {
            Some(heard.expose().clone())
        }
        _ => None,
    })
}

#[test]
fn a_listener_does_not_stop_the_bot() {
    for word in ["Mm-hm.", "yeah", "uh huh", "OK"] {
        let mut story = Story::bot_speaks();
        story.speaks(2);
        story.then(stopped(1, [cut(1, 200), cut(2, 0)]));
        assert_eq!(story.then(transcribed(2, word)), ["go on"], "{word}");
    }
}

#[test]
fn yeah_is_an_answer_to_a_question_that_was_heard_to_its_end() {
    let mut story = Story::bot_speaks();
    story.all([finished(1), started(2), finished(2)]);
    story.speaks(2);
    assert_eq!(story.then(transcribed(2, "yeah")), ["ask 2 yeah"]);
}

#[test]
fn so_it_is_when_it_cuts_off_no_more_than_the_last_syllable_of_the_question() {
    let mut story = Story::bot_speaks();
    story.all([finished(1), started(2)]);
    story.speaks(2);
    story.then(stopped(1, [cut(2, 700)]));
    assert_eq!(story.then(transcribed(2, "yeah")), ["drop 2", "ask 2 yeah", "go on"]);
}

#[test]
fn and_when_the_bot_finished_before_the_short_word_was_over() {
    let mut story = Story::bot_speaks();
    story.all([finished(1), started(2), TurnInput::SpeechStarted, finished(2)]);
    story.then(TurnInput::Utterance(facts(2, false)));
    assert_eq!(story.then(transcribed(2, "yeah")), ["ask 2 yeah"]);
}

#[test]
fn a_cough_over_the_bot_costs_nothing() {
    let mut story = Story::bot_speaks();
    // The next sentence waits until it is over; the present one goes on.
    assert_eq!(story.coughs(2), ["hold from 2", "transcribe 2", "go on"]);
    assert_eq!(story.events(no_match(2)), ["not_understood", "utterance_ignored"]);
    assert_eq!(story.coughs(3), ["hold from 2", "transcribe 3", "go on"]);
    let failed =
        TurnInput::Transcribed { utterance: UtteranceId(3), result: Err(SttFailure::Timeout) };
    assert_eq!(story.events(failed), ["stt_failed", "utterance_ignored"]);
}

#[test]
fn nor_does_one_at_the_very_end_of_what_the_bot_says() {
    let mut story = Story::bot_speaks();
    story.all([finished(1), started(2), TurnInput::SpeechStarted, finished(2)]);
    story.then(TurnInput::Utterance(facts(2, false)));
    assert_eq!(story.then(no_match(2)), NOTHING);
}

#[test]
fn a_word_too_short_to_interrupt_at_once_does_when_it_is_recognised() {
    let mut story = Story::bot_speaks();
    story.coughs(2);
    let meant = story.then(transcribed(2, "four"));
    assert_eq!(meant, ["stop, epoch 1", "drop 1", "drop 2", "ask 2 four"]);
    assert_eq!(story.events(stopped(1, [cut(1, 900)])), ["interruption"]);
    assert_eq!(story.then(replied(2, says("Four it is."))), ["speak 3 Four it is."]);
}

#[test]
fn the_gap_between_two_sentences_of_one_reply_can_be_interrupted() {
    let mut story = Story::bot_speaks();
    story.then(finished(1));
    assert_eq!(story.then(TurnInput::SpeechStarted), ["hold from 2"]);
    assert_eq!(story.then(TurnInput::SpeechSustained), ["stop, epoch 1"]);
    story.all([stopped(1, []), utterance(2)]);
    assert_eq!(story.then(transcribed(2, "wait")), ["drop 2", "ask 2 wait", "go on"]);
}

#[test]
fn speech_over_a_sentence_that_may_not_be_interrupted_interrupts_the_next_one() {
    let mut story = Story::begin();
    let mut reply = says("Listen.");
    reply.outputs[0].interruptible = Some(false);
    reply.outputs.push(ReplyOutput { text: "Or not.".into(), markup: None, interruptible: None });
    story.turn(1, "terms", reply);
    story.then(started(1));
    story.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained]);
    assert_eq!(story.then(finished(1)), ["stop, epoch 1"]);
    story.then(utterance(2));
    assert_eq!(story.then(transcribed(2, "no")), ["drop 2", "ask 2 no", "go on"]);
}

#[test]
fn what_answers_another_turn_is_spoken_after_an_interruption() {
    let mut story = Story::begin();
    story.turn(1, "first", says("One. Two."));
    story.turn(2, "second", says("Three."));
    story.then(started(1));
    story.speaks(3);
    story.then(stopped(1, [cut(1, 100)]));
    assert_eq!(story.then(transcribed(3, "third")), ["drop 1", "drop 2", "ask 3 third", "go on"]);
    assert_eq!(story.events(started(3)), ["turn_answered"]);
}

#[test]
fn a_goodbye_that_comes_while_an_interruption_is_undecided_is_said() {
    let mut story = Story::begin();
    story.turn(1, "first", says("One. Two."));
    story.then(utterance(2));
    story.then(transcribed(2, "bye"));
    story.then(started(1));
    story.then(TurnInput::SpeechStarted);
    story.then(TurnInput::SpeechSustained);
    story.then(stopped(1, [cut(1, 100)]));
    let mut goodbye = says("Goodbye.");
    goodbye.end_call = true;
    assert_eq!(story.then(replied(2, goodbye)), ["speak 3 Goodbye.", "go on"]);
    assert_eq!(story.then(utterance(3)), ["discard 3"]);
    story.all([started(1), finished(1), started(2), finished(2), started(3)]);
    assert_eq!(story.then(finished(3)), ["end dialog_ended"]);
}
