//! Which spans the events of a turn make.

use std::time::UNIX_EPOCH;

use super::*;
use crate::telemetry::tests::samples::{TIMINGS, scope};
use crate::types::{
    CallerText, DialogFailure, EndCause, MediaTime, SentenceId, SttFailure, TtsFailure,
    TurnTimings, UtteranceEnd,
};

/// The spans that come of `events` of a turn, each at its time in milliseconds.
fn spans(events: impl IntoIterator<Item = (u64, CallEventKind)>) -> Vec<Span> {
    let (scope, mut told) = (scope(), Vec::new());
    for (ms, kind) in events {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000) + Duration::from_millis(ms);
        let event = CallEvent {
            sequence: 1,
            turn: (!is_of_no_turn(&kind)).then_some(TurnId(1)),
            audio_at: MediaTime(0),
            kind,
        };
        scope.open_turns.lock().tell(at, &scope, &event, &mut |span| told.push(span));
    }
    told
}

fn is_of_no_turn(kind: &CallEventKind) -> bool {
    use CallEventKind as K;
    matches!(kind, K::UtteranceSegmented { .. } | K::CallEnded { .. })
}

/// Name and length of each.
fn lengths(spans: &[Span]) -> Vec<(&'static str, u128)> {
    let ms = |span: &Span| span.end.duration_since(span.begin).expect("in order").as_millis();
    spans.iter().map(|span| (span.name, ms(span))).collect()
}

fn segmented(utterance: u32) -> CallEventKind {
    CallEventKind::UtteranceSegmented {
        utterance: UtteranceId(utterance),
        speech_ms: 900,
        end_of_speech_ms: 510,
        at: MediaTime(0),
        end: UtteranceEnd::Silence,
    }
}

fn transcribed(stt_ms: u64) -> CallEventKind {
    let text = CallerText::from("");
    CallEventKind::Transcribed { text, confidence: None, stt_ms, audio_bytes: 0 }
}

fn replied(dialog_ms: u64, dialog_wait_ms: u64) -> CallEventKind {
    CallEventKind::DialogReplied {
        text: CallerText::from(""),
        intent: None,
        confidence: None,
        next_state: None,
        dialog_ms,
        dialog_wait_ms,
    }
}

const fn answered(timings: TurnTimings) -> CallEventKind {
    CallEventKind::TurnAnswered { intent: None, confidence: None, timings }
}

const fn ended() -> CallEventKind {
    CallEventKind::CallEnded {
        cause: EndCause::CallerHungUp,
        duration_ms: 5_000,
        audio_bytes: 0,
        turns: 1,
    }
}

#[test]
fn a_turn_is_a_span_from_the_last_word_to_the_answer_with_its_stages_below() {
    let sentence = SentenceId(4);
    let told = spans([
        (1_000, segmented(1)),
        (1_040, transcribed(40)),
        (1_165, replied(120, 15)),
        (1_190, CallEventKind::SentenceSynthesized { sentence, tts_ms: 24, audio_ms: None }),
        (1_190, answered(TIMINGS)),
    ]);
    let expected = [
        ("end_of_speech", 510),
        ("stt", 40),
        ("permit_wait", 15),
        ("dialog", 105),
        ("sentence", 24),
        ("turn_wait", 5),
        ("tts", 25),
        ("turn", 700),
    ];
    assert_eq!(lengths(&told), expected);
    let (turn, stages) = told.split_last().expect("spans");
    assert!(stages.iter().all(|span| span.parent == Some(turn.place.span)), "{told:?}");
    assert_eq!(turn.parent, Some(SpanId::of_call(&scope().call_id)));
}

#[test]
fn a_request_to_a_provider_is_a_client_span_and_the_one_that_the_request_names() {
    let sentence = SentenceId(4);
    let told = spans([
        (1_000, segmented(7)),
        (1_040, transcribed(40)),
        (1_165, replied(120, 0)),
        (1_190, CallEventKind::SentenceSynthesized { sentence, tts_ms: 24, audio_ms: None }),
    ]);
    let clients = told.iter().filter(|span| span.kind == SpanKind::Client);
    let clients: Vec<(&str, SpanId)> = clients.map(|span| (span.name, span.place.span)).collect();
    let request = |asked| SpanId::of_request(&scope().call_id, asked);
    assert_eq!(
        clients,
        [
            ("stt", request(Asked::Utterance(UtteranceId(7)))),
            ("dialog", request(Asked::Turn(TurnId(1)))),
            ("sentence", request(Asked::Sentence(sentence))),
        ]
    );
}

#[test]
fn a_turn_that_fails_has_its_silence_its_stages_and_its_failure() {
    let failed = |events: &[(u64, CallEventKind)]| {
        let told = spans([&[(1_000, segmented(1))], events].concat());
        let turn = told.iter().find(|span| span.name == "turn").expect("the turn");
        (lengths(&told), turn.failure)
    };
    let stt = CallEventKind::SttFailed { failure: SttFailure::Timeout, stt_ms: 300 };
    let expected = vec![("end_of_speech", 510), ("stt", 300), ("turn", 810)];
    assert_eq!(failed(&[(1_300, stt)]), (expected, Some("timeout")));
    let dialog =
        CallEventKind::DialogFailed { failure: DialogFailure::RateLimited, dialog_ms: 200 };
    let expected = vec![("end_of_speech", 510), ("stt", 40), ("dialog", 200), ("turn", 750)];
    let events = [(1_040, transcribed(40)), (1_240, dialog)];
    assert_eq!(failed(&events), (expected, Some("rate_limited")));
    let tts = CallEventKind::TtsFailed {
        sentence: SentenceId(1),
        sentences: 1,
        failure: TtsFailure::Timeout,
        tts_ms: 60,
    };
    let events =
        [(1_040, transcribed(40)), (1_140, replied(100, 0)), (1_200, tts), (9_000, ended())];
    let (spans, failure) = failed(&events);
    assert_eq!(spans[3..], [("sentence", 60), ("turn", 710), ("call", 5_000)]);
    assert_eq!(failure, Some("timeout"));
}

#[test]
fn a_turn_without_words_on_either_side_is_over_all_the_same() {
    let not_understood = CallEventKind::NotUnderstood { stt_ms: 30, audio_bytes: 0 };
    let told = spans([(1_000, segmented(1)), (1_030, not_understood)]);
    assert_eq!(lengths(&told), [("end_of_speech", 510), ("stt", 30), ("turn", 540)]);
    let told = spans([
        (1_000, segmented(1)),
        (1_040, transcribed(40)),
        (1_160, replied(120, 0)),
        (9_000, ended()),
    ]);
    assert_eq!(lengths(&told)[2..], [("dialog", 120), ("turn", 670), ("call", 5_000)]);
}

#[test]
fn stages_within_a_millisecond_have_their_spans_and_waits_that_were_none_do_not() {
    let timings = TurnTimings { end_of_speech_ms: 103, ..TurnTimings::default() };
    let told = spans([(1_000, transcribed(0)), (1_000, replied(0, 0)), (1_000, answered(timings))]);
    let expected = [("stt", 0), ("dialog", 0), ("end_of_speech", 103), ("tts", 0), ("turn", 103)];
    assert_eq!(lengths(&told), expected);
}
