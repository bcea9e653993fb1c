//! How late due work was, as a distribution of fixed size: cheap to add to, exact to the
//! millisecond where it matters. It knows no limit.

/// Lateness from here on is told as this much, in milliseconds.
pub const LATE_MS_SEEN_MAX: u32 = 100;

/// Counts of work by how late it was, in whole milliseconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lateness {
    counts: [u32; LATE_MS_SEEN_MAX as usize + 1],
    total: u32,
}

impl Default for Lateness {
    fn default() -> Self {
        Self { counts: [0; LATE_MS_SEEN_MAX as usize + 1], total: 0 }
    }
}

impl Lateness {
    /// Counts a piece of work that was done `late_ms` after its time.
    pub fn add(&mut self, late_ms: u64) {
        let late_ms = late_ms.min(u64::from(LATE_MS_SEEN_MAX)) as usize;
        self.counts[late_ms] = self.counts[late_ms].saturating_add(1);
        self.total = self.total.saturating_add(1);
    }

    /// Counts what the other one counted as well.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// The lateness that one piece in a thousand exceeds at most, in milliseconds; the
    /// largest one of fewer than a thousand pieces. 0 when nothing was due.
    #[must_use]
    pub fn p999_ms(&self) -> u32 {
        let mut beyond = self.total / 1_000;
        for (late_ms, count) in (0..=LATE_MS_SEEN_MAX).rev().zip(self.counts.iter().rev()) {
            if *count > beyond {
                return late_ms;
            }
            beyond -= count;
        }
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lateness(pieces: &[(u32, u64)]) -> Lateness {
        let mut lateness = Lateness::default();
        for (count, late_ms) in pieces {
            (0..*count).for_each(|_| lateness.add(*late_ms));
        }
        lateness
    }

    #[test]
    fn one_piece_in_a_thousand_may_be_later() {
        assert_eq!(lateness(&[]).p999_ms(), 0);
        assert_eq!(lateness(&[(10, 3)]).p999_ms(), 3);
        assert_eq!(lateness(&[(998, 2), (1, 40)]).p999_ms(), 40, "fewer than a thousand");
        assert_eq!(lateness(&[(999, 2), (1, 40)]).p999_ms(), 2);
        assert_eq!(lateness(&[(1_998, 2), (2, 40)]).p999_ms(), 2);
        assert_eq!(lateness(&[(1_997, 2), (3, 40)]).p999_ms(), 40);
    }

    #[test]
    fn what_is_later_than_can_be_seen_counts_as_the_latest() {
        assert_eq!(lateness(&[(1, 60_000)]).p999_ms(), LATE_MS_SEEN_MAX);
    }

    #[test]
    fn two_of_them_together_are_as_if_all_had_been_counted_in_one() {
        let mut both = lateness(&[(999, 2)]);
        both.merge(&lateness(&[(1, 40), (1_000, 5)]));
        assert_eq!(both, lateness(&[(999, 2), (1, 40), (1_000, 5)]));
        assert_eq!(both.p999_ms(), 5);
    }
}
