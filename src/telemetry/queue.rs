//! The bounded queue between those who tell and the one who writes.
//!
//! Every event is either on disk, or waiting here, or counted as dropped: a
//! batch that was taken out stays in the queue until it is written, so that a
//! writer that panics loses nothing. A writer that panics after writing may write
//! a batch twice; `sequence` tells. Nothing here waits for a disk or a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_channel::{Receiver, Sender, TrySendError};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::engine::EngineEvent;
use super::metrics::{Metric, Metrics};
use super::record;
use super::writer::{AppendFile, EventFileError, EventWriter};
use super::{WallClock, log_engine};

/// How much may wait, and how much is written at once.
#[derive(Clone, Copy, Debug)]
pub struct QueueLimits {
    /// Events that may wait to be written; one more is counted and dropped.
    pub queue_max: usize,
    /// Events written at once. As many waiting wake the writer.
    pub batch_max: usize,
}

/// The end that tells. Clones share the queue.
#[derive(Clone)]
pub(super) struct Intake {
    lines: Sender<Line>,
    shared: Arc<Shared>,
}

/// The end that writes. Clones share the queue and the batch under way, so that
/// a writer can be replaced; only one of them should write at a time.
#[derive(Clone)]
pub struct EventQueue {
    lines: Receiver<Line>,
    shared: Arc<Shared>,
    /// Held while a batch is written. Only writers ask for it.
    batch: Arc<Mutex<Batch>>,
}

/// What a flush came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    /// Lines written.
    pub written: u64,
    /// Events dropped because the file could not be written.
    pub dropped: u64,
    /// Events that still wait because the file could not be written.
    pub waiting: u64,
}

/// One event as text, newline included.
type Line = Vec<u8>;

struct Shared {
    limits: QueueLimits,
    metrics: Arc<Metrics>,
    clock: WallClock,
    /// Dropped events that no record in the file accounts for yet.
    unaccounted: AtomicU64,
    batch_waits: Notify,
}

/// Lines on their way to the file.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Events in `bytes`.
    events: u64,
    /// Dropped events that a record in `bytes` accounts for.
    accounted: u64,
    /// Failed attempts to write it.
    attempts: u32,
}

/// Attempts to write a batch, one per longest wait, before it is given up so that
/// newer events get their chance: about a minute by default.
const WRITE_ATTEMPTS_MAX: u32 = 30;

/// Makes a queue.
pub(super) fn channel(
    limits: QueueLimits,
    metrics: Arc<Metrics>,
    clock: WallClock,
) -> (Intake, EventQueue) {
    let (sender, receiver) = crossbeam_channel::bounded(limits.queue_max);
    let (unaccounted, batch_waits) = (AtomicU64::new(0), Notify::new());
    let shared = Arc::new(Shared { limits, metrics, clock, unaccounted, batch_waits });
    let intake = Intake { lines: sender, shared: Arc::clone(&shared) };
    (intake, EventQueue { lines: receiver, shared, batch: Arc::default() })
}

impl Intake {
    /// Queues a line, or counts it as dropped. Never waits.
    pub(super) fn put(&self, line: Line) {
        match self.lines.try_send(line) {
            Ok(()) if self.lines.len() >= self.shared.limits.batch_max => {
                self.shared.batch_waits.notify_one();
            }
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.shared.count_dropped("queue_full", 1);
            }
        }
    }
}

impl EventQueue {
    /// Returns when a whole batch waits.
    pub async fn batch_waits(&self) {
        self.shared.batch_waits.notified().await;
    }

    /// Whether the last attempt to write failed. The next one is due after the
    /// usual wait: trying with each new event would use up the attempts at once.
    #[must_use]
    pub fn is_stalled(&self) -> bool {
        self.batch.lock().attempts > 0
    }

    /// Writes what waits. Stops at the first failure and keeps the batch for the
    /// next flush; about a minute of failures gives it up.
    pub fn flush<F: AppendFile>(&self, writer: &mut EventWriter<F>) -> Flushed {
        let mut batch = self.batch.lock();
        let mut flushed = Flushed::default();
        for _ in 0..self.batches_max() {
            self.fill(&mut batch);
            if batch.bytes.is_empty() {
                break;
            }
            match writer.append(&batch.bytes) {
                Ok(()) => flushed.written += self.written(&mut batch),
                Err(error) => {
                    flushed.dropped += self.failed(&mut batch, &error);
                    break;
                }
            }
        }
        flushed.waiting = batch.events + self.lines.len() as u64;
        flushed
    }

    /// Writes what waits and makes sure that it is on disk. What cannot be
    /// written now never will be: it is dropped, counted and logged.
    pub fn drain<F: AppendFile>(&self, writer: &mut EventWriter<F>) -> Flushed {
        let mut flushed = self.flush(writer);
        if let Err(error) = writer.sync() {
            log_failure(&error);
        }
        if flushed.waiting > 0 {
            let mut batch = self.batch.lock();
            let waiting = self.lines.try_iter().count() as u64;
            self.shared.count_dropped("file", waiting);
            flushed.dropped += waiting + self.give_up(&mut batch);
            flushed.waiting = 0;
            log_engine(&EngineEvent::EventsDropped { count: flushed.dropped }.facts());
        }
        flushed
    }

    /// Batches per flush: all that waited when it began, even if more keeps coming.
    fn batches_max(&self) -> usize {
        self.lines.len() / self.shared.limits.batch_max + 2
    }

    /// Fills an empty batch; a batch that failed is tried as it is.
    fn fill(&self, batch: &mut Batch) {
        if !batch.bytes.is_empty() {
            return;
        }
        for line in self.lines.try_iter().take(self.shared.limits.batch_max) {
            batch.bytes.extend_from_slice(&line);
            batch.events += 1;
        }
        let count = self.shared.unaccounted.swap(0, Ordering::AcqRel);
        if count > 0 {
            let dropped = EngineEvent::EventsDropped { count };
            log_engine(&dropped.facts());
            batch.bytes.extend(record::line((self.shared.clock)(), &dropped.facts(), None));
            batch.accounted = count;
        }
    }

    fn written(&self, batch: &mut Batch) -> u64 {
        if batch.attempts > 0 {
            tracing::info!(attempts = batch.attempts, "event file can be written again");
        }
        let written = batch.events + u64::from(batch.accounted > 0);
        self.shared.metrics.count(Metric::EventsWritten, &[], written);
        *batch = Batch::default();
        written
    }

    /// Counts a failed attempt; returns how many events were given up with it.
    fn failed(&self, batch: &mut Batch, error: &EventFileError) -> u64 {
        self.shared.metrics.count(Metric::EventFileFailures, &[], 1);
        batch.attempts += 1;
        if batch.attempts == 1 {
            log_failure(error);
        }
        if batch.attempts < WRITE_ATTEMPTS_MAX { 0 } else { self.give_up(batch) }
    }

    fn give_up(&self, batch: &mut Batch) -> u64 {
        let Batch { events, accounted, .. } = std::mem::take(batch);
        self.shared.count_dropped("file", events);
        self.shared.unaccounted.fetch_add(accounted, Ordering::AcqRel);
        events
    }
}

impl Shared {
    fn count_dropped(&self, cause: &str, count: u64) {
        self.metrics.count(Metric::EventsDropped, &[cause], count);
        self.unaccounted.fetch_add(count, Ordering::AcqRel);
    }
}

fn log_failure(error: &EventFileError) {
    tracing::error!(%error, "event file cannot be written; events wait and are then dropped");
}
