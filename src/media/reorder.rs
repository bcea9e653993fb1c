//! Puts numbered chunks back in order, each once.
//!
//! A carrier that posts chunks over several connections delivers them in any
//! order and some of them twice. The window holds what came early until its
//! predecessors are there or the oldest held chunk has waited long enough; then
//! the hole is given up and reported, and whoever fills it later is a duplicate.
//!
//! It neither looks into chunks nor counts their bytes: how much may be held is its
//! user's limit, how many numbers ahead is `ahead_max`.

use std::collections::BTreeMap;

use crate::types::Now;

/// The reorder window of one call.
#[derive(Clone, Debug)]
pub struct ReorderWindow<T> {
    /// Number of the chunk that comes out next.
    next: u64,
    /// What is held, by number.
    held: BTreeMap<u64, Held<T>>,
    ahead_max: u64,
    latency_ms_max: u32,
}

#[derive(Clone, Debug)]
struct Held<T> {
    arrived: Now,
    chunk: T,
}

/// What becomes of a chunk that is put in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Insertion {
    /// It will come out when its turn has come.
    Accepted,
    /// Its number came before, or was given up, or lies before the first one.
    Duplicate,
    /// Further ahead than the window allows. Its number is still free.
    TooFarAhead,
}

/// What comes out next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ordered<T> {
    /// The next chunk.
    Chunk {
        /// Its number.
        sequence: u64,
        /// When it was put in.
        arrived: Now,
        /// Itself.
        chunk: T,
    },
    /// Chunks that never came. What follows was held behind them.
    Gap {
        /// How many; at least 1.
        missing: u64,
    },
}

impl<T> ReorderWindow<T> {
    /// A window whose first chunk is number `first`. Chunks up to `ahead_max` ahead of
    /// the next one are held, until the oldest has been held for more than
    /// `latency_ms_max` milliseconds.
    #[must_use]
    pub fn new(first: u64, ahead_max: u64, latency_ms_max: u32) -> Self {
        Self { next: first, held: BTreeMap::new(), ahead_max, latency_ms_max }
    }

    /// What would become of chunk number `sequence`.
    #[must_use]
    pub fn verdict(&self, sequence: u64) -> Insertion {
        match sequence.checked_sub(self.next) {
            None => Insertion::Duplicate,
            Some(ahead) if ahead > self.ahead_max => Insertion::TooFarAhead,
            Some(_) if self.held.contains_key(&sequence) => Insertion::Duplicate,
            Some(_) => Insertion::Accepted,
        }
    }

    /// Takes chunk number `sequence` that arrived at `now`.
    pub fn insert(&mut self, sequence: u64, now: Now, chunk: T) -> Insertion {
        let verdict = self.verdict(sequence);
        if verdict == Insertion::Accepted {
            self.held.insert(sequence, Held { arrived: now, chunk });
        }
        verdict
    }

    /// The next chunk or gap that is due at `now`. Call it until it yields `None`.
    /// At the end of a call, ask with the end of time to get all that is held.
    pub fn pop(&mut self, now: Now) -> Option<Ordered<T>> {
        if let Some(Held { arrived, chunk }) = self.held.remove(&self.next) {
            let sequence = self.next;
            self.next = self.next.saturating_add(1);
            return Some(Ordered::Chunk { sequence, arrived, chunk });
        }
        if self.poll_timeout()? > now {
            return None;
        }
        let (&first, _) = self.held.first_key_value()?;
        let missing = first - self.next;
        self.next = first;
        Some(Ordered::Gap { missing })
    }

    /// When the oldest held chunk will have waited long enough. `None`: nothing is held.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        let oldest = self.held.values().map(|held| held.arrived).min()?;
        Some(oldest.plus_ms(self.latency_ms_max))
    }

    /// Lowest number that has neither come out nor been given up.
    #[must_use]
    pub fn next_expected(&self) -> u64 {
        self.next
    }
}

#[cfg(test)]
#[path = "tests/reorder.rs"]
mod tests;
