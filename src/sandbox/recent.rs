//! A map of bounded size that forgets what was not used for the longest time.

use std::collections::{BTreeMap, HashMap};

/// Values by session; at most `entries_max` of them.
#[derive(Debug)]
pub(super) struct RecentMap<V> {
    entries: HashMap<String, (u64, V)>,
    /// Keys by when they were last used.
    order: BTreeMap<u64, String>,
    uses: u64,
    entries_max: usize,
}

impl<V: Default> RecentMap<V> {
    pub(super) fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::new(), order: BTreeMap::new(), uses: 0, entries_max }
    }

    /// The value of `key`, made on its first use. Forgets the one that was not
    /// used for the longest time when there is no room.
    pub(super) fn entry(&mut self, key: &str) -> &mut V {
        self.uses += 1;
        if let Some((used, _)) = self.entries.get(key) {
            self.order.remove(used);
        } else if self.entries.len() >= self.entries_max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.order.insert(self.uses, key.to_owned());
        let (used, value) = self.entries.entry(key.to_owned()).or_default();
        *used = self.uses;
        value
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &V)> {
        self.entries.iter().map(|(key, (_, value))| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_unused_entry_makes_room() {
        let mut map = RecentMap::<u32>::new(2);
        *map.entry("a") += 1;
        *map.entry("b") += 1;
        *map.entry("a") += 1;
        *map.entry("c") += 1;
        let mut left: Vec<_> = map.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        left.sort_unstable();
        assert_eq!(left, [("a", 2), ("c", 1)]);
        assert_eq!(*map.entry("b"), 0);
    }
}
