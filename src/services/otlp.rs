//! Hands the traces to a collector: OTLP over HTTP, in JSON, in batches.
//!
//! A batch that is not taken is tried once and given up: traces are a courtesy, and
//! what waits must not grow. Runs on the service runtime, away from the calls.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::http::{self, HttpSetupError};
use crate::telemetry::SpanQueue;

/// Spans in one request.
const BATCH_MAX: usize = 512;
/// Longest time that spans wait for company.
const BATCH_EVERY: Duration = Duration::from_secs(1);
/// Longest time for one request.
const EXPORT_MS_MAX: u32 = 5_000;
/// Longest time for the last spans when the engine stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// Longest answer that is read; it says nothing that matters.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The export to one collector, while it runs.
pub struct TraceExport {
    stop: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl TraceExport {
    /// Starts to export what comes into `queue` to the collector at `endpoint`.
    ///
    /// # Errors
    /// An address that cannot be used.
    pub fn start(
        endpoint: &str,
        queue: SpanQueue,
        runtime: &Handle,
    ) -> Result<Self, HttpSetupError> {
        const SETTING: &str = "telemetry.otlp.endpoint";
        let base = http::address(SETTING, endpoint)?;
        let client = http::client(SETTING, &base)?;
        let traces = http::below(&base, "/v1/traces");
        let (stop, stopped) = oneshot::channel();
        let exporter = Exporter { client, traces, queue, works: true };
        Ok(Self { stop, running: runtime.spawn(exporter.run(stopped)) })
    }

    /// Exports what still waits, for a moment, and ends.
    pub async fn stop(self) {
        drop(self.stop);
        if timeout(STOP_WITHIN, self.running).await.is_err() {
            tracing::warn!("the last traces were not taken by the collector in time");
        }
    }
}

struct Exporter {
    client: Client,
    traces: Url,
    queue: SpanQueue,
    /// The last batch was taken.
    works: bool,
}

impl Exporter {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        while timeout(BATCH_EVERY, &mut stopped).await.is_err() {
            self.export().await;
        }
        self.export().await;
    }

    async fn export(&mut self) {
        while let Some((body, count)) = self.queue.take(BATCH_MAX) {
            let outcome = self.send(body).await;
            match &outcome {
                Ok(_) => self.queue.exported(count),
                Err(_) => self.queue.refused(count),
            }
            if let Err(error) = &outcome
                && self.works
            {
                tracing::warn!(%error, "traces are not taken by the collector and are dropped");
            }
            self.works = outcome.is_ok();
        }
    }

    async fn send(&self, body: Vec<u8>) -> Result<http::Answer, http::ExchangeError> {
        let post = self.client.post(self.traces.clone());
        let post = post.header(CONTENT_TYPE, "application/json").body(body);
        http::exchange(post, ANSWER_BYTES_MAX, EXPORT_MS_MAX).await
    }
}
