//! The process's log: one subscriber, to standard error, for people or machines. What a
//! process prints besides is in the same form ([`news`], [`failure`]).
//!
//! Lines travel through a bounded queue to a thread that writes them, so that a reader
//! that stalls stops no call; what is lost is counted and told. Facts of calls and of the
//! engine are bounded where they are made; of any other place in the code, as of the HTTP
//! server's about requests that make no sense, no more than a few lines a second are told.
//!
//! Crates of others are never logged below INFO, whatever the filter says: at
//! DEBUG some of them print what passes through them, which is caller data.

mod lines;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, ParseError};
use tracing_subscriber::layer::{Context, Filter, Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{fmt, registry};

use self::lines::LogLines;
use super::json_lines::{self, JsonLines};
use super::metrics::Metric;
use super::repeats::Repeats;
use super::{CALL_TARGET, ENGINE_TARGET};

/// Longest wait for the last lines to be written when the process ends.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(1);

/// Log target of what the log says of itself.
const LOG_TARGET: &str = "antiphon::log";

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not understood.
    #[error("log filter is not understood: {0}; write for example `info` or `antiphon=debug`")]
    Filter(#[from] ParseError),
    /// Only one log per process.
    #[error("the log was started before: {0}")]
    Started(#[from] TryInitError),
    /// The system gives no thread, or no handle on standard error.
    #[error("the log cannot be started: {0}")]
    System(#[from] io::Error),
}

/// A log that is written. Dropping it waits a moment for the last lines.
#[must_use = "the last lines are written when it is dropped"]
pub struct Log(LogLines);

/// Logs lines for people.
pub fn init_text(filter: &str) -> Result<Log, LogError> {
    let colours = io::stderr().is_terminal();
    let filter = EnvFilter::try_new(filter)?;
    let (lines, bounds) = start()?;
    let layer = fmt::layer().with_writer(lines.clone()).with_ansi(colours).with_filter(bounds);
    registry().with(filter).with(layer).try_init()?;
    Ok(Log(lines))
}

/// Logs one JSON object a line.
pub fn init_json(filter: &str) -> Result<Log, LogError> {
    let filter = EnvFilter::try_new(filter)?;
    let (lines, bounds) = start()?;
    let layer = fmt::layer().event_format(JsonLines).with_ansi(false).with_writer(lines.clone());
    registry().with(filter).with(layer.with_filter(bounds)).try_init()?;
    IS_FOR_MACHINES.store(true, Ordering::Relaxed);
    Ok(Log(lines))
}

/// Whether the log of this process is for machines.
static IS_FOR_MACHINES: AtomicBool = AtomicBool::new(false);

/// Something to be printed, as a line of the log with its end, if the log is for machines: so
/// that whoever reads the output of the process as JSON finds nothing else in it.
#[must_use]
pub fn news(message: &str, members: &[(&'static str, &str)]) -> Option<String> {
    line_for_machines(Level::INFO, message, members)
}

/// Likewise for why the process ends.
#[must_use]
pub fn failure(message: &str) -> Option<String> {
    line_for_machines(Level::ERROR, message, &[])
}

fn line_for_machines(
    level: Level,
    message: &str,
    members: &[(&'static str, &str)],
) -> Option<String> {
    let members = members.iter().copied().chain([("message", message)]);
    let members = members.map(|(key, value)| (key.to_owned(), value.into())).collect();
    let line = || format!("{}\n", json_lines::line(level.as_str(), "antiphon", members));
    IS_FOR_MACHINES.load(Ordering::Relaxed).then(line)
}

/// Starts the writer's thread.
fn start() -> io::Result<(LogLines, Bounds)> {
    let bounds = Bounds::default();
    let repeats = bounds.clone();
    let look = move |lost| {
        if lost > 0 {
            tracing::warn!(target: LOG_TARGET, lost, "log lines were not read in time and are lost");
        }
        repeats.tell();
    };
    // A handle of its own: the library's one is locked while somebody writes.
    let out = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let lines = LogLines::start(out, look)?;
    // The metrics tell of the first log; there is one for each process.
    let _other = PROCESS_LOG.set((lines.clone(), bounds.clone()));
    Ok((lines, bounds))
}

impl Drop for Log {
    fn drop(&mut self) {
        let _lost = self.0.flush(LAST_LINES_WITHIN);
    }
}

/// Writes the last words of a process to standard error, which are given up after a moment
/// when nobody reads them.
pub fn last_words(text: String) {
    let (written, is_written) = crossbeam_channel::bounded(1);
    let write = move || {
        // Whoever closed standard error does not want to know.
        let _unheard = io::stderr().write_all(text.as_bytes());
        let _gone_on = written.send(());
    };
    if std::thread::Builder::new().spawn(write).is_ok() {
        let _stalled = is_written.recv_timeout(LAST_LINES_WITHIN);
    }
}

static PROCESS_LOG: OnceLock<(LogLines, Bounds)> = OnceLock::new();

/// Brings the metric of lost lines up to date.
pub(super) fn measure() {
    let Some((lines, bounds)) = PROCESS_LOG.get() else { return };
    Metric::LogLinesLost.set_counter("cause", "queue_full", lines.lost());
    Metric::LogLinesLost.set_counter("cause", "repeated", bounds.0.lock().left_out);
}

/// What is written at all, and how often.
#[derive(Clone, Default)]
struct Bounds(Arc<Mutex<Left>>);

struct Left {
    since: Instant,
    repeats: Repeats<&'static str>,
    /// Lines left out so far.
    left_out: u64,
}

impl Default for Left {
    fn default() -> Self {
        Self { since: Instant::now(), repeats: Repeats::default(), left_out: 0 }
    }
}

impl Bounds {
    /// Says how many lines of which places were left out.
    fn tell(&self) {
        let left_out = {
            let mut left = self.0.lock();
            let now = left.since.elapsed();
            left.repeats.left_out(now)
        };
        for (place, lines) in left_out {
            tracing::warn!(target: LOG_TARGET, place, lines, "lines of one place were left out");
        }
    }
}

impl<S> Filter<S> for Bounds {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        may_be_logged(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        // Not `always`: that is for filters that do not look at each event.
        if may_be_logged(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if [CALL_TARGET, ENGINE_TARGET, LOG_TARGET].contains(&metadata.target()) {
            return true;
        }
        let mut left = self.0.lock();
        let now = left.since.elapsed();
        // Its file and line.
        let is_told = left.repeats.take(&metadata.name(), now);
        left.left_out += u64::from(!is_told);
        is_told
    }
}

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next() == Some("antiphon");
    ours || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::repeats::LINES_PER_SECOND_MAX;
    use crate::telemetry::tests::support::LogLines;

    /// What is written of what `log` logs.
    fn written(log: impl FnOnce()) -> String {
        let out = LogLines::default();
        let bounds = Bounds::default();
        let lines = fmt::layer().with_ansi(false).with_writer(out.writer());
        let lines = lines.with_filter(bounds.clone());
        tracing::subscriber::with_default(registry().with(lines), || {
            log();
            bounds.tell();
        });
        out.text()
    }

    #[test]
    fn crates_of_others_are_never_logged_below_info() {
        let text = written(|| {
            tracing::debug!(target: "tungstenite", "their frame");
            tracing::info!(target: "tungstenite", "their news");
            tracing::debug!(target: "antiphon::call", "our fact");
            tracing::debug!(target: "antiphonist", "their namesake");
        });
        assert!(text.contains("their news") && text.contains("our fact"), "{text}");
        assert!(!text.contains("their frame") && !text.contains("their namesake"), "{text}");
    }

    #[test]
    fn one_place_in_the_code_cannot_fill_the_log_and_what_is_left_out_is_told() {
        let text = written(|| {
            for _ in 0..345 {
                tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
            }
            tracing::error!(target: "actix_http::h1::dispatcher", "another place");
        });
        let told = text.matches("stream error").count();
        // More, if a second went by meanwhile.
        assert!((LINES_PER_SECOND_MAX as usize..345).contains(&told), "{told}: {text}");
        assert!(text.contains("another place"), "{text}");
        let left_out = format!("lines={}", 345 - told);
        assert!(text.contains(&left_out) && text.contains("left out"), "{left_out}: {text}");
    }

    #[test]
    fn facts_of_calls_are_never_left_out_here() {
        let text = written(|| {
            (0..1_000).for_each(|_| tracing::info!(target: CALL_TARGET, "call_started"));
        });
        assert_eq!(text.matches("call_started").count(), 1_000);
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let refused = init_text("antiphon=loud").err().expect("no such level").to_string();
        assert!(refused.starts_with("log filter is not understood"), "{refused}");
    }
}
