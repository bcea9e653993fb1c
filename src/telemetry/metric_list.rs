//! The table of metrics. Names are `antiphon_<noun>_<unit>[_total]` in base units;
//! what is only counted has no unit.
//!
//! Nothing but data: what writes a metric is the event that tells it.

use metrics::Unit;

use super::metric_labels::{
    ARBITER, ATTEMPT, CAUSE, CHILD, DIALOG_FAILURE, DIRECTION, DROP, END, EXIT, FLAW, HEALTH,
    IGNORED, LATENCY, LATENESS, LEFT_OUT, LOG_LOSS, LONG, OUTCOME, PERMIT, PROFILE, PROVIDER,
    PROVIDER_FAILURE, REASON, RETRY, RING, ROUTE, SERVICE, SPAN_DROP, SPEECH, STAGE, VERSION,
    WAITING,
};
use super::metrics::{Kind, LabelSpec, Metric, Spec};

/// Every metric, in the order of [`Metric`].
pub(super) const SPECS: &[Spec] = &[
    Spec {
        labels: &[VERSION, PROFILE],
        ..gauge(Metric::BuildInfo, "antiphon_build_info", "1; which build this is")
    },
    gauge(Metric::Draining, "antiphon_draining", "1 while no new calls are taken, else 0"),
    gauge(Metric::CallsActive, "antiphon_calls_active", "Calls that run now"),
    gauge(Metric::CallsMax, "antiphon_calls_max", "Calls that may run at once"),
    counter(Metric::CallsStarted, "antiphon_calls_started_total", "Calls admitted", &[ROUTE]),
    counter(
        Metric::CallsEnded,
        "antiphon_calls_ended_total",
        "Calls ended, by cause",
        &[ROUTE, CAUSE],
    ),
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
            Metric::MediaBytes,
            "antiphon_media_bytes_total",
            "Audio received from transports (in) and handed to them (out)",
            &[DIRECTION],
        )
    },
    Spec {
        labels: &[RING],
        ..histogram(
            Metric::RingFill,
            "antiphon_ring_fill_seconds",
            "Audio that waits in a ring of a call, looked at once a second",
            WAITING,
        )
    },
    counter(
        Metric::SpeechStarts,
        "antiphon_speech_starts_total",
        "Times the detector heard speech begin",
        &[],
    ),
    counter(
        Metric::Utterances,
        "antiphon_utterances_total",
        "Utterances cut out of the caller's audio, by what closed them",
        &[END],
    ),
    histogram(
        Metric::UtteranceSpeech,
        "antiphon_utterance_speech_seconds",
        "Length of the speech in utterances",
        SPEECH,
    ),
    counter(
        Metric::UtterancesIgnored,
        "antiphon_utterances_ignored_total",
        "Utterances left unanswered because the bot goes on speaking, too many wait, or the call ends",
        &[IGNORED],
    ),
    counter(
        Metric::UtterancesNotUnderstood,
        "antiphon_utterances_not_understood_total",
        "Utterances in which the recogniser heard nothing it knows",
        &[ROUTE],
    ),
    counter(Metric::TurnsAnswered, "antiphon_turns_answered_total", "Turns answered", &[ROUTE]),
    counter(
        Metric::TurnsAbandoned,
        "antiphon_turns_abandoned_total",
        "Turns whose answer was dropped unheard, or that the call's end left unasked",
        &[],
    ),
    counter(
        Metric::TurnsUnheard,
        "antiphon_turns_unheard_total",
        "Turns of whose answer nothing was heard because it could not be spoken",
        &[ROUTE],
    ),
    counter(
        Metric::ReplyFlaws,
        "antiphon_reply_flaws_total",
        "Times that something of the dialog platform's reply was not done",
        &[FLAW],
    ),
    counter(
        Metric::Interruptions,
        "antiphon_interruptions_total",
        "Times a caller interrupted the bot",
        &[],
    ),
    counter(
        Metric::FalseInterruptions,
        "antiphon_false_interruptions_total",
        "Interruptions without words, after which the bot went on",
        &[],
    ),
    histogram(
        Metric::InterruptionUnheard,
        "antiphon_interruption_unheard_seconds",
        "Ready reply audio that an interruption left unheard",
        SPEECH,
    ),
    counter(
        Metric::FallbacksPlayed,
        "antiphon_fallbacks_played_total",
        "Times the fallback sentence was played",
        &[ROUTE],
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
    latency(
        Metric::TtsLatency,
        "antiphon_tts_latency_seconds",
        "Answer time of the synthesiser, up to the first audio where it streams",
    ),
    histogram(
        Metric::ResponseLatency,
        "antiphon_response_latency_seconds",
        "From the end-of-speech decision to the first reply audio",
        LATENCY,
    ),
    Spec {
        labels: &[ROUTE],
        ..histogram(
            Metric::TurnLatency,
            "antiphon_turn_latency_seconds",
            "From the last speech heard to the first reply audio: what the caller waits",
            LATENCY,
        )
    },
    Spec {
        labels: &[ROUTE, STAGE],
        ..histogram(
            Metric::TurnStage,
            "antiphon_turn_stage_seconds",
            "Where the turn latency went; the stages of a turn add up to it",
            LATENCY,
        )
    },
    counter(
        Metric::SttFailures,
        "antiphon_stt_failures_total",
        "Utterances not recognised",
        &[ROUTE, PROVIDER_FAILURE],
    ),
    counter(
        Metric::DialogFailures,
        "antiphon_dialog_failures_total",
        "Turns without a dialog reply",
        &[ROUTE, DIALOG_FAILURE],
    ),
    counter(
        Metric::TtsFailures,
        "antiphon_tts_failures_total",
        "Sentences without audio, or without all of it",
        &[ROUTE, PROVIDER_FAILURE],
    ),
    counter(
        Metric::SpeechLeftOut,
        "antiphon_speech_left_out_samples_total",
        "Speech on the caller's side that was not taken for the caller's: the bot's echo, or somebody much quieter, at 16 kHz",
        &[LEFT_OUT],
    ),
    histogram(
        Metric::AudioWait,
        "antiphon_audio_wait_seconds",
        "The longest that caller audio of a call waited from its arrival until it was heard, each second",
        WAITING,
    ),
    counter(
        Metric::AudioDropped,
        "antiphon_audio_dropped_samples_total",
        "Caller audio dropped because it waited too long, or came more than 10 s late, at 16 kHz",
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
        Metric::ReplyAudioGaps,
        "antiphon_reply_audio_gaps_total",
        "Gaps in reply audio because the synthesiser streamed it slower than it is spoken",
        &[],
    ),
    counter(
        Metric::CarrierEventsLeftOut,
        "antiphon_carrier_events_left_out_total",
        "Events that a connection was not given because its peer did not read; the event file has them",
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
        &[PROVIDER],
    ),
    counter(
        Metric::DialogAttempts,
        "antiphon_dialog_attempts_total",
        "Requests sent to the dialog platform, by what came of them",
        &[PROVIDER, ATTEMPT],
    ),
    counter(
        Metric::DialogRetries,
        "antiphon_dialog_retries_total",
        "Attempts that were followed by another one, by why",
        &[PROVIDER, RETRY],
    ),
    Spec {
        labels: &[PROVIDER, PERMIT],
        ..histogram(
            Metric::PermitWait,
            "antiphon_dialog_permit_wait_seconds",
            "Time in line for a permit to ask the dialog platform",
            LATENCY,
        )
    },
    Spec {
        labels: &[PROVIDER],
        ..gauge(
            Metric::DialogPermitsMax,
            "antiphon_dialog_permits_max",
            "Dialog requests that may hold a permit at once",
        )
    },
    Spec {
        labels: &[PROVIDER],
        ..gauge(
            Metric::DialogWaitingMax,
            "antiphon_dialog_requests_waiting_max",
            "Dialog requests that may wait for a permit",
        )
    },
    Spec {
        labels: &[PROVIDER],
        ..gauge(
            Metric::DialogInFlight,
            "antiphon_dialog_requests_in_flight",
            "Dialog requests that hold a permit",
        )
    },
    Spec {
        labels: &[PROVIDER],
        ..gauge(
            Metric::DialogWaiting,
            "antiphon_dialog_requests_waiting",
            "Dialog requests that wait for a permit",
        )
    },
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
    counter(
        Metric::SpansExported,
        "antiphon_spans_exported_total",
        "Spans of traces that the collector took",
        &[],
    ),
    counter(
        Metric::SpansDropped,
        "antiphon_spans_dropped_total",
        "Spans of traces that the collector did not get",
        &[SPAN_DROP],
    ),
    counter(
        Metric::LogLinesLost,
        "antiphon_log_lines_lost_total",
        "Log lines that were not written: nobody read them in time, or one place repeated itself",
        &[LOG_LOSS],
    ),
    Spec {
        labels: &[SERVICE, PROVIDER],
        ..gauge(
            Metric::ProviderReady,
            "antiphon_provider_ready",
            "1 while the provider works, 0 while calls to it would fail",
        )
    },
    gauge(
        Metric::PromptsMissing,
        "antiphon_prompts_missing",
        "Sentences of the engine's own that no synthesiser has rendered yet",
    ),
    Spec {
        labels: &[SERVICE, PROVIDER],
        ..gauge(
            Metric::BreakerState,
            "antiphon_breaker_state",
            "0 closed, 1 half-open: a single request tries, 2 open: the provider is not asked",
        )
    },
    counter(
        Metric::BreakerOpenings,
        "antiphon_breaker_openings_total",
        "Times a provider failed so often in a row that it is not asked for a while",
        &[SERVICE, PROVIDER],
    ),
    counter(
        Metric::BreakerRefusals,
        "antiphon_breaker_refusals_total",
        "Requests that failed at once because the provider is not asked",
        &[SERVICE, PROVIDER],
    ),
    Spec {
        labels: &[ARBITER],
        ..gauge(Metric::ArbiterCalls, "antiphon_arbiter_calls", "Calls that a media thread carries")
    },
    Spec {
        labels: &[ARBITER],
        ..gauge(
            Metric::ArbiterOpen,
            "antiphon_arbiter_open",
            "1 while a media thread takes new calls, 0 while they would make others late",
        )
    },
    Spec {
        labels: &[ARBITER],
        ..gauge(
            Metric::ArbiterBusy,
            "antiphon_arbiter_busy_ratio",
            "Share of the last second in which a media thread did not rest",
        )
    },
    Spec {
        unit: Unit::Seconds,
        labels: &[ARBITER],
        ..gauge(
            Metric::ArbiterLateness,
            "antiphon_arbiter_lateness_seconds",
            "99.9 % of the frames due in the last second were no later than this",
        )
    },
    Spec {
        labels: &[ARBITER],
        ..histogram(
            Metric::ArbiterLag,
            "antiphon_arbiter_lag_seconds",
            "How late a media thread woke up for its beat",
            LATENESS,
        )
    },
    counter(
        Metric::LateFrames,
        "antiphon_late_frames_total",
        "Pieces of reply audio handed over after they should have been heard",
        &[ARBITER],
    ),
];

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
    Spec { labels: &[ROUTE, OUTCOME], ..histogram(metric, name, help, LATENCY) }
}
