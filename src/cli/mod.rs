//! The commands of the binary: what can be typed, and what each does with the
//! layers below. No command holds logic that another program would miss.
//!
//! Exit status: 0 it went well, 1 it did not, 2 it was typed wrong, 3 a load run measured
//! the generator instead of the engine, 4 a load run found nobody who takes calls, 64 the
//! configuration is wrong.

mod call;
mod check;
mod demo;
mod error;
mod load;
mod load_progress;
mod narrator;
mod paint;
mod sandbox;
mod script;
mod serve;
mod speech;
mod speech_worker;
mod table;
mod turn_log;
mod vad;

use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};

use crate::config::{self, Config, ConfigError};
use crate::services::{Providers, process_environment};

use self::error::CliError;

/// Real-time media engine for voice bots: answers calls, and shows that it does.
#[derive(Debug, Parser)]
#[command(name = "antiphon", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file; `config.toml` where it exists, else the defaults.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  antiphon demo                                   one scripted call, end to end, on this computer
  antiphon serve --config config.toml             answer calls
  antiphon call --say \"what time is breakfast\"    place a call
  antiphon load --url ws://127.0.0.1:8080/v1/stream --calls 100 --for 30s    place a hundred

Exit status: 0 it went well, 1 it did not, 2 it was typed wrong, 3 a load run measured the
generator instead of the engine, 4 a load run found nobody who takes calls, 64 the
configuration is wrong.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Answer calls until told to stop.
    #[command(after_help = serve::EXAMPLES)]
    Serve,
    /// Place one scripted call, end to end, with everything on this computer.
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::DemoArgs),
    /// Place one call to a running engine and print what is said.
    #[command(after_help = call::EXAMPLES)]
    Call(call::CallArgs),
    /// Place many calls at once, measure them, and verify their audio.
    #[command(after_help = load::EXAMPLES)]
    Load(Box<load::LoadArgs>),
    /// Run the local stand-ins for the platforms alone.
    #[command(after_help = sandbox::EXAMPLES)]
    Sandbox(sandbox::SandboxArgs),
    /// Tell whether the engine could work: configuration, keys, speech, providers.
    #[command(after_help = check::EXAMPLES)]
    Check(check::CheckArgs),
    /// Print where somebody speaks in a recording, as the engine would cut it.
    #[command(after_help = vad::EXAMPLES)]
    Vad(vad::VadArgs),
    /// Serve one speech library over standard input and output; started by the engine.
    #[command(after_help = speech_worker::EXAMPLES)]
    SpeechWorker(speech_worker::SpeechWorkerArgs),
    /// Print the configuration in force; keys are never part of it.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config,
}

const CONFIG_EXAMPLES: &str = "\
Examples:
  antiphon config                                        defaults, config.toml and environment
  antiphon config --config other.toml > effective.toml
  ANTIPHON_SERVER__HTTP=127.0.0.1:9090 antiphon config   any key may come from the environment";

/// Does what was typed.
#[must_use]
pub fn run(cli: &Cli) -> ExitCode {
    let outcome = match &cli.command {
        Command::Serve => block_on(async { serve::run(with_all_faults(load_config(cli))?).await }),
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Call(args) => {
            load_config(cli).and_then(|config| block_on(call::run(args, &config)))
        }
        Command::Load(args) => block_on(load::run(args)),
        Command::Sandbox(args) => block_on(sandbox::run(args)),
        Command::Vad(args) => load_config(cli).and_then(|config| vad::run(args, &config)),
        Command::SpeechWorker(args) => speech_worker::run(args),
        Command::Check(args) => {
            block_on(async { check::run(args, with_all_faults(load_config(cli))).await })
        }
        Command::Config => load_config(cli).map(|config| print(&config::effective_toml(&config))),
    };
    outcome.map_or_else(|error| error.tell(), |()| ExitCode::SUCCESS)
}

fn load_config(cli: &Cli) -> Result<Config, CliError> {
    let config: Result<Config, ConfigError> =
        config::load(cli.config.as_deref(), std::env::vars_os());
    Ok(config?)
}

/// Adds to what is wrong with a configuration what its providers lack, so that nobody finds
/// that out only after the rest is right.
fn with_all_faults(config: Result<Config, CliError>) -> Result<Config, CliError> {
    config.map_err(|error| match error {
        CliError::Config(ConfigError::Wrong(mut problems)) => {
            if let Some(rest) = problems.rest() {
                let routes = rest.routes();
                let routes = routes.all().map(Arc::as_ref);
                let built = Providers::build(rest, routes, &process_environment, None);
                if let Err(unbuilt) = built {
                    unbuilt.to_string().lines().for_each(|line| problems.add(line.to_owned()));
                }
            }
            CliError::Config(ConfigError::Wrong(problems))
        }
        error => error,
    })
}

/// Runs a command where actors can be started.
fn block_on<T>(command: impl Future<Output = T>) -> T {
    actix_web::rt::System::new().block_on(command)
}

/// Prints what was asked for. A reader who closes the pipe has read enough.
fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _enough = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_fit_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_explains_itself_with_an_example() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            assert!(command.get_about().is_some(), "{name} says what it does");
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains(&format!("antiphon {name}")), "{name} has an example");
        }
    }

    #[test]
    fn a_call_says_something_or_plays_something_and_not_both() {
        let typed = |arguments: &[&str]| {
            Cli::try_parse_from([&["antiphon", "call"], arguments].concat()).is_ok()
        };
        assert!(typed(&["--say", "hello", "goodbye", "--rate", "8000"]));
        assert!(typed(&["--wav", "a.wav", "--out", "reply.wav"]));
        assert!(!typed(&[]));
        assert!(!typed(&["--say", "hello", "--wav", "a.wav"]));
        assert!(!typed(&["--say", "hello", "--chunk-ms", "0"]));
        assert!(!typed(&["--say", "hello", "--call-id", "a b"]));
    }
}
