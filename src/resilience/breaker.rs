//! Whether a provider that failed again and again is asked at all.
//!
//! So many failures in a row open the breaker: nothing is asked for a while. Then one
//! request goes out as a probe and everybody else still fails at once; what becomes of
//! the probe decides. The while does not grow: one request in a few seconds is no burden
//! for anybody, and a longer rest would be felt only when the provider works again.
//!
//! It refuses to know what a failure is and what time it is: both are the caller's.

use crate::types::Now;

/// What is known of a request that had a [`Pass`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The other side answers.
    Works,
    /// The other side does not.
    Fails,
    /// Neither is proved: the request was given up, or turned away unread.
    Unknown,
}

/// How the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Everything is asked.
    Closed,
    /// One probe is on its way; nothing else is asked.
    HalfOpen,
    /// Nothing is asked until its time is over; then the next request is the probe.
    Open,
}

/// The right to make one request. To be reported once, also when nothing came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pass {
    spell: u64,
}

/// The breaker of one provider.
#[derive(Debug)]
pub struct Breaker {
    failures_max: u32,
    open_ms: u32,
    state: State,
    /// Grows with every change of state. What began in an earlier spell says nothing
    /// about the present one.
    spell: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    HalfOpen,
    Open { until: Now },
}

impl Breaker {
    /// Opens for `open_ms` after `failures_max` failures in a row; never when that is 0.
    #[must_use]
    pub const fn new(failures_max: u32, open_ms: u32) -> Self {
        Self { failures_max, open_ms, state: State::Closed { failures: 0 }, spell: 0 }
    }

    /// Whether a request would be refused.
    #[must_use]
    pub fn refuses(&self, now: Now) -> bool {
        match self.state {
            State::Closed { .. } => false,
            State::HalfOpen => true,
            State::Open { until } => now < until,
        }
    }

    /// Lets a request through, or not. The first one after the open time is the probe.
    pub fn admit(&mut self, now: Now) -> Option<Pass> {
        if self.refuses(now) {
            return None;
        }
        if let State::Open { .. } = self.state {
            self.enter(State::HalfOpen);
        }
        Some(Pass { spell: self.spell })
    }

    /// Takes note of what came of a request. Reports of an earlier spell are ignored.
    pub fn report(&mut self, now: Now, pass: Pass, outcome: Outcome) {
        if pass.spell != self.spell {
            return;
        }
        match (&mut self.state, outcome) {
            (State::Closed { failures }, Outcome::Works) => *failures = 0,
            (State::Closed { failures }, Outcome::Fails) => {
                *failures = failures.saturating_add(1);
                if *failures == self.failures_max {
                    self.open_until(now.plus_ms(self.open_ms));
                }
            }
            (State::HalfOpen, Outcome::Works) => self.enter(State::Closed { failures: 0 }),
            (State::HalfOpen, Outcome::Fails) => self.open_until(now.plus_ms(self.open_ms)),
            // The probe proved nothing; the next request is another one.
            (State::HalfOpen, Outcome::Unknown) => self.open_until(now),
            (State::Closed { .. }, Outcome::Unknown) | (State::Open { .. }, _) => {}
        }
    }

    /// How it stands. Open lasts until a probe is asked for, however late.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::HalfOpen => BreakerState::HalfOpen,
            State::Open { .. } => BreakerState::Open,
        }
    }

    fn open_until(&mut self, until: Now) {
        self.enter(State::Open { until });
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.spell += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Now = Now(1_000_000);
    const OPEN_MS: u32 = 5_000;

    fn breaker() -> Breaker {
        Breaker::new(5, OPEN_MS)
    }

    fn ask(breaker: &mut Breaker, now: Now, outcome: Outcome) {
        let pass = breaker.admit(now).expect("the breaker lets it through");
        breaker.report(now, pass, outcome);
    }

    fn open() -> Breaker {
        let mut breaker = breaker();
        (0..5).for_each(|_| ask(&mut breaker, NOW, Outcome::Fails));
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it_for_five_seconds() {
        let mut breaker = breaker();
        (0..4).for_each(|_| ask(&mut breaker, NOW, Outcome::Fails));
        assert_eq!(breaker.state(), BreakerState::Closed);
        ask(&mut breaker, NOW, Outcome::Fails);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(NOW.plus_ms(OPEN_MS - 1)), None);
        assert!(breaker.admit(NOW.plus_ms(OPEN_MS)).is_some());
    }

    #[test]
    fn a_success_in_between_begins_the_count_anew() {
        let mut breaker = breaker();
        for _ in 0..10 {
            (0..4).for_each(|_| ask(&mut breaker, NOW, Outcome::Fails));
            ask(&mut breaker, NOW, Outcome::Works);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn what_proves_nothing_neither_counts_nor_begins_anew() {
        let mut breaker = breaker();
        for _ in 0..4 {
            ask(&mut breaker, NOW, Outcome::Fails);
            (0..10).for_each(|_| ask(&mut breaker, NOW, Outcome::Unknown));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        ask(&mut breaker, NOW, Outcome::Fails);
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn one_probe_goes_out_and_its_success_lets_everybody_through() {
        let (mut breaker, later) = (open(), NOW.plus_ms(OPEN_MS));
        let probe = breaker.admit(later).expect("the probe");
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert_eq!(breaker.admit(later.plus_ms(60_000)), None);
        breaker.report(later, probe, Outcome::Works);
        assert_eq!(breaker.state(), BreakerState::Closed);
        (0..4).for_each(|_| ask(&mut breaker, later, Outcome::Fails));
        assert!(breaker.admit(later).is_some(), "the count begins at 0");
    }

    #[test]
    fn a_failed_probe_opens_it_again_for_as_long() {
        let (mut breaker, later) = (open(), NOW.plus_ms(7_000));
        ask(&mut breaker, later, Outcome::Fails);
        assert_eq!(breaker.admit(later.plus_ms(OPEN_MS - 1)), None);
        assert!(breaker.admit(later.plus_ms(OPEN_MS)).is_some());
    }

    #[test]
    fn a_probe_that_proved_nothing_is_followed_by_another_one_at_once() {
        let (mut breaker, later) = (open(), NOW.plus_ms(OPEN_MS));
        let lost = breaker.admit(later).expect("the probe");
        breaker.report(later, lost, Outcome::Unknown);
        let probe = breaker.admit(later).expect("the next probe");
        // The lost one is heard of after all.
        breaker.report(later, lost, Outcome::Works);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.report(later, probe, Outcome::Works);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn requests_from_before_it_opened_neither_close_nor_open_it() {
        let mut breaker = breaker();
        let old: Vec<Pass> = (0..20).map(|_| breaker.admit(NOW).expect("closed")).collect();
        (0..5).for_each(|_| ask(&mut breaker, NOW, Outcome::Fails));
        breaker.report(NOW, old[0], Outcome::Works);
        assert_eq!(breaker.state(), BreakerState::Open);
        // Nor do they lengthen the rest, decide for the probe, or count afterwards.
        let later = NOW.plus_ms(OPEN_MS);
        breaker.report(NOW.plus_ms(OPEN_MS - 1), old[1], Outcome::Fails);
        let probe = breaker.admit(later).expect("the probe");
        breaker.report(later, old[2], Outcome::Fails);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        breaker.report(later, probe, Outcome::Works);
        old[3..].iter().for_each(|pass| breaker.report(later, *pass, Outcome::Fails));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn without_a_limit_it_never_opens() {
        let mut breaker = Breaker::new(0, OPEN_MS);
        (0..100).for_each(|_| ask(&mut breaker, NOW, Outcome::Fails));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask,
        Report { nth: usize, outcome: Outcome },
        Wait { ms: u32 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let outcome =
            prop_oneof![Just(Outcome::Works), Just(Outcome::Fails), Just(Outcome::Unknown)];
        let step = prop_oneof![
            4 => Just(Step::Ask),
            4 => (0_usize..64, outcome).prop_map(|(nth, outcome)| Step::Report { nth, outcome }),
            1 => (0_u32..8_000).prop_map(|ms| Step::Wait { ms }),
        ];
        proptest::collection::vec(step, 0..300)
    }

    proptest! {
        #[test]
        fn never_two_probes_and_always_well_again_once_the_other_side_is(
            steps in steps(),
            failures_max in 0_u32..4,
        ) {
            let mut breaker = Breaker::new(failures_max, OPEN_MS);
            let mut now = NOW;
            let mut inside: Vec<(Pass, bool)> = Vec::new();
            for step in steps {
                match step {
                    Step::Ask => {
                        let is_probe = breaker.state() != BreakerState::Closed;
                        inside.extend(breaker.admit(now).map(|pass| (pass, is_probe)));
                    }
                    Step::Report { nth, outcome } if !inside.is_empty() => {
                        let (pass, _) = inside.remove(nth % inside.len());
                        breaker.report(now, pass, outcome);
                    }
                    Step::Report { .. } => {}
                    Step::Wait { ms } => now = now.plus_ms(ms),
                }
                let probes = inside.iter().filter(|(_, is_probe)| *is_probe).count();
                let is_probing = breaker.state() == BreakerState::HalfOpen;
                prop_assert_eq!(probes, usize::from(is_probing));
            }
            for (pass, _) in inside {
                breaker.report(now, pass, Outcome::Unknown);
            }
            let later = now.plus_ms(OPEN_MS);
            let pass = breaker.admit(later);
            prop_assert!(pass.is_some(), "it stays open for ever");
            breaker.report(later, pass.unwrap(), Outcome::Works);
            prop_assert_eq!(breaker.state(), BreakerState::Closed);
        }
    }
}
