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

/// One sentence of the bot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sentence {
    pub id: SentenceId,
    pub turn: Option<TurnId>,
    pub text: CallerText,
    pub intent: Option<String>,
    pub interruptible: bool,
    pub purpose: Purpose,
    /// Its first sample went out.
    pub started: bool,
}

/// The sentences that are not yet heard to their end, in the order of play.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct BotSpeech {
    queue: VecDeque<Sentence>,
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

    /// What the caller hears at this moment, if anything.
    pub fn playing(&self) -> Option<&Sentence> {
        self.queue.front().filter(|sentence| sentence.started)
    }

    /// Whether another sentence of `turn` is still to come.
    pub fn has_more_of(&self, turn: Option<TurnId>) -> bool {
        self.queue.iter().any(|sentence| sentence.turn == turn)
    }

    pub fn start(&mut self, id: SentenceId) -> Option<&Sentence> {
        let sentence = self.queue.iter_mut().find(|sentence| sentence.id == id)?;
        sentence.started = true;
        Some(sentence)
    }

    /// Takes a sentence out that was heard to its end.
    pub fn finish(&mut self, id: SentenceId) -> Option<Sentence> {
        let sentence = self.remove(id)?;
        self.heard.push(sentence.text.expose().clone());
        Some(sentence)
    }

    /// Takes a sentence out that nobody will hear.
    pub fn remove(&mut self, id: SentenceId) -> Option<Sentence> {
        let at = self.queue.iter().position(|sentence| sentence.id == id)?;
        self.queue.remove(at)
    }

    /// Takes everything out.
    pub fn take_all(&mut self) -> Vec<Sentence> {
        self.queue.drain(..).collect()
    }

    /// The words of this bot turn that were heard; begins the next one.
    pub fn take_heard(&mut self) -> CallerText {
        CallerText::new(std::mem::take(&mut self.heard).join(" "))
    }

    /// Adds what was heard of a sentence in the queue that was cut off.
    pub fn add_heard(&mut self, cut: CutShort) {
        if let Some(sentence) = self.get(cut.sentence).cloned() {
            self.add_heard_part(&sentence, cut);
        }
    }

    /// Adds what was heard of a sentence that was cut off.
    pub fn add_heard_part(&mut self, sentence: &Sentence, cut: CutShort) {
        if cut.samples > 0 {
            let text = sentence.text.expose();
            let whole = if cut.open { cut.samples.max(samples_max(text)) } else { cut.samples };
            let words = words_heard(text, cut.heard_samples, whole);
            self.heard.extend((!words.is_empty()).then(|| words.to_owned()));
        }
    }
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
