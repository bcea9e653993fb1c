//! Shares one dialog platform between all calls of the process: so many requests
//! in flight and no more, in turn, and nobody while the platform wants a rest. Each
//! platform has its own: what one of them asks for is nothing to the others.
//!
//! A thin shell around [`PermitQueue`]: it tells the time, wakes who is next, and
//! makes sure that a permit comes back whatever happens to its holder. It sends
//! nothing itself and does not know what a dialog is.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::resilience::{LineFull, PermitQueue, Place, Ticket};
use crate::telemetry::{DialogFact, DialogMeter, PermitOutcome};
use crate::types::{CallId, DialogFailure, Now};

/// Gives out the permits to talk to the dialog platform.
#[derive(Debug)]
pub struct Governor {
    queue: Mutex<PermitQueue<CallId, oneshot::Sender<()>>>,
    /// The end of the present or last pause; tells waiters that it has changed.
    paused_until: watch::Sender<Now>,
    started: Instant,
    meter: Option<DialogMeter>,
}

/// The right to have one request in flight. Dropping it gives it back, also when
/// its holder is cancelled or panics.
#[derive(Debug)]
#[must_use = "the permit is given back when this is dropped"]
pub struct Permit {
    governor: Arc<Governor>,
    ticket: Ticket,
    waited: Duration,
}

impl Governor {
    /// At most `in_flight_max` permits at a time; one request more than `waiting_max`
    /// in the line is refused.
    #[must_use]
    pub fn new(in_flight_max: usize, waiting_max: usize, meter: Option<DialogMeter>) -> Arc<Self> {
        if let Some(meter) = &meter {
            meter.limits(count(in_flight_max), count(waiting_max));
        }
        Arc::new(Self {
            queue: Mutex::new(PermitQueue::new(in_flight_max, waiting_max)),
            paused_until: watch::Sender::new(Now::default()),
            started: Instant::now(),
            meter,
        })
    }

    /// Waits in line for a permit. Dropping the future leaves the line.
    ///
    /// # Errors
    /// [`DialogFailure::Saturated`] when the line is full or no permit came before
    /// `deadline`; [`DialogFailure::RateLimited`], at once, when the platform wants to
    /// be left alone until then.
    pub async fn acquire(
        self: &Arc<Self>,
        call: &CallId,
        place: Place,
        deadline: Instant,
    ) -> Result<Permit, DialogFailure> {
        let since = Instant::now();
        let mut outcome = self.stand_in_line(call, place, deadline).await;
        // A pause may have begun after the permit was given and before it was taken up.
        while outcome.is_ok() && self.queue.lock().is_paused(self.now()) {
            drop(outcome);
            outcome = self.stand_in_line(call, Place::Front, deadline).await;
        }
        let waited = since.elapsed();
        self.tell(&DialogFact::LeftLine {
            outcome: match &outcome {
                Ok(_) => PermitOutcome::Granted,
                Err(DialogFailure::RateLimited) => PermitOutcome::RateLimited,
                Err(_) => PermitOutcome::Saturated,
            },
            waited,
        });
        outcome.map(|mut permit| {
            permit.waited = waited;
            permit
        })
    }

    /// Tells a fact about the platform.
    pub(super) fn tell(&self, fact: &DialogFact<'_>) {
        if let Some(meter) = &self.meter {
            meter.fact(fact);
        }
    }

    /// Gives no permit for `ms` milliseconds: the platform asked all of us to wait.
    pub fn pause_ms(&self, ms: u32) {
        let mut queue = self.queue.lock();
        queue.pause_until(self.now().plus_ms(ms));
        self.paused_until.send_replace(queue.paused_until());
        if let Some(meter) = &self.meter {
            meter.throttled(u64::from(ms));
        }
    }

    async fn stand_in_line(
        self: &Arc<Self>,
        call: &CallId,
        place: Place,
        deadline: Instant,
    ) -> Result<Permit, DialogFailure> {
        let mut pauses = self.paused_until.subscribe();
        let (waker, mut granted) = oneshot::channel();
        let permit = self.enter(call, place, waker).map_err(|_| DialogFailure::Saturated)?;
        loop {
            let paused_until = self.instant(*pauses.borrow_and_update());
            let is_paused = paused_until > Instant::now();
            if is_paused && paused_until >= deadline {
                return Err(DialogFailure::RateLimited);
            }
            tokio::select! {
                biased;
                Ok(()) = &mut granted => return Ok(permit),
                Ok(()) = pauses.changed() => {}
                () = sleep_until(paused_until), if is_paused => {
                    self.wake_granted();
                }
                () = sleep_until(deadline) => return Err(DialogFailure::Saturated),
            }
        }
    }

    /// Joins the line. What is returned keeps the place, and is the permit as soon as
    /// the waker was used.
    fn enter(
        self: &Arc<Self>,
        call: &CallId,
        place: Place,
        waker: oneshot::Sender<()>,
    ) -> Result<Permit, LineFull> {
        let ticket = self.queue.lock().enter(*call, place, waker)?;
        self.wake_granted();
        Ok(Permit { governor: Arc::clone(self), ticket, waited: Duration::ZERO })
    }

    fn wake_granted(&self) {
        let now = self.now();
        let mut queue = self.queue.lock();
        while let Some(waker) = queue.poll_granted(now) {
            // Whoever is gone by now gives the permit back when its ticket is dropped.
            waker.send(()).ok();
        }
        if let Some(meter) = &self.meter {
            meter.load(count(queue.in_flight()), count(queue.waiting()));
        }
    }

    fn now(&self) -> Now {
        let nanos = self.started.elapsed().as_nanos();
        Now(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    fn instant(&self, at: Now) -> Instant {
        self.started + Duration::from_nanos(at.0)
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Permit {
    /// How long its holder stood in line for it.
    #[must_use]
    pub fn waited_ms(&self) -> u64 {
        u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.governor.queue.lock().leave(self.ticket);
        self.governor.wake_granted();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::task::JoinHandle;

    use super::*;

    fn call(name: impl std::fmt::Display) -> CallId {
        CallId::of_test(&name.to_string())
    }

    fn in_ms(ms: u64) -> Instant {
        Instant::now() + Duration::from_millis(ms)
    }

    async fn acquire(
        governor: &Arc<Governor>,
        name: u32,
        ms_max: u64,
    ) -> Result<Permit, DialogFailure> {
        governor.acquire(&call(name), Place::Back, in_ms(ms_max)).await
    }

    /// Asks for a permit, keeps it for `hold_ms`, and says when it was had.
    fn hold(
        governor: &Arc<Governor>,
        name: u32,
        hold_ms: u64,
    ) -> JoinHandle<Result<u128, DialogFailure>> {
        let governor = Arc::clone(governor);
        tokio::spawn(async move {
            let _permit = acquire(&governor, name, 10_000).await?;
            let had_at_ms = governor.started.elapsed().as_millis();
            tokio::time::sleep(Duration::from_millis(hold_ms)).await;
            Ok(had_at_ms)
        })
    }

    async fn sleep_ms(ms: u64) {
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_given_in_turn_as_they_come_back() {
        let governor = Governor::new(2, 10, None);
        let holders: Vec<_> = (0..5).map(|name| hold(&governor, name, 100)).collect();
        let mut had_at_ms = Vec::new();
        for holder in holders {
            had_at_ms.push(holder.await.unwrap().unwrap());
        }
        assert_eq!(had_at_ms, [0, 0, 100, 100, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_without_a_permit_ends_at_the_deadline_as_saturated() {
        let governor = Governor::new(1, 10, None);
        let _held = acquire(&governor, 1, 1_000).await.unwrap();
        assert_eq!(acquire(&governor, 2, 300).await.unwrap_err(), DialogFailure::Saturated);
        assert_eq!(governor.started.elapsed().as_millis(), 300);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_line_refuses_at_once() {
        let governor = Governor::new(1, 1, None);
        let _held = acquire(&governor, 1, 1_000).await.unwrap();
        let _waiting = hold(&governor, 2, 0);
        sleep_ms(1).await;
        assert_eq!(acquire(&governor, 3, 1_000).await.unwrap_err(), DialogFailure::Saturated);
        assert_eq!(governor.started.elapsed().as_millis(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_comes_back_when_its_holder_panics_or_is_cancelled() {
        let governor = Governor::new(1, 10, None);
        let panicking = Arc::clone(&governor);
        let outcome = tokio::spawn(async move {
            let _permit = acquire(&panicking, 1, 1_000).await;
            panic!("a planted panic");
        });
        assert!(outcome.await.is_err());
        let cancelled = hold(&governor, 2, 1_000_000);
        sleep_ms(1).await;
        cancelled.abort();
        assert!(acquire(&governor, 3, 100).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_given_to_a_request_that_was_cancelled_meanwhile_goes_to_the_next() {
        let governor = Governor::new(1, 10, None);
        let held = acquire(&governor, 1, 1_000).await.unwrap();
        let cancelled = hold(&governor, 2, 0);
        let next = hold(&governor, 3, 0);
        sleep_ms(1).await;
        drop(held);
        // The permit is on its way to call 2, which has not been polled since.
        cancelled.abort();
        assert_eq!(next.await.unwrap(), Ok(1));
    }

    #[tokio::test(start_paused = true)]
    async fn while_the_platform_wants_a_rest_nobody_is_sent() {
        let governor = Governor::new(2, 10, None);
        let held = acquire(&governor, 1, 1_000).await.unwrap();
        let waiting_before = [hold(&governor, 2, 500), hold(&governor, 3, 500)];
        sleep_ms(1).await;
        governor.pause_ms(2_000);
        drop(held);
        let mut had_at_ms = Vec::new();
        for holder in waiting_before.into_iter().chain([hold(&governor, 4, 0)]) {
            had_at_ms.push(holder.await.unwrap().unwrap());
        }
        // Call 2 had its permit before the pause began; it comes back at 500, to nobody.
        assert_eq!(had_at_ms, [0, 2_001, 2_001]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_beyond_the_deadline_fails_at_once_as_rate_limited() {
        let governor = Governor::new(1, 10, None);
        governor.pause_ms(2_000);
        assert_eq!(acquire(&governor, 1, 2_000).await.unwrap_err(), DialogFailure::RateLimited);
        assert_eq!(governor.started.elapsed().as_millis(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_rest_that_grows_beyond_the_deadline_ends_the_wait() {
        let governor = Governor::new(1, 10, None);
        governor.pause_ms(500);
        let waiting = hold(&governor, 1, 0);
        sleep_ms(100).await;
        governor.pause_ms(20_000);
        assert_eq!(waiting.await.unwrap(), Err(DialogFailure::RateLimited));
        assert_eq!(governor.started.elapsed().as_millis(), 100);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn never_more_in_flight_than_allowed_on_several_threads_under_cancellation() {
        const IN_FLIGHT_MAX: usize = 3;
        let governor = Governor::new(IN_FLIGHT_MAX, 1_000, None);
        let in_flight = Arc::new(AtomicUsize::new(0));
        let highest = Arc::new(AtomicUsize::new(0));
        let asks: Vec<_> = (0..300)
            .map(|name| {
                let (governor, in_flight) = (Arc::clone(&governor), Arc::clone(&in_flight));
                let highest = Arc::clone(&highest);
                tokio::spawn(async move {
                    let _permit = acquire(&governor, name % 40, 60_000).await.unwrap();
                    let count = Counted::new(in_flight);
                    highest.fetch_max(count.others + 1, Ordering::SeqCst);
                    for _ in 0..name % 5 {
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for ask in asks.iter().step_by(3) {
            tokio::task::yield_now().await;
            ask.abort();
        }
        for ask in asks {
            assert!(ask.await.map_or_else(|error| error.is_cancelled(), |()| true));
        }
        assert!((1..=IN_FLIGHT_MAX).contains(&highest.load(Ordering::SeqCst)));
        let mut all = Vec::new();
        for name in 0..3 {
            all.push(acquire(&governor, name, 1_000).await.expect("every permit came back"));
        }
    }

    /// Counts itself as long as it lives.
    struct Counted {
        count: Arc<AtomicUsize>,
        others: usize,
    }

    impl Counted {
        fn new(count: Arc<AtomicUsize>) -> Self {
            let others = count.fetch_add(1, Ordering::SeqCst);
            Self { count, others }
        }
    }

    impl Drop for Counted {
        fn drop(&mut self) {
            self.count.fetch_sub(1, Ordering::SeqCst);
        }
    }
}
