//! What the engine tells of itself: the log, the metrics and the event file.
//!
//! One event per thing worth telling. [`Telemetry::call_event`] and
//! [`Telemetry::engine_event`] write the log line, the metrics and the record
//! together, so that the three cannot disagree and nobody writes only one.
//!
//! ```text
//! any thread ── call_event ──▶ log line, metrics, [event queue] ──▶ MetricsActor ──▶ EventWriter ──▶ voice_metrics.jsonl
//! ```
//!
//! Telling never blocks, never fails and never waits for a disk: what does not
//! fit into the queue is counted, and the count is written later. No transcript,
//! no reply, no audio and no credential goes into any of the three; the user's
//! id and the carrier's name for the call go into the event file only. `docs/events.md` lists the event types.

mod arbiter;
mod breaker;
mod call;
mod dialog;
mod engine;
mod json_lines;
pub mod log;
mod metric_labels;
mod metric_list;
mod metrics;
mod panics;
mod process;
mod prometheus;
mod queue;
mod record;
mod repair;
mod repeats;
mod slow_turns;
mod traces;
mod turn_spans;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::Level;
use tracing::field::display;

pub use arbiter::{ArbiterMeter, Carried, Room};
pub use breaker::BreakerMeter;
pub use dialog::{AttemptOutcome, DialogFact, DialogMeter, PermitOutcome, RetryCause};
pub use engine::{EngineEvent, ProviderHealth, Service};
pub use panics::{install_panic_hook, keep_running, panicked};
pub use process::{cpu_seconds, resident_bytes};
pub use prometheus::{Prometheus, PrometheusError, Upkeep};
pub use queue::{EventQueue, Flushed, QueueLimits};
pub use record::Timestamp;
pub use slow_turns::{SlowTurn, Stages, TurnProviders};
pub use traces::SpanQueue;
pub use turn_spans::OpenTurns;
pub use writer::{
    AppendFile, EventFileError, EventFileSettings, EventWriter, FileIdentity, LockedFile, Opened,
    check_event_file, survive_file_size_limit,
};

use crate::types::{
    Asked, CallEvent, CallEventKind, CallId, CarrierCallId, Route, SessionId, SpanId, TraceId,
    TraceParent, UserId,
};
use metrics::{Metric, Metrics};
use queue::Intake;
use record::Facts;
use repeats::Repeats;
use slow_turns::SlowTurns;
use traces::SpanIntake;

/// Tells what happens. Cheap to clone; every clone tells the same log, metrics
/// and event file.
#[derive(Clone)]
pub struct Telemetry {
    intake: Intake,
    metrics: Arc<Metrics>,
    slow_turns: Arc<Mutex<SlowTurns>>,
    /// Where traces are wanted.
    spans: Option<SpanIntake>,
    clock: WallClock,
    calls_active: Arc<AtomicUsize>,
    /// By transport and reason: strangers may bring about as many as they like.
    refusals: Arc<Mutex<Repeats<(&'static str, &'static str)>>>,
    started: Instant,
}

/// A running call. It is counted as one until this is dropped, however it ends.
pub struct ActiveCall {
    metrics: Arc<Metrics>,
    calls_active: Arc<AtomicUsize>,
}

/// Where timestamps come from. The only wall clock of the engine: everything
/// else counts in [`crate::types::Now`] or in audio.
pub type WallClock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// What all events of one call have in common.
#[derive(Clone, Debug)]
pub struct CallScope {
    /// The call.
    pub call_id: CallId,
    /// The carrier's name for it; written to the event file, never to the log or a metric.
    pub carrier_call_id: Option<CarrierCallId>,
    /// The dialog platform's name of its conversation.
    pub session_id: SessionId,
    /// Who is calling; written to the event file, never to the log or a metric.
    pub user_id: UserId,
    /// Its route.
    pub route: Arc<Route>,
    /// Name of the transport it came in on.
    pub transport: &'static str,
    /// What its trace has to remember.
    pub open_turns: Arc<Mutex<OpenTurns>>,
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Telemetry")
    }
}

impl Telemetry {
    /// Telemetry by the computer's clock, and the queue whose events are to be
    /// written. Install [`Prometheus`] first: what is registered before a
    /// recorder exists counts nowhere, and calls are counted for `routes` only.
    #[must_use]
    pub fn new(limits: QueueLimits, routes: Vec<String>) -> (Self, EventQueue) {
        Self::with_clock(limits, routes, Arc::new(SystemTime::now))
    }

    /// The same by another clock.
    #[must_use]
    pub fn with_clock(
        limits: QueueLimits,
        routes: Vec<String>,
        clock: WallClock,
    ) -> (Self, EventQueue) {
        let metrics = Arc::new(Metrics::register(routes));
        let (intake, queue) = queue::channel(limits, Arc::clone(&metrics), Arc::clone(&clock));
        let telemetry = Self {
            intake,
            metrics,
            slow_turns: Arc::default(),
            spans: None,
            clock,
            calls_active: Arc::default(),
            refusals: Arc::default(),
            started: Instant::now(),
        };
        (telemetry, queue)
    }

    /// The same telemetry with traces, and the queue of spans to be exported.
    #[must_use]
    pub fn with_traces(mut self) -> (Self, SpanQueue) {
        let (intake, queue) = traces::channel(&self.metrics);
        self.spans = Some(intake);
        (self, queue)
    }

    /// What a request for a call is to carry as `traceparent`: the span of what is asked.
    /// `None` where no traces are wanted.
    #[must_use]
    pub fn trace_parent(&self, call_id: &CallId, asked: Asked) -> Option<TraceParent> {
        self.spans.as_ref()?;
        let span = SpanId::of_request(call_id, asked);
        Some(TraceParent { trace: TraceId::of_call(call_id), span })
    }

    /// Counts one more running call.
    #[must_use]
    pub fn active_call(&self) -> ActiveCall {
        let (metrics, calls_active) = (Arc::clone(&self.metrics), Arc::clone(&self.calls_active));
        metrics.shift(Metric::CallsActive, 1.0);
        calls_active.fetch_add(1, Ordering::Relaxed);
        ActiveCall { metrics, calls_active }
    }

    /// How many calls run.
    #[must_use]
    pub fn calls_active(&self) -> usize {
        self.calls_active.load(Ordering::Relaxed)
    }

    /// Tells one fact of a call.
    pub fn call_event(&self, scope: &CallScope, event: &CallEvent) {
        let facts = call::facts(scope, &event.kind);
        log_call(scope, event, &facts);
        call::measure(&event.kind, &self.metrics.of_route(&scope.route.name));
        let at = (self.clock)();
        if let (CallEventKind::TurnAnswered { timings, .. }, Some(turn)) = (&event.kind, event.turn)
        {
            self.slow_turns.lock().add(Timestamp(at), scope, turn, *timings);
        }
        if let Some(spans) = &self.spans {
            spans.tell(at, scope, event);
        }
        self.intake.put(record::line(at, &facts, Some((scope, event))));
    }

    /// Tells one fact of the engine. Of refused calls, a few a second are told one by one.
    pub fn engine_event(&self, event: &EngineEvent) {
        event.measure(&self.metrics);
        if let EngineEvent::CallRefused { transport, reason } = event
            && !self.refusals.lock().take(&(transport, reason.as_str()), self.started.elapsed())
        {
            return;
        }
        let facts = event.facts();
        log_engine(&facts);
        self.intake.put(record::line((self.clock)(), &facts, None));
    }

    /// Tells how many calls were refused beside those that were told one by one.
    pub fn tell_refusals(&self) {
        let left_out = self.refusals.lock().left_out(self.started.elapsed());
        for ((transport, reason), count) in left_out {
            self.engine_event(&EngineEvent::RefusalsLeftOut { transport, reason, count });
        }
    }

    /// What the governor of the platform `provider` tells, to be kept by it.
    #[must_use]
    pub fn dialog_meter(&self, provider: &'static str) -> DialogMeter {
        DialogMeter::register(self.clone(), provider)
    }

    /// How many calls may run at once.
    pub fn calls_limit(&self, calls_max: u32) {
        self.metrics.set(Metric::CallsMax, &[], f64::from(calls_max));
    }

    /// What the breaker in front of `provider` tells, to be kept by it.
    #[must_use]
    pub fn breaker_meter(&self, service: Service, provider: &'static str) -> BreakerMeter {
        BreakerMeter::register(self.clone(), service, provider)
    }

    /// What one media thread tells, to be kept by its driver.
    #[must_use]
    pub fn arbiter_meter(&self, arbiter: usize) -> ArbiterMeter {
        ArbiterMeter::register(arbiter, Arc::clone(&self.metrics))
    }

    /// The slowest turns of the last hour, slowest first.
    #[must_use]
    pub fn slow_turns(&self, limit: usize) -> Vec<SlowTurn> {
        self.slow_turns.lock().slowest(self.wall_time(), limit)
    }

    /// What the clock on the wall says.
    #[must_use]
    pub fn wall_time(&self) -> Timestamp {
        Timestamp((self.clock)())
    }
}

impl Drop for ActiveCall {
    fn drop(&mut self) {
        self.metrics.shift(Metric::CallsActive, -1.0);
        self.calls_active.fetch_sub(1, Ordering::Relaxed);
    }
}

fn log_call(scope: &CallScope, event: &CallEvent, facts: &Facts<'_>) {
    let (call_id, route, transport) = (&scope.call_id, &scope.route.name, scope.transport);
    let (turn, audio_ms) = (event.turn.map(|turn| turn.0), event.audio_at.as_ms());
    let details = (!facts.is_empty()).then(|| display(facts));
    macro_rules! tell {
        ($level:ident) => {
            tracing::event!(
                target: CALL_TARGET, Level::$level,
                %call_id, %route, transport, turn, audio_ms, details, "{}", facts.name
            )
        };
    }
    match facts.level {
        Level::ERROR => tell!(ERROR),
        Level::WARN => tell!(WARN),
        Level::INFO => tell!(INFO),
        _ => tell!(DEBUG),
    }
}

fn log_engine(facts: &Facts<'_>) {
    let details = (!facts.is_empty()).then(|| display(facts));
    macro_rules! tell {
        ($level:ident) => {
            tracing::event!(target: ENGINE_TARGET, Level::$level, details, "{}", facts.name)
        };
    }
    match facts.level {
        Level::ERROR => tell!(ERROR),
        Level::WARN => tell!(WARN),
        _ => tell!(INFO),
    }
}

/// The field of a log line that holds everything a fact has of its own: `key=value` pairs for
/// people; for machines its pairs become members of the line.
const DETAILS: &str = "details";
/// Log target of the facts of calls, for filters such as `antiphon::call=debug`.
const CALL_TARGET: &str = "antiphon::call";
/// Log target of the facts of the engine.
const ENGINE_TARGET: &str = "antiphon::engine";
/// How far back the slowest turns are kept.
const WINDOW_MINUTES: u64 = 60;
/// How often histograms are folded when nobody scrapes.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
