//! How a media thread rests, and for how long it did: what is left is what it is busy for.
//!
//! Measured where a thread parks, a few hundred times a second at most; a thread that
//! never parks pays nothing.

use std::cell::Cell;
use std::time::Duration;

use super::clock::Clock;
use crate::types::Now;

/// How long a media thread that has nothing to do does not look what other threads have for
/// it: answers of providers, new calls. What comes meanwhile is worked off together;
/// without it five hundred calls cost a tenth more. Packets wake no media thread: its
/// connections are visited in rounds.
const REST: Duration = Duration::from_millis(2);

/// With fewer calls there is little to be worked off together, and waking up twice costs
/// more.
const REST_CALLS_MIN: usize = 100;

#[derive(Clone, Copy, Default)]
struct Rest {
    /// When it began; later by as long as the thread had to wait for its core in it.
    since: Now,
    /// All rests that are over, in nanoseconds.
    total_ns: u64,
}

thread_local! {
    /// `None` on a thread that does not tell when it rests.
    static REST_OF_THREAD: Cell<Option<Rest>> = const { Cell::new(None) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// The current thread has so many calls.
pub(super) fn calls(count: usize) {
    CALLS.set(count);
}

/// The current thread has nothing to do: it rests, and then waits for its timers and for
/// other threads.
#[expect(clippy::disallowed_methods, reason = "no call has anything to do")]
pub(super) fn begin(clock: Clock) {
    let rest = REST_OF_THREAD.get().unwrap_or_default();
    let mut since = clock.now();
    if CALLS.get() >= REST_CALLS_MIN {
        std::thread::sleep(REST);
        // A thread that sleeps on has no core: others are busy there.
        since = since.max(Now(clock.now().0.saturating_sub(REST.as_nanos() as u64)));
    }
    REST_OF_THREAD.set(Some(Rest { since, ..rest }));
}

/// The current thread has something to do again.
pub(super) fn end(clock: Clock) {
    if let Some(Rest { since, total_ns }) = REST_OF_THREAD.get() {
        let rested_ns = clock.now().0.saturating_sub(since.0);
        REST_OF_THREAD.set(Some(Rest { since, total_ns: total_ns + rested_ns }));
    }
}

/// How long the current thread has rested in its life, in nanoseconds. `None` when that
/// is not known.
pub(super) fn rested_ns() -> Option<u64> {
    REST_OF_THREAD.get().map(|rest| rest.total_ns)
}
