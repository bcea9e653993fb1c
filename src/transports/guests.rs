//! What threads know of each other's connections: which have no request, and since when.
//! Each is held by one thread; a newcomer may come on any.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Stands for no time.
const NOT_WAITING: u64 = u64::MAX;

/// All of them. Who comes and who goes is noted under a lock, what each does is not.
#[derive(Debug)]
pub(super) struct Guests {
    /// Times are counted from here.
    begin: Instant,
    all: Mutex<Vec<Weak<Guest>>>,
}

/// One connection, for all threads.
#[derive(Debug)]
pub(super) struct Guest {
    begin: Instant,
    /// Microseconds, or [`NOT_WAITING`].
    waiting_since_us: AtomicU64,
    /// It has to go, for somebody else.
    is_sent_away: AtomicBool,
    /// The task of the connection.
    task: Mutex<Option<Waker>>,
}

impl Guests {
    /// Nobody yet.
    pub(super) fn new(begin: Instant) -> Self {
        Self { begin, all: Mutex::default() }
    }

    /// One more.
    pub(super) fn come(&self) -> Arc<Guest> {
        let guest = Arc::new(Guest {
            begin: self.begin,
            waiting_since_us: AtomicU64::new(NOT_WAITING),
            is_sent_away: AtomicBool::default(),
            task: Mutex::default(),
        });
        let mut all = self.all.lock();
        // Grows to twice what is there before those who left are looked for.
        if all.len() == all.capacity() {
            all.retain(|guest| guest.strong_count() > 0);
        }
        all.push(Arc::downgrade(&guest));
        guest
    }

    /// Whoever has been without a request for longest.
    pub(super) fn send_somebody_away(&self) -> bool {
        let all = self.all.lock();
        let waiting = all.iter().filter_map(Weak::upgrade).filter_map(|guest| {
            let since = guest.waiting_since_us.load(Ordering::Relaxed);
            (since != NOT_WAITING && !guest.is_sent_away()).then_some((since, guest))
        });
        let longest = waiting.min_by_key(|(since, _)| *since);
        longest.is_some_and(|(_, guest)| {
            guest.send_away();
            true
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.all.lock().len()
    }
}

impl Guest {
    /// Since when it holds a connection for no request; `None` while it has one.
    pub(super) fn waits_since(&self, since: Option<Instant>) {
        let us = since.map(|since| since.saturating_duration_since(self.begin).as_micros());
        let us = us.and_then(|us| u64::try_from(us).ok()).unwrap_or(NOT_WAITING);
        self.waiting_since_us.store(us, Ordering::Relaxed);
    }

    /// Whoever sends it away wakes this.
    pub(super) fn is_carried_by(&self, task: Waker) {
        *self.task.lock() = Some(task);
    }

    /// Whether it has to go.
    pub(super) fn is_sent_away(&self) -> bool {
        self.is_sent_away.load(Ordering::Acquire)
    }

    fn send_away(&self) {
        self.is_sent_away.store(true, Ordering::Release);
        if let Some(task) = self.task.lock().as_ref() {
            task.wake_by_ref();
        }
    }
}
