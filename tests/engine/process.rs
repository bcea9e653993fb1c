//! The engine as a process: what it refuses to start with, how it starts without
//! its platforms, how it stops, and what it leaves behind whatever ends it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use crate::support::{
    Ended, Message, Phone, Setup, brief, eventually, free_address, run_to_end, sandbox, sandbox_at,
    speech,
};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

// === Starting ===

#[tokio::test]
async fn a_wrong_key_is_named_with_its_line_and_the_nearest_valid_one() {
    let setup = Setup::bare();
    let file = "[server]\ntick_ms = 10\n\n[route.turns]\ninteruptible = true\n";
    setup.folder().write("config.toml", file);
    for arguments in [&["serve"][..], &["check"], &["config"]] {
        let ended = setup.run(arguments).await;
        ended.assert_code(64);
        let told = "config.toml:5:1: `route.turns.interuptible` is not a key; \
                    did you mean `route.turns.interruptible`?";
        assert!(ended.log.contains(told), "{ended:?}");
    }
    assert!(!setup.event_file().exists(), "it stopped before it opened anything");
}

#[tokio::test]
async fn a_wrong_environment_variable_is_named() {
    let cases = [
        ("SERVER__HTPP", "127.0.0.1:0", "did you mean ANTIPHON_SERVER__HTTP?"),
        ("SERVER__HTTP", "0.0.0.0:0", "must be a loopback address"),
        ("SERVER__SIMULATOR", "[::]:0", "must be a loopback address"),
        ("SERVER__HTTP", "localhost", "must be an IP address and a port"),
        ("SERVER__TICK_MS", "4", "from 5 to 40"),
        ("DIALOG__IN_FLIGHT_MAX", "0", "from 1 to 1000"),
        ("DIALOG__WAITING_MAX", "many", "as in the file, such as 5"),
        ("ROUTE__TURNS__INTERRUPTIBLE", "1", "true or false"),
        ("LOG__FILTER", "antiphon=loud", "must be a log filter"),
        ("ROUTE__STT", "siri", "must be"),
    ];
    for (key, value, told) in cases {
        let ended = Setup::bare().key(key, value).fail().await;
        ended.assert_code(64);
        let variable = format!("environment variable ANTIPHON_{key}: ");
        assert!(ended.log.contains(&variable) && ended.log.contains(told), "{key}: {ended:?}");
    }
}

#[tokio::test]
async fn a_missing_credential_is_named_and_nothing_starts() {
    let sandbox = sandbox();
    let ended = Setup::with(&sandbox).variable("COGNIGY_API_KEY", "").fail().await;
    ended.assert_code(1);
    assert!(ended.log.contains("set the environment variable COGNIGY_API_KEY"), "{ended:?}");
}

#[tokio::test]
async fn a_key_that_the_platform_refuses_ends_the_start_with_the_missing_permission() {
    use antiphon::sandbox::FORBIDDEN_KEY;
    let sandbox = sandbox();
    for (key, permission) in [
        ("an-unknown-key-0123", "dialog:execute and dialog:read"),
        (FORBIDDEN_KEY, "dialog:execute"),
    ] {
        let setup = Setup::with(&sandbox).variable("COGNIGY_API_KEY", key);
        let ended = setup.fail().await;
        ended.assert_code(1);
        assert!(ended.log.contains(permission), "{ended:?}");
        assert!(ended.log.contains("COGNIGY_API_KEY"), "it says where the key is: {ended:?}");
        assert!(!ended.log.contains(key), "it does not show the key: {ended:?}");
        assert_eq!(ended.printed, "", "no port was served");
    }
}

#[tokio::test]
async fn what_is_wrong_in_the_configuration_and_what_is_missing_beside_it_is_told_at_once() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox).key("SERVER__HTTP", "0.0.0.0:8080");
    let setup = setup.variable("COGNIGY_API_KEY", "").variable("ANTIPHON_TTS_API_KEY", "");
    for command in ["serve", "check"] {
        let ended = setup.run(&[command]).await;
        ended.assert_code(64);
        for told in ["loopback address", "COGNIGY_API_KEY", "ANTIPHON_TTS_API_KEY"] {
            assert!(ended.log.contains(told), "{told}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn an_event_file_that_cannot_be_written_ends_the_start_as_check_says() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    setup.folder().write("notes.txt", "notes, and no events");
    for path in ["nowhere/events.jsonl", "notes.txt"] {
        let setup = setup.clone().key("EVENTS__PATH", path);
        let (refused, checked) = (setup.fail().await, setup.run(&["check"]).await);
        refused.assert_code(1);
        checked.assert_code(1);
        let told = checked.printed.lines().find(|line| line.starts_with("fail"));
        let (_, told) = told.and_then(|line| line.split_once("events.path")).expect("a line");
        assert!(refused.log.contains(told.trim()), "{told}: {refused:?}");
        assert_eq!(refused.printed, "", "no port was served");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_and_nothing_is_half_started() {
    let sandbox = sandbox();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    for (key, name) in [("SERVER__HTTP", "server.http"), ("SERVER__SIMULATOR", "server.simulator")]
    {
        let setup = Setup::with(&sandbox).key(key, &address);
        let ended = setup.fail().await;
        ended.assert_code(1);
        assert!(ended.log.contains(&address) && ended.log.contains(name), "{ended:?}");
        assert_eq!(ended.printed, "", "no port was served");
        assert_eq!(setup.events(), Vec::<Value>::new(), "it never counted as started");
    }
}

#[tokio::test]
async fn an_unreachable_platform_leaves_the_engine_unready_until_it_comes_up() {
    let tts = sandbox();
    let address = free_address();
    let base = format!("http://{address}/api/v2");
    let engine = Setup::with(&tts).key("DIALOG__COGNIGY_DIALOGS__BASE_URL", &base).start().await;
    assert_eq!(engine.get("/live").await.0, 200);
    let (status, body) = engine.get("/ready").await;
    assert_eq!(status, 503);
    assert!(body.contains("dialog cognigy-dialogs: unavailable"), "{body}");

    let dialog = sandbox_at(&address);
    eventually("/ready says 200", async || (engine.get("/ready").await.0 == 200).then_some(()))
        .await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    dialog.stop().await;
    eventually("/ready says 503", async || (engine.get("/ready").await.0 == 503).then_some(()))
        .await;
}

#[tokio::test]
async fn neither_a_home_nor_a_writable_folder_nor_standard_streams_are_needed() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox).key("LOG__FILTER", "debug");
    let events = setup.event_file();
    let setup = setup.key("EVENTS__PATH", &events.to_string_lossy());
    let mut command = setup.command(&["serve"]);
    // Nobody can write there, not even root.
    command.current_dir("/proc").stderr(closed_pipe());
    let mut engine = setup.spawn_by(command);
    engine.takes_calls().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    assert_eq!(engine.stop().await.status.code(), Some(0));
    assert!(events.exists());
}

#[tokio::test]
async fn a_reader_who_went_away_is_no_reason_to_panic() {
    let setup = Setup::bare();
    for (arguments, code) in [
        (&["config"][..], 0),
        (&["check"], 1),
        (&["serve", "--config", "nowhere.toml"], 64),
        (&["call", "--wav", "nowhere.wav"], 1),
    ] {
        let mut command = setup.command(arguments);
        command.stdout(closed_pipe()).stderr(closed_pipe());
        let ended = run_to_end(&setup, command).await;
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}: {ended:?}");
    }
}

/// A pipe whose reader is gone.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    Stdio::from(OwnedFd::from(writer))
}

#[tokio::test]
async fn missing_speech_packages_are_named_and_the_engine_starts_without_them() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox)
        .key("ROUTE__STT", "pocketsphinx")
        .key("ROUTE__TTS", "worker")
        .key("STT__POCKETSPHINX__MODEL_DIR", "/nowhere/model")
        .key("TTS__WORKER__COMMAND", r#"["/nowhere/synthesiser"]"#);
    let engine = setup.clone().start().await;
    assert_eq!(engine.get("/live").await.0, 200);
    let (status, ready) = engine.get("/ready").await;
    assert_eq!(status, 503, "{ready}");
    let checked = setup.run(&["check"]).await;
    for told in ["stt pocketsphinx", "/nowhere/model", "tts worker", "/nowhere/synthesiser"] {
        assert!(ready.contains(told) != told.starts_with('/'), "{told}: {ready}");
        assert!(checked.printed.contains(told), "{told}: {checked:?}");
    }
    // A caller is not left in silence, nor the call without an end.
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    // What is said over the tones that stand for what cannot be spoken is ignored.
    let is_news = |message: &Message| {
        ["stt_failed", "utterance_ignored"].contains(&message.event()) || message.is_last()
    };
    let mut told = Vec::new();
    while !told.last().is_some_and(Message::is_last) {
        phone.say(&speech()).await;
        told.extend(phone.until("news", is_news).await);
    }
    for needed in ["stt_failed", "tts_audio fallback"] {
        assert!(brief(&told).contains(&needed.to_owned()), "{:?}", brief(&told));
    }
    assert_eq!(told.last(), Some(&Message::Closed(Some(1011))));
    engine.stop().await.assert_code(0);
}

#[tokio::test]
async fn signals_during_the_start_neither_kill_the_engine_nor_get_lost() {
    let sandbox = sandbox();
    for (signal, goes_on) in [("HUP", true), ("TERM", false)] {
        // A platform that takes connections and never says a word makes the start long.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base = format!("http://{}/api/v2", silent.local_addr().expect("it is bound"));
        let setup = Setup::with(&sandbox).key("DIALOG__COGNIGY_DIALOGS__BASE_URL", &base);
        let mut engine = setup.spawn();
        let _connection = silent.accept().expect("it asks the platform");
        engine.signal(signal).await;
        if goes_on {
            engine.takes_calls().await;
            engine.signal("TERM").await;
        }
        engine.end().await.assert_code(0);
    }
}

// === `antiphon check` ===

#[tokio::test]
async fn check_says_for_every_line_how_it_stands_and_exits_accordingly() {
    let sandbox = sandbox();
    let good = Setup::with(&sandbox);
    let ended = good.run(&["check"]).await;
    ended.assert_code(0);
    assert!(ended.printed.lines().all(|line| line.starts_with("ok ")), "{ended:?}");

    let cases = [
        ("EVENTS__PATH", "nowhere/events.jsonl", "fail", "events.path", 1),
        ("DIALOG__COGNIGY_DIALOGS__BASE_URL", "http://127.0.0.1:9/v2", "warn", "dialog", 0),
        ("TTS__GENERIC_HTTP__ENDPOINT", "http://127.0.0.1:9", "warn", "tts generic-http", 0),
    ];
    for (key, value, level, what, code) in cases {
        let ended = good.clone().key(key, value).run(&["check"]).await;
        ended.assert_code(code);
        let line = ended.printed.lines().find(|line| !line.starts_with("ok "));
        let line = line.unwrap_or_else(|| panic!("{key}: {ended:?}"));
        assert!(line.starts_with(level) && line.contains(what), "{key}: {line}");
    }
    let refused = good.clone().variable("COGNIGY_API_KEY", "wrong").run(&["check"]).await;
    refused.assert_code(1);
}

// === Stopping ===

#[tokio::test]
async fn sigterm_lets_running_calls_end_and_takes_no_new_ones() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1&call_id=a").await.expect("taken");
    phone.say(&speech()).await;
    engine.signal("TERM").await;
    eventually("/ready says 503", async || (engine.get("/ready").await.0 == 503).then_some(()))
        .await;
    let refused = Phone::ask(&engine.simulator, "/").await.err().expect("no new calls");
    assert_eq!((refused.status, refused.retry_after.is_some()), (1013, true), "{refused:?}");

    phone.until_event("bot_turn_stopped").await;
    phone.turn(&speech()).await;
    phone.hang_up().await;
    let setup = engine.setup.clone();
    engine.end().await.assert_code(0);
    let events = setup.events();
    assert_eq!(ends(&events), ["caller_hung_up"]);
    assert_eq!(events.last().expect("events")["event_type"], "engine_stopped");
}

#[tokio::test]
async fn a_second_sigterm_ends_running_calls_at_once() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1&call_id=a").await.expect("taken");
    phone.say(&speech()).await;
    engine.signal("TERM").await;
    eventually("it drains", async || (engine.get("/ready").await.0 == 503).then_some(())).await;
    engine.signal("TERM").await;
    let told = phone.rest().await;
    assert_eq!(told.last(), Some(&Message::Closed(Some(1001))), "{told:?}");
    let setup = engine.setup.clone();
    engine.end().await.assert_code(0);
    assert_eq!(ends(&setup.events()), ["drained"]);
}

#[tokio::test]
async fn a_demo_that_stays_takes_other_ports_and_ends_in_order_when_it_is_told_to() {
    let setup = Setup::bare();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let refused = setup.run(&["demo", "--stay", "--sandbox", &address]).await;
    refused.assert_code(1);
    assert!(refused.log.contains(&address), "{refused:?}");

    let free = "127.0.0.1:0";
    let ports = ["--http", free, "--simulator", free, "--sandbox", free];
    let mut command = setup.command(&[&["demo", "--stay"][..], &ports].concat());
    let mut demo = command.spawn().expect("the binary starts");
    let mut printed = BufReader::new(demo.stdout.take().expect("it is piped")).lines();
    // Its caller says something.
    printed.next_line().await.expect("it can be read").expect("the demo speaks");
    let id = demo.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-s", "TERM", &id]).status().await;
    assert!(told.expect("kill is there").success());
    while printed.next_line().await.expect("it can be read").is_some() {}
    let status = demo.wait().await.expect("it ends");
    assert_eq!(status.code(), Some(0), "{}", setup.log());
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_neither_calls_nor_the_end() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    let mut command = setup.command(&["serve"]);
    // Open for as long as the engine runs, and never read.
    command.stderr(Stdio::piped());
    let mut engine = setup.spawn_by(command);
    engine.takes_calls().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    // Each is some lines; together they are more than a pipe holds.
    for _ in 0..200 {
        Phone::dial(&engine.simulator, "/").await.expect("taken").hang_up().await;
    }
    let told = phone.turn(&speech()).await;
    assert!(told.iter().any(|message| message.event() == "turn_answered"), "{:?}", brief(&told));
    phone.hang_up().await;
    engine.becomes_empty().await;
    engine.signal("TERM").await;
    engine.end().await.assert_code(0);
    assert_eq!(setup.events().last().expect("events")["event_type"], "engine_stopped");
}

/// The cause with which each call ended; every call that started must have ended once,
/// with no event of it missing.
fn ends(events: &[Value]) -> Vec<String> {
    let text = |event: &Value, field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let mut ends = Vec::new();
    let mut calls: BTreeMap<String, u64> = BTreeMap::new();
    for event in events.iter().filter(|event| !event["call_id"].is_null()) {
        let call = text(event, "call_id");
        let told = calls.entry(call.clone()).or_default();
        *told += 1;
        assert_eq!(event["sequence"], *told, "an event is missing: {event}");
        if event["event_type"] == "call_ended" {
            ends.push(text(event, "cause"));
        }
    }
    assert_eq!(ends.len(), calls.len(), "a call has no end: {calls:?}");
    ends
}

// === Coming back ===

#[tokio::test]
async fn no_restart_gives_an_id_out_again() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    for _ in 0..2 {
        let engine = setup.clone().start().await;
        for path in ["/?events=1", "/?events=1&call_id=a"] {
            let mut phone = Phone::dial(&engine.simulator, path).await.expect("taken");
            phone.turn(&speech()).await;
            phone.hang_up().await;
        }
        engine.stop().await.assert_code(0);
    }
    let events = setup.events();
    let started = events.iter().filter(|event| event["event_type"] == "call_started");
    let ids: Vec<&str> = started
        .flat_map(|event| [event["call_id"].as_str(), event["session_id"].as_str()])
        .map(|id| id.expect("each call has both"))
        .collect();
    assert_eq!(ids.len(), 8);
    assert_eq!(BTreeSet::from_iter(&ids).len(), 8, "each is new: {ids:?}");
    let is_long = |id: &&str| id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(ids.iter().all(is_long), "{ids:?}");
}

// === The log ===

#[tokio::test]
async fn whoever_reads_the_output_as_json_finds_nothing_else_in_it() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox).key("LOG__FORMAT", "json");
    let mut engine = setup.command(&["serve"]).spawn().expect("the binary starts");
    let mut printed = BufReader::new(engine.stdout.take().expect("it is piped")).lines();
    let banner = printed.next_line().await.expect("it can be read").expect("it starts");
    let banner: Value = serde_json::from_str(&banner).expect("JSON");
    let simulator = banner["simulator"].as_str().expect("an address");
    let mut phone = Phone::dial(simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    let id = engine.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-s", "TERM", &id]).status().await;
    assert!(told.expect("kill is there").success());
    assert_eq!(printed.next_line().await.expect("it can be read"), None);
    assert_eq!(engine.wait().await.expect("it ends").code(), Some(0));

    let failed = setup.clone().variable("COGNIGY_API_KEY", "").fail().await;
    assert_eq!(failed.code(), 1);
    let log = setup.log();
    let lines: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect();
    let answered = lines.iter().find(|line| line["message"] == "turn_answered");
    let answered = answered.expect("a turn was answered");
    for member in ["call_id", "trace_id", "turn", "response_ms", "stt_latency_ms"] {
        assert!(!answered[member].is_null(), "{member}: {answered}");
    }
    let refusal = lines.last().expect("it says why");
    assert!(refusal["message"].as_str().is_some_and(|it| it.contains("COGNIGY_API_KEY")), "{log}");
}

// === The event file ===

#[tokio::test]
async fn sighup_opens_the_event_file_anew_and_loses_nothing() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    let engine = setup.clone().start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    let rotated = setup.folder().join("rotated.jsonl");
    std::fs::rename(setup.event_file(), &rotated).expect("it can be renamed");
    engine.signal("HUP").await;
    phone.turn(&speech()).await;
    phone.hang_up().await;
    engine.stop().await.assert_code(0);

    let later = setup.events();
    std::fs::rename(&rotated, setup.event_file()).expect("it can be renamed");
    let earlier = setup.events();
    assert!(!earlier.is_empty() && !later.is_empty());
    assert_eq!(ends(&[earlier, later].concat()).len(), 1);
}

#[tokio::test]
async fn a_killed_engine_leaves_whole_lines_and_its_successor_mends_a_torn_one() {
    let sandbox = sandbox();
    // As many writes as possible for the kill to fall into.
    let setup =
        Setup::with(&sandbox).key("EVENTS__BATCH_MAX", "1").key("EVENTS__BATCH_MS_MAX", "10");
    let mut engine = setup.clone().start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    for _ in 0..200 {
        // Each is an event: input that was refused.
        phone.send(tokio_tungstenite::tungstenite::Message::text("{}")).await;
        phone.chunk(&[]).await;
    }
    engine.signal("KILL").await;
    eventually("it is dead", async || (!engine.is_running()).then_some(())).await;
    let before = setup.events();
    assert!(before.len() > 10, "{before:?}");

    // What a kernel may leave of a write when the power goes.
    let mut torn = std::fs::read(setup.event_file()).expect("the file");
    torn.truncate(torn.len() - 7);
    torn.extend([0; 100]);
    std::fs::write(setup.event_file(), torn).expect("the file");
    let ended = setup.clone().start().await.stop().await;
    ended.assert_code(0);
    let after = setup.events();
    let (torn, whole) = before.split_last().expect("events");
    assert_eq!(after[..whole.len()], *whole, "what was whole is still there");
    assert_ne!(after[whole.len()], *torn, "the torn line is gone");
    assert_eq!(after.last().expect("events")["event_type"], "engine_stopped");
}

#[tokio::test]
async fn events_that_cannot_be_written_are_counted_and_calls_go_on() {
    let sandbox = sandbox();
    // It can be opened, and the disk is full from then on.
    let engine = Setup::with(&sandbox).key("EVENTS__PATH", "/dev/full").start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    engine.becomes_empty().await;
    assert!(engine.metric("antiphon_event_file_failures_total").await > 0.0);
    assert_eq!(engine.metric("antiphon_events_written_total").await, 0.0);
    let ended = engine.stop().await;
    ended.assert_code(0);
    for told in ["event file", "/dev/full", "events_dropped"] {
        assert!(ended.log.contains(told), "{told}: {ended:?}");
    }
}

#[tokio::test]
async fn somebody_elses_file_is_left_alone() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    let notes = "Dear diary,\ntoday";
    setup.folder().write("voice_metrics.jsonl", notes);
    let ended: Ended = setup.fail().await;
    ended.assert_code(1);
    assert!(ended.log.contains("does not hold events"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(setup.event_file()).expect("the file"), notes);
}
