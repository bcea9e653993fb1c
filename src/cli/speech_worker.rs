//! `antiphon speech-worker`: one resident worker process. The engine starts it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::error::CliError;
use crate::config::PocketsphinxSettings;
use crate::services::speech::{self, RecogniserOptions, WorkerOptions};

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon speech-worker --engine flite
  echo '{\"op\":\"synthesize\",\"id\":1,\"text\":\"hello\",\"voice\":\"slt\"}' | antiphon speech-worker --engine flite
  antiphon speech-worker --engine pocketsphinx --grammar my.jsgf

The engine starts it by itself. One JSON object a line on standard input and output;
docs/local-speech.md describes the protocol.";

#[derive(Debug, Args)]
pub(super) struct SpeechWorkerArgs {
    /// The library to serve.
    #[arg(long)]
    engine: EngineName,
    /// Folder of the acoustic model (pocketsphinx).
    #[arg(long, value_name = "FOLDER")]
    model_dir: Option<PathBuf>,
    /// Pronouncing dictionary (pocketsphinx).
    #[arg(long, value_name = "FILE")]
    dictionary: Option<PathBuf>,
    /// JSGF grammar (pocketsphinx); the demo bot's if left out.
    #[arg(long, value_name = "FILE")]
    grammar: Option<PathBuf>,
    /// Path score per 10 ms frame under which an utterance is no match (pocketsphinx).
    #[arg(long, value_name = "SCORE", allow_negative_numbers = true)]
    score_min: Option<f32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum EngineName {
    Pocketsphinx,
    Flite,
}

/// Serves requests until standard input ends.
pub(super) fn run(args: &SpeechWorkerArgs) -> Result<(), CliError> {
    let options = match args.engine {
        EngineName::Flite => WorkerOptions::Flite,
        EngineName::Pocketsphinx => WorkerOptions::Pocketsphinx(recogniser_options(args)),
    };
    Ok(speech::run(options)?)
}

fn recogniser_options(args: &SpeechWorkerArgs) -> RecogniserOptions {
    let defaults = PocketsphinxSettings::default();
    RecogniserOptions {
        model_dir: args.model_dir.clone().unwrap_or(defaults.model_dir),
        dictionary: args.dictionary.clone().unwrap_or(defaults.dictionary),
        grammar: args.grammar.clone(),
        score_min: args.score_min.unwrap_or(defaults.score_min),
    }
}
