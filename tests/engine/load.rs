//! The load generator against a real engine: over every carrier nothing is lost, and what
//! is lost, repeated, moved or crossed on the way is seen.
//!
//! Machines stall. The engine of these tests waits longer than a stall lasts before it takes
//! an utterance for finished, and nothing here depends on how long something took.

use std::sync::Arc;

use crate::support::callers::{coded, plan, run, stream};
use crate::support::{Engine, HANG_GUARD, Setup, eventually};
use antiphon::load::{LoadPlan, ValidityLimits};
use futures_util::future::join_all;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_calls_on_each_carrier_lose_nothing_and_hear_nobody_else() {
    let engine = coded().start().await;
    let urls = [engine.simulator.clone(), stream(&engine), engine.http.clone()];
    let plans = urls.iter().map(|url| plan(url, 50, 6.0));
    for report in join_all(plans.map(run)).await {
        let carrier = report.run.carrier;
        assert_eq!((report.connected, report.refused), (50, 0), "{carrier}: {report:?}");
        assert_eq!(report.errors_count(), 0, "{carrier}: {:?}", report.errors);
        assert!(report.verified_replies >= 50, "{carrier}: {:?}", report.turns);
        assert_eq!(report.flaws(), 0, "{carrier}: {report:?}");
        assert_eq!(report.turns.flawed + report.turns.not_understood, 0, "{carrier}: {report:?}");
        assert!(report.response_ms.p50.is_some() && report.set_up_ms.p50.is_some(), "{carrier}");
        assert_eq!(report.stages_ms.len(), if carrier == "http-callback" { 0 } else { 4 });
    }
    engine.becomes_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_saboteur_does_on_the_way_is_seen() {
    let engine = coded().start().await;
    let mischiefs =
        [Mischief::None, Mischief::Drop, Mischief::Repeat, Mischief::Reorder, Mischief::Cross];
    let mut runs = Vec::new();
    for mischief in mischiefs {
        runs.push(run(plan(&saboteur(&engine.http, mischief).await, 4, 6.0)));
    }
    let reports = join_all(runs).await;
    let [none, drop, repeat, reorder, cross] = &reports[..] else { panic!("five runs") };
    assert_eq!(none.flaws(), 0, "{none:?}");
    assert!(none.turns.ok >= 4, "{none:?}");
    assert!(drop.to_caller.lost_ms > 0, "{drop:?}");
    assert!(repeat.to_caller.extra_ms > 0, "{repeat:?}");
    assert!(reorder.to_caller.missing_words > 0, "{reorder:?}");
    assert_eq!(reorder.to_caller.lost_ms + reorder.to_caller.extra_ms, 0, "{reorder:?}");
    assert!(cross.cross_talk_words > 0, "{cross:?}");
    for report in &reports[1..] {
        assert!(report.turns.flawed > 0 && report.turns_ok_share() < 1.0, "{report:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_generator_that_does_not_keep_up_says_that_its_run_is_invalid() {
    let engine = coded().start().await;
    // No message goes out before its time, and none exactly at it.
    let limits = ValidityLimits { send_late_ms_max: 0.0, ..ValidityLimits::default() };
    let report = run(LoadPlan { limits, ..plan(&stream(&engine), 1, 0.2) }).await;
    assert!(!report.valid);
    assert!(report.invalid_because[0].contains("late"), "{:?}", report.invalid_because);
}

#[tokio::test]
async fn refused_calls_are_no_errors_and_a_missed_objective_ends_with_1_even_when_stopped() {
    let engine = coded().key("LIMITS__CALLS_MAX", "1").start().await;
    let url = stream(&engine);
    let typed = ["load", "--url", &url, "--calls", "3", "--for", "1h", "--ramp", "0s"];
    let judged = ["--max-refused", "0", "--out", "report"];
    // How busy this computer is does not matter here.
    let always_valid = ["--max-send-late-ms", "100000", "--max-cpu-share", "100"];
    let command = engine.setup.command(&[&typed[..], &judged[..], &always_valid[..]].concat());
    let ended = stopped_after_two_refusals(&engine, command).await;
    assert_eq!(ended, Some(1));
    let folder = engine.setup.folder();
    let text = std::fs::read_to_string(folder.join("report/load.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    assert!(report["refused"].as_u64() >= Some(2), "{report}");
    assert_eq!(report["errors"], serde_json::json!({}));
    assert_eq!(report["stopped_early"], true);
    assert_eq!(report["missed"].as_array().map(Vec::len), Some(1));
    let page = std::fs::read_to_string(folder.join("report/load.html")).expect("a page");
    assert!(page.contains("An objective was missed."));
}

#[tokio::test]
async fn a_watched_engine_shows_what_it_takes_and_a_short_look_says_nothing_about_growth() {
    let engine = coded().start().await;
    let (url, metrics) = (stream(&engine), format!("{}/metrics", engine.http));
    let typed = ["load", "--url", &url, "--rate", "5", "--call-for", "1s", "--for", "3s"];
    let judged = ["--max-memory-growth-mb", "1000", "--watch", &metrics, "--warm-up", "0"];
    // How busy this computer is does not matter here.
    let other = ["--max-send-late-ms", "100000", "--max-cpu-share", "100", "--out", "report"];
    let ended = engine.setup.run(&[&typed[..], &judged[..], &other[..]].concat()).await;
    assert_eq!(ended.code(), 1, "{ended:?}");
    assert!(ended.printed.contains("growth of memory: not measured"), "{ended:?}");
    let folder = engine.setup.folder();
    let text = std::fs::read_to_string(folder.join("report/load.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let process = &report["engine"];
    assert!(process["looks"].as_u64() >= Some(1), "{process}");
    for figure in ["resident_mb", "handles", "threads"] {
        assert!(process[figure]["max"].as_f64() >= Some(1.0), "{figure}: {process}");
    }
    let page = std::fs::read_to_string(folder.join("report/load.html")).expect("a page");
    assert!(page.contains("The engine: resident memory, MB"));
}

/// Waits until the engine refused two calls, and stops the generator as Ctrl-C does.
async fn stopped_after_two_refusals(engine: &Engine, mut command: Command) -> Option<i32> {
    let mut generator = command.spawn().expect("the generator starts");
    // A run in which nobody was heard is invalid, whatever else it missed.
    eventually("two calls are refused and one is heard", async || {
        let refused = engine.metric("antiphon_calls_refused_total").await;
        let heard = engine.metric("antiphon_media_bytes_total").await;
        (refused >= 2.0 && heard > 0.0).then_some(())
    })
    .await;
    let id = generator.id().expect("it runs").to_string();
    let told = Command::new("kill").args(["-s", "INT", &id]).status().await;
    assert!(told.expect("kill is there").success());
    let ended = tokio::time::timeout(HANG_GUARD, generator.wait()).await;
    ended.expect("it ends").expect("it can be waited for").code()
}

#[tokio::test]
async fn a_run_without_a_call_blames_whoever_took_none_and_not_the_generator() {
    let engine = coded().start().await;
    // It is no WebSocket that is served there.
    let url = format!("{}/live", stream(&engine).trim_end_matches("/v1/stream"));
    let typed = ["load", "--url", &url, "--rate", "20", "--for", "1s", "--out", "report"];
    let ended = engine.setup.run(&typed).await;
    assert_eq!(ended.code(), 4, "{ended:?}");
    assert!(ended.printed.contains("NO CALL: ") && !ended.printed.contains("INVALID"), "{ended:?}");

    let misspelt = format!("{}x", stream(&engine));
    let nowhere = format!("{}?route=nowhere", stream(&engine));
    for (url, said) in [(misspelt, "404 not_found: "), (nowhere, "404 unknown_route: ")] {
        let typed = ["load", "--url", &url, "--rate", "20", "--for", "1s", "--out", "report"];
        let ended = engine.setup.run(&typed).await;
        assert_eq!(ended.code(), 4, "{ended:?}");
        assert_eq!(ended.printed.matches("times: ").count(), 1, "once: {ended:?}");
        assert!(ended.printed.contains(&format!("times: {said}")), "{ended:?}");
    }
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_before_anything_is() {
    let setup = Setup::bare();
    std::fs::write(setup.folder().join("wrong.toml"), "[[stages]]\ncals = 1\n").expect("a file");
    let grows = "[objectives]\nmax_memory_growth_mb = 1.0\n";
    std::fs::write(setup.folder().join("grows.toml"), grows).expect("a file");
    let somebody = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let listens = format!("ws://{}", somebody.local_addr().expect("it is bound"));
    for (typed, code, told) in [
        (&["--calls", "1"][..], 2, "--url"),
        (&["--url", "ftp://a"], 2, "no address for calls"),
        (&["--script", "wrong.toml"], 2, "cals"),
        (&["--url", "ws://a", "--calls", "1", "--rate", "1"], 2, "--rate"),
        (&["--url", &listens, "--watch", "nowhere"], 2, "--watch"),
        (&["--url", &listens, "--watch", "http://127.0.0.1:1/metrics"], 2, "--watch"),
        (&["--url", "ws://127.0.0.1:1"], 4, "nobody answers at ws://127.0.0.1:1"),
        (&["--url", "ws://a", "--max-handle-growth", "5"], 2, "--watch"),
        (&["--script", "grows.toml", "--url", "ws://a"], 2, "--watch"),
        (&["--url", "ws://a", "--for", "9s", "--watch", "x", "--warm-up", "9s"], 2, "--warm-up"),
    ] {
        let ended = setup.run(&[&["load"][..], typed].concat()).await;
        assert_eq!(ended.code(), code, "{ended:?}");
        assert!(ended.log.contains(told), "{ended:?}");
    }
}

/// What happens to the audio on its way to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mischief {
    None,
    /// A frame is left out.
    Drop,
    /// A frame comes twice.
    Repeat,
    /// Two frames change places.
    Reorder,
    /// Two calls hear each other's audio.
    Cross,
}

/// Where in the audio of a call it happens: in the middle one of the three words of its first
/// answer, so that there are words before and after it to compare with.
const HIT_BYTES: usize = 3 * 352 / 2 * 32;

/// Stands between the generator and the engine's stream.
async fn saboteur(http: &str, mischief: Mischief) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/v1/stream", listener.local_addr().expect("it is bound"));
    let engine = http.trim_start_matches("http://").to_owned();
    let callers: Arc<Mutex<Vec<mpsc::Sender<Vec<u8>>>>> = Arc::default();
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let engine = TcpStream::connect(&engine).await.expect("the engine listens");
            let ((mut from_caller, mut to_caller), (from_engine, mut to_engine)) =
                (caller.into_split(), engine.into_split());
            tokio::spawn(async move {
                tokio::io::copy(&mut from_caller, &mut to_engine).await.ok();
            });
            let (frames, mut queue) = mpsc::channel::<Vec<u8>>(1_000);
            tokio::spawn(async move {
                while let Some(bytes) = queue.recv().await {
                    if to_caller.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
            });
            let number = callers.lock().len();
            callers.lock().push(frames);
            tokio::spawn(forward(from_engine, number, mischief, Arc::clone(&callers)));
        }
    });
    url
}

/// Passes on what the engine sends, changed.
async fn forward(
    mut engine: OwnedReadHalf,
    number: usize,
    mischief: Mischief,
    callers: Arc<Mutex<Vec<mpsc::Sender<Vec<u8>>>>>,
) {
    let to = |place: usize| callers.lock().get(place).cloned();
    let own = to(number).expect("this caller");
    own.send(head(&mut engine).await).await.ok();
    let (mut audio_bytes, mut held) = (0, None);
    while let Some(frame) = frame(&mut engine).await {
        if frame[0] & 15 != BINARY {
            own.send(frame).await.ok();
            continue;
        }
        let before = audio_bytes;
        audio_bytes += frame.len();
        let is_chosen = (before..audio_bytes).contains(&HIT_BYTES);
        match mischief {
            Mischief::Drop if is_chosen => {}
            Mischief::Repeat if is_chosen => {
                own.send(frame.clone()).await.ok();
                own.send(frame).await.ok();
            }
            Mischief::Reorder if is_chosen => held = Some(frame),
            Mischief::Cross => {
                let other = to(number ^ 1).unwrap_or_else(|| own.clone());
                other.send(frame).await.ok();
            }
            _ => {
                own.send(frame).await.ok();
                if let Some(held) = held.take() {
                    own.send(held).await.ok();
                }
            }
        }
    }
}

/// Opcode of a binary message.
const BINARY: u8 = 2;

/// The engine's answer to the upgrade.
async fn head(engine: &mut OwnedReadHalf) -> Vec<u8> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = engine.read_u8().await else { break };
        head.push(byte);
    }
    head
}

/// The next WebSocket frame, as it came. The engine's are not masked.
async fn frame(engine: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut frame = vec![0; 2];
    engine.read_exact(&mut frame).await.ok()?;
    let length_bytes = match frame[1] & 127 {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    frame.resize(2 + length_bytes, 0);
    engine.read_exact(&mut frame[2..]).await.ok()?;
    let length = match length_bytes {
        0 => usize::from(frame[1] & 127),
        _ => frame[2..].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
    };
    let begin = frame.len();
    frame.resize(begin + length, 0);
    engine.read_exact(&mut frame[begin..]).await.ok()?;
    Some(frame)
}
