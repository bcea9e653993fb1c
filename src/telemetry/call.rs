//! What a fact of a call means to the log, the event file and the metrics.
//!
//! Each event is described once: its level, its columns and details, and what it
//! counts. Texts of callers and of the bot are left out here.

use tracing::Level;

use super::CallScope;
use super::metrics::{Metric, RouteMetrics};
use super::record::{Columns, Details, Facts};
use crate::types::{CallEventKind, DialogFailure, EndCause, ReplyFlaw};

/// Describes an event for the log and the event file. The platform's name of the
/// conversation is told once, and not in the event itself, which the carrier may see.
pub(super) fn facts<'a>(scope: &CallScope, kind: &'a CallEventKind) -> Facts<'a> {
    let details = match kind {
        CallEventKind::CallStarted { .. } => {
            details(kind).text("session_id", scope.session_id.to_string())
        }
        _ => details(kind),
    };
    Facts { name: kind.name(), level: level(kind), columns: columns(kind), details }
}

fn level(kind: &CallEventKind) -> Level {
    use CallEventKind as K;
    match kind {
        K::SpeechStarted { .. }
        | K::SentenceSynthesized { .. }
        | K::BotTurnStopped { .. }
        | K::StaleAudioDropped { .. }
        | K::StaleMessageDropped { .. } => Level::DEBUG,
        K::CallStarted { .. }
        | K::MediaResumed { .. }
        | K::UtteranceSegmented { .. }
        | K::UtteranceIgnored { .. }
        | K::Transcribed { .. }
        | K::NotUnderstood { .. }
        | K::DialogReplied { .. }
        | K::TurnAnswered { .. }
        | K::Interruption { .. }
        | K::FalseInterruption { .. } => Level::INFO,
        K::MediaLost { .. }
        | K::TurnAbandoned { .. }
        | K::TurnUnheard {}
        | K::ReplyFlawed { .. }
        | K::SttFailed { .. }
        | K::TtsFailed { .. }
        | K::FallbackPlayed {}
        | K::AudioDropped { .. }
        | K::AudioGap { .. }
        | K::RateSuspected { .. }
        | K::InputRefused { .. }
        | K::EventsLeftOut { .. }
        | K::ChildRestarted { .. } => Level::WARN,
        K::RestartLimitReached { .. } => Level::ERROR,
        K::DialogFailed { failure, .. } => dialog_failure_level(failure),
        K::CallEnded { cause, .. } => end_level(*cause),
    }
}

/// A refused key needs an operator; everything else costs one turn.
fn dialog_failure_level(failure: &DialogFailure) -> Level {
    if failure.ends_dialog() { Level::ERROR } else { Level::WARN }
}

fn end_level(cause: EndCause) -> Level {
    match cause {
        EndCause::CallerHungUp
        | EndCause::DialogEnded
        | EndCause::Drained
        | EndCause::EndedByOperator => Level::INFO,
        EndCause::MediaLost => Level::WARN,
        EndCause::DialogUnauthorized
        | EndCause::TurnsFailed
        | EndCause::RestartLimit
        | EndCause::SupervisorFailed => Level::ERROR,
    }
}

fn columns(kind: &CallEventKind) -> Columns<'_> {
    use CallEventKind as K;
    let none = Columns::default();
    match kind {
        K::CallEnded { audio_bytes, .. } => {
            Columns { audio_bytes_processed: Some(*audio_bytes), ..none }
        }
        K::Transcribed { confidence, stt_ms, audio_bytes, .. } => Columns {
            confidence: *confidence,
            stt_latency_ms: Some(*stt_ms),
            audio_bytes_processed: Some(*audio_bytes),
            ..none
        },
        K::NotUnderstood { stt_ms, audio_bytes } => Columns {
            stt_latency_ms: Some(*stt_ms),
            audio_bytes_processed: Some(*audio_bytes),
            ..none
        },
        K::SttFailed { stt_ms, .. } => Columns { stt_latency_ms: Some(*stt_ms), ..none },
        K::DialogReplied { intent, confidence, dialog_ms, .. } => Columns {
            intent: intent.as_deref(),
            confidence: *confidence,
            dialog_latency_ms: Some(*dialog_ms),
            ..none
        },
        K::DialogFailed { dialog_ms, .. } => {
            Columns { dialog_latency_ms: Some(*dialog_ms), ..none }
        }
        K::SentenceSynthesized { tts_ms, .. } | K::TtsFailed { tts_ms, .. } => {
            Columns { tts_latency_ms: Some(*tts_ms), ..none }
        }
        K::TurnAnswered { intent, confidence, timings } => Columns {
            intent: intent.as_deref(),
            confidence: *confidence,
            stt_latency_ms: Some(timings.stt_ms),
            tts_latency_ms: Some(timings.tts_ms),
            dialog_latency_ms: Some(timings.dialog_ms),
            ..none
        },
        _ => none,
    }
}

fn details(kind: &CallEventKind) -> Details<'_> {
    use CallEventKind as K;
    let none = Details::none();
    match kind {
        K::CallStarted { transport, .. } => none.text("transport", transport),
        K::MediaLost { leg } => none.number("leg", leg.0),
        K::MediaResumed { leg, away_ms } => none.number("leg", leg.0).number("away_ms", *away_ms),
        K::CallEnded { cause, duration_ms, turns, .. } => none
            .text("cause", cause.as_str())
            .number("duration_ms", *duration_ms)
            .number("turns", *turns),
        K::SpeechStarted { at } => none.number("at_ms", at.as_ms()),
        K::UtteranceSegmented { utterance, speech_ms, end_of_speech_ms, at, end } => none
            .number("utterance", utterance.0)
            .number("speech_ms", *speech_ms)
            .number("end_of_speech_ms", *end_of_speech_ms)
            .number("at_ms", at.as_ms())
            .text("end", end.as_str()),
        K::UtteranceIgnored { utterance, reason } => {
            none.number("utterance", utterance.0).text("reason", reason.as_str())
        }
        K::TurnAbandoned { turn } => none.number("abandoned_turn", turn.0),
        K::SttFailed { failure, .. } => failed(failure.as_str(), failure.to_string()),
        K::DialogReplied { next_state, dialog_wait_ms, .. } => {
            let waited = none.number("dialog_wait_ms", *dialog_wait_ms);
            match next_state {
                Some(state) => waited.text("next_state", state),
                None => waited,
            }
        }
        K::ReplyFlawed { flaw } => flaw_details(flaw),
        K::DialogFailed { failure, .. } => failed(failure.as_str(), failure.to_string()),
        K::SentenceSynthesized { sentence, audio_ms: Some(ms), .. } => {
            none.number("sentence", sentence.0).number("reply_audio_ms", *ms)
        }
        K::SentenceSynthesized { sentence, audio_ms: None, .. } => {
            none.number("sentence", sentence.0)
        }
        K::TtsFailed { sentence, sentences, failure, .. } => {
            failed(failure.as_str(), failure.to_string())
                .number("sentence", sentence.0)
                .number("sentences", *sentences)
        }
        K::TurnAnswered { timings, .. } => none
            .number("end_of_speech_ms", timings.end_of_speech_ms)
            .number("dialog_wait_ms", timings.dialog_wait_ms)
            .number("response_ms", timings.response_ms)
            .number("held_ms", timings.held_ms),
        K::Interruption { epoch, unheard_ms, .. } => {
            none.number("epoch", epoch.0).number("unheard_ms", *unheard_ms)
        }
        K::FalseInterruption { epoch } => none.number("epoch", epoch.0),
        K::AudioDropped { samples }
        | K::AudioGap { samples }
        | K::StaleAudioDropped { samples } => none.number("samples", *samples),
        K::RateSuspected { declared_hz, measured_hz } => {
            none.number("declared_hz", *declared_hz).number("measured_hz", *measured_hz)
        }
        K::InputRefused { code, count } => none.text("code", code).number("count", *count),
        K::EventsLeftOut { count } => none.number("count", *count),
        _ => child_details(kind),
    }
}

fn child_details(kind: &CallEventKind) -> Details<'_> {
    use CallEventKind as K;
    let none = Details::none();
    match kind {
        K::ChildRestarted { child, generation, reason } => {
            none.text("child", child.as_str()).number("generation", generation.0).exit(reason)
        }
        K::RestartLimitReached { child } => none.text("child", child.as_str()),
        K::StaleMessageDropped { child, generation } => {
            none.text("child", child.as_str()).number("generation", generation.0)
        }
        _ => none,
    }
}

fn flaw_details(flaw: &ReplyFlaw) -> Details<'_> {
    let details = Details::none().text("reason", flaw.as_str());
    match flaw {
        ReplyFlaw::TooLong { unsaid_chars } => details.number("unsaid_chars", *unsaid_chars),
        ReplyFlaw::WithoutWords => details,
        ReplyFlaw::ActionNotPossible { action } => details.text("action", action),
        ReplyFlaw::SessionDataTooLarge { bytes } => details.number("bytes", *bytes),
    }
}

/// Messages of failures hold no caller data; their types promise it.
fn failed(failure: &'static str, message: String) -> Details<'static> {
    Details::none().text("failure", failure).text("message", message)
}

/// Counts an event.
pub(super) fn measure(kind: &CallEventKind, metrics: &RouteMetrics<'_>) {
    use CallEventKind as K;
    match kind {
        K::CallStarted { .. } => metrics.count(Metric::CallsStarted, &[], 1),
        K::MediaLost { .. } => metrics.count(Metric::MediaLosses, &[], 1),
        K::MediaResumed { away_ms, .. } => metrics.observe_ms(Metric::MediaAway, &[], *away_ms),
        K::CallEnded { cause, duration_ms, .. } => {
            metrics.count(Metric::CallsEnded, &[cause.as_str()], 1);
            metrics.observe_ms(Metric::CallDuration, &[], *duration_ms);
        }
        K::SpeechStarted { .. } => metrics.count(Metric::SpeechStarts, &[], 1),
        K::UtteranceSegmented { speech_ms, end, .. } => {
            metrics.count(Metric::Utterances, &[end.as_str()], 1);
            metrics.observe_ms(Metric::UtteranceSpeech, &[], *speech_ms);
        }
        K::UtteranceIgnored { reason, .. } => {
            metrics.count(Metric::UtterancesIgnored, &[reason.as_str()], 1);
        }
        K::TurnAbandoned { .. } => metrics.count(Metric::TurnsAbandoned, &[], 1),
        K::TurnUnheard {} => metrics.count(Metric::TurnsUnheard, &[], 1),
        K::ReplyFlawed { flaw } => metrics.count(Metric::ReplyFlaws, &[flaw.as_str()], 1),
        K::TurnAnswered { timings, .. } => {
            metrics.count(Metric::TurnsAnswered, &[], 1);
            metrics.observe_ms(Metric::EndOfSpeechLatency, &[], timings.end_of_speech_ms);
            metrics.observe_ms(Metric::ResponseLatency, &[], timings.response_ms);
            metrics.observe_ms(Metric::TurnLatency, &[], timings.total_ms());
            for (stage, ms) in timings.stages() {
                metrics.observe_ms(Metric::TurnStage, &[stage.as_str()], ms);
            }
        }
        K::Interruption { unheard_ms, .. } => {
            metrics.count(Metric::Interruptions, &[], 1);
            metrics.observe_ms(Metric::InterruptionUnheard, &[], *unheard_ms);
        }
        K::FalseInterruption { .. } => metrics.count(Metric::FalseInterruptions, &[], 1),
        K::FallbackPlayed {} => metrics.count(Metric::FallbacksPlayed, &[], 1),
        K::AudioDropped { samples } => metrics.count(Metric::AudioDropped, &[], *samples),
        K::AudioGap { samples } => metrics.count(Metric::AudioMissing, &[], *samples),
        K::StaleAudioDropped { samples } => metrics.count(Metric::AudioStale, &[], *samples),
        K::RateSuspected { .. } => metrics.count(Metric::RateSuspicions, &[], 1),
        K::InputRefused { count, .. } => {
            metrics.count(Metric::InputsRefused, &[], u64::from(*count));
        }
        K::ChildRestarted { child, reason, .. } => {
            metrics.count(Metric::ChildRestarts, &[child.as_str(), reason.as_str()], 1);
        }
        K::RestartLimitReached { child } => {
            metrics.count(Metric::RestartLimits, &[child.as_str()], 1);
        }
        K::StaleMessageDropped { child, .. } => {
            metrics.count(Metric::StaleMessages, &[child.as_str()], 1);
        }
        // The leg counts what it leaves out, whether that can be told or not.
        K::BotTurnStopped { .. } | K::EventsLeftOut { .. } => {}
        _ => measure_service(kind, metrics),
    }
}

/// Counts what the three services did. Failures count as answer times too:
/// without them the slowest answers would be missing.
fn measure_service(kind: &CallEventKind, metrics: &RouteMetrics<'_>) {
    use CallEventKind as K;
    const ANSWERED: &[&str] = &["answered"];
    const FAILED: &[&str] = &["failed"];
    match kind {
        K::Transcribed { stt_ms, .. } => metrics.observe_ms(Metric::SttLatency, ANSWERED, *stt_ms),
        K::NotUnderstood { stt_ms, .. } => {
            metrics.count(Metric::UtterancesNotUnderstood, &[], 1);
            metrics.observe_ms(Metric::SttLatency, ANSWERED, *stt_ms);
        }
        K::SttFailed { failure, stt_ms } => {
            metrics.count(Metric::SttFailures, &[failure.as_str()], 1);
            metrics.observe_ms(Metric::SttLatency, FAILED, *stt_ms);
        }
        K::DialogReplied { dialog_ms, .. } => {
            metrics.observe_ms(Metric::DialogLatency, ANSWERED, *dialog_ms);
        }
        K::DialogFailed { failure, dialog_ms } => {
            metrics.count(Metric::DialogFailures, &[failure.as_str()], 1);
            metrics.observe_ms(Metric::DialogLatency, FAILED, *dialog_ms);
        }
        K::SentenceSynthesized { tts_ms, .. } => {
            metrics.observe_ms(Metric::TtsLatency, ANSWERED, *tts_ms);
        }
        K::TtsFailed { failure, sentences, tts_ms, .. } => {
            metrics.count(Metric::TtsFailures, &[failure.as_str()], u64::from(*sentences));
            (0..*sentences).for_each(|_| metrics.observe_ms(Metric::TtsLatency, FAILED, *tts_ms));
        }
        _ => {}
    }
}
