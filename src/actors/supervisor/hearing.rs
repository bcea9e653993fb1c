//! What the supervisor does about the caller's speech: it numbers utterances, has them
//! recognised, and hands what was understood to the core. It decides nothing about turns.
//!
//! A recogniser that follows speech is asked when an utterance begins, before the core
//! knows of it: its answer waits on the board until the core asks, too.

use std::collections::{BTreeMap, BTreeSet};

use super::CallSupervisor;
use crate::call::CallInput;
use crate::media::SegmenterEvent;
use crate::services::{LiveSpeech, SttRequest};
use crate::turn::{TurnInput, UtteranceFacts};
use crate::types::{Asked, ChildKind, INNER_RATE, MediaTime, SpeechAudio, SttFailure, UtteranceId};

/// The utterances of a call on their way to the board.
#[derive(Default)]
pub(super) struct Hearing {
    /// Complete ones that the core has not asked for yet.
    complete: BTreeMap<UtteranceId, SpeechAudio>,
    /// Those that Stt died of before the core asked for them.
    given_up: BTreeSet<UtteranceId>,
    /// The last complete one.
    last: UtteranceId,
    /// The open utterance has been long enough to interrupt.
    sustained: bool,
}

impl Hearing {
    /// Whether the core waits for this one: it is complete and was asked for.
    fn is_asked(&self, utterance: UtteranceId) -> bool {
        utterance <= self.last && !self.complete.contains_key(&utterance)
    }
}

impl CallSupervisor {
    pub(super) fn handle_speech(&mut self, event: SegmenterEvent, position: MediaTime) {
        match event {
            SegmenterEvent::SpeechStarted { at } => {
                self.hearing.sustained = false;
                self.input(CallInput::SpeechStarted { at });
            }
            SegmenterEvent::SpeechSustained { .. } => {
                self.hearing.sustained = true;
                self.turn(TurnInput::SpeechSustained);
            }
            SegmenterEvent::UtteranceReady { audio, ended_at, end, .. } => {
                let utterance = self.hearing.last.next();
                self.hearing.last = utterance;
                let silence_samples = position.samples_since(ended_at);
                let facts = UtteranceFacts {
                    utterance,
                    audio_ms: audio.ms(),
                    end_of_speech_ms: INNER_RATE.ms_of_samples(silence_samples),
                    sustained: std::mem::take(&mut self.hearing.sustained),
                    end,
                };
                self.hearing.complete.insert(utterance, audio);
                self.turn(TurnInput::Utterance(facts));
            }
        }
    }

    /// Has the utterance that has just begun recognised while it is spoken.
    pub(super) fn follow_speech(&mut self, speech: LiveSpeech) {
        self.put_utterance(self.hearing.last.next(), speech);
    }

    pub(super) fn transcribe(&mut self, utterance: UtteranceId) {
        let Some(audio) = self.hearing.complete.remove(&utterance) else { return };
        if self.hearing.given_up.remove(&utterance) {
            self.turn(TurnInput::Transcribed { utterance, result: Err(lost()) });
        } else if self.keep.stt.holds(utterance) {
            // It was followed; the answer may have been told already.
            self.handle_transcript(utterance);
        } else {
            self.put_utterance(utterance, audio.into());
        }
    }

    fn put_utterance(&mut self, utterance: UtteranceId, speech: LiveSpeech) {
        let request = SttRequest {
            call_id: self.spec.call_id,
            speech,
            language: self.spec.route.language.clone(),
            answer_ms_max: self.spec.route.turns.stt_ms_max,
            trace: self.trace_parent(Asked::Utterance(utterance)),
        };
        self.keep.stt.put(utterance, request, self.now());
        self.children.nudge(ChildKind::Stt);
    }

    pub(super) fn handle_transcript(&mut self, utterance: UtteranceId) {
        if !self.hearing.is_asked(utterance) {
            return;
        }
        let Some((answer, _)) = self.keep.stt.take_answer(utterance, self.now()) else { return };
        let result = answer.unwrap_or_else(|| Err(lost()));
        self.turn(TurnInput::Transcribed { utterance, result });
    }

    pub(super) fn abandon_utterance(&mut self, utterance: UtteranceId) {
        self.hearing.complete.remove(&utterance);
        self.hearing.given_up.remove(&utterance);
        self.keep.stt.remove(utterance);
    }

    /// Gives up the utterances that were there each time Stt died.
    pub(super) fn give_up_utterances(&mut self) {
        for utterance in self.keep.stt.child_died() {
            if self.hearing.is_asked(utterance) {
                self.turn(TurnInput::Transcribed { utterance, result: Err(lost()) });
            } else {
                self.hearing.given_up.insert(utterance);
            }
        }
    }
}

fn lost() -> SttFailure {
    SttFailure::Failed { message: "the request was lost".to_owned() }
}
