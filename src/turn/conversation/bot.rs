//! The bot's side: what is said, and what became of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Conversation, Stage, Turn, TurnOutput};
use crate::turn::marked::{Piece, pieces};
use crate::turn::speech::{Passage, Sentence};
use crate::turn::{CutShort, Purpose};
use crate::types::{CallEventKind, EndCause, Now, Prompt, SentenceId, TtsFailure, TurnId};

/// Sentences that failed like one that was told, and are not told yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Unspoken {
    passage: Passage,
    failure: TtsFailure,
    sentences: u32,
    first: SentenceId,
    /// Of the first.
    tts_ms: u64,
}

impl Conversation {
    pub(super) fn greet(&mut self) {
        if let Some(prompt) = self.route.prompts.greeting.clone() {
            self.say_prompt(&prompt, None, Purpose::Greeting);
        }
    }

    /// Says that a turn led to nothing; gives up after too many failures in a row.
    pub(super) fn apologise(&mut self, purpose: Purpose, turn: TurnId) {
        if purpose == Purpose::TurnFailed && self.counts_as_last_failure() {
            self.give_up(EndCause::TurnsFailed);
            return;
        }
        let prompts = &self.route.prompts;
        let prompt =
            if purpose == Purpose::NoMatch { &prompts.no_match } else { &prompts.turn_failed };
        self.say_prompt(&prompt.clone(), Some(turn), purpose);
    }

    pub(super) fn counts_as_last_failure(&mut self) -> bool {
        self.failures_in_a_row += 1;
        self.failures_in_a_row >= self.route.turns.failures_max
    }

    pub(super) fn say_prompt(&mut self, prompt: &Prompt, turn: Option<TurnId>, purpose: Purpose) {
        let interruptible = prompt.interruptible.unwrap_or(self.route.turns.interruptible);
        if self.begun_last.is_some_and(|last| last.purpose == purpose) {
            // It is said anew, not on.
            self.begun_last = None;
        }
        let route = Arc::clone(&self.route);
        for piece in pieces(&prompt.text, None, &route.language) {
            let intent = purpose.as_intent().map(str::to_owned);
            self.say(piece, turn, intent, interruptible, purpose);
        }
    }

    pub(super) fn say(
        &mut self,
        piece: Piece<'_>,
        turn: Option<TurnId>,
        intent: Option<String>,
        interruptible: bool,
        purpose: Purpose,
    ) {
        self.sentence_last = self.sentence_last.next();
        let sentence = Sentence {
            id: self.sentence_last,
            turn,
            text: piece.text.into(),
            ssml: piece.ssml,
            intent,
            interruptible,
            purpose,
            started: false,
            is_told: false,
        };
        if self.media_lost && purpose != Purpose::Fallback {
            self.unheard.push(sentence);
        } else {
            self.queue_sentence(sentence);
        }
    }

    pub(super) fn queue_sentence(&mut self, sentence: Sentence) {
        self.outputs.push_back(TurnOutput::Speak {
            sentence: sentence.id,
            text: sentence.text.clone(),
            ssml: sentence.ssml.clone(),
            intent: sentence.intent.clone(),
        });
        self.speech.push(sentence);
    }

    pub(super) fn handle_sentence_ready(
        &mut self,
        sentence: SentenceId,
        tts_ms: u64,
        audio_ms: Option<u64>,
    ) {
        let Some(turn) = self.speech.get(sentence).map(|sentence| sentence.turn) else { return };
        self.tell(turn, CallEventKind::SentenceSynthesized { sentence, tts_ms, audio_ms });
    }

    pub(super) fn handle_sentence_failed(
        &mut self,
        id: SentenceId,
        tts_ms: u64,
        failure: TtsFailure,
    ) {
        let Some(sentence) = self.speech.remove(id) else { return };
        self.note_unspoken(&sentence, tts_ms, failure);
        let answering = |turn: &Turn| {
            Some(turn.id) == sentence.turn && matches!(turn.stage, Stage::Answering { .. })
        };
        let unanswered = self.turns.iter().any(answering);
        if self.speech.has_more_of(sentence.passage()) || sentence.purpose == Purpose::Fallback {
            return;
        }
        if let Some(turn) = sentence.turn.filter(|_| unanswered) {
            self.close_turn(turn);
            self.tell_unheard(turn);
            self.apologise(Purpose::TurnFailed, turn);
        } else if sentence.purpose != Purpose::Reply && !self.was_begun(&sentence) {
            self.replace_prompt(&sentence);
        }
        self.stop_turn_if_silent();
    }

    /// Tells the first sentence of a reply that failed, and keeps those that fail like it
    /// after that: a synthesiser that is down says the same of each.
    fn note_unspoken(&mut self, sentence: &Sentence, tts_ms: u64, failure: TtsFailure) {
        let (id, passage) = (sentence.id, sentence.passage());
        match &mut self.unspoken {
            Some(more) if more.passage == passage && more.failure == failure => {
                if more.sentences == 0 {
                    (more.first, more.tts_ms) = (id, tts_ms);
                }
                more.sentences += 1;
            }
            _ => {
                self.tell_unspoken();
                let kind = CallEventKind::TtsFailed {
                    sentence: id,
                    sentences: 1,
                    failure: failure.clone(),
                    tts_ms,
                };
                self.tell(sentence.turn, kind);
                self.unspoken =
                    Some(Unspoken { passage, failure, sentences: 0, first: id, tts_ms });
            }
        }
        self.tell_unspoken_in_the_end();
    }

    /// Tells what was kept once there is no more of its reply.
    pub(super) fn tell_unspoken_in_the_end(&mut self) {
        let goes_on = |it: &Unspoken| self.speech.has_more_of(it.passage);
        if !self.unspoken.as_ref().is_some_and(goes_on) {
            self.tell_unspoken();
        }
    }

    fn tell_unspoken(&mut self) {
        if let Some((turn, kind)) = self.take_unspoken() {
            self.tell(turn, kind);
        }
    }

    /// What is still to be told of sentences that failed, at the end of the call.
    pub fn take_unspoken(&mut self) -> Option<(Option<TurnId>, CallEventKind)> {
        let Unspoken { passage, failure, sentences, first, tts_ms } =
            self.unspoken.take().filter(|more| more.sentences > 0)?;
        let kind = CallEventKind::TtsFailed { sentence: first, sentences, failure, tts_ms };
        Some((passage.turn, kind))
    }

    /// Something of what the engine had to say in its place was heard.
    fn was_begun(&self, sentence: &Sentence) -> bool {
        self.begun_last == Some(sentence.passage())
    }

    /// Says the fallback, which is always there, instead of a prompt of which nothing could
    /// be spoken: a caller never hears nothing at all.
    fn replace_prompt(&mut self, prompt: &Sentence) {
        if let Some(turn) = prompt.turn {
            self.tell_unheard(turn);
        }
        // Where a turn had failed already, that was counted.
        if prompt.purpose != Purpose::TurnFailed && self.counts_as_last_failure() {
            self.give_up(EndCause::TurnsFailed);
        } else if !self.gives_up() && !self.media_lost {
            self.say_prompt(&self.route.prompts.fallback.clone(), prompt.turn, Purpose::Fallback);
        }
    }

    /// Tells of a turn once that nothing of it was heard.
    fn tell_unheard(&mut self, turn: TurnId) {
        if self.unheard_last != Some(turn) {
            self.unheard_last = Some(turn);
            self.tell(Some(turn), CallEventKind::TurnUnheard {});
        }
    }

    /// What was heard of it stays said; for the rest it is one that failed.
    pub(super) fn handle_sentence_broken(
        &mut self,
        cut: CutShort,
        tts_ms: u64,
        failure: TtsFailure,
    ) {
        self.speech.add_heard(cut);
        self.handle_sentence_failed(cut.sentence, tts_ms, failure);
    }

    pub(super) fn handle_started(&mut self, now: Now, id: SentenceId) {
        if self.stop.is_some() {
            // The player had not heard of it yet. The sentence will begin anew.
            return;
        }
        let Some(sentence) = self.speech.get(id) else { return };
        let passage = sentence.passage();
        if sentence.interruptible && self.floor_is_callers() {
            return self.begin_later();
        }
        self.begin_over_noise(passage);
        if self.speech.start(id) {
            self.tell_begun(now, passage);
        }
    }

    fn tell_begun(&mut self, now: Now, passage: Passage) {
        let goes_on = self.begun_last.replace(passage) == Some(passage);
        match passage.purpose {
            Purpose::Reply => self.tell_answered(now, passage.turn),
            Purpose::Fallback if !goes_on => {
                self.tell(passage.turn, CallEventKind::FallbackPlayed {});
            }
            Purpose::Fallback | Purpose::Greeting | Purpose::NoMatch | Purpose::TurnFailed => {}
        }
    }

    pub(super) fn tell_answered(&mut self, now: Now, id: Option<TurnId>) {
        let Some(at) = self.turns.iter().position(|turn| Some(turn.id) == id) else { return };
        let Some(mut turn) = self.turns.remove(at) else { return };
        if let Stage::Answering { since } = turn.stage {
            turn.timings.tts_ms = now.ms_since(since).saturating_sub(turn.timings.held_ms);
        }
        self.failures_in_a_row = 0;
        let response_ms = now.ms_since(turn.decided_at);
        turn.timings.response_ms = response_ms.saturating_sub(turn.timings.held_ms);
        self.answered_last = Some(turn.timings);
        let kind = CallEventKind::TurnAnswered {
            intent: turn.intent,
            confidence: turn.confidence,
            timings: turn.timings,
        };
        self.tell(Some(turn.id), kind);
    }

    pub(super) fn handle_finished(&mut self, now: Now, id: SentenceId) {
        let Some(sentence) = self.speech.finish(id) else { return self.finish_interrupted(id) };
        if !sentence.is_told {
            // It was over before the player heard that it was to stop.
            self.tell_begun(now, sentence.passage());
        }
        self.stop_turn_if_silent();
        // Who spoke over a sentence that may not be interrupted may speak on.
        self.interrupt_if_spoken_over();
    }

    pub(super) fn stop_turn_if_silent(&mut self) {
        if self.speech.is_silent() {
            let heard = self.speech.take_heard();
            self.tell(None, CallEventKind::BotTurnStopped { heard });
        }
    }
}
