//! How many a second each of many may have, such as calls of an address: a token bucket for
//! everyone who took one a moment ago.
//!
//! Bounded: a key that has been quiet for as long as its bucket takes to fill is forgotten,
//! and with very many keys the one that was quiet for longest.

use std::collections::HashMap;
use std::hash::Hash;

use crate::types::Now;

/// Keys remembered. One that is forgotten too early gets a full bucket, which is no
/// loss: whoever has so many addresses is not stopped by counting each of them.
const KEYS_MAX: usize = 4_096;

const NANOS_PER_S: u64 = 1_000_000_000;

/// Buckets of each `K`. Each holds a second's worth.
#[derive(Debug)]
pub struct KeyedRates<K> {
    per_s: u32,
    /// When each bucket would be full again, had nobody taken anything since.
    full_at: HashMap<K, Now>,
}

impl<K: Eq + Hash + Clone> KeyedRates<K> {
    /// Full buckets for everybody; at least one a second.
    #[must_use]
    pub fn new(per_s: u32) -> Self {
        Self { per_s: per_s.max(1), full_at: HashMap::new() }
    }

    /// Takes one out of the bucket of `key`. `false` when it is empty: then the next one
    /// fits within a second, and what was tried in vain costs nothing.
    pub fn take(&mut self, key: &K, now: Now) -> bool {
        if self.is_spent(key, now) {
            return false;
        }
        let full_then = self.full_after_one(key, now);
        self.make_room(key, now);
        self.full_at.insert(key.clone(), full_then);
        true
    }

    /// Whether the bucket of `key` is empty.
    #[must_use]
    pub fn is_spent(&self, key: &K, now: Now) -> bool {
        self.full_after_one(key, now).0 - now.0 > NANOS_PER_S
    }

    fn full_after_one(&self, key: &K, now: Now) -> Now {
        let one = NANOS_PER_S / u64::from(self.per_s);
        let full_at = self.full_at.get(key).map_or(now, |&at| at.max(now));
        Now(full_at.0.saturating_add(one))
    }

    fn make_room(&mut self, key: &K, now: Now) {
        if self.full_at.len() < KEYS_MAX || self.full_at.contains_key(key) {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        if self.full_at.len() >= KEYS_MAX {
            let quietest = self.full_at.iter().min_by_key(|(_, full_at)| **full_at);
            if let Some(quietest) = quietest.map(|(key, _)| key.clone()) {
                self.full_at.remove(&quietest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Now {
        Now(ms * 1_000_000)
    }

    fn taken(rates: &mut KeyedRates<u32>, source: u32, at: u64, tries: u32) -> usize {
        (0..tries).filter(|_| rates.take(&source, ms(at))).count()
    }

    #[test]
    fn a_source_gets_a_seconds_worth_at_once_and_then_its_rate() {
        let mut rates = KeyedRates::new(20);
        assert_eq!(taken(&mut rates, 1, 0, 500), 20);
        assert_eq!(taken(&mut rates, 1, 49, 500), 0);
        assert_eq!(taken(&mut rates, 1, 100, 500), 2);
        assert_eq!(taken(&mut rates, 1, 60_000, 500), 20);
    }

    #[test]
    fn nobody_pays_for_another_source() {
        let mut rates = KeyedRates::new(3);
        assert_eq!(taken(&mut rates, 1, 0, 500), 3);
        assert_eq!(taken(&mut rates, 2, 0, 2), 2);
    }

    #[test]
    fn very_many_sources_cost_no_more_memory() {
        let mut rates = KeyedRates::new(1);
        for source in 0..3 * KEYS_MAX as u32 {
            assert!(rates.take(&source, ms(0)), "each has a bucket of its own");
        }
        assert_eq!(rates.full_at.len(), KEYS_MAX);
        assert!(rates.take(&u32::MAX, ms(2_000)));
        assert_eq!(rates.full_at.len(), 1, "full buckets are forgotten");
    }
}
