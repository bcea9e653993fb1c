//! Orders of the parent that a child must not miss.
//!
//! They lie where both look and say what is wanted, not what to do next: a mailbox may be
//! full, and what was put into it dies with the child. The parent writes and wakes the
//! child's pulse; the child looks at each drive. An order is taken back when it has been
//! carried out, so that the next generation finds what its predecessor did not do.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::types::{Epoch, SentenceId, UtteranceEnd};

/// What Tts is wanted to do. Clones are the same.
#[derive(Clone, Default)]
pub struct SpeakingOrders(Rc<Speaking>);

#[derive(Default)]
struct Speaking {
    /// What was played before this epoch is to be silent.
    epoch: Cell<Epoch>,
    /// The last epoch of which the parent was told how far the sentences got.
    stopped: Cell<Epoch>,
    /// Sentences to be forgotten.
    dropped: RefCell<Vec<SentenceId>>,
    /// Nothing is to begin from this sentence on.
    held_from: Cell<Option<SentenceId>>,
}

impl SpeakingOrders {
    /// Wants silence, and `epoch` for what comes after it.
    pub fn stop(&self, epoch: Epoch) {
        self.0.epoch.set(epoch);
    }

    /// The silence that was ordered and is not carried out.
    pub fn stop_pending(&self) -> Option<Epoch> {
        let epoch = self.0.epoch.get();
        (epoch != self.0.stopped.get()).then_some(epoch)
    }

    /// It is silent, and the parent knows.
    pub fn stopped(&self, epoch: Epoch) {
        self.0.stopped.set(epoch);
    }

    /// Wants a sentence forgotten.
    pub fn drop_sentence(&self, sentence: SentenceId) {
        self.0.dropped.borrow_mut().push(sentence);
    }

    /// A sentence to be forgotten, if there is one left.
    pub fn take_dropped(&self) -> Option<SentenceId> {
        self.0.dropped.borrow_mut().pop()
    }

    /// Wants nothing to begin from this sentence on; `None`: to go on.
    pub fn hold(&self, from: Option<SentenceId>) {
        self.0.held_from.set(from);
    }

    /// The sentence from which on nothing is to begin.
    pub fn held_from(&self) -> Option<SentenceId> {
        self.0.held_from.get()
    }
}

/// What Vad is wanted to do. Clones are the same.
#[derive(Clone, Default)]
pub struct ListeningOrders(Rc<Cell<Option<UtteranceEnd>>>);

impl ListeningOrders {
    /// Wants the utterance in progress closed.
    pub fn close(&self, end: UtteranceEnd) {
        self.0.set(Some(end));
    }

    /// The close that was ordered and is not carried out.
    pub fn close_pending(&self) -> Option<UtteranceEnd> {
        self.0.get()
    }

    /// The utterance is closed.
    pub fn closed(&self) {
        self.0.set(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_stays_ordered_until_it_is_carried_out_and_a_later_one_takes_its_place() {
        let parent = SpeakingOrders::default();
        let child = parent.clone();
        assert_eq!(child.stop_pending(), None);
        parent.stop(Epoch(1));
        assert_eq!(child.stop_pending(), Some(Epoch(1)));
        parent.stop(Epoch(2));
        assert_eq!(child.stop_pending(), Some(Epoch(2)), "one silence does for both");
        child.stopped(Epoch(2));
        assert_eq!(child.stop_pending(), None);
    }

    #[test]
    fn a_close_is_found_by_the_next_generation() {
        let parent = ListeningOrders::default();
        parent.close(UtteranceEnd::MediaEnded);
        let next_generation = parent.clone();
        assert_eq!(next_generation.close_pending(), Some(UtteranceEnd::MediaEnded));
        next_generation.closed();
        assert_eq!(parent.close_pending(), None);
    }
}
