//! Leaves a provider alone that fails again and again, so that callers hear at once
//! that it failed instead of waiting for it one by one.
//!
//! A thin shell around [`Breaker`]: it tells the time, says what a failure is, and makes
//! sure that every pass comes back, also that of a request that was cancelled. It asks
//! nothing itself, and knows nothing of the periodic checks behind `/ready`: those ask
//! whether a provider is there, a breaker whether it answers calls.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::http::ExchangeError;
use crate::config::BreakerSettings;
use crate::resilience::{Breaker, BreakerState, Outcome, Pass};
use crate::telemetry::BreakerMeter;
use crate::types::{DialogFailure, Now, SttFailure, TtsFailure};

/// The breaker in front of one provider.
#[derive(Debug)]
pub(super) struct ProviderBreaker {
    inner: Mutex<Inner>,
    /// Tells whoever waits for something else that the state has changed.
    changes: watch::Sender<()>,
    settings: BreakerSettings,
    outcome_of: fn(&ExchangeError) -> Outcome,
    started: Instant,
    meter: Option<BreakerMeter>,
}

#[derive(Debug)]
struct Inner {
    breaker: Breaker,
    /// The failure that opened it, or that the latest probe met.
    cause: ExchangeError,
    opened_at: Now,
}

/// The right to make one request. Dropping it without [`Self::judge`] is judged too:
/// a holder that was cancelled after a long silence says as much as a timeout.
#[derive(Debug)]
#[must_use = "the request counts as given up when this is dropped"]
pub(super) struct Admitted {
    breaker: Arc<ProviderBreaker>,
    pass: Option<Pass>,
    begun: Instant,
    silence_min: Duration,
}

/// The provider is not asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it failed too often in a row (last time: {cause})")]
pub(super) struct Refused {
    cause: ExchangeError,
}

impl ProviderBreaker {
    /// A closed breaker. It tells by `meter`.
    pub(super) fn new(settings: &BreakerSettings, meter: Option<BreakerMeter>) -> Arc<Self> {
        Self::judging(outcome_of, settings, meter)
    }

    /// The same in front of a recogniser or a synthesiser.
    pub(super) fn of_speech(settings: &BreakerSettings, meter: Option<BreakerMeter>) -> Arc<Self> {
        Self::judging(outcome_of_speech, settings, meter)
    }

    fn judging(
        outcome_of: fn(&ExchangeError) -> Outcome,
        settings: &BreakerSettings,
        meter: Option<BreakerMeter>,
    ) -> Arc<Self> {
        let breaker = Breaker::new(settings.failures_max, settings.open_ms);
        let (cause, opened_at) = (ExchangeError::NotSent, Now::default());
        Arc::new(Self {
            inner: Mutex::new(Inner { breaker, cause, opened_at }),
            changes: watch::Sender::new(()),
            settings: settings.clone(),
            outcome_of,
            started: Instant::now(),
            meter,
        })
    }

    /// Lets a request through that may take `ms_max`, or refuses it at once.
    pub(super) fn admit(self: &Arc<Self>, ms_max: u32) -> Result<Admitted, Refused> {
        let now = self.now();
        let pass = self.change(|inner| inner.breaker.admit(now));
        let pass = pass.ok_or_else(|| self.refusal())?;
        Ok(Admitted {
            breaker: Arc::clone(self),
            pass: Some(pass),
            begun: Instant::now(),
            silence_min: Duration::from_millis(ms_max.into()) / 2,
        })
    }

    /// Resolves as soon as requests are refused, so that nobody stands in line in vain.
    pub(super) async fn refused(&self) -> Refused {
        let mut changes = self.changes.subscribe();
        while !self.refuses_in(0) {
            changes.changed().await.expect("the sender is here");
        }
        self.refusal()
    }

    /// Whether requests would be refused in `ms`, as it stands now.
    pub(super) fn refuses_in(&self, ms: u32) -> bool {
        let then = self.now().plus_ms(ms);
        self.inner.lock().breaker.refuses(then)
    }

    fn refusal(&self) -> Refused {
        if let Some(meter) = &self.meter {
            meter.refused();
        }
        Refused { cause: self.inner.lock().cause.clone() }
    }

    fn report(&self, pass: Pass, outcome: Outcome, error: Option<&ExchangeError>) {
        let now = self.now();
        self.change(|inner| {
            let before = inner.breaker.state();
            inner.breaker.report(now, pass, outcome);
            let has_opened = before != BreakerState::Open
                && inner.breaker.state() == BreakerState::Open
                && outcome == Outcome::Fails;
            if let (true, Some(error)) = (has_opened, error) {
                inner.cause = error.clone();
            }
        });
    }

    /// Carries out `step`, and tells when it changed the state. Told under the lock, so
    /// that what is told comes in the order in which it happened.
    fn change<T>(&self, step: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.inner.lock();
        let before = inner.breaker.state();
        let result = step(&mut inner);
        let after = inner.breaker.state();
        if before != after {
            self.tell(&mut inner, before, after);
            self.changes.send_replace(());
        }
        result
    }

    fn tell(&self, inner: &mut Inner, before: BreakerState, after: BreakerState) {
        let now = self.now();
        if before == BreakerState::Closed {
            inner.opened_at = now;
        }
        let Some(meter) = &self.meter else { return };
        let BreakerSettings { failures_max, open_ms } = self.settings;
        match (before, after) {
            (BreakerState::Closed, _) => {
                meter.opened(failures_max, open_ms, inner.cause.to_string());
            }
            (_, BreakerState::Closed) => meter.closed(now.ms_since(inner.opened_at)),
            (_, BreakerState::HalfOpen) => meter.half_opened(),
            (_, BreakerState::Open) => meter.stayed_open(),
        }
    }

    fn now(&self) -> Now {
        let nanos = self.started.elapsed().as_nanos();
        Now(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

impl Admitted {
    /// Says what came of the request.
    pub(super) fn judge<T>(mut self, answer: &Result<T, ExchangeError>) {
        self.give_back(answer.as_ref().err());
    }

    fn give_back(&mut self, error: Option<&ExchangeError>) {
        let Some(pass) = self.pass.take() else { return };
        let outcome = match error {
            None => Outcome::Works,
            Some(ExchangeError::TimedOut) if self.begun.elapsed() < self.silence_min => {
                Outcome::Unknown
            }
            Some(error) => (self.breaker.outcome_of)(error),
        };
        self.breaker.report(pass, outcome, error);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.give_back(Some(&ExchangeError::TimedOut));
    }
}

/// What a failed exchange says about the provider. Silence that was cut short because
/// the request came late says nothing; who calls has looked at that.
const fn outcome_of(error: &ExchangeError) -> Outcome {
    match error {
        ExchangeError::NotSent
        | ExchangeError::NotSecure(_)
        | ExchangeError::Broken
        | ExchangeError::TimedOut
        // A refused key is refused to every call.
        | ExchangeError::Status { status: 401 | 403 | 500..=599, .. } => Outcome::Fails,
        // Somebody in front has enough for now; whether the provider itself works does
        // not show. The dialog platform's pause is the governor's.
        ExchangeError::Status { status: 429, .. } => Outcome::Unknown,
        // It answers. That this request went wrong says nothing about the next one.
        ExchangeError::Status { .. }
        | ExchangeError::TooLong { .. }
        | ExchangeError::Malformed(_) => Outcome::Works,
    }
}

/// What a failed exchange says about a recogniser or a synthesiser. There every request asks
/// for the same, so that one which is refused, or answered with what nobody can use, speaks
/// for those that follow: a caller hears nothing of any of them.
const fn outcome_of_speech(error: &ExchangeError) -> Outcome {
    match error {
        ExchangeError::Status { status: 429, .. } => Outcome::Unknown,
        _ => Outcome::Fails,
    }
}

impl From<Refused> for DialogFailure {
    /// While the key is refused, a call ends as it would have, had it asked.
    fn from(refused: Refused) -> Self {
        match refused.cause {
            ExchangeError::Status { status: 401 | 403, .. } => refused.cause.into(),
            _ => Self::BreakerOpen { message: refused.to_string() },
        }
    }
}

impl From<Refused> for SttFailure {
    fn from(refused: Refused) -> Self {
        Self::BreakerOpen { message: refused.to_string() }
    }
}

impl From<Refused> for TtsFailure {
    fn from(refused: Refused) -> Self {
        Self::BreakerOpen { message: refused.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::types::TlsFault;

    fn breaker(failures_max: u32) -> Arc<ProviderBreaker> {
        ProviderBreaker::new(&BreakerSettings { failures_max, open_ms: 5_000 }, None)
    }

    const fn status(status: u16) -> ExchangeError {
        ExchangeError::Status { status, retry_after_ms: None }
    }

    fn ask(breaker: &Arc<ProviderBreaker>, answer: Result<(), ExchangeError>) {
        breaker.admit(10_000).expect("closed").judge(&answer);
    }

    #[test]
    fn what_shows_that_nobody_answers_counts_and_what_was_answered_does_not() {
        for error in [
            ExchangeError::NotSent,
            ExchangeError::NotSecure(TlsFault::Expired),
            ExchangeError::Broken,
            status(500),
            status(503),
            status(401),
            status(403),
        ] {
            let breaker = breaker(1);
            ask(&breaker, Err(error.clone()));
            assert_eq!(breaker.admit(10_000).err(), Some(Refused { cause: error }));
        }
        for error in [
            status(302),
            status(400),
            status(404),
            status(429),
            ExchangeError::TooLong { bytes_max: 1 },
            ExchangeError::Malformed("is no JSON"),
        ] {
            let breaker = breaker(1);
            ask(&breaker, Err(error.clone()));
            assert!(!breaker.refuses_in(0), "{error}");
        }
    }

    #[test]
    fn a_recogniser_or_synthesiser_that_refuses_or_answers_with_rubbish_again_and_again_is_left_alone()
     {
        for error in [status(404), status(415), ExchangeError::Malformed("is no speech")] {
            let breaker =
                ProviderBreaker::of_speech(&BreakerSettings { failures_max: 2, open_ms: 1 }, None);
            ask(&breaker, Err(error.clone()));
            ask(&breaker, Ok(()));
            ask(&breaker, Err(error.clone()));
            assert!(!breaker.refuses_in(0), "one sentence that is refused says nothing");
            ask(&breaker, Err(status(429)));
            ask(&breaker, Err(error));
            assert!(breaker.refuses_in(0));
        }
    }

    #[test]
    fn being_turned_away_says_nothing_while_every_other_answer_begins_the_count_anew() {
        let counts_on = |between: Result<(), ExchangeError>| {
            let breaker = breaker(2);
            ask(&breaker, Err(ExchangeError::Broken));
            ask(&breaker, between);
            ask(&breaker, Err(ExchangeError::Broken));
            breaker.refuses_in(0)
        };
        assert!(counts_on(Err(status(429))));
        let answers = [Ok(()), Err(status(404)), Err(ExchangeError::Malformed("is no JSON"))];
        assert!(!answers.into_iter().any(counts_on));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_counts_when_it_was_long_however_it_ended() {
        let silent_for = async |ms: u64| {
            let breaker = breaker(1);
            let pass = breaker.admit(10_000).expect("closed");
            sleep(Duration::from_millis(ms)).await;
            pass.judge::<()>(&Err(ExchangeError::TimedOut));
            breaker.refuses_in(0)
        };
        assert_eq!([silent_for(4_999).await, silent_for(5_000).await], [false, true]);
        let cancelled_after = async |ms: u64| {
            let breaker = breaker(1);
            let pass = breaker.admit(10_000).expect("closed");
            sleep(Duration::from_millis(ms)).await;
            drop(pass);
            breaker.refuses_in(0)
        };
        assert_eq!([cancelled_after(4_999).await, cancelled_after(5_000).await], [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_reason_told_is_the_one_that_opened_it_and_not_what_an_old_request_met() {
        let breaker = breaker(1);
        let old = breaker.admit(10_000).expect("closed");
        ask(&breaker, Err(ExchangeError::Broken));
        old.judge::<()>(&Err(status(401)));
        let refused = breaker.admit(10_000).expect_err("open");
        assert_eq!(refused, Refused { cause: ExchangeError::Broken });
        sleep(Duration::from_millis(5_000)).await;
        ask(&breaker, Err(status(503)));
        assert_eq!(breaker.admit(1).err(), Some(Refused { cause: status(503) }));
    }
}
