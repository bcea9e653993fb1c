//! One thread of the generator: one runtime, one ticker for all its calls, one tally. Each
//! place of the schedule is a task that places its call, reads what comes, and hangs up.
//!
//! Messages are written by the ticker, a millisecond's share of the calls at a time: a
//! timer for each call would cost more than the calls.

use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::LocalSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::callback::{self, CallbackLine};
use super::connection::{Trust, Unconnected};
use super::gauge::{CpuGauge, Live};
use super::handshake::{self, NotTaken};
use super::line::{Line, LineEnd, Scratch, url_of_call};
use super::plan::{Carrier, LoadPlan};
use super::report::ThreadUse;
use super::schedule::Place;
use super::talker::{Talker, TalkerSettings};
use super::tally::Tally;
use crate::types::Now;

/// How often the thread looks at itself.
const LOOK_EVERY_MS: u64 = 250;
/// Wait before a call is placed again that was refused without a time, or that failed.
const RETRY_MS: u64 = 1_000;
/// Longest wait that the engine may ask for.
const RETRY_MS_MAX: u64 = 60_000;
/// Longest wait for the engine's answer to a hang-up.
const GOODBYE: Duration = Duration::from_secs(3);

/// A place of the schedule with the number of its caller.
pub(super) struct NumberedPlace {
    pub(super) number: u16,
    pub(super) place: Place,
}

/// What a thread is given.
pub(super) struct Job {
    pub(super) plan: Arc<LoadPlan>,
    pub(super) places: Vec<NumberedPlace>,
    pub(super) started: Instant,
    pub(super) interval_ms: u64,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) live: Arc<Live>,
}

/// What a thread found.
pub(super) struct Found {
    pub(super) tally: Tally,
    pub(super) usage: ThreadUse,
}

/// Runs the places of `job` on this thread until all are over.
pub(super) fn run(job: Job) -> std::io::Result<Found> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = LocalSet::new();
    Ok(local.block_on(&runtime, work(job)))
}

async fn work(job: Job) -> Found {
    let Job { plan, places, started, interval_ms, stop, live } = job;
    let wheel = RefCell::new(Wheel::new(plan.caller.chunk_ms));
    let worker = Rc::new(Worker {
        plan,
        started,
        stop,
        live,
        wheel,
        tally: RefCell::new(Tally::new(interval_ms)),
        scratch: RefCell::default(),
        running: Cell::new(0),
        client: OnceCell::new(),
        trust: OnceCell::new(),
    });
    let tasks: Vec<_> = places
        .into_iter()
        .map(|place| tokio::task::spawn_local(Rc::clone(&worker).hold(place)))
        .collect();
    let all = async {
        for task in tasks {
            // A task that panicked has told so, and the others go on.
            task.await.ok();
        }
    };
    let mut gauge = CpuGauge::start();
    tokio::select! {
        () = all => {}
        () = worker.tick(&mut gauge) => {}
    }
    let usage = ThreadUse {
        cpu_share: gauge.share_in_all(),
        cpu_share_max: gauge.share_max(),
        wait_share: gauge.share_waited(),
    };
    Found { tally: worker.tally.take(), usage }
}

struct Worker {
    plan: Arc<LoadPlan>,
    started: Instant,
    stop: watch::Receiver<bool>,
    live: Arc<Live>,
    wheel: RefCell<Wheel>,
    tally: RefCell<Tally>,
    scratch: RefCell<Scratch>,
    running: Cell<u32>,
    client: OnceCell<reqwest::Client>,
    trust: OnceCell<Trust>,
}

impl Worker {
    fn now(&self) -> Now {
        Now(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Sends what is due, for ever.
    async fn tick(&self, gauge: &mut CpuGauge) {
        let mut ticker = interval(Duration::from_millis(1));
        ticker.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut look_ms, mut told) = (0, [0; 4]);
        loop {
            ticker.tick().await;
            let now_ms = self.now().0 / 1_000_000;
            let (mut tally, mut scratch) = (self.tally.borrow_mut(), self.scratch.borrow_mut());
            self.wheel.borrow_mut().turn(now_ms, |line| {
                line.send_due(&|| self.now(), &mut scratch, &mut tally);
            });
            if now_ms >= look_ms {
                look_ms = now_ms + LOOK_EVERY_MS;
                self.look(gauge, &mut told, &mut tally);
            }
        }
    }

    fn look(&self, gauge: &mut CpuGauge, told: &mut [u64; 4], tally: &mut Tally) {
        let now = self.now();
        let share = gauge.look(now);
        let running = self.running.get();
        let interval = tally.interval(now);
        interval.calls_max = interval.calls_max.max(running);
        interval.cpu_share = interval.cpu_share.max(share);
        self.live.tell(told, tally);
    }

    /// Keeps a call in its place.
    async fn hold(self: Rc<Self>, numbered: NumberedPlace) {
        let NumberedPlace { number, place } = numbered;
        let until = Now(place.until_ms * 1_000_000);
        self.rest_until(Now(place.from_ms * 1_000_000)).await;
        let mut tries = 0;
        while self.now() < until && !*self.stop.borrow() {
            self.tally.borrow_mut().placed += 1;
            let end = self.place_call(number, until).await;
            let wait_ms = self.count(&end);
            match end {
                Ok(LineEnd::HungUp) => return,
                Ok(LineEnd::Refused { .. }) | Err(NotTaken::Refused { .. }) => tries += 1,
                _ if !place.is_held => return,
                _ => {}
            }
            if tries > self.plan.retries_max {
                self.tally.borrow_mut().given_up += 1;
                return;
            }
            self.rest_until(self.now().plus_ms(wait_ms as u32)).await;
        }
    }

    /// Counts how a call ended. Says how long to wait before the next one.
    fn count(&self, end: &Result<LineEnd, NotTaken>) -> u64 {
        let (now, mut tally) = (self.now(), self.tally.borrow_mut());
        match end {
            Ok(LineEnd::HungUp) => {}
            Ok(LineEnd::EngineEnded) => tally.ended_by_engine += 1,
            Ok(LineEnd::Failed(kind)) | Err(NotTaken::Failed(kind)) => tally.error(now, kind),
            Err(NotTaken::Declined { kind, said }) => {
                tally.answers.add(said);
                tally.error(now, kind);
            }
            Ok(LineEnd::Refused { retry_after_ms }) => {
                tally.call_refused(now);
                return retry_after_ms.unwrap_or(RETRY_MS).min(RETRY_MS_MAX);
            }
            Err(NotTaken::Refused { retry_after_ms, said }) => {
                tally.answers.add(said);
                tally.call_refused(now);
                return retry_after_ms.unwrap_or(RETRY_MS).min(RETRY_MS_MAX);
            }
        }
        RETRY_MS
    }

    async fn place_call(self: &Rc<Self>, number: u16, until: Now) -> Result<LineEnd, NotTaken> {
        let placed = self.now();
        match self.plan.target.carrier {
            Carrier::HttpCallback => {
                let client = self.client()?;
                let rate = self.plan.caller.rate;
                let line = CallbackLine::start(client, &self.plan.target.url, rate).await?;
                let set_up_us = self.now().0.saturating_sub(placed.0) / 1_000;
                self.tally.borrow_mut().call_connected(set_up_us);
                let mut talker = self.talker(number);
                let _running = Running::new(self);
                let is_over = |due| due > until || *self.stop.borrow();
                Ok(line.run(&mut talker, &is_over, &|| self.now(), &self.tally).await)
            }
            carrier => {
                let rate = self.plan.caller.rate;
                let url = url_of_call(&self.plan.target, rate);
                let (stream, read) = handshake::open(&url, || self.trust()).await?;
                let talker = self.talker(number);
                let line = Rc::new(Line::new(stream, read, carrier, rate, talker, placed));
                let _running = Running::new(self);
                self.wheel.borrow_mut().add(Rc::clone(&line));
                Ok(self.follow(&line, until).await)
            }
        }
    }

    /// A talker for a call that begins now.
    fn talker(&self, number: u16) -> Talker {
        let LoadPlan { caller, pattern, speech, seed, .. } = &*self.plan;
        let settings = TalkerSettings {
            caller: *caller,
            pattern: *pattern,
            speech: speech.clone(),
            seed: *seed,
        };
        Talker::new(number, &settings, self.now())
    }

    /// Reads what comes until the call is over, and hangs up when it is time.
    async fn follow(&self, line: &Line, until: Now) -> LineEnd {
        tokio::select! {
            end = self.read_to_end(line) => return end,
            () = self.rest_until(until) => {}
        }
        line.hang_up(&mut self.tally.borrow_mut());
        // An engine that does not say goodbye is left without it.
        drop(timeout(GOODBYE, self.read_to_end(line)).await);
        LineEnd::HungUp
    }

    async fn read_to_end(&self, line: &Line) -> LineEnd {
        loop {
            if let Some(end) = self.read(line) {
                return end;
            }
            if line.readable().await.is_err() {
                return LineEnd::Failed("connection_lost");
            }
        }
    }

    fn read(&self, line: &Line) -> Option<LineEnd> {
        let (mut tally, mut scratch) = (self.tally.borrow_mut(), self.scratch.borrow_mut());
        line.read(&|| self.now(), &mut scratch, &mut tally)
    }

    fn trust(&self) -> Result<Trust, Unconnected> {
        if let Some(trust) = self.trust.get() {
            return Ok(trust.clone());
        }
        let trust = Trust::of_the_system()?;
        Ok(self.trust.get_or_init(|| trust).clone())
    }

    fn client(&self) -> Result<reqwest::Client, NotTaken> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = callback::client().map_err(|_| NotTaken::Failed("http_client"))?;
        Ok(self.client.get_or_init(|| client).clone())
    }

    /// Waits until `at`, or until the run is stopped.
    async fn rest_until(&self, at: Now) {
        tokio::select! {
            () = sleep(at.after(self.now())) => {}
            () = self.stopped() => {}
        }
    }

    async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            // Nobody is left who could stop the run.
            std::future::pending::<()>().await;
        }
    }
}

/// A call that is counted as running as long as this lives.
struct Running<'a>(&'a Worker);

impl<'a> Running<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.running.set(worker.running.get() + 1);
        worker.live.call_began();
        Self(worker)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get() - 1);
        self.0.live.call_ended();
    }
}

/// The lines by the millisecond of a chunk's length at which they send.
struct Wheel {
    slots: Vec<Vec<Rc<Line>>>,
    next_ms: u64,
}

impl Wheel {
    fn new(chunk_ms: u32) -> Self {
        Self { slots: (0..chunk_ms.max(1)).map(|_| Vec::new()).collect(), next_ms: 0 }
    }

    fn add(&mut self, line: Rc<Line>) {
        let due_ms = line.poll_timeout().0.div_ceil(1_000_000);
        let slot = due_ms % self.slots.len() as u64;
        self.slots[slot as usize].push(line);
    }

    /// Visits every line that is due since the last turn, each once.
    fn turn(&mut self, now_ms: u64, mut visit: impl FnMut(&Line)) {
        let slots = self.slots.len() as u64;
        let first = self.next_ms.max((now_ms + 1).saturating_sub(slots));
        for ms in first..=now_ms {
            let slot = &mut self.slots[(ms % slots) as usize];
            slot.retain(|line| line.end().is_none());
            slot.iter().for_each(|line| visit(line));
        }
        self.next_ms = now_ms + 1;
    }
}
