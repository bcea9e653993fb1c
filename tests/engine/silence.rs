//! A synthesiser that does not speak, in each of the ways that matter to a whole engine: its
//! callers hear something all the same, and everybody who should know is told. And what a
//! check finds before there are callers.

use crate::support::{Engine, Message, Phone, Setup, eventually, free_address, sandbox, speech};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A server that answers every request with the same bytes and closes.
async fn always(answer: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut request = [0; 4_096];
                if stream.read(&mut request).await.is_ok() {
                    stream.write_all(answer).await.ok();
                }
            });
        }
    });
    url
}

/// Samples of the replies that are not silent.
fn heard(messages: &[Message]) -> usize {
    let audio = messages.iter().map(|message| message.text("pcm"));
    let sample = |hex: &[u8]| {
        let byte =
            |at: usize| u8::from_str_radix(std::str::from_utf8(&hex[at..at + 2]).ok()?, 16).ok();
        Some(i16::from_le_bytes([byte(0)?, byte(2)?]))
    };
    let samples = audio.flat_map(|hex| hex.as_bytes().chunks_exact(4).filter_map(sample));
    samples.filter(|sample| sample.unsigned_abs() > 500).count()
}

async fn because(engine: &Engine) -> Option<String> {
    let (status, text) = engine.get("/ready").await;
    let ready: Value = serde_json::from_str(&text).expect("JSON");
    (status == 503).then(|| ready["because"].to_string())
}

#[tokio::test]
async fn callers_of_a_synthesiser_that_never_speaks_hear_something_and_it_is_told_everywhere() {
    let nobody = format!("http://{}", free_address());
    let not_found = always(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await;
    let mp3 = always(
        b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nContent-Length: 8\r\n\r\n\xff\xfb\x90\x64\0\0\0\0",
    )
    .await;
    for (what, endpoint) in [("404", not_found), ("audio/mpeg", mp3), ("no connection", nobody)] {
        let sandbox = sandbox();
        let setup = Setup::with(&sandbox).key("TTS__GENERIC_HTTP__ENDPOINT", &endpoint);
        let checked = setup.run(&["check"]).await.printed;
        let line = checked.lines().find(|line| line.contains("tts generic-http"));
        assert!(line.is_some_and(|line| line.starts_with("warn")), "{what}: {checked}");

        let engine = setup.start().await;
        let because = because(&engine).await.unwrap_or_else(|| panic!("{what}: it is ready"));
        assert!(because.contains("prompts: "), "{what}: {because}");
        // Strangers may ask whether it is ready. Why it is not is for those who read its log.
        let told = |line: &str| line.contains("prompts_rendered") && line.contains(what);
        eventually("the log says why", async || engine.setup.log().lines().any(told).then_some(()))
            .await;
        assert!(engine.metric("antiphon_prompts_missing").await > 0.0, "{what}");

        let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
        let told = phone.turn(&speech()).await;
        assert!(heard(&told) > 5_000, "{what}: silence");
        for name in ["tts_failed", "turn_unheard", "fallback_played"] {
            assert!(told.iter().any(|message| message.event() == name), "{what}: no {name}");
        }
        assert!(!told.iter().any(|message| message.event() == "turn_answered"), "{what}");
        phone.hang_up().await;
        eventually("the synthesiser is not called ready", async || {
            let text = engine.metrics().await;
            let ready = "antiphon_provider_ready{service=\"tts\",provider=\"generic-http\"} 0";
            text.lines().any(|line| line == ready).then_some(())
        })
        .await;
        assert_eq!(engine.metric("antiphon_turns_unheard_total").await, 1.0, "{what}");
    }
}

#[tokio::test]
async fn a_deep_check_finds_what_calls_would_find_where_a_check_without_effect_cannot() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox);
    let ended = setup.run(&["check", "--deep"]).await;
    ended.assert_code(0);
    for row in [
        "ok route default tts generic-http: speaks:",
        "ok route default stt fixed: recognises",
        "ok route default dialog cognigy-dialogs: answers",
    ] {
        let words = row.split(' ').collect::<Vec<_>>();
        let is_it = |line: &str| line.split_whitespace().take(words.len()).eq(words.clone());
        assert!(ended.printed.lines().any(is_it), "no {row}: {}", ended.printed);
    }

    // A web server that knows nothing of dialogs is there, and that is all.
    let page = always(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 15\r\nConnection: close\r\n\r\n<h1>Welcome</h1",
    )
    .await;
    let endpoint = format!("{page}/{}", "c0ffee00".repeat(8));
    let setup =
        setup.key("ROUTE__DIALOG", "cognigy-rest").variable("COGNIGY_ENDPOINT_URL", &endpoint);
    let shallow = setup.run(&["check"]).await;
    shallow.assert_code(0);
    assert!(shallow.printed.contains("not verified until the first one"), "{}", shallow.printed);
    let deep = setup.run(&["check", "--deep"]).await;
    deep.assert_code(1);
    let failed: Vec<&str> = deep.printed.lines().filter(|line| line.starts_with("fail")).collect();
    assert!(
        matches!(&failed[..], [line] if line.contains("route default dialog")),
        "{}",
        deep.printed
    );
}
