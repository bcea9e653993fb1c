//! The stand-ins over loopback, spoken to with plain HTTP.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;

/// A sandbox on a free port and a client for it.
struct Bench {
    sandbox: RunningSandbox,
    client: Client,
}

impl Bench {
    fn start(faults: FaultProfiles) -> Self {
        // A second installation of the same provider is refused and does no harm.
        drop(rustls::crypto::ring::default_provider().install_default());
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = SandboxSettings { addr, faults, ..SandboxSettings::default() };
        let sandbox = start(settings).expect("a free loopback port");
        Self { sandbox, client: Client::builder().no_proxy().build().expect("a plain client") }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.sandbox.addr)
    }

    async fn post(&self, path: &str, authorization: &str, body: &Value) -> Response {
        let request = self.client.post(self.url(path)).header("Authorization", authorization);
        request.json(body).send().await.expect("an answer")
    }

    async fn ask(&self, body: &Value) -> Response {
        self.post("/api/v2/dialogs", "ApiKey sandbox-key", body).await
    }

    async fn bots(&self, authorization: Option<&str>) -> StatusCode {
        let mut request = self.client.get(self.url("/api/v2/bots"));
        if let Some(value) = authorization {
            request = request.header("Authorization", value);
        }
        request.send().await.expect("an answer").status()
    }

    async fn stats(&self) -> Value {
        let request = self.client.get(self.url("/_sandbox/stats"));
        request.send().await.expect("an answer").json().await.expect("json")
    }
}

fn turn(text: &str, session: &Value) -> Value {
    json!({
        "botId": "hotel",
        "dialogId": "call-1",
        "userId": "someone",
        "inputs": [{"type": "text", "text": text}],
        "sessionData": session,
    })
}

async fn refusal(response: Response) -> (u16, String) {
    let status = response.status().as_u16();
    let body: Value = response.json().await.expect("json");
    (status, body["detail"].as_str().unwrap_or_default().to_owned())
}

#[actix_web::test]
async fn the_key_check_tells_a_good_key_from_a_bad_one_and_a_powerless_one() {
    let bench = Bench::start(FaultProfiles::default());
    assert_eq!(bench.bots(Some("ApiKey sandbox-key")).await, StatusCode::OK);
    assert_eq!(bench.bots(Some("Bearer sandbox-key")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(bench.bots(Some("ApiKey other")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(bench.bots(None).await, StatusCode::UNAUTHORIZED);
    let powerless = format!("ApiKey {FORBIDDEN_KEY}");
    assert_eq!(bench.bots(Some(&powerless)).await, StatusCode::FORBIDDEN);
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_dialogs_contract_carries_the_state_in_the_session_data() {
    let bench = Bench::start(FaultProfiles::default());
    let first: Value = bench
        .ask(&turn("book a room for two nights", &json!({"mine": 1})))
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(
        first,
        json!({
            "dialogId": "call-1",
            "outputs": [{"type": "text", "text": "For how many people?"}],
            "nextState": "ask_people",
            "intent": "book_room",
            "confidence": 0.95,
            "sessionData": {
                "mine": 1,
                "hotel": {"step": "ask_people", "stay": {"nights": 2}, "misses": 0},
            },
        })
    );
    let second: Value =
        bench.ask(&turn("three", &first["sessionData"])).await.json().await.unwrap();
    assert_eq!(second["nextState"], "confirm_booking");
    assert_eq!(bench.stats().await["turns_by_session"], json!({"call-1": 2}));
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn a_dialogs_request_that_breaks_the_contract_is_refused_with_the_reason() {
    let bench = Bench::start(FaultProfiles::default());
    let without = |field: &str| {
        let mut body = turn("hello", &json!({}));
        body.as_object_mut().unwrap().remove(field);
        body
    };
    let with = |field: &str, value: Value| {
        let mut body = turn("hello", &json!({}));
        body[field] = value;
        body
    };
    let cases = [
        (without("botId"), 400, "missing field `botId`"),
        (without("inputs"), 400, "missing field `inputs`"),
        (with("botId", json!("other")), 404, "this sandbox knows hotel"),
        (with("dialogId", json!("")), 400, "dialogId must have 1 to 256 bytes"),
        (with("inputs", json!([])), 400, "inputs must hold 1 to 16 entries"),
        (with("inputs", json!([{"type": "image", "text": ""}])), 400, "type must be text"),
        (with("sessionData", json!("none")), 400, "expected a map"),
        (with("sessionData", json!({"hotel": 3})), 400, "sessionData.hotel is not what"),
        (with("userId", json!("x".repeat(70_000))), 413, "the body is refused"),
    ];
    for (body, status, detail) in cases {
        let refused = refusal(bench.ask(&body).await).await;
        assert_eq!(refused.0, status, "{detail}");
        assert!(refused.1.contains(detail), "{refused:?} should say {detail}");
    }
    let stats = bench.stats().await;
    assert_eq!(stats["dialog"]["refused"], 9);
    assert_eq!(stats["turns_by_session"], json!({}));
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_rest_endpoint_keeps_the_state_of_a_session_itself() {
    let bench = Bench::start(FaultProfiles::default());
    let path = format!("/{DEFAULT_URL_TOKEN}");
    let say = async |session: &str, text: &str| -> Value {
        let body = json!({"userId": "someone", "sessionId": session, "text": text});
        bench.post(&path, "", &body).await.json().await.unwrap()
    };
    say("a", "book a room").await;
    let reply = say("a", "two nights").await;
    assert_eq!(reply["text"], "For how many people?");
    assert_eq!(reply["outputStack"][0]["source"], "bot");
    assert_eq!(reply["data"]["intent"], "give_details");
    assert_eq!(say("b", "two nights").await["data"]["nextState"], "open");
    let goodbye = say("b", "goodbye").await;
    assert!(goodbye["data"]["_cognigy"]["_voiceGateway2"]["json"]["hangup"].is_object());
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_rest_endpoint_refuses_other_tokens_and_turns_without_content() {
    let bench = Bench::start(FaultProfiles::default());
    let body = json!({"userId": "someone", "sessionId": "a", "text": "hello"});
    let other = format!("/{}", "0".repeat(64));
    assert_eq!(refusal(bench.post(&other, "", &body).await).await.0, 404);
    let path = format!("/{DEFAULT_URL_TOKEN}");
    let empty = json!({"userId": "someone", "sessionId": "a"});
    assert_eq!(
        refusal(bench.post(&path, "", &empty).await).await,
        (400, "text or data must be given".to_owned())
    );
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_synthesiser_returns_raw_16_khz_audio_for_the_right_key_only() {
    let bench = Bench::start(FaultProfiles::default());
    let order = json!({
        "text": "good morning",
        "voice": "en-US-Standard-A",
        "sampleRateHertz": 16000,
        "audioEncoding": "LINEAR16",
    });
    let speech = bench.post("/tts/synthesize", "Bearer sandbox-key", &order).await;
    assert_eq!(speech.headers()["content-type"], "audio/l16;rate=16000;channels=1");
    assert_eq!(speech.bytes().await.unwrap().len(), 16_000);
    let refused = bench.post("/tts/synthesize", "ApiKey sandbox-key", &order).await;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let mut wrong = order;
    wrong["sampleRateHertz"] = json!(8000);
    assert_eq!(
        refusal(bench.post("/tts/synthesize", "Bearer sandbox-key", &wrong).await).await,
        (400, "sampleRateHertz must be 16000".to_owned())
    );
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_synthesiser_speaks_with_the_voice_it_was_given() {
    let synthesiser: Synthesiser = Arc::new(|order| {
        Box::pin(async move { if order.voice == "slt" { Ok(vec![7]) } else { Err("no".into()) } })
    });
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let settings =
        SandboxSettings { addr, synthesiser: Some(synthesiser), ..SandboxSettings::default() };
    let mut bench = Bench::start(FaultProfiles::default());
    std::mem::replace(&mut bench.sandbox, start(settings).unwrap()).stop().await;
    let order = |voice: &str| {
        json!({
            "text": "hello",
            "voice": voice,
            "sampleRateHertz": 16000,
            "audioEncoding": "LINEAR16",
        })
    };
    let speech = bench.post("/tts/synthesize", "Bearer sandbox-key", &order("slt")).await;
    assert_eq!(speech.bytes().await.unwrap()[..], [7, 0]);
    let refused = bench.post("/tts/synthesize", "Bearer sandbox-key", &order("other")).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    bench.sandbox.stop().await;
}

/// A synthesiser of sentences of two seconds.
fn at_pace(speech_pace: u32, faults: FaultProfiles) -> RunningSandbox {
    let synthesiser: Synthesiser = Arc::new(|_| Box::pin(async { Ok(vec![7; 32_000]) }));
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let synthesiser = Some(synthesiser);
    let settings =
        SandboxSettings { addr, synthesiser, speech_pace, faults, ..SandboxSettings::default() };
    start(settings).expect("a free loopback port")
}

async fn speak(bench: &Bench) -> Response {
    let order = json!({
        "text": "hello",
        "voice": "slt",
        "sampleRateHertz": 16000,
        "audioEncoding": "LINEAR16",
    });
    bench.post("/tts/synthesize", "Bearer sandbox-key", &order).await
}

#[actix_web::test]
async fn speech_is_streamed_in_pieces_and_as_fast_as_it_is_told() {
    let mut bench = Bench::start(FaultProfiles::default());
    let fast = std::mem::replace(&mut bench.sandbox, at_pace(4, FaultProfiles::default()));
    fast.stop().await;
    let begun = tokio::time::Instant::now();
    let mut speech = speak(&bench).await;
    assert_eq!(speech.headers()["transfer-encoding"], "chunked");
    assert_eq!(speech.content_length(), None);
    let first = speech.chunk().await.unwrap().expect("the first piece");
    assert!((1..64_000).contains(&first.len()), "{} bytes", first.len());
    let rest = speech.bytes().await.unwrap();
    assert_eq!(first.len() + rest.len(), 64_000);
    // Twenty pieces, the first one at once.
    assert!(begun.elapsed().as_millis() >= 19 * 25, "{:?}", begun.elapsed());
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn an_answer_may_break_off_in_its_middle() {
    let breaks = || FaultProfile { break_every_nth: 1, ..FaultProfile::default() };
    let faults = FaultProfiles { dialog: breaks(), tts: breaks(), ..FaultProfiles::default() };
    let mut bench = Bench::start(FaultProfiles::default());
    std::mem::replace(&mut bench.sandbox, at_pace(0, faults)).stop().await;
    let mut speech = speak(&bench).await;
    let mut heard = 0;
    while let Ok(Some(piece)) = speech.chunk().await {
        heard += piece.len();
    }
    assert_eq!(heard, 32_000, "a second of it");
    let turn = bench.ask(&turn("hello", &Value::Null)).await;
    assert_eq!(turn.status(), StatusCode::OK);
    assert!(turn.bytes().await.is_err(), "half an answer");
    let stats = bench.stats().await;
    assert_eq!((&stats["tts"]["faults"], &stats["dialog"]["faults"]), (&json!(1), &json!(1)));
    assert_eq!(stats["turns_by_session"], json!({"call-1": 1}), "the turn ran");
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn the_recogniser_hears_the_configured_phrase_in_any_wav_recording() {
    let bench = Bench::start(FaultProfiles::default());
    let transcribe = async |file: &'static [u8]| -> Response {
        let form = reqwest::multipart::Form::new()
            .part("file", reqwest::multipart::Part::bytes(file).file_name("u.wav"))
            .text("model", "whisper-1");
        let request = bench.client.post(bench.url("/v1/audio/transcriptions"));
        request.bearer_auth("sandbox-key").multipart(form).send().await.expect("an answer")
    };
    let heard: Value = transcribe(b"RIFF....").await.json().await.unwrap();
    assert_eq!(heard, json!({"text": "what time is breakfast"}));
    assert_eq!(
        refusal(transcribe(b"MP3").await).await,
        (400, "the file part is not a WAV recording".to_owned())
    );
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn every_nth_turn_fails_as_the_profile_says_and_does_not_run() {
    let dialog = FaultProfile {
        status: 429,
        status_every_nth: 2,
        retry_after: Some("7".to_owned()),
        ..FaultProfile::default()
    };
    let bench = Bench::start(FaultProfiles { dialog, ..FaultProfiles::default() });
    let hello = turn("hello", &Value::Null);
    assert_eq!(bench.ask(&hello).await.status(), StatusCode::OK);
    let limited = bench.ask(&hello).await;
    assert_eq!(limited.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(limited.headers()["retry-after"], "7");
    let stats = bench.stats().await;
    assert_eq!(stats["dialog"]["faults"], 1);
    assert_eq!(stats["dialog"]["in_flight"], 0);
    assert_eq!(stats["turns_by_session"], json!({"call-1": 1}));
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn faults_are_set_while_the_sandbox_runs_and_an_answer_may_be_lost_after_its_turn_ran() {
    let bench = Bench::start(FaultProfiles::default());
    let lost = json!({"dialog": {"status": 500, "status_every_nth": 1, "after_effect": true}});
    assert_eq!(bench.post("/_sandbox/faults", "", &lost).await.status(), StatusCode::OK);
    let answer = bench.ask(&turn("hello", &Value::Null)).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(bench.stats().await["turns_by_session"], json!({"call-1": 1}));

    let unknown = json!({"dialog": {"latency": 5}});
    let (status, detail) = refusal(bench.post("/_sandbox/faults", "", &unknown).await).await;
    assert_eq!(status, 400);
    assert!(detail.contains("unknown field `latency`"), "{detail}");
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn requests_that_hang_are_counted_while_they_are_in_flight() {
    let dialog = FaultProfile { hang_every_nth: 1, ..FaultProfile::default() };
    let bench = Bench::start(FaultProfiles { dialog, ..FaultProfiles::default() });
    let body = turn("hello", &Value::Null);
    let hanging = futures_util::future::join_all((0..3).map(|_| bench.ask(&body)));
    let watching = async {
        while bench.stats().await["dialog"]["in_flight"] != 3 {
            tokio::task::yield_now().await;
        }
    };
    futures_util::future::select(Box::pin(hanging), Box::pin(watching)).await;
    assert_eq!(bench.stats().await["dialog"]["in_flight_max"], 3);
    bench.sandbox.stop().await;
}

#[actix_web::test]
async fn a_port_in_use_and_an_outside_address_are_refused_with_what_to_do() {
    let bench = Bench::start(FaultProfiles::default());
    let taken = SandboxSettings { addr: bench.sandbox.addr, ..SandboxSettings::default() };
    let error = start(taken).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{} is in use: stop what listens there or choose another port", bench.sandbox.addr)
    );
    let outside =
        SandboxSettings { addr: SocketAddr::from(([0, 0, 0, 0], 0)), ..SandboxSettings::default() };
    assert!(matches!(start(outside), Err(SandboxError::NotLoopback(_))));
    bench.sandbox.stop().await;
}

// === The recogniser that listens while the caller speaks ===

const LISTEN: &str = "/v1/listen?model=nova-3&encoding=linear16&sample_rate=16000";

type Listener = WebSocketStream<TcpStream>;

impl Bench {
    async fn listen(&self, path: &str, key: &str) -> Result<Listener, u16> {
        let mut request =
            format!("ws://{}{path}", self.sandbox.addr).into_client_request().expect("an address");
        let token = format!("Token {key}").parse().expect("a header");
        request.headers_mut().insert("authorization", token);
        let tcp = TcpStream::connect(self.sandbox.addr).await.expect("it listens");
        match client_async(request, tcp).await {
            Ok((listener, _)) => Ok(listener),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }
}

/// Says `ms` of something, orders, and reads the next message that is told.
async fn told(listener: &mut Listener, ms: usize, order: &str) -> Value {
    for audio in vec![1_u8; ms * 32].chunks(32_000) {
        listener.send(Message::Binary(audio.to_vec().into())).await.expect("it reads");
    }
    if !order.is_empty() {
        let order = json!({"type": order}).to_string();
        listener.send(Message::text(order)).await.expect("it reads");
    }
    match listener.next().await {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).expect("JSON"),
        other => json!(format!("{other:?}")),
    }
}

fn heard(results: &Value) -> (&str, bool) {
    let transcript = results["channel"]["alternatives"][0]["transcript"].as_str();
    (transcript.expect("results"), results["from_finalize"] == true)
}

#[actix_web::test]
async fn a_stream_hears_the_phrase_in_every_utterance_and_tells_of_long_ones_early() {
    let bench = Bench::start(FaultProfiles::default());
    let mut listener = bench.listen(LISTEN, "sandbox-key").await.expect("a stream");
    let finalized = told(&mut listener, 500, "Finalize").await;
    assert_eq!(heard(&finalized), ("what time is breakfast", true));
    let early = told(&mut listener, 3_000, "").await;
    assert_eq!(heard(&early), ("what time", false));
    let rest = told(&mut listener, 100, "Finalize").await;
    assert_eq!(heard(&rest), ("is breakfast", true));
    let nothing = told(&mut listener, 0, "Finalize").await;
    assert_eq!(heard(&nothing), ("", true));
    assert_eq!(told(&mut listener, 0, "CloseStream").await["type"], "Metadata");
    assert_eq!(bench.stats().await["stt"]["requests"], 4, "a handshake and three utterances");
}

#[actix_web::test]
async fn a_stream_is_refused_without_its_key_its_model_or_its_format() {
    let bench = Bench::start(FaultProfiles::default());
    assert_eq!(bench.listen(LISTEN, "wrong").await.err(), Some(401));
    for without in ["model=nova-3", "encoding=linear16", "sample_rate=16000"] {
        let path = LISTEN.replace(without, "");
        assert_eq!(bench.listen(&path, "sandbox-key").await.err(), Some(400), "{without}");
    }
}

#[actix_web::test]
async fn an_empty_message_half_a_sample_and_a_fault_end_a_stream() {
    let stt = FaultProfile { status_every_nth: 4, ..FaultProfile::default() };
    let bench = Bench::start(FaultProfiles { stt, ..FaultProfiles::default() });
    for (bytes, reason) in [(0, "None"), (3, "DATA-0000")] {
        let mut listener = bench.listen(LISTEN, "sandbox-key").await.expect("a stream");
        listener.send(Message::Binary(vec![1; bytes].into())).await.expect("it reads");
        let end = format!("{:?}", listener.next().await);
        assert!(end.contains("Close") && end.contains(reason), "{end}");
    }
    let mut listener = bench.listen(LISTEN, "sandbox-key").await.expect("a stream");
    let end = told(&mut listener, 100, "Finalize").await.to_string();
    assert!(end.contains("NET-0000"), "{end}");
}
