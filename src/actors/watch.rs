//! Sees how late and how busy a media thread is, tells admission five times a second, and
//! tells the world when it turns.
//!
//! Reads no clock: whoever does the work knows when it did it.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::rest;
use crate::resilience::{LOOK_MS, Lateness, Look, ThreadAdmission, Turned};
use crate::telemetry::{ArbiterMeter, EngineEvent, Room, Telemetry};
use crate::types::Now;

/// A thread's admission, shared with whoever places calls.
pub(super) type SharedAdmission = Arc<Mutex<ThreadAdmission>>;

/// What was seen of a thread since the last look.
pub(super) struct Watch {
    admission: SharedAdmission,
    thread: usize,
    telemetry: Telemetry,
    /// Length of a tick: whatever is due may wait for the next one.
    tick_ms: u32,
    since: Cell<Now>,
    rested_ns: Cell<u64>,
    frames: RefCell<Lateness>,
    beats: RefCell<Lateness>,
}

impl Watch {
    pub(super) fn new(
        admission: SharedAdmission,
        tick_ms: u32,
        thread: usize,
        telemetry: Telemetry,
    ) -> Self {
        Self {
            admission,
            thread,
            telemetry,
            tick_ms,
            since: Cell::default(),
            rested_ns: Cell::default(),
            frames: RefCell::default(),
            beats: RefCell::default(),
        }
    }

    /// A frame was handed over that was due at an instant known before. One that came
    /// before its time is none.
    pub(super) fn frame(&self, due: Now, now: Now) {
        if due <= now {
            self.frames.borrow_mut().add(now.ms_since(due.plus_ms(self.tick_ms)));
        }
    }

    /// The thread came so late to its beat.
    pub(super) fn beat(&self, lag: Duration) {
        let late_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        self.beats.borrow_mut().add(late_ms);
    }

    /// The thread has a call again.
    pub(super) fn begin(&self, now: Now) {
        self.turn(now);
        self.admission.lock().begin(now);
    }

    /// The thread has no call any more.
    pub(super) fn rest(&self, now: Now, meter: &ArbiterMeter) {
        let turned = {
            let mut admission = self.admission.lock();
            admission.rest();
            admission.turned(now)
        };
        meter.room(Room::default());
        self.tell(turned);
    }

    /// Tells what was seen, when it is time to.
    pub(super) fn look(&self, now: Now, calls: usize, meter: &ArbiterMeter) {
        if now.ms_since(self.since.get()) < u64::from(LOOK_MS) {
            return;
        }
        let look = Look { calls, ..self.turn(now) };
        let (room, turned) = {
            let mut admission = self.admission.lock();
            admission.look(now, look);
            let (busy, late_ms) = (admission.busy(), admission.frames_late_ms());
            let room = Room { is_closed: admission.closed(now).is_some(), busy, late_ms };
            (room, admission.turned(now))
        };
        meter.room(room);
        self.tell(turned);
    }

    fn tell(&self, turned: Option<Turned>) {
        let thread = self.thread;
        let event = match turned {
            None => return,
            Some(Turned::Closed(because)) => {
                EngineEvent::ThreadClosed { thread, message: because.to_string() }
            }
            Some(Turned::Open) => EngineEvent::ThreadOpened { thread },
        };
        self.telemetry.engine_event(&event);
    }

    /// What was seen so far; begins anew.
    fn turn(&self, now: Now) -> Look {
        let passed_ns = now.0.saturating_sub(self.since.replace(now).0);
        // A thread that does not tell when it rests counts as one that always does.
        let busy = rest::rested_ns().map_or(0.0, |rested_ns| {
            let rested_ns = rested_ns - self.rested_ns.replace(rested_ns);
            1.0 - (rested_ns as f64 / passed_ns.max(1) as f64).min(1.0)
        });
        Look { calls: 0, busy, frames: self.frames.take(), beats: self.beats.take() }
    }
}
