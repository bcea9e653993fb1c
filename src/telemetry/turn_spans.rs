//! The spans of one call, made from its events: the call as a whole, a turn from the
//! caller's last word to the first of the answer, and below it a span for each stage and for
//! each request to a provider. Pure.
//!
//! A turn ends in many ways, and only an answer tells all of its times. So what is known of
//! a turn is kept until it is over: whatever becomes of it, its silence and its stages have
//! their spans. What has no end of its own ends with the call.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::CallScope;
use super::traces::{Span, SpanKind};
use crate::types::{
    Asked, CallEvent, CallEventKind, SpanId, TraceId, TraceParent, TurnId, TurnStage, UtteranceId,
};

/// Utterances that are remembered until they are recognised, and turns until they are over.
/// The oldest goes first; a call has a few at a time.
const REMEMBERED_MAX: usize = 16;

/// What is known of the turns of a call that are not over.
#[derive(Debug, Default)]
pub struct OpenTurns {
    utterances: VecDeque<Segmented>,
    turns: VecDeque<OpenTurn>,
}

/// An utterance that is being recognised.
#[derive(Clone, Copy, Debug)]
struct Segmented {
    utterance: UtteranceId,
    /// When it was decided that it is over.
    at: SystemTime,
    /// The silence before that.
    silence_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct OpenTurn {
    turn: TurnId,
    /// The caller's last word, or where the utterance is not known, its end.
    begin: SystemTime,
    /// The silence after that word has its span.
    has_silence: bool,
    /// When something was heard of it last.
    last: SystemTime,
    failure: Option<&'static str>,
}

/// What the spans that end with one event have in common.
struct Ending<'a> {
    at: SystemTime,
    scope: &'a CallScope,
}

impl OpenTurns {
    /// Gives the spans that end with this event to `put`.
    pub(super) fn tell(
        &mut self,
        at: SystemTime,
        scope: &CallScope,
        event: &CallEvent,
        put: &mut dyn FnMut(Span),
    ) {
        use CallEventKind as K;
        let ending = Ending { at, scope };
        match (&event.kind, event.turn) {
            (K::UtteranceSegmented { utterance, end_of_speech_ms, .. }, _) => {
                if self.utterances.len() == REMEMBERED_MAX {
                    self.utterances.pop_front();
                }
                let (utterance, silence_ms) = (*utterance, *end_of_speech_ms);
                self.utterances.push_back(Segmented { utterance, at, silence_ms });
            }
            (K::UtteranceIgnored { utterance, .. }, _) => {
                self.utterances.retain(|it| it.utterance != *utterance);
            }
            (K::CallEnded { cause, duration_ms, turns, .. }, _) => {
                for turn in self.turns.drain(..) {
                    put(ending.turn(turn.turn, turn.begin, turn.last, turn.failure));
                }
                let cause = ("cause", json!(cause.as_str()));
                put(ending.call(*duration_ms, [cause, ("turns", json!(i64::from(*turns)))]));
            }
            (K::TurnAbandoned { turn }, _) => self.close(&ending, *turn, Some("abandoned"), put),
            (_, Some(turn)) => self.tell_turn(&ending, turn, &event.kind, put),
            (kind, None) => {
                tell_sentence(&ending, None, kind, put);
            }
        }
    }

    fn tell_turn(
        &mut self,
        ending: &Ending<'_>,
        turn: TurnId,
        kind: &CallEventKind,
        put: &mut dyn FnMut(Span),
    ) {
        use CallEventKind as K;
        match kind {
            K::Transcribed { stt_ms, .. } => self.recognised(ending, turn, *stt_ms, None, put),
            K::NotUnderstood { stt_ms, .. } => {
                self.recognised(ending, turn, *stt_ms, None, put);
                self.close(ending, turn, None, put);
            }
            K::SttFailed { failure, stt_ms } => {
                let failure = Some(failure.as_str());
                self.recognised(ending, turn, *stt_ms, failure, put);
                self.close(ending, turn, failure, put);
            }
            K::DialogReplied { dialog_ms, dialog_wait_ms, .. } => {
                let asked_ms = dialog_ms.saturating_sub(*dialog_wait_ms);
                let wait = (TurnStage::PermitWait, *dialog_wait_ms);
                ending.passed(turn, &[wait, (TurnStage::Dialog, asked_ms)], put);
                self.touch(ending.at, turn, None);
            }
            K::DialogFailed { failure, dialog_ms } => {
                let failure = Some(failure.as_str());
                let begin = before(ending.at, *dialog_ms);
                put(Span { failure, ..ending.stage(turn, TurnStage::Dialog, begin, ending.at) });
                self.close(ending, turn, failure, put);
            }
            K::TurnAnswered { timings, .. } => {
                let found = self.turns.iter().find(|open| open.turn == turn);
                let has_silence = found.is_some_and(|open| open.has_silence);
                ending.passed(turn, &timings.stages(), &mut |span| {
                    let is_told = match span.name {
                        "end_of_speech" => has_silence,
                        name => ["stt", "permit_wait", "dialog"].contains(&name),
                    };
                    if !is_told {
                        put(span);
                    }
                });
                if !has_silence {
                    self.turns.retain(|open| open.turn != turn);
                    self.open(turn, before(ending.at, timings.total_ms()), true, ending.at);
                }
                self.close(ending, turn, None, put);
            }
            K::TurnUnheard {} => self.close(ending, turn, Some("unheard"), put),
            kind => {
                let failure = tell_sentence(ending, Some(turn), kind, put);
                self.touch(ending.at, turn, failure);
            }
        }
    }

    /// A turn begins with what was recognised, or was not.
    fn recognised(
        &mut self,
        ending: &Ending<'_>,
        turn: TurnId,
        stt_ms: u64,
        failure: Option<&'static str>,
        put: &mut dyn FnMut(Span),
    ) {
        let decided = before(ending.at, stt_ms);
        let heard = self.take_utterance(decided);
        let begin = before(decided, heard.map_or(0, |heard| heard.silence_ms));
        self.open(turn, begin, heard.is_some(), ending.at);
        if heard.is_some() {
            put(ending.stage(turn, TurnStage::EndOfSpeech, begin, decided));
        }
        let mut span = ending.stage(turn, TurnStage::Stt, decided, ending.at);
        if let Some(heard) = heard {
            let asked = Asked::Utterance(heard.utterance);
            span.place.span = SpanId::of_request(&ending.scope.call_id, asked);
        }
        put(Span { failure, ..span });
    }

    /// The utterance that was complete at `decided`: the one whose time is nearest. Events of
    /// a turn do not name it.
    fn take_utterance(&mut self, decided: SystemTime) -> Option<Segmented> {
        let distance =
            |it: &Segmented| decided.duration_since(it.at).unwrap_or_else(|error| error.duration());
        let nearest =
            (0..self.utterances.len()).min_by_key(|at| distance(&self.utterances[*at]))?;
        self.utterances.remove(nearest)
    }

    fn open(&mut self, turn: TurnId, begin: SystemTime, has_silence: bool, last: SystemTime) {
        // One that is recognised piece by piece begins once.
        if self.turns.iter().any(|open| open.turn == turn) {
            return self.touch(last, turn, None);
        }
        if self.turns.len() == REMEMBERED_MAX {
            self.turns.pop_front();
        }
        self.turns.push_back(OpenTurn { turn, begin, has_silence, last, failure: None });
    }

    fn touch(&mut self, at: SystemTime, turn: TurnId, failure: Option<&'static str>) {
        if let Some(open) = self.turns.iter_mut().find(|open| open.turn == turn) {
            open.last = at;
            open.failure = failure.or(open.failure);
        }
    }

    fn close(
        &mut self,
        ending: &Ending<'_>,
        turn: TurnId,
        failure: Option<&'static str>,
        put: &mut dyn FnMut(Span),
    ) {
        if let Some(at) = self.turns.iter().position(|open| open.turn == turn)
            && let Some(open) = self.turns.remove(at)
        {
            put(ending.turn(turn, open.begin, ending.at, failure));
        }
    }
}

/// A sentence was asked of the synthesiser, for a turn or by the engine itself. Says how it
/// failed, if it did.
fn tell_sentence(
    ending: &Ending<'_>,
    turn: Option<TurnId>,
    kind: &CallEventKind,
    put: &mut dyn FnMut(Span),
) -> Option<&'static str> {
    use CallEventKind as K;
    let (sentence, tts_ms, failure) = match kind {
        K::SentenceSynthesized { sentence, tts_ms, .. } => (*sentence, *tts_ms, None),
        K::TtsFailed { sentence, tts_ms, failure, .. } => {
            (*sentence, *tts_ms, Some(failure.as_str()))
        }
        _ => return None,
    };
    let (call_id, route) = (&ending.scope.call_id, &ending.scope.route);
    let parent = match turn {
        Some(turn) => SpanId::of_turn(call_id, turn),
        None => SpanId::of_call(call_id),
    };
    put(Span {
        place: ending.place(SpanId::of_request(call_id, Asked::Sentence(sentence))),
        parent: Some(parent),
        name: "sentence",
        kind: SpanKind::Client,
        begin: before(ending.at, tts_ms),
        end: ending.at,
        failure,
        attributes: vec![("sentence", json!(sentence.0)), ("provider", json!(route.tts))],
    });
    failure
}

impl Ending<'_> {
    /// Stages that passed one after the other up to now. One that took no millisecond has
    /// a span, a wait that was none has not.
    fn passed(&self, turn: TurnId, stages: &[(TurnStage, u64)], put: &mut dyn FnMut(Span)) {
        let mut begin = before(self.at, stages.iter().map(|(_, ms)| ms).sum());
        for (stage, ms) in stages.iter().filter(|(stage, ms)| *ms > 0 || !stage.is_wait()) {
            let end = begin + Duration::from_millis(*ms);
            put(self.stage(turn, *stage, begin, end));
            begin = end;
        }
    }

    fn stage(&self, turn: TurnId, stage: TurnStage, begin: SystemTime, end: SystemTime) -> Span {
        let (call_id, route) = (&self.scope.call_id, &self.scope.route);
        let mut attributes = vec![("turn", json!(turn.0))];
        let provider = match stage {
            TurnStage::Stt => Some(&route.stt),
            TurnStage::Dialog => Some(&route.dialog),
            // Its sentences are asked one by one.
            TurnStage::Tts => None,
            TurnStage::EndOfSpeech | TurnStage::TurnWait | TurnStage::PermitWait => None,
        };
        attributes.extend(provider.map(|name| ("provider", json!(name))));
        Span {
            place: self.place(SpanId::of_stage(call_id, turn, stage)),
            parent: Some(SpanId::of_turn(call_id, turn)),
            name: stage.as_str(),
            kind: if provider.is_some() { SpanKind::Client } else { SpanKind::Internal },
            begin,
            end,
            failure: None,
            attributes,
        }
    }

    fn turn(
        &self,
        turn: TurnId,
        begin: SystemTime,
        end: SystemTime,
        failure: Option<&'static str>,
    ) -> Span {
        let call_id = &self.scope.call_id;
        Span {
            place: self.place(SpanId::of_turn(call_id, turn)),
            parent: Some(SpanId::of_call(call_id)),
            name: "turn",
            kind: SpanKind::Internal,
            begin,
            end,
            failure,
            attributes: vec![("turn", json!(turn.0)), ("route", json!(self.scope.route.name))],
        }
    }

    fn call(&self, ms: u64, more: [(&'static str, Value); 2]) -> Span {
        let call_id = &self.scope.call_id;
        let mut attributes = vec![
            ("call_id", json!(call_id)),
            ("route", json!(self.scope.route.name)),
            ("transport", json!(self.scope.transport)),
        ];
        attributes.extend(more);
        Span {
            place: self.place(SpanId::of_call(call_id)),
            parent: None,
            name: "call",
            kind: SpanKind::Internal,
            begin: before(self.at, ms),
            end: self.at,
            failure: None,
            attributes,
        }
    }

    fn place(&self, span: SpanId) -> TraceParent {
        TraceParent { trace: TraceId::of_call(&self.scope.call_id), span }
    }
}

/// A clock near its beginning cannot go back further.
fn before(at: SystemTime, ms: u64) -> SystemTime {
    at.checked_sub(Duration::from_millis(ms)).unwrap_or(at)
}

#[cfg(test)]
mod tests;
