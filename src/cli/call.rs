//! `antiphon call`: one call to a running engine.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::error::CliError;
use super::narrator::Narrator;
use super::paint::Paint;
use super::print;
use super::speech::{CallerVoice, FLITE_VOICES, read_wav};
use super::table::table;
use crate::config::Config;
use crate::load::{CallEnd, CallPlan, CallerSettings, place_call};
use crate::types::{CarrierCallId, CarrierCallIdError, SampleRate};

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon call --say \"what time is breakfast\"
  antiphon call --say \"book a room\" \"two nights\" \"three people\" \"yes\" --voice awb
  antiphon call --wav question.wav --rate 8000 --chunk-ms 200 --out reply.wav

Each text or file is one turn: the next one waits until the bot has answered. The exit
status is 0 only if every turn was answered.";

#[derive(Debug, Args)]
pub(super) struct CallArgs {
    /// What the caller says, one text a turn, spoken by flite.
    #[arg(long, value_name = "TEXT", num_args = 1.., required_unless_present = "wav",
        conflicts_with = "wav")]
    say: Vec<String>,
    /// Recordings of what the caller says, one file a turn.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    wav: Vec<PathBuf>,
    /// The caller's flite voice.
    #[arg(long, default_value = "rms", value_parser = FLITE_VOICES)]
    voice: String,
    /// The engine's simulator WebSocket.
    #[arg(long, default_value = "ws://127.0.0.1:8765")]
    url: String,
    /// Where to write what the bot said, as WAV.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Samples a second on the wire: 8000 or 16000.
    #[arg(long, default_value = "16000", value_parser = parse_rate)]
    rate: SampleRate,
    /// Audio in one message, in milliseconds.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32)
        .range(i64::from(CallerSettings::CHUNK_MS_MIN)..=i64::from(CallerSettings::CHUNK_MS_MAX)))]
    chunk_ms: u32,
    /// Name of the call; the engine makes one up otherwise.
    #[arg(long, value_parser = parse_call_id)]
    call_id: Option<CarrierCallId>,
}

fn parse_call_id(text: &str) -> Result<CarrierCallId, CarrierCallIdError> {
    CarrierCallId::new(text)
}

pub(super) fn parse_rate(text: &str) -> Result<SampleRate, String> {
    match text {
        "8000" | "16000" => {
            let hz = text.parse().map_err(|_| "not a number".to_owned())?;
            SampleRate::new(hz).map_err(|error| error.to_string())
        }
        _ => Err("use 8000 or 16000".to_owned()),
    }
}

/// Places the call, prints it, and fails if a turn was not answered.
pub(super) async fn run(args: &CallArgs, config: &Config) -> Result<(), CliError> {
    let utterances = utterances(args, config).await?;
    let settings = CallerSettings { chunk_ms: args.chunk_ms, ..CallerSettings::new(args.rate) };
    let plan = CallPlan {
        url: args.url.clone(),
        call_id: args.call_id.clone(),
        settings,
        utterances: utterances.into(),
    };
    let mut narrator = Narrator::new(labels(args));
    let outcome = place_call(&plan, &mut |observation| narrator.observe(&observation)).await?;
    print(&format!("\n{}", table(narrator.rows(), Paint::of_stdout())));
    if let CallEnd::EngineEnded { cause } = &outcome.end {
        let cause = cause.as_deref().unwrap_or("no cause told");
        print(&format!("\nThe engine ended the call ({cause}).\n"));
    }
    if let Some(path) = &args.out {
        fs::write(path, outcome.recording.to_bot_wav()).map_err(CliError::file(path))?;
    }
    let unanswered = narrator.rows().iter().filter(|row| !row.is_answered()).count();
    if unanswered > 0 {
        let turns = narrator.rows().len();
        let text = format!("{unanswered} of {turns} turns were not answered");
        return Err(CliError::Unsuccessful(text));
    }
    Ok(())
}

async fn utterances(args: &CallArgs, config: &Config) -> Result<Vec<Arc<[i16]>>, CliError> {
    if !args.wav.is_empty() {
        return args.wav.iter().map(|path| read_wav(path, args.rate)).collect();
    }
    let voice = CallerVoice::find(&args.voice, &config.tts).await?;
    let mut utterances = Vec::new();
    for text in &args.say {
        utterances.push(voice.speak(text, args.rate).await?);
    }
    Ok(utterances)
}

/// What the transcript shows for each turn.
fn labels(args: &CallArgs) -> Vec<String> {
    let files = args.wav.iter().map(|path| path.display().to_string());
    args.say.iter().cloned().chain(files).collect()
}
