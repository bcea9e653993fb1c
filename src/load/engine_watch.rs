//! Looks at the engine's metrics while a run goes on. A look that is not answered in time
//! is counted and left out; it never holds up the run.

use std::error::Error;
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::engine::{EngineFigures, EngineSample};
use super::report::Report;

/// Between two looks. A scrape costs the engine a millisecond or so.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Somebody who looks.
pub struct EngineWatch {
    url: Url,
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Seen>,
}

/// Why an engine cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// No address.
    #[error("{0:?} is no address: use http://host:port/metrics")]
    NoAddress(String),
    /// Nobody answers there.
    #[error("{} ({})", source, innermost(source))]
    NoAnswer {
        /// What came instead.
        #[from]
        source: reqwest::Error,
    },
    /// The answer holds nothing that could be watched.
    #[error("no process_resident_memory_bytes at {0}: name an engine's /metrics")]
    NoMetrics(Url),
}

/// What is behind an error, which alone says why.
fn innermost(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// A day of looks, one a second, are 86,400: no run is longer.
#[derive(Default)]
struct Seen {
    samples: Vec<EngineSample>,
    failed: usize,
}

impl EngineWatch {
    /// Begins to look at `url`, the address of the engine's metrics. The time of its
    /// samples counts from now.
    ///
    /// # Errors
    /// [`WatchError`] when there is nothing to be seen.
    pub async fn start(url: &str) -> Result<Self, WatchError> {
        let url = Url::parse(url).map_err(|_| WatchError::NoAddress(url.to_owned()))?;
        // Fails when it is installed already, which is as good.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = Client::builder().no_proxy().timeout(ANSWER_WITHIN).build()?;
        let first = EngineSample::parse(0.0, &metrics(&client, &url).await?);
        if first.resident_bytes.is_none() {
            return Err(WatchError::NoMetrics(url));
        }
        let (stop, stopped) = oneshot::channel();
        let looking = tokio::spawn(look(client, url.clone(), stopped));
        Ok(Self { url, stop, looking })
    }

    /// Puts what was seen into the report of the run. What came before `warm_until_s` is
    /// the warm-up; looks after the planned end of the run are left out, because its
    /// calls were hung up then.
    pub async fn end(self, report: &mut Report, warm_until_s: f64) {
        // Fails when the one who looks has panicked; then nothing was seen.
        let _gone = self.stop.send(());
        let Seen { samples, failed } = self.looking.await.unwrap_or_default();
        let end_s = report.run.seconds;
        let samples: Vec<EngineSample> =
            samples.into_iter().filter(|sample| sample.at_s < end_s).collect();
        let figures = EngineFigures::new(self.url.as_str(), &samples, warm_until_s);
        report.add_engine(EngineFigures { looks_failed: failed, ..figures }, &samples);
    }
}

async fn look(client: Client, url: Url, mut stopped: oneshot::Receiver<()>) -> Seen {
    let (started, mut seen) = (Instant::now(), Seen::default());
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return seen,
            _ = ticks.tick() => {}
        }
        let at_s = started.elapsed().as_secs_f64();
        match metrics(&client, &url).await {
            Ok(text) => seen.samples.push(EngineSample::parse(at_s, &text)),
            Err(_) => seen.failed += 1,
        }
    }
}

async fn metrics(client: &Client, url: &Url) -> Result<String, reqwest::Error> {
    client.get(url.clone()).send().await?.error_for_status()?.text().await
}
