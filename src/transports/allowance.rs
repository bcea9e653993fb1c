//! How much somebody may do in a second, and how much at once. Pure.

use std::time::Duration;

use tokio::time::Instant;

/// What may be spent: refilled as time passes, up to what may be done at once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    /// Time that one unit takes to come back.
    unit: Duration,
    /// Time that all of it takes to come back.
    all: Duration,
    /// When all of it is back, if nothing more is spent.
    full_at: Instant,
}

impl Allowance {
    /// A full one, at `now`.
    pub(super) fn new(per_second: u32, at_once: u32, now: Instant) -> Self {
        let unit = Duration::from_secs(1) / per_second.max(1);
        Self { unit, all: unit * at_once.max(1), full_at: now }
    }

    /// Spends so many units, of which there may be too few: then the debt is paid first.
    /// `false`: there were too few.
    pub(super) fn spend(&mut self, units: u32, now: Instant) -> bool {
        self.full_at = self.full_at.max(now) + self.unit * units;
        self.full_at.duration_since(now) <= self.all
    }

    /// Whether nothing is left.
    pub(super) fn is_spent(&self, now: Instant) -> bool {
        self.full_at.saturating_duration_since(now) + self.unit > self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_at_once_and_then_as_many_as_time_brings() {
        let begin = Instant::now();
        let at = |ms| begin + Duration::from_millis(ms);
        let mut allowance = Allowance::new(100, 5, begin);
        let spent: Vec<bool> = (0..7).map(|_| allowance.spend(1, begin)).collect();
        assert_eq!(spent, [true, true, true, true, true, false, false]);
        assert!(allowance.is_spent(at(20)), "the debt of two is paid");
        assert!(!allowance.is_spent(at(30)));
        assert!(allowance.spend(1, at(30)) && !allowance.spend(1, at(30)));
        assert!(!allowance.is_spent(at(10_000)));
        assert!(
            allowance.spend(5, at(10_000)) && !allowance.spend(1, at(10_000)),
            "no more than at once"
        );
    }
}
