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
use crate::types::{CallEvent, CallEventKind, SpanId, TraceId, TraceParent, TurnId, TurnStage};

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
            K::Transcribed { stt_ms, .. } | K::NotUnderstood { stt_ms, .. } => {
                self.put_all(call.passed(&[(TurnStage::Stt, *stt_ms)]));
            }
            K::DialogReplied { dialog_ms, dialog_wait_ms, .. } => {
                let asked_ms = dialog_ms.saturating_sub(*dialog_wait_ms);
                let wait = (TurnStage::PermitWait, *dialog_wait_ms);
                self.put_all(call.passed(&[wait, (TurnStage::Dialog, asked_ms)]));
            }
            K::TurnAnswered { timings, .. } => {
                let stages = timings.stages();
                self.put_all(call.passed(&stages).filter(|(stage, _)| !ends_before(*stage)));
            }
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

    fn put_all(&self, spans: impl Iterator<Item = (TurnStage, Span)>) {
        spans.for_each(|(_, span)| self.put(span));
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

/// Whether a stage has an event of its own at its end, be the turn answered or not: the
/// provider that was asked refers to its span.
const fn ends_before(stage: TurnStage) -> bool {
    matches!(stage, TurnStage::Stt | TurnStage::PermitWait | TurnStage::Dialog)
}

impl CallSpans<'_> {
    /// Stages that passed one after the other up to now. One that took no millisecond has
    /// a span, a wait that was none has not.
    fn passed(&self, stages: &[(TurnStage, u64)]) -> impl Iterator<Item = (TurnStage, Span)> {
        let mut begin = before(self.at, stages.iter().map(|(_, ms)| ms).sum());
        stages.iter().filter(|(stage, ms)| *ms > 0 || !stage.is_wait()).filter_map(
            move |&(stage, ms)| {
                let end = begin + Duration::from_millis(ms);
                let span = self.stage(stage, begin, end);
                begin = end;
                Some((stage, span?))
            },
        )
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
    use crate::telemetry::tests::samples::{TIMINGS, scope};
    use crate::types::{CallerText, MediaTime, TurnTimings};

    /// The spans that come of `events` of a turn, and how many milliseconds each is long.
    fn spans(events: impl IntoIterator<Item = CallEventKind>) -> Vec<(&'static str, u128)> {
        let (intake, queue) = channel(&Arc::new(Metrics::register()));
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        for kind in events {
            let turn = Some(TurnId(1));
            let event = CallEvent { sequence: 1, turn, audio_at: MediaTime(0), kind };
            intake.tell(at, &scope(), &event);
        }
        let ms = |span: &Span| span.end.duration_since(span.begin).expect("in order").as_millis();
        queue.spans.try_iter().map(|span| (span.name, ms(&span))).collect()
    }

    fn replied(dialog_ms: u64, dialog_wait_ms: u64) -> CallEventKind {
        CallEventKind::DialogReplied {
            text: CallerText::from(""),
            intent: None,
            confidence: None,
            next_state: None,
            dialog_ms,
            dialog_wait_ms,
        }
    }

    /// What is told of a turn that is answered.
    fn answered(timings: TurnTimings) -> [CallEventKind; 3] {
        let TurnTimings { stt_ms, dialog_ms, dialog_wait_ms, .. } = timings;
        let text = CallerText::from("");
        [
            CallEventKind::Transcribed { text, confidence: None, stt_ms, audio_bytes: 0 },
            replied(dialog_ms, dialog_wait_ms),
            CallEventKind::TurnAnswered { intent: None, confidence: None, timings },
        ]
    }

    #[test]
    fn stages_within_a_millisecond_have_their_spans_and_waits_that_were_none_do_not() {
        let timings = TurnTimings { end_of_speech_ms: 103, ..TurnTimings::default() };
        let expected = [("stt", 0), ("dialog", 0), ("end_of_speech", 103), ("tts", 0)];
        assert_eq!(spans(answered(timings)), expected);
    }

    #[test]
    fn a_turn_that_waited_has_each_of_its_stages_once() {
        let expected = [
            ("stt", 40),
            ("permit_wait", 15),
            ("dialog", 105),
            ("end_of_speech", 510),
            ("turn_wait", 5),
            ("tts", 25),
        ];
        assert_eq!(spans(answered(TIMINGS)), expected);
    }

    #[test]
    fn a_turn_without_an_answer_has_the_spans_of_the_stages_it_came_to() {
        let not_understood = CallEventKind::NotUnderstood { stt_ms: 30, audio_bytes: 0 };
        assert_eq!(spans([not_understood]), [("stt", 30)]);
        assert_eq!(spans([replied(120, 0)]), [("dialog", 120)]);
    }
}
