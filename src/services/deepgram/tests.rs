//! The recogniser against a server that follows a script: what it hears, and what becomes
//! of an utterance when the server does not do its part.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::*;
use crate::config::BreakerSettings;
use crate::services::SpeechFeed;
use crate::services::tests::{ReservedPort, breaker};
use crate::types::SpeechAudio;

/// What a server does with one connection.
#[derive(Clone, Copy, Debug)]
enum Script {
    /// Tells how many samples it heard, as the words of each utterance.
    Count,
    /// Likewise, but only when the stream is closed.
    CountAtTheEnd,
    /// Breaks after so many messages.
    BreakAfter(usize),
    /// Refuses the handshake.
    Refuse(u16),
    /// Says something that is no message.
    Mumble,
}

/// What the server saw: the handshakes, and the messages of all connections in order.
type Seen = Arc<Mutex<Vec<String>>>;

fn results(samples: usize, from_finalize: bool) -> Message {
    let transcript = if samples == 0 { String::new() } else { format!("{samples} samples") };
    Message::text(
        json!({
            "type": "Results", "is_final": true, "from_finalize": from_finalize,
            "channel": {"alternatives": [{"transcript": transcript, "confidence": 0.5}]},
        })
        .to_string(),
    )
}

async fn serve<S>(mut socket: WebSocketStream<S>, script: Script, seen: Seen)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut heard, mut messages) = (0, 0);
    while let Some(Ok(message)) = socket.next().await {
        messages += 1;
        let answers = match &message {
            Message::Binary(bytes) => {
                assert!(!bytes.is_empty(), "an empty message ends the stream");
                heard += bytes.len() / 2;
                Vec::new()
            }
            Message::Text(text) => {
                seen.lock().push(order(text));
                answers(script, text, &mut heard)
            }
            _ => Vec::new(),
        };
        for answer in answers {
            // The other side may be gone already.
            socket.send(answer).await.ok();
        }
        if matches!(script, Script::BreakAfter(after) if messages >= after) {
            return;
        }
    }
    seen.lock().push("gone".to_owned());
}

fn order(text: &Utf8Bytes) -> String {
    let order: serde_json::Value = serde_json::from_str(text).expect("orders are JSON");
    order["type"].as_str().expect("orders have a type").to_owned()
}

fn answers(script: Script, text: &Utf8Bytes, heard: &mut usize) -> Vec<Message> {
    let metadata = Message::text(r#"{"type":"Metadata","duration":1.0}"#);
    match (script, order(text).as_str()) {
        (Script::Count, "Finalize") => vec![results(std::mem::take(heard), true)],
        (Script::CountAtTheEnd, "CloseStream") => vec![results(*heard, false), metadata],
        (Script::Count, "CloseStream") => vec![metadata],
        (Script::Mumble, _) => vec![Message::text("hm")],
        _ => Vec::new(),
    }
}

/// A server on a port of its own that follows the scripts connection by connection, and
/// counts when there is no other one left.
async fn server(scripts: &'static [Script]) -> (SocketAddr, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (addr, seen) = (listener.local_addr().unwrap(), Seen::default());
    let noted = Arc::clone(&seen);
    tokio::spawn(async move {
        let mut scripts = scripts.iter().copied();
        while let Ok((mut tcp, _)) = listener.accept().await {
            let script = scripts.next().unwrap_or(Script::Count);
            let seen = Arc::clone(&noted);
            if let Script::Refuse(status) = script {
                let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                // What is not read before the end would reset the connection.
                tcp.read_buf(&mut Vec::with_capacity(8_192)).await.ok();
                tcp.write_all(answer.as_bytes()).await.ok();
                continue;
            }
            tokio::spawn(async move {
                #[expect(clippy::result_large_err, reason = "the callback's type")]
                let note = |request: &Request, response: Response| {
                    let key = request.headers()["authorization"].to_str().unwrap();
                    seen.lock().push(format!("{} {key}", request.uri()));
                    Ok(response)
                };
                let socket = accept_hdr_async(tcp, note).await.unwrap();
                serve(socket, script, Arc::clone(&seen)).await;
            });
        }
    });
    (addr, seen)
}

fn recogniser(addr: SocketAddr) -> DeepgramStt {
    recogniser_behind(breaker(), addr)
}

fn recogniser_behind(breaker: Arc<ProviderBreaker>, addr: SocketAddr) -> DeepgramStt {
    let settings = DeepgramSettings {
        base_url: format!("http://{addr}"),
        timeout_ms: 60_000,
        ..DeepgramSettings::default()
    };
    let key = |_: &str| Some("key-0123456789".to_owned());
    DeepgramStt::new(&settings, &key, || 0.0, breaker).unwrap()
}

fn request(call: &str, speech: LiveSpeech) -> SttRequest {
    SttRequest {
        call_id: CallId::of_test(call),
        speech,
        language: "en-US".to_owned(),
        answer_ms_max: 60_000,
        trace: None,
    }
}

fn spoken(samples: usize) -> LiveSpeech {
    SpeechAudio::new(vec![1; samples]).into()
}

fn words(text: &str) -> Transcript {
    Transcript::Final { text: text.into(), confidence: Some(0.5) }
}

#[tokio::test]
async fn the_utterances_of_a_call_go_over_one_stream() {
    let (addr, seen) = server(&[Script::Count]).await;
    let recogniser = recogniser(addr);
    for samples in [100, 40_000] {
        let transcript = recogniser.transcribe(request("a", spoken(samples))).await;
        assert_eq!(transcript, Ok(words(&format!("{samples} samples"))));
    }
    let transcript = recogniser.transcribe(request("a", spoken(0))).await;
    assert_eq!(transcript, Ok(Transcript::NoMatch));
    let handshake = "/v1/listen?encoding=linear16&sample_rate=16000&channels=1&endpointing=false\
                     &interim_results=false&smart_format=true&model=nova-3&language=en-US \
                     Token key-0123456789";
    assert_eq!(*seen.lock(), [handshake, "Finalize", "Finalize", "Finalize"]);
}

#[tokio::test]
async fn a_check_opens_a_stream_as_calls_do_and_ends_it() {
    let (addr, seen) = server(&[Script::Count]).await;
    let health = recogniser(addr).check().await;
    assert!(matches!(health, Health::Ready(_)), "{health:?}");
    until(|| seen.lock().contains(&"CloseStream".to_owned())).await;
    assert!(seen.lock()[0].starts_with("/v1/listen?encoding=linear16"), "{:?}", seen.lock());
}

#[tokio::test]
async fn whoever_opens_no_stream_is_not_called_well() {
    const UNWELL: [(&[Script], bool); 7] = [
        (&[Script::Refuse(404)], false),
        (&[Script::Refuse(200)], false),
        (&[Script::Refuse(308)], false),
        (&[Script::Refuse(429)], false),
        (&[Script::Refuse(503)], false),
        (&[Script::Refuse(401)], true),
        (&[Script::Refuse(403)], true),
    ];
    for (scripts, is_refused) in UNWELL {
        let (addr, _) = server(scripts).await;
        let health = recogniser(addr).check().await;
        assert_eq!(matches!(health, Health::Refused(_)), is_refused, "{scripts:?}: {health:?}");
        assert!(!matches!(health, Health::Ready(_)), "{scripts:?}: {health:?}");
    }
}

#[tokio::test]
async fn no_stream_is_shared_between_calls_and_a_call_that_is_over_closes_its_own() {
    let (addr, seen) = server(&[Script::Count]).await;
    let recogniser = recogniser(addr);
    for call in ["a", "b"] {
        recogniser.transcribe(request(call, spoken(100))).await.unwrap();
    }
    let handshakes = |seen: &Seen| seen.lock().iter().filter(|it| it.starts_with('/')).count();
    assert_eq!((handshakes(&seen), recogniser.idle.count()), (2, 2));
    recogniser.forget(&CallId::of_test("a"));
    assert_eq!(recogniser.idle.count(), 1);
    until(|| seen.lock().contains(&"gone".to_owned())).await;
    assert!(seen.lock().contains(&"CloseStream".to_owned()));
}

#[tokio::test]
async fn speech_is_sent_while_it_is_spoken() {
    let (addr, seen) = server(&[Script::Count]).await;
    let recogniser = recogniser(addr);
    let mut feed = SpeechFeed::begin();
    let speech = feed.speech();
    let speaking = async {
        feed.append([&[1; 1_600], &[]]);
        until(|| !seen.lock().is_empty()).await;
        feed.append([&[1; 800], &[1; 800]]);
        feed.end(SpeechAudio::new(vec![1; 4_000]));
    };
    let (transcript, ()) = tokio::join!(recogniser.transcribe(request("a", speech)), speaking);
    assert_eq!(transcript, Ok(words("4000 samples")));
}

#[tokio::test]
async fn a_call_that_ends_in_mid_utterance_leaves_no_stream_behind() {
    let (addr, seen) = server(&[Script::Count]).await;
    let recogniser = recogniser(addr);
    let mut feed = SpeechFeed::begin();
    feed.append([&[1; 1_600], &[]]);
    let speech = feed.speech();
    drop(feed);
    recogniser.transcribe(request("a", speech)).await.unwrap();
    until(|| seen.lock().contains(&"CloseStream".to_owned())).await;
    assert_eq!(recogniser.idle.count(), 0);
}

#[tokio::test]
async fn an_utterance_whose_stream_breaks_is_said_again_from_its_beginning() {
    let (addr, seen) = server(&[Script::BreakAfter(1), Script::Refuse(503), Script::Count]).await;
    let transcript = recogniser(addr).transcribe(request("a", spoken(5_000))).await;
    assert_eq!(transcript, Ok(words("5000 samples")));
    assert_eq!(seen.lock().iter().filter(|it| it.starts_with('/')).count(), 2);
}

#[tokio::test]
async fn a_server_that_always_breaks_is_given_up() {
    let (addr, seen) = server(&[
        Script::BreakAfter(1),
        Script::BreakAfter(1),
        Script::Refuse(500),
        Script::BreakAfter(1),
        Script::Count,
    ])
    .await;
    let failed = recogniser(addr).transcribe(request("a", spoken(5_000))).await;
    assert!(matches!(failed, Err(SttFailure::Unavailable { .. })), "{failed:?}");
    assert_eq!(seen.lock().iter().filter(|it| it.starts_with('/')).count(), 3);
}

/// A breaker that has just opened.
fn open_breaker(open_ms: u32) -> Arc<ProviderBreaker> {
    let settings = BreakerSettings { failures_max: 1, open_ms };
    let breaker = ProviderBreaker::new(&settings, None);
    breaker.admit(1_000).expect("closed").judge(&Err::<(), _>(ExchangeError::Broken));
    breaker
}

#[tokio::test]
async fn with_an_open_breaker_an_utterance_fails_at_once_unless_it_is_still_spoken() {
    let (addr, seen) = server(&[]).await;
    let recogniser = recogniser_behind(open_breaker(600_000), addr);
    let failed = recogniser.transcribe(request("a", spoken(10))).await.unwrap_err();
    assert!(failed.to_string().contains("too often in a row"), "{failed}");
    assert!(seen.lock().is_empty());

    let recogniser = recogniser_behind(open_breaker(50), addr);
    let mut feed = SpeechFeed::begin();
    feed.append([&[1; 1_600], &[]]);
    let speech = feed.speech();
    let speaking = async {
        until(|| !seen.lock().is_empty()).await;
        feed.end(SpeechAudio::new(vec![1; 2_000]));
    };
    let (transcript, ()) = tokio::join!(recogniser.transcribe(request("a", speech)), speaking);
    assert_eq!(transcript, Ok(words("2000 samples")));
}

#[tokio::test]
async fn a_refusal_is_final_and_says_what_is_wrong() {
    let refusals: [(&'static [Script], &str); 2] = [
        (&[Script::Refuse(401)], "the key is refused (status 401)"),
        (&[Script::Refuse(400)], "status 400"),
    ];
    for (script, told) in refusals {
        let (addr, seen) = server(script).await;
        let failed = recogniser(addr).transcribe(request("a", spoken(10))).await.unwrap_err();
        assert!(failed.to_string().contains(told), "{failed}");
        assert!(seen.lock().is_empty(), "it was not tried again");
    }
    let (addr, _) = server(&[Script::Refuse(429)]).await;
    let failed = recogniser(addr).transcribe(request("a", spoken(10))).await;
    assert_eq!(failed, Err(SttFailure::RateLimited));
}

#[tokio::test]
async fn an_answer_that_is_no_message_fails_the_utterance() {
    let (addr, _) = server(&[Script::Mumble]).await;
    let failed = recogniser(addr).transcribe(request("a", spoken(10))).await;
    assert!(matches!(failed, Err(SttFailure::Failed { .. })), "{failed:?}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let port = ReservedPort::new();
    let recogniser = recogniser(port.addr);
    let failed = recogniser.transcribe(request("a", spoken(10))).await;
    assert!(matches!(failed, Err(SttFailure::Unavailable { .. })), "{failed:?}");
    assert!(matches!(recogniser.check().await, Health::Unavailable(_)));
}

// === One stream, under a paused clock ===

async fn stream(script: Script) -> (Stream<DuplexStream>, Seen) {
    let (near, far) = duplex(1 << 20);
    let seen = Seen::default();
    let far = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    tokio::spawn(serve(far, script, Arc::clone(&seen)));
    let near = WebSocketStream::from_raw_socket(near, Role::Client, None).await;
    (Stream::new(near), seen)
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_finalize_is_asked_for_the_end_of_the_stream() {
    let (stream, seen) = stream(Script::CountAtTheEnd).await;
    let begun = tokio::time::Instant::now();
    let recognised = stream.recognise(&spoken(200)).await.unwrap();
    assert_eq!(recognised.transcript, words("200 samples"));
    assert!(recognised.stream.is_none(), "it is used up");
    assert_eq!(begun.elapsed().as_millis(), 1_500);
    assert_eq!(seen.lock()[..2], ["Finalize", "CloseStream"]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_stream_is_kept_alive_for_a_minute_and_then_closed() {
    let (stream, seen) = stream(Script::Count).await;
    let idle = IdleStreams::default();
    let call = CallId::of_test("a");
    idle.put(call, stream);
    sleep(Duration::from_millis(11_000)).await;
    assert_eq!(*seen.lock(), ["KeepAlive", "KeepAlive"]);
    let stream = idle.take(&call).await.expect("it stands");
    assert!(idle.take(&call).await.is_none(), "nobody else gets it");
    idle.put(call, stream);
    sleep(Duration::from_millis(61_000)).await;
    assert_eq!(idle.count(), 0);
    assert_eq!(seen.lock().iter().filter(|it| *it == "CloseStream").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_the_server_ends_while_it_waits_is_forgotten() {
    let (stream, _) = stream(Script::BreakAfter(1)).await;
    let idle = IdleStreams::default();
    idle.put(CallId::of_test("a"), stream);
    sleep(Duration::from_millis(5_000)).await;
    assert_eq!(idle.count(), 0);
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}
