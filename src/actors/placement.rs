//! The media threads: arbiters that calls are spread over, each with its driver.
//!
//! The only place that makes arbiters. Where a call runs is decided here and
//! passed on; nothing else knows about threads. A thread that is full gets no new calls,
//! and goes on with those it has.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use parking_lot::Mutex;
use tokio::runtime::Builder;
use tokio::time::Instant;

use super::clock::Clock;
use super::driver::Driver;
use super::rest;
use super::watch::SharedAdmission;
use crate::config::LimitSettings;
use crate::resilience::{Overload, ThreadAdmission, ThreadLimits};
use crate::telemetry::Telemetry;
use crate::types::Now;

/// Longest wait for threads to end when the process does.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The media threads.
pub struct MediaThreads {
    threads: Vec<MediaThread>,
}

struct MediaThread {
    /// `None`: the thread this was made on, for virtual time.
    arbiter: Option<Arbiter>,
    calls: Arc<AtomicUsize>,
    admission: SharedAdmission,
}

/// Why there is no place for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPlace {
    /// The threads were stopped.
    Stopped,
    /// No thread takes a call, not even this one, which has the fewest.
    Overloaded(FullThread),
}

/// A thread that takes no call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FullThread {
    thread: usize,
    because: Overload,
}

/// A call's media thread. Its connection runs there too, so that audio goes from the
/// socket to the ear without waking another thread.
#[derive(Clone)]
pub struct Seat {
    /// `None`: the current thread, for virtual time.
    arbiter: Option<ArbiterHandle>,
    thread: usize,
}

impl Seat {
    /// The current thread.
    #[cfg(test)]
    pub(super) fn here() -> Self {
        Self { arbiter: None, thread: 0 }
    }

    /// Which of the media threads it is on.
    pub(super) fn thread(&self) -> usize {
        self.thread
    }

    /// Runs the future that `start` makes. A task that panics ends alone. `false`, and
    /// `start` is dropped, when the thread does not run any more.
    pub fn spawn<F>(&self, start: impl FnOnce() -> F + Send + 'static) -> bool
    where
        F: Future<Output = ()> + 'static,
    {
        self.run(move || drop(actix_rt::spawn(start())))
    }

    /// Starts something that needs the thread's driver; `false` as above.
    pub(super) fn start(&self, start: impl FnOnce(&Rc<Driver>) + Send + 'static) -> bool {
        self.run(move || {
            with_driver(start);
        })
    }

    fn run(&self, on_thread: impl FnOnce() + Send + 'static) -> bool {
        match &self.arbiter {
            Some(arbiter) => arbiter.spawn_fn(on_thread),
            None => {
                on_thread();
                true
            }
        }
    }
}

/// Counts a call for as long as it occupies its thread.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static DRIVER: RefCell<Option<Rc<Driver>>> = const { RefCell::new(None) };
}

/// Does something with the current thread's driver. `None` if it has none.
pub(super) fn with_driver<T>(act: impl FnOnce(&Rc<Driver>) -> T) -> Option<T> {
    let driver = DRIVER.with(|driver| driver.borrow().clone())?;
    Some(act(&driver))
}

impl MediaThreads {
    /// Starts `count` threads whose drivers tick every `tick_ms`.
    #[must_use]
    pub fn start(
        count: usize,
        clock: Clock,
        tick_ms: u32,
        limits: &LimitSettings,
        telemetry: &Telemetry,
    ) -> Self {
        let start =
            |index| MediaThread::start(clock, tick_ms, index, admission(limits), telemetry.clone());
        Self { threads: (0..count.max(1)).map(start).collect() }
    }

    /// Uses the current thread only. For virtual time, in tests and benches: an arbiter
    /// has a runtime, and so a clock, of its own.
    #[must_use]
    pub fn here(clock: Clock, tick_ms: u32, limits: &LimitSettings, telemetry: &Telemetry) -> Self {
        let admission = admission(limits);
        let told = Arc::clone(&admission);
        install_driver(Driver::new(clock, tick_ms, 0, told, telemetry.clone()));
        Self { threads: vec![MediaThread { arbiter: None, calls: Arc::default(), admission }] }
    }

    /// A seat on the thread with the fewest calls of those that take one, counted until
    /// the place is dropped.
    pub fn take_place(&self, now: Now) -> Result<(Seat, Place), NoPlace> {
        let calls = |thread: &MediaThread| thread.calls.load(Ordering::Relaxed);
        let mut by_calls: Vec<(usize, &MediaThread)> = self.threads.iter().enumerate().collect();
        by_calls.sort_by_key(|(_, thread)| calls(thread));
        let mut refused = NoPlace::Stopped;
        for (index, thread) in by_calls {
            match thread.admission.lock().take(now, calls(thread)) {
                Ok(()) => return Ok(thread.seat(index)),
                Err(because) if refused == NoPlace::Stopped => {
                    refused = NoPlace::Overloaded(FullThread { thread: index, because });
                }
                Err(_) => {}
            }
        }
        Err(refused)
    }

    /// Whether they are threads of their own, not the current one in virtual time.
    pub fn are_threads(&self) -> bool {
        self.threads.iter().any(|thread| thread.arbiter.is_some())
    }

    /// Why no thread takes calls, one by one. Empty while one does.
    pub fn closed(&self, now: Now) -> Vec<FullThread> {
        let closed = |(thread, it): (usize, &MediaThread)| {
            it.admission.lock().closed(now).map(|because| FullThread { thread, because })
        };
        let closed: Option<Vec<FullThread>> = self.threads.iter().enumerate().map(closed).collect();
        closed.unwrap_or_default()
    }

    /// Stops the threads and waits for them, for a while. Calls that still run are dropped.
    pub fn stop(&mut self) {
        for thread in &self.threads {
            if let Some(arbiter) = &thread.arbiter {
                arbiter.stop();
            }
        }
        let arbiters = self.threads.drain(..).filter_map(|thread| thread.arbiter);
        join("media", arbiters.collect());
    }
}

/// Waits for threads that were told to stop. One that hangs, in a disk for example, keeps
/// the process from nothing: it is left behind.
pub(super) fn join(what: &'static str, arbiters: Vec<Arbiter>) {
    let count = arbiters.len();
    let (ended, has_ended) = mpsc::sync_channel(count);
    for arbiter in arbiters {
        let ended = ended.clone();
        std::thread::spawn(move || drop(ended.send(arbiter.join())));
    }
    let deadline = Instant::now() + STOP_WITHIN;
    for left in (1..=count).rev() {
        let within = deadline.saturating_duration_since(Instant::now());
        match has_ended.recv_timeout(within) {
            Ok(Ok(())) => {}
            Ok(Err(_)) => tracing::error!(what, "a thread ended with a panic"),
            Err(_) => return tracing::error!(what, left, "threads do not end and are left behind"),
        }
    }
}

/// An OS thread for media, with a runtime of its own.
fn media_arbiter(clock: Clock) -> Arbiter {
    Arbiter::with_tokio_rt(move || {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(move || rest::begin(clock))
            .on_thread_unpark(move || rest::end(clock))
            .build();
        runtime.expect("a thread can have a runtime")
    })
}

/// An OS thread with a runtime of its own.
#[expect(clippy::disallowed_methods, reason = "the one place that makes arbiters")]
pub(super) fn new_arbiter() -> Arbiter {
    Arbiter::new()
}

impl MediaThread {
    fn start(
        clock: Clock,
        tick_ms: u32,
        index: usize,
        admission: SharedAdmission,
        telemetry: Telemetry,
    ) -> Self {
        let arbiter = media_arbiter(clock);
        let told = Arc::clone(&admission);
        let started = arbiter.spawn_fn(move || {
            install_driver(Driver::new(clock, tick_ms, index, told, telemetry));
        });
        debug_assert!(started, "a new arbiter takes work");
        Self { arbiter: Some(arbiter), calls: Arc::default(), admission }
    }

    fn seat(&self, thread: usize) -> (Seat, Place) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let arbiter = self.arbiter.as_ref().map(Arbiter::handle);
        (Seat { arbiter, thread }, Place(Arc::clone(&self.calls)))
    }
}

fn admission(limits: &LimitSettings) -> SharedAdmission {
    let LimitSettings { late_ms_max, busy_percent_max, .. } = *limits;
    Arc::new(Mutex::new(ThreadAdmission::new(ThreadLimits { late_ms_max, busy_percent_max })))
}

fn install_driver(driver: Rc<Driver>) {
    DRIVER.with(|installed| *installed.borrow_mut() = Some(driver));
}

impl fmt::Display for FullThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "media thread {}: {}", self.thread, self.because)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resilience::Look;

    const NOW: Now = Now(1_000_000_000);

    /// A thread with so many calls that was busy for this share of the last second.
    fn thread(calls: usize, busy: f64) -> MediaThread {
        let admission = admission(&LimitSettings::default());
        admission.lock().begin(NOW);
        (0..10).for_each(|_| admission.lock().look(NOW, Look { calls, busy, ..Look::default() }));
        MediaThread { arbiter: None, calls: Arc::new(AtomicUsize::new(calls)), admission }
    }

    fn calls(threads: &MediaThreads) -> Vec<usize> {
        threads.threads.iter().map(|thread| thread.calls.load(Ordering::Relaxed)).collect()
    }

    #[test]
    fn a_call_goes_to_the_thread_with_the_fewest_calls_of_those_that_are_open() {
        let threads =
            MediaThreads { threads: vec![thread(90, 0.3), thread(10, 0.97), thread(80, 0.3)] };
        let (_, first) = threads.take_place(NOW).expect("two are open");
        assert_eq!(calls(&threads), [90, 10, 81]);
        assert_eq!(threads.closed(NOW), [], "not all are closed");
        drop(first);
        assert_eq!(calls(&threads), [90, 10, 80]);
    }

    #[test]
    fn when_all_are_closed_each_says_why_and_the_one_with_the_fewest_calls_refuses() {
        let threads = MediaThreads { threads: vec![thread(90, 0.99), thread(10, 0.97)] };
        let Err(NoPlace::Overloaded(refusing)) = threads.take_place(NOW) else {
            panic!("no thread is open");
        };
        let told = "media thread 1: busy 97 % of the next second with one more call, more than 95";
        assert_eq!(refusing.to_string(), told);
        assert_eq!(threads.closed(NOW).len(), 2);
        assert_eq!(calls(&threads), [90, 10]);
    }
}
