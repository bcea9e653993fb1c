//! A supervised pool of resident worker processes.
//!
//! Speech libraries are foreign code: they may crash or hang, and then cost their own
//! process and nothing else. Each worker has one request at a time; on its deadline
//! the worker is killed and replaced. A request whose worker died is done once more by
//! another one, and not a third time. It refuses to run the same thing for ever: a
//! worker that keeps failing rests, and while all rest, requests fail at once with
//! the reason.
//!
//! The processes start with the first request or check, on the runtime that asks.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::process::{StartError, WorkerCommand, WorkerLoss, WorkerProcess};
use super::protocol::{Capability, Reply, Request, WorkerFailure};
use super::queue::JobQueue;
use crate::resilience::{Backoff, RestartBudget};
use crate::services::Health;
use crate::telemetry::{EngineEvent, Service, Telemetry};
use crate::types::{BudgetSettings, Now};

/// How long the task of a worker rests after a panic.
const REST_AFTER_PANIC: Duration = Duration::from_secs(1);

/// What a pool is made of.
#[derive(Clone, Debug)]
pub(super) struct PoolSettings {
    /// Name in logs.
    pub(super) name: &'static str,
    /// How a worker is started.
    pub(super) command: WorkerCommand,
    /// What its workers must be able to do.
    pub(super) wanted: Capability,
    /// Processes; at least one.
    pub(super) workers: usize,
    /// Requests waiting for a process; one more is refused.
    pub(super) waiting_max: usize,
    /// Starts after a failure within a window, per worker; then it rests for a window.
    pub(super) restarts: BudgetSettings,
    /// Where replaced workers are told.
    pub(super) telemetry: Option<Telemetry>,
}

impl PoolSettings {
    fn tell_replaced(&self, loss: &WorkerLoss) {
        let service = match self.wanted {
            Capability::Transcribe => Service::Stt,
            Capability::Synthesize | Capability::Unknown => Service::Tts,
        };
        let (provider, message) = (self.name.to_owned(), loss.to_string());
        if let Some(telemetry) = &self.telemetry {
            telemetry.engine_event(&EngineEvent::WorkerRestarted { service, provider, message });
        }
    }
}

/// Restarts of a worker if nothing else is said.
pub(super) const RESTARTS: BudgetSettings = BudgetSettings { restarts_max: 5, window_ms: 30_000 };

/// Why a request has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolError {
    /// Its deadline passed.
    #[error("no worker answered in time")]
    Timeout,
    /// Too many requests wait.
    #[error("too many requests are waiting for a worker")]
    Saturated,
    /// No worker runs, or the one that had it died twice over it.
    #[error("{0}")]
    Unavailable(String),
    /// The worker could not do it.
    #[error("{0}")]
    Refused(WorkerFailure),
}

/// The pool. Dropping it kills its processes.
pub(super) struct WorkerPool {
    settings: PoolSettings,
    running: OnceLock<Running>,
    ids: AtomicU64,
}

impl WorkerPool {
    /// A pool without processes yet.
    pub(super) const fn new(settings: PoolSettings) -> Self {
        Self { settings, running: OnceLock::new(), ids: AtomicU64::new(1) }
    }

    /// Has a worker answer the request that `build` makes of an id.
    pub(super) async fn ask(
        &self,
        build: impl FnOnce(u64) -> Request,
        answer_ms_max: u32,
    ) -> Result<Reply, PoolError> {
        let shared = &self.running().shared;
        if let Some(down) = shared.all_down() {
            return Err(PoolError::Unavailable(down.reason));
        }
        let deadline = Instant::now() + Duration::from_millis(u64::from(answer_ms_max));
        let request = build(self.ids.fetch_add(1, Ordering::Relaxed));
        let (answer, answered) = oneshot::channel();
        let job = Job { request, deadline, is_second_try: false, answer };
        // Those whom nobody waits for any more keep nobody out.
        let is_wanted = |job: &Job| !job.answer.is_closed();
        shared.queue.push(job, is_wanted).map_err(|_| PoolError::Saturated)?;
        // The last worker may have gone down in between.
        shared.fail_waiting_if_down();
        match timeout_at(deadline + ANSWER_GRACE, answered).await {
            Ok(Ok(Ok(Reply::Failed { error, .. }))) => Err(PoolError::Refused(error)),
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(PoolError::Unavailable("the worker's task ended".to_owned())),
            Err(_) => Err(PoolError::Timeout),
        }
    }

    /// Starts the workers if need be and waits until one runs or none will.
    pub(super) async fn check(&self) -> Health {
        let mut states = self.running().shared.states.subscribe();
        let is_known = |states: &Vec<SlotState>| up(states).is_some() || all_down(states).is_some();
        let known = timeout(CHECK_MAX, states.wait_for(is_known)).await;
        let Ok(Ok(states)) = known else {
            return Health::Unavailable("the workers have not started yet".to_owned());
        };
        match (up(&states), all_down(&states)) {
            (Some(engine), _) => Health::Ready(engine.to_owned()),
            (None, Some(Down { reason, is_permanent: true })) => Health::Refused(reason),
            (None, Some(Down { reason, .. })) => Health::Unavailable(reason),
            (None, None) => Health::Unavailable("no worker runs".to_owned()),
        }
    }

    fn running(&self) -> &Running {
        self.running.get_or_init(|| Running::start(self.settings.clone()))
    }
}

/// A request on its way.
struct Job {
    request: Request,
    deadline: Instant,
    is_second_try: bool,
    answer: oneshot::Sender<Result<Reply, PoolError>>,
}

impl Job {
    fn finish(self, result: Result<Reply, PoolError>) {
        // Whoever asked may have gone.
        let _gone = self.answer.send(result);
    }
}

/// The tasks that look after the processes. Dropping it ends both.
struct Running {
    shared: Arc<Shared>,
    _slots: JoinSet<()>,
}

impl Running {
    fn start(settings: PoolSettings) -> Self {
        let workers = settings.workers.max(1);
        let shared = Arc::new(Shared {
            queue: JobQueue::new(settings.waiting_max.max(1)),
            states: watch::Sender::new(vec![SlotState::Starting; workers]),
            settings,
        });
        let mut slots = JoinSet::new();
        for index in 0..workers {
            slots.spawn(keep_slot(Arc::clone(&shared), index));
        }
        Self { shared, _slots: slots }
    }
}

struct Shared {
    settings: PoolSettings,
    queue: JobQueue<Job>,
    states: watch::Sender<Vec<SlotState>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum SlotState {
    Starting,
    /// With the engine's name.
    Up(String),
    Down(Down),
}

/// Why a worker rests.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Down {
    reason: String,
    /// It said itself that it cannot work, or cannot be run.
    is_permanent: bool,
}

impl Shared {
    fn all_down(&self) -> Option<Down> {
        all_down(&self.states.borrow())
    }

    fn set(&self, index: usize, state: SlotState) {
        self.states.send_modify(|states| states[index] = state);
        self.fail_waiting_if_down();
    }

    fn fail_waiting_if_down(&self) {
        if let Some(down) = self.all_down() {
            for job in self.queue.drain() {
                job.finish(Err(PoolError::Unavailable(down.reason.clone())));
            }
        }
    }
}

fn up(states: &[SlotState]) -> Option<&str> {
    states.iter().find_map(|state| match state {
        SlotState::Up(engine) => Some(engine.as_str()),
        SlotState::Starting | SlotState::Down(_) => None,
    })
}

fn all_down(states: &[SlotState]) -> Option<Down> {
    let mut downs = states.iter().map(|state| match state {
        SlotState::Down(down) => Some(down),
        SlotState::Starting | SlotState::Up(_) => None,
    });
    let first = downs.next()??.clone();
    downs.all(|down| down.is_some()).then_some(first)
}

/// Looks after a place for a worker, also after a panic in that.
async fn keep_slot(shared: Arc<Shared>, index: usize) {
    loop {
        let slot = Slot { shared: Arc::clone(&shared), index, failures: 0 };
        let _panicked = AssertUnwindSafe(slot.run()).catch_unwind().await;
        tracing::error!(worker = shared.settings.name, "a worker's task panicked and begins anew");
        shared.set(index, SlotState::Starting);
        sleep(REST_AFTER_PANIC).await;
    }
}

/// One place for a worker, process after process.
struct Slot {
    shared: Arc<Shared>,
    index: usize,
    /// Since the last answer.
    failures: u32,
}

impl Slot {
    async fn run(mut self) {
        let settings = self.shared.settings.clone();
        let started = Instant::now();
        let mut budget = RestartBudget::new(settings.restarts);
        loop {
            let down = match self.start_and_serve().await {
                Ok(loss) => {
                    settings.tell_replaced(&loss);
                    Down { reason: format!("the worker failed: {loss}"), is_permanent: false }
                }
                Err(error) => {
                    Down { is_permanent: is_permanent(&error), reason: error.to_string() }
                }
            };
            self.failures += 1;
            let now = Now(u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX));
            if down.is_permanent || !budget.spend(now) {
                tracing::error!(worker = settings.name, reason = down.reason, "worker rests");
                self.shared.set(self.index, SlotState::Down(down));
                sleep(Duration::from_millis(u64::from(settings.restarts.window_ms))).await;
            } else if self.failures > 1 {
                let wait_ms = BACKOFF.wait_ms(self.failures - 1, None, 1.0);
                sleep(Duration::from_millis(u64::from(wait_ms))).await;
            }
        }
    }

    /// Runs one process until it has to be replaced.
    async fn start_and_serve(&mut self) -> Result<WorkerLoss, StartError> {
        let PoolSettings { command, wanted, name, .. } = &self.shared.settings;
        let mut process = WorkerProcess::start(command, *wanted, name).await?;
        let engine = process.ready().engine.clone();
        self.shared.set(self.index, SlotState::Up(engine));
        let loss = self.serve(&mut process).await;
        process.kill().await;
        self.shared.set(self.index, SlotState::Starting);
        Ok(loss)
    }

    async fn serve(&mut self, process: &mut WorkerProcess) -> WorkerLoss {
        loop {
            let job = tokio::select! {
                job = self.shared.queue.next() => job,
                () = process.ended() => return WorkerLoss::Ended,
            };
            if let Some(loss) = self.answer(job, process).await {
                return loss;
            }
        }
    }

    async fn answer(&mut self, mut job: Job, process: &mut WorkerProcess) -> Option<WorkerLoss> {
        if job.answer.is_closed() {
            return None;
        }
        sabotage!("worker.answer");
        if job.deadline <= Instant::now() {
            job.finish(Err(PoolError::Timeout));
            return None;
        }
        match process.exchange(&job.request, job.deadline).await {
            Ok(reply) => {
                self.failures = 0;
                job.finish(Ok(reply));
                None
            }
            Err(WorkerLoss::Hung) => {
                job.finish(Err(PoolError::Timeout));
                Some(WorkerLoss::Hung)
            }
            Err(loss) if job.is_second_try => {
                let reason = format!("two workers failed over the same request: {loss}");
                job.finish(Err(PoolError::Unavailable(reason)));
                Some(loss)
            }
            Err(loss) => {
                job.is_second_try = true;
                self.shared.queue.push_front(job);
                Some(loss)
            }
        }
    }
}

const fn is_permanent(error: &StartError) -> bool {
    match error {
        StartError::Spawn { .. }
        | StartError::Refused(_)
        | StartError::Version { .. }
        | StartError::Incapable { .. } => true,
        StartError::Greeting { .. } => false,
    }
}

/// Between two starts without an answer in between. The first restart is at once.
const BACKOFF: Backoff = Backoff::new(100, 5_000);
/// The worker's side notices a deadline first and frees the worker.
const ANSWER_GRACE: Duration = Duration::from_millis(50);
/// Longest wait of a check.
const CHECK_MAX: Duration = Duration::from_secs(40);

#[cfg(test)]
#[path = "pool_tests.rs"]
mod tests;
