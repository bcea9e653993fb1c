//! The process's log: one subscriber, to standard error, for people or machines. What a
//! process prints besides is in the same form ([`news`], [`failure`]).
//!
//! Crates of others are never logged below INFO, whatever the filter says: at
//! DEBUG some of them print what passes through them, which is caller data.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};

use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, ParseError, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{fmt, registry};

use super::json_lines::{self, JsonLines};

/// Why the log cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not understood.
    #[error("log filter is not understood: {0}; write for example `info` or `antiphon=debug`")]
    Filter(#[from] ParseError),
    /// Only one log per process.
    #[error("the log was started before: {0}")]
    Started(#[from] TryInitError),
}

/// Logs lines for people.
pub fn init_text(filter: &str) -> Result<(), LogError> {
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
    let lines = lines.with_filter(filter_fn(may_be_logged));
    Ok(registry().with(EnvFilter::try_new(filter)?).with(lines).try_init()?)
}

/// Logs one JSON object a line.
pub fn init_json(filter: &str) -> Result<(), LogError> {
    let lines = fmt::layer().event_format(JsonLines).with_ansi(false).with_writer(std::io::stderr);
    let lines = lines.with_filter(filter_fn(may_be_logged));
    registry().with(EnvFilter::try_new(filter)?).with(lines).try_init()?;
    IS_FOR_MACHINES.store(true, Ordering::Relaxed);
    Ok(())
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

fn may_be_logged(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target().split("::").next() == Some("antiphon");
    ours || *metadata.level() <= Level::INFO
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::support::LogLines;

    #[test]
    fn crates_of_others_are_never_logged_below_info() {
        let log = LogLines::default();
        let lines = fmt::layer().with_writer(log.writer());
        let lines = lines.with_filter(filter_fn(may_be_logged));
        tracing::subscriber::with_default(registry().with(lines), || {
            tracing::debug!(target: "tungstenite", "their frame");
            tracing::info!(target: "tungstenite", "their news");
            tracing::debug!(target: "antiphon::call", "our fact");
            tracing::debug!(target: "antiphonist", "their namesake");
        });
        let text = log.text();
        assert!(text.contains("their news") && text.contains("our fact"), "{text}");
        assert!(!text.contains("their frame") && !text.contains("their namesake"), "{text}");
    }

    #[test]
    fn a_filter_that_is_not_understood_is_named() {
        let refused = init_text("antiphon=loud").expect_err("no such level").to_string();
        assert!(refused.starts_with("log filter is not understood"), "{refused}");
    }
}
