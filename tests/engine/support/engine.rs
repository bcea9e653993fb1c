//! The engine as its users have it: a process with an environment, two ports, a
//! log on standard error and an event file.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use antiphon::sandbox::{DEFAULT_KEY, RunningSandbox};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::{Folder, HANG_GUARD, eventually};

/// How an engine is to be started. Starts in a folder of its own, with nothing in
/// its environment but what is set here.
#[derive(Clone)]
pub struct Setup {
    folder: Arc<Folder>,
    environment: Vec<(String, String)>,
}

impl Setup {
    /// Free ports, `fixed` recogniser, synthesis and dialog by the stand-ins there.
    pub fn with(sandbox: &RunningSandbox) -> Self {
        Self::bare()
            .key("ROUTE__STT", "fixed")
            // Has a short answer.
            .key("STT__FIXED__TEXT", "yes")
            .key("ROUTE__TTS", "generic-http")
            .key("TTS__GENERIC_HTTP__ENDPOINT", &sandbox.base_url())
            .key("DIALOG__COGNIGY_DIALOGS__BASE_URL", &sandbox.dialogs_base_url())
            .variable("COGNIGY_API_KEY", DEFAULT_KEY)
            .variable("ANTIPHON_TTS_API_KEY", DEFAULT_KEY)
    }

    /// Free ports and nothing else. How busy this computer is refuses no call and drops no
    /// audio.
    pub fn bare() -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        Self { folder: Arc::new(Folder::new()), environment: Vec::new() }
            .variable("PATH", &path)
            .key("SERVER__HTTP", "127.0.0.1:0")
            .key("SERVER__SIMULATOR", "127.0.0.1:0")
            .key("EVENTS__BATCH_MS_MAX", "50")
            .key("LIMITS__LATE_MS_MAX", "0")
            .key("LIMITS__BUSY_PERCENT_MAX", "0")
            .key("ROUTE__LISTENING__LATENCY_MS_MAX", "5000")
    }

    /// Sets a configuration key, named as in the environment.
    #[must_use]
    pub fn key(self, key: &str, value: &str) -> Self {
        self.variable(&format!("ANTIPHON_{key}"), value)
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.retain(|(set, _)| set != name);
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a configuration key as the file has it.
    #[must_use]
    pub fn unset(mut self, key: &str) -> Self {
        self.environment.retain(|(set, _)| *set != format!("ANTIPHON_{key}"));
        self
    }

    /// Where it starts.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// A command of the engine's binary.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_by(env!("CARGO_BIN_EXE_antiphon"), arguments)
    }

    /// A command of another program that runs the engine.
    pub fn command_by(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(self.new_log())
            .kill_on_drop(true);
        command
    }

    /// Starts it and waits until it takes calls.
    pub async fn start(self) -> Engine {
        let mut engine = self.spawn();
        engine.takes_calls().await;
        engine
    }

    /// Starts it.
    pub fn spawn(&self) -> Engine {
        self.spawn_by(self.command(&["serve"]))
    }

    /// Starts it by this command.
    pub fn spawn_by(&self, mut command: Command) -> Engine {
        let mut child = command.spawn().expect("the binary starts");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let (http, simulator) = Default::default();
        Engine { setup: self.clone(), http, simulator, child, stdout }
    }

    /// Starts it and waits until it has given up.
    pub async fn fail(&self) -> Ended {
        run_to_end(self, self.command(&["serve"])).await
    }

    /// Runs another command to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        run_to_end(self, self.command(arguments)).await
    }

    /// Everything that was logged, of all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join(LOG)).unwrap_or_default()
    }

    /// The event file.
    pub fn event_file(&self) -> PathBuf {
        self.folder.join(EVENTS)
    }

    /// The lines of the event file, each of which must be a JSON object.
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.event_file()).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "the last line is torn: {text}");
        text.lines()
            .map(|line| match serde_json::from_str(line) {
                Ok(event @ Value::Object(_)) => event,
                _ => panic!("not an event: {line}"),
            })
            .collect()
    }

    fn new_log(&self) -> Stdio {
        let mut options = std::fs::OpenOptions::new();
        let log = options.create(true).append(true).open(self.folder.join(LOG));
        Stdio::from(log.expect("the log can be written"))
    }
}

/// What a process that ended left behind.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// What it printed.
    pub printed: String,
    /// What it logged, on standard error.
    pub log: String,
}

impl Ended {
    /// Its exit status; fails for one that was killed.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("it was killed: {self:?}"))
    }

    /// Checks that it ended in an orderly way with `code` and without a panic.
    pub fn assert_code(&self, code: i32) {
        assert_eq!(self.status.code(), Some(code), "{self:?}");
        assert!(!self.log.contains("panic"), "{self:?}");
    }
}

/// Runs `command` until it ends by itself.
pub async fn run_to_end(setup: &Setup, mut command: Command) -> Ended {
    let log_before = setup.log().len();
    let child = command.spawn().expect("the binary starts");
    let output = timeout(HANG_GUARD, child.wait_with_output()).await;
    let output = output.expect("it ends").expect("its output can be read");
    Ended {
        status: output.status,
        printed: String::from_utf8_lossy(&output.stdout).into_owned(),
        log: setup.log().split_off(log_before),
    }
}

/// A running engine. Ends with this value.
pub struct Engine {
    /// How it was started.
    pub setup: Setup,
    /// `http://host:port`; known once it takes calls.
    pub http: String,
    /// `ws://host:port`; likewise.
    pub simulator: String,
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Engine {
    /// Waits until it takes calls.
    pub async fn takes_calls(&mut self) {
        for address in [&mut self.http, &mut self.simulator] {
            let mut line = String::new();
            let read = timeout(HANG_GUARD, self.stdout.read_line(&mut line)).await;
            read.expect("it starts in time").expect("its output can be read");
            let Some((_, told)) = line.trim().rsplit_once(' ') else {
                panic!("it did not start: {}", self.setup.log());
            };
            *address = told.to_owned();
        }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Sends it a signal: `TERM`, `HUP`, `KILL`.
    pub async fn signal(&self, name: &str) {
        let id = self.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status().await;
        assert!(status.expect("kill is there").success(), "the signal was sent");
    }

    /// Waits for its end.
    pub async fn end(mut self) -> Ended {
        let status = timeout(HANG_GUARD, self.child.wait()).await.expect("it ends");
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).await.expect("its output can be read");
        Ended { status: status.expect("it can be waited for"), printed, log: self.setup.log() }
    }

    /// SIGTERM, and waits for its end.
    pub async fn stop(self) -> Ended {
        self.signal("TERM").await;
        self.end().await
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }

    /// Status and body of a GET.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = client().get(format!("{}{path}", self.http));
        let answer = request.send().await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
    }

    /// `GET /metrics`.
    pub async fn metrics(&self) -> String {
        let (status, text) = self.get("/metrics").await;
        assert_eq!(status, 200, "{text}");
        text
    }

    /// The sum of all series of a metric.
    pub async fn metric(&self, name: &str) -> f64 {
        sum_of(&self.metrics().await, name)
    }

    /// Waits until no call is left.
    pub async fn becomes_empty(&self) {
        eventually("no call is left", async || {
            (self.metric("antiphon_calls_active").await == 0.0).then_some(())
        })
        .await;
    }

    /// What the process holds: its threads, and its open files by what they are.
    pub fn holdings(&self) -> Holdings {
        let process = PathBuf::from(format!("/proc/{}", self.id()));
        let status = std::fs::read_to_string(process.join("status")).expect("it runs");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().and_then(|value| value.parse().ok()).expect(name)
        };
        let files = std::fs::read_dir(process.join("fd")).expect("it runs");
        let targets = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        let sockets = targets.filter(|target| target.to_string_lossy().starts_with("socket:"));
        Holdings {
            threads: field("Threads:"),
            resident_kb: field("VmRSS:"),
            sockets: sockets.count(),
        }
    }
}

/// An HTTP client that does as it is told: no proxy, no redirect.
pub fn client() -> reqwest::Client {
    // Fails when it was installed before, which is as good.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().timeout(HANG_GUARD);
    client.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub struct Holdings {
    /// Its threads.
    pub threads: u64,
    /// Its memory, in kB.
    pub resident_kb: u64,
    /// Its sockets.
    pub sockets: usize,
}

/// The sum of all series of the metric `name` in a text for Prometheus.
pub fn sum_of(metrics: &str, name: &str) -> f64 {
    let values: Vec<f64> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix(name))
        .filter(|rest| rest.starts_with([' ', '{']))
        .filter_map(|rest| rest.rsplit_once(' '))
        .map(|(_, value)| value.parse().expect("a number"))
        .collect();
    assert!(!values.is_empty(), "there is no metric {name}");
    values.iter().sum()
}

const LOG: &str = "engine.log";
/// The engine's own default.
const EVENTS: &str = "voice_metrics.jsonl";
