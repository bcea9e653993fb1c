//! A media thread as a model: it works off what its calls cost, and what it does not get
//! done waits. Everything happens in virtual time.

use super::*;

const LIMITS: ThreadLimits = ThreadLimits { late_ms_max: 40, busy_percent_max: 90 };

fn ms(ms: u64) -> Now {
    Now(ms * 1_000_000)
}

/// What the modelled thread is closed by: the configuration's defaults.
const DEFAULTS: ThreadLimits = ThreadLimits { late_ms_max: 40, busy_percent_max: 95 };

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
    thread.looks(5, &seen(100, 0.1, 0));
    thread.looks(5, &seen(100, 0.89, 0));
    assert_eq!(thread.take(100), Ok(()), "89.9 percent with one more");
    assert_eq!(thread.take(101), Err(Overload::Busy { percent: 90, percent_max: 90 }));
    assert!(thread.is_closed());
}

#[test]
fn calls_that_are_not_felt_yet_count_as_much_as_those_that_are() {
    let mut thread = Watched::new();
    thread.looks(5, &seen(200, 0.1, 0));
    thread.looks(5, &seen(200, 0.40, 0));
    let taken = (200..1_000).take_while(|calls| thread.take(*calls).is_ok()).count();
    assert_eq!(taken, 200, "as many again as were felt, at most");
    let mut thread = Watched::new();
    thread.looks(5, &seen(200, 0.1, 0));
    thread.looks(5, &seen(200, 0.60, 0));
    let taken = (200..1_000).take_while(|calls| thread.take(*calls).is_ok()).count();
    assert_eq!(taken, 75, "three quarters of what would fit, when it is busier than half");
    assert!(!thread.is_closed(), "there is room, but not at once");
}

#[test]
fn calls_that_have_just_begun_will_cost_more() {
    let mut thread = Watched::new();
    thread.looks(5, &seen(100, 0.5, 0));
    let because = thread.take(100).expect_err("twice as much, as far as is known");
    assert!(matches!(because, Overload::Busy { percent: 101, .. }), "{because}");
    thread.looks(5, &seen(100, 0.5, 0));
    assert_eq!(thread.take(100), Ok(()));
}

#[test]
fn a_burst_at_a_fresh_thread_is_taken_up_to_a_hundred() {
    let mut thread = Watched::new();
    let taken = (0..500).take_while(|calls| thread.take(*calls).is_ok()).count();
    assert_eq!(taken, 100);
    assert_eq!(thread.take(taken), Err(Overload::Unfelt { calls: 100 }));
}

#[test]
fn a_closed_thread_opens_after_a_moment_with_less_of_what_closed_it() {
    let mut thread = Watched::new();
    thread.looks(5, &seen(100, 0.1, 0));
    thread.looks(5, &seen(100, 0.95, 0));
    assert!(thread.is_closed());
    // Just under the limit is not enough.
    thread.looks(20, &seen(94, 0.88, 0));
    assert!(thread.is_closed());
    let looks = (1..20).find(|_| {
        thread.looks(1, &seen(88, 0.80, 0));
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
fn a_thread_that_does_not_run_takes_no_call_until_it_runs_again() {
    let mut thread = Watched::new();
    thread.looks(10, &seen(50, 0.2, 0));
    thread.at += 1_500;
    assert_eq!(thread.take(50), Err(Overload::Stopped { for_ms: 1_500 }));
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
    assert_eq!(admission.take(ms(600_000), 5_000), Ok(()));
}

// === The closed loop ===

/// Calls that the modelled thread can carry when it never rests.
const CAPACITY: f64 = 400.0;

/// Length of a tick.
const TICK_MS: u64 = 10;

/// Length of a call on average.
const CALL_MS: u64 = 20_000;

/// Work to begin a call.
const BEGIN_MS: f64 = 0.3;

/// A call that was ever later than this was not carried well: what a telephone bridges.
const LATE_MS: f64 = 60.0;

/// When what a fresh thread does counts no longer as its beginning.
const SETTLED_MS: u64 = 60_000;

struct Call {
    begun: u64,
    ends: u64,
    was_late: bool,
}

/// A thread with its calls, and what came of them.
struct Thread {
    admission: Option<ThreadAdmission>,
    calls: Vec<Call>,
    /// Work that is due and not done, in milliseconds.
    backlog: f64,
    next_look: Look,
    /// How late due work of settled calls was.
    lateness: Lateness,
    outcome: Outcome,
    random: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Outcome {
    refused: u32,
    /// Calls carried to their end without being late, since it settled.
    good: u32,
    late: u32,
    changes: u32,
}

impl Thread {
    fn new(has_admission: bool) -> Self {
        let admission = has_admission.then(|| {
            let mut admission = ThreadAdmission::new(DEFAULTS);
            admission.begin(ms(0));
            admission
        });
        Self {
            admission,
            calls: Vec::new(),
            backlog: 0.0,
            next_look: Look::default(),
            lateness: Lateness::default(),
            outcome: Outcome::default(),
            random: 7,
        }
    }

    /// A number from 0 to 1.
    fn chance(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Offers so many calls a second, at random moments, for as long.
    fn offer(mut self, calls_per_s: f64, for_ms: u64) -> Self {
        for at in (0..for_ms).step_by(TICK_MS as usize) {
            let mut due = calls_per_s * TICK_MS as f64 / 1_000.0;
            while due > 0.0 && self.chance() < due {
                self.place(at);
                due -= 1.0;
            }
            self.tick(at);
        }
        self
    }

    fn place(&mut self, at: u64) {
        let calls = self.calls.len();
        if self.admission.as_mut().is_some_and(|it| it.take(ms(at), calls).is_err()) {
            self.outcome.refused += 1;
            return;
        }
        let length = CALL_MS / 2 + (self.chance() * CALL_MS as f64) as u64;
        self.calls.push(Call { begun: at, ends: at + length, was_late: false });
        self.backlog += BEGIN_MS;
    }

    fn tick(&mut self, at: u64) {
        // Who has just called listens, and costs less than who speaks.
        let cost = |call: &Call| if at - call.begun < 1_000 { 0.5 } else { 1.0 };
        let work: f64 = self.calls.iter().map(cost).sum();
        self.backlog += work * TICK_MS as f64 / CAPACITY;
        let done = self.backlog.min(TICK_MS as f64);
        self.backlog -= done;
        let late_ms = self.backlog as u64;
        self.next_look.busy += done / f64::from(LOOK_MS);
        self.next_look.beats.add(late_ms);
        for call in &mut self.calls {
            call.was_late |= self.backlog > LATE_MS;
            // One frame in 50 ms.
            if (call.begun + at) % 50 < TICK_MS {
                self.next_look.frames.add(late_ms);
                if at > SETTLED_MS {
                    self.lateness.add(late_ms);
                }
            }
        }
        self.end_calls(at);
        if (at + TICK_MS).is_multiple_of(u64::from(LOOK_MS)) {
            self.look(at);
        }
    }

    fn end_calls(&mut self, at: u64) {
        let outcome = &mut self.outcome;
        self.calls.retain(|call| {
            let goes_on = at < call.ends;
            if !goes_on && at > SETTLED_MS {
                *(if call.was_late { &mut outcome.late } else { &mut outcome.good }) += 1;
            }
            goes_on
        });
    }

    fn look(&mut self, at: u64) {
        let look = Look { calls: self.calls.len(), ..std::mem::take(&mut self.next_look) };
        if let Some(admission) = &mut self.admission {
            let before = admission.closed(ms(at)).is_some();
            admission.look(ms(at), look);
            self.outcome.changes += u32::from(admission.closed(ms(at)).is_some() != before);
        }
    }
}

/// Calls a second that fill the thread.
const FULL_PER_S: f64 = CAPACITY * 1_000.0 / CALL_MS as f64;

/// Three minutes, of which two count.
const RUN_MS: u64 = SETTLED_MS + 120_000;

#[test]
fn without_admission_twice_the_load_makes_everybody_late() {
    let thread = Thread::new(false).offer(2.0 * FULL_PER_S, RUN_MS);
    assert!(thread.outcome.good < thread.outcome.late / 10, "{:?}", thread.outcome);
}

#[test]
fn at_twice_the_load_running_calls_are_in_time_and_goodput_is_nine_tenths_of_the_peak() {
    let loads = [0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0];
    let without = loads.map(|load| Thread::new(false).offer(load * FULL_PER_S, RUN_MS).outcome);
    let peak = without.iter().map(|outcome| outcome.good).max().expect("some");
    for load in [1.0, 1.2, 1.5, 2.0, 4.0, 20.0] {
        let thread = Thread::new(true).offer(load * FULL_PER_S, RUN_MS);
        let (outcome, late_ms) = (thread.outcome, thread.lateness.p999_ms());
        assert!(late_ms <= DEFAULTS.late_ms_max, "{load}: {late_ms} ms, {outcome:?}");
        assert!(f64::from(outcome.good) >= 0.9 * f64::from(peak), "{load}: {outcome:?} of {peak}");
    }
}

#[test]
fn a_ramp_to_half_the_capacity_is_never_refused() {
    // Ten times as fast as calls end: all places within two seconds.
    let fast = Thread::new(true).offer(CAPACITY / 4.0, 2_000);
    assert_eq!((fast.outcome.refused, fast.calls.len() > 150), (0, true), "{:?}", fast.outcome);
    let steady = Thread::new(true).offer(0.5 * FULL_PER_S, RUN_MS);
    assert_eq!(steady.outcome.refused, 0);
}

#[test]
fn a_ramp_to_three_quarters_of_the_capacity_in_a_few_seconds_is_never_refused() {
    let ramp = Thread::new(true).offer(0.75 * CAPACITY / 8.0, 8_000);
    assert_eq!(ramp.outcome.refused, 0, "{:?}", ramp.outcome);
}

#[test]
fn a_thread_under_steady_overload_changes_its_mind_seldom() {
    let thread = Thread::new(true).offer(2.0 * FULL_PER_S, RUN_MS);
    // A call ends every twentieth of a second; each could have opened it.
    let seconds = (RUN_MS / 1_000) as u32;
    assert!(thread.outcome.changes < seconds, "{:?}", thread.outcome);
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
    assert!(matches!(because, Overload::Busy { percent_max: 90, .. }), "{because:?}");
}
