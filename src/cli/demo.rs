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
use super::paint::Paint;
use super::script::{SCRIPT, mismatches};
use super::serve::Signals;
use super::speech::{CallerVoice, FLITE_VOICES, for_sandbox, local_synthesiser};
use super::table::table;
use super::{print, serve};
use crate::config::{Config, LogSettings};
use crate::load::{CallObservation, CallOutcome, CallPlan, CallerSettings, place_call};
use crate::sandbox::{self, DEFAULT_KEY, RunningSandbox, SandboxSettings};
use crate::server::{Engine, RunningEngine, StartError};
use crate::types::INNER_RATE;

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon demo                  one scripted call; exit status 0 only if all went as expected
  antiphon demo --stay           the same on the standard ports, and it stays until Ctrl-C
  antiphon demo --stay --http 127.0.0.1:9080 --simulator 127.0.0.1:9765 --sandbox 127.0.0.1:9090
  antiphon demo --voice awb      another caller

It needs Debian's flite and pocketsphinx: `make deps` installs them. It uses settings of
its own and reads no configuration file. Ctrl-C and SIGTERM end --stay in order, with exit status
0: running calls end first, a second signal ends them at once.";

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Use the standard ports and stay until Ctrl-C.
    #[arg(long)]
    stay: bool,
    /// Where the engine serves HTTP; 127.0.0.1:8080 with --stay, else any free port.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    http: Option<SocketAddr>,
    /// Where it serves the simulator protocol; 127.0.0.1:8765 with --stay, else any free port.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    simulator: Option<SocketAddr>,
    /// Where the stand-ins listen; 127.0.0.1:8090 with --stay, else any free port.
    #[arg(long, value_name = "ADDRESS", value_parser = loopback)]
    sandbox: Option<SocketAddr>,
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
    let _log =
        serve::start_log(&LogSettings { filter: "warn".to_owned(), ..LogSettings::default() })?;
    // Before anything starts: a signal that nobody listens for ends the process at once.
    let mut signals = Signals::listen()?;
    let (ports, files) = (Ports::new(args), Files::prepare(&args.out)?);
    let site = tokio::select! {
        site = Site::start(&ports, &files) => site?,
        () = signals.told_to_stop(|| {}) => return stopped(args),
    };
    let verdict = tokio::select! {
        verdict = scripted_call(&site, &args.voice, &files) => verdict,
        () = signals.told_to_stop(|| site.engine.reopen_events()) => {
            site.stop().await;
            return stopped(args);
        }
    };
    if !args.stay {
        site.stop().await;
        return verdict;
    }
    if let Err(error) = &verdict {
        error.tell();
    }
    print(&site.how_to_call());
    signals.told_to_stop(|| site.engine.reopen_events()).await;
    signals.drain(&site.engine).await;
    site.stop().await;
    Ok(())
}

/// It was told to stop before the scripted call was over.
fn stopped(args: &DemoArgs) -> Result<(), CliError> {
    if args.stay {
        return Ok(());
    }
    Err(CliError::Unsuccessful("the demo was stopped before its call was over".to_owned()))
}

fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse().ok().filter(|address: &SocketAddr| address.ip().is_loopback());
    address.ok_or_else(|| "use a loopback address and a port, such as 127.0.0.1:9080".to_owned())
}

/// Where everything listens.
#[derive(Debug, PartialEq, Eq)]
struct Ports {
    http: SocketAddr,
    simulator: SocketAddr,
    sandbox: SocketAddr,
}

impl Ports {
    fn new(args: &DemoArgs) -> Self {
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        let standard = |address| if args.stay { address } else { free };
        let server = Config::default().server;
        Self {
            http: args.http.unwrap_or_else(|| standard(server.http)),
            simulator: args.simulator.unwrap_or_else(|| standard(server.simulator)),
            sandbox: args.sandbox.unwrap_or_else(|| standard(SandboxSettings::default().addr)),
        }
    }
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
    async fn start(ports: &Ports, files: &Files) -> Result<Self, CliError> {
        let mut config = Config::default();
        let synthesiser = local_synthesiser(&config.tts).await?;
        let sandbox = sandbox::start(SandboxSettings {
            addr: ports.sandbox,
            synthesiser: Some(for_sandbox(synthesiser)),
            ..SandboxSettings::default()
        })?;
        config.server.http = ports.http;
        config.server.simulator = ports.simulator;
        config.dialog.cognigy_dialogs.base_url = sandbox.dialogs_base_url();
        config.dialog.cognigy_dialogs.api_key_file.clone_from(&files.key);
        config.tts.generic_http.endpoint = format!("http://{}", sandbox.addr);
        config.tts.generic_http.api_key_file.clone_from(&files.key);
        config.events.path.clone_from(&files.metrics);
        let engine = Engine::start(config).await.map_err(with_options)?;
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

/// A port that is taken is chosen by an option here.
fn with_options(error: StartError) -> CliError {
    match error {
        StartError::Port { .. } => {
            CliError::Unsuccessful(format!("{error} --http and --simulator choose other ports"))
        }
        error => error.into(),
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
    print(&format!("\n{}\n", table(narrator.rows(), Paint::of_stdout())));
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: DemoArgs,
    }

    fn ports(arguments: &[&str]) -> Result<[String; 3], clap::Error> {
        let typed = Typed::try_parse_from([&["demo"], arguments].concat())?;
        let Ports { http, simulator, sandbox } = Ports::new(&typed.args);
        Ok([http, simulator, sandbox].map(|address| address.to_string()))
    }

    #[test]
    fn ports_are_free_ones_the_standard_ones_or_those_that_were_typed() {
        let free = "127.0.0.1:0".to_owned();
        assert_eq!(ports(&[]).expect("ports"), [free.clone(), free.clone(), free]);
        let standard = ["127.0.0.1:8080", "127.0.0.1:8765", "127.0.0.1:8090"];
        assert_eq!(ports(&["--stay"]).expect("ports"), standard);
        let typed = ["--stay", "--http", "127.0.0.1:1", "--sandbox", "[::1]:2"];
        assert_eq!(ports(&typed).expect("ports"), ["127.0.0.1:1", "127.0.0.1:8765", "[::1]:2"]);
        let refused = ports(&["--http", "0.0.0.0:80"]).expect_err("everybody could call");
        assert!(refused.to_string().contains("loopback"), "{refused}");
    }
}
