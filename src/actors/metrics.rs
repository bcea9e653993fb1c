//! Writes the event file: empties the event queue in batches.
//!
//! Blocks its thread while the disk does, so it runs on an arbiter of its own.
//! Takes nothing from calls directly and holds nothing that must survive it: the
//! queue and the batch under way belong to [`EventQueue`], so a fresh one goes on
//! where a panicked one stopped.

use std::time::Duration;

use actix::{Actor, AsyncContext, Context, Handler, Message, MessageResult, StreamHandler};
use futures_util::stream;

use crate::config::EventSettings;
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
    /// An actor that writes after `batch_ms_max` at the latest, and as soon as a
    /// whole batch waits.
    #[must_use]
    pub fn new(queue: EventQueue, settings: &EventSettings) -> Self {
        let file = EventFileSettings {
            path: settings.path.clone(),
            rotate_bytes: settings.rotate_bytes,
            rotated_files_max: settings.rotated_files_max,
        };
        Self { queue, writer: EventWriter::new(file), batch_ms_max: settings.batch_ms_max }
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
        // Locked from now on: whoever starts with the same file a moment later finds it taken.
        if let Err(error) = self.writer.open() {
            tracing::warn!(%error, "events wait until the event file can be opened");
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

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::telemetry::{EngineEvent, EventFileError, QueueLimits, Telemetry, check_event_file};

    /// An actor on a file of its own. The file is removed at the end.
    struct Bench {
        telemetry: Telemetry,
        actor: actix::Addr<MetricsActor>,
        path: PathBuf,
    }

    impl Bench {
        fn new(name: &str, batch_max: usize, batch_ms_max: u32) -> Self {
            let path =
                std::env::temp_dir().join(format!("antiphon-{name}-{}.jsonl", std::process::id()));
            let (telemetry, queue) =
                Telemetry::new(QueueLimits { queue_max: 10, batch_max }, Vec::new());
            let defaults = EventSettings::default();
            let settings = EventSettings { path: path.clone(), batch_ms_max, ..defaults };
            let actor = MetricsActor::new(queue, &settings).start();
            Self { telemetry, actor, path }
        }

        fn tell(&self, count: usize) {
            for _ in 0..count {
                self.telemetry.engine_event(&EngineEvent::EngineStopped);
            }
        }

        /// Waits until the file has so many lines; fails when they never come.
        async fn lines(&self, wanted: usize) {
            let come = async {
                while count_lines(&self.path) < wanted {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(60), come).await.expect("lines in the file");
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            drop(fs::remove_file(&self.path));
        }
    }

    fn count_lines(path: &Path) -> usize {
        fs::read_to_string(path).map_or(0, |text| text.lines().count())
    }

    #[actix::test]
    async fn a_whole_batch_is_written_without_waiting_for_the_interval() {
        let bench = Bench::new("batch", 3, 3_600_000);
        bench.tell(3);
        bench.lines(3).await;
    }

    #[actix::test]
    async fn a_smaller_batch_is_written_after_the_interval() {
        let bench = Bench::new("interval", 10, 5);
        bench.tell(1);
        bench.lines(1).await;
    }

    #[actix::test]
    async fn a_drain_is_answered_when_everything_is_written() {
        let bench = Bench::new("drain", 10, 3_600_000);
        bench.tell(4);
        let flushed = bench.actor.send(Drain).await.expect("a running actor");
        assert_eq!(flushed, Flushed { written: 4, dropped: 0, waiting: 0 });
        assert_eq!(count_lines(&bench.path), 4);
    }

    #[actix::test]
    async fn nobody_else_gets_the_file_although_nothing_was_written_yet() {
        let bench = Bench::new("lock", 10, 3_600_000);
        bench.actor.send(Drain).await.expect("a running actor");
        let other = check_event_file(&bench.path);
        assert!(matches!(other, Err(EventFileError::InUse { .. })), "{other:?}");
    }

    #[actix::test]
    async fn a_reopen_writes_to_the_file_that_the_path_names_now() {
        let bench = Bench::new("reopen", 10, 3_600_000);
        bench.tell(1);
        bench.actor.send(Drain).await.expect("a running actor");
        fs::remove_file(&bench.path).expect("the file");
        bench.tell(2);
        bench.actor.send(Reopen).await.expect("a running actor");
        assert_eq!(count_lines(&bench.path), 2);
    }
}
