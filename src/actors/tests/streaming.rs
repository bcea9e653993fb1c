//! Sentences that are heard while they are still being made.

use std::sync::Arc;
use std::time::Duration;

use super::stage::{Caller, Script, Stage, Streaming, Told, act, sound_at};
use crate::actors::link::Delivery;
use crate::types::{CallEventKind, EndCause, Route};

const PACED: Delivery = Delivery::Paced { frame_ms: 20, lead_ms: 100 };

/// As fast as it is spoken.
const REAL_TIME: Streaming =
    Streaming { piece_ms: 100, every_ms: 100, stalls: None, breaks_at_ms: None };

/// A synthesiser that streams sentences of 4 s in answer to one utterance.
fn script(streaming: Streaming) -> Script {
    let words = vec!["two"];
    Script { words, sentence_ms: 4_000, streaming: Some(streaming), ..Script::default() }
}

fn growing(stage: &Stage) -> usize {
    Arc::strong_count(&stage.services.streams) - 1
}

fn sound(ms: usize) -> Vec<i16> {
    (0..16 * ms).map(sound_at).collect()
}

fn heard_ms(caller: &Caller) -> usize {
    caller.audio.lock().len() / 16
}

#[test]
fn a_sentence_is_heard_long_before_it_is_made() {
    act(|| async {
        let stage = Stage::new(script(REAL_TIME), Route::default());
        let caller = stage.call("a", PACED).await;
        caller.say().await;
        assert!((100..1_000).contains(&heard_ms(&caller)), "{} ms", heard_ms(&caller));
        assert_eq!(growing(&stage), 1);
        caller.pause(5_000).await;
        assert!(*caller.audio.lock() == sound(4_000));
        assert_eq!((growing(&stage), caller.count("bot_turn_stopped")), (0, 1));
        let told = caller.events.lock().iter().find_map(|kind| match kind {
            CallEventKind::SentenceSynthesized { tts_ms, audio_ms, .. } => {
                Some((*tts_ms, *audio_ms))
            }
            _ => None,
        });
        let (tts_ms, audio_ms) = told.expect("it was told");
        assert!((200..300).contains(&tts_ms), "the first audio came after {tts_ms} ms");
        assert_eq!(audio_ms, None);
    });
}

#[test]
fn a_carrier_that_takes_whole_sentences_gets_them_whole() {
    act(|| async {
        let stage = Stage::new(script(REAL_TIME), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        caller.say().await;
        caller.pause(2_500).await;
        assert_eq!(caller.sentences(), Vec::<String>::new());
        caller.pause(1_500).await;
        assert_eq!(caller.sentences(), ["intent_two"]);
        assert!(*caller.audio.lock() == sound(4_000));
        caller.pause(4_500).await;
        assert_eq!(caller.count("bot_turn_stopped"), 1);
    });
}

#[test]
fn a_synthesiser_that_pauses_makes_a_pause_and_nothing_else() {
    act(|| async {
        let stalls = Some((1_000, 2_000));
        let streaming = Streaming { stalls, ..REAL_TIME };
        let script = Script { reply: |_| Ok("One. Two."), ..script(streaming) };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", PACED).await;
        caller.say().await;
        caller.pause(1_500).await;
        assert_eq!(heard_ms(&caller), 1_000, "it waits");
        caller.pause(12_000).await;
        assert!(*caller.audio.lock() == [sound(4_000), sound(4_000)].concat());
        assert_eq!(caller.count("tts_failed"), 0);
    });
}

#[test]
fn a_sentence_that_breaks_off_is_told_when_it_was_heard_and_the_next_one_follows() {
    act(|| async {
        let streaming = Streaming { breaks_at_ms: Some(1_000), ..Streaming::default() };
        let script = Script { reply: |_| Ok("One thing. Two."), ..script(streaming) };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", PACED).await;
        caller.say().await;
        assert_eq!(caller.count("tts_failed"), 1, "the second one, of which nothing was heard");
        caller.pause(1_000).await;
        assert!(*caller.audio.lock() == sound(1_000));
        assert_eq!((caller.count("tts_failed"), caller.count("turn_answered")), (2, 1));
        let heard = caller.events.lock().iter().find_map(|kind| match kind {
            CallEventKind::BotTurnStopped { heard } => Some(heard.expose().clone()),
            _ => None,
        });
        assert_eq!(heard.as_deref(), Some("One thing."), "as long as it may take to say");
        // The call goes on.
        caller.say().await;
        assert_eq!(stage.services.asked.lock().len(), 1, "nothing more is understood");
        assert_eq!(growing(&stage), 0);
    });
}

#[test]
fn a_carrier_of_whole_sentences_gets_the_fallback_for_one_that_breaks_off() {
    act(|| async {
        let streaming = Streaming { breaks_at_ms: Some(1_000), ..Streaming::default() };
        let stage = Stage::new(script(streaming), Route::default());
        let caller = stage.call("a", Delivery::WholeSentences).await;
        caller.say().await;
        caller.pause(1_000).await;
        assert_eq!(caller.sentences(), ["fallback", "fallback"]);
        assert_eq!(caller.count("turn_answered"), 0);
        let failed = caller.count("tts_failed");
        assert!(failed >= 2, "the answer and what was to be said instead: {failed}");
    });
}

#[test]
fn an_interruption_stops_the_making_and_knows_what_was_heard() {
    act(|| async {
        let script = Script { words: vec!["two", "three"], ..script(REAL_TIME) };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", PACED).await;
        caller.say().await;
        assert_eq!(growing(&stage), 1);
        caller.send(&super::stage::speech(), 20).await;
        assert_eq!(caller.count("interruption"), 1);
        let told = caller.told.lock().clone();
        let flush = told.iter().position(|told| *told == Told::Flush).expect("it is silenced");
        let after = told[flush..].iter().filter(|told| matches!(told, Told::Audio(_))).count();
        assert_eq!(after, 0, "nothing of it is heard afterwards");
        let unheard = caller.events.lock().iter().find_map(|kind| match kind {
            CallEventKind::Interruption { unheard_ms, .. } => Some(*unheard_ms),
            _ => None,
        });
        assert!(unheard.is_some_and(|ms| ms <= 300), "what was there and unheard: {unheard:?}");
        caller.audio.lock().clear();
        caller.pause(700).await;
        assert!(growing(&stage) <= 1, "words were heard: only the answer to them is made");
        caller.pause(5_300).await;
        assert!(*caller.audio.lock() == sound(4_000), "the answer to the interruption");
    });
}

#[test]
fn another_connection_in_mid_sentence_hears_it_from_its_beginning() {
    act(|| async {
        let stage = Stage::new(script(REAL_TIME), Route::default());
        let first = stage.call("a", PACED).await;
        first.say().await;
        assert_eq!(growing(&stage), 1);
        let second = stage.call("a", PACED).await;
        second.pause(200).await;
        assert_eq!(growing(&stage), 1, "the old one is made no more");
        second.pause(5_000).await;
        assert!(*second.audio.lock() == sound(4_000));
        assert_eq!(growing(&stage), 0);
    });
}

#[test]
fn a_lost_connection_and_the_end_of_the_call_stop_the_making() {
    for vanishes in [true, false] {
        act(move || async move {
            let stage = Stage::new(script(REAL_TIME), Route::default());
            let caller = stage.call("a", PACED).await;
            caller.say().await;
            assert_eq!(growing(&stage), 1);
            if vanishes {
                caller.vanish();
            } else {
                caller.input.hang_up(EndCause::CallerHungUp);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(growing(&stage), 0);
        });
    }
}

#[test]
fn a_long_answer_is_asked_for_two_sentences_at_a_time() {
    act(|| async {
        let reply = |_: &str| Ok("One. Two. Three. Four. Five. Six.");
        let stage = Stage::new(Script { reply, ..script(REAL_TIME) }, Route::default());
        let caller = stage.call("a", PACED).await;
        caller.say().await;
        for _ in 0..260 {
            caller.pause(100).await;
            assert!(growing(&stage) <= 2);
        }
        assert!(*caller.audio.lock() == sound(4_000).repeat(6));
        assert_eq!(caller.count("tts_failed"), 0, "none was given up while it had to wait");
    });
}
