//! `antiphon serve`: the engine until it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use super::print;
use crate::config::{Config, LogFormat, LogSettings};
use crate::server::{Engine, RunningEngine};
use crate::telemetry::log;

pub(super) const EXAMPLES: &str = "\
Examples:
  COGNIGY_TENANT=acme COGNIGY_API_KEY=… antiphon serve
  antiphon serve --config /etc/antiphon/config.toml
  ANTIPHON_SERVER__HTTP=127.0.0.1:9080 antiphon serve

SIGTERM and Ctrl-C let running calls end first, for at most server.drain_ms_max;
a second one ends them at once. SIGHUP opens the event file anew.";

/// Answers calls until SIGTERM or Ctrl-C.
pub(super) async fn run(config: Config) -> Result<(), CliError> {
    start_log(&config.log)?;
    let mut signals = Signals::register()?;
    let engine = Engine::start(config).await?;
    print(&format!("http      http://{}\nsimulator ws://{}\n", engine.http, engine.simulator));
    signals.told_to_stop(Some(&engine)).await;
    tokio::select! {
        () = engine.drain() => {}
        () = signals.told_to_stop(None) => {}
    }
    engine.stop().await;
    Ok(())
}

fn start_log(settings: &LogSettings) -> Result<(), CliError> {
    match settings.format {
        LogFormat::Text => log::init_text(&settings.filter)?,
        LogFormat::Json => log::init_json(&settings.filter)?,
    }
    Ok(())
}

/// What operators send to the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn register() -> Result<Self, CliError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(CliError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(CliError::Signals)?,
            hang_up: signal(SignalKind::hangup()).map_err(CliError::Signals)?,
        })
    }

    /// Waits for SIGTERM or Ctrl-C. A SIGHUP in the meantime reaches `engine`.
    pub(super) async fn told_to_stop(&mut self, engine: Option<&RunningEngine>) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return,
                _ = self.interrupt.recv() => return,
                _ = self.hang_up.recv() => {
                    if let Some(engine) = engine {
                        engine.reopen_events();
                    }
                }
            }
        }
    }
}
