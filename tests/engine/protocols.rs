//! What `docs/protocols.md` and `docs/api` say is what the engine does: real messages and real
//! answers fit the documents, and the clients in `examples/` make calls with them.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::prometheus::tool;
use crate::support::schema::Document;
use crate::support::{
    Engine, HANG_GUARD, Message, Phone, Setup, client, eventually, sandbox, speech,
};
use actix_web::{App, HttpResponse, HttpServer, web};
use antiphon::media::wav;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio_tungstenite::tungstenite::Message as Frame;

fn messages() -> Document {
    Document::read("messages.schema.json")
}

/// Checks each message against the messages that a protocol has.
fn check(protocol: &str, told: &[Message]) {
    let document = messages();
    for message in told {
        if let Message::Json(value) = message {
            let faults = document.check(&format!("/$defs/{protocol}"), value);
            assert_eq!(faults, Vec::<String>::new(), "{value}");
        }
    }
}

/// The types among `told`.
fn types(told: &[Message]) -> Vec<String> {
    let mut types: Vec<String> =
        told.iter().map(|it| it.text("type").to_owned()).filter(|it| !it.is_empty()).collect();
    types.sort();
    types.dedup();
    types
}

#[tokio::test]
async fn every_message_of_the_simulator_protocol_is_documented() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    let mut told = phone.turn(&speech()).await;
    phone.send(Frame::text(r#"{"type":"news","seq":5}"#)).await;
    told.extend(phone.until("the refusal", |message| message.text("type") == "error").await);
    engine.signal("TERM").await;
    eventually("it drains", async || (engine.get("/ready").await.0 == 503).then_some(())).await;
    engine.signal("TERM").await;
    told.extend(phone.rest().await);
    check("simulator_out", &told);
    assert_eq!(types(&told), ["end", "error", "event", "started", "tts_audio"]);
    engine.end().await.assert_code(0);
}

#[tokio::test]
async fn every_message_of_the_audio_stream_is_documented() {
    let sandbox = sandbox();
    let setup = Setup::with(&sandbox).key("ROUTE__LISTENING__BURST_MS_MAX", "30000");
    let engine = setup.start().await;
    let stream = format!("{}/v1/stream", engine.http.replace("http", "ws"));
    let mut phone = Phone::dial(&stream, "?events=1").await.expect("taken");
    phone.send(Frame::text("what?")).await;
    let mut told = phone.until("the refusal", |message| message.text("type") == "error").await;
    let pcm: Vec<u8> = speech().iter().flat_map(|sample| sample.to_le_bytes()).collect();
    phone.send(Frame::binary([pcm, vec![0; 64_000]].concat())).await;
    let answered = |message: &Message| message.event() == "turn_answered";
    told.extend(phone.until("an answer", answered).await);
    phone.send(Frame::text(r#"{"type":"hangup"}"#)).await;
    told.extend(phone.rest().await);
    check("stream_out", &told);
    assert!(["error", "event", "started"].iter().all(|it| types(&told).contains(&(*it).into())));
    engine.stop().await.assert_code(0);
}

#[test]
fn what_clients_send_is_documented_as_the_engine_takes_it() {
    let document = messages();
    let faults = |message: Value| document.check("/$defs/simulator_in", &message);
    let whole = json!({ "type": "audio_chunk", "pcm": "0100", "timestamp": 1.5, "seq": 7 });
    assert_eq!(faults(whole), Vec::<String>::new());
    assert_eq!(faults(json!({ "type": "audio_chunk", "pcm": "" })), Vec::<String>::new());
    for wrong in [
        json!({ "type": "audio_chunk" }),
        json!({ "type": "audio_chunk", "pcm": 5 }),
        json!({ "type": "audio_chunk", "pcm": "", "seq": -1 }),
        json!({ "type": "news", "pcm": "" }),
    ] {
        assert!(!faults(wrong.clone()).is_empty(), "{wrong}");
    }
}

/// Somebody who asks the engine, and checks every answer against the document.
struct Asker {
    document: Document,
    engine: Engine,
    /// Path and method of everything that was asked.
    asked: Vec<(String, String)>,
}

impl Asker {
    /// Every path of the document, with each method.
    fn everything(&self) -> Vec<(String, Method)> {
        let paths = self.document.at("/paths").as_object().expect("paths");
        let methods = paths.iter().flat_map(|(path, methods)| {
            let names = methods.as_object().expect("methods").keys();
            let names = names.filter(|name| *name != "parameters");
            names.map(|name| (path.clone(), name.to_uppercase().parse().expect("a method")))
        });
        methods.collect()
    }

    /// Asks `path` of the document, with `id` for the call in it. Gives status and body.
    async fn ask(
        &mut self,
        method: Method,
        path: &str,
        id: &str,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> (u16, Value) {
        let url = format!("{}{}", self.engine.http, path.replace("{id}", id));
        let answer = with(client().request(method.clone(), url)).send().await.expect("it answers");
        let status = answer.status().as_u16();
        let bare = path.split('?').next().expect("a path");
        let method = method.as_str().to_lowercase();
        self.asked.push((bare.to_owned(), method.clone()));
        let place = format!(
            "/paths/{}/{method}/responses/{status}",
            bare.replace('~', "~0").replace('/', "~1")
        );
        let place = match self.document.at(&place)["$ref"].as_str() {
            Some(shared) => shared.trim_start_matches('#').to_owned(),
            None => place,
        };
        let documented = self.document.at(&place).clone();
        let named = documented["headers"].as_object().into_iter().flatten();
        for (header, _) in named.filter(|_| status != 200) {
            assert!(answer.headers().contains_key(header), "{place}: {header} is missing");
        }
        let media = answer.headers().get("content-type").and_then(|it| it.to_str().ok());
        let media = media.unwrap_or_default().split(';').next().unwrap_or_default().to_owned();
        let types = documented["content"].as_object().expect("content");
        assert!(types.contains_key(&media), "{place}: {media:?} is not documented");
        let bytes = answer.bytes().await.expect("a whole answer");
        if media != "application/json" {
            return (status, Value::Null);
        }
        let body: Value = serde_json::from_slice(&bytes).expect("JSON");
        let schema = format!("{place}/content/application~1json/schema");
        assert_eq!(self.document.check(&schema, &body), Vec::<String>::new(), "{place}: {body}");
        (status, body)
    }
}

#[tokio::test]
async fn every_answer_over_http_is_documented_and_everything_documented_is_there() {
    let sandbox = sandbox();
    // As much as is posted here may wait.
    let setup = Setup::with(&sandbox).key("ROUTE__LISTENING__BURST_MS_MAX", "30000");
    let engine = setup.start().await;
    let mut it = Asker { document: Document::read("openapi.json"), engine, asked: Vec::new() };
    let (get, post, delete) = (Method::GET, Method::POST, Method::DELETE);
    let plain = |request: RequestBuilder| request;
    let (calls, call) = ("/v1/calls", "/v1/calls/{id}");
    let (media, audio) = ("/v1/calls/{id}/media", "/v1/calls/{id}/audio");

    let (status, started) = it.ask(post.clone(), calls, "", plain).await;
    assert_eq!(status, 201);
    let id = started["call_id"].as_str().expect("an id").to_owned();
    let mut sequence = started["first_sequence"].as_u64().expect("a number");
    let pcm: Vec<u8> = speech().iter().flat_map(|sample| sample.to_le_bytes()).collect();
    for piece in [pcm, vec![0; 48_000]].concat().chunks(64_000) {
        let post = |request: RequestBuilder| {
            request.header("X-Sequence-Id", sequence).body(piece.to_vec())
        };
        assert_eq!(it.ask(Method::POST, media, &id, post).await.0, 202);
        sequence += 1;
    }
    let again =
        |request: RequestBuilder| request.header("X-Sequence-Id", sequence - 1).body(vec![0; 640]);
    assert_eq!(it.ask(post.clone(), media, &id, again).await.0, 200);
    let heard = |request: RequestBuilder| {
        request.header("X-Sequence-Id", sequence).header("Accept", "audio/*").body(vec![0; 640])
    };
    assert_eq!(it.ask(post.clone(), media, &id, heard).await.0, 200);
    eventually("the turn is answered", async || {
        (it.engine.metric("antiphon_turns_answered_total").await > 0.0).then_some(())
    })
    .await;

    assert_eq!(it.ask(get.clone(), call, &id, plain).await.1["state"], "running");
    assert_eq!(it.ask(get.clone(), calls, "", plain).await.1["total"], 1);
    assert_eq!(it.ask(get.clone(), "/v1/slow-turns", "", plain).await.0, 200);
    for path in ["/live", "/ready", "/metrics"] {
        assert_eq!(it.ask(get.clone(), path, "", plain).await.0, 200);
    }
    let wrong = |request: RequestBuilder| request.body("{");
    let nowhere = |request: RequestBuilder| request.body(r#"{"route":"nowhere"}"#);
    let too_large = |request: RequestBuilder| request.body(" ".repeat(17 << 10));
    let media_too_large =
        |request: RequestBuilder| request.header("X-Sequence-Id", 99).body(vec![0; 70_000]);
    for (method, path, id, with, status) in [
        (&post, calls, "", &wrong as &dyn Fn(RequestBuilder) -> RequestBuilder, 400),
        (&post, calls, "", &nowhere, 404),
        (&post, calls, "", &too_large, 413),
        (&post, media, &id, &media_too_large, 413),
        (&get, "/v1/calls?limit=0", "", &plain, 400),
        (&get, "/v1/slow-turns?limit=0", "", &plain, 400),
        (&get, call, "nobody", &plain, 404),
        (&delete, call, "nobody", &plain, 404),
        (&post, media, &id, &plain, 400),
        (&get, audio, "nobody", &plain, 404),
        (&get, "/v1/calls/{id}/audio?from=x", &id, &plain, 400),
        (&delete, call, &id, &plain, 200),
    ] {
        assert_eq!(it.ask(method.clone(), path, id, with).await.0, status, "{method} {path}");
    }
    it.engine.becomes_empty().await;
    assert_eq!(it.ask(get.clone(), audio, &id, plain).await.0, 200, "what was left of the reply");
    assert_eq!(it.ask(get.clone(), call, &id, plain).await.1["state"], "ended");

    for (path, methods) in it.document.at("/paths").as_object().expect("paths") {
        for method in methods.as_object().expect("methods").keys().filter(|it| *it != "parameters")
        {
            // A WebSocket has a test of its own.
            let is_asked = it.asked.contains(&(path.clone(), method.clone()));
            assert!(is_asked || path == "/v1/stream", "{method} {path} was not tried");
        }
    }
    // Who has no business here is told the same everywhere.
    for (path, method) in it.everything() {
        let page = |request: RequestBuilder| request.header("Origin", "https://evil.example");
        assert_eq!(it.ask(method.clone(), &path, &id, page).await.0, 403, "{method} {path}");
        let rebound = |request: RequestBuilder| request.header("Host", "rebound.example");
        assert_eq!(it.ask(method.clone(), &path, &id, rebound).await.0, 421, "{method} {path}");
    }
    it.engine.stop().await.assert_code(0);
}

/// A file in `examples/`.
fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(name)
}

/// Runs a client in the engine's folder, with a question there; what it printed, and the
/// length of the answer that it wrote, in samples.
async fn client_calls(engine: &Engine, program: &str, script: &str, url: &str) -> (String, usize) {
    let folder = engine.setup.folder();
    let question = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/cards_001.wav");
    let mut client = Command::new(tool(program).expect("it was there before"));
    client.arg(example(script)).args([url, question, "reply.wav"]).current_dir(folder.path());
    client.stdin(Stdio::null()).kill_on_drop(true);
    let ended = tokio::time::timeout(HANG_GUARD, client.output()).await.expect("it ends");
    let ended = ended.expect("it starts");
    let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned();
    assert!(ended.status.success(), "{script}: {said}");
    let reply = std::fs::read(folder.join("reply.wav")).expect("the answer");
    let reply = wav::read(&reply).expect("a recording");
    let loud = reply.channels[0].iter().filter(|sample| sample.unsigned_abs() > 100).count();
    (said, loud)
}

#[tokio::test]
async fn the_example_clients_make_calls_and_hear_the_answer() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let stream = format!("{}/v1/stream", engine.http.replace("http", "ws"));
    for (program, script, url) in [
        ("python3", "python/stream.py", &stream),
        ("python3", "python/callback.py", &engine.http),
        ("node", "node/stream.mjs", &stream),
    ] {
        if tool(program).is_none() {
            continue;
        }
        let (said, loud) = client_calls(&engine, program, script, url).await;
        assert!(loud > 4_000, "{script} heard {loud} samples: {said}");
    }
    engine.becomes_empty().await;
    engine.stop().await.assert_code(0);
}

/// Serves a page on this computer, as its owner would; its address.
fn served(page: &Path) -> String {
    let text = std::fs::read_to_string(page).expect("the page");
    let app = move || {
        let text = text.clone();
        let answer = move || {
            let text = text.clone();
            async move { HttpResponse::Ok().content_type("text/html").body(text) }
        };
        App::new().route("/", web::get().to(answer))
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    let server = server.bind("127.0.0.1:0").expect("a free port");
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    format!("http://{address}/")
}

#[tokio::test]
async fn the_example_page_makes_a_call_in_a_browser() {
    let Some(browser) = tool("chromium") else { return };
    let sandbox = sandbox();
    let page = served(&example("browser/index.html"));
    let origins = format!("[{:?}]", page.trim_end_matches('/'));
    let engine = Setup::with(&sandbox).key("SERVER__ALLOWED_ORIGINS", &origins).start().await;
    let stream = format!("{}/v1/stream", engine.http.replace("http", "ws"));
    let profile = crate::support::Folder::new();
    let page = format!("{page}?call&url={stream}");
    let question = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/audio/cards_001.wav");
    let door = crate::support::free_address();
    let port = door.rsplit(':').next().expect("a port");
    let mut browser = Command::new(browser);
    browser
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--mute-audio"])
        .args(["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"])
        .arg(format!("--use-file-for-fake-audio-capture={question}%noloop"))
        .arg("--autoplay-policy=no-user-gesture-required")
        .arg(format!("--remote-debugging-port={port}"))
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(page)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let browser = browser.spawn().expect("it starts");
    eventually("the page heard an answer", async || {
        let pages = client().get(format!("http://{door}/json/list")).send().await.ok()?;
        let pages: Value = pages.json().await.ok()?;
        let is_answered = |page: &Value| page["title"] == "answered";
        pages.as_array()?.iter().any(is_answered).then_some(())
    })
    .await;
    drop(browser);
    engine.stop().await;
}
