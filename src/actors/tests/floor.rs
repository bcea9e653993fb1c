//! A caller who goes on speaking, and one who only listens.

use std::sync::atomic::Ordering;

use super::stage::{Caller, Script, Stage, Streaming, Told, act, sound_at, speech};
use crate::actors::link::Delivery;
use crate::types::{INNER_RATE, Prompt, ResumeFrom, Route};

const PACED: Delivery = Delivery::Paced { frame_ms: 20, lead_ms: 100 };

fn sound(ms: u32) -> Vec<i16> {
    (0..INNER_RATE.samples_in_ms(ms)).map(sound_at).collect()
}

/// An utterance from its first sound to its last: 1.8 s.
fn spoken() -> Vec<i16> {
    let at = |ms| INNER_RATE.samples_in_ms(ms);
    speech()[at(480)..at(2_260)].to_vec()
}

fn heard_ms(caller: &Caller) -> u64 {
    INNER_RATE.ms_of_samples(caller.audio.lock().len() as u64)
}

#[test]
fn a_caller_who_pauses_and_goes_on_is_not_talked_over() {
    for pause_ms in [600, 700, 900, 1_100] {
        act(move || async move {
            let dialog_ms = u64::from(pause_ms);
            let script = Script { words: vec!["one", "two"], dialog_ms, ..Script::default() };
            let stage = Stage::new(script, Route::default());
            let caller = stage.call("a", PACED).await;
            caller.send(&spoken(), 20).await;
            caller.pause(pause_ms).await;
            caller.send(&spoken(), 20).await;
            assert_eq!(heard_ms(&caller), 0, "after a pause of {pause_ms} ms");
            caller.pause(6_000).await;
            assert_eq!(*stage.services.asked.lock(), ["one", "two"], "each once");
            assert_eq!(caller.count("turn_answered"), 2);
            assert_eq!(heard_ms(&caller), 3 * 400, "both answers are heard to their ends");
            assert_eq!(caller.count("interruption"), 0);
        });
    }
}

#[test]
fn what_is_added_before_the_question_is_sent_belongs_to_it() {
    act(|| async {
        let script = Script { words: vec!["one", "two"], stt_ms: 800, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", PACED).await;
        caller.send(&spoken(), 20).await;
        caller.pause(700).await;
        caller.send(&spoken(), 20).await;
        caller.pause(3_000).await;
        assert_eq!(*stage.services.asked.lock(), ["one two"]);
    });
}

#[test]
fn a_slow_greeting_waits_for_the_caller() {
    act(|| async {
        let mut route = Route::default();
        route.prompts.greeting = Some(Prompt { text: "Welcome.".to_owned(), interruptible: None });
        let script = Script { tts_ms: 800, ..Script::default() };
        let stage = Stage::new(script, route);
        let caller = stage.call("a", PACED).await;
        caller.send(&spoken(), 20).await;
        assert_eq!(heard_ms(&caller), 0);
        caller.pause(1_200).await;
        assert!(heard_ms(&caller) >= 400, "it is said now");
    });
}

#[test]
fn a_listener_costs_no_word_of_the_reply() {
    for resume_from in [ResumeFrom::Sentence, ResumeFrom::Position] {
        act(move || async move {
            let script = Script {
                words: vec!["one", "Mm-hmm.", "three"],
                sentence_ms: 4_000,
                streaming: Some(Streaming::default()),
                ..Script::default()
            };
            let mut route = Route::default();
            route.turns.resume_from = resume_from;
            let stage = Stage::new(script, route);
            let caller = stage.call("a", PACED).await;
            caller.say().await;
            caller.send(&spoken(), 20).await;
            assert!(caller.told.lock().contains(&Told::Flush), "the bot falls silent at once");
            let before = std::mem::take(&mut *caller.audio.lock());
            caller.pause(10_000).await;
            assert_eq!(caller.count("false_interruption"), 1);
            assert_eq!(*stage.services.asked.lock(), ["one"]);
            assert_eq!(stage.services.sentences.load(Ordering::Relaxed), 2);
            let reply = sound(4_000).repeat(2);
            let after = caller.audio.lock().clone();
            match resume_from {
                ResumeFrom::Sentence => assert!(after == reply, "from the sentence's beginning"),
                ResumeFrom::Position => {
                    assert!(reply.ends_with(&after), "the rest of it");
                    let twice = before.len() + after.len() - reply.len();
                    assert!(twice <= INNER_RATE.samples_in_ms(120), "what was sent ahead");
                }
            }
        });
    }
}

#[test]
fn a_noise_without_words_costs_no_word_of_the_reply_either() {
    act(|| async {
        let script = Script { words: vec!["one"], sentence_ms: 4_000, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        caller.say().await;
        caller.say().await;
        caller.pause(10_000).await;
        // The sentence that was cut is handed over again.
        assert_eq!(caller.sentences(), ["intent_one"; 3]);
        assert_eq!(caller.count("false_interruption"), 1);
    });
}
