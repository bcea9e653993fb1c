//! `antiphon serve`: the engine until it is told to stop.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::error::CliError;
use super::print;
use crate::config::{Config, LogFormat, LogSettings};
use crate::server::{Engine, RunningEngine};
use crate::telemetry::log::{self, Log, LogError};

pub(super) const EXAMPLES: &str = "\
Examples:
  COGNIGY_TENANT=acme COGNIGY_API_KEY=… antiphon serve
  antiphon serve --config /etc/antiphon/config.toml
  ANTIPHON_SERVER__HTTP=127.0.0.1:9080 antiphon serve

SIGTERM and Ctrl-C let running calls end first, for at most server.drain_ms_max;
a second one ends them at once. SIGHUP opens the event file anew.";

/// Answers calls until SIGTERM or Ctrl-C; a second one ends the calls that still run.
/// SIGHUP opens the event file anew, for programs that rotate it.
pub(super) async fn run(config: Config) -> Result<(), CliError> {
    let _log = start_log(&config.log)?;
    // Before anything starts: a signal that nobody listens for ends the process at once.
    let mut signals = Signals::listen()?;
    let engine = tokio::select! {
        engine = Engine::start(config) => engine?,
        () = signals.told_to_stop(|| {}) => return Ok(()),
    };
    let (http, ws) = if engine.is_tls { ("https", "wss") } else { ("http", "ws") };
    let (http_at, simulator_at) = (engine.http, engine.simulator);
    let (http, simulator) = (format!("{http}://{http_at}"), format!("{ws}://{simulator_at}"));
    let members = [("http", http.as_str()), ("simulator", simulator.as_str())];
    let line = log::news("listening", &members);
    print(&line.unwrap_or_else(|| format!("http       {http}\nsimulator  {simulator}\n")));
    signals.told_to_stop(|| engine.reopen_events()).await;
    signals.drain(&engine).await;
    engine.stop().await;
    Ok(())
}

/// Starts the process's log, which lasts as long as what is returned.
pub(super) fn start_log(settings: &LogSettings) -> Result<Log, LogError> {
    match settings.format {
        LogFormat::Text => log::init_text(&settings.filter),
        LogFormat::Json => log::init_json(&settings.filter),
    }
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn told_to_stop() -> Result<(), CliError> {
    StopSignals::listen()?.next().await;
    Ok(())
}

/// SIGTERM and Ctrl-C.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn listen() -> Result<Self, CliError> {
        Ok(Self {
            terminate: listen_for(SignalKind::terminate())?,
            interrupt: listen_for(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// What an engine is told by signals. None is missed while this exists.
pub(super) struct Signals {
    stop: StopSignals,
    hang_up: Signal,
}

impl Signals {
    pub(super) fn listen() -> Result<Self, CliError> {
        Ok(Self { stop: StopSignals::listen()?, hang_up: listen_for(SignalKind::hangup())? })
    }

    /// Waits for SIGTERM or Ctrl-C, and calls `reopen` at each SIGHUP meanwhile.
    pub(super) async fn told_to_stop(&mut self, reopen: impl Fn()) {
        loop {
            tokio::select! {
                () = self.stop.next() => return,
                _ = self.hang_up.recv() => reopen(),
            }
        }
    }

    /// Lets the calls of `engine` end first, unless it is told to stop once more.
    pub(super) async fn drain(&mut self, engine: &RunningEngine) {
        tokio::select! {
            () = engine.drain() => {}
            () = self.told_to_stop(|| engine.reopen_events()) => {}
        }
    }
}

fn listen_for(kind: SignalKind) -> Result<Signal, CliError> {
    signal(kind).map_err(CliError::Signals)
}
