//! Whose speech it is: the caller's, the bot's echo, or somebody's behind the caller. The
//! goals of `docs/vad.md` on a sample; `make gates-table` measures all of it.

use crate::track::Track;
use crate::track::line::{
    Line, Scene, gates_open, interruptions, only_the_bot, people, people_over_the_bot, percentile,
    replies, stopped_replies, talker_behind, whole,
};
use antiphon::types::ListeningSettings;

/// From somebody's first sound to the decision, in milliseconds: the flush follows within 30.
const DECIDED_MS_MAX: u32 = 570;

/// Of the detector.
const TWO_WINDOWS_MS: u32 = 64;

fn echo(loss_db: f64, delay_ms: u32, is_telephone: bool) -> Line {
    Line { loss_db: Some(loss_db), delay_ms, room: 11, is_telephone }
}

/// Every other one: without optimisation all of them take their time.
fn some(people: Vec<Vec<i16>>) -> Vec<Vec<i16>> {
    people.into_iter().step_by(2).collect()
}

#[test]
fn no_echo_of_the_bot_is_speech() {
    let replies: Vec<_> = replies().into_iter().step_by(4).collect();
    let scene = only_the_bot(&replies);
    let lines = [
        echo(12.0, 20, false),
        echo(12.0, 150, true),
        echo(12.0, 500, false),
        echo(20.0, 60, true),
        echo(20.0, 300, false),
        echo(30.0, 500, true),
        echo(40.0, 40, false),
    ];
    for line in lines {
        let found = scene.heard_by(&ListeningSettings::default(), line);
        assert!(found.started.is_empty(), "{line:?}: {found:?}");
    }
    let found = scene.heard_by(&gates_open(), lines[1]);
    assert!(stopped_replies(&scene, &found) >= 2, "there is something to tell");
}

#[test]
fn whoever_speaks_over_the_echo_is_heard_soon() {
    let scene = people_over_the_bot(&some(people()), &replies(), 0.0);
    for line in [echo(20.0, 40, false), echo(20.0, 150, true), echo(20.0, 400, false)] {
        let mut decided = decided(&scene, &ListeningSettings::default(), line);
        assert!(decided.len() * 100 >= scene.spoken.len() * 95, "{line:?}: {decided:?}");
        let p95 = percentile(&mut decided, 95);
        assert!(p95 <= DECIDED_MS_MAX, "{line:?}: {p95} ms of {decided:?}");
    }
}

#[test]
fn without_an_echo_nobody_is_heard_worse() {
    let scene = people_over_the_bot(&some(people()), &replies(), 0.0);
    let mut before = decided(&scene, &gates_open(), Line::CLEAR);
    let mut decided = decided(&scene, &ListeningSettings::default(), Line::CLEAR);
    assert_eq!(decided.len(), before.len());
    let (p50, before) = (percentile(&mut decided, 50), percentile(&mut before, 50));
    assert!(p50 <= before + TWO_WINDOWS_MS, "{p50} ms, {before} ms without the gates");
}

fn decided(scene: &Scene, settings: &ListeningSettings, line: Line) -> Vec<u32> {
    interruptions(scene, &scene.heard_by(settings, line)).into_iter().flatten().collect()
}

#[test]
fn somebody_who_talks_behind_the_caller_stops_hardly_any_reply() {
    let (mut stopped, mut replies_of_all) = (0, 0);
    for talker in ["jfk.wav", "forever_4.wav", "generated_01.wav"] {
        let scene = talker_behind(&some(people()), &replies(), talker, -15.0);
        stopped +=
            stopped_replies(&scene, &scene.heard_by(&ListeningSettings::default(), Line::CLEAR));
        replies_of_all += scene.replies.len();
        let before = stopped_replies(&scene, &scene.heard_by(&gates_open(), Line::CLEAR));
        assert!(before * 2 > scene.replies.len(), "{talker}: there is something to tell");
    }
    assert!(stopped * 100 <= replies_of_all * 5, "{stopped} of {replies_of_all}");
}

#[test]
fn the_level_gate_loses_no_utterance_of_a_caller() {
    let track = Track::clean();
    for (name, lost_max, gain_db) in [
        ("as loud as ever", 0, track.gains_db(0.0)),
        ("12 dB quieter", 0, vec![-12.0; track.labels.len()]),
        ("6 dB louder and quieter", 1, track.gains_db(6.0)),
    ] {
        let call = track.at_gains_db(&gain_db);
        let before = whole(&call, &gates_open());
        let found = whole(&call, &ListeningSettings::default());
        assert!(found + lost_max >= before, "{name}: {found}, {before} without the gates");
    }
}

#[test]
fn an_utterance_is_over_although_somebody_talks_on() {
    let call = Track::clean().with_talker("librivox_0870.wav", -15.0);
    let before = whole(&call, &gates_open());
    let found = whole(&call, &ListeningSettings::default());
    assert!(before < 10 && found >= 33, "{before}, {found}");
}
