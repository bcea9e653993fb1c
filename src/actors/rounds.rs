//! When a media thread looks at its connections: in rounds, a part of them at each tick.
//! What came since the last visit is taken at once, and no packet that comes wakes the
//! thread. The more connections, the longer the round: what a visit costs is then shared
//! by more audio.
//!
//! It reads and writes nothing itself: a visit only has the connection's task polled.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use super::driver::Driver;

/// Length of a round when there are few connections. Audio may wait so long in its socket.
const ROUND_MS_MIN: usize = 20;

/// Length of a round when there are many: what comes in it is read at once.
const ROUND_MS_MAX: usize = 50;

/// Connections that lengthen the round by a millisecond.
const CONNECTIONS_PER_MS: usize = 10;

/// The connections of one media thread.
pub(super) struct Rounds {
    tick_ms: usize,
    doorbells: RefCell<Vec<Weak<Doorbell>>>,
    /// Who is visited next.
    next: Cell<usize>,
}

impl Rounds {
    /// No connections yet, on a thread that ticks every `tick_ms`.
    pub fn new(tick_ms: u32) -> Self {
        let tick_ms = tick_ms.max(1) as usize;
        Self { tick_ms, doorbells: RefCell::default(), next: Cell::default() }
    }

    /// One more connection.
    pub fn join(&self) -> Visits {
        let doorbell = Rc::new(Doorbell::default());
        self.doorbells.borrow_mut().push(Rc::downgrade(&doorbell));
        Visits(doorbell)
    }

    /// Visits those whose turn it is at this tick.
    pub fn visit(&self) {
        let mut doorbells = self.doorbells.borrow_mut();
        for _ in 0..doorbells.len().div_ceil(self.ticks(doorbells.len())) {
            let next = if self.next.get() < doorbells.len() { self.next.get() } else { 0 };
            let Some(doorbell) = doorbells.get(next) else { return };
            match doorbell.upgrade() {
                Some(doorbell) => doorbell.ring(),
                // Whoever moves to this place comes next.
                None => {
                    doorbells.swap_remove(next);
                    self.next.set(next);
                    continue;
                }
            }
            self.next.set(next + 1);
        }
    }

    /// Length of a round of so many visits.
    fn ticks(&self, connections: usize) -> usize {
        let round_ms = (connections / CONNECTIONS_PER_MS).clamp(ROUND_MS_MIN, ROUND_MS_MAX);
        (round_ms / self.tick_ms).max(1)
    }

    /// Whether there is nobody to visit.
    pub fn is_empty(&self) -> bool {
        self.doorbells.borrow().is_empty()
    }
}

#[derive(Default)]
struct Doorbell {
    rung: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Doorbell {
    fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = &*self.waiting.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// The visits that a connection gets. No more when dropped.
pub struct Visits(Rc<Doorbell>);

impl Visits {
    /// Those of the current thread; `None` if it is no media thread.
    #[must_use]
    pub fn here() -> Option<Self> {
        let visits = super::placement::with_driver(Driver::join_rounds);
        // Tests carry connections on the threads of their HTTP server.
        #[cfg(test)]
        let visits = visits.or_else(|| Some(Self::every_10_ms()));
        visits
    }

    /// Those of a test without a media thread, every 10 ms.
    #[cfg(test)]
    pub(crate) fn every_10_ms() -> Self {
        let visits = Self(Rc::default());
        let doorbell = Rc::downgrade(&visits.0);
        actix_rt::spawn(async move {
            while let Some(doorbell) = doorbell.upgrade() {
                doorbell.ring();
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        visits
    }

    /// Ready once for each visit. Of several tasks only the last one is woken.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.0.rung.take() {
            return Poll::Ready(());
        }
        let mut waiting = self.0.waiting.borrow_mut();
        match &mut *waiting {
            Some(waker) => waker.clone_from(context.waker()),
            None => *waiting = Some(context.waker().clone()),
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_visited(connection: &Visits) -> bool {
        connection.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    /// The connections that were visited at each of the next `ticks`.
    fn visited(rounds: &Rounds, connections: &[Visits], ticks: usize) -> Vec<Vec<usize>> {
        let at_tick = |_| {
            rounds.visit();
            (0..connections.len()).filter(|&n| is_visited(&connections[n])).collect()
        };
        (0..ticks).map(at_tick).collect()
    }

    #[test]
    fn each_connection_is_visited_once_in_a_round_and_not_all_at_one_tick() {
        let rounds = Rounds::new(10);
        let connections: Vec<Visits> = (0..4).map(|_| rounds.join()).collect();
        assert_eq!(visited(&rounds, &connections, 4), [[0, 1], [2, 3], [0, 1], [2, 3]]);
    }

    #[test]
    fn many_connections_make_a_round_longer_but_not_for_ever() {
        for (count, ticks) in [(1, 2), (299, 2), (300, 3), (500, 5), (5_000, 5)] {
            assert_eq!(Rounds::new(10).ticks(count), ticks, "{count}");
        }
    }

    #[test]
    fn a_connection_that_is_gone_leaves_nothing_behind() {
        let rounds = Rounds::new(10);
        drop((rounds.join(), rounds.join(), rounds.join()));
        (0..6).for_each(|_| rounds.visit());
        assert!(rounds.is_empty());
    }

    #[test]
    fn nobody_is_left_out_because_somebody_else_has_gone() {
        let rounds = Rounds::new(10);
        let mut connections: Vec<Visits> = (0..5).map(|_| rounds.join()).collect();
        drop(connections.remove(0));
        let visits = visited(&rounds, &connections, 3).concat();
        assert!((0..4).all(|connection| visits.contains(&connection)), "{visits:?}");
    }

    #[test]
    fn a_slow_tick_visits_everybody() {
        let rounds = Rounds::new(50);
        let connections = [rounds.join(), rounds.join()];
        assert_eq!(visited(&rounds, &connections, 1), [[0, 1]]);
    }
}
