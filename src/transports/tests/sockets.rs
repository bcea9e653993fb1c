//! The WebSocket protocols as clients see them, over loopback.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::dev::Server;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::actors::tests::stage::{Script, Stage, speech};
use crate::config::{LimitSettings, WebSocketRefusal};
use crate::transports::{Access, Places, Port, hex, simulator, stream};
use crate::types::{CallId, Route};

const PATIENCE: Duration = Duration::from_secs(30);

/// A stage with both protocols in front of it.
struct Engine {
    stage: Stage,
    simulator: u16,
    http: u16,
}

impl Engine {
    fn start(script: Script) -> Self {
        Self::start_refusing_by(script, WebSocketRefusal::Close)
    }

    fn start_refusing_by(script: Script, websocket_refusal: WebSocketRefusal) -> Self {
        let stage = Stage::new(script, Route::default());
        let limits = LimitSettings { websocket_refusal, ..LimitSettings::default() };
        let simulator = simulator::SimulatorState::new(stage.switchboard.clone(), &limits, false);
        let stream = stream::StreamState::new(stage.switchboard.clone(), &limits, false);
        Self {
            stage,
            simulator: serve(|port| simulator::listen(port, simulator)),
            http: serve(|port| stream::listen(port, |_| (), stream)),
        }
    }

    async fn simulate(&self, path_and_query: &str) -> Client {
        Client::connect(self.simulator, path_and_query).await.expect("a call")
    }

    async fn stream(&self, path_and_query: &str) -> Client {
        Client::connect(self.http, path_and_query).await.expect("a call")
    }
}

fn serve(listen: impl FnOnce(Port) -> std::io::Result<Server>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let number = listener.local_addr().expect("bound").port();
    let port = Port {
        listener,
        workers: 1,
        tls: None,
        places: Places::new(100, 0),
        access: Access::default(),
    };
    actix_web::rt::spawn(listen(port).expect("served"));
    number
}

struct Client(WebSocketStream<TcpStream>);

impl Client {
    async fn connect(port: u16, path_and_query: &str) -> Result<Self, Error> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let url = format!("ws://127.0.0.1:{port}{path_and_query}");
        client_async(url, stream).await.map(|(socket, _)| Self(socket))
    }

    async fn send(&mut self, message: Message) {
        timeout(PATIENCE, self.0.send(message)).await.expect("in time").expect("still open");
    }

    async fn send_json(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends audio as simulator chunks of `chunk_ms`.
    async fn send_chunks(&mut self, samples: &[i16], chunk_ms: usize) {
        for (seq, samples) in samples.chunks(16 * chunk_ms).enumerate() {
            let pcm = hex::encode(&bytes_of(samples));
            let timestamp = seq as f64 * 0.001 * chunk_ms as f64;
            let chunk = json!({
                "type": "audio_chunk", "pcm": pcm, "timestamp": timestamp, "seq": seq,
            });
            self.send_json(&chunk).await;
        }
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Message {
        let next = async {
            loop {
                match self.0.next().await.expect("a message before the end") {
                    Ok(Message::Ping(_)) => {}
                    message => return message.expect("a whole message"),
                }
            }
        };
        timeout(PATIENCE, next).await.expect("in time")
    }

    async fn next_json(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("text was expected, not {other:?}"),
        }
    }

    /// The code of the close frame that follows, whatever comes before it.
    async fn close_code(&mut self) -> CloseCode {
        loop {
            if let Message::Close(frame) = self.next().await {
                return frame.expect("a code").code;
            }
        }
    }
}

fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// A caller who says something and is silent afterwards.
fn utterance() -> Vec<i16> {
    let mut samples = speech();
    samples.resize(samples.len() + 16_000, 0);
    samples
}

fn status(refused: Result<Client, Error>) -> (u16, String) {
    match refused.map(|_| ()) {
        Err(Error::Http(response)) => {
            let body = response.body().clone().unwrap_or_default();
            (response.status().as_u16(), String::from_utf8_lossy(&body).into_owned())
        }
        other => panic!("an HTTP status was expected, not {other:?}"),
    }
}

#[actix_web::test]
async fn a_simulator_that_knows_nothing_else_gets_one_message_a_sentence() {
    for chunk_ms in [10, 2_000] {
        let engine = Engine::start(Script::default());
        let mut client = engine.simulate("/").await;
        client.send_chunks(&utterance(), chunk_ms).await;
        for sentence in 0..2 {
            let message = client.next_json().await;
            assert_eq!(message["type"], "tts_audio", "{chunk_ms} ms, sentence {sentence}");
            assert_eq!(message["intent"], "intent_one");
            assert_eq!(message["pcm"].as_str().map(str::len), Some(400 * 16 * 4));
        }
        assert_eq!(*engine.stage.services.asked.lock(), ["one"]);
    }
}

#[actix_web::test]
async fn a_simulator_that_asks_for_events_can_follow_its_call() {
    let engine = Engine::start(Script::default());
    let mut client = engine.simulate("/any/path?call_id=c&events=1").await;
    let started = client.next_json().await;
    let expected = json!({"type": "started", "call_id": CallId::from_bits(1), "resumed": false, "sample_rate": 16_000});
    assert_eq!(started, expected);
    let event = client.next_json().await;
    assert_eq!((&event["type"], &event["sequence"]), (&json!("event"), &json!(1)));
    assert_eq!(event["kind"]["event"], "call_started");
}

#[actix_web::test]
async fn a_bad_message_is_answered_and_the_call_goes_on() {
    let engine = Engine::start(Script::default());
    let mut client = engine.simulate("/").await;
    client
        .send_json(&json!({"type": "audio_chunk", "pcm": "01", "timestamp": 0.0, "seq": 4}))
        .await;
    let error = client.next_json().await;
    assert_eq!((&error["type"], &error["seq"]), (&json!("error"), &json!(4)));
    assert_eq!(error["code"], "odd_byte_count");
    client.send(Message::binary(vec![0; 2])).await;
    assert_eq!(client.next_json().await["code"], "binary_message");
    client.send_chunks(&utterance(), 20).await;
    assert_eq!(client.next_json().await["type"], "tts_audio");
}

#[actix_web::test]
async fn a_chunk_that_was_taken_is_not_taken_again() {
    let engine = Engine::start(Script::default());
    let mut client = engine.simulate("/").await;
    let chunk = json!({"type": "audio_chunk", "pcm": "0100", "timestamp": 0.0, "seq": 1});
    client.send_json(&chunk).await;
    client.send_json(&chunk).await;
    let error = client.next_json().await;
    assert_eq!((&error["code"], &error["seq"]), (&json!("duplicate_seq"), &json!(1)));
}

#[actix_web::test]
async fn a_client_that_only_sends_nonsense_is_sent_away() {
    let engine = Engine::start(Script::default());
    let mut client = engine.simulate("/").await;
    for _ in 0..20 {
        client.send(Message::text("nonsense")).await;
    }
    assert_eq!(client.close_code().await, CloseCode::Policy);
}

#[actix_web::test]
async fn a_message_of_ten_megabytes_is_refused_and_other_calls_go_on() {
    let engine = Engine::start(Script::default());
    let mut other = engine.simulate("/").await;
    let mut client = engine.simulate("/").await;
    client.send(Message::text("0".repeat(10 << 20))).await;
    assert_eq!(client.next_json().await["code"], "message_too_large");
    assert_eq!(client.close_code().await, CloseCode::Size);
    other.send_chunks(&utterance(), 100).await;
    assert_eq!(other.next_json().await["type"], "tts_audio");
}

#[actix_web::test]
async fn a_connection_with_the_id_of_a_lost_call_continues_it() {
    let engine = Engine::start(Script::default());
    let mut client = engine.simulate("/?call_id=c").await;
    client.send_chunks(&utterance(), 100).await;
    assert_eq!(client.next_json().await["intent"], "intent_one");
    drop(client);
    let mut client = engine.simulate("/?call_id=c&events=1").await;
    assert_eq!(client.next_json().await["resumed"], true);
    assert_eq!(engine.stage.switchboard.load().await.map(|load| load.calls), Some(1));
}

#[actix_web::test]
async fn what_is_wrong_with_a_request_is_told_before_the_upgrade() {
    let engine = Engine::start(Script::default());
    let refused = status(Client::connect(engine.simulator, "/?rate=44100").await);
    assert_eq!(refused.0, 400);
    assert!(refused.1.contains("8000 or 16000"), "{}", refused.1);
    assert_eq!(status(Client::connect(engine.http, "/v1/stream?call_id=%20").await).0, 400);
}

#[actix_web::test]
async fn a_lack_of_room_is_told_as_the_configuration_says() {
    for refusal in [WebSocketRefusal::Close, WebSocketRefusal::Status] {
        let engine = Engine::start_refusing_by(Script::default(), refusal);
        let mut calls = Vec::new();
        for _ in 0..10 {
            calls.push(engine.stream("/v1/stream").await);
        }
        for (port, path) in [(engine.http, "/v1/stream"), (engine.simulator, "/")] {
            let refused = Client::connect(port, path).await;
            if refusal == WebSocketRefusal::Status {
                let (status, body) = status(refused);
                assert_eq!(status, 503);
                assert!(body.contains("\"full\""), "{body}");
                continue;
            }
            let mut client = refused.expect("a WebSocket");
            // Audio that is already on its way does no harm.
            client.send(Message::binary(vec![0; 640])).await;
            let why = client.next_json().await;
            assert_eq!((&why["type"], &why["code"]), (&json!("error"), &json!("full")));
            let Message::Close(Some(close)) = client.next().await else { panic!("no reason") };
            assert_eq!(close.code, CloseCode::Again);
            assert_eq!(close.reason.as_str(), r#"{"code":"full","retry_after_s":1}"#);
        }
    }
}

#[actix_web::test]
async fn a_stream_takes_frames_of_any_size_and_plays_frames_of_100_ms() {
    let engine = Engine::start(Script { sentence_ms: 200, ..Script::default() });
    let mut client = engine.stream("/v1/stream?events=0").await;
    assert_eq!(client.next_json().await["type"], "started");
    // Odd pieces: samples are cut in two at almost every border.
    for piece in bytes_of(&utterance()).chunks(1_001) {
        client.send(Message::binary(piece.to_vec())).await;
    }
    let mut reply = Vec::new();
    while reply.len() < 2 * 200 * 32 {
        let Message::Binary(frame) = client.next().await else { panic!("audio was expected") };
        assert!(frame.len() <= 3_200, "{} bytes", frame.len());
        reply.extend_from_slice(&frame);
    }
    assert_eq!(reply, bytes_of(&[1_000; 2 * 200 * 16]));
    assert_eq!(*engine.stage.services.asked.lock(), ["one"]);
}

#[actix_web::test]
async fn a_stream_is_ended_by_a_message_and_told_of_bad_ones() {
    let engine = Engine::start(Script::default());
    let mut client = engine.stream("/v1/stream?events=0").await;
    assert_eq!(client.next_json().await["type"], "started");
    client.send(Message::text("?")).await;
    assert_eq!(client.next_json().await["code"], "bad_control");
    client.send_json(&json!({"type": "hangup"})).await;
    assert_eq!(client.close_code().await, CloseCode::Normal);
}

#[actix_web::test]
async fn a_dialog_that_ends_closes_the_connection_in_order() {
    let script = Script {
        words: vec!["bye"],
        reply: |_| Ok("Goodbye."),
        sentence_ms: 100,
        ..Script::default()
    };
    let engine = Engine::start(script);
    let mut client = engine.stream("/v1/stream?events=0").await;
    client.send(Message::binary(bytes_of(&utterance()))).await;
    let mut last_text = None;
    let closed = loop {
        match client.next().await {
            Message::Text(text) => last_text = serde_json::from_str::<Value>(&text).ok(),
            Message::Close(frame) => break frame,
            _ => {}
        }
    };
    assert_eq!(last_text, Some(json!({"type": "end", "cause": "dialog_ended"})));
    assert_eq!(closed.map(|frame| frame.code), Some(CloseCode::Normal));
}

#[actix_web::test]
async fn a_request_that_is_no_upgrade_is_told_so() {
    let engine = Engine::start(Script::default());
    for (port, path) in [(engine.simulator, "/"), (engine.http, "/v1/stream")] {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("text");
        assert!(answer.starts_with("HTTP/1.0 400"), "{answer}");
        assert!(answer.contains("not_a_websocket"), "{answer}");
    }
    assert_eq!(status(Client::connect(engine.http, "/elsewhere").await).0, 404);
}
