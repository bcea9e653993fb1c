//! What cuts the bot short: the caller, a lost connection, the end.
//!
//! An interruption is a claim until its words are known. The player is silenced at once
//! and keeps what it cut; words confirm the claim, and then what was cut is dropped;
//! without any, the bot goes on.

use serde::{Deserialize, Serialize};

use super::{Conversation, Stage, Turn, TurnOutput};
use crate::turn::speech::{Passage, Sentence, unheard_ms};
use crate::turn::{CutShort, Purpose};
use crate::types::{CallEventKind, EndCause, Epoch, HeldAnswer, INNER_RATE, SentenceId, TurnId};

/// Who is cut off no more than this before the end of all they had to say was heard out:
/// people answer a question before its last syllable is over.
const END_MS_MAX: u64 = 500;

/// A silence that was ordered and not reported yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stop {
    epoch: Epoch,
    why: Why,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Why {
    /// Nobody hears it, or what was begun is to begin later.
    Unheard,
    /// The caller interrupted; these sentences were left.
    Interrupted { sentences: Vec<Sentence>, is_confirmed: bool },
}

/// What the bot was saying when the caller interrupted it; whether they meant it is not
/// known yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Pause {
    passage: Passage,
    epoch: Epoch,
    /// No more than its end was left.
    is_at_its_end: bool,
}

// === The caller ===

impl Conversation {
    /// Falls silent because the caller speaks over `passage`.
    pub(super) fn interrupt(&mut self, passage: Passage) {
        let sentences = self.speech.sentences_of(passage);
        self.silence(Why::Interrupted { sentences, is_confirmed: false });
        self.pause = Some(Pause { passage, epoch: self.epoch, is_at_its_end: false });
    }

    /// The caller said something that is meant while the bot said `passage`: the rest of
    /// that is not wanted any more.
    pub(super) fn confirm_interruption(&mut self, passage: Passage) {
        let current = self.speech.current().filter(|sentence| sentence.interruptible);
        if self.ending.is_some() || current.is_none_or(|current| current.passage() != passage) {
            return;
        }
        if self.pause.is_none() {
            // It was too short to interrupt before its words were known.
            self.interrupt(passage);
        }
        self.drop_paused();
    }

    /// Drops what the caller interrupted.
    pub(super) fn drop_paused(&mut self) {
        let Some(Pause { passage, .. }) = self.pause.take() else { return };
        self.drop_sentences(|sentence| sentence.passage() == passage);
        self.abandon_questions(|turn: &Turn| {
            Some(turn.id) == passage.turn && matches!(turn.stage, Stage::Answering { .. })
        });
        match &mut self.stop {
            Some(Stop { why: Why::Interrupted { is_confirmed, .. }, .. }) => *is_confirmed = true,
            _ => self.forget_heard_if(true),
        }
    }

    /// The interruption was none: the bot goes on as soon as the floor is its own.
    pub(super) fn take_back(&mut self) {
        if let Some(Pause { epoch, .. }) = self.pause.take() {
            self.tell(None, CallEventKind::FalseInterruption { epoch });
        }
    }

    /// An interruption that nothing decides any more is none.
    pub(super) fn resolve_pause(&mut self) {
        let Some(Pause { passage, .. }) = self.pause else { return };
        if !self.speech.has_more_of(passage) {
            self.pause = None;
        } else if !self.caller_speaks() && self.collecting().is_none_or(Turn::is_recognised)
            || self.ending.is_some()
        {
            self.take_back();
        }
    }

    /// Whether the caller spoke when all but the last syllables was said.
    pub(super) fn was_cut_at_its_end(&self) -> bool {
        self.pause.as_ref().is_some_and(|pause| pause.is_at_its_end)
    }

    /// A sentence began while the news that the caller speaks was on its way: it is silenced
    /// before anybody has heard it, and begins later.
    pub(super) fn begin_later(&mut self) {
        self.silence(Why::Unheard);
    }
}

// === The player ===

impl Conversation {
    fn silence(&mut self, why: Why) {
        if let Some(Stop { epoch, why: Why::Interrupted { sentences, is_confirmed } }) =
            self.stop.take()
        {
            // How far it got nobody will know.
            self.tell_interrupted(epoch, &sentences, &[]);
            self.forget_heard_if(is_confirmed);
        }
        self.epoch = self.epoch.next();
        self.speech.rewind();
        self.stop = Some(Stop { epoch: self.epoch, why });
        self.outputs.push_back(TurnOutput::StopSpeaking { epoch: self.epoch });
    }

    pub(super) fn handle_stopped(&mut self, epoch: Epoch, cuts: &[CutShort]) {
        if self.stop.as_ref().is_none_or(|stop| stop.epoch != epoch) {
            return;
        }
        let Some(Stop { why: Why::Interrupted { sentences, is_confirmed }, .. }) = self.stop.take()
        else {
            return;
        };
        self.tell_interrupted(epoch, &sentences, cuts);
        self.forget_heard_if(is_confirmed);
        if let Some(pause) = self.pause.as_mut().filter(|pause| pause.epoch == epoch) {
            let passage = pause.passage;
            let left = self.speech.sentences_of(passage);
            let is_last = matches!(&left[..], [last] if was_nearly_over(last.id, cuts));
            pause.is_at_its_end = is_last;
        }
    }

    /// What was heard before a confirmed interruption is told with it.
    fn forget_heard_if(&mut self, is_confirmed: bool) {
        if is_confirmed {
            drop(self.speech.take_heard());
        }
    }

    fn tell_interrupted(&mut self, epoch: Epoch, sentences: &[Sentence], cuts: &[CutShort]) {
        let is_of = |cut: &&CutShort| sentences.iter().any(|left| left.id == cut.sentence);
        let cuts: Vec<CutShort> = cuts.iter().filter(is_of).copied().collect();
        let heard = self.speech.heard_with(sentences, &cuts);
        let unheard_ms = unheard_ms(&cuts);
        self.tell(None, CallEventKind::Interruption { epoch, heard, unheard_ms });
    }

    /// Whether the player finished a sentence before it fell silent as ordered.
    pub(super) fn finish_interrupted(&mut self, id: SentenceId) {
        if let Some(Stop { why: Why::Interrupted { sentences, .. }, .. }) = &mut self.stop
            && let Some(at) = sentences.iter().position(|sentence| sentence.id == id)
        {
            self.speech.add_heard_text(sentences.remove(at).text.expose());
        }
    }

    /// Takes sentences out of the queue, and has the player forget them.
    fn drop_sentences(&mut self, is_dropped: impl Fn(&Sentence) -> bool) -> Vec<Sentence> {
        let dropped = self.speech.take(is_dropped);
        for sentence in &dropped {
            self.outputs.push_back(TurnOutput::Drop { sentence: sentence.id });
        }
        dropped
    }
}

fn was_nearly_over(sentence: SentenceId, cuts: &[CutShort]) -> bool {
    cuts.iter().any(|cut| {
        let left = cut.samples.saturating_sub(cut.heard_samples) as u64;
        let is_begun = cut.heard_samples > 0;
        cut.sentence == sentence
            && is_begun
            && !cut.open
            && INNER_RATE.ms_of_samples(left) <= END_MS_MAX
    })
}

// === Answers that the caller did not wait for ===

impl Conversation {
    /// Where the route says so, answers that were not begun when the caller added something
    /// are not spoken. What else the bot asked for stands. The words with which it ends the
    /// call are spoken, and so is an answer of which a part may not be interrupted.
    pub(super) fn drop_held_answers(&mut self) {
        if self.route.turns.held_answer != HeldAnswer::Drop || self.ending.is_some() {
            return;
        }
        let mut unspoken = Vec::new();
        for turn in &mut self.turns {
            match turn.stage {
                Stage::Collecting => {}
                Stage::Thinking { .. } => turn.is_unwanted = true,
                Stage::Answering { .. } if self.speech.is_protected(turn.id) => {}
                Stage::Answering { .. } => unspoken.push(turn.id),
            }
        }
        let is_unspoken = |turn: Option<TurnId>| turn.is_some_and(|id| unspoken.contains(&id));
        self.drop_sentences(|sentence| is_unspoken(sentence.turn));
        self.unheard.retain(|sentence| !is_unspoken(sentence.turn));
        self.abandon_questions(|turn| is_unspoken(Some(turn.id)));
    }
}

// === The connection, and the end ===

impl Conversation {
    pub(super) fn handle_media_lost(&mut self, can_hear: bool) {
        if self.media_lost {
            return;
        }
        self.media_lost = true;
        self.pause = None;
        self.forget_speech();
        let cut = self.drop_sentences(|_| true);
        self.silence(Why::Unheard);
        self.keep_unheard(cut);
        if can_hear {
            self.say_prompt(&self.route.prompts.fallback.clone(), None, Purpose::Fallback);
        }
    }

    /// Keeps for a caller who comes back what a lost connection cut off.
    fn keep_unheard(&mut self, mut sentences: Vec<Sentence>) {
        if !self.gives_up() {
            sentences.retain(|sentence| sentence.purpose != Purpose::Fallback);
            self.unheard.splice(0..0, sentences);
        }
    }

    pub(super) fn gives_up(&self) -> bool {
        self.ending.is_some_and(|ending| ending != EndCause::DialogEnded)
    }

    pub(super) fn handle_media_resumed(&mut self) {
        self.media_lost = false;
        self.speak_unheard();
    }

    /// Says again, from its beginning, what was not heard to its end.
    fn speak_unheard(&mut self) {
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
        self.pause = None;
        self.abandon_questions(|_| true);
        self.unheard.clear();
        if !self.drop_sentences(|_| true).is_empty() {
            self.silence(Why::Unheard);
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
