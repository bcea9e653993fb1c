//! How busy something that carries calls will be with more of them: a media thread, or all
//! cores of the process.
//!
//! What was seen in the last second is known; what it will be is reckoned: calls that are
//! not felt yet, times what a call costs. That cost is learned while calls are carried, and
//! kept when they have ended. Before, it is expected to be high. The less is known of it,
//! the more carefully calls are taken that nobody has felt. What it takes to begin calls is
//! left out: it is over when they have begun.
//!
//! It refuses to measure: what was seen comes in five times a second.

use std::collections::VecDeque;

/// Time between two looks, in milliseconds.
pub const LOOK_MS: u32 = 200;

/// Looks that make a second.
const LOOKS: usize = 5;

/// What a call is expected to cost before any was felt, as a share of one core: twice of
/// what one costs on a server of 2024 with recorded speech.
const COST_EXPECTED: f64 = 0.001;

/// How much of what is seen at a look is learned when all calls are there for a second.
const LEARNED_SHARE: f64 = 0.2;

/// With fewer calls nothing is learned: they do not share what a core costs that wakes up.
const CALLS_LEARNED_FROM: usize = 20;

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
    /// Newest last; at most [`LOOKS`].
    seen: VecDeque<Seen>,
    /// Share of the time that a call takes.
    cost: f64,
    /// 1: the cost is only expected; 0: it is learned.
    doubt: f64,
    /// Share of the time between two looks that it takes to begin a call.
    begin_cost: f64,
}

impl BusyForecast {
    /// Nothing is known yet of something that has so many cores, and takes so long to begin
    /// a call.
    #[must_use]
    pub fn new(cores: usize, begin_ms: f64) -> Self {
        let cores = cores.max(1) as f64;
        let begin_cost = begin_ms / f64::from(LOOK_MS) / cores;
        Self { seen: VecDeque::new(), cost: COST_EXPECTED / cores, doubt: 1.0, begin_cost }
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
        let before = if self.seen.len() == LOOKS { self.seen.pop_front() } else { None };
        let settled = before.map_or(0, |seen| seen.calls).min(calls);
        // Whoever has just called listens, and costs less than who speaks: half as much.
        let felt = (calls + settled) as f64 / 2.0;
        self.seen.push_back(Seen { calls, felt, busy, beginning });
        if settled >= CALLS_LEARNED_FROM {
            self.learn(LEARNED_SHARE * settled as f64 / calls as f64);
        }
    }

    fn learn(&mut self, share: f64) {
        self.cost += share * (self.busy_carrying() / self.felt() - self.cost);
        self.doubt *= 1.0 - share;
    }

    /// Share of the last second that was taken, 0 to 1.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.mean(|seen| seen.busy)
    }

    /// The part of it that calls take which have begun.
    fn busy_carrying(&self) -> f64 {
        self.mean(|seen| seen.busy - seen.beginning)
    }

    /// The calls whose cost that is.
    fn felt(&self) -> f64 {
        self.mean(|seen| seen.felt)
    }

    /// The share that `calls` will take, as far as is known.
    #[must_use]
    pub fn busy_with(&self, calls: usize) -> f64 {
        (self.busy_carrying() + self.cost * self.unfelt(calls)).max(0.0)
    }

    /// The share that `calls` will take at most, for whoever is careful.
    #[must_use]
    pub fn busy_at_most_with(&self, calls: usize) -> f64 {
        let care = CARE + CARE_UNLEARNED * self.doubt;
        self.busy_with(calls) + care * self.cost * self.unfelt(calls).max(0.0)
    }

    /// How many of `calls` are not felt yet; negative when more were felt.
    #[must_use]
    pub fn unfelt(&self, calls: usize) -> f64 {
        calls as f64 - self.felt()
    }

    fn mean(&self, which: impl Fn(&Seen) -> f64) -> f64 {
        self.seen.iter().map(which).sum::<f64>() / self.seen.len().max(1) as f64
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
        looked(&mut forecast, 100, 200, 0.000_5);
        assert_eq!(percent(forecast.busy_with(1_000)), 50);
        assert_eq!(percent(forecast.busy_at_most_with(1_000)), 54, "10 felt, 40 with care");
        forecast.rest();
        assert_eq!(percent(forecast.busy_with(1_000)), 50);
        assert_eq!(percent(forecast.busy_at_most_with(1_000)), 55);
    }

    #[test]
    fn calls_that_have_just_begun_will_cost_twice_as_much() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 100, 200, 0.001);
        looked(&mut forecast, 1, 400, 0.000_75);
        // One look of five has felt 300 of the 400.
        assert_eq!(percent(forecast.busy_with(400)), 40);
    }

    #[test]
    fn what_a_few_calls_cost_and_what_their_beginning_costs_is_not_learned() {
        let mut few = BusyForecast::new(1, 0.0);
        looked(&mut few, 100, 10, 0.01);
        assert_eq!(percent(few.busy_with(10)), 10);
        assert_eq!(percent(few.busy_with(110)), 20);
        let mut begun = BusyForecast::new(1, 0.0);
        looked(&mut begun, 4, 500, 0.001_8);
        begun.rest();
        assert_eq!(percent(begun.busy_with(500)), 50);
    }

    #[test]
    fn what_it_takes_to_begin_calls_is_over_when_they_have_begun() {
        let mut forecast = BusyForecast::new(1, 0.2);
        looked(&mut forecast, 100, 200, 0.001);
        // 200 that begin take 40 ms of 200; 100 more are felt.
        forecast.look(400, 0.3 + 0.2);
        assert_eq!(percent(forecast.busy()), 26);
        assert_eq!(percent(forecast.busy_with(400)), 40);
    }

    #[test]
    fn calls_that_have_ended_make_room() {
        let mut forecast = BusyForecast::new(1, 0.0);
        looked(&mut forecast, 100, 800, 0.001);
        assert_eq!(percent(forecast.busy_with(600)), 60);
        assert_eq!(percent(forecast.busy_at_most_with(600)), 60);
    }
}
