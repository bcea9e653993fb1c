//! Facts that a carrier can bring about as often as it likes: the first few of a second are
//! told one by one, the rest of it together, so that no caller fills the log and the event
//! file that others are told in. Nothing is left out: counts and lengths add up.

use serde::{Deserialize, Serialize};

use crate::types::{CallEventKind, Now};

/// Facts told one by one in a second.
const ONE_BY_ONE_MAX: u32 = 10;

/// Length of such a second.
const SECOND_MS: u32 = 1_000;

/// Kinds of facts that may wait to be told together; one more is told at once.
const KINDS_MAX: usize = 16;

/// The facts of one call.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct RepeatedFacts {
    since: Now,
    told: u32,
    held: Vec<CallEventKind>,
}

impl RepeatedFacts {
    /// Takes a fact; gives it back when it is to be told now.
    pub(super) fn take(&mut self, now: Now, fact: CallEventKind) -> Option<CallEventKind> {
        if self.held.is_empty() && now >= self.since.plus_ms(SECOND_MS) {
            (self.since, self.told) = (now, 0);
        }
        if self.told < ONE_BY_ONE_MAX {
            self.told += 1;
            return Some(fact);
        }
        if self.held.iter_mut().any(|held| held.absorb(&fact)) {
            return None;
        }
        if self.held.len() >= KINDS_MAX || !fact.clone().absorb(&fact) {
            return Some(fact);
        }
        self.held.push(fact);
        None
    }

    /// When what is held is to be told.
    pub(super) fn due(&self) -> Option<Now> {
        (!self.held.is_empty()).then(|| self.since.plus_ms(SECOND_MS))
    }

    /// What is held, to be told now.
    pub(super) fn release(&mut self, now: Now) -> Vec<CallEventKind> {
        (self.since, self.told) = (now, 0);
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Now {
        Now(1_000_000_000 + ms * 1_000_000)
    }

    fn refused(code: &str, count: u32) -> CallEventKind {
        CallEventKind::InputRefused { code: code.to_owned(), count }
    }

    /// What is told of `facts`, each with its time, and of what is held in the end.
    fn told(facts: impl IntoIterator<Item = (u64, CallEventKind)>) -> Vec<CallEventKind> {
        let (mut repeated, mut told) = (RepeatedFacts::default(), Vec::new());
        for (ms, fact) in facts {
            while let Some(due) = repeated.due().filter(|&due| due <= at(ms)) {
                told.extend(repeated.release(due));
            }
            told.extend(repeated.take(at(ms), fact));
        }
        told.extend(repeated.release(at(u64::from(u32::MAX))));
        told
    }

    #[test]
    fn facts_that_are_rare_are_told_one_by_one() {
        let facts = (0..50).map(|n| (n * 100, refused("odd_byte_count", 1)));
        assert_eq!(told(facts), vec![refused("odd_byte_count", 1); 50]);
    }

    #[test]
    fn a_flood_is_told_in_a_few_facts_that_add_up() {
        let facts = (0..10_000).map(|n| (n, refused("bad_message", 1)));
        let told = told(facts);
        assert!(told.len() <= 11 * 11, "{}", told.len());
        let count = |fact: &CallEventKind| match fact {
            CallEventKind::InputRefused { count, .. } => *count,
            other => panic!("{other:?}"),
        };
        assert_eq!(told.iter().map(count).sum::<u32>(), 10_000);
    }

    #[test]
    fn only_what_is_alike_is_told_together() {
        let gap = |samples| CallEventKind::AudioGap { samples };
        let flood = (0..10).map(|_| (0, gap(1)));
        let more = [gap(5), refused("a", 1), gap(7), refused("b", 1), refused("a", 1)];
        let told = told(flood.chain(more.map(|fact| (1, fact))));
        assert_eq!(told[10..], [gap(12), refused("a", 2), refused("b", 1)]);
    }

    #[test]
    fn what_cannot_be_added_up_is_told_at_once() {
        let suspected = CallEventKind::RateSuspected { declared_hz: 8_000, measured_hz: 16_000 };
        let told = told((0..20).map(|_| (0, suspected.clone())));
        assert_eq!(told.len(), 20);
    }

    #[test]
    fn kinds_that_wait_have_a_limit() {
        let told = told((0..100).map(|n| (0, refused(&n.to_string(), 1))));
        assert_eq!(told.len(), 100);
        assert_eq!(told.last(), Some(&refused(&(9 + KINDS_MAX).to_string(), 1)));
    }
}
