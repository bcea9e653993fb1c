//! Traces after OpenTelemetry: one for each call, a span for each turn, and below it one
//! for each stage.
//!
//! Spans are made from the events that are told anyway ([`super::OpenTurns`]), and wait in a
//! bounded queue for an exporter. What does not fit is counted and dropped; calls never wait.
//! Sends nothing itself, and knows no words.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use serde_json::{Value, json};

use super::CallScope;
use super::metrics::{Metric, Metrics};
use crate::types::{CallEvent, SpanId, TraceParent};

/// Spans that may wait for the exporter.
const WAITING_MAX: usize = 8_192;

/// The end that tells. Clones share the queue.
#[derive(Clone)]
pub(super) struct SpanIntake {
    spans: Sender<Span>,
    metrics: Arc<Metrics>,
}

/// The end that exports. Clones share what waits.
#[derive(Clone)]
pub struct SpanQueue {
    spans: Receiver<Span>,
    metrics: Arc<Metrics>,
}

/// Spans on their way to the collector. They count as dropped unless it took them.
pub struct SpanBatch {
    body: Vec<u8>,
    count: u64,
    metrics: Arc<Metrics>,
}

/// A stretch of time in a call.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) place: TraceParent,
    /// `None`: the call as a whole.
    pub(super) parent: Option<SpanId>,
    pub(super) name: &'static str,
    pub(super) kind: SpanKind,
    pub(super) begin: SystemTime,
    pub(super) end: SystemTime,
    pub(super) failure: Option<&'static str>,
    pub(super) attributes: Vec<(&'static str, Value)>,
}

/// As the standard counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpanKind {
    /// Inside of the process.
    Internal = 1,
    /// A request to somebody else, who may go on with the trace.
    Client = 3,
}

/// Makes a queue.
pub(super) fn channel(metrics: &Arc<Metrics>) -> (SpanIntake, SpanQueue) {
    let (sender, receiver) = crossbeam_channel::bounded(WAITING_MAX);
    let intake = SpanIntake { spans: sender, metrics: Arc::clone(metrics) };
    (intake, SpanQueue { spans: receiver, metrics: Arc::clone(metrics) })
}

impl SpanIntake {
    /// Queues the spans that end with this event.
    pub(super) fn tell(&self, at: SystemTime, scope: &CallScope, event: &CallEvent) {
        // A call's events come from its own thread: nobody ever waits for the lock.
        scope.open_turns.lock().tell(at, scope, event, &mut |span| self.put(span));
    }

    fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.metrics.count(Metric::SpansDropped, &["queue_full"], 1);
        }
    }
}

impl SpanQueue {
    /// Takes at most `max` of the spans that wait. `None` when none does.
    #[must_use]
    pub fn take(&self, max: usize) -> Option<SpanBatch> {
        let spans: Vec<Value> = self.spans.try_iter().take(max).map(|span| span.json()).collect();
        let count = spans.len() as u64;
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": attributes(&[
                ("service.name", json!("antiphon")),
                ("service.version", json!(env!("CARGO_PKG_VERSION"))),
            ]) },
            "scopeSpans": [{ "scope": { "name": "antiphon" }, "spans": spans }],
        }] });
        let metrics = Arc::clone(&self.metrics);
        (count > 0).then(|| SpanBatch { body: body.to_string().into_bytes(), count, metrics })
    }
}

impl SpanBatch {
    /// The body of an OTLP request in JSON.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The collector took them.
    pub fn exported(mut self) {
        let count = std::mem::take(&mut self.count);
        self.metrics.count(Metric::SpansExported, &[], count);
    }
}

impl Drop for SpanBatch {
    fn drop(&mut self) {
        self.metrics.count(Metric::SpansDropped, &["not_taken"], self.count);
    }
}

impl Span {
    fn json(&self) -> Value {
        const ERROR: u8 = 2;
        let nanos = |at: SystemTime| {
            at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
        };
        let mut span = json!({
            "traceId": self.place.trace.to_string(),
            "spanId": self.place.span.to_string(),
            "name": self.name,
            "kind": self.kind as u8,
            "startTimeUnixNano": nanos(self.begin),
            "endTimeUnixNano": nanos(self.end),
            "attributes": attributes(&self.attributes),
        });
        if let Some(parent) = self.parent {
            span["parentSpanId"] = json!(parent.to_string());
        }
        if let Some(failure) = self.failure {
            span["status"] = json!({ "code": ERROR, "message": failure });
        }
        span
    }
}

/// Whole numbers are written as texts, as the standard wants them.
fn attributes(pairs: &[(&'static str, Value)]) -> Vec<Value> {
    let value = |value: &Value| match value {
        Value::String(text) => json!({ "stringValue": text }),
        number => json!({ "intValue": number.to_string() }),
    };
    pairs.iter().map(|(key, it)| json!({ "key": key, "value": value(it) })).collect()
}
