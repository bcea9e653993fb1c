//! What a caller experiences.

use futures_util::FutureExt as _;

use super::stage::{Caller, Script, Stage, Told, act, request};
use crate::actors::link::{CallRequest, Delivery, LegCommand};
use crate::types::{CallEventKind, CallId, DialogFailure, EndCause, Route};

const SENTENCES: Delivery = Delivery::WholeSentences;

#[test]
fn every_utterance_is_answered_in_order_and_the_session_goes_round() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..3 {
            caller.say().await;
            caller.pause(1_000).await;
        }
        assert_eq!(caller.sentences(), ["intent_one", "intent_one", "intent_two", "intent_three"]);
        assert_eq!(*stage.services.asked.lock(), ["one", "two", "three"]);
        let sessions = stage.services.sessions.lock().clone();
        assert_eq!(sessions[1]["last"], "one");
        assert_eq!(caller.count("turn_answered"), 3);
        caller.input.hang_up(EndCause::CallerHungUp);
        caller.pause(100).await;
        assert_eq!(caller.told.lock().last(), Some(&Told::End("caller_hung_up".to_owned())));
    });
}

#[test]
fn a_recogniser_that_follows_speech_has_heard_most_of_it_before_it_ends() {
    act(|| async {
        let script = Script { follows_speech: true, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.say().await;
        assert_eq!(*stage.services.asked.lock(), ["one", "two"], "each utterance is heard once");
        for pieces in stage.services.followed.lock().iter() {
            let (last, earlier) = pieces.split_last().expect("there is always an end");
            assert!(earlier.len() > 5, "{pieces:?}");
            assert!(earlier.iter().all(|samples| *samples >= 3_200), "{pieces:?}");
            assert!(*last < 6_400, "{pieces:?}");
        }
        caller.input.hang_up(EndCause::CallerHungUp);
        caller.pause(100).await;
        assert_eq!(stage.services.forgotten.lock().len(), 1);
    });
}

#[test]
fn an_utterance_that_was_followed_and_is_no_turn_is_never_asked() {
    act(|| async {
        let mut route = Route::default();
        route.turns.interruptible = false;
        let script = Script { follows_speech: true, sentence_ms: 4_000, ..Script::default() };
        let stage = Stage::new(script, route);
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.say().await;
        assert_eq!(caller.count("utterance_ignored"), 1);
        caller.pause(9_000).await;
        caller.say().await;
        assert_eq!(*stage.services.asked.lock(), ["one", "three"]);
    });
}

#[test]
fn markup_reaches_the_synthesiser_with_the_sentence_that_has_it() {
    act(|| async {
        let script = Script { reply: |_| Ok("Well then. Speak slowly."), ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.pause(2_000).await;
        assert_eq!(*stage.services.documents.lock(), ["<speak>Speak <break/>slowly.</speak>"]);
    });
}

#[test]
fn what_is_not_understood_is_asked_again() {
    act(|| async {
        let stage = Stage::new(Script { words: vec![], ..Script::default() }, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        assert_eq!(caller.sentences().first().map(String::as_str), Some("no_match"));
        assert!(stage.services.asked.lock().is_empty());
    });
}

#[test]
fn paced_audio_comes_in_real_time() {
    act(|| async {
        let script = Script { words: vec!["two"], sentence_ms: 2_000, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", Delivery::Paced { frame_ms: 20, lead_ms: 100 }).await;
        let heard = |caller: &Caller| -> usize {
            let told = caller.told.lock();
            told.iter().map(|told| if let Told::Audio(samples) = told { *samples } else { 0 }).sum()
        };
        caller.say().await;
        let first = heard(&caller);
        caller.pause(500).await;
        let later = heard(&caller);
        assert!(first > 0 && first < 32_000, "{first} samples of the sentence came first");
        let gained_ms = (later - first) / 16;
        assert!((460..=540).contains(&gained_ms), "{gained_ms} ms came in 500 ms");
        caller.pause(2_000).await;
        assert_eq!(heard(&caller), 32_000);
    });
}

#[test]
fn a_caller_who_speaks_over_the_bot_interrupts_it() {
    act(|| async {
        let script = Script { words: vec!["one", "two"], sentence_ms: 4_000, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.say().await;
        assert_eq!(caller.count("interruption"), 1);
        assert_eq!(caller.sentences(), ["intent_one", "intent_two"], "the rest is not said");
    });
}

#[test]
fn a_prompt_that_may_not_be_interrupted_is_played_to_its_end() {
    act(|| async {
        let script = Script { words: vec!["one", "two"], sentence_ms: 3_000, ..Script::default() };
        let mut route = Route::default();
        route.turns.interruptible = false;
        let stage = Stage::new(script, route);
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.say().await;
        caller.pause(3_000).await;
        assert_eq!(caller.count("interruption"), 0);
        assert_eq!(caller.count("utterance_ignored"), 1);
        assert_eq!(caller.sentences(), ["intent_one", "intent_one"]);
    });
}

#[test]
fn a_caller_who_stops_sending_has_stopped_speaking() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.send(&super::stage::speech(), 20).await;
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
        assert_eq!(caller.sentences().first().map(String::as_str), Some("intent_one"));
    });
}

#[test]
fn chunks_of_any_size_are_understood_alike() {
    for piece_ms in [1, 7, 20, 100, 500, 2_000] {
        act(move || async move {
            let stage = Stage::new(Script::default(), Route::default());
            let caller = stage.call("a", SENTENCES).await;
            let mut audio = super::stage::speech();
            audio.extend(vec![0; 32_000]);
            caller.send(&audio, piece_ms).await;
            caller.pause(1_000).await;
            assert_eq!(caller.count("utterance_segmented"), 1, "in pieces of {piece_ms} ms");
            assert_eq!(caller.count("audio_dropped"), 0, "in pieces of {piece_ms} ms");
            assert_eq!(caller.sentences().first().map(String::as_str), Some("intent_one"));
        });
    }
}

#[test]
fn a_lost_connection_is_resumed_with_dialog_and_unheard_words() {
    act(|| async {
        let script = Script { words: vec!["one", "two"], sentence_ms: 3_000, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.say().await;
        assert_eq!(first.sentences(), ["intent_one"]);
        first.vanish();
        tokio::time::sleep(std::time::Duration::from_millis(2_000)).await;
        let second = stage.call("a", SENTENCES).await;
        assert!(second.resumed);
        second.pause(6_000).await;
        assert_eq!(second.count("media_resumed"), 1);
        assert_eq!(second.sentences(), ["intent_one", "intent_one"], "both, from the beginning");
        second.say().await;
        assert_eq!(stage.services.sessions.lock()[1]["last"], "one");
        assert_eq!(second.sentences().last().map(String::as_str), Some("intent_two"));
    });
}

#[test]
fn nobody_back_within_the_window_ends_the_call() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        first.vanish();
        tokio::time::sleep(std::time::Duration::from_millis(5_200)).await;
        assert_eq!(stage.switchboard.load().await.expect("it answers").calls, 0);
        let second = stage.call("a", SENTENCES).await;
        assert!(!second.resumed);
    });
}

#[test]
fn the_newest_connection_of_a_call_wins() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        let second = stage.call("a", SENTENCES).await;
        second.say().await;
        assert_eq!(first.told.lock().last(), Some(&Told::End("superseded".to_owned())));
        assert_eq!(second.sentences().first().map(String::as_str), Some("intent_one"));
        assert_eq!(stage.switchboard.load().await.expect("it answers").calls, 1);
    });
}

#[test]
fn whoever_dials_one_call_again_and_again_is_refused_and_the_call_goes_on() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        let mut refused = Vec::new();
        for _ in 0..3_000 {
            refused.extend(stage.switchboard.connect(request("a", SENTENCES)).await.err());
        }
        assert_eq!(refused.len(), 3_000 - 5);
        assert!(refused.iter().all(|reason| reason.as_str() == "resume_rate"));
        tokio::time::sleep(std::time::Duration::from_millis(1_000)).await;
        let back = stage.call("a", SENTENCES).await;
        assert!(back.resumed);
        back.say().await;
        assert_eq!(back.sentences().last().map(String::as_str), Some("intent_one"));
    });
}

#[test]
fn events_that_a_carrier_does_not_read_in_time_are_counted_and_it_is_told_when_it_reads() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let mut leg = stage.switchboard.connect(request("a", SENTENCES)).await.expect("admitted");
        let refuse = async |times: u32| {
            for _ in 0..times {
                leg.input.refused("bad_json");
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        refuse(60).await;
        let mut read = Vec::new();
        for more in [1, 0] {
            while let Some(Some(command)) = leg.output.next().now_or_never() {
                if let LegCommand::Event(event) = command {
                    read.push((event.sequence, event.kind.clone()));
                }
            }
            refuse(more).await;
        }
        let count = read.iter().find_map(|(_, kind)| match kind {
            CallEventKind::EventsLeftOut { count } => Some(*count),
            _ => None,
        });
        let last = read.last().expect("some were read").0;
        let missing = last - read.len() as u64;
        assert!(missing >= 20, "{missing} of {last}");
        assert_eq!(count.map(u64::from), Some(missing));
    });
}

#[test]
fn audio_that_nobody_heard_before_another_connection_took_over_is_counted() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        let _taken = first.input.samples(&[0; 16_000], 32_000);
        let second = stage.call("a", SENTENCES).await;
        second.pause(100).await;
        let dropped = |kind: &CallEventKind| match kind {
            CallEventKind::AudioDropped { samples } => *samples,
            _ => 0,
        };
        let lost: u64 = second.events.lock().iter().map(dropped).sum();
        assert!(lost > 8_000, "{lost} samples, of a second");
    });
}

#[test]
fn a_name_belongs_to_the_transport_that_began_the_call() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        let elsewhere = CallRequest { transport: "elsewhere", ..request("a", SENTENCES) };
        let other = Caller::new(stage.switchboard.connect(elsewhere).await.expect("another call"));
        assert!(!other.resumed && other.call_id != first.call_id);
        first.say().await;
        assert_eq!(first.sentences().first().map(String::as_str), Some("intent_one"));
        assert!(other.sentences().is_empty(), "and nobody else hears it");
        assert_eq!(stage.switchboard.load().await.expect("it answers").calls, 2);
    });
}

#[test]
fn a_call_without_a_name_is_resumed_by_the_engines_id_and_a_named_one_is_not() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let request = || request("any", SENTENCES);
        let nameless = CallRequest { carrier_call_id: None, ..request() };
        let connect = async |request| {
            Caller::new(stage.switchboard.connect(request).await.expect("it is admitted"))
        };
        let first = connect(nameless.clone()).await;
        assert_ne!(connect(nameless).await.call_id, first.call_id, "each is a call of its own");
        let by_id = |id: CallId| CallRequest { carrier_call_id: Some(id.into()), ..request() };
        let again = connect(by_id(first.call_id)).await;
        assert_eq!((again.resumed, again.call_id), (true, first.call_id));
        let named = connect(request()).await;
        assert!(!connect(by_id(named.call_id)).await.resumed, "who has a name goes by it");
    });
}

#[test]
fn whoever_may_not_take_a_call_over_waits_until_its_connection_is_lost() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        let polite = || CallRequest { takes_over: false, ..request("a", SENTENCES) };
        let refused = stage.switchboard.connect(polite()).await.err();
        assert_eq!(refused.map(|reason| reason.as_str()), Some("already_connected"));
        first.vanish();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(stage.switchboard.connect(polite()).await.expect("it is free").resumed);
    });
}

#[test]
fn the_platforms_session_lasts_as_long_as_the_call_and_is_not_its_id() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let first = stage.call("a", SENTENCES).await;
        first.say().await;
        let again = stage.call("a", SENTENCES).await;
        again.say().await;
        again.input.hang_up(EndCause::CallerHungUp);
        again.pause(100).await;
        let next = stage.call("a", SENTENCES).await;
        next.say().await;
        let sessions = stage.services.session_ids.lock().clone();
        assert_eq!(sessions.len(), 3);
        assert_eq!(sessions[0], sessions[1], "a call that resumes finds its dialog again");
        assert_ne!(sessions[1], sessions[2], "the next call of the same name does not");
        let ids = [first.call_id, next.call_id].map(|id| id.to_string());
        assert!(!ids.contains(&sessions[0].to_string()) && ids[0] != ids[1]);
    });
}

#[test]
fn a_refused_key_ends_the_call_with_the_fallback_and_without_a_retry() {
    act(|| async {
        let script = Script { reply: |_| Err(DialogFailure::Unauthorized), ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.pause(4_000).await;
        assert_eq!(stage.services.asked.lock().len(), 1);
        assert_eq!(caller.sentences(), ["fallback", "fallback"]);
        assert_eq!(caller.told.lock().last(), Some(&Told::End("dialog_unauthorized".to_owned())));
    });
}

#[test]
fn failing_turns_are_excused_and_too_many_end_the_call() {
    act(|| async {
        let script = Script { reply: |_| Err(DialogFailure::Unreachable), ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..3 {
            caller.say().await;
            caller.pause(3_000).await;
        }
        caller.pause(4_000).await;
        let said = caller.sentences();
        assert_eq!(said.iter().filter(|intent| *intent == "turn_failed").count(), 4);
        assert_eq!(said.iter().filter(|intent| *intent == "fallback").count(), 2);
        assert_eq!(caller.told.lock().last(), Some(&Told::End("turns_failed".to_owned())));
    });
}

#[test]
fn the_bot_may_end_the_call_once_everything_is_said() {
    act(|| async {
        let script = Script { reply: |_| Ok("Goodbye. Come again."), ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        caller.say().await;
        caller.pause(2_000).await;
        assert_eq!(caller.sentences().len(), 2);
        assert_eq!(caller.told.lock().last(), Some(&Told::End("dialog_ended".to_owned())));
    });
}

#[test]
fn a_caller_who_cannot_be_taken_is_told_so() {
    act(|| async {
        let stage = Stage::new(Script::default(), Route::default());
        let mut callers = Vec::new();
        for n in 0..10 {
            callers.push(stage.call(&format!("call-{n}"), SENTENCES).await);
        }
        let request = request("one-too-many", SENTENCES);
        let refused = stage.switchboard.connect(request).await.err().map(|r| r.as_str());
        assert_eq!(refused, Some("full"));
    });
}
