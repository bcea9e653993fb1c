//! Clients that send what they should not, as fast, as slowly and as much as they
//! like. Each is told what is wrong or sent away, and a good call that goes on
//! beside it is answered as if nothing happened.

use std::cell::Cell;
use std::time::Duration;

use crate::support::raw::{
    self, BINARY, GOES_ON, PING, PONG, Raw, TEXT, TEXT_BEGINS, frame, header,
};
use crate::support::{
    Engine, HANG_GUARD, Message, Phone, Setup, brief, chunk, client, eventually, sandbox, speech,
};
use futures_util::future::join_all;

/// How much an engine may grow by what strangers do to it, in kB. One megabyte may
/// wait for each slow reader, and as much for each slow writer.
const GROWTH_KB_MAX: u64 = 96 << 10;

/// Does `attack` while a caller talks to the engine; the caller must not notice, and
/// nothing of the attack may stay.
async fn beside_a_good_call(engine: &Engine, attack: impl Future<Output = ()>) {
    beside_good_calls(engine, 1, attack).await;
}

/// Talks turn by turn until it `is_over`, and loses none.
async fn talk(engine: &Engine, name: &str, is_over: &Cell<bool>) {
    let path = format!("/?events=1&call_id={name}");
    let mut phone = Phone::dial(&engine.simulator, &path).await.expect("the good call");
    let (mut told, mut answered) = (Vec::new(), 0);
    while answered == 0 || !is_over.get() {
        told.extend(phone.turn(&speech()).await);
        let now_answered = answered_turns(name, &told);
        assert!(now_answered > answered, "{name}: {:?}", brief(&told));
        answered = now_answered;
        for unwanted in ["audio_dropped", "audio_gap", "child_restarted", "error"] {
            let is_unwanted = |it: &String| it.starts_with(unwanted);
            assert!(!brief(&told).iter().any(is_unwanted), "{name}: {:?}", brief(&told));
        }
    }
    phone.hang_up().await;
}

/// How many turns of a call were answered. No event may be missing, and before each answer
/// the words and the reply were told.
fn answered_turns(name: &str, told: &[Message]) -> usize {
    let events: Vec<&Message> = told.iter().filter(|it| !it.event().is_empty()).collect();
    for (at, event) in events.iter().enumerate() {
        let sequence = event.field("sequence").as_u64();
        assert_eq!(sequence, Some(at as u64 + 1), "{name}: {:?}", brief(told));
    }
    let answers = events.iter().enumerate().filter(|(_, it)| it.event() == "turn_answered");
    let answers = answers.inspect(|(at, answer)| {
        for needed in ["transcribed", "dialog_replied"] {
            let is_needed =
                |it: &&Message| it.event() == needed && it.field("turn") == answer.field("turn");
            assert!(
                events[..*at].iter().copied().any(|it| is_needed(&it)),
                "{name}, {needed}: {:?}",
                brief(told)
            );
        }
    });
    answers.count()
}

/// The same beside several callers.
async fn beside_good_calls(engine: &Engine, calls: usize, attack: impl Future<Output = ()>) {
    let before = engine.holdings();
    let over = Cell::new(false);
    let good_calls = join_all((0..calls).map(|call| {
        let over = &over;
        async move { talk(engine, &format!("good-{call}"), over).await }
    }));
    let attack = async {
        tokio::time::timeout(2 * HANG_GUARD, attack).await.expect("the attack comes to its end");
        over.set(true);
    };
    tokio::join!(good_calls, attack);
    engine.becomes_empty().await;
    eventually("the sockets are closed", async || {
        (engine.holdings().sockets <= before.sockets + SPARE_SOCKETS).then_some(())
    })
    .await;
    let after = engine.holdings();
    assert!(after.resident_kb < before.resident_kb + GROWTH_KB_MAX, "{before:?} {after:?}");
    assert!(!engine.setup.log().contains("panic"), "{}", engine.setup.log());
}

/// Connections to the platforms, and of those who ask how the engine is.
const SPARE_SOCKETS: usize = 8;

async fn engine() -> (Engine, antiphon::sandbox::RunningSandbox) {
    let sandbox = sandbox();
    (Setup::with(&sandbox).start().await, sandbox)
}

// === WebSocket ===

#[tokio::test]
async fn a_message_that_is_wrong_is_answered_and_the_call_goes_on() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
        let nested = |open: &str, close: &str| open.repeat(100_000) + &close.repeat(100_000);
        let cases = [
            (nested("[", "]"), "bad_json"),
            (nested("{\"a\":", ""), "bad_json"),
            ("\u{0}\u{feff}".to_owned(), "bad_json"),
            (r#"{"type":"audio_chunk","pcm":"012","seq":1}"#.to_owned(), "bad_hex"),
            (r#"{"type":"audio_chunk","pcm":"01","seq":1}"#.to_owned(), "odd_byte_count"),
            (r#"{"type":"audio_chunk","pcm":"0000","seq":-1}"#.to_owned(), "bad_field"),
            (r#"{"type":"audio_chunk","pcm":"0000","seq":1e400}"#.to_owned(), "bad_json"),
            (r#"{"type":"audio_chunk","pcm":"0000","timestamp":"x"}"#.to_owned(), "bad_field"),
            (r#"{"type":"audio_chunk","pcm":null,"seq":1}"#.to_owned(), "bad_field"),
            (r#"{"type":"audio_chunk","type":"x","pcm":""}"#.to_owned(), "unknown_type"),
            (r#"{"type":"tts_audio","pcm":"0000"}"#.to_owned(), "unknown_type"),
            ("null".to_owned(), "bad_json"),
        ];
        for (text, code) in cases {
            phone.send(tokio_tungstenite::tungstenite::Message::text(text.clone())).await;
            let told = phone.until(code, |message| message.text("type") == "error").await;
            let shown: String = text.chars().take(60).collect();
            assert_eq!(told.last().map(|error| error.text("code")), Some(code), "{shown}");
        }
        // What a newer client may add is not looked at, however much it is.
        let more = format!(r#"{{"type":"audio_chunk","pcm":"","x":{}}}"#, nested("[", "]"));
        phone.send(tokio_tungstenite::tungstenite::Message::text(more)).await;
        // Any numbers will do, as long as none is repeated.
        for seq in [u64::MAX, 7, 3, 0, 0, 1 << 63] {
            let text = chunk(seq, &[0; 16]);
            phone.send(tokio_tungstenite::tungstenite::Message::text(text)).await;
        }
        let told = phone.turn(&speech()).await;
        assert!(!told.iter().any(|message| message.text("type") == "error"), "{:?}", brief(&told));
        phone.hang_up().await;
    })
    .await;
}

#[tokio::test]
async fn whoever_breaks_the_websocket_protocol_is_sent_away_with_the_code_for_it() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let piece = vec![b'x'; 100_000];
        let fragments = [frame(TEXT_BEGINS, b"x"), frame(GOES_ON, &piece).repeat(100)].concat();
        let cases = [
            ("a terabyte is announced", header(TEXT, 1 << 40), 1009),
            ("ten megabytes are sent", frame(TEXT, &vec![b'x'; 10 << 20]), 1009),
            ("ten megabytes are sent", frame(BINARY, &vec![0; 10 << 20]), 1009),
            ("ten megabytes in pieces", fragments, 1009),
            ("no UTF-8", frame(TEXT, &[0xff, 0xfe, 0x80]), 1007),
            ("a reserved opcode", frame(0x83, b"x"), 1002),
            ("reserved bits", frame(TEXT | 0x70, b"x"), 1002),
            ("a long ping", frame(PING, &[0; 126]), 1002),
            ("a ping in pieces", frame(PING & 0x7f, b"x"), 1002),
            ("a continuation of nothing", frame(GOES_ON | 0x80, b"x"), 1002),
            ("no mask", [vec![TEXT, 1], b"x".to_vec()].concat(), 1002),
            ("another protocol", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(), 1002),
        ];
        for door in [(&engine.simulator, "/"), (&engine.http, "/v1/stream?events=0")] {
            join_all(cases.iter().map(|(what, bytes, code)| async move {
                let mut raw = Raw::websocket(door.0, door.1).await;
                raw.send(bytes).await;
                let (told, texts) = raw.close_code().await;
                assert_eq!(told, Some(*code), "{what} at {}: {texts}", door.1);
            }))
            .await;
        }
    })
    .await;
}

#[tokio::test]
async fn floods_are_slowed_down_or_sent_away() {
    let sandbox = sandbox();
    // Short, because a flooder who is gone is noticed by a ping.
    let setup = Setup::with(&sandbox).key("LIMITS__IDLE_MS_MAX", "6000");
    let engine = setup.start().await;
    beside_a_good_call(&engine, async {
        // A minute of audio at once, again and again, until it is not taken any more.
        let hasty = flood(&engine.simulator, "/", frame(TEXT, chunk(0, &[0; 16_000]).as_bytes()));
        // Wrong messages whose answers are not read.
        let deaf = flood(&engine.simulator, "/", frame(TEXT, b"{}"));
        let deaf_pings = flood(&engine.simulator, "/", frame(PING, &[0; 125]));
        let hasty_stream = flood(&engine.http, "/v1/stream", frame(BINARY, &[0; 32_000]));
        let nothing = flood(&engine.http, "/v1/stream", frame(BINARY, &[]));
        tokio::join!(hasty, deaf, deaf_pings, hasty_stream, nothing);
    })
    .await;
}

#[tokio::test]
async fn floods_of_small_frames_cost_the_neighbours_nothing() {
    let (engine, _sandbox) = engine().await;
    beside_good_calls(&engine, 20, async {
        let silence = chunk(0, &[]);
        let fragments =
            [frame(TEXT_BEGINS & 0x0f, b""), frame(GOES_ON, b"").repeat(10_000)].concat();
        let stream = |bytes| flood(&engine.http, "/v1/stream", bytes);
        let simulator = |bytes| flood(&engine.simulator, "/", bytes);
        let floods = [
            stream(frame(PING, b"")),
            stream(frame(BINARY, b"")),
            stream(frame(BINARY, b"x")),
            stream(frame(TEXT, b"x")),
            stream(fragments),
            simulator(frame(PING, b"")),
            simulator(frame(PONG, b"")),
            simulator(frame(TEXT, silence.as_bytes())),
            simulator([frame(TEXT, b"{}"), frame(TEXT, silence.as_bytes())].concat()),
        ];
        tokio::join!(join_all(floods), pings(&engine), posts(&engine));
    })
    .await;
}

/// One ping after the other is answered, and who sends very many is sent away.
async fn pings(engine: &Engine) {
    let mut pinging = Raw::websocket(&engine.simulator, "/").await;
    for _ in 0..30 {
        pinging.send(&frame(PING, b"are you there")).await;
        // The engine asks, too.
        while pinging.read_frame().await.expect("a pong").0 != PONG {}
    }
    pinging.send(&frame(PING, b"").repeat(1_000)).await;
    assert_eq!(pinging.close_code().await.0, Some(1008));
}

/// Tiny posts, and polls of the reply, of one call over a few connections, each as fast as it
/// is answered.
async fn posts(engine: &Engine) {
    let started =
        client().post(format!("{}/v1/calls", engine.http)).body(r#"{"call_id":"hasty"}"#).send();
    assert_eq!(started.await.expect("it answers").status(), 201);
    let post = "POST /v1/calls/hasty/media HTTP/1.1\r\nHost: localhost\r\nX-Sequence-Id: 0\r\n\
        Content-Length: 2\r\n\r\n\0\0";
    let poll = "GET /v1/calls/hasty/audio HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let floods = [post, post, post, poll, poll, poll].map(|request| async {
        let mut raw = Raw::connect(&engine.http).await;
        let mut answers = Vec::new();
        let flooding = pour(&mut raw, request.as_bytes(), Some(&mut answers));
        drop(tokio::time::timeout(FLOOD, flooding).await);
        String::from_utf8_lossy(&answers).into_owned()
    });
    for answers in join_all(floods).await {
        let statuses = answers.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]);
        // How many are one too many depends on the computer.
        let odd = statuses.filter(|status| !["200", "202", "429"].contains(status)).count();
        assert!(!answers.is_empty() && odd == 0, "{odd} odd answers: {answers:.2000}");
    }
}

/// How long a flood lasts.
const FLOOD: Duration = Duration::from_secs(4);

/// Sends `bytes` without end and reads nothing, until the flood is over or the connection is
/// closed.
async fn flood(url: &str, path: &str, bytes: Vec<u8>) {
    let mut raw = Raw::websocket(url, path).await;
    drop(tokio::time::timeout(FLOOD, pour(&mut raw, &bytes, None)).await);
}

/// Sends `bytes` without end until the connection is closed, and reads what is answered where
/// somebody wants it.
async fn pour(raw: &mut Raw, bytes: &[u8], mut answers: Option<&mut Vec<u8>>) {
    let bytes = bytes.repeat(64 * 1024 / bytes.len() + 1);
    let mut from = 0;
    loop {
        if let Some(answers) = &mut answers {
            raw.take_answers(answers);
        }
        match raw.try_send(&bytes[from..]) {
            Ok(count) => from = (from + count) % bytes.len(),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => match answers {
                Some(_) => raw.has_room_or_answers().await,
                None => raw.has_room().await,
            },
            Err(_) => return,
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn connections_that_never_come_to_the_point_are_closed() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let mut waiting = Vec::new();
        for _ in 0..50 {
            for url in [&engine.http, &engine.simulator] {
                waiting.push(Raw::connect(url).await);
                let mut half = Raw::connect(url).await;
                half.send(b"GET /live HTTP/1.1\r\nHo").await;
                waiting.push(half);
            }
        }
        let mut body = Raw::connect(&engine.http).await;
        body.send(b"POST /v1/calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{")
            .await;
        waiting.push(body);
        for raw in &mut waiting {
            let told = raw.rest().await;
            assert!(told.starts_with("HTTP/1.1 408"), "{told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_byte_by_byte_is_served_like_any_other() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let mut raw = Raw::connect(&engine.simulator).await;
        raw.dribble(raw::upgrade("/?events=1").as_bytes()).await;
        let answer = raw.read_head().await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        raw.dribble(&frame(TEXT, chunk(1, &[0; 320]).as_bytes())).await;
        raw.dribble(&frame(TEXT, b"{}")).await;
        raw.dribble(&frame(0x88, &1_000_u16.to_be_bytes())).await;
        let (code, texts) = raw.close_code().await;
        assert_eq!(code, Some(1000));
        assert_eq!(texts.matches("bad_field").count(), 1, "{texts}");
    })
    .await;
}

// === HTTP ===

#[tokio::test]
async fn requests_that_are_no_http_are_refused() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let post = "POST /v1/calls HTTP/1.1\r\nHost: localhost\r\n";
        let many: String = (0..1_000).map(|n| format!("h{n}: x\r\n")).collect();
        let cases = [
            (format!("{post}Content-Length: 2\r\nContent-Length: 5\r\n\r\n{{}}abc"), 400),
            (
                format!("{post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
                400,
            ),
            (format!("{post}Content-Length: -1\r\n\r\n"), 400),
            (format!("{post}Content-Length: 99999999999999999999\r\n\r\n"), 400),
            (format!("{post}Transfer-Encoding: chunked\r\n\r\nzz\r\nabc"), 400),
            (format!("{post}Transfer-Encoding: chunked\r\n\r\n{}\r\nabc", "f".repeat(17)), 400),
            (format!("{post}Transfer-Encoding: chunked\r\n\r\n{}\r\nabc", "f".repeat(15)), 408),
            (format!("{post}Content-Length: 9999999999\r\n\r\n{}", " ".repeat(20_000)), 413),
            (format!("GET /live HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(1 << 20)), 431),
            (format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1 << 20)), 431),
            (format!("GET /live HTTP/1.1\r\n{many}\r\n"), 431),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
            ("\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}hello".to_owned(), 400),
            ("GET /\u{fc} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400),
        ];
        for (request, status) in cases {
            let mut raw = Raw::connect(&engine.http).await;
            raw.send(request.as_bytes()).await;
            let told = raw.read_head().await;
            let shown: String = request.chars().take(120).collect();
            assert!(told.starts_with(&format!("HTTP/1.1 {status} ")), "{shown:?}: {told}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_wrong_gets_its_status_and_says_what_is_wrong() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let started =
            client().post(format!("{}/v1/calls", engine.http)).body(r#"{"call_id":"a"}"#).send();
        assert_eq!(started.await.expect("it answers").status(), 201);
        let cases = [
            ("GET /nowhere", "", 404, "not_found"),
            ("POST /v1/calls/a/b/c", "", 404, "not_found"),
            ("PUT /v1/calls", "", 405, "method_not_allowed"),
            ("GET /v1/calls?limit=0", "", 400, "bad_query"),
            ("GET /v1/calls?after=x", "", 400, "bad_query"),
            ("GET /v1/slow-turns?limit=x", "", 400, "bad_query"),
            ("PUT /v1/calls/a", "", 405, "method_not_allowed"),
            ("GET /v1/calls/a/media", "", 405, "method_not_allowed"),
            ("POST /v1/calls/a/audio", "", 405, "method_not_allowed"),
            ("POST /live", "", 405, "method_not_allowed"),
            ("DELETE /metrics", "", 405, "method_not_allowed"),
            ("POST /v1/stream", "", 405, "method_not_allowed"),
            ("GET /v1/stream", "", 400, "not_a_websocket"),
            ("GET /v1/calls/nobody", "", 404, "unknown_call"),
            ("DELETE /v1/calls/nobody", "", 404, "unknown_call"),
            ("GET /v1/calls/%2e%2e%2fetc%2fpasswd", "", 400, "bad_path"),
            ("GET /v1/calls/..%00", "", 400, "bad_call_id"),
            ("GET /v1/calls/a%0d%0aX:%20y", "", 400, "bad_call_id"),
            ("GET /v1/calls/%C3%BC", "", 400, "bad_call_id"),
            ("GET /v1/calls/%FF", "", 400, "bad_call_id"),
            ("POST /v1/calls", r#"{"call_id":"a\nb"}"#, 400, "bad_json"),
            ("POST /v1/calls", r#"{"format":{"codec":"opus","rate":8000}}"#, 400, "bad_json"),
            ("POST /v1/calls", r#"{"format":{"codec":"pcm16","rate":12345}}"#, 415, ""),
            ("POST /v1/calls", r#"{"user":"x"}"#, 400, "bad_json"),
            ("POST /v1/calls", "[[[[", 400, "bad_json"),
            ("GET /v1/calls/a/audio?from=-1", "", 400, "bad_position"),
        ];
        for (request, body, status, code) in cases {
            let (method, path) = request.split_once(' ').expect("both");
            let method = method.parse().expect("a method");
            let answer = client().request(method, format!("{}{path}", engine.http));
            let answer = answer.body(body).send().await.expect("it answers");
            let allow = answer.headers().contains_key("Allow");
            let told = (answer.status().as_u16(), answer.text().await.expect("a whole answer"));
            let says = told.1.contains(&format!(r#"{{"error":{{"code":"{code}"#));
            assert_eq!(allow, status == 405, "{request}");
            assert!(told.0 == status && says, "{request} {body}: {told:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn strangers_who_send_nonsense_do_not_fill_the_log() {
    let (engine, _sandbox) = engine().await;
    let before = engine.setup.log().lines().count();
    for _ in 0..345 {
        let mut raw = Raw::connect(&engine.http).await;
        raw.send(b"nonsense\r\n\r\n").await;
        raw.read_head().await;
    }
    let log = engine.stop().await.log;
    // It takes some seconds, with ten lines in each.
    let lines = log.lines().count() - before;
    assert!(lines < 345, "{lines} lines: {log}");
}

#[tokio::test]
async fn a_media_post_that_is_wrong_uses_up_no_number() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        let calls = format!("{}/v1/calls", engine.http);
        let started = client().post(&calls).body(r#"{"call_id":"a"}"#).send().await;
        assert_eq!(started.expect("it answers").status(), 201);
        let wave = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\x00\x00\x00";
        let cases: [(&str, &str, Vec<u8>, u16); 14] = [
            ("-1", "", vec![0; 640], 400),
            ("1e3", "", vec![0; 640], 400),
            ("18446744073709551616", "", vec![0; 640], 400),
            ("18446744073709551615", "", vec![0; 640], 409),
            ("0", "text/html", vec![0; 640], 415),
            ("0", "audio/l16;rate=8000", vec![0; 640], 415),
            ("0", "audio/l16;rate=-5", vec![0; 640], 415),
            ("0", "audio/wav", wave.to_vec(), 415),
            ("0", "", vec![0; 641], 400),
            ("0", "", vec![0; 10 << 20], 413),
            ("0", "", vec![0; 640], 202),
            ("0", "", vec![0; 640], 200),
            ("257", "", vec![0; 640], 202),
            ("258", "", vec![0; 640], 409),
        ];
        for (sequence, content_type, body, status) in cases {
            let what = format!("{sequence} {content_type} {} bytes", body.len());
            let mut post =
                client().post(format!("{calls}/a/media")).header("X-Sequence-Id", sequence);
            if !content_type.is_empty() {
                post = post.header("Content-Type", content_type);
            }
            // Whoever is refused early may be cut off before all is sent.
            let Ok(answer) = post.body(body).send().await else {
                assert_eq!(status, 413, "{what}");
                continue;
            };
            let told = (answer.status().as_u16(), answer.text().await.unwrap_or_default());
            assert_eq!(told.0, status, "{what}: {told:?}");
        }
        let ended = client().delete(format!("{calls}/a")).send().await;
        assert_eq!(ended.expect("it answers").status(), 200);
    })
    .await;
}

#[tokio::test]
async fn a_full_engine_says_at_every_door_when_to_come_back() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox)
        .key("LIMITS__CALLS_MAX", "2")
        .key("HTTP_CALLBACK__AUTO_START", "true");
    let engine = setup.start().await;
    beside_a_good_call(&engine, async {
        // The good call may still be on its way.
        let second = eventually("a second call", async || {
            let first = engine.metric("antiphon_calls_active").await;
            if first < 1.0 { None } else { Phone::dial(&engine.simulator, "/").await.ok() }
        })
        .await;
        let refused = Phone::ask(&engine.simulator, "/").await.err().expect("it is full");
        assert_eq!((refused.status, refused.retry_after.as_deref()), (1013, Some("1")));
        assert!(refused.body.contains(r#""code":"full""#), "{refused:?}");
        let stream = engine.http.replace("http", "ws");
        let refused = Phone::ask(&stream, "/v1/stream").await.err().expect("it is full");
        assert_eq!((refused.status, refused.retry_after.as_deref()), (1013, Some("1")));
        for path in ["/v1/calls", "/v1/calls/b/media"] {
            let post = client().post(format!("{}{path}", engine.http)).header("X-Sequence-Id", "0");
            let answer = post.send().await.expect("it answers");
            assert_eq!(answer.status(), 503, "{path}");
            assert!(answer.headers().contains_key("Retry-After"), "{path}");
        }
        second.hang_up().await;
    })
    .await;
}

#[tokio::test]
async fn audio_at_half_or_double_its_declared_pace_is_reported() {
    let (engine, _sandbox) = engine().await;
    beside_a_good_call(&engine, async {
        // Silence, so that no turn is taken; each chunk is sent once in 20 ms.
        let engine = &engine;
        join_all([(8_000, 320), (16_000, 160)].map(|(rate, samples)| async move {
            let path = format!("/?events=1&rate={rate}");
            let mut phone = Phone::dial(&engine.simulator, &path).await.expect("taken");
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            for _ in 0..350 {
                tick.tick().await;
                phone.chunk(&vec![0; samples]).await;
            }
            let told = phone.until_event("rate_suspected").await;
            let suspected = told.last().expect("an event");
            assert_eq!(suspected.fact("declared_hz").as_u64(), Some(rate), "{suspected:?}");
            phone.hang_up().await;
        }))
        .await;
    })
    .await;
}
