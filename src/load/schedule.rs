//! When calls begin and end. Pure: a plan becomes a list of times before anything starts.
//!
//! Closed loop: so many calls are held, and one that ends early is placed again. Open loop:
//! calls arrive at a rate whatever becomes of them, as callers do.

use serde::{Deserialize, Serialize};

use super::pattern::Dice;

/// A part of a closed-loop run: the number of calls moves to `calls` and stays there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Simultaneous calls at its end.
    pub calls: u32,
    /// How long it takes to get there, in seconds.
    #[serde(default)]
    pub ramp_s: f64,
    /// How long they are held then, in seconds.
    pub hold_s: f64,
}

/// Calls that arrive.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Arrivals {
    /// Calls a second.
    pub per_s: f64,
    /// How long a call lasts, in seconds.
    pub call_s: f64,
    /// How long the rate takes to be reached, in seconds.
    pub ramp_s: f64,
    /// How long calls arrive, the ramp included, in seconds.
    pub for_s: f64,
}

/// Which calls there are to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Closed loop.
    Held(Vec<Stage>),
    /// Open loop.
    Arriving(Arrivals),
}

/// A place for one call: from when to when, in milliseconds since the start of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// When the call is placed.
    pub from_ms: u64,
    /// When it is hung up.
    pub until_ms: u64,
    /// Whether a call that ends before is placed again.
    pub is_held: bool,
}

impl Schedule {
    /// Every place, in the order of their beginnings.
    #[must_use]
    pub fn places(&self, seed: u64) -> Vec<Place> {
        let mut places = match self {
            Self::Held(stages) => held(stages),
            Self::Arriving(arrivals) => arriving(*arrivals, seed),
        };
        places.sort_by_key(|place| place.from_ms);
        places
    }

    /// When the last call is hung up, in milliseconds.
    #[must_use]
    pub fn ms(&self) -> u64 {
        match self {
            Self::Held(stages) => ms(stages.iter().map(|it| it.ramp_s + it.hold_s).sum()),
            Self::Arriving(arrivals) => ms(arrivals.for_s),
        }
    }

    /// The most calls at a time that it asks for; about, for arriving ones.
    #[must_use]
    pub fn calls_max(&self) -> u32 {
        match self {
            Self::Held(stages) => stages.iter().map(|stage| stage.calls).max().unwrap_or(0),
            Self::Arriving(it) => (it.per_s * it.call_s.min(it.for_s)).ceil() as u32,
        }
    }
}

fn held(stages: &[Stage]) -> Vec<Place> {
    let (mut running, mut places) = (Vec::new(), Vec::new());
    let mut now_s = 0.0;
    for stage in stages {
        let before = running.len();
        let target = stage.calls as usize;
        let steps = target.abs_diff(before);
        let step = |at: usize| ms(now_s + stage.ramp_s * at as f64 / steps.max(1) as f64);
        if target > before {
            running.extend((0..steps).map(step));
        } else {
            // The youngest leave first.
            let leaving = running.drain(target..).rev().enumerate();
            places.extend(leaving.map(|(at, from_ms)| place(from_ms, step(at))));
        }
        now_s += stage.ramp_s + stage.hold_s;
    }
    places.extend(running.into_iter().map(|from_ms| place(from_ms, ms(now_s))));
    places
}

const fn place(from_ms: u64, until_ms: u64) -> Place {
    Place { from_ms, until_ms, is_held: true }
}

/// Independent arrivals: the times between them are distributed exponentially.
fn arriving(arrivals: Arrivals, seed: u64) -> Vec<Place> {
    let Arrivals { per_s, call_s, ramp_s, for_s } = arrivals;
    let mut dice = Dice::new(seed, u64::MAX);
    let (mut now_s, mut places) = (0.0, Vec::new());
    loop {
        // Candidates at the full rate; during the ramp some of them stay away.
        now_s -= (1.0 - dice.share()).ln() / per_s;
        if now_s >= for_s {
            return places;
        }
        if now_s >= ramp_s || dice.happens(now_s / ramp_s) {
            let until_ms = ms(for_s.min(now_s + call_s));
            places.push(Place { from_ms: ms(now_s), until_ms, is_held: false });
        }
    }
}

fn ms(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls_at(places: &[Place], ms: u64) -> usize {
        places.iter().filter(|place| (place.from_ms..place.until_ms).contains(&ms)).count()
    }

    #[test]
    fn stages_go_up_and_down_to_their_number_of_calls() {
        let stage = |calls, ramp_s, hold_s| Stage { calls, ramp_s, hold_s };
        let schedule = Schedule::Held(vec![stage(100, 10.0, 20.0), stage(40, 5.0, 10.0)]);
        let places = schedule.places(1);
        let calls = [0, 4_999, 10_000, 29_999, 36_000, 44_999, 45_000];
        assert_eq!(calls.map(|ms| calls_at(&places, ms)), [1, 50, 100, 100, 40, 40, 0]);
        assert_eq!((schedule.ms(), schedule.calls_max()), (45_000, 100));
        assert!(places.is_sorted_by_key(|place| place.from_ms));
    }

    #[test]
    fn without_a_ramp_all_calls_begin_at_once() {
        let schedule = Schedule::Held(vec![Stage { calls: 3, ramp_s: 0.0, hold_s: 1.0 }]);
        assert_eq!(schedule.places(1), [place(0, 1_000); 3]);
    }

    #[test]
    fn arrivals_come_at_their_rate_and_last_as_long_as_they_are_to() {
        let arrivals = Arrivals { per_s: 20.0, call_s: 5.0, ramp_s: 0.0, for_s: 100.0 };
        let places = Schedule::Arriving(arrivals).places(1);
        assert!(places.len().abs_diff(2_000) < 200, "{}", places.len());
        assert!(calls_at(&places, 50_000).abs_diff(100) < 40);
        assert_ne!(places, Schedule::Arriving(arrivals).places(2));
        assert!(places.iter().all(|place| !place.is_held && place.until_ms <= 100_000));
    }

    #[test]
    fn a_ramp_lets_fewer_arrive_at_first() {
        let arrivals = Arrivals { per_s: 20.0, call_s: 1.0, ramp_s: 50.0, for_s: 100.0 };
        let places = Schedule::Arriving(arrivals).places(1);
        let before = |ms: u64| places.iter().filter(|place| place.from_ms < ms).count();
        assert!(before(25_000) * 2 < before(50_000) - before(25_000));
    }
}
