//! One driver per media thread looks after all calls of the thread.
//!
//! Every tick it wakes the actors whose time has come and those whose ring has
//! new audio, and moves audio that waited for room into the rings. It runs no
//! actor's code itself: waking only marks an actor to be polled.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::time::Duration;

use super::clock::Clock;
use super::kernel::survive;
use super::leg::LegShared;
use super::pulse::{Alarm, Pulse};
use super::rest;
use super::rounds::{Rounds, Visits};
use super::ticks::{Ticks, others_first};
use super::watch::{SharedAdmission, Watch};
use crate::media::LeftOut;
use crate::telemetry::{ArbiterMeter, Carried, EngineEvent, Telemetry};
use crate::types::{ChildKind, EndCause, ExitReason, MediaTime, Now};

/// How often a panic of the driver is told: one that comes back does so at each tick.
const TELL_EVERY_MS: u64 = 1_000;

/// How often a call is looked at for the metrics.
const LOOK_EVERY_MS: usize = 1_000;

/// The pulses of one call and its current media connection.
pub struct CallPulses {
    /// The supervisor's.
    pub supervisor: Rc<Pulse>,
    /// What all of them set.
    alarm: Rc<Alarm>,
    /// The children's current ones, by kind.
    children: RefCell<[Rc<Pulse>; ChildKind::ALL.len()]>,
    /// The connection whose rings are looked after.
    leg: RefCell<Arc<LegShared>>,
    /// How far Vad has listened; kept here for whoever tells something.
    heard_until: Cell<MediaTime>,
    /// What is heard next may decide about an utterance.
    turn_is_near: Cell<bool>,
    /// What nobody has told yet: of earlier connections, and what Vad left out.
    carried: Cell<Carried>,
    watch: Rc<Watch>,
}

impl CallPulses {
    /// Pulses of a call without children yet.
    #[must_use]
    pub fn new(leg: Arc<LegShared>, driver: &Driver) -> Self {
        let alarm = Rc::default();
        Self {
            supervisor: Pulse::new(&alarm),
            children: RefCell::new(std::array::from_fn(|_| Pulse::new(&alarm))),
            alarm,
            leg: RefCell::new(leg),
            heard_until: Cell::default(),
            turn_is_near: Cell::default(),
            carried: Cell::default(),
            watch: Rc::clone(&driver.watch),
        }
    }

    /// Makes the pulse of a child's next generation.
    pub fn renew(&self, child: ChildKind) -> Rc<Pulse> {
        let pulse = Pulse::new(&self.alarm);
        self.children.borrow_mut()[child as usize] = Rc::clone(&pulse);
        pulse
    }

    /// Looks after another connection from now on.
    pub fn set_leg(&self, leg: Arc<LegShared>) {
        let before = self.leg.replace(leg);
        let mut carried = self.carried.get();
        carried += before.take_carried();
        self.carried.set(carried);
    }

    /// How far Vad has listened.
    #[must_use]
    pub fn heard_until(&self) -> MediaTime {
        self.heard_until.get()
    }

    /// Takes note of how far Vad has listened.
    pub fn set_heard_until(&self, position: MediaTime) {
        self.heard_until.set(position);
    }

    /// Takes note of whether what is heard next may decide about an utterance.
    pub fn set_turn_is_near(&self, near: bool) {
        self.turn_is_near.set(near);
    }

    /// Takes note of speech that was not taken for the caller's.
    pub fn left_out(&self, LeftOut { echo, quiet }: LeftOut) {
        let mut carried = self.carried.get();
        carried += Carried { echo_samples: echo, quiet_samples: quiet, ..Carried::default() };
        self.carried.set(carried);
    }

    /// Counts a frame that was due at an instant known before.
    pub fn frame_was_due(&self, due: Now, now: Now) {
        self.watch.frame(due, now);
    }

    /// Has a child driven soon.
    pub fn wake(&self, child: ChildKind) {
        self.children.borrow()[child as usize].wake();
    }

    /// Ends a call that cannot be looked after any more.
    fn give_up(&self) {
        self.leg.borrow().hang_up(EndCause::SupervisorFailed);
        self.supervisor.wake();
    }

    fn tick(&self, now: Now, rounds: &Rounds) {
        sabotage!("driver.call");
        let leg = self.leg.borrow();
        leg.refill(now);
        if leg.take_audio_waiting() {
            self.wake(ChildKind::Ingest);
        }
        if self.turn_is_near.get()
            && let Some(doorbell) = leg.doorbell()
        {
            rounds.visit_next(doorbell);
        }
        if leg.take_signal() || leg.is_looked_at() {
            self.supervisor.wake();
        }
        if self.alarm.take_if_due(now) {
            self.supervisor.wake_if_due(now);
            self.children.borrow().iter().for_each(|pulse| pulse.wake_if_due(now));
        }
    }

    /// Tells what was carried since the last time.
    fn tell_carried(&self, meter: &ArbiterMeter) {
        let mut carried = self.carried.take();
        carried += self.leg.borrow().take_carried();
        meter.carried(carried);
    }

    fn tell_rings(&self, meter: &ArbiterMeter) {
        if let Some(fill) = self.leg.borrow().ring_fill() {
            meter.rings(fill);
        }
    }
}

/// The calls of one media thread.
pub struct Driver {
    clock: Clock,
    tick: Duration,
    calls: RefCell<Vec<Rc<CallPulses>>>,
    rounds: Rounds,
    running: Cell<bool>,
    meter: ArbiterMeter,
    watch: Rc<Watch>,
    survey: Cell<Survey>,
    telemetry: Telemetry,
    /// When a panic was told last.
    told_at: Cell<Option<Now>>,
}

/// Who is looked at next for the metrics, so that each call is once a second and
/// never all of them at one tick.
#[derive(Clone, Copy, Default)]
struct Survey {
    next: usize,
    /// Call-milliseconds passed that no look stands for yet.
    owed: usize,
}

/// Keeps a call in the driver's list until it is dropped.
pub struct Registration {
    driver: Rc<Driver>,
    pulses: Rc<CallPulses>,
}

impl Driver {
    /// A driver for the current thread, the media thread `thread`, that ticks every
    /// `tick_ms` and tells `admission` how the thread does.
    #[must_use]
    pub(super) fn new(
        clock: Clock,
        tick_ms: u32,
        thread: usize,
        admission: SharedAdmission,
        telemetry: Telemetry,
    ) -> Rc<Self> {
        Rc::new(Self {
            clock,
            tick: Duration::from_millis(u64::from(tick_ms.max(1))),
            calls: RefCell::new(Vec::new()),
            rounds: Rounds::new(tick_ms),
            running: Cell::new(false),
            meter: telemetry.arbiter_meter(thread),
            watch: Rc::new(Watch::new(admission, tick_ms, thread, telemetry.clone())),
            survey: Cell::default(),
            telemetry,
            told_at: Cell::default(),
        })
    }

    /// Adds a call. The driver ticks as long as there is one.
    pub fn register(self: &Rc<Self>, pulses: Rc<CallPulses>) -> Registration {
        self.calls.borrow_mut().push(Rc::clone(&pulses));
        self.tell_calls();
        self.keep_running();
        Registration { driver: Rc::clone(self), pulses }
    }

    fn tell_calls(&self) {
        let count = self.calls.borrow().len();
        self.meter.calls(count);
        rest::calls(count);
    }

    /// Adds a connection. The driver ticks as long as there is one.
    pub(super) fn join_rounds(self: &Rc<Self>) -> Visits {
        let visits = self.rounds.join();
        self.keep_running();
        visits
    }

    fn keep_running(self: &Rc<Self>) {
        if !self.running.replace(true) {
            actix_rt::spawn(Rc::clone(self).run());
            self.watch.begin(self.clock.now());
        }
    }

    async fn run(self: Rc<Self>) {
        let mut ticks = Ticks::every(self.tick);
        while self.is_needed() {
            let due = ticks.next().await;
            let lag = due.elapsed();
            self.go_on_after(|| self.beat(lag));
            self.go_on_after(|| self.rounds.visit());
            // What is read now is heard now.
            others_first().await;
            let now = self.clock.now();
            self.go_on_after(|| self.tick(now));
            self.go_on_after(|| self.look_around(now));
        }
        self.running.set(false);
        self.watch.rest(self.clock.now(), &self.meter);
    }

    fn beat(&self, lag: Duration) {
        self.meter.beat(lag);
        self.watch.beat(lag);
    }

    fn is_needed(&self) -> bool {
        !self.calls.borrow().is_empty() || !self.rounds.is_empty()
    }

    /// Does a part of a tick. A panic costs that part: the thread's calls have no other
    /// driver.
    fn go_on_after(&self, part: impl FnOnce()) {
        if let Err(reason) = survive(part) {
            self.tell_panic(reason);
        }
    }

    fn tell_panic(&self, reason: ExitReason) {
        let now = self.clock.now();
        if self.told_at.get().is_none_or(|told| now.ms_since(told) >= TELL_EVERY_MS) {
            self.told_at.set(Some(now));
            self.telemetry.engine_event(&EngineEvent::ActorRestarted { actor: "driver", reason });
        }
    }

    /// Each call by itself: one that panics ends, and those behind it are not left out.
    fn tick(&self, now: Now) {
        sabotage!("driver.tick");
        for call in self.calls.borrow().iter() {
            if let Err(reason) = survive(|| call.tick(now, &self.rounds)) {
                self.tell_panic(reason);
                call.give_up();
            }
        }
    }

    fn look_around(&self, now: Now) {
        sabotage!("driver.look");
        self.watch.look(now, self.calls.borrow().len(), &self.meter);
        let calls = self.calls.borrow();
        let Survey { mut next, mut owed } = self.survey.get();
        owed += calls.len() * self.tick.as_millis() as usize;
        while owed >= LOOK_EVERY_MS && !calls.is_empty() {
            owed -= LOOK_EVERY_MS;
            let call = &calls[next % calls.len()];
            call.tell_carried(&self.meter);
            call.tell_rings(&self.meter);
            next = (next + 1) % calls.len();
        }
        self.survey.set(Survey { next, owed });
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.pulses.tell_carried(&self.driver.meter);
        let mut calls = self.driver.calls.borrow_mut();
        calls.retain(|call| !Rc::ptr_eq(call, &self.pulses));
        drop(calls);
        self.driver.tell_calls();
    }
}
