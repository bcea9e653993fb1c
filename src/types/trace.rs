//! What ties the spans of a call together, here and at its providers: ids after the
//! W3C Trace Context, made from the call's id.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::events::TurnStage;
use super::ids::{CallId, SentenceId, TurnId, UtteranceId};

/// The trace of a call. Made from its id, so that nobody has to carry it along; the
/// id cannot be read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceId(u128);

/// One span of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpanId(u64);

/// A place in a trace, to be sent along with a request: the header `traceparent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// Which trace.
    pub trace: TraceId,
    /// The span that the request belongs to.
    pub span: SpanId,
}

/// What a provider is asked. The request refers to the span of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// To recognise an utterance, which may not be over yet.
    Utterance(UtteranceId),
    /// To answer a turn.
    Turn(TurnId),
    /// To say a sentence.
    Sentence(SentenceId),
}

impl TraceId {
    /// The trace of a call.
    #[must_use]
    pub fn of_call(call_id: &CallId) -> Self {
        let half = |which: u8| u128::from(hash(&("antiphon trace", which, call_id)));
        Self(half(0) << 64 | half(1))
    }
}

impl SpanId {
    /// The call as a whole.
    #[must_use]
    pub fn of_call(call_id: &CallId) -> Self {
        Self(hash(&("antiphon call", call_id)))
    }

    /// A turn, from the caller's last word on.
    #[must_use]
    pub fn of_turn(call_id: &CallId, turn: TurnId) -> Self {
        Self(hash(&("antiphon turn", call_id, turn)))
    }

    /// What is asked of a provider.
    #[must_use]
    pub fn of_request(call_id: &CallId, asked: Asked) -> Self {
        match asked {
            Asked::Utterance(utterance) => Self(hash(&("antiphon utterance", call_id, utterance))),
            Asked::Turn(turn) => Self::of_stage(call_id, turn, TurnStage::Dialog),
            Asked::Sentence(sentence) => Self(hash(&("antiphon sentence", call_id, sentence))),
        }
    }

    /// A stage of a turn.
    #[must_use]
    pub fn of_stage(call_id: &CallId, turn: TurnId, stage: TurnStage) -> Self {
        Self(hash(&("antiphon stage", call_id, turn, stage.as_str())))
    }
}

/// Never 0, which stands for none.
fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish().max(1)
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace, self.span)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_written_as_the_header_wants_it() {
        let parent = TraceParent { trace: TraceId(0xabc), span: SpanId(1) };
        let header = "00-00000000000000000000000000000abc-0000000000000001-01";
        assert_eq!(parent.to_string(), header);
    }

    #[test]
    fn calls_turns_and_stages_have_ids_of_their_own() {
        let call = CallId::of_test;
        let (a, b) = (call("a"), call("b"));
        assert_eq!(TraceId::of_call(&a), TraceId::of_call(&call("a")));
        assert_ne!(TraceId::of_call(&a), TraceId::of_call(&b));
        let span = |turn, stage| SpanId::of_stage(&a, TurnId(turn), stage);
        assert_ne!(span(1, TurnStage::Stt), span(1, TurnStage::Tts));
        assert_ne!(span(1, TurnStage::Stt), span(2, TurnStage::Stt));
        assert_ne!(span(1, TurnStage::Stt), SpanId::of_call(&a));
        let request = |asked| SpanId::of_request(&a, asked);
        assert_eq!(request(Asked::Turn(TurnId(1))), span(1, TurnStage::Dialog));
        let (utterance, sentence) = (UtteranceId(1), SentenceId(1));
        assert_ne!(request(Asked::Utterance(utterance)), request(Asked::Sentence(sentence)));
    }
}
