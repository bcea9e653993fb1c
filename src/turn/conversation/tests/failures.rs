//! What is said when a service fails.

use super::{NOTHING, Story, finished, no_match, says, started, told, transcribed, utterance};
use crate::turn::{CutShort, TurnInput, TurnOutput};
use crate::types::{
    CallEventKind, DialogFailure, EndCause, Prompt, SentenceId, SttFailure, TtsFailure, TurnId,
    UtteranceId,
};

#[test]
fn failures_are_excused_until_there_are_too_many_in_a_row() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    let fail = |utterance| TurnInput::Transcribed {
        utterance: UtteranceId(utterance),
        result: Err(SttFailure::Timeout),
    };
    story.then(utterance(1));
    assert!(story.then(fail(1))[0].contains("Sorry"));
    story.then(utterance(2));
    let given_up = story.then(fail(2));
    assert!(given_up.iter().any(|done| done.contains("connection interruption")), "{given_up:?}");
    assert_eq!(story.then(utterance(3)), ["discard 3"]);
    for sentence in 3..=4 {
        story.then(started(sentence));
    }
    story.then(finished(3));
    assert_eq!(story.then(finished(4)), ["end turns_failed"]);
}

#[test]
fn a_caller_who_speaks_on_while_the_recogniser_hangs_hears_the_apology_as_soon_as_they_pause() {
    let fail = |utterance| TurnInput::Transcribed {
        utterance: UtteranceId(utterance),
        result: Err(SttFailure::Timeout),
    };
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(TurnInput::SpeechStarted);
    assert_eq!(story.then(fail(1)), NOTHING, "nobody is talked over");
    let done = story.then(utterance(2));
    assert_eq!(done[..2], ["transcribe 2", "discard 2"], "{done:?}");
    assert!(done[2].contains("Sorry"), "{done:?}");
    assert_eq!(story.then(fail(2)), NOTHING, "it is counted once");

    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(utterance(2));
    let done = story.then(fail(1));
    assert!(done[0] == "discard 2" && done[1].contains("Sorry"), "{done:?}");
    assert_eq!(story.then(transcribed(2, "hello")), NOTHING);
    story.then(utterance(3));
    assert_eq!(story.then(transcribed(3, "hello")), ["ask 2 hello"]);
}

#[test]
fn an_answered_turn_clears_earlier_failures() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    let fail =
        |turn| TurnInput::Replied { turn: TurnId(turn), result: Err(DialogFailure::Timeout) };
    story.then(utterance(1));
    story.then(transcribed(1, "hello"));
    story.then(fail(1));
    // Two sentences of apology, then an answer that is heard.
    story.turn(2, "hello", says("Fine."));
    story.then(started(3));
    story.then(utterance(3));
    story.then(transcribed(3, "hello"));
    let done = story.then(fail(3));
    assert!(done[0].contains("Sorry"), "{done:?}");
}

#[test]
fn a_refused_key_ends_the_dialog_at_once() {
    let mut story = Story::begin();
    story.then(utterance(1));
    story.then(transcribed(1, "hello"));
    let done =
        story.then(TurnInput::Replied { turn: TurnId(1), result: Err(DialogFailure::Forbidden) });
    assert!(done[0].contains("connection interruption"), "{done:?}");
    assert_eq!(story.conversation.ending(), Some(EndCause::DialogUnauthorized));
}

#[test]
fn a_reply_without_any_voice_counts_as_a_failed_turn() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two."));
    let failed = |sentence| TurnInput::SentenceFailed {
        sentence: SentenceId(sentence),
        tts_ms: 5,
        failure: TtsFailure::Timeout,
    };
    assert_eq!(story.then(failed(1)), NOTHING, "the other sentence may still come");
    assert!(story.then(failed(2))[0].contains("Sorry"));
}

fn unspoken(sentence: u32) -> TurnInput {
    let (sentence, failure) = (SentenceId(sentence), TtsFailure::Timeout);
    TurnInput::SentenceFailed { sentence, tts_ms: 5, failure }
}

#[test]
fn a_turn_of_which_nothing_could_be_spoken_is_told_once_and_the_fallback_is_heard() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One."));
    assert_eq!(story.events(unspoken(1)), ["tts_failed", "turn_unheard"]);
    assert_eq!(story.then(unspoken(2)), NOTHING, "the other sentence of the apology may come");
    let done = story.feed(unspoken(3));
    assert!(done.iter().filter_map(told).any(|it| it.contains("connection interruption")));
    assert!(!done.iter().any(|output| {
        matches!(output, TurnOutput::Tell { kind: CallEventKind::TurnUnheard {}, .. })
    }));
    assert_eq!(story.events(started(4)), ["fallback_played"]);
    story.then(finished(4));
    assert_eq!(story.events(started(5)), NOTHING, "its second sentence is no other fallback");
}

/// How many sentences each event tells of.
fn told_of(story: &mut Story, input: TurnInput) -> Vec<u32> {
    let sentences = |output| match output {
        TurnOutput::Tell { kind: CallEventKind::TtsFailed { sentences, .. }, .. } => {
            Some(sentences)
        }
        _ => None,
    };
    story.feed(input).into_iter().filter_map(sentences).collect()
}

#[test]
fn sentences_of_a_reply_that_fail_like_the_first_are_told_together() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two. Three. Four. Five."));
    let told: Vec<_> = (1..=5).map(|sentence| told_of(&mut story, unspoken(sentence))).collect();
    assert_eq!(told, [vec![1], vec![], vec![], vec![], vec![4]]);

    let refused = |sentence| TurnInput::SentenceFailed {
        sentence: SentenceId(sentence),
        tts_ms: 5,
        failure: TtsFailure::RateLimited,
    };
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two. Three. Four. Five."));
    let inputs = [unspoken(1), unspoken(2), refused(3), unspoken(4)];
    let told: Vec<_> = inputs.map(|input| told_of(&mut story, input)).into();
    assert_eq!(told, [vec![1], vec![], vec![1, 1], vec![1]], "a change is told at once");
    story.then(started(5));
    assert_eq!(told_of(&mut story, finished(5)), [0; 0]);
}

#[test]
fn what_is_told_together_is_told_when_the_reply_or_the_call_ends_before_it() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two. Three. Four."));
    (1..=3).for_each(|sentence| drop(story.then(unspoken(sentence))));
    let rest = story.conversation.take_unspoken();
    assert!(matches!(rest, Some((Some(TurnId(1)), CallEventKind::TtsFailed { sentences: 2, .. }))));
    assert_eq!(story.conversation.take_unspoken(), None);

    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One. Two. Three. Four."));
    (1..=3).for_each(|sentence| drop(story.then(unspoken(sentence))));
    story.then(started(4));
    assert_eq!(told_of(&mut story, finished(4)), [2]);
}

#[test]
fn an_apology_of_which_a_part_was_heard_is_not_replaced() {
    let mut story = Story::begin();
    story.then(utterance(1));
    let fail =
        TurnInput::Transcribed { utterance: UtteranceId(1), result: Err(SttFailure::Timeout) };
    story.then(fail);
    story.then(started(1));
    story.then(finished(1));
    assert_eq!(story.events(unspoken(2)), ["tts_failed", "bot_turn_stopped"]);
}

#[test]
fn a_greeting_and_a_no_match_that_cannot_be_spoken_are_replaced_too() {
    let greeting = Prompt { text: "Welcome.".to_owned(), interruptible: None };
    let mut story = Story::with(|route| route.prompts.greeting = Some(greeting));
    story.then(TurnInput::CallBegan);
    assert!(story.then(unspoken(1))[0].contains("connection interruption"));
    for sentence in [2, 3] {
        story.then(started(sentence));
        story.then(finished(sentence));
    }
    story.then(utterance(1));
    assert_eq!(story.then(no_match(1)).len(), 2);
    story.then(unspoken(4));
    let done = story.feed(unspoken(5));
    let names = done.iter().filter_map(|output| match output {
        TurnOutput::Tell { kind, .. } => Some(kind.name()),
        _ => None,
    });
    assert_eq!(names.collect::<Vec<_>>(), ["tts_failed", "turn_unheard"]);
    assert!(done.iter().filter_map(told).any(|it| it.contains("connection interruption")));
}

#[test]
fn a_synthesiser_that_is_down_ends_the_call_instead_of_apologising_for_ever() {
    let mut story = Story::with(|route| route.turns.failures_max = 2);
    story.turn(1, "breakfast", says("One."));
    // The reply, then both sentences of the apology; the fallback is heard instead.
    (1..=3).for_each(|sentence| drop(story.then(unspoken(sentence))));
    for sentence in [4, 5] {
        story.then(started(sentence));
        story.then(finished(sentence));
    }
    story.turn(2, "breakfast", says("Two."));
    assert!(story.then(unspoken(6))[0].contains("connection interruption"));
    assert_eq!(story.then(unspoken(7)), NOTHING);
    assert_eq!(story.then(unspoken(8)), ["end turns_failed"]);
}

#[test]
fn a_sentence_that_breaks_off_is_said_as_far_as_it_was_heard_and_the_next_one_follows() {
    let mut story = Story::begin();
    story.turn(1, "breakfast", says("One two three four. Five."));
    story.then(started(1));
    let cut =
        CutShort { sentence: SentenceId(1), heard_samples: 16_000, samples: 16_000, open: true };
    let failure = TtsFailure::Timeout;
    let broken = story.feed(TurnInput::SentenceBroken { cut, tts_ms: 900, failure });
    let told = |kind: &CallEventKind| matches!(kind, CallEventKind::TtsFailed { tts_ms: 900, .. });
    assert!(
        matches!(&broken[..], [TurnOutput::Tell { kind, .. }] if told(kind)),
        "no apology for what was heard in part: {broken:?}"
    );
    story.then(started(2));
    let stopped = story.feed(finished(2)).into_iter().find_map(|output| match output {
        TurnOutput::Tell { kind: CallEventKind::BotTurnStopped { heard }, .. } => {
            Some(heard.expose().clone())
        }
        _ => None,
    });
    assert_eq!(stopped.as_deref(), Some("One two Five."));
    assert_eq!(story.then(utterance(2)), ["transcribe 2"]);
}
