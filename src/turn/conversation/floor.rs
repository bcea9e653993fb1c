//! Who has the floor: whether the caller speaks, and what waits until they have finished.
//!
//! A sentence that may be interrupted does not begin while the caller speaks, except the last
//! words of a call. It is made meanwhile; the player is told from which sentence on nothing may begin.

use serde::{Deserialize, Serialize};

use super::{Conversation, Stage, TurnOutput};
use crate::turn::speech::{Passage, Sentence};
use crate::types::{HeldAnswer, Now, SentenceId};

/// What is known of the caller's speech between two utterances' ends.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Floor {
    /// The utterance in progress.
    open: Option<OpenSpeech>,
    /// The last utterance was cut at its limit, and the caller may speak on.
    goes_on: bool,
    /// The caller has spoken for so long that it is taken for noise, until there is silence.
    is_noise: bool,
    /// From which sentence on nothing may begin, as the player was told.
    held_from: Option<SentenceId>,
    held_since: Option<Now>,
}

/// An utterance in progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OpenSpeech {
    /// What the bot was saying when it began, or what it interrupted.
    pub over: Option<Passage>,
    /// That may not be interrupted.
    pub protected: bool,
    /// It is long enough to interrupt.
    pub sustained: bool,
}

// === What the caller does ===

impl Conversation {
    pub(super) fn handle_speech_started(&mut self) {
        self.floor.goes_on = false;
        self.floor.open = Some(self.speech_begun_now());
    }

    fn speech_begun_now(&self) -> OpenSpeech {
        let current = self.speech.current();
        OpenSpeech {
            over: self.speech.current_passage(),
            protected: current.is_some_and(|sentence| !sentence.interruptible),
            sustained: false,
        }
    }

    pub(super) fn handle_speech_sustained(&mut self) {
        if self.floor.open.is_none() {
            self.handle_speech_started();
        }
        if let Some(open) = &mut self.floor.open {
            open.sustained = true;
        }
        self.interrupt_if_spoken_over();
    }

    /// Speech that is long enough stops what the bot says, and the rest of it in a gap
    /// between two sentences; also speech that began before it, or during another sentence.
    pub(super) fn interrupt_if_spoken_over(&mut self) {
        let is_noise = self.floor.is_noise;
        let Some(open) = self.floor.open.as_mut().filter(|open| open.sustained && !is_noise) else {
            return;
        };
        let current = self.speech.current().filter(|sentence| sentence.interruptible);
        let Some(passage) = current.map(Sentence::passage) else { return };
        if self.ending.is_none() && self.pause.is_none() {
            open.over = Some(passage);
            self.interrupt(passage);
        }
    }

    /// The utterance in progress is over. `is_cut`: at its limit, in mid-speech.
    pub(super) fn close_speech(&mut self, is_cut: bool) -> OpenSpeech {
        let open = self.floor.open.take().unwrap_or_else(|| self.speech_begun_now());
        self.floor.goes_on = is_cut;
        self.floor.is_noise &= is_cut;
        open
    }

    /// Nothing followed an utterance that was cut at its limit.
    pub(super) fn handle_speech_ended(&mut self) {
        self.floor.goes_on = false;
        self.floor.is_noise &= self.floor.open.is_some();
    }

    /// What the caller says from now on holds nothing back until they were silent.
    pub(super) fn handle_hold_expired(&mut self) {
        self.floor.is_noise = self.floor.open.is_some() || self.floor.goes_on;
        self.take_back();
    }

    pub(super) fn forget_speech(&mut self) {
        self.floor = Floor { held_from: self.floor.held_from, ..Floor::default() };
    }

    /// Notes that the bot begins to speak although the caller does.
    pub(super) fn begin_over_noise(&mut self, passage: Passage) {
        if let Some(open) = self.floor.open.as_mut().filter(|_| self.floor.is_noise) {
            open.over = Some(passage);
        }
    }
}

// === What waits for it ===

impl Conversation {
    /// Whether the caller speaks, as far as anybody can tell.
    pub(super) fn caller_speaks(&self) -> bool {
        (self.floor.open.is_some() || self.floor.goes_on) && !self.floor.is_noise
    }

    /// Whether the bot has to wait. For its last words it does not: whatever the caller says
    /// beside them changes nothing any more, and on a noisy line they would never be said.
    pub(super) fn floor_is_callers(&self) -> bool {
        let is_wanted = self.caller_speaks() || self.pause.is_some() || self.may_drop_answer();
        is_wanted && self.ending.is_none()
    }

    /// Whether what is being recognised decides if an answer is to be heard at all.
    fn may_drop_answer(&self) -> bool {
        self.route.turns.held_answer == HeldAnswer::Drop
            && self.turns.iter().any(|turn| matches!(turn.stage, Stage::Answering { .. }))
            && self.collecting().is_some_and(|turn| !turn.is_recognised())
    }

    /// Whether something waits for the caller to finish; not for too long.
    #[must_use]
    pub fn holds(&self) -> bool {
        let question_waits = || self.collecting().is_some_and(super::Turn::is_recognised);
        self.floor.held_from.is_some() || self.caller_speaks() && question_waits()
    }

    /// Whether the caller may speak on behind an utterance that was cut at its limit.
    #[must_use]
    pub fn expects_more_speech(&self) -> bool {
        self.floor.goes_on
    }

    /// Tells the player from where on it has to wait, if that has changed.
    pub(super) fn update_hold(&mut self, now: Now) {
        let waits = self.floor_is_callers();
        let from = waits.then(|| self.speech.first_to_hold()).flatten();
        if from == self.floor.held_from {
            return;
        }
        self.floor.held_from = from;
        self.outputs.push_back(TurnOutput::Hold { from });
        match (from, self.floor.held_since) {
            (Some(_), None) => self.floor.held_since = Some(now),
            (None, Some(since)) => {
                self.floor.held_since = None;
                self.count_held(now, since);
            }
            _ => {}
        }
    }

    /// The time that an answer was held back is the caller's, not the engine's.
    fn count_held(&mut self, now: Now, held_since: Now) {
        for turn in &mut self.turns {
            if let Stage::Answering { since } = turn.stage {
                turn.timings.held_ms += now.ms_since(since.max(held_since));
            }
        }
    }
}
