//! The beat of a media thread, and how its tasks take turns at a tick. A tick is all that
//! wakes a thread whose calls have nothing from elsewhere, so it is to cost one wait in the
//! kernel and no more.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use tokio::time::{Duration, Instant, Sleep, sleep};

/// Ticks at a fixed distance. What is due follows from elapsed time, so ticks that were
/// missed are not repeated.
pub(super) struct Ticks {
    every: Duration,
    next: Pin<Box<Sleep>>,
    /// The tick after the next one is set as well: the runtime wakes itself up from its
    /// next wait, through the kernel, when a timer is set that comes before all others.
    second: Pin<Box<Sleep>>,
}

impl Ticks {
    /// Ticks from now on.
    pub fn every(every: Duration) -> Self {
        Self { every, next: Box::pin(sleep(Duration::ZERO)), second: Box::pin(sleep(every)) }
    }

    /// Waits for the next tick. Returns when it was due.
    pub async fn next(&mut self) -> Instant {
        self.next.as_mut().await;
        let due = self.next.deadline();
        let now = Instant::now();
        if self.second.deadline() <= now {
            self.second.as_mut().reset(now + self.every);
        }
        self.next.as_mut().reset(self.second.deadline() + self.every);
        std::mem::swap(&mut self.next, &mut self.second);
        due
    }
}

/// Lets the thread's tasks that were woken before go first. Unlike
/// [`tokio::task::yield_now`] it does not ask the kernel for more.
pub(super) async fn others_first() {
    let mut went = false;
    poll_fn(|context| {
        if std::mem::replace(&mut went, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::runtime::Builder;
    use tokio::task::{LocalSet, spawn_local};

    use super::*;

    const EVERY: Duration = Duration::from_millis(10);

    /// When the next `count` ticks were due and when they came, in ms after `since`.
    async fn next(ticks: &mut Ticks, count: usize, since: Instant) -> Vec<(u128, u128)> {
        let mut came = Vec::new();
        for _ in 0..count {
            let due = ticks.next().await;
            came.push(((due - since).as_millis(), since.elapsed().as_millis()));
        }
        came
    }

    #[tokio::test(start_paused = true)]
    async fn ticks_come_at_a_fixed_distance_however_long_the_work_takes() {
        let since = Instant::now();
        let mut ticks = Ticks::every(EVERY);
        assert_eq!(next(&mut ticks, 3, since).await, [(0, 0), (10, 10), (20, 20)]);
        tokio::time::advance(Duration::from_millis(4)).await;
        assert_eq!(next(&mut ticks, 3, since).await, [(30, 30), (40, 40), (50, 50)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_tick_that_comes_late_says_so_and_missed_ones_are_not_repeated() {
        let since = Instant::now();
        let mut ticks = Ticks::every(EVERY);
        next(&mut ticks, 2, since).await;
        tokio::time::advance(Duration::from_millis(45)).await;
        assert_eq!(next(&mut ticks, 3, since).await, [(20, 55), (65, 65), (75, 75)]);
    }

    /// On the real clock: the paused one has the runtime wait twice.
    #[test]
    fn a_tick_is_one_wait_of_its_thread() {
        const TICKS: usize = 50;
        let waits = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&waits);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            })
            .build()
            .unwrap();
        LocalSet::new().block_on(&runtime, async {
            let ticking = async {
                let mut ticks = Ticks::every(2 * EVERY);
                for _ in 0..TICKS {
                    ticks.next().await;
                    others_first().await;
                }
            };
            spawn_local(ticking).await.unwrap();
        });
        // A tick that comes a whole tick late takes one more.
        let waits = waits.load(Ordering::Relaxed);
        assert!(waits < TICKS * 3 / 2, "{waits} waits for {TICKS} ticks");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_was_woken_before_goes_first() {
        let went = Rc::new(RefCell::new(Vec::new()));
        let take_turn = |name: &'static str| {
            let went = Rc::clone(&went);
            async move { went.borrow_mut().push(name) }
        };
        let others = [take_turn("one"), take_turn("two")];
        let last = take_turn("last");
        let tick = async {
            others.into_iter().for_each(|other| drop(spawn_local(other)));
            others_first().await;
            last.await;
        };
        LocalSet::new().run_until(async { spawn_local(tick).await.unwrap() }).await;
        assert_eq!(*went.borrow(), ["one", "two", "last"]);
    }
}
