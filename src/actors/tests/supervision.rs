//! A panic in any child, at any point it passes, leaves the conversation as it was.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::stage::{Script, Stage, Told, act};
use crate::actors::link::Delivery;
use crate::actors::sabotage::{Plan, plant, seen};
use crate::types::{ChildKind, Route};

const SENTENCES: Delivery = Delivery::WholeSentences;

/// A call of three turns, with an interruption in it. Returns what the caller heard,
/// what the platform was asked, and how many children were restarted.
fn run(
    plans: Vec<Plan>,
) -> (Vec<String>, Vec<String>, usize, BTreeMap<(ChildKind, &'static str), u32>) {
    let result = Arc::new(Mutex::new(None));
    let out = Arc::clone(&result);
    act(move || async move {
        plant(plans);
        let stage =
            Stage::new(Script { sentence_ms: 1_500, ..Script::default() }, Route::default());
        let caller = stage.call("a", SENTENCES).await;
        for _ in 0..3 {
            caller.say().await;
        }
        caller.pause(2_000).await;
        let asked = stage.services.asked.lock().clone();
        *out.lock() = Some((caller.sentences(), asked, caller.count("child_restarted"), seen()));
        plant(Vec::new());
    });
    let result = result.lock().take();
    result.expect("the test ran to its end")
}

#[test]
fn a_panic_at_any_point_of_any_child_changes_nothing_that_is_said() {
    let (heard, asked, restarted, points) = run(Vec::new());
    assert_eq!(restarted, 0);
    assert_eq!(asked, ["one", "two", "three"]);
    assert_eq!(
        points.keys().map(|(child, _)| child).collect::<std::collections::BTreeSet<_>>().len(),
        5
    );
    for ((child, point), times) in points {
        // The first time, the last time, and some in between.
        for nth in [1, 2, times / 3, times / 2, times] {
            if nth == 0 || nth > times {
                continue;
            }
            let plan = Plan { child, point, nth };
            let (heard_then, asked_then, restarted, _) = run(vec![plan.clone()]);
            assert_eq!(restarted, 1, "{plan:?}");
            assert_eq!(asked_then, asked, "no turn is lost or asked twice: {plan:?}");
            assert_eq!(heard_then, heard, "{plan:?}");
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
