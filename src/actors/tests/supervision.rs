//! A panic in any child, at any point it passes, leaves the conversation as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use parking_lot::Mutex;

use super::stage::{Script, Stage, Told, act};
use crate::actors::link::Delivery;
use crate::actors::sabotage::{Plan, plant, seen};
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
    /// How often each point of each child was passed.
    points: BTreeMap<(ChildKind, &'static str), u32>,
}

/// A call of three turns, with an interruption in it.
fn run(follows_speech: bool, plans: Vec<Plan>) -> Outcome {
    let result = Arc::new(Mutex::new(None));
    let out = Arc::clone(&result);
    act(move || async move {
        plant(plans);
        let script = Script { sentence_ms: 1_500, follows_speech, ..Script::default() };
        let stage = Stage::new(script, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..3 {
            caller.say().await;
        }
        caller.pause(2_000).await;
        let asked = stage.services.asked.lock().clone();
        *out.lock() = Some(Outcome {
            heard: caller.sentences(),
            asked,
            restarted: caller.count("child_restarted"),
            points: seen(),
        });
        plant(Vec::new());
    });
    let result = result.lock().take();
    result.expect("the test ran to its end")
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
    for (&(child, point), &times) in &undisturbed.points {
        // The first time, the last time, and some in between.
        for nth in BTreeSet::from([1, 2, times / 3, times / 2, times]) {
            if nth == 0 || nth > times {
                continue;
            }
            let plan = Plan { child, point, nth };
            let disturbed = run(follows_speech, vec![plan.clone()]);
            assert_eq!(disturbed.restarted, 1, "{plan:?}");
            assert_eq!(disturbed.asked, undisturbed.asked, "lost or asked twice: {plan:?}");
            assert_eq!(disturbed.heard, undisturbed.heard, "{plan:?}");
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
