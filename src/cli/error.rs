//! Why a command did not do what it was asked for, and the exit status that says so.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::config::ConfigError;
use crate::load::{CallError, LoadError};
use crate::media::wav::WavError;
use crate::sandbox::SandboxError;
use crate::server::StartError;
use crate::services::ProviderError;
use crate::services::speech::WorkerError;
use crate::telemetry::log::{self, LogError};
use crate::types::TtsFailure;

/// `EX_USAGE` of BSD's sysexits, as the issue of the configuration asks for.
const BAD_CONFIGURATION: u8 = 64;
/// As for what clap refuses.
const TYPED_WRONG: u8 = 2;
/// A run that says nothing about the engine.
const INVALID_RUN: u8 = 3;
/// A run that says nothing at all: nobody took a call.
const NO_CALL: u8 = 4;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The engine does not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The log does not start.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The stand-ins do not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The call could not be placed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// A synthesiser cannot be made.
    #[error(transparent)]
    Provider(#[from] ProviderError),
    /// The caller has no voice.
    #[error("the caller's voice: {0}")]
    Voice(#[from] TtsFailure),
    /// A speech worker cannot serve.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// A speech package is missing.
    #[error("{0}\nrun `make deps` to install the speech packages")]
    NoSpeech(String),
    /// A file cannot be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A recording cannot be used.
    #[error("{path}: {source}", path = path.display())]
    Wav {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: WavError,
    },
    /// The system does not let the process listen for signals.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A run cannot be started or did not end.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// What was typed cannot be done.
    #[error("{0}")]
    Typed(String),
    /// A run in which the generator was the bottleneck.
    #[error("the run is invalid: {0}")]
    Invalid(String),
    /// A run in which no call came about.
    #[error("no call came about: {0}")]
    NoCall(String),
    /// It was done, and the result is not what was hoped for.
    #[error("{0}")]
    Unsuccessful(String),
}

impl CliError {
    /// For `map_err` of an operation on `path`.
    pub(super) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }

    /// Tells it on standard error, causes included, and gives the exit status.
    pub(super) fn tell(&self) -> ExitCode {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let more = error.to_string();
            // Many errors repeat their cause in their own words.
            if !text.contains(&more) {
                text = format!("{text}: {more}");
            }
            cause = error.source();
        }
        let line = log::failure(&text);
        log::last_words(line.unwrap_or_else(|| format!("error: {text}\n")));
        match self {
            Self::Config(_) => ExitCode::from(BAD_CONFIGURATION),
            Self::Typed(_) => ExitCode::from(TYPED_WRONG),
            Self::Invalid(_) => ExitCode::from(INVALID_RUN),
            Self::NoCall(_) | Self::Load(LoadError::NobodyAnswers { .. }) => {
                ExitCode::from(NO_CALL)
            }
            _ => ExitCode::FAILURE,
        }
    }
}
