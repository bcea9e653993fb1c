//! When a media thread looks at its connections: in rounds, a bunch of them at a time.
//! What came since the last visit is taken at once, and no packet that comes wakes the
//! thread: what a visit costs is shared by five frames. Where the next frame may decide, or
//! the rest of a reply is to be written, the wait would be a part of the response time: such
//! a connection is visited at the next tick.
//!
//! It reads and writes nothing itself: a visit only has the connection's task polled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;

use super::driver::Driver;
use super::link::LegInput;

/// Length of a round: so long may audio wait in its socket while it decides nothing.
pub(super) const ROUND_MS: usize = 100;

/// So many connections are visited together, where a round has no more at a tick anyway:
/// the first one fetches the code and the tables into the cache that all of them need.
const BUNCH: usize = 32;

/// The connections of one media thread.
///
/// Each one has its tick of the round, and keeps it: whoever comes or goes changes nothing
/// for the others, however many do.
pub(super) struct Rounds {
    /// Who is visited together, for each tick of a round.
    bunches: RefCell<Vec<Vec<Weak<Doorbell>>>>,
    /// The tick of the round that is next.
    next: Cell<usize>,
    awaited: Awaited,
}

/// Who is visited at the next tick in any case.
type Awaited = Rc<RefCell<Vec<Arc<Doorbell>>>>;

impl Rounds {
    /// No connections yet, on a thread that ticks every `tick_ms`.
    pub fn new(tick_ms: u32) -> Self {
        let ticks = (ROUND_MS / tick_ms.max(1) as usize).max(1);
        Self {
            bunches: RefCell::new(vec![Vec::new(); ticks]),
            next: Cell::default(),
            awaited: Awaited::default(),
        }
    }

    /// One more connection.
    pub fn join(&self) -> Visits {
        let doorbell = Arc::new(Doorbell::default());
        let mut bunches = self.bunches.borrow_mut();
        let bunch = bunch_to_join(&bunches);
        bunches[bunch].push(Arc::downgrade(&doorbell));
        Visits { doorbell, awaited: Rc::clone(&self.awaited) }
    }

    /// Has a connection visited at the next tick.
    pub fn visit_next(&self, doorbell: Arc<Doorbell>) {
        self.awaited.borrow_mut().push(doorbell);
    }

    /// A tick: visits those who are awaited, and those whose turn it is.
    pub fn visit(&self) {
        sabotage!("driver.visit");
        self.visit_awaited();
        let mut bunches = self.bunches.borrow_mut();
        let tick = self.next.get();
        self.next.set((tick + 1) % bunches.len());
        // Who is gone is forgotten when it would be visited.
        bunches[tick].retain(|doorbell| match doorbell.upgrade() {
            Some(doorbell) => {
                doorbell.ring();
                true
            }
            None => false,
        });
    }

    fn visit_awaited(&self) {
        self.awaited.borrow_mut().drain(..).for_each(|doorbell| doorbell.ring());
    }

    /// Whether there is nobody to visit.
    pub fn is_empty(&self) -> bool {
        self.bunches.borrow().iter().all(Vec::is_empty)
    }
}

/// The fullest one with room, so that few connections make few bunches; when all are full,
/// the emptiest.
fn bunch_to_join(bunches: &[Vec<Weak<Doorbell>>]) -> usize {
    let size = |bunch: &usize| bunches[*bunch].len();
    let with_room = (0..bunches.len()).filter(|bunch| size(bunch) < BUNCH).max_by_key(size);
    with_room.or_else(|| (0..bunches.len()).min_by_key(size)).unwrap_or_default()
}

/// Where a connection hears that it is visited.
#[derive(Default)]
pub(super) struct Doorbell {
    rung: AtomicBool,
    waiting: AtomicWaker,
}

impl Doorbell {
    fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waiting.wake();
    }
}

/// The visits that a connection gets. No more when dropped.
pub struct Visits {
    doorbell: Arc<Doorbell>,
    awaited: Awaited,
}

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
        Self::of_a_test(true)
    }

    /// The same, but only when they are awaited.
    #[cfg(test)]
    pub(crate) fn when_awaited() -> Self {
        Self::of_a_test(false)
    }

    #[cfg(test)]
    fn of_a_test(in_turn: bool) -> Self {
        let rounds = Rounds::new(10);
        let visits = rounds.join();
        actix_rt::spawn(async move {
            while !rounds.is_empty() {
                if in_turn {
                    (0..ROUND_MS / 10).for_each(|_| rounds.visit());
                } else {
                    rounds.visit_awaited();
                }
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        });
        visits
    }

    /// What is visited brings audio to `leg`: it gets more visits when its call needs them.
    pub fn bring_to(&self, leg: &LegInput) {
        leg.set_doorbell(Arc::downgrade(&self.doorbell));
    }

    /// Ready once for each visit. Of several tasks only the last one is woken.
    pub fn poll(&self, context: &mut Context<'_>) -> Poll<()> {
        self.doorbell.waiting.register(context.waker());
        match self.doorbell.rung.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// The same, where the visit of the next tick is waited for.
    pub fn poll_next(&self, context: &mut Context<'_>) -> Poll<()> {
        let visited = self.poll(context);
        if visited.is_pending() {
            self.awaited.borrow_mut().push(Arc::clone(&self.doorbell));
        }
        visited
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

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

    fn joined<const N: usize>(rounds: &Rounds) -> [Visits; N] {
        std::array::from_fn(|_| rounds.join())
    }

    #[test]
    fn few_connections_are_visited_together_once_in_a_round() {
        let rounds = Rounds::new(10);
        let connections = joined::<BUNCH>(&rounds);
        let visits = visited(&rounds, &connections, 20);
        for (tick, visited) in visits.iter().enumerate() {
            let due = if tick % 10 == 9 { BUNCH } else { 0 };
            assert_eq!(visited.len(), due, "tick {tick}");
        }
    }

    #[test]
    fn many_connections_are_visited_a_part_at_a_time_each_at_the_same_distance() {
        for count in [BUNCH + 1, 5 * BUNCH, 20 * BUNCH] {
            let rounds = Rounds::new(10);
            let connections: Vec<Visits> = (0..count).map(|_| rounds.join()).collect();
            let visits = visited(&rounds, &connections, 50);
            let most = visits.iter().map(Vec::len).max().unwrap();
            assert!(most <= BUNCH.max(count / 10), "{most} of {count} at a tick");
            for connection in 0..count {
                let ticks = ticks_of(connection, &visits);
                assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == 10), "{ticks:?}");
            }
        }
    }

    #[test]
    fn who_is_awaited_is_visited_at_the_next_tick_and_in_its_turn() {
        let rounds = Rounds::new(50);
        let connections = joined::<4>(&rounds);
        rounds.visit_next(Arc::clone(&connections[3].doorbell));
        assert_eq!(visited(&rounds, &connections, 3), [&[3][..], &[0, 1, 2, 3], &[]]);
    }

    #[test]
    fn a_connection_that_is_gone_leaves_nothing_behind() {
        let rounds = Rounds::new(10);
        drop((rounds.join(), rounds.join(), rounds.join()));
        (0..20).for_each(|_| rounds.visit());
        assert!(rounds.is_empty());
    }

    #[test]
    fn nobody_is_left_out_because_somebody_else_has_gone() {
        let rounds = Rounds::new(10);
        let mut connections: Vec<Visits> = (0..5).map(|_| rounds.join()).collect();
        drop(connections.remove(0));
        let visits = visited(&rounds, &connections, 12).concat();
        assert!((0..4).all(|connection| visits.contains(&connection)), "{visits:?}");
    }

    /// The ticks at which `connection` was visited.
    fn ticks_of(connection: usize, visits: &[Vec<usize>]) -> Vec<usize> {
        let at =
            |(tick, visited): (usize, &Vec<usize>)| visited.contains(&connection).then_some(tick);
        visits.iter().enumerate().filter_map(at).collect()
    }

    #[test]
    fn a_standing_connection_keeps_its_distance_while_others_come_and_go() {
        // A tick brings 30 that come and go at once, and 6 that stay for some rounds.
        let rounds = Rounds::new(10);
        let standing = joined::<20>(&rounds);
        let mut staying = std::collections::VecDeque::new();
        let mut visits = Vec::new();
        for _ in 0..300 {
            (0..30).for_each(|_| drop(rounds.join()));
            staying.extend((0..6).map(|_| rounds.join()));
            while staying.len() > 150 {
                staying.pop_front();
            }
            visits.extend(visited(&rounds, &standing, 1));
        }
        for connection in 0..standing.len() {
            let ticks = ticks_of(connection, &visits);
            assert!(
                ticks[0] < 10 && ticks.windows(2).all(|pair| pair[1] - pair[0] == 10),
                "{ticks:?}"
            );
        }
        let held: usize = rounds.bunches.borrow().iter().map(Vec::len).sum();
        assert!(held <= 20 + 150 + 10 * 36, "{held}: who is gone is forgotten within a round");
    }

    #[test]
    fn who_comes_last_is_visited_within_a_round_as_well() {
        let rounds = Rounds::new(10);
        let _others: Vec<Visits> = (0..500).map(|_| rounds.join()).collect();
        for tick in 0..10 {
            let late = [rounds.join()];
            assert!(!visited(&rounds, &late, 10).concat().is_empty(), "joined at tick {tick}");
            rounds.visit();
        }
    }

    #[test]
    fn a_slow_tick_visits_everybody() {
        let rounds = Rounds::new(200);
        let connections = [rounds.join(), rounds.join()];
        assert_eq!(visited(&rounds, &connections, 1), [[0, 1]]);
    }
}
