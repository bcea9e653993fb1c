//! Whether a recogniser still hears words. Pure.
//!
//! One that finds no words in anything carries out every request, so that nothing else shows
//! that it serves nobody: the wrong model, the wrong language, silence instead of the audio.
//! Whether the callers said anything only they know; so it is told, and nothing hangs on it.

use crate::types::CallId;

/// Utterances in a row without words after which it is told.
const UTTERANCES_MAX: u32 = 20;
/// They come from so many calls at least: one caller may hold music into the telephone.
const CALLS_MIN: usize = 3;
/// Shorter ones are coughs. The silence around the speech is part of it.
const SPEECH_MS_MIN: u64 = 1_000;

/// The run of utterances in which nothing was heard.
#[derive(Debug, Default)]
pub(super) struct Wordless {
    utterances: u32,
    /// The first few whose utterances they are.
    calls: Vec<CallId>,
    is_told: bool,
}

impl Wordless {
    /// Takes in an utterance. Returns the length of the run when it is to be told: once.
    pub(super) fn heard(&mut self, call: CallId, speech_ms: u64, has_words: bool) -> Option<u32> {
        if has_words {
            *self = Self::default();
            return None;
        }
        if speech_ms < SPEECH_MS_MIN {
            return None;
        }
        self.utterances = self.utterances.saturating_add(1);
        if self.calls.len() < CALLS_MIN && !self.calls.contains(&call) {
            self.calls.push(call);
        }
        let is_due = self.utterances >= UTTERANCES_MAX && self.calls.len() == CALLS_MIN;
        let tells = is_due && !self.is_told;
        self.is_told |= is_due;
        tells.then_some(self.utterances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of utterances without words of so many calls in turn.
    fn told(wordless: &mut Wordless, calls: u128, utterances: u128, speech_ms: u64) -> Vec<u32> {
        (0..utterances)
            .filter_map(|nth| wordless.heard(CallId::from_bits(nth % calls), speech_ms, false))
            .collect()
    }

    #[test]
    fn a_recogniser_that_hears_no_words_in_anything_is_told_once() {
        let mut wordless = Wordless::default();
        assert_eq!(told(&mut wordless, 5, 100, 1_500), [20]);
        assert_eq!(wordless.heard(CallId::from_bits(1), 1_500, true), None);
        assert_eq!(told(&mut wordless, 3, 100, 1_500), [20], "again after it heard something");
    }

    #[test]
    fn one_word_a_single_caller_and_coughs_are_no_reason() {
        let mut wordless = Wordless::default();
        assert_eq!(told(&mut wordless, 5, 19, 1_500), [0; 0]);
        wordless.heard(CallId::from_bits(1), 300, true);
        assert_eq!(told(&mut wordless, 5, 19, 1_500), [0; 0]);
        assert_eq!(told(&mut Wordless::default(), 2, 1_000, 1_500), [0; 0]);
        assert_eq!(told(&mut Wordless::default(), 50, 1_000, 999), [0; 0]);
    }
}
