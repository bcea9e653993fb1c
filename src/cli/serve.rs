//! `antiphon serve`: the engine until it is told to stop.

use tokio::signal::unix::{SignalKind, signal};

use super::error::CliError;
use super::print;
use crate::config::{Config, LogFormat, LogSettings};
use crate::server::{Engine, RunningEngine};
use crate::telemetry::log::{self, LogError};

pub(super) const EXAMPLES: &str = "\
Examples:
  COGNIGY_TENANT=acme COGNIGY_API_KEY=… antiphon serve
  antiphon serve --config /etc/antiphon/config.toml
  ANTIPHON_SERVER__HTTP=127.0.0.1:9080 antiphon serve

SIGTERM and Ctrl-C let running calls end first, for at most server.drain_ms_max.";

/// Answers calls until SIGTERM or Ctrl-C; a second one ends the calls that still run.
/// SIGHUP opens the event file anew, for programs that rotate it.
pub(super) async fn run(config: Config) -> Result<(), CliError> {
    start_log(&config.log)?;
    let engine = Engine::start(config).await?;
    print(&format!("http       http://{}\nsimulator  ws://{}\n", engine.http, engine.simulator));
    tokio::select! {
        () = told_to_stop() => {}
        () = reopen_when_told(&engine) => {}
    }
    tokio::select! {
        () = engine.drain() => {}
        () = told_to_stop() => {}
    }
    engine.stop().await;
    Ok(())
}

/// Starts the process's log.
pub(super) fn start_log(settings: &LogSettings) -> Result<(), LogError> {
    match settings.format {
        LogFormat::Text => log::init_text(&settings.filter),
        LogFormat::Json => log::init_json(&settings.filter),
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn told_to_stop() {
    tokio::select! {
        () = each(SignalKind::terminate(), || true) => {}
        () = each(SignalKind::interrupt(), || true) => {}
    }
}

async fn reopen_when_told(engine: &RunningEngine) {
    each(SignalKind::hangup(), || {
        engine.reopen_events();
        false
    })
    .await;
}

/// Calls `is_enough` at each signal until it is. Where the system gives no handler
/// the signal does what it does by itself, and this waits for ever.
async fn each(kind: SignalKind, is_enough: impl Fn() -> bool) {
    let Ok(mut signals) = signal(kind) else { return std::future::pending().await };
    while signals.recv().await.is_some() {
        if is_enough() {
            return;
        }
    }
}
