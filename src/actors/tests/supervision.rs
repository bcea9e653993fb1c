//! A panic in any child, at any point it passes, leaves the conversation as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;

use super::stage::{Script, Stage, Streaming, Told, act, sound_at};
use crate::actors::link::Delivery;
use crate::sabotage::{Plan, plant, seen};
use crate::types::{ChildKind, Route};

const SENTENCES: Delivery = Delivery::WholeSentences;

/// What came of a call.
struct Outcome {
    /// The intents of the sentences the caller heard.
    heard: Vec<String>,
    /// What the platform was asked.
    asked: Vec<String>,
    /// How many children were restarted.
    restarted: usize,
    /// Every sample the caller heard.
    audio: Vec<i16>,
    /// How many sentences were asked for.
    spoken: u32,
    /// Sentences that are still made when it is over.
    growing: usize,
    /// How often each point of each child was passed.
    points: BTreeMap<(ChildKind, &'static str), u32>,
}

/// A call of three turns, with an interruption in it.
fn run(follows_speech: bool, plans: Vec<Plan>) -> Outcome {
    let script = Script { sentence_ms: 1_500, follows_speech, ..Script::default() };
    run_with(plans, script, SENTENCES, 0)
}

/// Three turns; the caller listens for `listening_ms` after each.
fn run_with(plans: Vec<Plan>, script: Script, delivery: Delivery, listening_ms: u32) -> Outcome {
    let result = Arc::new(Mutex::new(None));
    let out = Arc::clone(&result);
    act(move || async move {
        plant(plans);
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", delivery).await;
        for _ in 0..3 {
            caller.say().await;
            caller.pause(listening_ms).await;
        }
        caller.pause(2_000).await;
        let services = &stage.services;
        *out.lock() = Some(Outcome {
            heard: caller.sentences(),
            asked: services.asked.lock().clone(),
            restarted: caller.count("child_restarted"),
            audio: caller.audio.lock().clone(),
            spoken: services.sentences.load(Ordering::Relaxed),
            growing: Arc::strong_count(&services.streams) - 1,
            points: seen(),
        });
        plant(Vec::new());
    });
    let result = result.lock().take();
    result.expect("the test ran to its end")
}

/// Runs a call again and again, each time with a panic at another point that it passes:
/// the first time, the last time, and some in between.
fn disturb(
    undisturbed: &Outcome,
    chosen: impl Fn(ChildKind) -> bool,
    run: impl Fn(Vec<Plan>) -> Outcome,
    mut check: impl FnMut(&Plan, &Outcome),
) {
    for (&(child, point), &times) in &undisturbed.points {
        for nth in BTreeSet::from([1, 2, times / 3, times / 2, times]) {
            if nth == 0 || nth > times || !chosen(child) {
                continue;
            }
            let plan = Plan { child, point, nth };
            let disturbed = run(vec![plan.clone()]);
            assert_eq!(disturbed.restarted, 1, "{plan:?}");
            assert_eq!(disturbed.asked, undisturbed.asked, "lost or asked twice: {plan:?}");
            check(&plan, &disturbed);
        }
    }
}

#[test]
fn a_panic_at_any_point_of_any_child_changes_nothing_that_is_said() {
    panic_everywhere(false);
}

#[test]
fn nor_does_it_where_the_recogniser_listens_while_the_caller_speaks() {
    panic_everywhere(true);
}

fn panic_everywhere(follows_speech: bool) {
    let undisturbed = run(follows_speech, Vec::new());
    assert_eq!(undisturbed.restarted, 0);
    assert_eq!(undisturbed.asked, ["one", "two", "three"]);
    let children: BTreeSet<ChildKind> =
        undisturbed.points.keys().map(|&(child, _)| child).collect();
    assert_eq!(children.len(), ChildKind::ALL.len(), "every child passes a point");
    disturb(
        &undisturbed,
        |_| true,
        |plans| run(follows_speech, plans),
        |plan, disturbed| {
            assert_eq!(disturbed.heard, undisturbed.heard, "{plan:?}");
        },
    );
}

#[test]
fn a_panic_while_a_sentence_grows_loses_no_sample_and_asks_for_none_twice() {
    let paced = Delivery::Paced { frame_ms: 20, lead_ms: 100 };
    for delivery in [SENTENCES, paced] {
        for every_ms in [10, 80] {
            let run = |plans| {
                let streaming = Some(Streaming { every_ms, ..Streaming::default() });
                let script = Script { sentence_ms: 1_500, streaming, ..Script::default() };
                run_with(plans, script, delivery, 4_000)
            };
            let undisturbed = run(Vec::new());
            let expected: Vec<i16> = (0..4).flat_map(|_| (0..24_000).map(sound_at)).collect();
            assert!(undisturbed.audio == expected, "four sentences of 1.5 s");
            assert!(undisturbed.points[&(ChildKind::Tts, "piece")] >= 4 * 14);
            disturb(
                &undisturbed,
                |child| child == ChildKind::Tts,
                run,
                |plan, disturbed| {
                    assert!(disturbed.audio == expected, "lost, repeated or swapped: {plan:?}");
                    assert_eq!(disturbed.spoken, 4, "{plan:?}");
                    assert_eq!(disturbed.growing, 0, "{plan:?}");
                },
            );
        }
    }
}

#[test]
fn a_child_that_dies_again_and_again_ends_the_call_with_the_fallback() {
    for child in [ChildKind::Ingest, ChildKind::Vad, ChildKind::Stt, ChildKind::Dialog] {
        act(move || async move {
            plant((1..=8).map(|nth| Plan { child, point: "drive", nth }).collect());
            let stage = Stage::new(Script::default(), Route::default());
            let caller = stage.call("a", SENTENCES).await;
            caller.pause(3_000).await;
            assert_eq!(caller.count("child_restarted"), 3, "{child:?}");
            assert_eq!(caller.count("restart_limit_reached"), 1, "{child:?}");
            assert_eq!(caller.sentences(), ["fallback", "fallback"], "{child:?}");
            assert_eq!(caller.told.lock().last(), Some(&Told::End("restart_limit".to_owned())));
            plant(Vec::new());
        });
    }
}
