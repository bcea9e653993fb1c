//! Traces after OpenTelemetry: one for each call, a span for each stage of a turn.
//!
//! Spans are made from the events that are told anyway, and wait in a bounded queue
//! for an exporter. What does not fit is counted and dropped; calls never wait.
//! Sends nothing itself, and knows no words.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender};
use serde_json::{Value, json};

use super::CallScope;
use super::metrics::{Metric, Metrics};
use crate::types::{
    CallEvent, CallEventKind, SpanId, TraceId, TraceParent, TurnId, TurnStage, TurnTimings,
};

/// Spans that may wait for the exporter.
const WAITING_MAX: usize = 8_192;

/// The end that tells. Clones share the queue.
#[derive(Clone)]
pub(super) struct SpanIntake {
    spans: Sender<Span>,
    metrics: Arc<Metrics>,
}

/// The end that exports.
pub struct SpanQueue {
    spans: Receiver<Span>,
    metrics: Arc<Metrics>,
}

/// A stretch of time in a call.
struct Span {
    place: TraceParent,
    /// `None`: the call as a whole.
    parent: Option<SpanId>,
    name: &'static str,
    begin: SystemTime,
    end: SystemTime,
    failure: Option<&'static str>,
    attributes: Vec<(&'static str, Value)>,
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
        use CallEventKind as K;
        let call = CallSpans { at, scope, turn: event.turn };
        match &event.kind {
            K::TurnAnswered { timings, .. } => call.turn(timings).for_each(|span| self.put(span)),
            K::SttFailed { failure, stt_ms } => {
                self.put_some(call.failed(TurnStage::Stt, *stt_ms, failure.as_str()));
            }
            K::DialogFailed { failure, dialog_ms } => {
                self.put_some(call.failed(TurnStage::Dialog, *dialog_ms, failure.as_str()));
            }
            K::TtsFailed { failure, tts_ms, .. } => {
                self.put_some(call.failed(TurnStage::Tts, *tts_ms, failure.as_str()));
            }
            K::CallEnded { cause, duration_ms, turns, .. } => {
                let attributes =
                    vec![("cause", json!(cause.as_str())), ("turns", json!(i64::from(*turns)))];
                self.put(call.whole(*duration_ms, attributes));
            }
            _ => {}
        }
    }

    fn put_some(&self, span: Option<Span>) {
        if let Some(span) = span {
            self.put(span);
        }
    }

    fn put(&self, span: Span) {
        if self.spans.try_send(span).is_err() {
            self.metrics.count(Metric::SpansDropped, &["queue_full"], 1);
        }
    }
}

/// What the spans that end with one event have in common.
struct CallSpans<'a> {
    at: SystemTime,
    scope: &'a CallScope,
    turn: Option<TurnId>,
}

impl<'a> CallSpans<'a> {
    /// The stages of an answered turn, one after the other up to now.
    fn turn(self, timings: &TurnTimings) -> impl Iterator<Item = Span> + use<'a> {
        let mut begin = before(self.at, timings.total_ms());
        // A provider may answer within the millisecond, and refers to the span of its stage.
        let passed = |(stage, ms): &(TurnStage, u64)| *ms > 0 || !stage.is_wait();
        let stages = timings.stages().into_iter().filter(passed);
        stages.filter_map(move |(stage, ms)| {
            let end = begin + Duration::from_millis(ms);
            let span = self.stage(stage, begin, end);
            begin = end;
            span
        })
    }

    /// A stage that came to nothing just now.
    fn failed(&self, stage: TurnStage, ms: u64, failure: &'static str) -> Option<Span> {
        let span = self.stage(stage, before(self.at, ms), self.at)?;
        Some(Span { failure: Some(failure), ..span })
    }

    fn stage(&self, stage: TurnStage, begin: SystemTime, end: SystemTime) -> Option<Span> {
        let (call_id, turn, route) = (&self.scope.call_id, self.turn?, &self.scope.route);
        let mut attributes = vec![("turn", json!(turn.0))];
        match stage {
            TurnStage::Stt => attributes.push(("provider", json!(route.stt))),
            TurnStage::Dialog => attributes.push(("provider", json!(route.dialog))),
            TurnStage::Tts => attributes.push(("provider", json!(route.tts))),
            TurnStage::EndOfSpeech | TurnStage::TurnWait | TurnStage::PermitWait => {}
        }
        Some(Span {
            place: TraceParent {
                trace: TraceId::of_call(call_id),
                span: SpanId::of_stage(call_id, turn, stage),
            },
            parent: Some(SpanId::of_call(call_id)),
            name: stage.as_str(),
            begin,
            end,
            failure: None,
            attributes,
        })
    }

    fn whole(&self, ms: u64, more: Vec<(&'static str, Value)>) -> Span {
        let call_id = &self.scope.call_id;
        let mut attributes = vec![
            ("call_id", json!(call_id)),
            ("route", json!(self.scope.route.name)),
            ("transport", json!(self.scope.transport)),
        ];
        attributes.extend(more);
        Span {
            place: TraceParent { trace: TraceId::of_call(call_id), span: SpanId::of_call(call_id) },
            parent: None,
            name: "call",
            begin: before(self.at, ms),
            end: self.at,
            failure: None,
            attributes,
        }
    }
}

/// A clock near its beginning cannot go back further.
fn before(at: SystemTime, ms: u64) -> SystemTime {
    at.checked_sub(Duration::from_millis(ms)).unwrap_or(at)
}

impl SpanQueue {
    /// Takes at most `max` of the spans that wait, as the body of an OTLP request in
    /// JSON, and how many they are. `None` when none waits.
    #[must_use]
    pub fn take(&self, max: usize) -> Option<(Vec<u8>, u64)> {
        let spans: Vec<Value> = self.spans.try_iter().take(max).map(|span| span.json()).collect();
        let count = spans.len() as u64;
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": attributes(&[
                ("service.name", json!("antiphon")),
                ("service.version", json!(env!("CARGO_PKG_VERSION"))),
            ]) },
            "scopeSpans": [{ "scope": { "name": "antiphon" }, "spans": spans }],
        }] });
        (count > 0).then(|| (body.to_string().into_bytes(), count))
    }

    /// So many were taken by the collector.
    pub fn exported(&self, count: u64) {
        self.metrics.count(Metric::SpansExported, &[], count);
    }

    /// So many were not, and are given up.
    pub fn refused(&self, count: u64) {
        self.metrics.count(Metric::SpansDropped, &["not_taken"], count);
    }
}

impl Span {
    fn json(&self) -> Value {
        /// The span is inside of the process, as the standard counts kinds.
        const INTERNAL: u8 = 1;
        const ERROR: u8 = 2;
        let nanos = |at: SystemTime| {
            at.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos().to_string()
        };
        let mut span = json!({
            "traceId": self.place.trace.to_string(),
            "spanId": self.place.span.to_string(),
            "name": self.name,
            "kind": INTERNAL,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::samples::scope;
    use crate::types::MediaTime;

    /// The spans of a turn that was answered so: their names, and how long they are.
    fn spans(timings: TurnTimings) -> Vec<(String, u64)> {
        let (intake, queue) = channel(&Arc::new(Metrics::register()));
        let kind = CallEventKind::TurnAnswered { intent: None, confidence: None, timings };
        let turn = Some(TurnId(1));
        let event = CallEvent { sequence: 1, turn, audio_at: MediaTime(0), kind };
        intake.tell(UNIX_EPOCH + Duration::from_secs(1_700_000_000), &scope(), &event);
        let (body, _) = queue.take(100).expect("spans");
        let body: Value = serde_json::from_slice(&body).expect("it is JSON");
        let spans = body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().cloned();
        let nanos = |it: &Value| it.as_str().and_then(|it| it.parse::<u64>().ok());
        let length = |span: &Value| {
            let begin = nanos(&span["startTimeUnixNano"])?;
            nanos(&span["endTimeUnixNano"])?.checked_sub(begin)
        };
        let named = |span: &Value| {
            let ms = length(span).expect("an end after the beginning") / 1_000_000;
            (span["name"].as_str().unwrap_or_default().to_owned(), ms)
        };
        spans.iter().flatten().map(named).collect()
    }

    fn lengths(spans: &[(String, u64)]) -> Vec<(&str, u64)> {
        spans.iter().map(|(name, ms)| (name.as_str(), *ms)).collect()
    }

    #[test]
    fn stages_within_a_millisecond_have_their_spans_and_waits_that_were_none_do_not() {
        let timings = TurnTimings { end_of_speech_ms: 103, ..TurnTimings::default() };
        let expected = [("end_of_speech", 103), ("stt", 0), ("dialog", 0), ("tts", 0)];
        assert_eq!(lengths(&spans(timings)), expected);
    }

    #[test]
    fn a_turn_that_waited_has_a_span_for_each_wait() {
        let timings = TurnTimings {
            end_of_speech_ms: 520,
            stt_ms: 200,
            dialog_ms: 900,
            dialog_wait_ms: 300,
            tts_ms: 80,
            response_ms: 1_250,
        };
        let expected = [
            ("end_of_speech", 520),
            ("stt", 200),
            ("turn_wait", 70),
            ("permit_wait", 300),
            ("dialog", 600),
            ("tts", 80),
        ];
        assert_eq!(lengths(&spans(timings)), expected);
    }
}
