//! Writes the event file: empties the event queue in batches.
//!
//! Blocks its thread while the disk does, so it runs on an arbiter of its own.
//! Takes nothing from calls directly and holds nothing that must survive it: the
//! queue and the batch under way belong to [`EventQueue`], so a fresh one goes on
//! where a panicked one stopped.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, StreamHandler};
use futures_util::stream;

use crate::telemetry::{
    EventFileSettings, EventQueue, EventWriter, Flushed, survive_file_size_limit,
};

/// The actor. One per process.
pub struct MetricsActor {
    queue: EventQueue,
    writer: EventWriter,
    batch_ms_max: u32,
}

/// Writes what waits and answers when it is on disk. What cannot be written is
/// dropped and counted in the answer. Ask when nothing tells any more.
#[derive(Message)]
#[rtype(result = "Flushed")]
pub struct Drain;

/// Opens the file anew, after an operator renamed it.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Reopen;

/// As many events wait as are written at once.
struct BatchWaits;

impl MetricsActor {
    /// An actor that writes after `batch_ms_max` milliseconds at the latest, and
    /// as soon as a whole batch waits.
    #[must_use]
    pub fn new(queue: EventQueue, file: EventFileSettings, batch_ms_max: u32) -> Self {
        Self { queue, writer: EventWriter::new(file), batch_ms_max }
    }

    fn flush(&mut self) {
        self.queue.flush(&mut self.writer);
    }
}

impl Actor for MetricsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.set_mailbox_capacity(MAILBOX_MAX);
        if let Err(error) = survive_file_size_limit() {
            tracing::warn!(%error, "a file size limit of this process would end it");
        }
        let every = Duration::from_millis(u64::from(self.batch_ms_max));
        ctx.run_interval(every, |actor, _| actor.flush());
        ctx.add_stream(stream::unfold(self.queue.clone(), |queue| async {
            queue.batch_waits().await;
            Some((BatchWaits, queue))
        }));
    }
}

impl StreamHandler<BatchWaits> for MetricsActor {
    fn handle(&mut self, _: BatchWaits, _: &mut Self::Context) {
        if !self.queue.is_stalled() {
            self.flush();
        }
    }
}

impl Handler<Drain> for MetricsActor {
    type Result = MessageResult<Drain>;

    fn handle(&mut self, _: Drain, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.queue.drain(&mut self.writer))
    }
}

impl Handler<Reopen> for MetricsActor {
    type Result = ();

    fn handle(&mut self, _: Reopen, _: &mut Self::Context) {
        self.writer.reopen();
        self.flush();
    }
}

/// Drains and reopens that may wait; both come from an operator.
const MAILBOX_MAX: usize = 8;
