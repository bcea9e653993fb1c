//! The proxies that are shipped, in front of an engine: carriers get what calls need, and
//! nobody else's way of writing a path gets past that.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::raw::{self, Raw};
use crate::support::{Engine, Folder, Setup, eventually, free_address, sandbox};
use tokio::process::{Child, Command};

/// A proxy, ended with this value.
struct Proxy {
    _process: Child,
    _folder: Folder,
    url: String,
}

/// The program, if it is installed or was unpacked by `make deps`.
fn haproxy() -> Option<PathBuf> {
    let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/usr/bin/haproxy");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("haproxy"));
    let sbin = PathBuf::from("/usr/sbin/haproxy");
    installed.chain([sbin, unpacked]).find(|program| program.is_file())
}

fn shipped(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The configuration inside the shipped ConfigMap, whatever file it is in.
fn of_kubernetes() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("ops/kubernetes");
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    let texts = files.filter_map(|file| std::fs::read_to_string(file.path()).ok());
    let text = texts.filter_map(|text| {
        let (_, from) = text.split_once("haproxy.cfg: |\n")?;
        Some(from.split("\n---").next().unwrap_or(from).to_owned())
    });
    let text = text.last().expect("a ConfigMap with haproxy.cfg");
    text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect()
}

/// The shipped configuration with `frontend` on a free port, without TLS, before `engine`.
fn here(config: &str, frontend: &str, address: &str, engine: &Engine) -> String {
    let engine_at = engine.http.trim_start_matches("http://");
    let (mut section, mut text) = (String::new(), String::new());
    for line in config.lines() {
        if !line.starts_with(' ') && !line.is_empty() {
            section = line.to_owned();
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["bind", ..] if section == format!("frontend {frontend}") => {
                text += &format!("    bind {address}\n");
            }
            ["bind", ..] => text += &format!("    bind {}\n", free_address()),
            ["server", name, ..] => text += &format!("    server {name} {engine_at}\n"),
            ["log", ..] | ["option", "httplog" | "httpchk", ..] | ["http-check", ..] => {}
            ["default-server", ..] | ["ssl-load-extra-del-ext"] => {}
            _ => text += &format!("{line}\n"),
        }
    }
    text.replace("maxconn 8000", "maxconn 100")
}

impl Proxy {
    async fn start(program: &Path, config: &str, frontend: &str, engine: &Engine) -> Self {
        let (folder, address) = (Folder::new(), free_address());
        let file = folder.join("haproxy.cfg");
        std::fs::write(&file, here(config, frontend, &address, engine)).expect("a folder");
        let process = Command::new(program)
            .args(["-db", "-f"])
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it can be started");
        eventually("the proxy listens", async || {
            tokio::net::TcpStream::connect(&address).await.ok()
        })
        .await;
        Self { _process: process, _folder: folder, url: format!("http://{address}") }
    }

    /// Status of a request that is sent as it is written.
    async fn status(&self, request: &str) -> u16 {
        self.status_with(request, "Connection: close").await
    }

    /// The same with one more header.
    async fn status_with(&self, request: &str, header: &str) -> u16 {
        let mut raw = Raw::connect(&self.url).await;
        let text = format!(
            "{request} HTTP/1.1\r\nHost: voice.example\r\nContent-Length: 0\r\n{header}\r\n\r\n"
        );
        raw.send(text.as_bytes()).await;
        let head = raw.read_head().await;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("{request}: {head}"))
    }
}

/// What is for operators, as it is and in other ways to write it.
const FOR_OPERATORS: [&str; 22] = [
    "GET /metrics",
    "GET /v1/calls",
    "GET /v1/slow-turns",
    "GET /v1/calls?limit=5",
    "GET /v1/call%73",
    "GET /%761/calls",
    "GET /v1%2fcalls",
    "GET /v1/calls%2f",
    "GET /v1/calls/",
    "GET //v1/calls",
    "GET /v1//calls",
    "GET /v1/./calls",
    "GET /v1/x/../calls",
    "GET /V1/CALLS",
    "GET /v1/calls%00",
    "DELETE /v1/call%73/a",
    "GET /%6detrics",
    "GET /%6Detrics",
    "GET //metrics",
    "GET /./metrics",
    "GET /METRICS",
    "GET http://localhost/v1/call%73",
];

#[tokio::test]
async fn carriers_get_what_calls_need_and_nothing_else() {
    let Some(program) = haproxy() else {
        return println!("skipped: there is no haproxy; `make deps` unpacks it");
    };
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    for config in [shipped("haproxy.cfg"), of_kubernetes()] {
        let proxy = Proxy::start(&program, &config, "carriers", &engine).await;
        for request in FOR_OPERATORS {
            let status = proxy.status(request).await;
            assert!([400, 404].contains(&status), "{request}: {status}");
        }
        assert_eq!(proxy.status("POST /v1/calls").await, 201);
        assert_eq!(proxy.status("GET /v1/calls/nobody").await, 404);
        assert_eq!(proxy.status("GET /v1/calls/nobody/audio").await, 404);
        assert_eq!(proxy.status("GET /v1/stream").await, 400, "it is the engine's answer");
        for page in ["http://localhost", "https://LOCALHOST", "http://localhost:3000", "null"] {
            let origin = format!("Origin: {page}");
            assert_eq!(proxy.status_with("POST /v1/calls", &origin).await, 403, "{page}");
        }
        let mut stream = Raw::connect(&proxy.url).await;
        stream.send(raw::upgrade("/v1/stream").as_bytes()).await;
        let head = stream.read_head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    }
}

#[tokio::test]
async fn the_clusters_own_port_tells_how_the_engine_is_and_nothing_else() {
    let Some(program) = haproxy() else {
        return println!("skipped: there is no haproxy; `make deps` unpacks it");
    };
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let proxy = Proxy::start(&program, &of_kubernetes(), "operators", &engine).await;
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(proxy.status(&format!("GET {path}")).await, 200, "{path}");
    }
    for path in ["/v1/calls", "/v1/call%73", "/%6detrics", "//metrics", "/v1/stream"] {
        assert_eq!(proxy.status(&format!("GET {path}")).await, 404, "{path}");
    }
}
