//! The caller's side: utterances become turns, turns are recognised and asked.

use super::{Conversation, Stage, Turn, TurnOutput, UtteranceFacts};
use crate::turn::Purpose;
use crate::types::{
    CallEventKind, IgnoredReason, Now, SttFailure, Transcript, TurnId, TurnTimings, UtteranceId,
};

/// Bytes of a millisecond at the inner rate, for `audio_bytes` in events.
const BYTES_PER_MS: u64 = 32;

/// Longest transcript that is believed, in characters: an utterance lasts half a minute,
/// and nobody says a hundred characters in a second.
const TRANSCRIPT_CHARS_MAX: usize = 4_000;

impl Conversation {
    pub(super) fn handle_utterance(&mut self, now: Now, facts: UtteranceFacts) {
        let utterance = facts.utterance;
        if let Some(reason) = self.falls_into(facts) {
            self.outputs.push_back(TurnOutput::Discard { utterance });
            self.tell(None, CallEventKind::UtteranceIgnored { utterance, reason });
            return;
        }
        self.make_room();
        self.turn_last = self.turn_last.next();
        self.turns.push_back(Turn {
            id: self.turn_last,
            facts,
            decided_at: now,
            stage: Stage::Transcribing,
            timings: TurnTimings {
                end_of_speech_ms: facts.end_of_speech_ms,
                ..TurnTimings::default()
            },
            intent: None,
            confidence: None,
        });
        self.outputs.push_back(TurnOutput::Transcribe { utterance });
    }

    /// What goes on although the caller speaks: a prompt that may not be interrupted,
    /// one that is interrupted by longer speech only, the goodbye.
    pub(super) fn falls_into(&self, facts: UtteranceFacts) -> Option<IgnoredReason> {
        if self.ending.is_some() {
            return Some(IgnoredReason::CallEnding);
        }
        let playing = self.speech.playing()?;
        if !playing.interruptible {
            return Some(IgnoredReason::Protected);
        }
        (!facts.sustained).then_some(IgnoredReason::TooShort)
    }

    /// Gives up the oldest turn that was not asked yet when too many wait.
    pub(super) fn make_room(&mut self) {
        let waiting_max = self.route.turns.waiting_turns_max as usize;
        let unasked =
            |turn: &Turn| matches!(turn.stage, Stage::Transcribing | Stage::Understood { .. });
        if self.turns.iter().filter(|turn| unasked(turn)).count() < waiting_max {
            return;
        }
        let Some(at) = self.turns.iter().position(unasked) else { return };
        if let Some(turn) = self.turns.remove(at) {
            self.tell(Some(turn.id), CallEventKind::TurnAbandoned { turn: turn.id });
        }
    }

    pub(super) fn handle_transcript(
        &mut self,
        now: Now,
        utterance: UtteranceId,
        result: Result<Transcript, SttFailure>,
    ) {
        let is_it = |turn: &&mut Turn| {
            turn.facts.utterance == utterance && matches!(turn.stage, Stage::Transcribing)
        };
        let Some(turn) = self.turns.iter_mut().find(is_it) else { return };
        let id = turn.id;
        let stt_ms = now.ms_since(turn.decided_at);
        let audio_bytes = turn.facts.audio_ms * BYTES_PER_MS;
        turn.timings.stt_ms = stt_ms;
        let kind = match result.and_then(believed) {
            Ok(Transcript::Final { text, confidence }) => {
                turn.stage = Stage::Understood { text: text.clone(), at: now };
                CallEventKind::Transcribed { text, confidence, stt_ms, audio_bytes }
            }
            Ok(Transcript::NoMatch) => CallEventKind::NotUnderstood { stt_ms, audio_bytes },
            Err(failure) => CallEventKind::SttFailed { failure, stt_ms },
        };
        let outcome = match &kind {
            CallEventKind::NotUnderstood { .. } => Some(Purpose::NoMatch),
            CallEventKind::SttFailed { .. } => Some(Purpose::TurnFailed),
            _ => None,
        };
        self.tell(Some(id), kind);
        if let Some(purpose) = outcome {
            self.close_turn(id);
            self.apologise(purpose, id);
        }
    }

    /// Asks the platform the oldest turn, once it is understood and no other is being asked.
    pub(super) fn ask_next(&mut self, now: Now) {
        if self.ending.is_some() {
            return;
        }
        let Some(turn) =
            self.turns.iter_mut().find(|turn| !matches!(turn.stage, Stage::Answering { .. }))
        else {
            return;
        };
        let Stage::Understood { text, .. } = &turn.stage else { return };
        let text = text.clone();
        turn.stage = Stage::Thinking { since: now };
        let (turn, session) = (turn.id, self.session.clone());
        self.outputs.push_back(TurnOutput::Ask { turn, text, session });
    }

    pub(super) fn close_turn(&mut self, id: TurnId) {
        self.turns.retain(|turn| turn.id != id);
    }
}

/// Refuses a transcript that cannot be what was said.
fn believed(transcript: Transcript) -> Result<Transcript, SttFailure> {
    match &transcript {
        Transcript::Final { text, .. } if is_longer(text.expose(), TRANSCRIPT_CHARS_MAX) => {
            let message = format!("the transcript has more than {TRANSCRIPT_CHARS_MAX} characters");
            Err(SttFailure::Failed { message })
        }
        _ => Ok(transcript),
    }
}

fn is_longer(text: &str, chars_max: usize) -> bool {
    text.chars().nth(chars_max).is_some()
}
