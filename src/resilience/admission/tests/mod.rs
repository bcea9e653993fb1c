//! What is seen of a thread comes in, look by look; whether it is open comes out.

mod machine;
mod overload;

use super::*;

const LIMITS: ThreadLimits = ThreadLimits { late_ms_max: 40, busy_percent_max: 90 };

fn ms(ms: u64) -> Now {
    Now(ms * 1_000_000)
}

/// A look at a thread whose frames and beats are all equally late.
fn seen(calls: usize, busy: f64, late_ms: u64) -> Look {
    let mut lateness = Lateness::default();
    (0..200).for_each(|_| lateness.add(late_ms));
    Look { calls, busy, frames: lateness.clone(), beats: lateness }
}

/// A thread that was seen so for a number of looks.
struct Watched {
    admission: ThreadAdmission,
    at: u64,
}

impl Watched {
    fn new() -> Self {
        let mut admission = ThreadAdmission::new(LIMITS);
        admission.begin(ms(0));
        Self { admission, at: 0 }
    }

    fn looks(&mut self, count: usize, look: &Look) {
        for _ in 0..count {
            self.at += u64::from(LOOK_MS);
            self.admission.look(ms(self.at), look.clone());
        }
    }

    fn take(&mut self, calls: usize) -> Result<(), Overload> {
        self.admission.take(ms(self.at), calls)
    }

    fn is_closed(&self) -> bool {
        self.admission.closed(ms(self.at)).is_some()
    }
}

#[test]
fn a_thread_that_comes_late_is_closed_and_says_how_late() {
    let mut thread = Watched::new();
    thread.looks(10, &seen(50, 0.3, 15));
    assert_eq!(thread.take(50), Ok(()));
    thread.looks(3, &seen(50, 0.3, 54));
    let because = thread.take(50).expect_err("it is late");
    assert_eq!(because, Overload::FramesLate { p999_ms: 54, ms_max: 40 });
    assert_eq!(because.to_string(), "p99.9 of due frames 54 ms late, more than 40");
    thread.looks(10, &seen(50, 0.3, 30));
    let because = thread.take(50).expect_err("it is closed, and not much less late");
    assert_eq!(because, Overload::FramesLate { p999_ms: 30, ms_max: 20 });
}

#[test]
fn a_late_beat_closes_as_well_when_no_frame_is_due() {
    let mut thread = Watched::new();
    let beats = Look { frames: Lateness::default(), ..seen(50, 0.3, 61) };
    thread.looks(3, &beats);
    assert_eq!(thread.take(50), Err(Overload::BeatLate { p999_ms: 61, ms_max: 40 }));
}

#[test]
fn a_machine_that_stalls_for_a_moment_is_not_full_of_calls() {
    let mut thread = Watched::new();
    thread.looks(8, &seen(50, 0.3, 1));
    thread.looks(1, &seen(50, 1.0, 300));
    thread.looks(1, &seen(50, 0.6, 90));
    assert_eq!(thread.take(50), Ok(()));
}

#[test]
fn a_few_calls_are_always_taken() {
    let mut thread = Watched::new();
    thread.looks(10, &seen(7, 1.0, 90));
    assert!(!thread.is_closed());
    assert_eq!(thread.take(7), Ok(()));
    assert!(thread.take(8).is_err());
}

#[test]
fn a_busy_thread_is_closed_before_anything_is_late() {
    let mut thread = Watched::new();
    thread.looks(500, &seen(100, 0.89, 0));
    assert_eq!(thread.take(100), Ok(()), "89.9 percent with one more");
    assert_eq!(thread.take(101), Err(Overload::Busy { percent: 90, percent_max: 90 }));
    assert!(thread.is_closed());
}

#[test]
fn a_thread_has_its_busy_seconds_as_long_as_there_is_some_rest_left() {
    let mut thread = Watched::new();
    thread.looks(500, &seen(100, 0.6, 0));
    thread.looks(5, &seen(100, 0.95, 0));
    assert_eq!(thread.take(100), Ok(()));
    thread.looks(5, &seen(100, 0.98, 0));
    assert_eq!(thread.take(100), Err(Overload::Exhausted { percent: 98, percent_max: 95 }));
    let because = Overload::Exhausted { percent: 98, percent_max: 97 };
    let told = "busy 98 % of the next second with one more call, more than 97";
    assert_eq!(because.to_string(), told);
}

#[test]
fn calls_that_are_not_felt_yet_count_as_much_as_those_that_are() {
    let mut thread = Watched::new();
    thread.looks(100, &seen(200, 0.40, 0));
    let taken = (200..1_000).take_while(|calls| thread.take(*calls).is_ok()).count();
    assert!((200..250).contains(&taken), "90 percent would be with 450: {taken}");
    assert!(!thread.is_closed(), "there is room, but not at once");
}

#[test]
fn a_burst_at_a_fresh_thread_is_taken_although_nobody_knows_what_calls_cost() {
    let mut thread = Watched::new();
    let taken = (0..2_000).take_while(|calls| thread.take(*calls).is_ok()).count();
    assert!((635..=643).contains(&taken), "1.4 ms a second each: {taken}");
    assert!(matches!(thread.take(taken), Err(Overload::Unfelt { .. })));
}

#[test]
fn a_thread_that_is_full_on_average_opens_with_the_next_look_that_has_room() {
    let mut thread = Watched::new();
    thread.looks(500, &seen(100, 0.9, 0));
    assert!(thread.is_closed());
    thread.looks(1, &seen(99, 0.89, 0));
    assert!(!thread.is_closed());
}

#[test]
fn an_exhausted_thread_opens_after_a_moment_with_less_of_what_closed_it() {
    let mut thread = Watched::new();
    thread.looks(500, &seen(100, 0.6, 0));
    thread.looks(5, &seen(100, 0.99, 0));
    assert!(thread.is_closed());
    // Just under the limit is not enough.
    thread.looks(20, &seen(94, 0.96, 0));
    assert!(thread.is_closed());
    let looks = (1..20).find(|_| {
        thread.looks(1, &seen(60, 0.50, 0));
        !thread.is_closed()
    });
    assert_eq!(looks, Some(3), "calm when first seen so, and twice more");
}

#[test]
fn whoever_was_late_with_so_many_calls_takes_fewer_next_time_and_forgets_it_slowly() {
    let mut thread = Watched::new();
    thread.looks(4, &seen(100, 0.3, 50));
    assert!(thread.is_closed());
    thread.looks(20, &seen(60, 0.2, 0));
    assert!(!thread.is_closed());
    assert_eq!(thread.take(80), Ok(()));
    let because = thread.take(95).expect_err("more than 90 % of what was too much");
    assert!(matches!(because, Overload::WasLate { .. }), "{because}");
    // Five minutes later.
    thread.looks(5 * 300, &seen(60, 0.2, 0));
    assert_eq!(thread.take(95), Ok(()));
}

#[test]
fn it_is_forgotten_as_fast_by_a_thread_that_has_no_calls() {
    let mut thread = Watched::new();
    thread.looks(4, &seen(100, 0.3, 50));
    thread.admission.rest();
    let because = thread.take(95).expect_err("a moment later");
    assert!(matches!(because, Overload::WasLate { .. }), "{because}");
    thread.admission.rest();
    thread.at += 5 * 60_000;
    thread.admission.begin(ms(thread.at));
    assert_eq!(thread.take(95), Ok(()));
}

#[test]
fn a_thread_that_was_closed_before_it_was_late_takes_fewer_next_time_as_well() {
    let mut thread = Watched::new();
    thread.looks(5, &seen(100, 0.99, 0));
    assert!(thread.is_closed());
    thread.looks(10, &seen(100, 0.99, 50));
    thread.looks(20, &seen(60, 0.2, 0));
    assert_eq!(thread.take(80), Ok(()));
    assert!(matches!(thread.take(95), Err(Overload::WasLate { .. })));
}

#[test]
fn a_thread_that_does_not_run_takes_no_call_until_it_runs_again() {
    let mut thread = Watched::new();
    thread.looks(10, &seen(50, 0.2, 0));
    thread.at += 1_500;
    assert_eq!(thread.take(50), Err(Overload::Stopped { for_ms: 1_500 }));
    assert_eq!(thread.take(3), Err(Overload::Stopped { for_ms: 1_500 }), "however few there are");
    thread.looks(1, &seen(50, 0.2, 90));
    assert_eq!(thread.take(50), Ok(()));
}

#[test]
fn a_thread_without_calls_is_open_however_long_nobody_looks() {
    let mut thread = Watched::new();
    thread.looks(10, &seen(50, 1.0, 90));
    thread.admission.rest();
    thread.at += 600_000;
    assert!(!thread.is_closed());
    assert_eq!(thread.take(20), Ok(()));
}

#[test]
fn limits_of_zero_never_refuse() {
    let limits = ThreadLimits { late_ms_max: 0, busy_percent_max: 0 };
    let mut admission = ThreadAdmission::new(limits);
    admission.begin(ms(0));
    (1..20).for_each(|look| admission.look(ms(look * 200), seen(900, 1.0, 100)));
    assert_eq!(admission.take(ms(4_000), 5_000), Ok(()));
}

#[test]
fn a_thread_that_does_not_run_takes_no_call_whatever_the_limits_are() {
    let limits = ThreadLimits { late_ms_max: 0, busy_percent_max: 0 };
    let mut admission = ThreadAdmission::new(limits);
    admission.begin(ms(0));
    admission.look(ms(200), seen(50, 0.2, 0));
    assert_eq!(admission.take(ms(1_700), 50), Err(Overload::Stopped { for_ms: 1_500 }));
}

#[test]
fn a_thread_that_closes_and_opens_with_each_call_is_told_once() {
    let mut thread = Watched::new();
    let mut told = Vec::new();
    let mut looks = |thread: &mut Watched, count: usize, busy: f64| {
        for _ in 0..count {
            thread.looks(1, &seen(50, busy, 0));
            told.extend(thread.admission.turned(ms(thread.at)));
        }
    };
    // Closed for a while and open for a while, and again: then open for good.
    for _ in 0..3 {
        looks(&mut thread, 10, 0.99);
        looks(&mut thread, 25, 0.3);
    }
    looks(&mut thread, 60, 0.3);
    looks(&mut thread, 10, 0.99);
    thread.admission.rest();
    told.extend(thread.admission.turned(ms(thread.at)));
    let [Turned::Closed(because), Turned::Open, Turned::Closed(_), Turned::Open] = &told[..] else {
        panic!("{told:?}");
    };
    assert!(matches!(because, Overload::Exhausted { .. }), "{because:?}");
}
