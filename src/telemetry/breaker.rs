//! What the breaker in front of a provider tells: how it stands, when it opens and
//! closes, and what it turned away.
//!
//! Its series are registered with the provider, so that a breaker that never opened
//! reads 0; providers are named by the configuration, so their number is known.

use metrics::{Counter, Gauge, Label};

use super::Telemetry;
use super::engine::{EngineEvent, Service};
use super::metrics::{Handle, Metric};

/// Tells for one breaker. Kept by it.
#[derive(Debug)]
pub struct BreakerMeter {
    telemetry: Telemetry,
    service: Service,
    provider: &'static str,
    state: Gauge,
    openings: Counter,
    refusals: Counter,
}

impl BreakerMeter {
    /// Registers the series of the breaker in front of `provider`, which is closed.
    pub(super) fn register(telemetry: Telemetry, service: Service, provider: &'static str) -> Self {
        let open = |metric: Metric| {
            let service = Label::new("service", service.as_str());
            metric.register_open(vec![service, Label::new("provider", provider)])
        };
        let counter = |metric: Metric| match open(metric) {
            Handle::Counter(counter) => counter,
            _ => Counter::noop(),
        };
        let state = match open(Metric::BreakerState) {
            Handle::Gauge(gauge) => gauge,
            _ => Gauge::noop(),
        };
        state.set(CLOSED);
        let openings = counter(Metric::BreakerOpenings);
        let refusals = counter(Metric::BreakerRefusals);
        Self { telemetry, service, provider, state, openings, refusals }
    }

    /// It was closed and is open; `message` says what came of the last request.
    pub fn opened(&self, failures: u32, open_ms: u32, message: String) {
        self.state.set(OPEN);
        self.openings.increment(1);
        let (service, provider) = (self.service, self.provider.to_owned());
        let event = EngineEvent::BreakerOpened { service, provider, failures, open_ms, message };
        self.telemetry.engine_event(&event);
    }

    /// A probe is on its way.
    pub fn half_opened(&self) {
        self.state.set(HALF_OPEN);
    }

    /// The probe did not come back with an answer: it is open as before.
    pub fn stayed_open(&self) {
        self.state.set(OPEN);
    }

    /// The provider works again, `away_ms` after the breaker opened.
    pub fn closed(&self, away_ms: u64) {
        self.state.set(CLOSED);
        let (service, provider) = (self.service, self.provider.to_owned());
        self.telemetry.engine_event(&EngineEvent::BreakerClosed { service, provider, away_ms });
    }

    /// A request was turned away.
    pub fn refused(&self) {
        self.refusals.increment(1);
    }
}

const CLOSED: f64 = 0.0;
const HALF_OPEN: f64 = 1.0;
const OPEN: f64 = 2.0;
