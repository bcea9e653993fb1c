//! What the bot is about to say, says, and has said.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::sentences::words_heard;
use crate::types::{CallerText, INNER_RATE, SentenceId, TurnId};

/// How long a letter takes to be said, slowly: where it is not known how long a sentence
/// would have been, less counts as heard rather than more.
const LETTER_MS_MAX: u32 = 80;

/// Why a sentence is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The dialog platform's answer.
    Reply,
    /// The call starts.
    Greeting,
    /// The caller was not understood.
    NoMatch,
    /// A service failed for this turn.
    TurnFailed,
    /// The call cannot go on, or its connection is in doubt.
    Fallback,
}

impl Purpose {
    /// What stands in place of an intent for the engine's own sentences.
    #[must_use]
    pub const fn as_intent(self) -> Option<&'static str> {
        match self {
            Self::Reply => None,
            Self::Greeting => Some("greeting"),
            Self::NoMatch => Some("no_match"),
            Self::TurnFailed => Some("turn_failed"),
            Self::Fallback => Some("fallback"),
        }
    }
}

/// A sentence that was cut off, as the player reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutShort {
    /// Which sentence.
    pub sentence: SentenceId,
    /// Samples heard, at the inner rate.
    pub heard_samples: usize,
    /// Samples that came; 0 when its audio was not there yet.
    pub samples: usize,
    /// More was to come: how long it would have been is not known.
    #[serde(default)]
    pub open: bool,
}

/// Sentences that belong together: one answer, one prompt. The gap between two of them
/// counts as spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Passage {
    pub turn: Option<TurnId>,
    pub purpose: Purpose,
}

/// One sentence of the bot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sentence {
    pub id: SentenceId,
    pub turn: Option<TurnId>,
    pub text: CallerText,
    /// The same with its markup, a document, where it has any.
    #[serde(default)]
    pub ssml: Option<CallerText>,
    pub intent: Option<String>,
    pub interruptible: bool,
    pub purpose: Purpose,
    /// Its first sample went out, and it was not silenced since.
    pub started: bool,
    /// It was told that it started.
    pub is_told: bool,
}

impl Sentence {
    pub const fn passage(&self) -> Passage {
        Passage { turn: self.turn, purpose: self.purpose }
    }
}

/// The sentences that are not yet heard to their end, in the order of play.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct BotSpeech {
    queue: VecDeque<Sentence>,
    /// What was begun last.
    passage: Option<Passage>,
    /// Words of this bot turn that were heard.
    heard: Vec<String>,
}

impl BotSpeech {
    pub fn push(&mut self, sentence: Sentence) {
        self.queue.push_back(sentence);
    }

    pub fn is_silent(&self) -> bool {
        self.queue.is_empty()
    }

    pub fn len(&self) -> usize {
        self.queue.len()
    }

    pub fn get(&self, id: SentenceId) -> Option<&Sentence> {
        self.queue.iter().find(|sentence| sentence.id == id)
    }

    /// What the bot is saying at this moment, if anything: what the caller hears, or what
    /// comes next of a passage that was begun.
    pub fn current(&self) -> Option<&Sentence> {
        let goes_on =
            |sentence: &&Sentence| sentence.started || self.passage == Some(sentence.passage());
        self.queue.front().filter(goes_on)
    }

    /// What the bot is saying at this moment, if anything.
    pub fn current_passage(&self) -> Option<Passage> {
        self.current().map(Sentence::passage)
    }

    /// The first sentence that has to wait while the caller speaks.
    pub fn first_to_hold(&self) -> Option<SentenceId> {
        let waits = |sentence: &&Sentence| sentence.interruptible && !sentence.started;
        self.queue.iter().find(waits).map(|sentence| sentence.id)
    }

    /// Whether another sentence of `passage` is still to come.
    pub fn has_more_of(&self, passage: Passage) -> bool {
        self.queue.iter().any(|sentence| sentence.passage() == passage)
    }

    /// Whether another sentence that answers `turn` is still to come.
    pub fn answers(&self, turn: TurnId) -> bool {
        self.queue.iter().any(|sentence| sentence.turn == Some(turn))
    }

    /// Whether a part of the answer to `turn` may not be interrupted.
    pub fn is_protected(&self, turn: TurnId) -> bool {
        self.queue.iter().any(|sentence| sentence.turn == Some(turn) && !sentence.interruptible)
    }

    /// What is left of `passage`.
    pub fn sentences_of(&self, passage: Passage) -> Vec<Sentence> {
        let is_of = |sentence: &&Sentence| sentence.passage() == passage;
        self.queue.iter().filter(is_of).cloned().collect()
    }

    /// A sentence's first sample went out. Returns whether that is new: it may have been
    /// silenced before, and begin again.
    pub fn start(&mut self, id: SentenceId) -> bool {
        let Some(sentence) = self.queue.iter_mut().find(|sentence| sentence.id == id) else {
            return false;
        };
        sentence.started = true;
        self.passage = Some(sentence.passage());
        !std::mem::replace(&mut sentence.is_told, true)
    }

    /// The player was silenced: what was begun will begin again.
    pub fn rewind(&mut self) {
        self.queue.iter_mut().for_each(|sentence| sentence.started = false);
    }

    /// Takes a sentence out that was heard to its end.
    pub fn finish(&mut self, id: SentenceId) -> Option<Sentence> {
        let sentence = self.remove(id)?;
        self.add_heard_text(sentence.text.expose());
        Some(sentence)
    }

    pub fn add_heard_text(&mut self, text: &str) {
        self.heard.push(text.to_owned());
    }

    /// Takes a sentence out that nobody will hear.
    pub fn remove(&mut self, id: SentenceId) -> Option<Sentence> {
        let at = self.queue.iter().position(|sentence| sentence.id == id)?;
        let sentence = self.queue.remove(at);
        self.end_passage_if_silent();
        sentence
    }

    /// Takes sentences out that nobody will hear.
    pub fn take(&mut self, is_taken: impl Fn(&Sentence) -> bool) -> Vec<Sentence> {
        let queue = std::mem::take(&mut self.queue);
        let (taken, kept): (VecDeque<_>, _) = queue.into_iter().partition(is_taken);
        self.queue = kept;
        self.end_passage_if_silent();
        taken.into()
    }

    fn end_passage_if_silent(&mut self) {
        if self.queue.is_empty() {
            self.passage = None;
        }
    }

    /// The words of this bot turn that were heard; begins the next one.
    pub fn take_heard(&mut self) -> CallerText {
        CallerText::new(std::mem::take(&mut self.heard).join(" "))
    }

    /// Adds what was heard of a sentence in the queue that was cut off.
    pub fn add_heard(&mut self, cut: CutShort) {
        let words = self.get(cut.sentence).and_then(|sentence| part_heard(sentence, cut));
        self.heard.extend(words.map(str::to_owned));
    }

    /// The words of this bot turn that were heard, with what was heard of sentences that
    /// were cut off.
    pub fn heard_with(&self, sentences: &[Sentence], cuts: &[CutShort]) -> CallerText {
        let part = |cut: &CutShort| {
            let sentence = sentences.iter().find(|sentence| sentence.id == cut.sentence)?;
            part_heard(sentence, *cut)
        };
        let parts = cuts.iter().filter_map(part);
        let words: Vec<&str> = self.heard.iter().map(String::as_str).chain(parts).collect();
        CallerText::new(words.join(" "))
    }
}

/// What was heard of a sentence that was cut off.
fn part_heard(sentence: &Sentence, cut: CutShort) -> Option<&str> {
    let text = sentence.text.expose();
    let whole = if cut.open { cut.samples.max(samples_max(text)) } else { cut.samples };
    let words = (cut.samples > 0).then(|| words_heard(text, cut.heard_samples, whole))?;
    (!words.is_empty()).then_some(words)
}

/// How long a text is at most when it is spoken.
fn samples_max(text: &str) -> usize {
    text.chars().count() * INNER_RATE.samples_in_ms(LETTER_MS_MAX)
}

/// Milliseconds of the cut sentences that were there and not heard.
pub(super) fn unheard_ms(cuts: &[CutShort]) -> u64 {
    let samples: usize = cuts.iter().map(|cut| cut.samples.saturating_sub(cut.heard_samples)).sum();
    INNER_RATE.ms_of_samples(samples as u64)
}
