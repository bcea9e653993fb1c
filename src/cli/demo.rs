//! `antiphon demo`: a whole call on this computer. The stand-ins and the engine run
//! in this process and talk over real HTTP and WebSocket, as they would apart.

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use tokio::time::timeout;

use super::error::CliError;
use super::narrator::Narrator;
use super::script::{SCRIPT, mismatches};
use super::speech::{CallerVoice, FLITE_VOICES, for_sandbox, local_synthesiser};
use super::table::table;
use super::{print, serve};
use crate::config::{Config, LogSettings};
use crate::load::{CallObservation, CallOutcome, CallPlan, CallerSettings, place_call};
use crate::sandbox::{self, DEFAULT_KEY, RunningSandbox, SandboxSettings};
use crate::server::{Engine, RunningEngine};
use crate::types::INNER_RATE;

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon demo                  one scripted call; exit status 0 only if all went as expected
  antiphon demo --stay           the same on the standard ports, and it stays until Ctrl-C
  antiphon demo --voice awb      another caller

It needs Debian's flite and pocketsphinx: `make deps` installs them. It uses settings of
its own and reads no configuration file.";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Use the standard ports and stay until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// The caller's flite voice.
    #[arg(long, default_value = "rms", value_parser = FLITE_VOICES)]
    voice: String,
    /// Where the recording and the events go.
    #[arg(long, value_name = "FOLDER", default_value = "target/demo")]
    out: PathBuf,
}

/// The whole call has to be over by then.
const CALL_MS_MAX: u64 = 40_000;

/// Runs the demo and fails if a turn was not recognised and answered as expected.
pub(super) async fn run(args: &DemoArgs) -> Result<(), CliError> {
    // The transcript is what this command prints; a full log would run through it.
    serve::start_log(&LogSettings { filter: "warn".to_owned(), ..LogSettings::default() })?;
    let files = Files::prepare(&args.out)?;
    let site = Site::start(args.stay, &files).await?;
    let verdict = scripted_call(&site, &args.voice, &files).await;
    if args.stay {
        if let Err(error) = &verdict {
            error.tell();
        }
        print(&site.how_to_call());
        serve::told_to_stop().await?;
    }
    site.stop().await;
    verdict
}

/// The files of a demo.
struct Files {
    recording: PathBuf,
    events: PathBuf,
    metrics: PathBuf,
    key: PathBuf,
}

impl Files {
    /// Makes the folder and removes what an earlier demo left in it.
    fn prepare(folder: &Path) -> Result<Self, CliError> {
        fs::create_dir_all(folder).map_err(CliError::file(folder))?;
        let files = Self {
            recording: folder.join("call.wav"),
            events: folder.join("events.jsonl"),
            metrics: folder.join("voice_metrics.jsonl"),
            key: folder.join("sandbox.key"),
        };
        for path in [&files.recording, &files.events, &files.metrics] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(CliError::file(path)(error));
                }
                _ => {}
            }
        }
        // The engine takes keys from files and the environment only.
        fs::write(&files.key, DEFAULT_KEY).map_err(CliError::file(&files.key))?;
        Ok(files)
    }
}

/// Everything that takes part in the call, apart from the caller.
struct Site {
    sandbox: RunningSandbox,
    engine: RunningEngine,
}

impl Site {
    async fn start(standard_ports: bool, files: &Files) -> Result<Self, CliError> {
        let mut config = Config::default();
        let synthesiser = local_synthesiser(&config.tts).await?;
        let settings = SandboxSettings {
            synthesiser: Some(for_sandbox(synthesiser)),
            ..SandboxSettings::default()
        };
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let addr = if standard_ports { settings.addr } else { free };
        let sandbox = sandbox::start(SandboxSettings { addr, ..settings })?;
        if !standard_ports {
            config.server.http = free;
            config.server.simulator = free;
        }
        config.dialog.cognigy_dialogs.base_url = sandbox.dialogs_base_url();
        config.dialog.cognigy_dialogs.api_key_file.clone_from(&files.key);
        config.tts.generic_http.endpoint = format!("http://{}", sandbox.addr);
        config.tts.generic_http.api_key_file.clone_from(&files.key);
        config.events.path.clone_from(&files.metrics);
        let engine = Engine::start(config).await?;
        Ok(Self { sandbox, engine })
    }

    async fn stop(self) {
        self.engine.stop().await;
        self.sandbox.stop().await;
    }

    fn how_to_call(&self) -> String {
        let (http, simulator) = (self.engine.http, self.engine.simulator);
        format!(
            "
The engine stays until Ctrl-C: http://{http} (simulator ws://{simulator}, stand-ins http://{sandbox}).
  antiphon call --url ws://{simulator} --say \"what time is breakfast\"
  antiphon call --url ws://{simulator} --say \"book a room\" \"two nights\" \"two people\" \"yes\" --voice awb
  curl http://{http}/ready
  curl http://{http}/metrics
  curl http://{sandbox}/_sandbox/stats
",
            sandbox = self.sandbox.addr,
        )
    }
}

async fn scripted_call(site: &Site, voice: &str, files: &Files) -> Result<(), CliError> {
    let voice = CallerVoice::find(voice, &Config::default().tts).await?;
    let mut utterances = Vec::with_capacity(SCRIPT.len());
    for turn in &SCRIPT {
        utterances.push(voice.speak(turn.say, INNER_RATE).await?);
    }
    let plan = CallPlan {
        url: format!("ws://{}", site.engine.simulator),
        call_id: None,
        settings: CallerSettings::new(INNER_RATE),
        utterances: utterances.into(),
    };
    let mut narrator = Narrator::new(SCRIPT.iter().map(|turn| turn.say.to_owned()).collect());
    let outcome = call_with_events(&plan, &mut narrator, &files.events).await;
    print(&format!("\n{}\n", table(narrator.rows())));
    let outcome = outcome?;
    fs::write(&files.recording, outcome.recording.to_stereo_wav())
        .map_err(CliError::file(&files.recording))?;
    print(&format!(
        "recording  {} (caller left, bot right)\nevents     {}\nmetrics    {}\n",
        files.recording.display(),
        files.events.display(),
        files.metrics.display(),
    ));
    let mismatches = mismatches(narrator.rows());
    if mismatches.is_empty() {
        print(&format!("All {} turns were recognised and answered as expected.\n", SCRIPT.len()));
        return Ok(());
    }
    Err(CliError::Unsuccessful(mismatches.join("\n       ")))
}

/// Places the call, tells it, and writes each event as a line of JSON.
async fn call_with_events(
    plan: &CallPlan,
    narrator: &mut Narrator,
    path: &Path,
) -> Result<CallOutcome, CliError> {
    let mut file = BufWriter::new(File::create(path).map_err(CliError::file(path))?);
    let mut written = Ok(());
    let mut observe = |observation: CallObservation<'_>| {
        if let CallObservation::Event { event, .. } = observation
            && written.is_ok()
        {
            written = serde_json::to_writer(&mut file, event)
                .map_err(std::io::Error::from)
                .and_then(|()| file.write_all(b"\n"));
        }
        narrator.observe(&observation);
    };
    let call = timeout(Duration::from_millis(CALL_MS_MAX), place_call(plan, &mut observe)).await;
    written.and_then(|()| file.flush()).map_err(CliError::file(path))?;
    call.map_or_else(
        |_| {
            let seconds = CALL_MS_MAX / 1000;
            Err(CliError::Unsuccessful(format!("the call did not end within {seconds} s")))
        },
        |outcome| Ok(outcome?),
    )
}
