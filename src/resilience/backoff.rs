//! How long to wait before the next attempt: twice as long each time, spread by
//! chance, and never shorter than the other side asked for.
//!
//! It refuses to draw the random number and to sleep: both are the caller's.

/// The longest `Retry-After` that is honoured. A little above the longest answer
/// time of a call, so that a value by mistake (a year, a date in the wrong
/// century) costs half a minute and not the service; a platform that means it
/// says 429 again.
pub const RETRY_AFTER_MS_MAX: u32 = 30_000;

/// Exponential backoff with jitter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first_ms: u32,
    max_ms: u32,
}

impl Backoff {
    /// Waits up to `first_ms` after the first attempt, twice that after the second
    /// and so on, up to `max_ms` (or `first_ms`, if that is more).
    #[must_use]
    pub const fn new(first_ms: u32, max_ms: u32) -> Self {
        Self { first_ms, max_ms: if max_ms < first_ms { first_ms } else { max_ms } }
    }

    /// Milliseconds to wait after `attempts_used` attempts (1 or more).
    ///
    /// `random` (0 to 1) places the wait between half and all of its step, so that
    /// requests that failed together do not come back together. `retry_after_ms` is
    /// what the other side asked for; it lengthens the wait, up to
    /// [`RETRY_AFTER_MS_MAX`], and never shortens it.
    #[must_use]
    pub fn wait_ms(self, attempts_used: u32, retry_after_ms: Option<u64>, random: f64) -> u32 {
        let doublings = attempts_used.saturating_sub(1).min(31);
        let step_ms = (u64::from(self.first_ms) << doublings).min(u64::from(self.max_ms)) as f64;
        let spread_ms = (step_ms * (0.5 + 0.5 * random.clamp(0.0, 1.0))) as u32;
        let asked_ms = retry_after_ms.map_or(0, |ms| ms.min(u64::from(RETRY_AFTER_MS_MAX)) as u32);
        spread_ms.max(asked_ms)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BACKOFF: Backoff = Backoff::new(250, 2_000);

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let waits: Vec<u32> = (1..=5).map(|used| BACKOFF.wait_ms(used, None, 1.0)).collect();
        assert_eq!(waits, [250, 500, 1_000, 2_000, 2_000]);
    }

    #[test]
    fn chance_spreads_the_wait_over_the_upper_half_of_its_step() {
        let waits = [0.0, 0.5, 1.0].map(|random| BACKOFF.wait_ms(3, None, random));
        assert_eq!(waits, [500, 750, 1_000]);
    }

    #[test]
    fn what_the_other_side_asks_for_lengthens_the_wait_and_never_shortens_it() {
        let waits = [0, 100, 3_000].map(|asked| BACKOFF.wait_ms(1, Some(asked), 1.0));
        assert_eq!(waits, [250, 250, 3_000]);
    }

    #[test]
    fn an_absurd_retry_after_is_cut() {
        assert_eq!(BACKOFF.wait_ms(1, Some(u64::MAX), 0.0), RETRY_AFTER_MS_MAX);
    }

    proptest! {
        #[test]
        fn every_wait_lies_within_its_limits(used: u32, random: f64, asked: Option<u64>) {
            let wait_ms = BACKOFF.wait_ms(used, asked, random);
            prop_assert!((125..=RETRY_AFTER_MS_MAX).contains(&wait_ms));
        }
    }
}
