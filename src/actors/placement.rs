//! The media threads: arbiters that calls are spread over, each with its driver.
//!
//! The only place that makes arbiters. Where a call runs is decided here and
//! passed on; nothing else knows about threads.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_rt::{Arbiter, ArbiterHandle};
use tokio::runtime::Builder;

use super::clock::Clock;
use super::driver::Driver;
use crate::telemetry::{ArbiterMeter, Telemetry};

/// The media threads.
pub struct MediaThreads {
    threads: Vec<MediaThread>,
}

struct MediaThread {
    /// `None`: the thread this was made on, for virtual time.
    arbiter: Option<Arbiter>,
    calls: Arc<AtomicUsize>,
}

/// A call's media thread. Its connection runs there too, so that audio goes from the
/// socket to the ear without waking another thread.
#[derive(Clone)]
pub struct Seat {
    /// `None`: the current thread, for virtual time.
    arbiter: Option<ArbiterHandle>,
}

impl Seat {
    /// The current thread.
    #[cfg(test)]
    pub(super) fn here() -> Self {
        Self { arbiter: None }
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
    pub fn start(count: usize, clock: Clock, tick_ms: u32, telemetry: &Telemetry) -> Self {
        let start = |index| MediaThread::start(clock, tick_ms, telemetry.arbiter_meter(index));
        Self { threads: (0..count.max(1)).map(start).collect() }
    }

    /// Uses the current thread only. For virtual time, in tests and benches: an arbiter
    /// has a runtime, and so a clock, of its own.
    #[must_use]
    pub fn here(clock: Clock, tick_ms: u32, telemetry: &Telemetry) -> Self {
        install_driver(clock, tick_ms, telemetry.arbiter_meter(0));
        Self { threads: vec![MediaThread { arbiter: None, calls: Arc::default() }] }
    }

    /// A seat on the thread with the fewest calls, counted until the place is dropped.
    /// `None` when the threads were stopped.
    pub fn take_place(&self) -> Option<(Seat, Place)> {
        let calls = |thread: &&MediaThread| thread.calls.load(Ordering::Relaxed);
        let thread = self.threads.iter().min_by_key(calls)?;
        thread.calls.fetch_add(1, Ordering::Relaxed);
        let arbiter = thread.arbiter.as_ref().map(Arbiter::handle);
        Some((Seat { arbiter }, Place(Arc::clone(&thread.calls))))
    }

    /// Stops the threads and waits for them. Calls that still run are dropped.
    pub fn stop(&mut self) {
        for thread in &self.threads {
            if let Some(arbiter) = &thread.arbiter {
                arbiter.stop();
            }
        }
        for arbiter in self.threads.drain(..).filter_map(|thread| thread.arbiter) {
            if arbiter.join().is_err() {
                tracing::error!("a media thread ended with a panic");
            }
        }
    }
}

/// How long a media thread that has nothing to do leaves the sockets alone. What comes
/// meanwhile is worked off together: without it, a thread at half its capacity wakes for
/// every frame of every call, and that costs more than the frames.
const REST: Duration = Duration::from_millis(2);

/// An OS thread for media, with a runtime of its own.
#[expect(clippy::disallowed_methods, reason = "the one place that makes arbiters")]
fn media_arbiter() -> Arbiter {
    Arbiter::with_tokio_rt(|| {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .on_thread_park(|| std::thread::sleep(REST))
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
    fn start(clock: Clock, tick_ms: u32, meter: ArbiterMeter) -> Self {
        let arbiter = media_arbiter();
        let started = arbiter.spawn_fn(move || install_driver(clock, tick_ms, meter));
        debug_assert!(started, "a new arbiter takes work");
        Self { arbiter: Some(arbiter), calls: Arc::default() }
    }
}

fn install_driver(clock: Clock, tick_ms: u32, meter: ArbiterMeter) {
    DRIVER.with(|driver| *driver.borrow_mut() = Some(Driver::new(clock, tick_ms, meter)));
}
