//! A real Prometheus and its `promtool`, where the machine has them: `make deps`
//! unpacks Debian's package into target/tools, and one in the PATH will do too.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

use super::{Folder, client, eventually, free_address};

/// Where a program is; says what is skipped when it is nowhere.
#[expect(clippy::print_stdout, reason = "nothing else shows that a test was skipped")]
pub fn tool(name: &str) -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(unpacked)
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        println!("skipped: there is no {name} here; `make deps` fetches Prometheus and HAProxy");
    }
    found
}

/// A file under `ops/`.
pub fn ops(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(name)
}

/// Runs a tool with `input`; fails with what it said unless it is content.
pub async fn run(tool: &Path, arguments: &[&str], input: &str) {
    let mut command = Command::new(tool);
    command.args(arguments).current_dir(ops("prometheus")).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the tool starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin.write_all(input.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&said));
}

/// A Prometheus that scrapes one engine every second, with the rules of `ops/`. Ends
/// with this value.
pub struct Prometheus {
    url: String,
    _process: Child,
    _folder: Folder,
}

impl Prometheus {
    /// Starts it.
    pub fn start(program: &Path, engine: &str) -> Self {
        let folder = Folder::new();
        let target = engine.trim_start_matches("http://");
        let (recording, alerts) = (ops("prometheus/recording.yml"), ops("prometheus/alerts.yml"));
        let config = format!(
            "global: {{ scrape_interval: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{recording:?}, {alerts:?}]\n\
             scrape_configs:\n  \
             - {{ job_name: antiphon, static_configs: [{{ targets: [{target:?}] }}] }}\n"
        );
        let config = folder.write("prometheus.yml", &config);
        let address = free_address();
        let process = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--log.level=error")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        Self { url: format!("http://{address}"), _process: process, _folder: folder }
    }

    /// The samples that a query finds now; none while it does not answer.
    pub async fn query(&self, query: &str) -> Vec<Value> {
        let url = format!("{}/api/v1/query", self.url);
        let url = reqwest::Url::parse_with_params(&url, [("query", query)]).expect("an address");
        let Ok(answer) = client().get(url).send().await else {
            return Vec::new();
        };
        if answer.status() == 503 {
            return Vec::new();
        }
        let answer: Value = answer.json().await.expect("an answer in JSON");
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// Whether a query finds a number now.
    pub async fn finds(&self, query: &str) -> bool {
        let value = |sample: &Value| sample["value"][1].as_str().and_then(|it| it.parse().ok());
        self.query(query).await.iter().filter_map(value).any(|value: f64| value.is_finite())
    }

    /// Waits until a query finds a number.
    pub async fn comes_to_find(&self, query: &str) {
        eventually(query, async || self.finds(query).await.then_some(())).await;
    }
}
