//! How often one call may get a new connection. Each costs as much as a small part of a
//! call's start, and whoever dials one id again and again would otherwise pass by every
//! other limit.

use crate::types::Now;

/// So many at once: a caller on a poor line comes back a few times.
const AT_ONCE_MAX: u64 = 5;

/// One more for each such time that passed.
const EVERY_NS: u64 = 1_000_000_000;

/// Of one call.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResumeRate {
    /// When all would be allowed again.
    full_at: Now,
}

impl ResumeRate {
    /// Whether there were too many: then one fits within a second, and what is tried in vain
    /// costs nothing.
    #[must_use]
    pub fn is_spent(&self, now: Now) -> bool {
        self.full_after_one(now) - now.0 > AT_ONCE_MAX * EVERY_NS
    }

    /// Takes one.
    pub fn take(&mut self, now: Now) {
        self.full_at = Now(self.full_after_one(now));
    }

    fn full_after_one(&self, now: Now) -> u64 {
        self.full_at.max(now).0.saturating_add(EVERY_NS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_come_back_at_once_and_then_one_a_second() {
        let mut rate = ResumeRate::default();
        let mut taken = |at_ms: u64| {
            let now = Now(at_ms * 1_000_000);
            let mut take = || {
                let may = !rate.is_spent(now);
                if may {
                    rate.take(now);
                }
                may
            };
            (0..3_000).filter(|_| take()).count()
        };
        assert_eq!([taken(0), taken(999), taken(1_000), taken(3_500)], [5, 0, 1, 2]);
        assert_eq!(taken(60_000), 5);
    }
}
