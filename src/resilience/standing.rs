//! What became of the latest requests to a provider: whether a caller would be served now.
//!
//! One failure is doubt, as is whatever else speaks against a provider, which the next request resolves; when none comes by itself, one
//! of the engine's own is due, ever more rarely. Two failures in a row say that nobody is
//! served, whatever a check of the address says, until one request is carried out.
//!
//! It refuses to know what a request is and what time it is: both are the caller's.

use super::Backoff;
use crate::types::Now;

/// Failures in a row after which nobody is served.
const FAILURES_MAX: u32 = 2;
/// Waits before requests of the engine's own.
const TRIAL_BACKOFF: Backoff = Backoff::new(2_000, 60_000);

/// The record of one provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    /// Since the last request that was carried out.
    failures: u32,
    trials: u32,
    trial_at: Option<Now>,
    worked_at: Option<Now>,
    failed_at: Option<Now>,
}

impl Standing {
    /// A request was carried out.
    pub fn worked(&mut self, now: Now) {
        *self = Self { worked_at: Some(now), ..Self::default() };
    }

    /// A request was not.
    pub fn failed(&mut self, now: Now) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = Some(now);
        self.doubted(now);
    }

    /// Something else says that requests would fail: one is to show it.
    pub fn doubted(&mut self, now: Now) {
        if self.trial_at.is_none() {
            self.plan_trial(now);
        }
    }

    /// Nothing else says that any more.
    pub const fn trusted(&mut self) {
        if self.failures == 0 {
            (self.trials, self.trial_at) = (0, None);
        }
    }

    /// Whether the latest request failed.
    #[must_use]
    pub const fn is_in_doubt(&self) -> bool {
        self.failures > 0
    }

    /// Failures in a row when they are so many that the next caller would not be served.
    #[must_use]
    pub const fn failing(&self) -> Option<u32> {
        if self.failures < FAILURES_MAX { None } else { Some(self.failures) }
    }

    /// Whether a request was carried out within the last `ms`, and none failed since.
    #[must_use]
    pub fn worked_within(&self, now: Now, ms: u64) -> bool {
        self.failures == 0 && self.worked_at.is_some_and(|at| now.ms_since(at) <= ms)
    }

    /// Whether a request failed within the last `ms`, and none was carried out since.
    #[must_use]
    pub fn failed_within(&self, now: Now, ms: u64) -> bool {
        self.failed_at.is_some_and(|at| now.ms_since(at) <= ms)
    }

    /// Whether a request of the engine's own is to be made now. It is planned anew then.
    pub fn take_trial(&mut self, now: Now) -> bool {
        let is_due = self.trial_at.is_some_and(|at| at <= now);
        if is_due {
            self.plan_trial(now);
        }
        is_due
    }

    /// At the whole of its step: where chance would spread the trials of many engines, each
    /// has failed at a time of its own.
    fn plan_trial(&mut self, now: Now) {
        self.trials = self.trials.saturating_add(1);
        self.trial_at = Some(now.plus_ms(TRIAL_BACKOFF.wait_ms(self.trials, None, 1.0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u32) -> Now {
        Now::default().plus_ms(ms)
    }

    #[test]
    fn one_failure_is_doubt_and_two_in_a_row_say_that_nobody_is_served() {
        let mut standing = Standing::default();
        standing.failed(at(0));
        assert_eq!(standing.failing(), None);
        standing.worked(at(1));
        standing.failed(at(2));
        assert_eq!(standing.failing(), None);
        standing.failed(at(3));
        assert_eq!(standing.failing(), Some(2));
        standing.worked(at(4));
        assert_eq!(standing.failing(), None);
    }

    #[test]
    fn doubt_is_looked_into_ever_more_rarely_until_a_request_is_carried_out() {
        let mut standing = Standing::default();
        assert!(!standing.take_trial(at(1_000_000)), "nothing failed");
        standing.failed(at(0));
        let mut trials = Vec::new();
        for second in 0..200 {
            if standing.take_trial(at(second * 1_000)) {
                trials.push(second);
                standing.failed(at(second * 1_000));
            }
        }
        assert_eq!(trials, [2, 6, 14, 30, 62, 122, 182]);
        standing.worked(at(200_000));
        assert!(!standing.take_trial(at(1_000_000)));
        standing.failed(at(1_000_000));
        assert!(standing.take_trial(at(1_002_000)));
    }

    #[test]
    fn doubt_that_comes_from_elsewhere_is_looked_into_until_it_is_gone() {
        let mut standing = Standing::default();
        for second in 0..3 {
            assert!(!standing.take_trial(at(second * 500)));
            standing.doubted(at(second * 500));
        }
        assert!(standing.take_trial(at(2_000)));
        assert!(!standing.is_in_doubt() && standing.failing().is_none());
        standing.trusted();
        assert!(!standing.take_trial(at(1_000_000)));
        standing.failed(at(1_000_000));
        standing.trusted();
        assert!(standing.take_trial(at(1_002_000)), "a request failed, whatever is trusted");
    }

    #[test]
    fn what_worked_a_moment_ago_works_until_something_fails() {
        let mut standing = Standing::default();
        assert!(!standing.worked_within(at(0), 5_000), "nothing is known");
        standing.worked(at(1_000));
        assert!(standing.worked_within(at(6_000), 5_000));
        assert!(!standing.worked_within(at(6_001), 5_000));
        standing.failed(at(2_000));
        assert!(!standing.worked_within(at(2_000), 5_000));
    }

    #[test]
    fn what_failed_a_moment_ago_fails_until_something_works() {
        let mut standing = Standing::default();
        assert!(!standing.failed_within(at(0), 5_000), "nothing is known");
        standing.failed(at(1_000));
        assert!(standing.failed_within(at(6_000), 5_000));
        assert!(!standing.failed_within(at(6_001), 5_000));
        standing.worked(at(2_000));
        assert!(!standing.failed_within(at(2_000), 5_000));
    }
}
