//! Connections that come, stay or go as no caller's would, and requests of those who have no
//! business with the engine: each is told, and others get in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::support::raw::{self, Raw};
use crate::support::{Engine, Phone, Setup, client, eventually, sandbox, speech};
use futures_util::future::join_all;
use reqwest::Method;
use tokio::time::Instant;

const LIVE: &str = "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n";

async fn engine() -> (Engine, antiphon::sandbox::RunningSandbox) {
    let sandbox = sandbox();
    (Setup::with(&sandbox).start().await, sandbox)
}

/// Status and body of a request that is sent as it is written, on a connection of its own.
async fn ask(url: &str, request: &str) -> (u16, String) {
    let mut raw = Raw::connect(url).await;
    raw.send(request.as_bytes()).await;
    let head = raw.read_head().await;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    let length = head
        .to_lowercase()
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next().and_then(|length| length.parse().ok()));
    let body = raw.read(length.unwrap_or_default()).await;
    let body = String::from_utf8_lossy(&body).into_owned();
    (status.unwrap_or_else(|| panic!("{request}: {head}")), format!("{head}{body}"))
}

#[tokio::test]
async fn half_a_request_is_not_waited_for_whether_it_is_the_first_or_the_second() {
    let (engine, _sandbox) = engine().await;
    let waiting = [&engine.http, &engine.simulator].map(|url| async {
        let mut raw = Raw::connect(url).await;
        raw.send(LIVE.as_bytes()).await;
        assert!(raw.read_head().await.starts_with("HTTP/1.1"));
        raw.send(b"GET /live HTTP/1.1\r\nHo").await;
        let told = raw.rest().await;
        assert!(told.contains("HTTP/1.1 408") && told.contains("request_too_slow"), "{told}");
    });
    let idle = async {
        let mut raw = Raw::connect(&engine.http).await;
        raw.send(LIVE.as_bytes()).await;
        let told = raw.rest().await;
        assert!(told.starts_with("HTTP/1.1 200") && !told.contains("408"), "{told}");
    };
    tokio::join!(join_all(waiting), idle);
}

#[tokio::test]
async fn nothing_is_made_for_who_does_not_read_it() {
    let (engine, _sandbox) = engine().await;
    let before = engine.holdings();
    let metrics = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(400);
    let mut deaf = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(&engine.http).await;
        // As much as is taken.
        let _sent = raw.try_send(metrics.as_bytes());
        deaf.push(raw);
    }
    assert_eq!(engine.get("/live").await.0, 200);
    eventually("they are given up", async || {
        (engine.holdings().sockets <= before.sockets + 4).then_some(())
    })
    .await;
    let after = engine.holdings();
    // An answer, its text and a piece of the next requests each.
    assert!(after.resident_kb < before.resident_kb + (48 << 10), "{before:?} {after:?}");
}

#[tokio::test]
async fn a_client_that_asks_for_much_at_once_and_reads_it_gets_all_of_it() {
    let (engine, _sandbox) = engine().await;
    let mut raw = Raw::connect(&engine.http).await;
    let last = "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    raw.send((LIVE.repeat(200) + last).as_bytes()).await;
    assert_eq!(raw.rest().await.matches("HTTP/1.1 200 OK").count(), 201);
}

#[tokio::test]
async fn when_all_places_are_taken_others_still_get_in() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).key("LIMITS__CONNECTIONS_MAX", "24").start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    let mut holding = Vec::new();
    for round in 0..4 {
        // They wait on either port, and on each of its threads.
        let port = if round % 2 == 0 { &engine.simulator } else { &engine.http };
        for _ in 0..40 {
            let mut raw = Raw::connect(port).await;
            raw.send(b"GET /live HTTP/1.1\r\nHo").await;
            holding.push(raw);
        }
        assert_eq!(engine.get("/live").await.0, 200, "round {round}");
    }
    phone.turn(&speech()).await;
    let mut other = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    other.turn(&speech()).await;
    let sockets = engine.holdings().sockets;
    assert!(sockets < 24 + 40, "{sockets}");
}

#[tokio::test]
async fn calls_do_not_take_every_place() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).key("LIMITS__CONNECTIONS_MAX", "16").start().await;
    let mut phones = Vec::new();
    let refused = loop {
        match Phone::ask(&engine.simulator, "/?events=1").await {
            Ok(phone) => phones.push(phone),
            Err(refused) => break refused,
        }
    };
    assert_eq!((refused.status, refused.retry_after.as_deref()), (503, Some("1")));
    assert!(refused.body.contains("limits.connections_max"), "{refused:?}");
    assert_eq!(phones.len(), 14);
    // Whoever is refused and stays holds nobody's place.
    let mut staying = Vec::new();
    for _ in 0..40 {
        let mut raw = Raw::connect(&engine.simulator).await;
        raw.send(raw::upgrade("/").as_bytes()).await;
        let head = raw.read_head().await;
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        staying.push(raw);
        assert_eq!(engine.get("/live").await.0, 200);
    }
    phones.pop().expect("one of 14").hang_up().await;
    eventually("its place is free", async || {
        Phone::ask(&engine.simulator, "/?events=1").await.ok()
    })
    .await;
}

/// How long a storm lasts.
const STORM: Duration = Duration::from_secs(3);
/// How many dial at the same time.
const DIALERS: u32 = 48;

/// Dials `path` again and again, so often a second where this computer can, and stays no
/// longer than until the engine says something. How often it was.
async fn storm(url: String, path: &'static str, per_second: u32) -> usize {
    let until = Instant::now() + STORM;
    let dialers = (0..DIALERS).map(|_| {
        let url = url.clone();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_secs(1) * DIALERS / per_second);
            let mut dialled = 0;
            while Instant::now() < until {
                tick.tick().await;
                let mut raw = Raw::connect(&url).await;
                raw.send(raw::upgrade(path).as_bytes()).await;
                assert!(!raw.read(1).await.is_empty(), "nobody answers");
                dialled += 1;
            }
            dialled
        })
    });
    join_all(dialers).await.into_iter().map(|dialled| dialled.expect("no panic")).sum()
}

/// Talks until it `is_over`, and loses no turn.
async fn talk(url: String, number: usize, is_over: Arc<AtomicBool>) {
    let path = format!("/?events=1&call_id=good-{number}");
    let mut phone = Phone::dial(&url, &path).await.expect("taken");
    loop {
        let told = phone.turn(&speech()).await;
        let events: Vec<&str> = told.iter().map(crate::support::Message::event).collect();
        assert!(events.contains(&"turn_answered"), "{events:?}");
        assert!(!events.contains(&"audio_dropped"), "{events:?}");
        if is_over.load(Ordering::Relaxed) {
            phone.hang_up().await;
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_call_that_is_dialled_without_end_and_new_calls_in_a_row_cost_nobody_a_turn() {
    let (engine, _sandbox) = engine().await;
    let url = engine.simulator.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..20)
        .map(|number| tokio::spawn(talk(url.clone(), number, Arc::clone(&is_over))))
        .collect();
    let dialled = storm(url.clone(), "/?call_id=again", 3_000).await;
    let begun = storm(url, "/", 630).await;
    is_over.store(true, Ordering::Relaxed);
    for caller in join_all(callers).await {
        caller.expect("no turn was lost");
    }
    let refused = engine.metric(r#"antiphon_calls_refused_total{reason="resume_rate"}"#).await;
    // Five at once and one a second are taken. Who is gone again may not be asked about.
    assert!(refused >= dialled as f64 / 2.0, "{refused} of {dialled} refused");
    // How many it is depends on the computer; two cores of 2024 come near what is wanted.
    assert!(dialled > 100 && begun > 50, "{dialled} and {begun} in {STORM:?} each");
}

// === Who has no business here ===

#[tokio::test]
async fn a_web_page_of_somebody_else_and_a_foreign_name_are_refused_at_every_door() {
    let (engine, _sandbox) = engine().await;
    let evil = "Origin: https://evil.example\r\n";
    let upgrade = |path: &str, with: &str| {
        raw::upgrade(path).replacen("Host: localhost\r\n", &format!("Host: localhost\r\n{with}"), 1)
    };
    let plain = |request: &str, with: &str| {
        format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{with}\r\n")
    };
    for (url, request) in [
        (&engine.simulator, upgrade("/", evil)),
        (&engine.http, upgrade("/v1/stream", evil)),
        (&engine.http, plain("POST /v1/calls", evil)),
        (&engine.http, plain("GET /v1/calls", evil)),
        (&engine.http, plain("GET /metrics", "Sec-Fetch-Site: cross-site\r\n")),
        (&engine.http, plain("DELETE /v1/calls/a", "Origin: null\r\n")),
        (&engine.http, plain("OPTIONS /v1/calls", evil)),
    ] {
        let (status, told) = ask(url, &request).await;
        assert_eq!(status, 403, "{request}: {told}");
        assert!(told.contains("foreign_origin") && told.contains("allowed_origins"), "{told}");
    }
    for (url, request) in [
        (&engine.simulator, upgrade("/", "")),
        (&engine.http, upgrade("/v1/stream", "")),
        (&engine.http, plain("POST /v1/calls", "")),
        (&engine.http, plain("GET /metrics", "")),
    ] {
        let request = request.replace("Host: localhost", "Host: rebound.example:8080");
        let (status, told) = ask(url, &request).await;
        assert_eq!(status, 421, "{request}: {told}");
        assert!(told.contains("foreign_host") && told.contains("allowed_hosts"), "{told}");
    }
    assert_eq!(ask(&engine.http, "GET /live HTTP/1.0\r\n\r\n").await.0, 200, "an old checker");
    assert_eq!(engine.metric("antiphon_calls_started_total").await, 0.0);
}

#[tokio::test]
async fn a_page_and_a_name_that_are_allowed_come_in() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox)
        .key("SERVER__ALLOWED_ORIGINS", r#"["https://console.example"]"#)
        .key("SERVER__ALLOWED_HOSTS", r#"["voice.example"]"#);
    let engine = setup.start().await;
    let page = |method: Method| {
        let request = client().request(method, format!("{}/v1/calls", engine.http));
        request.header("Origin", "https://console.example").header("Host", "voice.example")
    };
    let preflight = page(Method::OPTIONS)
        .header("Access-Control-Request-Method", "POST")
        .header("Access-Control-Request-Headers", "content-type");
    let answer = preflight.send().await.expect("it answers");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-headers"], "content-type");
    for (method, status) in [(Method::POST, 201), (Method::GET, 200)] {
        let answer = page(method).send().await.expect("it answers");
        assert_eq!(answer.status(), status);
        let allowed = &answer.headers()["access-control-allow-origin"];
        assert_eq!(allowed, "https://console.example");
    }
    let own = client().get(format!("{}/v1/calls", engine.http)).send().await.expect("it answers");
    assert!(!own.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn a_request_that_cannot_become_a_websocket_is_told_so() {
    let (engine, _sandbox) = engine().await;
    let upgrade = raw::upgrade("/v1/stream");
    let with_body = upgrade.replacen("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello", 1);
    let chunked =
        upgrade.replacen("\r\n\r\n", "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1);
    for request in [upgrade.replace("HTTP/1.1", "HTTP/1.0"), with_body, chunked] {
        let (status, told) = ask(&engine.http, &request).await;
        assert_eq!(status, 400, "{request}: {told}");
        assert!(told.contains("not_a_websocket"), "{told}");
    }
    let offer = "Sec-WebSocket-Protocol: audio.drachtio.org, other\r\n\r\n";
    let offering = upgrade.replacen("\r\n\r\n", &format!("\r\n{offer}"), 1);
    for (request, name) in [(offering, Some("audio.drachtio.org")), (upgrade.clone(), None)] {
        let (status, told) = ask(&engine.http, &request).await;
        let answered = told
            .to_lowercase()
            .split("sec-websocket-protocol: ")
            .nth(1)
            .map(|rest| rest.split("\r\n").next().unwrap_or_default().to_owned());
        assert_eq!((status, answered.as_deref()), (101, name), "{told}");
    }
}

#[tokio::test]
async fn a_route_that_does_not_exist_is_no_call_and_a_number_without_one_is() {
    let (engine, _sandbox) = engine().await;
    for (url, path) in [
        (&engine.simulator, "/sales"),
        (&engine.simulator, "/?route=sales"),
        (&engine.http, "/v1/stream?route=sales"),
    ] {
        let (status, told) = ask(url, &raw::upgrade(path)).await;
        assert_eq!(status, 404, "{path}: {told}");
        assert!(told.contains("unknown_route"), "{told}");
    }
    let start = async |body: &str| {
        let answer = client().post(format!("{}/v1/calls", engine.http)).body(body.to_owned());
        let answer = answer.send().await.expect("it answers");
        (answer.status().as_u16(), answer.text().await.expect("a whole answer"))
    };
    assert_eq!(start(r#"{"route":"sales"}"#).await.0, 404);
    assert_eq!(start(r#"{"called":"+15550100"}"#).await.0, 201);
    let (status, told) = start(r#"{"called":"+15550100","route":"default"}"#).await;
    assert!(status == 400 && told.contains("two_targets"), "{told}");
    let (status, told) = ask(&engine.simulator, &raw::upgrade("/?user_id=%2B4917012345")).await;
    assert!(status == 400 && told.contains("X-User-Id"), "{told}");
}

#[tokio::test]
async fn heads_are_answered_and_compressed_bodies_are_not_taken_for_audio() {
    let (engine, _sandbox) = engine().await;
    let calls = format!("{}/v1/calls", engine.http);
    let started = client().post(&calls).body(r#"{"call_id":"a"}"#).send().await;
    let started: serde_json::Value = {
        let text = started.expect("it answers").text().await.expect("a whole answer");
        serde_json::from_str(&text).expect("JSON")
    };
    let call = format!("/v1/calls/{}", started["call_id"].as_str().expect("an id"));
    for path in ["/live", "/ready", "/metrics", "/v1/calls", &call, "/v1/slow-turns"] {
        let answer = client().head(format!("{}{path}", engine.http)).send().await;
        let answer = answer.expect("it answers");
        assert_eq!(answer.status(), 200, "{path}");
        assert_eq!(answer.text().await.expect("nothing"), "", "{path}");
    }
    for coding in ["gzip", "GZIP", "identity, br"] {
        let post = client().post(format!("{calls}/a/media")).header("X-Sequence-Id", "0");
        let post = post.header("Content-Encoding", coding).body(vec![0; 640]);
        let answer = post.send().await.expect("it answers");
        assert_eq!(answer.status(), 415, "{coding}");
        assert_eq!(answer.headers()["accept-encoding"], "identity");
    }
    let post = client().post(format!("{calls}/a/media")).header("X-Sequence-Id", "0");
    let plain = post.header("Content-Encoding", "identity").body(vec![0; 640]);
    assert_eq!(plain.send().await.expect("it answers").status(), 202);
}

// === The system ===

#[tokio::test]
async fn too_few_handles_are_told_before_anything_starts() {
    let setup = Setup::bare().key("ROUTE__STT", "fixed").key("ROUTE__TTS", "tone");
    let setup = setup.key("ROUTE__DIALOG", "fixed");
    let program = env!("CARGO_BIN_EXE_antiphon");
    let mut command = tokio::process::Command::new("sh");
    command
        .args(["-c", &format!("ulimit -n 20 && exec {program} serve")])
        .current_dir(setup.folder().path())
        .kill_on_drop(true);
    let output = tokio::time::timeout(crate::support::HANG_GUARD, command.output()).await;
    let output = output.expect("it ends").expect("it can be started");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("20 files and sockets") && told.contains("ulimit -n"), "{told}");
    assert!(!told.contains("panic"), "{told}");
}

/// The engine on a system of which the C code `differs` from the real one.
fn on_system(setup: Setup, differs: &str) -> Setup {
    let (source, library) = (setup.folder().join("system.c"), setup.folder().join("system.so"));
    std::fs::write(&source, differs).expect("a folder");
    let cc = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .arg("-ldl")
        .status();
    assert!(cc.expect("Rust needs a C compiler as well").success());
    setup.variable("LD_PRELOAD", &library.to_string_lossy())
}

/// Gives no more event queues than are there when the second port is to be served.
const FEW_QUEUES: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
static int listening, queues;
int listen(int socket, int backlog) {
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "listen");
    __atomic_add_fetch(&listening, 1, __ATOMIC_SEQ_CST);
    return real(socket, backlog);
}
int epoll_create1(int flags) {
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "epoll_create1");
    int is_bound = __atomic_load_n(&listening, __ATOMIC_SEQ_CST) >= 2;
    /* One of the media thread, and two of the first port: to accept and to serve. */
    if (is_bound && __atomic_add_fetch(&queues, 1, __ATOMIC_SEQ_CST) > 3) {
        errno = EMFILE;
        return -1;
    }
    return real(flags);
}
"#;

#[tokio::test]
async fn an_engine_one_of_whose_ports_cannot_be_served_does_not_start() {
    let setup = on_system(Setup::bare(), FEW_QUEUES).key("ROUTE__STT", "fixed");
    let setup = setup.key("ROUTE__TTS", "tone").key("ROUTE__DIALOG", "fixed");
    let setup = setup.key("SERVER__MEDIA_THREADS", "1").key("SERVER__HTTP_THREADS", "1");
    let ended = setup.fail().await;
    ended.assert_code(1);
    assert!(ended.log.contains("cannot serve a port that is bound"), "{ended:?}");
    assert!(ended.log.contains("Too many open files"), "{ended:?}");
    assert!(!ended.printed.contains("127.0.0.1"), "nobody is told to call: {ended:?}");
}

/// Says another time while a file exists.
const WRONG_CLOCK: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    const char *file = getenv("WRONG_CLOCK");
    if (clock == CLOCK_REALTIME && file && access(file, F_OK) == 0) now->tv_sec = -86400;
    return result;
}
"#;

#[tokio::test]
async fn a_wall_clock_that_was_wrong_for_a_moment_breaks_no_door() {
    let sandbox = sandbox();
    let setup = on_system(Setup::with(&sandbox), WRONG_CLOCK);
    let wrong = setup.folder().join("wrong");
    let engine = setup.clone().variable("WRONG_CLOCK", &wrong.to_string_lossy()).start().await;
    // Both ports are served: they are not before their clocks run.
    assert_eq!(engine.get("/live").await.0, 200);
    Phone::dial(&engine.simulator, "/?events=1").await.expect("taken").hang_up().await;
    std::fs::write(&wrong, "").expect("a folder");
    eventually("the server's own clock has stopped", async || {
        assert_eq!(engine.get("/live").await.0, 200);
        setup.log().contains("httpdate").then_some(())
    })
    .await;
    std::fs::remove_file(&wrong).expect("it was there");
    // Longer than the server would wait for a request.
    for _ in 0..3 {
        assert_eq!(engine.get("/live").await.0, 200);
        let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
        phone.turn(&speech()).await;
        phone.hang_up().await;
    }
    let answer = client().get(format!("{}/live", engine.http)).send().await.expect("it answers");
    let date = answer.headers()["date"].to_str().expect("text").to_owned();
    assert!(!date.contains("1969") && !date.contains("1970"), "{date}");
}

#[tokio::test]
async fn the_event_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let (engine, _sandbox) = engine().await;
    let file = engine.setup.event_file();
    let mode = eventually("there are events", async || {
        std::fs::metadata(&file).ok().map(|file| file.permissions().mode())
    })
    .await;
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}
