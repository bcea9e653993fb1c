//! Whether a failed attempt is followed by another one.
//!
//! It refuses to guess: an attempt that may have run on the other side is tried
//! again only where the policy lists its status.

use super::backoff::Backoff;
use crate::types::RetryOn;

/// What is known of an attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptFailure {
    /// No connection could be made: the other side has seen nothing.
    NotSent,
    /// An answer came, with a status that is no success.
    Status {
        /// The HTTP status.
        status: u16,
        /// What its `Retry-After` asks for.
        retry_after_ms: Option<u64>,
    },
    /// It failed after it was sent and may have run. Never tried again.
    MayHaveRun,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Attempts made, the one that just failed included.
    pub attempts_used: u32,
    /// Time left for the answer.
    pub left_ms: u64,
}

/// What follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// Wait this long and try again.
    RetryAfter {
        /// Milliseconds; less than the time left.
        ms: u32,
    },
    /// The failure stands.
    GiveUp,
}

/// When a provider's requests are tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts_max: u32,
    retry_on: Vec<RetryOn>,
    backoff: Backoff,
}

impl RetryPolicy {
    /// At most `attempts_max` attempts in all, for the failures in `retry_on`.
    #[must_use]
    pub const fn new(attempts_max: u32, retry_on: Vec<RetryOn>, backoff: Backoff) -> Self {
        Self { attempts_max, retry_on, backoff }
    }

    /// Decides after a failed attempt. `random` (0 to 1) spreads the wait.
    ///
    /// A wait that would use up the time left is not begun: the caller hears at once
    /// that this turn failed, instead of after a silence that leads to the same.
    #[must_use]
    pub fn decide(
        &self,
        failure: AttemptFailure,
        progress: Progress,
        random: f64,
    ) -> RetryDecision {
        if progress.attempts_used >= self.attempts_max || !self.covers(failure) {
            return RetryDecision::GiveUp;
        }
        let ms = self.wait_ms(failure, progress.attempts_used, random);
        if u64::from(ms) < progress.left_ms {
            RetryDecision::RetryAfter { ms }
        } else {
            RetryDecision::GiveUp
        }
    }

    /// How long the other side should be left alone after `failure`, whether or not
    /// this request is tried again.
    #[must_use]
    pub fn wait_ms(&self, failure: AttemptFailure, attempts_used: u32, random: f64) -> u32 {
        let asked_ms = match failure {
            AttemptFailure::Status { retry_after_ms, .. } => retry_after_ms,
            AttemptFailure::NotSent | AttemptFailure::MayHaveRun => None,
        };
        self.backoff.wait_ms(attempts_used, asked_ms, random)
    }

    fn covers(&self, failure: AttemptFailure) -> bool {
        self.retry_on.iter().any(|cause| match (cause, failure) {
            (RetryOn::NotSent, AttemptFailure::NotSent) => true,
            (RetryOn::TooManyRequests, AttemptFailure::Status { status, .. }) => status == 429,
            (RetryOn::Unavailable, AttemptFailure::Status { status, .. }) => status == 503,
            (RetryOn::ServerError, AttemptFailure::Status { status, .. }) => {
                (500..=599).contains(&status)
            }
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Progress = Progress { attempts_used: 1, left_ms: 20_000 };

    fn policy(retry_on: &[RetryOn]) -> RetryPolicy {
        RetryPolicy::new(3, retry_on.to_vec(), Backoff::new(250, 2_000))
    }

    const fn status(status: u16) -> AttemptFailure {
        AttemptFailure::Status { status, retry_after_ms: None }
    }

    fn retried(policy: &RetryPolicy, failures: &[AttemptFailure]) -> Vec<bool> {
        let again = |failure| policy.decide(failure, LONG, 0.5) != RetryDecision::GiveUp;
        failures.iter().copied().map(again).collect()
    }

    #[test]
    fn only_what_the_policy_lists_is_tried_again() {
        let failures = [
            status(429),
            status(503),
            status(500),
            status(404),
            AttemptFailure::NotSent,
            AttemptFailure::MayHaveRun,
        ];
        let at_least_once = [RetryOn::TooManyRequests, RetryOn::ServerError, RetryOn::NotSent];
        let at_most_once = [RetryOn::TooManyRequests, RetryOn::Unavailable, RetryOn::NotSent];
        assert_eq!(
            retried(&policy(&at_least_once), &failures),
            [true, true, true, false, true, false]
        );
        assert_eq!(
            retried(&policy(&at_most_once), &failures),
            [true, true, false, false, true, false]
        );
        assert_eq!(retried(&policy(&[]), &failures), [false; 6]);
    }

    #[test]
    fn credentials_that_were_refused_are_never_tried_again() {
        let everything = [
            RetryOn::TooManyRequests,
            RetryOn::Unavailable,
            RetryOn::ServerError,
            RetryOn::NotSent,
        ];
        assert_eq!(retried(&policy(&everything), &[status(401), status(403)]), [false, false]);
    }

    #[test]
    fn the_last_attempt_is_not_followed_by_another() {
        let policy = policy(&[RetryOn::ServerError]);
        let decisions: Vec<RetryDecision> = (1..=4)
            .map(|used| policy.decide(status(500), Progress { attempts_used: used, ..LONG }, 1.0))
            .collect();
        assert_eq!(
            decisions,
            [
                RetryDecision::RetryAfter { ms: 250 },
                RetryDecision::RetryAfter { ms: 500 },
                RetryDecision::GiveUp,
                RetryDecision::GiveUp,
            ]
        );
    }

    #[test]
    fn a_wait_that_would_use_up_the_time_left_is_not_begun() {
        let policy = policy(&[RetryOn::TooManyRequests]);
        let limited = AttemptFailure::Status { status: 429, retry_after_ms: Some(5_000) };
        let decide = |left_ms| policy.decide(limited, Progress { attempts_used: 1, left_ms }, 0.0);
        assert_eq!(decide(5_000), RetryDecision::GiveUp);
        assert_eq!(decide(5_001), RetryDecision::RetryAfter { ms: 5_000 });
    }
}
