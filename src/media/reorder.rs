//! Puts numbered chunks back in order, each once.
//!
//! A carrier that posts chunks over several connections delivers them in any
//! order and some of them twice. The window holds what came early until its
//! predecessors are there or the oldest held chunk has waited long enough; then
//! the hole is given up and reported, and whoever fills it later is a duplicate.
//!
//! It neither looks into chunks nor counts their bytes: how large one may be is
//! the transport's limit, how many are held is `ahead_max`.

use std::collections::VecDeque;

use crate::types::Now;

/// The reorder window of one call.
#[derive(Clone, Debug)]
pub struct ReorderWindow<T> {
    /// Number of the chunk that `slots[0]` is for.
    next: u64,
    /// What is held, by distance from `next`. The last slot is never empty.
    slots: VecDeque<Option<Held<T>>>,
    ahead_max: u64,
    latency_ms_max: u32,
}

#[derive(Clone, Debug)]
struct Held<T> {
    arrived: Now,
    chunk: T,
}

/// What became of a chunk that was put in.
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
    /// A window that begins with number `first`, takes numbers up to `ahead_max`
    /// ahead of the next expected one, and holds none for longer than
    /// `latency_ms_max` milliseconds.
    #[must_use]
    pub fn new(first: u64, ahead_max: u64, latency_ms_max: u32) -> Self {
        Self { next: first, slots: VecDeque::new(), ahead_max, latency_ms_max }
    }

    /// Takes chunk number `sequence` that arrived at `now`.
    pub fn insert(&mut self, sequence: u64, now: Now, chunk: T) -> Insertion {
        let Some(ahead) = sequence.checked_sub(self.next) else {
            return Insertion::Duplicate;
        };
        if ahead > self.ahead_max {
            return Insertion::TooFarAhead;
        }
        let Ok(slot) = usize::try_from(ahead) else {
            return Insertion::TooFarAhead;
        };
        if self.slots.len() <= slot {
            self.slots.resize_with(slot + 1, || None);
        }
        if self.slots[slot].is_some() {
            return Insertion::Duplicate;
        }
        self.slots[slot] = Some(Held { arrived: now, chunk });
        Insertion::Accepted
    }

    /// The next chunk or gap that is due at `now`. Call it until it yields `None`.
    /// At the end of a call, ask with the end of time to get all that is held.
    pub fn pop(&mut self, now: Now) -> Option<Ordered<T>> {
        if let Some(Some(_)) = self.slots.front() {
            let held = self.slots.pop_front().flatten()?;
            let sequence = self.next;
            self.next = self.next.saturating_add(1);
            return Some(Ordered::Chunk { sequence, chunk: held.chunk });
        }
        if self.poll_timeout()? > now {
            return None;
        }
        let missing = self.slots.iter().take_while(|slot| slot.is_none()).count();
        self.slots.drain(..missing);
        self.next = self.next.saturating_add(missing as u64);
        Some(Ordered::Gap { missing: missing as u64 })
    }

    /// When the oldest held chunk will have waited long enough. `None`: nothing is held.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        let oldest = self.slots.iter().flatten().map(|held| held.arrived).min()?;
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
