//! What cuts the bot short: the caller, a lost connection, the end.

use super::{Conversation, Cut, Stage, TurnOutput};
use crate::turn::speech::{Sentence, unheard_ms};
use crate::turn::{CutShort, Purpose};
use crate::types::{CallEventKind, EndCause, Epoch};

impl Conversation {
    pub(super) fn interrupt(&mut self) {
        let playing = self.speech.playing();
        if self.ending.is_none() && playing.is_some_and(|sentence| sentence.interruptible) {
            self.stop_speaking(true);
        }
    }

    pub(super) fn stop_speaking(&mut self, by_caller: bool) {
        let sentences = self.speech.take_all();
        if by_caller {
            // Turns whose answer will not be heard are over.
            self.turns.retain(|turn| !matches!(turn.stage, Stage::Answering { .. }));
        }
        self.epoch = self.epoch.next();
        let mut sentences = sentences;
        if let Some(before) = self.cut.take() {
            sentences.splice(0..0, before.sentences);
        }
        self.cut = Some(Cut { epoch: self.epoch, sentences, by_caller });
        self.outputs.push_back(TurnOutput::StopSpeaking { epoch: self.epoch });
    }

    pub(super) fn handle_stopped(&mut self, epoch: Epoch, cuts: &[CutShort]) {
        if self.cut.as_ref().is_none_or(|cut| cut.epoch != epoch) {
            return;
        }
        let Some(cut) = self.cut.take() else { return };
        let mut unheard = Vec::new();
        for sentence in cut.sentences {
            match cuts.iter().find(|cut| cut.sentence == sentence.id) {
                Some(&part) if cut.by_caller => self.speech.add_heard_part(&sentence, part),
                _ => unheard.push(sentence),
            }
        }
        if cut.by_caller {
            let heard = self.speech.take_heard();
            let unheard_ms = unheard_ms(cuts);
            self.tell(None, CallEventKind::Interruption { epoch, heard, unheard_ms });
        } else {
            self.keep_unheard(unheard);
        }
    }

    /// Keeps for a caller who comes back what a lost connection cut off.
    pub(super) fn keep_unheard(&mut self, mut sentences: Vec<Sentence>) {
        if self.gives_up() {
            return;
        }
        sentences.retain(|sentence| sentence.purpose != Purpose::Fallback);
        self.unheard.splice(0..0, sentences);
        if !self.media_lost {
            self.speak_unheard();
        }
    }

    pub(super) fn gives_up(&self) -> bool {
        self.ending.is_some_and(|ending| ending != EndCause::DialogEnded)
    }

    pub(super) fn handle_media_lost(&mut self, can_hear: bool) {
        if self.media_lost {
            return;
        }
        self.media_lost = true;
        self.stop_speaking(false);
        if can_hear {
            self.say_prompt(&self.route.prompts.fallback.clone(), None, Purpose::Fallback);
        }
    }

    pub(super) fn handle_media_resumed(&mut self) {
        self.media_lost = false;
        if self.cut.is_none() {
            self.speak_unheard();
        }
    }

    /// Says again, from its beginning, what was not heard to its end.
    pub(super) fn speak_unheard(&mut self) {
        for mut sentence in std::mem::take(&mut self.unheard) {
            self.sentence_last = self.sentence_last.next();
            sentence.id = self.sentence_last;
            sentence.started = false;
            self.queue_sentence(sentence);
        }
    }

    pub(super) fn give_up(&mut self, cause: EndCause) {
        if self.gives_up() {
            return;
        }
        self.ending = Some(cause);
        self.turns.clear();
        self.unheard.clear();
        if !self.speech.is_silent() {
            self.stop_speaking(false);
        }
        if !self.media_lost {
            self.say_prompt(&self.route.prompts.fallback.clone(), None, Purpose::Fallback);
        }
    }

    pub(super) fn end_if_done(&mut self) {
        let Some(cause) = self.ending else { return };
        if self.speech.is_silent() && self.unheard.is_empty() {
            self.ended = true;
            self.outputs.push_back(TurnOutput::End { cause });
        }
    }
}
