//! One caller turn at a dialog platform, from the line in front of it to the reply
//! or the failure that stands: permit, attempt, back-off, next attempt.
//!
//! It knows no wire format: an adapter hands in what one attempt is. It never
//! repeats an attempt that its policy does not list, and never keeps a permit while
//! it waits.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::governor::Governor;
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
    pub(super) fn new(governor: Arc<Governor>, limits: AttemptLimits, jitter: Jitter) -> Self {
        let backoff = Backoff::new(BACKOFF_FIRST_MS, BACKOFF_MS_MAX);
        let policy = RetryPolicy::new(limits.attempts_max, limits.retry_on, backoff);
        Self { governor, policy, attempt_ms_max: limits.attempt_ms_max, jitter }
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
            let permit = self.governor.acquire(&request.call_id, place, deadline).await?;
            waited_ms += permit.waited_ms();
            let outcome = timeout_at(deadline, attempt(self.attempt_ms_max)).await;
            let outcome = outcome.unwrap_or(Err(ExchangeError::TimedOut));
            self.governor.tell(&DialogFact::Attempted(told(&outcome)));
            let error = match outcome {
                Ok(reply) => return Ok(DialogReply { waited_ms, ..reply }),
                Err(error) => error,
            };
            attempts_used += 1;
            let decision = self.after(&error, attempts_used, deadline);
            // Only now may the next in line be let through: the pause has begun, if any.
            drop(permit);
            match decision {
                RetryDecision::GiveUp => return Err(error.into()),
                RetryDecision::RetryAfter { ms } => {
                    self.tell_retry(&request.call_id, &error, attempts_used, ms);
                    sleep(Duration::from_millis(ms.into())).await;
                }
            }
            place = Place::Front;
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
            ExchangeError::NotSent | ExchangeError::NotTrusted => RetryCause::NotSent,
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
        Err(ExchangeError::NotSent | ExchangeError::NotTrusted) => AttemptOutcome::NotSent,
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
            Self::NotSent | Self::NotTrusted => AttemptFailure::NotSent,
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
            ExchangeError::NotSent | ExchangeError::NotTrusted | ExchangeError::Broken => {
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
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::types::{SessionData, TurnId, UserId};

    const LIMITED: ExchangeError =
        ExchangeError::Status { status: 429, retry_after_ms: Some(3_000) };

    const fn status(status: u16) -> ExchangeError {
        ExchangeError::Status { status, retry_after_ms: None }
    }

    fn attempts(governor: &Arc<Governor>) -> DialogAttempts {
        let limits = AttemptLimits {
            attempt_ms_max: 10_000,
            attempts_max: 3,
            retry_on: vec![RetryOn::TooManyRequests, RetryOn::ServerError, RetryOn::NotSent],
        };
        DialogAttempts::new(Arc::clone(governor), limits, || 1.0)
    }

    fn request(call: &str, answer_ms_max: u32) -> DialogRequest {
        DialogRequest {
            call_id: CallId::new(call).unwrap(),
            user_id: UserId::from("joe"),
            turn: TurnId(1),
            text: "hello".into(),
            session: SessionData::default(),
            answer_ms_max,
            trace: None,
        }
    }

    fn reply() -> DialogReply {
        DialogReply {
            outputs: Vec::new(),
            intent: None,
            confidence: None,
            next_state: None,
            session: SessionData::default(),
            end_call: false,
            waited_ms: 0,
        }
    }

    /// Runs a turn whose attempts fail as scripted and then succeed. Returns its outcome
    /// and when, in milliseconds, each attempt was made.
    async fn run(
        governor: &Arc<Governor>,
        answer_ms_max: u32,
        failures: &[ExchangeError],
    ) -> (Result<(), DialogFailure>, Vec<u128>) {
        let begun = Instant::now();
        let tried_at_ms = RefCell::new(Vec::new());
        let outcome = attempts(governor)
            .run(&request("call", answer_ms_max), |_| {
                let mut tried = tried_at_ms.borrow_mut();
                let answer = failures.get(tried.len()).cloned().map_or(Ok(reply()), Err);
                tried.push(begun.elapsed().as_millis());
                std::future::ready(answer)
            })
            .await;
        (outcome.map(|_| ()), tried_at_ms.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_tried_three_times_in_all_with_growing_waits() {
        let governor = Governor::new(10, 10, None);
        let outcome = run(&governor, 25_000, &[status(500), ExchangeError::NotSent]).await;
        assert_eq!(outcome, (Ok(()), vec![0, 250, 750]));
        let outcome = run(&governor, 25_000, &[status(500), status(502), status(503)]).await;
        assert_eq!(outcome, (Err(DialogFailure::Status { status: 503 }), vec![0, 250, 750]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_have_run_and_refused_credentials_are_not_tried_again() {
        let governor = Governor::new(10, 10, None);
        for (error, failure) in [
            (status(401), DialogFailure::Unauthorized),
            (status(403), DialogFailure::Forbidden),
            (ExchangeError::Broken, DialogFailure::Unreachable),
            (ExchangeError::TimedOut, DialogFailure::Timeout),
        ] {
            assert_eq!(run(&governor, 25_000, &[error]).await, (Err(failure), vec![0]));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_rate_limited_turn_waits_as_long_as_the_platform_asks() {
        let outcome = run(&Governor::new(10, 10, None), 25_000, &[LIMITED]).await;
        assert_eq!(outcome, (Ok(()), vec![0, 3_000]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_retry_after_beyond_the_time_left_fails_the_turn_at_once() {
        let outcome = run(&Governor::new(10, 10, None), 3_000, &[LIMITED]).await;
        assert_eq!(outcome, (Err(DialogFailure::RateLimited), vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_absurd_retry_after_holds_the_next_turns_for_half_a_minute_only() {
        let governor = Governor::new(10, 10, None);
        let absurd = ExchangeError::Status { status: 429, retry_after_ms: Some(u64::MAX) };
        assert_eq!(run(&governor, 25_000, &[absurd]).await.0, Err(DialogFailure::RateLimited));
        assert_eq!(run(&governor, 60_000, &[]).await, (Ok(()), vec![30_000]));
    }

    #[tokio::test(start_paused = true)]
    async fn while_one_turn_waits_on_a_rate_limit_the_others_are_held_back_too() {
        let governor = Governor::new(10, 10, None);
        let (limited, other) = tokio::join!(run(&governor, 25_000, &[LIMITED]), async {
            sleep(Duration::from_millis(10)).await;
            run(&governor, 25_000, &[]).await
        });
        assert_eq!(limited, (Ok(()), vec![0, 3_000]));
        assert_eq!(other, (Ok(()), vec![2_990]));
    }

    #[tokio::test(start_paused = true)]
    async fn no_permit_is_kept_while_a_turn_waits_for_its_next_attempt() {
        let governor = Governor::new(1, 10, None);
        let failures = [status(500)];
        let (failing, other) = tokio::join!(run(&governor, 25_000, &failures), async {
            sleep(Duration::from_millis(10)).await;
            run(&governor, 25_000, &[]).await
        });
        assert_eq!(failing, (Ok(()), vec![0, 250]));
        assert_eq!(other, (Ok(()), vec![0]));
    }

    #[tokio::test(start_paused = true)]
    async fn the_whole_turn_ends_at_its_deadline() {
        let governor = Governor::new(10, 10, None);
        let begun = Instant::now();
        let outcome =
            attempts(&governor).run(&request("call", 400), |_| std::future::pending()).await;
        assert_eq!(outcome, Err(DialogFailure::Timeout));
        assert_eq!(begun.elapsed().as_millis(), 400);
    }
}
