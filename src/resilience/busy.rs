//! How busy something that carries calls will be with more of them: a media thread, or all
//! cores of the process.
//!
//! Two things are known of it. What was seen in the last second says how it stands now. What
//! a call costs on average of several seconds says how it will stand when callers who are
//! silent speak and those who speak are silent: calls that began together do both together,
//! and a second of theirs costs half or twice of what the next one does.
//!
//! A cost is learned while calls are carried, and kept when they have ended. Before, it is
//! expected to be high. The less is known of it, the more carefully calls are taken that
//! nobody has felt. What it takes to begin calls is left out: it is over when they have
//! begun. What is done besides (refusals) counts as their cost: it will go on as well.
//!
//! It refuses to measure: what was seen comes in five times a second.

use std::collections::VecDeque;

/// Time between two looks, in milliseconds.
pub const LOOK_MS: u32 = 200;

/// Looks that say how it stands now: one second.
const LOOKS_NOW: usize = 5;

/// A caller listens first, for some seconds: calls younger than so many looks, 2.4 s, count
/// half.
const LOOKS_SETTLED: usize = 12;

/// What is left of what was learned at the look before: half of it is forgotten in 8 s.
const KEPT: f64 = 0.983;

/// What a call is expected to cost before any was felt, as a share of one core: twice of
/// what one costs on a server of 2024 with recorded speech.
const COST_EXPECTED: f64 = 0.001;

/// At first that weighs as much as so many calls that were felt for one look.
const EXPECTED_WEIGHT: f64 = 3_000.0;

/// With fewer calls nothing is learned: they do not share what a core costs that wakes up.
const CALLS_LEARNED_FROM: usize = 20;

/// Meanwhile this is left, from look to look, of the difference to what is expected: half in
/// ten minutes. So a cost that was learned while something else took the cores, and with which
/// so many calls are never taken, is not believed for ever.
const BELIEVED: f64 = 0.999_77;

/// So much of what is left besides what may be taken on average may be taken in one second.
const PEAK_SHARE: f64 = 0.7;

/// Calls that are not felt yet count so much more, to be careful …
const CARE: f64 = 0.1;

/// … and so much more than that while nothing is learned.
const CARE_UNLEARNED: f64 = 0.3;

/// The calls there were, and the share of the time that they took, at a look.
#[derive(Clone, Copy, Debug)]
struct Seen {
    calls: usize,
    /// Of them, those whose cost `busy` is.
    felt: f64,
    busy: f64,
    /// The part of `busy` that went into beginning calls.
    beginning: f64,
}

/// What is known of the cost of calls.
#[derive(Debug)]
pub struct BusyForecast {
    /// Newest last; at most [`LOOKS_SETTLED`].
    seen: VecDeque<Seen>,
    /// Share of the time between two looks that it takes to begin a call.
    begin_cost: f64,
    /// Calls felt, look by look, and what they took. What is long ago weighs little.
    felt: f64,
    taken: f64,
    /// What was only expected, of `felt`.
    expected: f64,
    cost_expected: f64,
}

/// How busy something may be in one second that may be so busy on average, in percent.
pub fn peak_percent(percent_max: u32) -> f64 {
    let average_max = f64::from(percent_max);
    average_max + PEAK_SHARE * (100.0 - average_max)
}

impl BusyForecast {
    /// Nothing is known yet of something that has so many cores, and takes so long to begin
    /// a call.
    #[must_use]
    pub fn new(cores: usize, begin_ms: f64) -> Self {
        let cores = cores.max(1) as f64;
        Self {
            seen: VecDeque::new(),
            begin_cost: begin_ms / f64::from(LOOK_MS) / cores,
            felt: EXPECTED_WEIGHT,
            taken: EXPECTED_WEIGHT * COST_EXPECTED / cores,
            expected: EXPECTED_WEIGHT,
            cost_expected: COST_EXPECTED / cores,
        }
    }

    /// There is no call any more. What was learned stays.
    pub fn rest(&mut self) {
        self.seen.clear();
    }

    /// Takes note of what was seen since the look before: the calls at its end, and the
    /// share of the time that was taken, 0 to 1.
    pub fn look(&mut self, calls: usize, busy: f64) {
        let begun = calls.saturating_sub(self.seen.back().map_or(0, |seen| seen.calls));
        let beginning = (self.begin_cost * begun as f64).min(busy / 2.0);
        let before = if self.seen.len() == LOOKS_SETTLED { self.seen.pop_front() } else { None };
        let settled = before.map_or(0, |seen| seen.calls).min(calls);
        // Whoever has just called listens, and costs less than who speaks: half as much.
        let felt = (calls + settled) as f64 / 2.0;
        let seen = Seen { calls, felt, busy, beginning };
        self.seen.push_back(seen);
        if calls >= CALLS_LEARNED_FROM {
            self.learn(seen);
        } else {
            self.doubt_more();
        }
    }

    fn doubt_more(&mut self) {
        let towards = |value: f64, expected: f64| expected + BELIEVED * (value - expected);
        self.felt = towards(self.felt, EXPECTED_WEIGHT);
        self.expected = towards(self.expected, EXPECTED_WEIGHT);
        self.taken = towards(self.taken, EXPECTED_WEIGHT * self.cost_expected);
    }

    fn learn(&mut self, Seen { felt, busy, beginning, .. }: Seen) {
        self.felt = KEPT * self.felt + felt;
        self.taken = KEPT * self.taken + busy - beginning;
        self.expected *= KEPT;
    }

    /// Share of the time that a call takes.
    fn cost(&self) -> f64 {
        self.taken / self.felt
    }

    /// 1: the cost is only expected; 0: it is learned.
    fn doubt(&self) -> f64 {
        self.expected / self.felt
    }

    /// Share of the last second that was taken, 0 to 1.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.mean_now(|seen| seen.busy)
    }

    /// The share that `calls` will take in the next moments, as things stand.
    #[must_use]
    pub fn soon_with(&self, calls: usize) -> f64 {
        let carrying = self.mean_now(|seen| seen.busy - seen.beginning);
        (carrying + self.cost() * self.unfelt(calls)).max(0.0)
    }

    /// The share that `calls` will take on average.
    #[must_use]
    pub fn busy_with(&self, calls: usize) -> f64 {
        self.cost() * calls as f64
    }

    /// The share that `calls` will take on average at most, for whoever is careful with those
    /// before the last of them.
    #[must_use]
    pub fn busy_at_most_with(&self, calls: usize) -> f64 {
        let care = CARE + CARE_UNLEARNED * self.doubt();
        let unfelt = self.unfelt(calls.saturating_sub(1)).max(0.0);
        self.busy_with(calls) + care * self.cost() * unfelt
    }

    /// How many of `calls` are not felt yet; negative when more were felt.
    #[must_use]
    pub fn unfelt(&self, calls: usize) -> f64 {
        calls as f64 - self.mean_now(|seen| seen.felt)
    }

    fn mean_now(&self, which: impl Fn(&Seen) -> f64) -> f64 {
        let now = self.seen.iter().rev().take(LOOKS_NOW);
        now.clone().map(which).sum::<f64>() / now.len().max(1) as f64
    }
}
#[cfg(test)]
mod tests {
    use super::*;

    /// So many looks at calls that take a thousandth each, or what is said.
    fn looked(forecast: &mut BusyForecast, looks: usize, calls: usize, each: f64) {
        (0..looks).for_each(|_| forecast.look(calls, each * calls as f64));
    }

    fn percent(share: f64) -> i64 {
        (share * 100.0).round() as i64
    }

    #[test]
    fn before_anything_was_felt_calls_are_expected_to_cost_much() {
        let forecast = BusyForecast::new(1, 0.0);
        assert_eq!(percent(forecast.busy_with(400)), 40);
        assert_eq!(percent(forecast.busy_at_most_with(400)), 56);
        let forecast = BusyForecast::new(8, 0.0);
        assert_eq!(percent(forecast.busy_with(400)), 5, "eight cores share them");
    }

    #[test]
    fn what_a_call_costs_is_learned_and_kept_when_all_have_ended() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 500, 200, 0.000_5);
        assert_eq!(percent(forecast.busy_with(1_000)), 50);
        assert_eq!(percent(forecast.busy_at_most_with(1_000)), 54, "10 felt, 40 with care");
        forecast.rest();
        assert_eq!(percent(forecast.busy_with(1_000)), 50);
        assert_eq!(percent(forecast.busy_at_most_with(1_000)), 55);
    }

    #[test]
    fn calls_that_have_just_begun_will_cost_twice_as_much() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 500, 200, 0.001);
        looked(&mut forecast, 1, 400, 0.000_75);
        // One look of five has felt 300 of the 400.
        assert_eq!(percent(forecast.soon_with(400)), 40);
    }

    #[test]
    fn callers_who_all_speak_at_once_make_a_busy_second_and_no_other_average() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 500, 500, 0.001);
        looked(&mut forecast, 5, 500, 0.001_8);
        assert_eq!(percent(forecast.soon_with(500)), 90);
        assert_eq!(percent(forecast.busy_with(500)), 53);
        looked(&mut forecast, 5, 500, 0.000_2);
        assert_eq!(percent(forecast.soon_with(500)), 10, "all listen");
        assert_eq!(percent(forecast.busy_with(500)), 50);
    }

    #[test]
    fn what_a_few_calls_cost_and_what_their_beginning_costs_is_not_learned() {
        let mut few = BusyForecast::new(1, 0.0);
        looked(&mut few, 100, 10, 0.01);
        assert_eq!(percent(few.soon_with(10)), 10);
        assert_eq!(percent(few.soon_with(110)), 20, "a thousandth each, as expected");
        let mut begun = BusyForecast::new(1, 0.2);
        for look in 1..=100_usize {
            // Ten begin, who take a hundredth for that, and half as much as others at first.
            let felt = (10 * look + 10 * look.saturating_sub(LOOKS_SETTLED)) as f64 / 2.0;
            begun.look(10 * look, 0.001 * felt + 0.01);
        }
        assert_eq!(percent(begun.busy_with(1_000)), 100);
    }

    #[test]
    fn a_cost_that_lets_nobody_in_is_forgotten_within_the_hour() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 200, 20, 0.05);
        assert!(forecast.busy_with(20) > 0.9);
        looked(&mut forecast, 5 * 3_600, 19, 0.001);
        assert!(forecast.busy_with(400) < 0.6, "{}", forecast.busy_with(400));
    }

    #[test]
    fn what_it_takes_to_begin_calls_is_over_when_they_have_begun() {
        let mut forecast = BusyForecast::new(1, 0.2);
        looked(&mut forecast, 500, 200, 0.001);
        // 200 that begin take 40 ms of 200; 100 more are felt.
        forecast.look(400, 0.3 + 0.2);
        assert_eq!(percent(forecast.busy()), 26);
        assert_eq!(percent(forecast.soon_with(400)), 40);
    }

    #[test]
    fn calls_that_have_ended_make_room() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 500, 800, 0.001);
        assert_eq!(percent(forecast.busy_with(600)), 60);
        assert_eq!(percent(forecast.busy_at_most_with(600)), 60);
    }

    #[test]
    fn in_one_second_there_may_be_more_than_on_average() {
        assert_eq!(peak_percent(90), 97.0);
        assert_eq!(peak_percent(100), 100.0);
    }
}
