//! One event of every type, with private words planted wherever a type has room
//! for what a caller or the bot said.

use std::sync::Arc;
use std::time::Duration;

use crate::telemetry::{
    AttemptOutcome, CallScope, DialogFact, EngineEvent, PermitOutcome, ProviderHealth, RetryCause,
    Service,
};
use crate::types::{
    CallEvent, CallEventKind, CallId, CallerText, CarrierCallId, ChildKind, Detector,
    DialogFailure, EndCause, Epoch, ExitReason, Generation, IgnoredReason, LegId, MediaTime,
    RefusalReason, ReplyFlaw, Route, SentenceId, SessionId, SttFailure, TtsFailure, TurnId,
    TurnTimings, UserId, UtteranceEnd, UtteranceId,
};

/// What a caller or the bot said.
pub(super) const SPOKEN: &str = "violets";
/// The carrier's name for the call: a number, as some have it.
pub(super) const NAME: &str = "+15550111";
/// The caller's number.
pub(super) const NUMBER: &str = "+15550100";

pub(in crate::telemetry) fn scope() -> CallScope {
    CallScope {
        call_id: CallId::of_test("call-1"),
        carrier_call_id: CarrierCallId::new(NAME).ok(),
        session_id: SessionId::of_test("session-1"),
        user_id: UserId::from(NUMBER),
        route: Arc::new(Route { name: "default".to_owned(), ..Route::default() }),
        transport: "stream",
        open_turns: Arc::default(),
    }
}

pub(super) fn event(sequence: u64, kind: CallEventKind) -> CallEvent {
    CallEvent { sequence, turn: Some(TurnId(3)), audio_at: MediaTime(16_000), kind }
}

/// Every type of call event.
pub(super) fn call_events() -> Vec<CallEventKind> {
    let mut events = connection_events();
    events.extend(turn_events());
    events.extend(trouble_events());
    events
}

fn connection_events() -> Vec<CallEventKind> {
    use CallEventKind as K;
    vec![
        K::CallStarted {
            route: "default".to_owned(),
            transport: "stream".to_owned(),
            detector: Detector::Earshot,
        },
        K::MediaLost { leg: LegId(1) },
        K::MediaResumed { leg: LegId(2), away_ms: 900 },
        K::CallEnded {
            cause: EndCause::CallerHungUp,
            duration_ms: 61_000,
            audio_bytes: 1_952_000,
            turns: 5,
        },
    ]
}

/// Of an answered turn. Stages leave 5 ms in which the turn waited for the one before it.
pub(in crate::telemetry) const TIMINGS: TurnTimings = TurnTimings {
    end_of_speech_ms: 510,
    stt_ms: 40,
    dialog_ms: 120,
    dialog_wait_ms: 15,
    tts_ms: 25,
    response_ms: 190,
    held_ms: 10,
};

fn turn_events() -> Vec<CallEventKind> {
    use CallEventKind as K;
    let spoken = || CallerText::from(SPOKEN);
    vec![
        K::SpeechStarted { at: MediaTime(8_000) },
        K::UtteranceSegmented {
            utterance: UtteranceId(4),
            speech_ms: 1_200,
            end_of_speech_ms: 510,
            at: MediaTime(32_000),
            end: UtteranceEnd::Silence,
        },
        K::UtteranceIgnored { utterance: UtteranceId(5), reason: IgnoredReason::Protected },
        K::TurnAbandoned { turn: TurnId(2) },
        K::FalseInterruption { epoch: Epoch(1) },
        K::Transcribed { text: spoken(), confidence: Some(0.9), stt_ms: 40, audio_bytes: 38_400 },
        K::NotUnderstood { stt_ms: 30, audio_bytes: 12_800 },
        K::DialogReplied {
            text: spoken(),
            intent: Some("book_room".to_owned()),
            confidence: Some(0.75),
            next_state: Some("nights".to_owned()),
            dialog_ms: 120,
            dialog_wait_ms: 15,
        },
        K::ReplyFlawed { flaw: ReplyFlaw::TooLong { unsaid_chars: 900 } },
        K::SentenceSynthesized { sentence: SentenceId(7), tts_ms: 25, audio_ms: Some(1_800) },
        K::TurnAnswered {
            intent: Some("book_room".to_owned()),
            confidence: Some(0.75),
            timings: TIMINGS,
        },
        K::BotTurnStopped { heard: spoken() },
        K::Interruption { epoch: Epoch(2), heard: spoken(), unheard_ms: 700 },
        K::FallbackPlayed {},
        K::TurnUnheard {},
    ]
}

fn trouble_events() -> Vec<CallEventKind> {
    use CallEventKind as K;
    let (child, generation) = (ChildKind::Stt, Generation(2));
    vec![
        K::SttFailed { failure: SttFailure::Timeout, stt_ms: 10_000 },
        K::DialogFailed { failure: DialogFailure::RateLimited, dialog_ms: 25_000 },
        K::TtsFailed {
            sentence: SentenceId(8),
            sentences: 3,
            failure: TtsFailure::Saturated,
            tts_ms: 3,
        },
        K::AudioDropped { samples: 320 },
        K::AudioGap { samples: 640 },
        K::RateSuspected { declared_hz: 16_000, measured_hz: 8_000 },
        K::InputRefused { code: "odd_byte_count".to_owned(), count: 2 },
        K::StaleAudioDropped { samples: 160 },
        K::EventsLeftOut { count: 3 },
        K::ChildRestarted {
            child,
            generation,
            reason: ExitReason::Panicked { at: "src/turn/speech.rs:7".to_owned() },
        },
        K::RestartLimitReached { child },
        K::StaleMessageDropped { child, generation },
    ]
}

/// Every value of the enums that become metric labels.
pub(super) fn label_events() -> Vec<CallEventKind> {
    use CallEventKind as K;
    let text = || "found".to_owned();
    let mut events = Vec::new();
    for cause in [
        EndCause::CallerHungUp,
        EndCause::DialogEnded,
        EndCause::MediaLost,
        EndCause::DialogUnauthorized,
        EndCause::TurnsFailed,
        EndCause::RestartLimit,
        EndCause::SupervisorFailed,
        EndCause::Drained,
        EndCause::EndedByOperator,
    ] {
        events.push(K::CallEnded { cause, duration_ms: 1, audio_bytes: 0, turns: 0 });
    }
    for failure in [
        DialogFailure::Unauthorized,
        DialogFailure::Forbidden,
        DialogFailure::RateLimited,
        DialogFailure::Status { status: 500 },
        DialogFailure::Timeout,
        DialogFailure::Unreachable,
        DialogFailure::BreakerOpen { message: text() },
        DialogFailure::Malformed { message: text() },
        DialogFailure::Saturated,
        DialogFailure::Lost,
    ] {
        events.push(K::DialogFailed { failure, dialog_ms: 1 });
    }
    for failure in [
        SttFailure::Timeout,
        SttFailure::RateLimited,
        SttFailure::Saturated,
        SttFailure::BreakerOpen { message: text() },
        SttFailure::Unavailable { message: text() },
        SttFailure::Failed { message: text() },
    ] {
        events.push(K::SttFailed { failure, stt_ms: 1 });
    }
    for failure in [
        TtsFailure::Timeout,
        TtsFailure::RateLimited,
        TtsFailure::Saturated,
        TtsFailure::BreakerOpen { message: text() },
        TtsFailure::Unavailable { message: text() },
        TtsFailure::Failed { message: text() },
    ] {
        events.push(K::TtsFailed { sentence: SentenceId(1), sentences: 1, failure, tts_ms: 1 });
    }
    events.extend(utterances());
    events.extend(flaws());
    for child in ChildKind::ALL {
        events.push(K::RestartLimitReached { child });
        events.push(K::StaleMessageDropped { child, generation: Generation(1) });
        for reason in exit_reasons() {
            events.push(K::ChildRestarted { child, generation: Generation(1), reason });
        }
    }
    events
}

/// Ways in which an utterance ends, and is left unanswered.
fn utterances() -> Vec<CallEventKind> {
    use CallEventKind as K;
    let mut events = Vec::new();
    for end in [
        UtteranceEnd::Silence,
        UtteranceEnd::Stalled,
        UtteranceEnd::MaxLength,
        UtteranceEnd::MediaEnded,
    ] {
        let utterance = UtteranceId(1);
        let (speech_ms, end_of_speech_ms, at) = (1, 1, MediaTime(1));
        events.push(K::UtteranceSegmented { utterance, speech_ms, end_of_speech_ms, at, end });
    }
    for reason in [
        IgnoredReason::Protected,
        IgnoredReason::NoWords,
        IgnoredReason::Listener,
        IgnoredReason::TooMany,
        IgnoredReason::CallEnding,
    ] {
        events.push(K::UtteranceIgnored { utterance: UtteranceId(1), reason });
    }
    events
}

/// Every type of engine event, with every value that becomes a label.
pub(super) fn engine_events() -> Vec<EngineEvent> {
    use EngineEvent as E;
    let text = || "found".to_owned();
    let mut events = vec![
        E::EngineStarted { version: "0.1.0" },
        E::DrainStarted { calls: 2 },
        E::EngineStopped,
        E::DialogThrottled { provider: "cognigy-rest".to_owned(), wait_ms: 1_000 },
        E::ThreadClosed { thread: 1, message: "busy 97 % of the time".into() },
        E::ThreadOpened { thread: 1 },
        E::CertificateTaken,
        E::CertificateRefused { message: "cert.pem: it holds no certificate".into() },
        E::EventsDropped { count: 12 },
        E::NothingRecognised { provider: "worker".to_owned(), utterances: 20 },
    ];
    for reason in [
        RefusalReason::Full { calls_max: 1, retry_after_s: 2 },
        RefusalReason::Overloaded { because: text(), retry_after_s: 2 },
        RefusalReason::Memory { resident_mb: 2, memory_mb_max: 1, retry_after_s: 2 },
        RefusalReason::SourceRate { calls_max: 20 },
        RefusalReason::Draining,
        RefusalReason::AlreadyConnected,
        RefusalReason::Ended,
        RefusalReason::Internal,
    ] {
        events.push(E::CallRefused { transport: "stream", reason });
    }
    events.push(E::RefusalsLeftOut { transport: "stream", reason: "full", count: 345 });
    for service in [Service::Stt, Service::Dialog, Service::Tts] {
        events.push(E::BreakerOpened {
            service,
            provider: "worker".to_owned(),
            failures: 5,
            open_ms: 5_000,
            message: text(),
        });
        events.push(E::BreakerClosed { service, provider: "worker".to_owned(), away_ms: 5_040 });
        events.push(E::PromptsRendered { missing: 6, message: text() });
        events.push(E::WorkerRestarted { service, provider: "worker".to_owned(), message: text() });
        for health in [ProviderHealth::Ready, ProviderHealth::Unavailable, ProviderHealth::Refused]
        {
            events.push(E::ProviderHealthChanged {
                service,
                provider: "worker".to_owned(),
                health,
                message: text(),
            });
        }
    }
    for reason in exit_reasons() {
        events.push(E::ActorRestarted { actor: "MetricsActor", reason });
    }
    events
}

/// Every fact about the dialog platform, with every value that becomes a label.
pub(super) fn dialog_facts(call_id: &CallId) -> Vec<DialogFact<'_>> {
    let waited = Duration::from_millis(15);
    let left = |&outcome: &PermitOutcome| DialogFact::LeftLine { outcome, waited };
    let retried = |&cause: &RetryCause| {
        let error = "the answer has status 503".to_owned();
        DialogFact::Retried { call_id, cause, error, attempts_used: 1, wait_ms: 250 }
    };
    let attempted = |&outcome: &AttemptOutcome| DialogFact::Attempted(outcome);
    let mut facts: Vec<DialogFact<'_>> = PermitOutcome::ALL.iter().map(left).collect();
    facts.extend(AttemptOutcome::ALL.iter().map(attempted));
    facts.extend(RetryCause::ALL.iter().map(retried));
    facts
}

fn flaws() -> impl Iterator<Item = CallEventKind> {
    let flaws = [
        ReplyFlaw::WithoutWords,
        ReplyFlaw::ActionNotPossible { action: "dial".to_owned() },
        ReplyFlaw::SessionDataTooLarge { bytes: 70_000 },
    ];
    flaws.into_iter().map(|flaw| CallEventKind::ReplyFlawed { flaw })
}

fn exit_reasons() -> [ExitReason; 4] {
    let panicked = ExitReason::Panicked { at: "src/turn/speech.rs:7".to_owned() };
    [ExitReason::Completed, panicked, ExitReason::Cancelled, ExitReason::Wedged]
}
