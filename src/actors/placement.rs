//! The media threads: arbiters that calls are spread over, each with its driver.
//!
//! The only place that makes arbiters. Where a call runs is decided here and
//! passed on; nothing else knows about threads.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_rt::Arbiter;

use super::clock::Clock;
use super::driver::Driver;
use crate::telemetry::{ArbiterMeter, Telemetry};

/// Something to be started on a media thread.
pub type Start = Box<dyn FnOnce(&Rc<Driver>) + Send>;

/// The media threads.
pub struct MediaThreads {
    threads: Vec<MediaThread>,
}

struct MediaThread {
    /// `None`: the thread this was made on, for tests in virtual time.
    arbiter: Option<Arbiter>,
    calls: Arc<AtomicUsize>,
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

impl MediaThreads {
    /// Starts `count` threads whose drivers tick every `tick_ms`.
    #[must_use]
    pub fn start(count: usize, clock: Clock, tick_ms: u32, telemetry: &Telemetry) -> Self {
        let start = |index| MediaThread::start(clock, tick_ms, telemetry.arbiter_meter(index));
        Self { threads: (0..count.max(1)).map(start).collect() }
    }

    /// Uses the current thread only. For tests in virtual time: an arbiter has a
    /// runtime, and so a clock, of its own.
    #[cfg(test)]
    pub(super) fn here(clock: Clock, tick_ms: u32, telemetry: &Telemetry) -> Self {
        install_driver(clock, tick_ms, telemetry.arbiter_meter(0));
        Self { threads: vec![MediaThread { arbiter: None, calls: Arc::default() }] }
    }

    /// Starts something on the thread with the fewest calls. `false` when that
    /// thread does not run any more.
    pub fn place(&self, start: impl FnOnce(&Rc<Driver>, Place) + Send + 'static) -> bool {
        let quietest =
            self.threads.iter().min_by_key(|thread| thread.calls.load(Ordering::Relaxed));
        let Some(thread) = quietest else { return false };
        thread.calls.fetch_add(1, Ordering::Relaxed);
        let place = Place(Arc::clone(&thread.calls));
        thread.run(Box::new(move |driver| start(driver, place)))
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

/// An OS thread with a runtime of its own.
#[expect(clippy::disallowed_methods, reason = "the one place that makes arbiters")]
pub(super) fn new_arbiter() -> Arbiter {
    Arbiter::new()
}

impl MediaThread {
    fn start(clock: Clock, tick_ms: u32, meter: ArbiterMeter) -> Self {
        let arbiter = new_arbiter();
        let started = arbiter.spawn_fn(move || install_driver(clock, tick_ms, meter));
        debug_assert!(started, "a new arbiter takes work");
        Self { arbiter: Some(arbiter), calls: Arc::default() }
    }

    fn run(&self, start: Start) -> bool {
        let on_thread = move || {
            let driver = DRIVER.with(|driver| driver.borrow().clone());
            if let Some(driver) = driver {
                start(&driver);
            }
        };
        match &self.arbiter {
            Some(arbiter) => arbiter.spawn_fn(on_thread),
            None => {
                on_thread();
                true
            }
        }
    }
}

fn install_driver(clock: Clock, tick_ms: u32, meter: ArbiterMeter) {
    DRIVER.with(|driver| *driver.borrow_mut() = Some(Driver::new(clock, tick_ms, meter)));
}
