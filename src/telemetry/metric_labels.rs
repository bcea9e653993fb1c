//! The closed lists of label values, and the buckets of histograms.
//!
//! Nothing but data. A value that is not here cannot become a time series.

use super::metrics::LabelSpec;

/// Upper bounds for answer times, suited to conversation: 10 ms to 10 s.
pub(super) const LATENCY: &[f64] = &[
    0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0,
    7.5, 10.0,
];
/// Upper bounds for how late a thread is: 0.5 ms to 500 ms.
pub(super) const LATENESS: &[f64] = &[0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5];
/// Upper bounds for audio that waits: 10 ms to 2.5 s.
pub(super) const WAITING: &[f64] = &[0.01, 0.02, 0.04, 0.06, 0.1, 0.2, 0.3, 0.5, 1.0, 2.5, 5.0];
/// Upper bounds for lengths of speech: 100 ms to 30 s.
pub(super) const SPEECH: &[f64] = &[0.1, 0.2, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0, 30.0];
/// Upper bounds for lengths of calls: 1 s to 1 h.
pub(super) const LONG: &[f64] = &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

pub(super) const CAUSE: LabelSpec = LabelSpec {
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
        "ended_by_operator",
    ],
};
pub(super) const REASON: LabelSpec = LabelSpec {
    name: "reason",
    values: &[
        "full",
        "overloaded",
        "memory",
        "source_rate",
        "resume_rate",
        "unknown_route",
        "draining",
        "already_connected",
        "ended",
        "internal",
    ],
};
pub(super) const STAGE: LabelSpec = LabelSpec {
    name: "stage",
    values: &["end_of_speech", "stt", "turn_wait", "permit_wait", "dialog", "tts"],
};
pub(super) const END: LabelSpec =
    LabelSpec { name: "end", values: &["silence", "stalled", "max_length", "media_ended"] };
pub(super) const IGNORED: LabelSpec = LabelSpec {
    name: "reason",
    values: &["protected", "no_words", "listener", "too_many", "call_ending"],
};
pub(super) const LEFT_OUT: LabelSpec = LabelSpec { name: "cause", values: &["echo", "quiet"] };
pub(super) const FLAW: LabelSpec = LabelSpec {
    name: "reason",
    values: &["too_long", "without_words", "action_not_possible", "session_data_too_large"],
};
pub(super) const PROVIDER_FAILURE: LabelSpec = LabelSpec {
    name: "failure",
    values: &["timeout", "rate_limited", "saturated", "breaker_open", "unavailable", "failed"],
};
pub(super) const DIALOG_FAILURE: LabelSpec = LabelSpec {
    name: "failure",
    values: &[
        "unauthorized",
        "forbidden",
        "rate_limited",
        "status",
        "timeout",
        "unreachable",
        "breaker_open",
        "malformed",
        "saturated",
        "lost",
    ],
};
pub(super) const OUTCOME: LabelSpec =
    LabelSpec { name: "outcome", values: &["answered", "failed"] };
pub(super) const PERMIT: LabelSpec =
    LabelSpec { name: "outcome", values: &["granted", "saturated", "rate_limited"] };
pub(super) const ATTEMPT: LabelSpec = LabelSpec {
    name: "outcome",
    values: &[
        "answered",
        "not_sent",
        "broken",
        "timed_out",
        "rate_limited",
        "refused",
        "client_error",
        "server_error",
        "other_status",
        "malformed",
    ],
};
pub(super) const RETRY: LabelSpec =
    LabelSpec { name: "cause", values: &["not_sent", "rate_limited", "server_error"] };
pub(super) const CHILD: LabelSpec =
    LabelSpec { name: "child", values: &["ingest", "vad", "stt", "dialog", "tts"] };
pub(super) const EXIT: LabelSpec =
    LabelSpec { name: "reason", values: &["completed", "panicked", "cancelled", "wedged"] };
pub(super) const SERVICE: LabelSpec =
    LabelSpec { name: "service", values: &["stt", "dialog", "tts"] };
pub(super) const HEALTH: LabelSpec =
    LabelSpec { name: "health", values: &["ready", "unavailable", "refused"] };
pub(super) const DROP: LabelSpec = LabelSpec { name: "cause", values: &["queue_full", "file"] };
pub(super) const LOG_LOSS: LabelSpec =
    LabelSpec { name: "cause", values: &["queue_full", "repeated"] };

pub(super) const SPAN_DROP: LabelSpec =
    LabelSpec { name: "cause", values: &["queue_full", "not_taken"] };
pub(super) const DIRECTION: LabelSpec = LabelSpec { name: "direction", values: &["in", "out"] };
pub(super) const RING: LabelSpec = LabelSpec { name: "ring", values: &["ingest", "playout"] };
pub(super) const VERSION: LabelSpec =
    LabelSpec { name: "version", values: &[env!("CARGO_PKG_VERSION")] };
pub(super) const PROFILE: LabelSpec = LabelSpec {
    name: "profile",
    values: &[if cfg!(debug_assertions) { "debug" } else { "release" }],
};
/// One value for each route of the configuration.
pub(super) const ROUTE: LabelSpec = LabelSpec { name: "route", values: &[] };
/// One value for each media thread; known when the threads start.
pub(super) const ARBITER: LabelSpec = LabelSpec { name: "arbiter", values: &[] };
/// One value for each provider that a route names; known from the configuration.
pub(super) const PROVIDER: LabelSpec = LabelSpec { name: "provider", values: &[] };
