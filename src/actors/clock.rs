//! The one place that reads a clock.

use tokio::time::{Duration, Instant};

use crate::types::Now;

/// Turns the runtime's clock into [`Now`]. Follows tokio's paused test clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that reads zero at this moment.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// Time since the start.
    #[must_use]
    pub fn now(self) -> Now {
        Now(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// The runtime's instant for `now`, to sleep until.
    #[must_use]
    pub fn instant(self, now: Now) -> Instant {
        self.origin + Duration::from_nanos(now.0)
    }
}
