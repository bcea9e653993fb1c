//! Calls under TLS: nothing is lost on any carrier, a certificate that cannot be used is
//! named, and whoever does not speak TLS as he should costs only himself.
//!
//! Callers are processes of their own: whom they trust stands in their environment.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::support::callers::{coded, stream};
use crate::support::certificates::{certify, shown, tls_to};
use crate::support::raw::{BINARY, Raw, frame, upgrade};
use crate::support::{Ended, Engine, Setup, speech};
use antiphon::sandbox::{DEFAULT_KEY, SandboxSettings};
use futures_util::future::{join, join_all};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

const CERTIFICATE: &str = "SERVER__TLS_CERTIFICATE_FILE";
const KEY: &str = "SERVER__TLS_KEY_FILE";

/// The engine shows the certificate, and callers trust it.
fn under_tls(setup: Setup) -> Setup {
    let (certificate, key) = certify(&setup, "engine");
    let text = |path: &PathBuf| path.display().to_string();
    setup
        .key(CERTIFICATE, &text(&certificate))
        .key(KEY, &text(&key))
        .variable("SSL_CERT_FILE", &text(&certificate))
}

/// Five callers for some seconds, who verify all they hear; how busy this computer is does
/// not matter.
async fn callers(setup: &Setup, url: &str, report: &str) -> (Ended, Value) {
    callers_for("9s", setup, url, report).await
}

/// Callers who are not heard come often enough in a moment.
async fn callers_in_vain(setup: &Setup, url: &str) -> (Ended, Value) {
    callers_for("2s", setup, url, "report").await
}

async fn callers_for(time: &str, setup: &Setup, url: &str, report: &str) -> (Ended, Value) {
    let typed = ["load", "--url", url, "--calls", "5", "--for", time, "--ramp", "1s"];
    let judged = ["--max-errors", "0", "--max-flaws", "0", "--max-cross-talk", "0"];
    let talk = ["--interrupt", "0", "--speech-ms", "700-1100", "--answer-ms-max", "60000"];
    let valid = ["--max-send-late-ms", "100000", "--max-cpu-share", "100", "--out", report];
    let ended = setup.run(&[&typed[..], &judged, &talk, &valid].concat()).await;
    let text = std::fs::read_to_string(setup.folder().join(report).join("load.json"));
    let report = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    (ended, report)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_on_each_carrier_lose_nothing_under_tls() {
    let engine = under_tls(coded()).start().await;
    assert!(engine.http.starts_with("https://") && engine.simulator.starts_with("wss://"));
    let urls = [engine.simulator.clone(), stream(&engine), engine.http.clone()];
    let runs =
        urls.iter().zip(["a", "b", "c"]).map(|(url, name)| callers(&engine.setup, url, name));
    for (ended, report) in join_all(runs).await {
        ended.assert_code(0);
        assert_eq!(report["connected"], 5, "{report}");
        assert!(report["verified_replies"].as_u64() >= Some(5), "{report}");
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_told_apart_from_an_engine_that_is_not_there() {
    let engine = under_tls(coded()).start().await;
    let (stranger, _) = certify(&engine.setup, "stranger");
    let stranger = stranger.display().to_string();
    let distrustful = engine.setup.clone().variable("SSL_CERT_FILE", &stranger);
    let (ended, report) = callers_in_vain(&distrustful, &stream(&engine)).await;
    assert_eq!(ended.code(), 4, "nobody was heard: {ended:?}");
    assert!(report["errors"]["certificate_unknown_issuer"].as_u64() >= Some(5), "{report}");
    let call = ["call", "--wav", "a.wav", "--url", &engine.simulator];
    std::fs::write(engine.setup.folder().join("a.wav"), WAV).expect("a file");
    let ended = distrustful.run(&call).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.log.contains("SSL_CERT_FILE"), "{ended:?}");
    let ended = engine.setup.run(&call).await;
    assert!(ended.printed.contains("heard"), "{ended:?}");
}

#[tokio::test]
async fn an_address_with_the_wrong_scheme_is_told_with_the_right_one() {
    let plain = under_tls(coded()).key(CERTIFICATE, "").key(KEY, "");
    let (under_tls, plain) = join(under_tls(coded()).start(), plain.start()).await;
    let cases = [(under_tls, "wss", "ws", "tls_wanted"), (plain, "ws", "wss", "no_tls")];
    join_all(cases.map(|(engine, right, wrong, kind)| async move {
        std::fs::write(engine.setup.folder().join("a.wav"), WAV).expect("a file");
        let url = engine.simulator.replace(right, wrong);
        let ended = engine.setup.run(&["call", "--wav", "a.wav", "--url", &url]).await;
        assert_eq!(ended.code(), 1, "{ended:?}");
        assert!(ended.log.contains(&format!("use {}", engine.simulator)), "{ended:?}");
        let url = stream(&engine).replace(right, wrong);
        let (_, report) = callers_in_vain(&engine.setup, &url).await;
        assert!(report["errors"][kind].as_u64() >= Some(5), "{report}");
    }))
    .await;
}

const WAV: &[u8] = include_bytes!("../audio/cards_001.wav");

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_named_before_the_engine_takes_calls() {
    let setup = under_tls(coded());
    let (_, other_key) = certify(&setup, "other");
    let folder = setup.folder();
    std::fs::write(folder.join("empty"), "no certificate\n").expect("a file");
    let other_key = other_key.display().to_string();
    for (name, value, told) in [
        (CERTIFICATE, "nowhere.pem", "nowhere.pem"),
        (CERTIFICATE, "empty", "holds no certificate"),
        (KEY, "empty", "empty"),
        (KEY, other_key.as_str(), "cannot be used with the key"),
        (KEY, "", "go together"),
    ] {
        let wrong = setup.clone().key(name, value);
        let ended = wrong.fail().await;
        assert!(ended.code() != 0 && ended.log.contains(told), "{name} = {value}: {ended:?}");
        let checked = wrong.run(&["check"]).await;
        let said = format!("{}{}", checked.printed, checked.log);
        assert!(checked.code() != 0 && said.contains(told), "{name} = {value}: {checked:?}");
    }
    let checked = setup.run(&["check"]).await;
    assert!(checked.printed.contains("ok    server.tls"), "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_does_not_keep_to_tls_costs_nobody_else_anything() {
    let engine = under_tls(coded()).start().await;
    let url = stream(&engine);
    let over = Cell::new(false);
    let good = async {
        let found = callers(&engine.setup, &url, "report").await;
        over.set(true);
        found
    };
    let bad = (0..3).map(|_| join(not_tls(&engine), join(silent(&engine), deaf(&engine, &over))));
    let ((ended, report), _) = join(good, join_all(bad)).await;
    ended.assert_code(0);
    assert!(report["verified_replies"].as_u64() >= Some(5), "{report}");
}

/// Speaks plain HTTP.
async fn not_tls(engine: &Engine) {
    let mut raw = Raw::connect(&engine.http).await;
    raw.send(upgrade("/v1/stream").as_bytes()).await;
    let answer = raw.rest().await;
    assert!(!answer.contains("HTTP/"), "{answer}");
}

/// Connects and says nothing; is sent away.
async fn silent(engine: &Engine) {
    let answer = Raw::connect(&engine.http).await.rest().await;
    assert_eq!(answer, "");
}

/// Talks as fast as it is let, and never reads.
async fn deaf(engine: &Engine, over: &Cell<bool>) {
    let certificate = std::fs::read(engine.setup.folder().join("engine.certificate"));
    let mut connection = tls_to(&engine.http, &certificate.expect("a file")).await;
    connection.write_all(upgrade("/v1/stream").as_bytes()).await.expect("it reads");
    let said: Vec<u8> = speech().iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let audio = frame(BINARY, &said);
    // Whether it is sent away before the others are done is all the same to them.
    while !over.get() && connection.write_all(&audio).await.is_ok() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn providers_are_asked_under_tls_and_one_that_nobody_trusts_is_named() {
    let folder = Setup::bare();
    let (certificate, key) = certify(&folder, "platform");
    let settings = SandboxSettings { tls: Some(shown(&certificate, &key)), ..here() };
    let sandbox = crate::support::sandbox_with(settings);
    let setup = Setup::with(&sandbox)
        .key("ROUTE__STT", "deepgram")
        .key("STT__DEEPGRAM__BASE_URL", &sandbox.base_url())
        .variable("DEEPGRAM_API_KEY", DEFAULT_KEY);
    let trusting = setup.clone().variable("SSL_CERT_FILE", &certificate.display().to_string());
    let checked = trusting.run(&["check"]).await;
    assert!(checked.printed.contains("ok    dialog cognigy-dialogs"), "{checked:?}");
    assert!(checked.printed.contains("ok    stt deepgram"), "{checked:?}");
    assert!(checked.printed.contains("ok    tts generic-http"), "{checked:?}");
    let (stranger, _) = certify(&folder, "stranger");
    let distrustful = setup.variable("SSL_CERT_FILE", &stranger.display().to_string());
    let checked = distrustful.run(&["check"]).await;
    let told =
        checked.printed.matches("its certificate is self-signed or of an unknown issuer").count();
    assert_eq!(told, 3, "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_heard_while_it_is_still_streamed_under_tls() {
    let folder = Setup::bare();
    let (certificate, key) = certify(&folder, "platform");
    let tls = Some(shown(&certificate, &key));
    // As fast as it is spoken.
    let sandbox = crate::support::sandbox_with(SandboxSettings { tls, speech_pace: 1, ..here() });
    let trusted = certificate.display().to_string();
    let engine = Setup::with(&sandbox).variable("SSL_CERT_FILE", &trusted).start().await;
    let typed = ["load", "--url", &stream(&engine), "--calls", "1", "--for", "9s", "--ramp", "1s"];
    engine.setup.run(&[&typed[..], &["--interrupt", "0"]].concat()).await;
    let events = engine.setup.events();
    let first = |kind: &str| {
        let found = events.iter().find(|event| event["event_type"] == kind);
        found.unwrap_or_else(|| panic!("no {kind}: {events:?}"))
    };
    assert!(first("sentence_synthesized").get("reply_audio_ms").is_none(), "it was still made");
    let (answered, stopped) = (first("turn_answered"), first("bot_turn_stopped"));
    let at_ms = |event: &Value| event["audio_ms"].as_u64().expect("a position");
    assert!(at_ms(stopped) - at_ms(answered) > 1_000, "heard to its end: {events:?}");
    assert!(answered["tts_latency_ms"].as_u64() < Some(1_000), "{answered}");
}

fn here() -> SandboxSettings {
    let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    SandboxSettings { addr, ..SandboxSettings::default() }
}
