//! A talker against an engine made of nothing: audio in, audio out, in virtual time.

use super::caller::CallerSettings;
use super::pattern::{SpanMs, TalkPattern};
use super::talker::{Speech, Talker, TalkerSettings};
use super::tally::Tally;
use crate::media::coded::{CodedText, Flaw};
use crate::types::{INNER_RATE, Now};

const MS: u64 = 1_000_000;
/// Samples of a frame.
const FRAME: usize = 320;
/// The silence after which the engine of these tests answers.
const HANGOVER_MS: usize = 200;

fn settings(interrupt: f64) -> TalkerSettings {
    let span = |min, max| SpanMs::new(min, max).expect("a span");
    TalkerSettings {
        caller: CallerSettings { has_line_noise: true, ..CallerSettings::new(INNER_RATE) },
        pattern: TalkPattern {
            speech_ms: span(700, 1_500),
            pause_ms: span(300, 500),
            interrupt,
            interrupt_after_ms: span(400, 600),
        },
        speech: Speech::Coded,
        seed: 1,
    }
}

/// What may be done to a reply frame on its way: its number within the reply and its
/// samples go in, frames come out.
type Saboteur = fn(usize, &[i16]) -> Vec<Vec<i16>>;

fn whole(_: usize, frame: &[i16]) -> Vec<Vec<i16>> {
    vec![frame.to_vec()]
}

/// Ten seconds of a call over a wire that `sabotage` sits on.
fn call(settings: &TalkerSettings, sabotage: Saboteur) -> Tally {
    let (mut talker, mut tally) = (Talker::new(7, settings, Now(0)), Tally::new(1_000));
    let (mut said, mut quiet_ms, mut samples) = (Vec::new(), 0, Vec::new());
    let mut reply: Vec<Vec<i16>> = Vec::new();
    for frame in 1..=500_u64 {
        let now = Now(frame * 20 * MS);
        while talker.poll_chunk(now, &mut samples, &mut tally).is_some() {
            let speaks = samples.iter().any(|sample| sample.unsigned_abs() > 500);
            quiet_ms = if speaks { 0 } else { quiet_ms + 20 };
            if speaks && !reply.is_empty() {
                reply.clear();
                talker.handle_flush(now, &mut tally);
            }
            said.extend_from_slice(&samples);
        }
        if quiet_ms == HANGOVER_MS
            && let Some(text) = CodedText::read(&said)
        {
            said.clear();
            let frames = text.speak(4);
            let numbered = frames.chunks(FRAME).enumerate();
            reply = numbered.flat_map(|(number, frame)| sabotage(number, frame)).collect();
            reply.reverse();
        }
        if let Some(audio) = reply.pop() {
            talker.handle_audio(now, &audio, &mut tally);
            if reply.is_empty() {
                talker.handle_bot_finished();
            }
        }
    }
    talker.end(&mut tally);
    tally
}

#[test]
fn a_wire_that_harms_nothing_gives_intact_turns_and_the_time_they_took() {
    let tally = call(&settings(0.0), whole);
    assert!(tally.turns.intact >= 2, "{:?}", tally.turns);
    assert_eq!((tally.turns.intact, tally.turns.flawed), (tally.turns.said, 0));
    assert_eq!(tally.codes.to_caller.worst(), None);
    assert_eq!(tally.codes.to_engine, [0; Flaw::ALL.len()]);
    let p50 = tally.latencies.response.percentile_ms(50.0).expect("answers");
    assert!((200.0..=245.0).contains(&p50), "the hangover is part of it: {p50}");
    assert_eq!((tally.late.count(), tally.heard > 100), (0, true));
}

#[test]
fn an_interrupted_answer_is_no_flaw() {
    let tally = call(&settings(1.0), whole);
    assert!(tally.turns.interruptions >= 2, "{:?}", tally.turns);
    assert_eq!((tally.turns.flawed, tally.turns.unanswered), (0, 0));
    assert_eq!(tally.codes.to_caller.worst(), None, "{:?}", tally.codes);
}

#[test]
fn whatever_happens_to_a_reply_on_its_way_is_seen() {
    let worst = |sabotage: Saboteur| {
        let tally = call(&settings(0.0), sabotage);
        assert_eq!(tally.turns.intact, 0, "no turn passes for intact");
        assert!(tally.turns.flawed > 0);
        tally.codes
    };
    let lost = worst(|number, frame| if number == 30 { vec![] } else { whole(number, frame) });
    assert_eq!(lost.to_caller.worst(), Some(Flaw::Lost));
    let twice = worst(|number, frame| vec![frame.to_vec(); 1 + usize::from(number == 30)]);
    assert_eq!(twice.to_caller.worst(), Some(Flaw::Repeated));
    let silenced = worst(
        |number, frame| if number == 30 { vec![vec![0; FRAME]] } else { whole(number, frame) },
    );
    assert_eq!(silenced.to_caller.worst(), Some(Flaw::Damaged));
    let foreign = worst(|number, frame| {
        let other = CodedText { call: 8, turn: 0, flaw: None }.speak(4);
        if number < 36 {
            whole(number, frame)
        } else {
            vec![other[number * FRAME..][..frame.len()].to_vec()]
        }
    });
    assert!(foreign.foreign_words > 0, "{foreign:?}");
}

#[test]
fn a_reply_that_tells_of_a_flaw_on_the_way_up_makes_the_turn_flawed() {
    let tally = call(&settings(0.0), |number, frame| {
        let told = CodedText { call: 7, turn: 0, flaw: Some(Flaw::Lost) }.speak(4);
        vec![told[number * FRAME..][..frame.len()].to_vec()]
    });
    assert!(tally.codes.to_engine[Flaw::Lost as usize] > 0);
    assert_eq!(tally.turns.intact, 0);
}

#[test]
fn a_turn_that_the_end_of_the_run_cuts_off_is_not_counted() {
    let settings = settings(0.0);
    let (mut talker, mut tally) = (Talker::new(7, &settings, Now(0)), Tally::new(1_000));
    let mut samples = Vec::new();
    while talker.poll_chunk(Now(3_000 * MS), &mut samples, &mut tally).is_some() {}
    assert_eq!(tally.turns.said, 1);
    talker.end(&mut tally);
    assert_eq!((tally.turns.said, tally.turns.unanswered), (0, 0));
}
