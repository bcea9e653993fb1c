//! The Prometheus side of the metrics: collects them and renders the text that
//! a scrape gets. Serves no HTTP; the server's `/metrics` route asks for the text.

use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};

use super::log;
use super::metric_list::SPECS;
use super::metrics::Kind;
use super::panics::keep_running;
use super::process;
use super::{Telemetry, UPKEEP_EVERY};

/// All metrics of the process. Cheap to clone.
#[derive(Clone)]
pub struct Prometheus(PrometheusHandle);

/// Why metrics cannot be collected.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The list of metrics has a histogram without buckets.
    #[error("metrics cannot be collected: {0}")]
    Recorder(#[from] BuildError),
    /// Another recorder was installed before.
    #[error("metrics cannot be collected: this process has a metrics recorder already")]
    Installed,
}

/// Folds histograms from time to time, without which they grow when nobody
/// scrapes, and tells what was told too often. Ends when dropped.
pub struct Upkeep(tokio::task::JoinHandle<()>);

impl Prometheus {
    /// Collects the metrics of the whole process. Once per process, and before
    /// [`super::Telemetry::new`].
    pub fn install() -> Result<Self, PrometheusError> {
        let (recorder, prometheus) = Self::recorder()?;
        metrics::set_global_recorder(recorder).map_err(|_| PrometheusError::Installed)?;
        Ok(prometheus)
    }

    /// The text of a scrape. Reads files and folds histograms: not for a thread
    /// that must not wait.
    #[must_use]
    pub fn render(&self) -> String {
        log::measure();
        self.0.render() + &process::render()
    }

    /// Starts the upkeep on the current tokio runtime.
    #[must_use]
    pub fn start_upkeep(&self, telemetry: Telemetry) -> Upkeep {
        let handle = self.0.clone();
        Upkeep(tokio::spawn(keep_running(telemetry.clone(), "upkeep", move || {
            upkeep(handle.clone(), telemetry.clone())
        })))
    }

    /// A recorder that knows the buckets of every histogram, not installed yet.
    pub(super) fn recorder() -> Result<(PrometheusRecorder, Self), PrometheusError> {
        let mut builder = PrometheusBuilder::new();
        for spec in SPECS {
            if let Kind::Histogram(buckets) = spec.kind {
                let name = Matcher::Full(spec.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets)?;
            }
        }
        let recorder = builder.build_recorder();
        let prometheus = Self(recorder.handle());
        Ok((recorder, prometheus))
    }
}

async fn upkeep(handle: PrometheusHandle, telemetry: Telemetry) {
    let mut ticks = tokio::time::interval(UPKEEP_EVERY);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
        telemetry.tell_refusals();
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.0.abort();
    }
}
