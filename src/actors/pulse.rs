//! How an actor of a call is woken without a message and without a timer of its own.
//!
//! Each actor keeps one future in its context, [`Drive`], that is polled whenever
//! the actor is: after each message, when one of its requests was answered, and
//! when its [`Pulse`] was woken by the thread's driver. So an actor does its work
//! in one place, inside its own poll, where a panic stays its own.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll, Waker};

use actix::{Actor, ActorContext, ActorFuture, AsyncContext, Context};

use crate::types::Now;

/// The parent's and the driver's handle on an actor of the same thread.
pub struct Pulse {
    waker: RefCell<Option<Waker>>,
    due: Cell<Option<Now>>,
    alarm: Rc<Alarm>,
    stopping: Cell<bool>,
}

/// When the first of a call's actors may be due: one thing to look at for all of them.
/// Sometimes too early, never too late.
#[derive(Default)]
pub struct Alarm(Cell<Option<Now>>);

impl Alarm {
    /// Whether it is time to look at each of the actors; those that are not due yet set
    /// it again.
    pub fn take_if_due(&self, now: Now) -> bool {
        let is_due = self.0.get().is_some_and(|due| due <= now);
        if is_due {
            self.0.set(None);
        }
        is_due
    }

    fn set(&self, due: Now) {
        self.0.set(Some(self.0.get().map_or(due, |earlier| earlier.min(due))));
    }
}

impl Pulse {
    /// A pulse nobody waits for yet.
    #[must_use]
    pub fn new(alarm: &Rc<Alarm>) -> Rc<Self> {
        Rc::new(Self {
            waker: RefCell::default(),
            due: Cell::default(),
            alarm: Rc::clone(alarm),
            stopping: Cell::default(),
        })
    }

    /// Has the actor driven soon.
    pub fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Has the actor driven soon if its time has come; else sets the alarm.
    pub fn wake_if_due(&self, now: Now) {
        match self.due.get() {
            Some(due) if due <= now => {
                self.due.set(None);
                self.wake();
            }
            Some(due) => self.alarm.set(due),
            None => {}
        }
    }

    /// Sets when the actor wants to be driven next.
    pub fn set_due(&self, due: Option<Now>) {
        self.due.set(due);
        if let Some(due) = due {
            self.alarm.set(due);
        }
    }

    /// Ends the actor before it looks at another message's consequences.
    pub fn stop(&self) {
        self.stopping.set(true);
        self.wake();
    }

    fn register(&self, waker: &Waker) {
        let mut registered = self.waker.borrow_mut();
        if !registered.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *registered = Some(waker.clone());
        }
    }
}

/// An actor that works when its pulse is woken.
pub trait Driven: Actor<Context = Context<Self>> {
    /// Its pulse.
    fn pulse(&self) -> &Rc<Pulse>;

    /// Does everything that is due. Called after each message as well.
    fn drive(&mut self, ctx: &mut Context<Self>, task: &mut TaskContext<'_>);
}

/// Begins to drive `ctx`'s actor; for its `started`.
pub fn start_driving<A: Driven>(ctx: &mut Context<A>) {
    ctx.spawn(Drive);
}

struct Drive;

impl<A: Driven> ActorFuture<A> for Drive {
    type Output = ();

    fn poll(
        self: Pin<&mut Self>,
        actor: &mut A,
        ctx: &mut Context<A>,
        task: &mut TaskContext<'_>,
    ) -> Poll<()> {
        actor.pulse().register(task.waker());
        if actor.pulse().stopping.get() {
            ctx.stop();
            return Poll::Ready(());
        }
        actor.drive(ctx, task);
        Poll::Pending
    }
}
