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
    /// Takes one. `false` when there were too many: then one fits within a second, and what
    /// was tried in vain costs nothing.
    pub fn take(&mut self, now: Now) -> bool {
        let full_then = Now(self.full_at.max(now).0.saturating_add(EVERY_NS));
        if full_then.0 - now.0 > AT_ONCE_MAX * EVERY_NS {
            return false;
        }
        self.full_at = full_then;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_come_back_at_once_and_then_one_a_second() {
        let mut rate = ResumeRate::default();
        let mut taken =
            |at_ms: u64| (0..3_000).filter(|_| rate.take(Now(at_ms * 1_000_000))).count();
        assert_eq!([taken(0), taken(999), taken(1_000), taken(3_500)], [5, 0, 1, 2]);
        assert_eq!(taken(60_000), 5);
    }
}
