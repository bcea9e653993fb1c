//! The thread of the MetricsActor, and its supervision: an actor that ended is
//! replaced, unless that happens too often; then events are counted as dropped.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix_rt::Arbiter;
use parking_lot::Mutex;

use super::clock::Clock;
use super::kernel::spawn_watched;
use super::metrics::{Drain, MetricsActor, Reopen};
use crate::config::EventSettings;
use crate::resilience::RestartBudget;
use crate::telemetry::{EngineEvent, EventQueue, Flushed, Telemetry};
use crate::types::{BudgetSettings, ExitReason};

/// Orders to the actor that may wait; they come from operators.
const MAILBOX_MAX: usize = 8;

/// Longest wait for the last events to reach the disk.
const DRAIN_WITHIN: Duration = Duration::from_secs(10);

/// The event writer on its own thread.
pub struct MetricsThread {
    arbiter: Arbiter,
    /// The actor's current life. `None` once it was given up.
    current: Arc<Mutex<Option<Addr<MetricsActor>>>>,
}

impl MetricsThread {
    /// Starts the thread and the actor.
    #[must_use]
    pub fn start(
        queue: EventQueue,
        settings: EventSettings,
        telemetry: Telemetry,
        clock: Clock,
    ) -> Self {
        let current = Arc::new(Mutex::new(None));
        let keeper = Keeper {
            queue,
            settings,
            telemetry,
            clock,
            budget: RefCell::new(RestartBudget::new(BudgetSettings::default())),
            current: Arc::clone(&current),
        };
        let arbiter = super::placement::new_arbiter();
        let started = arbiter.spawn_fn(move || Rc::new(keeper).start());
        debug_assert!(started, "a new arbiter takes work");
        Self { arbiter, current }
    }

    /// Opens the event file anew, after it was renamed.
    pub fn reopen(&self) {
        let sent = self.actor().is_some_and(|actor| actor.try_send(Reopen).is_ok());
        if !sent {
            tracing::warn!("the event file was not opened anew: its writer does not answer");
        }
    }

    /// Waits until everything told so far is on disk, then ends the thread.
    pub async fn stop(self) -> Flushed {
        let flushed = match self.actor() {
            Some(actor) => actor.send(Drain).timeout(DRAIN_WITHIN).await.unwrap_or_default(),
            None => Flushed::default(),
        };
        self.arbiter.stop();
        super::placement::join("events", vec![self.arbiter]);
        flushed
    }

    fn actor(&self) -> Option<Addr<MetricsActor>> {
        self.current.lock().clone()
    }
}

/// What is needed to start the actor again.
struct Keeper {
    queue: EventQueue,
    settings: EventSettings,
    telemetry: Telemetry,
    clock: Clock,
    budget: RefCell<RestartBudget>,
    current: Arc<Mutex<Option<Addr<MetricsActor>>>>,
}

impl Keeper {
    fn start(self: Rc<Self>) {
        let keeper = Rc::clone(&self);
        let address = spawn_watched(
            MAILBOX_MAX,
            |_| MetricsActor::new(self.queue.clone(), &self.settings),
            move |reason| keeper.actor_ended(reason),
        );
        *self.current.lock() = Some(address);
    }

    fn actor_ended(self: Rc<Self>, reason: ExitReason) {
        *self.current.lock() = None;
        if reason == ExitReason::Cancelled {
            return;
        }
        let again = self.budget.borrow_mut().spend(self.clock.now());
        self.telemetry.engine_event(&EngineEvent::ActorRestarted { actor: "metrics", reason });
        if again {
            self.start();
        } else {
            tracing::error!("the event writer is given up: it ended too often");
        }
    }
}
