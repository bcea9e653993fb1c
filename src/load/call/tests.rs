//! A call to engines that are a few lines long.

use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

use super::*;
use crate::media::wav;
use crate::types::SampleRate;

const REPLY: &str = r#"{"type":"tts_audio","pcm":"07000800","intent":"greet"}"#;
const FINISHED: &str = r#"{"type":"event","sequence":1,"turn":0,"audio_at":0,
    "kind":{"event":"bot_turn_stopped","heard":""}}"#;

/// An engine on a free port that answers every utterance, and after the last one
/// sends `ending` and closes.
async fn engine(answers: usize, ending: Option<&'static str>) -> String {
    greeting_engine(&[], answers, ending).await
}

/// The same engine; it says `first` before it hears anything.
async fn greeting_engine(
    first: &'static [&'static str],
    answers: usize,
    ending: Option<&'static str>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("ws://{}/", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a caller");
        let mut socket = accept_async(stream).await.expect("a WebSocket");
        for message in first {
            socket.send(Frame::text(*message)).await.expect("the caller listens");
        }
        let (mut spoken, mut answered) = (false, 0);
        while let Some(Ok(Frame::Text(text))) = socket.next().await {
            let speaks = text.contains("0100");
            if spoken && !speaks {
                for message in [REPLY, FINISHED] {
                    socket.send(Frame::text(message)).await.expect("the caller listens");
                }
                answered += 1;
            }
            spoken = speaks;
            if let Some(ending) = ending.filter(|_| answered == answers) {
                socket.send(Frame::text(ending)).await.expect("the caller listens");
                socket.close(None).await.expect("an orderly end");
                return;
            }
        }
    });
    url
}

fn plan(url: String, utterances: usize) -> CallPlan {
    let rate = SampleRate::new(8_000).expect("8 kHz is supported");
    let settings = CallerSettings { pause_ms: 40, ..CallerSettings::new(rate) };
    let utterance: Arc<[i16]> = vec![1; 320].into();
    CallPlan { url, call_id: None, settings, utterances: vec![utterance; utterances].into() }
}

async fn call(plan: &CallPlan) -> (Result<CallOutcome, CallError>, Vec<String>) {
    let mut seen = Vec::new();
    let outcome = place_call(plan, &mut |observation| {
        seen.push(match observation {
            CallObservation::UtteranceBegan { turn } => format!("says {turn}"),
            CallObservation::Reply { turn, intent } => format!("hears {intent} in {turn}"),
            CallObservation::Event { turn: None, event } => {
                format!("{} before", event.kind.name())
            }
            CallObservation::Event { event, .. } => event.kind.name().to_owned(),
            CallObservation::Refused { code, .. } => code.to_owned(),
        });
    })
    .await;
    (outcome, seen)
}

#[tokio::test]
async fn each_utterance_waits_for_the_answer_to_the_one_before() {
    let (outcome, seen) = call(&plan(engine(2, None).await, 2)).await;
    let outcome = outcome.expect("a call");
    assert_eq!(
        seen,
        [
            "says 0",
            "hears greet in 0",
            "bot_turn_stopped",
            "says 1",
            "hears greet in 1",
            "bot_turn_stopped",
        ]
    );
    assert_eq!((outcome.end, outcome.unanswered), (CallEnd::CallerHungUp, 0));
    let wav = wav::read(&outcome.recording.to_stereo_wav()).expect("a recording");
    let loud = |channel: usize| wav.channels[channel].iter().filter(|it| **it != 0).count();
    assert_eq!([loud(0), loud(1)], [640, 4]);
}

#[tokio::test]
async fn a_call_that_the_engine_ends_tells_the_cause_and_what_was_left_unsaid() {
    let ending = r#"{"type":"end","cause":"dialog_ended"}"#;
    let (outcome, _) = call(&plan(engine(1, Some(ending)).await, 3)).await;
    let outcome = outcome.expect("a call");
    let cause = Some("dialog_ended".to_owned());
    assert_eq!((outcome.end, outcome.unanswered), (CallEnd::EngineEnded { cause }, 2));
}

#[tokio::test]
async fn what_is_no_message_is_an_error_that_says_so() {
    let (outcome, _) = call(&plan(engine(1, Some("{}")).await, 1)).await;
    let error = outcome.err().expect("no call");
    assert!(error.to_string().contains("missing field `type`"), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_with_what_to_do() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    drop(listener);
    let (outcome, _) = call(&plan(format!("ws://{address}"), 1)).await;
    assert_eq!(
        outcome.err().expect("no call").to_string(),
        format!("no engine answers at {address}: start one with `antiphon serve`")
    );
}

#[tokio::test]
async fn an_address_of_another_kind_is_refused() {
    for url in ["http://127.0.0.1:8765", "127.0.0.1:8765", ""] {
        let (outcome, _) = call(&plan(url.to_owned(), 1)).await;
        assert!(matches!(outcome, Err(CallError::Url { .. })), "{url}");
    }
    let (outcome, _) = call(&plan("ws://127.0.0.1:8080/v1/stream".to_owned(), 1)).await;
    let told = outcome.err().expect("no call").to_string();
    assert!(told.contains("audio stream") && told.contains("ws://host:8765"), "{told}");
}

#[tokio::test]
async fn a_greeting_is_told_apart_from_the_answer_to_the_first_utterance() {
    const GREETED: &str = r#"{"type":"tts_audio","pcm":"07000800","intent":"greeting"}"#;
    let url = greeting_engine(&[GREETED, FINISHED], 1, None).await;
    let (outcome, seen) = call(&plan(url, 1)).await;
    assert_eq!(outcome.expect("a call").unanswered, 0);
    assert_eq!(seen, ["bot_turn_stopped before", "says 0", "hears greet in 0", "bot_turn_stopped"]);
}
