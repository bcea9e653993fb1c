//! A hundred callers at once, in real time, on one engine: everybody is answered,
//! nobody's audio is dropped, and nothing is left of them afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::support::{Engine, HANG_GUARD, Setup, eventually, sandbox, speech};
use antiphon::load::{CallEnd, CallPlan, CallerSettings, place_call};
use antiphon::types::INNER_RATE;
use futures_util::future::join_all;

const CALLS: usize = 100;
const TURNS: usize = 2;

#[tokio::test]
async fn a_hundred_simultaneous_calls_are_answered_and_leave_nothing_behind() {
    let sandbox = sandbox();
    // A machine that runs other programs too may let the callers stall: what they
    // send then comes late and all at once, and a stall in mid-utterance makes two of
    // one. This is about what the engine loses, so it may take its time, and whoever
    // goes on talking does not cut off an answer.
    let engine = Setup::with(&sandbox)
        .key("ROUTE__LISTENING__BURST_MS_MAX", "30000")
        .key("ROUTE__TURNS__INTERRUPTIBLE", "false")
        .start()
        .await;
    call(&engine.simulator).await;
    engine.becomes_empty().await;
    let (series, held) = (series(&engine).await, engine.holdings());

    let calls = join_all((0..CALLS).map(|_| call(&engine.simulator)));
    tokio::time::timeout(3 * HANG_GUARD, calls).await.expect("all calls end");

    engine.becomes_empty().await;
    for lossless in [
        "antiphon_audio_dropped_samples_total",
        "antiphon_audio_missing_samples_total",
        "antiphon_inputs_refused_total",
        "antiphon_child_restarts_total",
        "antiphon_stale_messages_total",
        "antiphon_media_losses_total",
        "antiphon_events_dropped_total",
        "antiphon_dialog_requests_in_flight",
        "antiphon_dialog_requests_waiting",
    ] {
        assert_eq!(engine.metric(lossless).await, 0.0, "{lossless}");
    }
    assert_eq!(engine.metric("antiphon_calls_started_total").await, (CALLS + 1) as f64);
    let more: BTreeSet<_> = self::series(&engine).await.difference(&series).cloned().collect();
    assert_eq!(more, BTreeSet::new(), "no call has a time series of its own");
    eventually("the sockets of the calls are closed", async || {
        (engine.holdings().sockets <= held.sockets + SPARE_SOCKETS).then_some(())
    })
    .await;
    assert_eq!(engine.holdings().threads, held.threads, "no thread belongs to a call");

    let setup = engine.setup.clone();
    engine.stop().await.assert_code(0);
    let events = setup.events();
    let count = |name| events.iter().filter(|event| event["event_type"] == name).count();
    assert_eq!(count("call_ended"), CALLS + 1);
    assert!(count("turn_answered") >= (CALLS + 1) * TURNS);
    assert_eq!(count("turn_answered"), count("transcribed"), "every turn is answered");
}

/// Connections to the platforms that are kept for the next request.
const SPARE_SOCKETS: usize = 32;

/// Places a call in which everything that is said is answered.
async fn call(simulator: &str) {
    let utterance: Arc<[i16]> = speech().into();
    let plan = CallPlan {
        url: simulator.to_owned(),
        call_id: None,
        settings: CallerSettings { answer_ms_max: 60_000, ..CallerSettings::new(INNER_RATE) },
        utterances: vec![utterance; TURNS].into(),
    };
    let outcome = place_call(&plan, &mut |_| {}).await.expect("the call comes to its end");
    assert_eq!((outcome.end, outcome.unanswered), (CallEnd::CallerHungUp, 0));
}

/// Every time series, without its value.
async fn series(engine: &Engine) -> BTreeSet<String> {
    let metrics = engine.metrics().await;
    let lines = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}
