//! The table of metrics. Names are `antiphon_<noun>_<unit>[_total]` in base units;
//! what is only counted has no unit.
//!
//! Nothing but data: what writes a metric is the event that tells it.

use metrics::Unit;

use super::metrics::{Kind, LabelSpec, Metric, Spec};

/// Every metric, in the order of [`Metric`].
pub(super) const SPECS: &[Spec] = &[
    gauge(Metric::CallsActive, "antiphon_calls_active", "Calls that run now"),
    counter(Metric::CallsStarted, "antiphon_calls_started_total", "Calls admitted", &[]),
    counter(Metric::CallsEnded, "antiphon_calls_ended_total", "Calls ended, by cause", &[CAUSE]),
    counter(Metric::CallsRefused, "antiphon_calls_refused_total", "Calls not taken", &[REASON]),
    histogram(Metric::CallDuration, "antiphon_call_duration_seconds", "Length of calls", LONG),
    counter(Metric::MediaLosses, "antiphon_media_losses_total", "Media connections lost", &[]),
    histogram(
        Metric::MediaAway,
        "antiphon_media_away_seconds",
        "How long callers were away who came back",
        LATENCY,
    ),
    Spec {
        unit: Unit::Bytes,
        ..counter(
            Metric::CallerAudioBytes,
            "antiphon_caller_audio_bytes_total",
            "Caller audio of ended calls",
            &[],
        )
    },
    histogram(
        Metric::UtteranceSpeech,
        "antiphon_utterance_speech_seconds",
        "Length of the speech in utterances",
        SPEECH,
    ),
    counter(
        Metric::UtterancesIgnored,
        "antiphon_utterances_ignored_total",
        "Utterances that fell into a prompt that may not be interrupted",
        &[],
    ),
    counter(
        Metric::UtterancesNotUnderstood,
        "antiphon_utterances_not_understood_total",
        "Utterances in which the recogniser heard nothing it knows",
        &[],
    ),
    counter(Metric::TurnsAnswered, "antiphon_turns_answered_total", "Turns answered", &[]),
    counter(
        Metric::TurnsAbandoned,
        "antiphon_turns_abandoned_total",
        "Turns given up because too many waited",
        &[],
    ),
    counter(
        Metric::Interruptions,
        "antiphon_interruptions_total",
        "Times a caller interrupted the bot",
        &[],
    ),
    counter(
        Metric::FallbacksPlayed,
        "antiphon_fallbacks_played_total",
        "Times the fallback sentence was played",
        &[],
    ),
    histogram(
        Metric::EndOfSpeechLatency,
        "antiphon_end_of_speech_latency_seconds",
        "From the last speech heard to the end-of-speech decision",
        LATENCY,
    ),
    latency(Metric::SttLatency, "antiphon_stt_latency_seconds", "Answer time of the recogniser"),
    latency(
        Metric::DialogLatency,
        "antiphon_dialog_latency_seconds",
        "Answer time of the dialog platform, waiting and retries included",
    ),
    latency(Metric::TtsLatency, "antiphon_tts_latency_seconds", "Answer time of the synthesiser"),
    histogram(
        Metric::ResponseLatency,
        "antiphon_response_latency_seconds",
        "From the end-of-speech decision to the first reply audio",
        LATENCY,
    ),
    counter(
        Metric::SttFailures,
        "antiphon_stt_failures_total",
        "Utterances not recognised",
        &[PROVIDER_FAILURE],
    ),
    counter(
        Metric::DialogFailures,
        "antiphon_dialog_failures_total",
        "Turns without a dialog reply",
        &[DIALOG_FAILURE],
    ),
    counter(
        Metric::TtsFailures,
        "antiphon_tts_failures_total",
        "Sentences without audio",
        &[PROVIDER_FAILURE],
    ),
    counter(
        Metric::AudioDropped,
        "antiphon_audio_dropped_samples_total",
        "Caller audio dropped because it waited too long, at 16 kHz",
        &[],
    ),
    counter(
        Metric::AudioMissing,
        "antiphon_audio_missing_samples_total",
        "Caller audio that never arrived, at 16 kHz",
        &[],
    ),
    counter(
        Metric::AudioStale,
        "antiphon_audio_stale_samples_total",
        "Reply audio of an old epoch dropped instead of played, at 16 kHz",
        &[],
    ),
    counter(
        Metric::RateSuspicions,
        "antiphon_rate_suspicions_total",
        "Calls whose audio came at a pace that contradicts its declared rate",
        &[],
    ),
    counter(Metric::InputsRefused, "antiphon_inputs_refused_total", "Pieces of input refused", &[]),
    counter(
        Metric::ChildRestarts,
        "antiphon_child_restarts_total",
        "Children of calls replaced",
        &[CHILD, EXIT],
    ),
    counter(
        Metric::RestartLimits,
        "antiphon_restart_limits_total",
        "Calls given up because a child ended too often",
        &[CHILD],
    ),
    counter(
        Metric::StaleMessages,
        "antiphon_stale_messages_total",
        "Messages of an old generation dropped",
        &[CHILD],
    ),
    counter(
        Metric::ActorRestarts,
        "antiphon_actor_restarts_total",
        "Actors outside of calls replaced",
        &[EXIT],
    ),
    counter(
        Metric::WorkerRestarts,
        "antiphon_worker_restarts_total",
        "Speech worker processes replaced",
        &[SERVICE],
    ),
    counter(
        Metric::ProviderChanges,
        "antiphon_provider_health_changes_total",
        "Times a provider came up, went down or refused",
        &[SERVICE, HEALTH],
    ),
    counter(
        Metric::DialogThrottles,
        "antiphon_dialog_throttles_total",
        "Times the dialog platform asked the engine to wait",
        &[],
    ),
    gauge(
        Metric::DialogInFlight,
        "antiphon_dialog_requests_in_flight",
        "Dialog requests that hold a permit",
    ),
    gauge(
        Metric::DialogWaiting,
        "antiphon_dialog_requests_waiting",
        "Dialog requests that wait for a permit",
    ),
    counter(
        Metric::EventsWritten,
        "antiphon_events_written_total",
        "Lines written to the event file",
        &[],
    ),
    counter(
        Metric::EventsDropped,
        "antiphon_events_dropped_total",
        "Events that are not in the event file",
        &[DROP],
    ),
    counter(
        Metric::EventFileFailures,
        "antiphon_event_file_failures_total",
        "Attempts to write the event file that failed",
        &[],
    ),
];

/// Upper bounds for answer times, suited to conversation: 10 ms to 10 s.
const LATENCY: &[f64] = &[
    0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0,
    7.5, 10.0,
];
/// Upper bounds for lengths of speech: 100 ms to 30 s.
const SPEECH: &[f64] = &[0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Upper bounds for lengths of calls: 1 s to 1 h.
const LONG: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

const CAUSE: LabelSpec = LabelSpec {
    name: "cause",
    values: &[
        "caller_hung_up",
        "dialog_ended",
        "media_lost",
        "dialog_unauthorized",
        "turns_failed",
        "restart_limit",
        "supervisor_failed",
        "drained",
    ],
};
const REASON: LabelSpec = LabelSpec {
    name: "reason",
    values: &["full", "draining", "already_connected", "ended", "internal"],
};
const PROVIDER_FAILURE: LabelSpec =
    LabelSpec { name: "failure", values: &["timeout", "saturated", "unavailable", "failed"] };
const DIALOG_FAILURE: LabelSpec = LabelSpec {
    name: "failure",
    values: &[
        "unauthorized",
        "forbidden",
        "rate_limited",
        "status",
        "timeout",
        "unreachable",
        "malformed",
        "saturated",
        "lost",
    ],
};
const OUTCOME: LabelSpec = LabelSpec { name: "outcome", values: &["answered", "failed"] };
const CHILD: LabelSpec =
    LabelSpec { name: "child", values: &["ingest", "vad", "stt", "dialog", "tts"] };
const EXIT: LabelSpec =
    LabelSpec { name: "reason", values: &["completed", "panicked", "cancelled", "wedged"] };
const SERVICE: LabelSpec = LabelSpec { name: "service", values: &["stt", "dialog", "tts"] };
const HEALTH: LabelSpec =
    LabelSpec { name: "health", values: &["ready", "unavailable", "refused"] };
const DROP: LabelSpec = LabelSpec { name: "cause", values: &["queue_full", "file"] };

const fn counter(
    metric: Metric,
    name: &'static str,
    help: &'static str,
    labels: &'static [LabelSpec],
) -> Spec {
    Spec { metric, name, kind: Kind::Counter, unit: Unit::Count, help, labels }
}

const fn gauge(metric: Metric, name: &'static str, help: &'static str) -> Spec {
    Spec { metric, name, kind: Kind::Gauge, unit: Unit::Count, help, labels: &[] }
}

const fn histogram(
    metric: Metric,
    name: &'static str,
    help: &'static str,
    buckets: &'static [f64],
) -> Spec {
    let kind = Kind::Histogram(buckets);
    Spec { metric, name, kind, unit: Unit::Seconds, help, labels: &[] }
}

/// Answer times, failures kept apart: without them the worst would not show.
const fn latency(metric: Metric, name: &'static str, help: &'static str) -> Spec {
    Spec { labels: &[OUTCOME], ..histogram(metric, name, help, LATENCY) }
}
