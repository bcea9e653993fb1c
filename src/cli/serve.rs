//! `antiphon serve`: the engine until it is told to stop.

use super::error::CliError;
use super::print;
use crate::config::Config;
use crate::server::Engine;

pub(super) const EXAMPLES: &str = "\
Examples:
  COGNIGY_TENANT=acme COGNIGY_API_KEY=… antiphon serve
  antiphon serve --config /etc/antiphon/config.toml
  ANTIPHON_SERVER__HTTP=127.0.0.1:9080 antiphon serve

SIGTERM and Ctrl-C let running calls end first, for at most server.drain_ms_max.";

/// Answers calls until SIGTERM or Ctrl-C.
pub(super) async fn run(config: Config) -> Result<(), CliError> {
    let engine = Engine::start(config).await?;
    print(&format!("http      http://{}\nsimulator ws://{}\n", engine.http, engine.simulator));
    told_to_stop().await;
    engine.stop().await;
    Ok(())
}

/// Waits for SIGTERM or Ctrl-C.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => {
                signals.recv().await;
            }
            // Without a handler SIGTERM ends the process by itself.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
