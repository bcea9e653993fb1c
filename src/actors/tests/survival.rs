//! What a panic outside of the children costs: a supervisor its call, which ends once; the
//! driver and the registry nothing.

use std::time::Duration;

use super::stage::{Caller, Script, Stage, Told, act, request};
use crate::actors::MediaThreads;
use crate::actors::link::{CallRequest, Delivery};
use crate::sabotage::{plant, plant_at};
use crate::types::{CallEventKind, Route};

const SENTENCES: Delivery = Delivery::WholeSentences;

fn stage() -> Stage {
    Stage::new(Script { words: vec!["two"; 16], ..Script::default() }, Route::default())
}

/// Two calls at once of two utterances each.
async fn two_calls(stage: &Stage) -> [Caller; 2] {
    let callers = [stage.call("a", SENTENCES).await, stage.call("b", SENTENCES).await];
    let talk = async |caller: &Caller| {
        for _ in 0..2 {
            caller.say().await;
            caller.pause(1_000).await;
        }
    };
    tokio::join!(talk(&callers[0]), talk(&callers[1]));
    callers
}

/// That one of the calls has ended, once, with everybody told, and the other has not noticed.
async fn one_ended_and_the_other_did_not(stage: &Stage, callers: &[Caller; 2], planted: &str) {
    let ended = |caller: &Caller| caller.count("call_ended");
    let [one, other] = callers;
    assert_eq!(ended(one) + ended(other), 1, "{planted}");
    let (dead, alive) = if ended(one) == 1 { (one, other) } else { (other, one) };
    let last = dead.events.lock().last().map(CallEventKind::name);
    assert_eq!(last, Some("call_ended"), "{planted}: nothing follows");
    let end = Told::End("supervisor_failed".to_owned());
    assert_eq!(dead.told.lock().last(), Some(&end), "{planted}");
    assert_eq!(alive.count("turn_answered"), 2, "{planted}");
    assert_eq!(alive.count("child_restarted"), 0, "{planted}");
    assert_eq!(stage.switchboard.load().await.expect("it answers").calls, 1, "{planted}");
    assert_eq!(stage.telemetry.calls_active(), 1, "{planted}");
}

#[test]
fn a_supervisor_that_panics_ends_its_call_once_and_no_other() {
    for point in ["supervisor.new", "supervisor.drive", "supervisor.report", "supervisor.output"] {
        for nth in [1, 2, 9, 30] {
            if point == "supervisor.new" && nth > 2 {
                continue;
            }
            act(move || async move {
                plant_at(point, nth);
                let stage = stage();
                let callers = two_calls(&stage).await;
                one_ended_and_the_other_did_not(&stage, &callers, &format!("{point} {nth}")).await;
                plant(Vec::new());
            });
        }
    }
}

#[test]
fn the_name_of_a_call_whose_supervisor_panicked_is_free_for_the_next() {
    act(|| async {
        let stage = stage();
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        plant_at("supervisor.drive", 1);
        first.say().await;
        let second = stage.call("a", SENTENCES).await;
        second.say().await;
        assert!(!second.resumed);
        assert_eq!(second.count("turn_answered"), 1);
        plant(Vec::new());
    });
}

#[test]
fn a_driver_that_panics_goes_on_and_nobody_notices() {
    for point in ["driver.tick", "driver.visit", "driver.look"] {
        act(move || async move {
            (1..200).step_by(3).for_each(|nth| plant_at(point, nth));
            let stage = stage();
            for caller in two_calls(&stage).await {
                assert_eq!(caller.count("turn_answered"), 2, "{point}");
                assert_eq!(caller.count("call_ended"), 0, "{point}");
                assert_eq!(caller.count("audio_dropped"), 0, "{point}");
            }
            plant(Vec::new());
        });
    }
}

#[test]
fn a_call_that_the_driver_cannot_look_after_ends_and_no_other() {
    for nth in [1, 50, 101] {
        act(move || async move {
            plant_at("driver.call", nth);
            let stage = stage();
            let callers = two_calls(&stage).await;
            one_ended_and_the_other_did_not(&stage, &callers, &format!("driver.call {nth}")).await;
            plant(Vec::new());
        });
    }
}

#[test]
fn a_registry_that_panics_refuses_one_caller_and_knows_the_calls_as_before() {
    act(|| async {
        let stage = stage();
        let first = stage.call("a", SENTENCES).await;
        first.pause(100).await;
        plant_at("registry.connect", 1);
        let refused = stage.switchboard.connect(request("b", SENTENCES)).await.err();
        assert_eq!(refused.map(|reason| reason.as_str()), Some("internal"));
        let polite = CallRequest { takes_over: false, ..request("a", SENTENCES) };
        let known = stage.switchboard.connect(polite).await.err();
        assert_eq!(known.map(|reason| reason.as_str()), Some("already_connected"));
        first.say().await;
        assert_eq!(first.count("turn_answered"), 1);
        assert!(!stage.call("b", SENTENCES).await.resumed);
        plant(Vec::new());
    });
}

#[test]
fn a_registry_that_panics_while_it_drains_drains() {
    act(|| async {
        let stage = stage();
        let caller = stage.call("a", SENTENCES).await;
        caller.pause(100).await;
        plant_at("registry.drain", 1);
        plant_at("registry.over", 1);
        assert_eq!(stage.switchboard.drain(true).await, 1);
        caller.pause(100).await;
        assert_eq!(caller.told.lock().last(), Some(&Told::End("drained".to_owned())));
        let load = stage.switchboard.load().await.expect("it answers");
        assert_eq!((load.calls, load.draining), (0, true), "the call is not waited for");
        plant(Vec::new());
    });
}

#[test]
fn calls_that_are_cut_off_with_their_thread_have_ended_too() {
    actix_rt::System::new().block_on(async {
        let stage = Stage::on(Script::default(), Route::default(), |clock, limits, telemetry| {
            MediaThreads::start(1, clock, 10, limits, telemetry)
        });
        let caller = stage.call("a", SENTENCES).await;
        let until = async |is_so: &dyn Fn() -> bool| {
            let waiting = async {
                while !is_so() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("it is told");
        };
        until(&|| caller.count("call_started") == 1).await;
        stage.switchboard.stop().await;
        until(&|| matches!(caller.told.lock().last(), Some(Told::End(_)))).await;
        assert_eq!(caller.told.lock().last(), Some(&Told::End("drained".to_owned())));
        assert_eq!(caller.count("call_ended"), 1);
        assert_eq!(stage.telemetry.calls_active(), 0);
    });
}
