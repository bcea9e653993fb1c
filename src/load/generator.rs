//! The threads of a run: starts them, stops them early when asked to, and puts together
//! what they found.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use tokio::sync::watch;
use tokio::time::Instant;

use super::gauge::{Live, Progress};
use super::plan::LoadPlan;
use super::report::Report;
use super::tally::Tally;
use super::unreached::nobody_answers;
use super::worker::{Found, Job, NumberedPlace, run};
use crate::media::coded::CodeWord;

/// Pieces that a run is reported in, at most; none is shorter than a second.
const INTERVALS_MAX: u64 = 240;

/// A run that goes on.
pub struct RunningLoad {
    plan: Arc<LoadPlan>,
    live: Arc<Live>,
    stop: watch::Sender<bool>,
    started: Instant,
    threads: Vec<JoinHandle<std::io::Result<Found>>>,
}

/// Why a run did not come to its end.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is nothing to do.
    #[error("there is no call to place: use more calls, a higher rate or a longer time")]
    NoCalls,
    /// Nobody listens where calls are to be placed.
    #[error("{}", nobody_answers(url, why))]
    NobodyAnswers {
        /// Where.
        url: String,
        /// What the system says.
        why: String,
    },
    /// A thread cannot be started.
    #[error("a thread of the generator cannot be started: {0}")]
    Thread(#[from] std::io::Error),
    /// A thread panicked.
    #[error("a thread of the generator failed")]
    Failed,
}

/// Starts a run.
///
/// # Errors
/// [`LoadError`] when it has no call, or a thread cannot be started.
pub fn start(plan: LoadPlan) -> Result<RunningLoad, LoadError> {
    let places = plan.schedule.places(plan.seed);
    if places.is_empty() {
        return Err(LoadError::NoCalls);
    }
    let count = plan.threads.clamp(1, places.len());
    let interval_ms = plan.schedule.ms().div_ceil(INTERVALS_MAX).max(1_000);
    let (plan, live, started) = (Arc::new(plan), Arc::<Live>::default(), Instant::now());
    let stop = watch::Sender::new(false);
    let mut shares: Vec<Vec<NumberedPlace>> = (0..count).map(|_| Vec::new()).collect();
    for (index, place) in places.into_iter().enumerate() {
        // No two calls of the same time have the same number: there are not so many.
        let number = (index % usize::from(CodeWord::NOBODY)) as u16;
        shares[index % count].push(NumberedPlace { number, place });
    }
    let mut threads = Vec::new();
    for (index, places) in shares.into_iter().enumerate() {
        let (plan, live, stop) = (Arc::clone(&plan), Arc::clone(&live), stop.subscribe());
        let job = Job { plan, places, started, interval_ms, stop, live };
        let thread = Builder::new().name(format!("load-{index}"));
        threads.push(thread.spawn(move || run(job))?);
    }
    Ok(RunningLoad { plan, live, stop, started, threads })
}

impl RunningLoad {
    /// How it stands.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.live.progress()
    }

    /// Time since its start, in milliseconds.
    #[must_use]
    pub fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Hangs up all calls. What was measured until then is reported.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether all calls are over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all calls are over.
    ///
    /// # Errors
    /// [`LoadError`] when a thread failed.
    pub fn report(self) -> Result<Report, LoadError> {
        let was_stopped = *self.stop.borrow();
        let (mut tally, mut threads) = (Tally::new(1_000), Vec::new());
        for thread in self.threads {
            let found = thread.join().map_err(|_| LoadError::Failed)??;
            tally.merge(&found.tally);
            threads.push(found.usage);
        }
        Ok(Report::new(&self.plan, &tally, threads, was_stopped))
    }
}
