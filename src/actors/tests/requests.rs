//! What a call has open at its services.

use std::sync::Arc;
use std::time::Duration;

use super::stage::{Caller, Script, Stage, act, speech};
use crate::actors::link::Delivery;
use crate::types::{EndCause, Route};

const PACED: Delivery = Delivery::Paced { frame_ms: 20, lead_ms: 100 };

/// Requests open at the recogniser and at the synthesiser.
fn open(stage: &Stage) -> (usize, usize) {
    let count = |held: &Arc<()>| Arc::strong_count(held) - 1;
    (count(&stage.services.transcribing), count(&stage.services.synthesizing))
}

/// Says something and is silent; returns the most that was open at a time.
async fn say(stage: &Stage, caller: &Caller) -> (usize, usize) {
    let mut samples = speech();
    samples.extend(vec![0; 16_000]);
    let mut most = (0, 0);
    for piece in samples.chunks(320) {
        caller.send(piece, 20).await;
        let (stt, tts) = open(stage);
        most = (most.0.max(stt), most.1.max(tts));
    }
    most
}

async fn hang_up(caller: &Caller) {
    caller.input.hang_up(EndCause::CallerHungUp);
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[test]
fn sentences_that_were_interrupted_are_made_no_further() {
    act(|| async {
        let script = Script {
            words: vec!["one", "two", "three", "four", "five"],
            reply: |_| Ok("Heard. Never made. Never made either. Never begun."),
            sentence_ms: 4_000,
            ..Script::default()
        };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", PACED).await;
        for _ in 0..5 {
            let (_, most) = say(&stage, &caller).await;
            assert!(most <= 2, "{most} sentences are being made");
        }
        assert_eq!(caller.count("interruption"), 4);
        assert_eq!(open(&stage).1, 2);
        hang_up(&caller).await;
        assert_eq!(open(&stage), (0, 0));
    });
}

#[test]
fn utterances_that_nobody_waits_for_are_recognised_no_further() {
    for follows_speech in [false, true] {
        act(move || async move {
            let script = Script { stt_ms: 3_600_000, follows_speech, ..Script::default() };
            let mut route = Route::default();
            route.turns.stt_ms_max = 3_000;
            route.turns.failures_max = 100;
            let stage = Stage::new(script, route);
            let caller = stage.call("a", PACED).await;
            for _ in 0..6 {
                let (most, _) = say(&stage, &caller).await;
                assert!(most <= 2, "{most} utterances are being recognised");
            }
            say(&stage, &caller).await;
            assert!(open(&stage).0 > 0, "the last one is waited for");
            hang_up(&caller).await;
            assert_eq!(open(&stage), (0, 0));
        });
    }
}

#[test]
fn a_long_reply_that_is_interrupted_at_once_falls_silent() {
    // The reply comes when the caller has just begun to speak over what the bot says.
    for dialog_ms in (2_000..2_400).step_by(20) {
        act(move || async move {
            let script = Script {
                words: vec!["one", "two", "three"],
                reply: |text| match text {
                    "one" => Ok("Long. Longer."),
                    _ => Ok("A. B. C. D. E. F. G. H. I. J. K. L. M. N. O. P. Q. R. S. T. U. V."),
                },
                dialog_ms,
                sentence_ms: 6_000,
                ..Script::default()
            };
            let stage = Stage::new(script, Route::default());
            let caller = stage.call("a", PACED).await;
            caller.say().await;
            caller.send(&speech(), 20).await;
            caller.pause(2_600).await;
            caller.send(&speech(), 20).await;
            assert_eq!(caller.count("interruption"), 1, "a dialog of {dialog_ms} ms");
        });
    }
}
