//! Whether the cores of the process have room for another call.
//!
//! A media thread knows how long it did not rest. What other threads do on the same cores
//! (new connections, refusals, providers) it feels only when it is late. So all that the
//! process does is looked at as well.

use std::fmt;

use super::busy::{BusyForecast, peak_percent};

/// So few calls are always taken: whatever the process is busy with, it is not they.
const CALLS_ALWAYS: usize = 8;

/// Time of all threads together that it takes to begin a call, in milliseconds.
const BEGIN_MS: f64 = 0.3;

/// Room on the cores.
#[derive(Debug)]
pub struct ProcessRoom {
    forecast: BusyForecast,
    busy_percent_max: u32,
}

impl ProcessRoom {
    /// All of it is left. `busy_percent_max` 0: and always will be.
    #[must_use]
    pub fn new(cores: usize, busy_percent_max: u32) -> Self {
        Self { forecast: BusyForecast::new(cores, BEGIN_MS), busy_percent_max }
    }

    /// Takes note of the calls that there are, and of the share of the time of all cores
    /// that the process took since the look before, 0 to 1. Five times a second.
    pub fn look(&mut self, calls: usize, busy: f64) {
        self.forecast.look(calls, busy);
    }

    /// Whether another call fits beside `calls`.
    ///
    /// # Errors
    /// How busy the process would be.
    pub fn take(&self, calls: usize) -> Result<(), CoresBusy> {
        let percent_max = self.busy_percent_max;
        if calls < CALLS_ALWAYS || percent_max == 0 {
            return Ok(());
        }
        let on_average = self.forecast.busy_at_most_with(calls + 1);
        let soon = self.forecast.soon_with(calls + 1);
        let shares = [(on_average, f64::from(percent_max)), (soon, peak_percent(percent_max))];
        let over = shares.into_iter().find(|(share, max)| 100.0 * share > *max);
        over.map_or(Ok(()), |(share, max)| {
            Err(CoresBusy { percent: (100.0 * share) as u32, percent_max: max as u32 })
        })
    }
}

/// With one more call the process would be too busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoresBusy {
    /// Share of the time of all its cores that it would take, at most.
    pub percent: u32,
    /// What it may be.
    pub percent_max: u32,
}

impl fmt::Display for CoresBusy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { percent, percent_max } = self;
        write!(
            f,
            "the process is busy for {percent} % of the time of its cores with one more call, more \
             than {percent_max}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(busy_percent_max: u32, calls: usize, busy: f64) -> ProcessRoom {
        let mut room = ProcessRoom::new(4, busy_percent_max);
        (0..500).for_each(|_| room.look(calls, busy));
        room
    }

    #[test]
    fn cores_that_are_busy_with_anything_take_no_more_calls() {
        assert_eq!(room(85, 100, 0.8).take(100), Ok(()));
        let because = room(85, 100, 0.9).take(100).expect_err("too busy");
        assert_eq!(because, CoresBusy { percent: 90, percent_max: 85 });
        let told = "the process is busy for 90 % of the time of its cores with one more call, \
                    more than 85";
        assert_eq!(because.to_string(), told);
    }

    #[test]
    fn a_few_calls_are_always_taken_and_a_limit_of_zero_never_refuses() {
        assert_eq!(room(85, 7, 1.0).take(7), Ok(()));
        assert_eq!(room(0, 1_000, 1.0).take(1_000), Ok(()));
    }
}
