//! Whose speech it is: the caller's, the bot's echo, or somebody's behind the caller. The
//! goals of `docs/vad.md` on a sample; `make gates-table` measures all of it.

use crate::track::Track;
use crate::track::line::{
    Found, Line, Scene, gates_open, interruptions, only_the_bot, people, people_over_the_bot,
    percentile, replies, stopped_replies, talker, talker_behind, whole,
};
use antiphon::types::{INNER_RATE, ListeningSettings};

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

/// A call in which the caller spoke at these levels, is asked something, and answers at another
/// one for 4 s, beginning so long after the bot ended. Tells when that was, and the call.
fn answers(before_db: &[f64], after_ms: u32, db: f64) -> (usize, Scene) {
    let mut scene = Scene::default();
    for (person, db) in people().iter().zip(before_db) {
        scene.pause_ms(1_500);
        scene.say(person, *db);
    }
    scene.pause_ms(1_500);
    scene.reply(&replies()[0]);
    let asked = scene.samples();
    scene.pause_ms(after_ms);
    scene.say(&talker("librivox_0870.wav", INNER_RATE.samples_in_ms(4_000)), db);
    scene.pause_ms(1_000);
    (asked, scene)
}

/// How many milliseconds after this the caller was heard to begin.
fn begun_ms(found: &Found, after: usize) -> Option<u32> {
    let first = found.started.iter().find(|at| **at > after)?;
    Some(INNER_RATE.ms_of_samples((first - after) as u64) as u32)
}

#[test]
fn whoever_answers_much_more_quietly_than_before_is_heard_within_two_seconds() {
    for db in [-18.0, -24.0, -30.0] {
        for after_ms in [0, 600] {
            let (asked, scene) = answers(&[0.0, 0.0, 0.0], after_ms, db);
            let found = scene.heard_by(&ListeningSettings::default(), Line::CLEAR);
            let begun = begun_ms(&found, asked).expect("they are heard");
            assert!(begun <= 2_000, "{db} dB after {after_ms} ms: {begun} ms");
        }
    }
}

#[test]
fn whoever_is_quiet_from_the_beginning_is_heard_as_soon_as_anybody() {
    for db in [-12.0, -30.0] {
        for after_ms in [0, 600] {
            let (asked, scene) = answers(&[], after_ms, db);
            let [begun, before] = [ListeningSettings::default(), gates_open()].map(|settings| {
                begun_ms(&scene.heard_by(&settings, Line::CLEAR), asked).expect("they are heard")
            });
            // What is not noticed sooner is in what is kept from before.
            let late_ms_max = ListeningSettings::default().pre_roll_ms;
            assert!(
                begun <= before + late_ms_max,
                "{db} dB after {after_ms} ms: {begun}, {before}"
            );
        }
    }
}

#[test]
fn whoever_is_known_to_be_quiet_interrupts_and_their_echo_does_not() {
    let scene = people_over_the_bot(&some(people()), &replies(), -30.0);
    let heard = decided(&scene, &ListeningSettings::default(), Line::CLEAR).len();
    assert!(heard * 3 >= scene.spoken.len() * 2, "{heard} of {}", scene.spoken.len());

    let (asked, mut scene) = answers(&[-30.0, -30.0], 0, -100.0);
    for reply in replies().iter().step_by(4) {
        scene.pause_ms(1_500);
        scene.reply(reply);
    }
    scene.pause_ms(2_000);
    for line in [echo(20.0, 60, true), echo(30.0, 300, false), echo(40.0, 500, true)] {
        let found = scene.heard_by(&ListeningSettings::default(), line);
        assert_eq!(begun_ms(&found, asked), None, "{line:?}");
    }
}
