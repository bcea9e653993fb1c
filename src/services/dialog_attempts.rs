//! One caller turn at a dialog platform, from the line in front of it to the reply
//! or the failure that stands: breaker, permit, attempt, back-off, next attempt.
//!
//! It knows no wire format: an adapter hands in what one attempt is. It never
//! repeats an attempt that its policy does not list, and never keeps a permit while
//! it waits. It never waits for an open breaker: a caller who hears at once that the
//! turn failed is better off than one who hears nothing for seconds, and of all who
//! waited one alone would be let through.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::breaker::{Admitted, ProviderBreaker};
use super::governor::{Governor, Permit};
use super::http::ExchangeError;
use super::jitter::Jitter;
use crate::resilience::{AttemptFailure, Backoff, Place, Progress, RetryDecision, RetryPolicy};
use crate::telemetry::{AttemptOutcome, DialogFact, RetryCause};
use crate::types::{CallId, DialogFailure, DialogReply, DialogRequest, RetryOn};

/// Longest wait after the first attempt, when the platform asks for none.
const BACKOFF_FIRST_MS: u32 = 250;
/// Longest wait after any attempt, when the platform asks for none.
const BACKOFF_MS_MAX: u32 = 2_000;

/// How a platform is asked, whatever its wire format.
#[derive(Debug)]
pub(super) struct DialogAttempts {
    governor: Arc<Governor>,
    breaker: Arc<ProviderBreaker>,
    policy: RetryPolicy,
    attempt_ms_max: u32,
    jitter: Jitter,
}

/// The limits of a platform's settings.
#[derive(Debug)]
pub(super) struct AttemptLimits {
    /// Longest time for one attempt.
    pub(super) attempt_ms_max: u32,
    /// Attempts in all.
    pub(super) attempts_max: u32,
    /// What is tried again.
    pub(super) retry_on: Vec<RetryOn>,
}

impl DialogAttempts {
    pub(super) fn new(
        governor: Arc<Governor>,
        breaker: Arc<ProviderBreaker>,
        limits: AttemptLimits,
        jitter: Jitter,
    ) -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MS_MAX);
        let policy = RetryPolicy::new(limits.attempts_max, limits.retry_on, backoff);
        Self { governor, breaker, policy, attempt_ms_max: limits.attempt_ms_max, jitter }
    }

    /// Runs `attempt` (which gets the milliseconds it may take) until it brings a
    /// reply, its failure is final, or the time for the answer is over.
    pub(super) async fn run<F>(
        &self,
        request: &DialogRequest,
        attempt: impl Fn(u32) -> F,
    ) -> Result<DialogReply, DialogFailure>
    where
        F: Future<Output = Result<DialogReply, ExchangeError>>,
    {
        let deadline = Instant::now() + Duration::from_millis(request.answer_ms_max.into());
        let mut place = Place::Back;
        let (mut attempts_used, mut waited_ms) = (0, 0);
        loop {
            let (permit, pass) = self.admitted(request, place, deadline).await?;
            waited_ms += permit.waited_ms();
            let outcome = timeout_at(deadline, attempt(self.attempt_ms_max)).await;
            let outcome = outcome.unwrap_or(Err(ExchangeError::TimedOut));
            pass.judge(&outcome);
            self.governor.tell(&DialogFact::Attempted(told(&outcome)));
            let error = match outcome {
                Ok(reply) => return Ok(DialogReply { waited_ms, ..reply }),
                Err(error) => error,
            };
            attempts_used += 1;
            let decision = self.after(&error, attempts_used, deadline);
            // Only now may the next in line be let through: the pause has begun, if any, and
            // the breaker knows.
            drop(permit);
            match decision {
                RetryDecision::GiveUp => return Err(error.into()),
                RetryDecision::RetryAfter { ms } if self.breaker.refuses_in(ms) => {
                    return Err(error.into());
                }
                RetryDecision::RetryAfter { ms } => {
                    self.tell_retry(&request.call_id, &error, attempts_used, ms);
                    sleep(Duration::from_millis(ms.into())).await;
                }
            }
            place = Place::Front;
        }
    }

    /// Waits in line for a permit, unless the breaker is open or opens meanwhile: then
    /// everybody leaves the line at once.
    async fn admitted(
        &self,
        request: &DialogRequest,
        place: Place,
        deadline: Instant,
    ) -> Result<(Permit, Admitted), DialogFailure> {
        tokio::select! {
            biased;
            refused = self.breaker.refused() => Err(refused.into()),
            permit = self.governor.acquire(&request.call_id, place, deadline) => {
                let permit = permit?;
                let ms_max = self.attempt_ms_max.min(request.answer_ms_max);
                Ok((permit, self.breaker.admit(ms_max)?))
            }
        }
    }

    fn tell_retry(
        &self,
        call_id: &CallId,
        error: &ExchangeError,
        attempts_used: u32,
        wait_ms: u32,
    ) {
        let cause = match error {
            ExchangeError::NotSent | ExchangeError::NotSecure(_) => RetryCause::NotSent,
            ExchangeError::Status { status: 429, .. } => RetryCause::RateLimited,
            _ => RetryCause::ServerError,
        };
        let error = error.to_string();
        self.governor.tell(&DialogFact::Retried { call_id, cause, error, attempts_used, wait_ms });
    }

    /// Decides what follows a failed attempt, and holds the other calls back when the
    /// platform has had too much.
    fn after(&self, error: &ExchangeError, attempts_used: u32, deadline: Instant) -> RetryDecision {
        let random = (self.jitter)();
        let failure = error.attempt_failure();
        if matches!(failure, AttemptFailure::Status { status: 429, .. }) {
            self.governor.pause_ms(self.policy.wait_ms(failure, attempts_used, random));
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        self.policy.decide(failure, Progress { attempts_used, left_ms }, random)
    }
}

/// What came of an attempt, for the metrics.
fn told<T>(outcome: &Result<T, ExchangeError>) -> AttemptOutcome {
    match outcome {
        Ok(_) => AttemptOutcome::Answered,
        Err(ExchangeError::NotSent | ExchangeError::NotSecure(_)) => AttemptOutcome::NotSent,
        Err(ExchangeError::Broken) => AttemptOutcome::Broken,
        Err(ExchangeError::TimedOut) => AttemptOutcome::TimedOut,
        Err(ExchangeError::Status { status, .. }) => match status {
            429 => AttemptOutcome::RateLimited,
            401 | 403 => AttemptOutcome::Refused,
            400..=499 => AttemptOutcome::ClientError,
            500..=599 => AttemptOutcome::ServerError,
            _ => AttemptOutcome::OtherStatus,
        },
        Err(ExchangeError::TooLong { .. } | ExchangeError::Malformed(_)) => {
            AttemptOutcome::Malformed
        }
    }
}

impl ExchangeError {
    const fn attempt_failure(&self) -> AttemptFailure {
        match *self {
            Self::NotSent | Self::NotSecure(_) => AttemptFailure::NotSent,
            Self::Status { status, retry_after_ms } => {
                AttemptFailure::Status { status, retry_after_ms }
            }
            Self::Broken | Self::TimedOut | Self::TooLong { .. } | Self::Malformed(_) => {
                AttemptFailure::MayHaveRun
            }
        }
    }
}

impl From<ExchangeError> for DialogFailure {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::NotSent | ExchangeError::NotSecure(_) | ExchangeError::Broken => {
                Self::Unreachable
            }
            ExchangeError::TimedOut => Self::Timeout,
            ExchangeError::Status { status: 401, .. } => Self::Unauthorized,
            ExchangeError::Status { status: 403, .. } => Self::Forbidden,
            ExchangeError::Status { status: 429, .. } => Self::RateLimited,
            ExchangeError::Status { status, .. } => Self::Status { status },
            ExchangeError::TooLong { .. } | ExchangeError::Malformed(_) => {
                Self::Malformed { message: error.to_string() }
            }
        }
    }
}

#[cfg(test)]
mod tests;
