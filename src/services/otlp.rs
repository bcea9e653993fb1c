//! Hands the traces to a collector: OTLP over HTTP, in JSON, in batches.
//!
//! A batch that is not taken for a reason that may pass is sent again, [`ATTEMPTS_MAX`] times
//! in all, within some fifteen seconds; then it is given up. What comes meanwhile waits in a
//! queue that does not grow: traces are a courtesy. Runs on a thread of its own, away from
//! the calls and from what they ask.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http::{self, ExchangeError};
use super::isolated::OwnThread;
use super::jitter::by_chance;
use super::providers::ProviderError;
use crate::resilience::Backoff;
use crate::telemetry::{SpanQueue, Telemetry, keep_running};

/// Spans in one request.
const BATCH_MAX: usize = 512;
/// Longest time that spans wait for company.
const BATCH_EVERY: Duration = Duration::from_secs(1);
/// A collector that restarts is back by then.
const ATTEMPTS_MAX: u32 = 5;
/// Between them.
const BACKOFF: Backoff = Backoff::new(1_000, 8_000);
/// The name of its thread.
const THREAD: &str = "traces";
/// Longest time for one request.
const EXPORT_MS_MAX: u32 = 5_000;
/// Longest time for the last spans when the engine stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Longest answer that is read; it says nothing that matters.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The export to one collector, while it runs.
pub struct TraceExport {
    stop: watch::Sender<()>,
    running: JoinHandle<()>,
    /// What the collector answers, however much of it, is no burden on anything else.
    _thread: OwnThread,
}

impl TraceExport {
    /// Starts to export what comes into `queue` to the collector at `endpoint`. A panic costs
    /// the batch in hand, which is counted as dropped.
    ///
    /// # Errors
    /// An address that cannot be used, or no thread.
    pub fn start(
        endpoint: &str,
        queue: SpanQueue,
        telemetry: Telemetry,
    ) -> Result<Self, ProviderError> {
        const SETTING: &str = "telemetry.otlp.endpoint";
        let base = http::address(SETTING, endpoint)?;
        let client = http::client(SETTING, &base)?;
        let traces = http::below_v1(&base, "/traces");
        let (stop, told) = watch::channel(());
        let collector = HttpCollector { client, traces };
        let thread = OwnThread::start(THREAD)
            .map_err(|error| ProviderError::Thread { name: THREAD, reason: error.to_string() })?;
        let running = thread.spawn(keep_exporting(telemetry, collector, queue, Stop { told }));
        Ok(Self { stop, running, _thread: thread })
    }

    /// Exports what still waits, for a moment, and ends.
    pub async fn stop(self) {
        drop(self.stop);
        if timeout(STOP_WITHIN, self.running).await.is_err() {
            tracing::warn!("the last traces were not taken by the collector in time");
        }
    }
}

/// Exports until it is told to stop, whatever panics.
async fn keep_exporting(
    telemetry: Telemetry,
    collector: impl Collector,
    queue: SpanQueue,
    stop: Stop,
) {
    keep_running(telemetry, "trace_export", move || {
        let exporter = Exporter { collector: collector.clone(), queue: queue.clone(), works: true };
        exporter.run(stop.clone())
    })
    .await;
}

/// Where batches go.
trait Collector: Clone + Send + 'static {
    /// Sends one.
    fn send(&self, body: Vec<u8>) -> impl Future<Output = Result<(), ExchangeError>> + Send;
}

/// A collector behind HTTP.
#[derive(Clone)]
struct HttpCollector {
    client: Client,
    traces: Url,
}

impl Collector for HttpCollector {
    async fn send(&self, body: Vec<u8>) -> Result<(), ExchangeError> {
        let post = self.client.post(self.traces.clone());
        let post = post.header(CONTENT_TYPE, "application/json").body(body);
        http::exchange(post, ANSWER_BYTES_MAX, EXPORT_MS_MAX).await.map(drop)
    }
}

struct Exporter<C> {
    collector: C,
    queue: SpanQueue,
    /// The last batch was taken.
    works: bool,
}

/// The wish that the export ends: the other end is dropped.
#[derive(Clone)]
struct Stop {
    told: watch::Receiver<()>,
}

impl Stop {
    /// Waits, and says whether it was told to stop meanwhile or before.
    async fn told_within(&mut self, wait: Duration) -> bool {
        timeout(wait, self.told.changed()).await.is_ok()
    }
}

impl<C: Collector> Exporter<C> {
    async fn run(mut self, mut stop: Stop) {
        while !stop.told_within(BATCH_EVERY).await {
            self.export(&mut stop).await;
        }
        self.export(&mut stop).await;
    }

    async fn export(&mut self, stop: &mut Stop) {
        while let Some(batch) = self.queue.take(BATCH_MAX) {
            match self.send(batch.body(), stop).await {
                Ok(()) => {
                    batch.exported();
                    self.works = true;
                }
                Err(error) => {
                    if std::mem::replace(&mut self.works, false) {
                        tracing::warn!(%error, "traces are not taken by the collector and are dropped");
                    }
                }
            }
        }
    }

    /// Sends a batch until it is taken or given up. An engine that stops waits for nobody.
    async fn send(&self, body: &[u8], stop: &mut Stop) -> Result<(), ExchangeError> {
        let mut attempts = 0;
        loop {
            let Err(error) = self.collector.send(body.to_vec()).await else { return Ok(()) };
            attempts += 1;
            if attempts == ATTEMPTS_MAX || !may_pass(&error) {
                return Err(error);
            }
            let asked_ms = match error {
                ExchangeError::Status { retry_after_ms, .. } => retry_after_ms,
                _ => None,
            };
            let wait_ms = BACKOFF.wait_ms(attempts, asked_ms, by_chance());
            if stop.told_within(Duration::from_millis(wait_ms.into())).await {
                return Err(error);
            }
        }
    }
}

/// Whether the same batch may be taken later, as the standard says.
const fn may_pass(error: &ExchangeError) -> bool {
    match error {
        ExchangeError::Status { status, .. } => matches!(status, 429 | 502 | 503 | 504),
        ExchangeError::NotSent | ExchangeError::Broken | ExchangeError::TimedOut => true,
        ExchangeError::NotSecure(_)
        | ExchangeError::TooLong { .. }
        | ExchangeError::Malformed(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::telemetry::{CallScope, QueueLimits, Telemetry};
    use crate::types::{
        CallEvent, CallEventKind, CallId, EndCause, MediaTime, Route, SessionId, UserId,
    };

    /// A collector that gives these answers, one after the other, and takes the rest.
    #[derive(Clone, Default)]
    struct Scripted {
        answers: Arc<Mutex<Vec<ExchangeError>>>,
        /// What was sent, how often.
        sent: Arc<Mutex<Vec<usize>>>,
    }

    impl Collector for Scripted {
        async fn send(&self, body: Vec<u8>) -> Result<(), ExchangeError> {
            self.sent.lock().push(body.len());
            let mut answers = self.answers.lock();
            if answers.is_empty() { Ok(()) } else { Err(answers.remove(0)) }
        }
    }

    /// Telemetry, and the queue in which the span of one call waits.
    fn a_span() -> (Telemetry, SpanQueue) {
        let limits = QueueLimits { queue_max: 10, batch_max: 1 };
        let (telemetry, _events) = Telemetry::new(limits, vec!["default".to_owned()]);
        let (telemetry, queue) = telemetry.with_traces();
        end_a_call(&telemetry);
        (telemetry, queue)
    }

    fn end_a_call(telemetry: &Telemetry) {
        let scope = CallScope {
            call_id: CallId::of_test("a"),
            carrier_call_id: None,
            session_id: SessionId::of_test("a"),
            user_id: UserId::from("b"),
            route: Arc::new(Route::default()),
            transport: "stream",
            open_turns: Arc::default(),
        };
        let kind = CallEventKind::CallEnded {
            cause: EndCause::CallerHungUp,
            duration_ms: 1,
            audio_bytes: 0,
            turns: 0,
        };
        let event = CallEvent { sequence: 1, turn: None, audio_at: MediaTime(0), kind };
        telemetry.call_event(&scope, &event);
    }

    /// Sends the span of one call to a collector with `answers`: how often it was sent, and
    /// how long that took.
    async fn export(answers: Vec<ExchangeError>) -> (usize, Duration) {
        let (_telemetry, queue) = a_span();
        let collector = Scripted { answers: Arc::new(Mutex::new(answers)), ..Scripted::default() };
        let sent = Arc::clone(&collector.sent);
        let (_still_wanted, told) = watch::channel(());
        let began = tokio::time::Instant::now();
        Exporter { collector, queue, works: true }.export(&mut Stop { told }).await;
        let count = sent.lock().len();
        (count, began.elapsed())
    }

    const fn status(status: u16) -> ExchangeError {
        ExchangeError::Status { status, retry_after_ms: None }
    }

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_comes_back_gets_the_batch_it_missed() {
        let (sent, _) = export(vec![ExchangeError::NotSent, status(503)]).await;
        assert_eq!(sent, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_given_up_after_some_attempts_and_at_once_when_it_is_refused() {
        let gone = vec![ExchangeError::NotSent; 20];
        let (sent, took) = export(gone).await;
        assert_eq!(sent, ATTEMPTS_MAX as usize);
        assert!(took <= Duration::from_secs(15), "{took:?}");
        assert_eq!(export(vec![status(400); 20]).await.0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn an_engine_that_stops_tries_once() {
        let (stop, told) = watch::channel(());
        drop(stop);
        let mut stop = Stop { told };
        assert!(stop.told_within(Duration::from_secs(1)).await);
        assert!(stop.told_within(Duration::from_secs(1)).await, "it is remembered");
    }

    /// Panics at its first batch, and takes all others.
    #[derive(Clone, Default)]
    struct Clumsy {
        asked: Arc<Mutex<usize>>,
    }

    impl Collector for Clumsy {
        async fn send(&self, _: Vec<u8>) -> Result<(), ExchangeError> {
            let mut asked = self.asked.lock();
            *asked += 1;
            let first = *asked == 1;
            drop(asked);
            assert!(!first, "planted panic");
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_exporter_that_panics_goes_on_with_the_next_batch_and_can_still_be_stopped() {
        crate::telemetry::install_panic_hook();
        let (telemetry, queue) = a_span();
        let collector = Clumsy::default();
        let asked = Arc::clone(&collector.asked);
        let (stop, told) = watch::channel(());
        let exporting = keep_exporting(telemetry.clone(), collector, queue, Stop { told });
        let exporting = tokio::spawn(exporting);
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(*asked.lock(), 1, "the batch at which it panicked is not sent again");
        end_a_call(&telemetry);
        drop(stop);
        exporting.await.expect("it ends in order");
        assert_eq!(*asked.lock(), 2, "what came later was sent before the end");
    }
}
