//! The facts about the scarce dialog platforms: permits, attempts, retries.
//!
//! They are counted, and a retry is logged. None is written to the event file:
//! what came of a turn in the end is, by the call.

use std::time::Duration;

use metrics::{Gauge, Label};

use super::Telemetry;
use super::engine::EngineEvent;
use super::metrics::{Handle, Metric, Series};
use crate::types::CallId;

/// Tells for the governor of one platform: how many requests it lets through and holds
/// back, and what comes of them. Its series are registered with the platform.
#[derive(Debug)]
pub struct DialogMeter {
    telemetry: Telemetry,
    provider: &'static str,
    in_flight: Gauge,
    waiting: Gauge,
    throttles: Series,
    attempts: Series,
    retries: Series,
    permit_wait: Series,
}

impl DialogMeter {
    pub(super) fn register(telemetry: Telemetry, provider: &'static str) -> Self {
        let [in_flight, waiting] =
            [Metric::DialogInFlight, Metric::DialogWaiting].map(|metric| gauge(metric, provider));
        let series = |metric: Metric| metric.register_of_provider(provider);
        Self {
            telemetry,
            provider,
            in_flight,
            waiting,
            throttles: series(Metric::DialogThrottles),
            attempts: series(Metric::DialogAttempts),
            retries: series(Metric::DialogRetries),
            permit_wait: series(Metric::PermitWait),
        }
    }

    /// How many requests may hold a permit, and how many may wait for one.
    pub fn limits(&self, in_flight_max: u32, waiting_max: u32) {
        gauge(Metric::DialogPermitsMax, self.provider).set(f64::from(in_flight_max));
        gauge(Metric::DialogWaitingMax, self.provider).set(f64::from(waiting_max));
    }

    /// How many requests hold a permit, and how many wait for one.
    pub fn load(&self, in_flight: u32, waiting: u32) {
        self.in_flight.set(f64::from(in_flight));
        self.waiting.set(f64::from(waiting));
    }

    /// The platform asked for `wait_ms` of rest.
    pub fn throttled(&self, wait_ms: u64) {
        self.throttles.count(&[]);
        let provider = self.provider.to_owned();
        self.telemetry.engine_event(&EngineEvent::DialogThrottled { provider, wait_ms });
    }

    /// A fact about the platform.
    pub fn fact(&self, fact: &DialogFact<'_>) {
        match fact {
            DialogFact::LeftLine { outcome, waited } => {
                self.permit_wait.observe(&[outcome.as_str()], *waited);
            }
            DialogFact::Attempted(outcome) => self.attempts.count(&[outcome.as_str()]),
            DialogFact::Retried { call_id, cause, error, attempts_used, wait_ms } => {
                let provider = self.provider;
                tracing::warn!(
                    %call_id, provider, error, attempts_used, wait_ms,
                    "the dialog platform is asked again"
                );
                self.retries.count(&[cause.as_str()]);
            }
        }
    }
}

fn gauge(metric: Metric, provider: &'static str) -> Gauge {
    match metric.register_open(vec![Label::new("provider", provider)]) {
        Handle::Gauge(gauge) => gauge,
        _ => Gauge::noop(),
    }
}

/// One fact about the dialog platform.
#[derive(Clone, Debug)]
pub enum DialogFact<'a> {
    /// A request left the line.
    LeftLine {
        /// With or without a permit.
        outcome: PermitOutcome,
        /// How long it stood there.
        waited: Duration,
    },
    /// An attempt came to its end.
    Attempted(AttemptOutcome),
    /// It is followed by another one.
    Retried {
        /// The call whose turn it is.
        call_id: &'a CallId,
        /// Why.
        cause: RetryCause,
        /// What came of the attempt; holds no caller data and no address.
        error: String,
        /// Attempts so far.
        attempts_used: u32,
        /// When the next one follows.
        wait_ms: u32,
    },
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),*
        }

        impl $name {
            /// The name used in metric labels.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text),*
                }
            }

            /// Every value.
            #[cfg(test)]
            pub(in crate::telemetry) const ALL: &'static [Self] = &[$(Self::$variant),*];
        }
    };
}

label! {
    /// How a request left the line in front of the platform.
    PermitOutcome {
        /// With a permit.
        Granted = "granted",
        /// Without: the line was full, or its time was over.
        Saturated = "saturated",
        /// Without: the platform wants to be left alone for longer than it can wait.
        RateLimited = "rate_limited",
    }
}

label! {
    /// What came of one attempt.
    AttemptOutcome {
        /// A reply.
        Answered = "answered",
        /// No connection.
        NotSent = "not_sent",
        /// The connection broke.
        Broken = "broken",
        /// No answer in time.
        TimedOut = "timed_out",
        /// 429.
        RateLimited = "rate_limited",
        /// 401 or 403.
        Refused = "refused",
        /// Another 4xx.
        ClientError = "client_error",
        /// 5xx.
        ServerError = "server_error",
        /// Neither 2xx, 4xx nor 5xx.
        OtherStatus = "other_status",
        /// An answer that is not what the contract says.
        Malformed = "malformed",
    }
}

label! {
    /// Why a turn is asked again.
    RetryCause {
        /// No connection, so nothing was asked.
        NotSent = "not_sent",
        /// 429.
        RateLimited = "rate_limited",
        /// 5xx.
        ServerError = "server_error",
    }
}
