//! Why things end or fail. Each enum decides what happens next.

use serde::{Deserialize, Serialize};

/// The children of a call, in the order of the audio's way through them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChildKind {
    /// Takes samples off the ring.
    Ingest,
    /// Cuts them into utterances.
    Vad,
    /// Has utterances recognised.
    Stt,
    /// Asks the dialog platform.
    Dialog,
    /// Has sentences synthesised and plays them out.
    Tts,
}

impl ChildKind {
    /// Every child.
    pub const ALL: [Self; 5] = [Self::Ingest, Self::Vad, Self::Stt, Self::Dialog, Self::Tts];

    /// The name used in logs and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Vad => "vad",
            Self::Stt => "stt",
            Self::Dialog => "dialog",
            Self::Tts => "tts",
        }
    }
}

/// How a child ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ExitReason {
    /// It was told to stop, or its work was done.
    Completed,
    /// It panicked.
    Panicked {
        /// File and line. Not the message, which may quote the caller.
        at: String,
    },
    /// Its arbiter stopped or its future was dropped.
    Cancelled,
    /// It did not answer in time and was replaced.
    Wedged,
}

impl ExitReason {
    /// The name used in logs and metric labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Panicked { .. } => "panicked",
            Self::Cancelled => "cancelled",
            Self::Wedged => "wedged",
        }
    }
}

/// Why a call ended. Exactly one per call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndCause {
    /// The caller, or the carrier for the caller, ended it.
    CallerHungUp,
    /// The dialog platform ended it.
    DialogEnded,
    /// The media was lost and nobody came back within the reconnect window.
    MediaLost,
    /// The dialog platform refused the credentials.
    DialogUnauthorized,
    /// Too many turns failed one after the other.
    TurnsFailed,
    /// A child was restarted more often than its budget allows.
    RestartLimit,
    /// The call's own supervisor failed.
    SupervisorFailed,
    /// The engine shuts down.
    Drained,
    /// An operator ended it.
    EndedByOperator,
}

impl EndCause {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller_hung_up",
            Self::DialogEnded => "dialog_ended",
            Self::MediaLost => "media_lost",
            Self::DialogUnauthorized => "dialog_unauthorized",
            Self::TurnsFailed => "turns_failed",
            Self::RestartLimit => "restart_limit",
            Self::SupervisorFailed => "supervisor_failed",
            Self::Drained => "drained",
            Self::EndedByOperator => "ended_by_operator",
        }
    }
}

/// Why a call is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefusalReason {
    /// As many calls as configured are running.
    #[error("the engine holds as many calls as it is allowed to ({calls_max})")]
    Full {
        /// The limit.
        calls_max: u32,
        /// When another try may succeed, in seconds.
        retry_after_s: u32,
    },
    /// Another call would make the running ones late.
    #[error("another call would make the running ones late: {because}; try again in a few seconds")]
    Overloaded {
        /// What was measured, and the limit.
        because: String,
        /// When another try may succeed, in seconds.
        retry_after_s: u32,
    },
    /// The process is as large as it may be.
    #[error(
        "the engine uses {resident_mb} MB of memory, more than {memory_mb_max}; try again when \
         calls have ended"
    )]
    Memory {
        /// What it uses.
        resident_mb: u64,
        /// The limit.
        memory_mb_max: u64,
        /// When another try may succeed, in seconds.
        retry_after_s: u32,
    },
    /// One source begins calls too fast.
    #[error("this address begins more than {calls_max} calls a second; begin them more slowly")]
    SourceRate {
        /// The limit.
        calls_max: u32,
    },
    /// No route has the name that was asked for.
    #[error(
        "there is no route of this name: use one of [[routes]], or leave it out for the default"
    )]
    UnknownRoute,
    /// One call gets new connections too fast, or very many do at once.
    #[error("calls get new connections too often here; wait a second before the next one")]
    ResumeRate,
    /// The engine shuts down.
    #[error("the engine is shutting down")]
    Draining,
    /// The call is running and its media is connected.
    #[error("a call with this id is running and connected")]
    AlreadyConnected,
    /// The call has ended; its id is not used again for a while.
    #[error("the call with this id has ended")]
    Ended,
    /// The engine could not start the call.
    #[error("the engine could not start the call")]
    Internal,
}

impl RefusalReason {
    /// The name used in metric labels and error codes.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Full { .. } => "full",
            Self::Overloaded { .. } => "overloaded",
            Self::Memory { .. } => "memory",
            Self::SourceRate { .. } => "source_rate",
            Self::UnknownRoute => "unknown_route",
            Self::ResumeRate => "resume_rate",
            Self::Draining => "draining",
            Self::AlreadyConnected => "already_connected",
            Self::Ended => "ended",
            Self::Internal => "internal",
        }
    }

    /// When another try may succeed, in seconds. `None`: it will be refused again.
    #[must_use]
    pub const fn retry_after_s(&self) -> Option<u32> {
        match self {
            Self::Draining | Self::SourceRate { .. } | Self::ResumeRate => Some(1),
            Self::Full { retry_after_s, .. }
            | Self::Overloaded { retry_after_s, .. }
            | Self::Memory { retry_after_s, .. } => Some(*retry_after_s),
            Self::UnknownRoute | Self::AlreadyConnected | Self::Ended | Self::Internal => None,
        }
    }
}

/// Why an utterance was not recognised. All of them cost this turn only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SttFailure {
    /// No answer in time.
    #[error("the recogniser did not answer in time")]
    Timeout,
    /// 429: it has enough for now.
    #[error("the recogniser is rate limiting (429)")]
    RateLimited,
    /// It was not asked: too many utterances are waiting for it here.
    #[error("too many requests are waiting for the recogniser")]
    Saturated,
    /// It was not asked: it failed too often in a row, and is left alone for a while.
    #[error("the recogniser is not asked for a while: {message}")]
    BreakerOpen {
        /// What came of the last request; holds no caller data.
        message: String,
    },
    /// It cannot be reached or its worker is not running.
    #[error("the recogniser is not available: {message}")]
    Unavailable {
        /// What was found; holds no caller data.
        message: String,
    },
    /// It answered with something that is no transcript, or refused.
    #[error("the recogniser failed: {message}")]
    Failed {
        /// What was found; holds no caller data.
        message: String,
    },
}

/// Why a sentence has no audio.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TtsFailure {
    /// No answer in time.
    #[error("the synthesiser did not answer in time")]
    Timeout,
    /// 429: it has enough for now.
    #[error("the synthesiser is rate limiting (429)")]
    RateLimited,
    /// It was not asked: too many sentences are waiting for it here.
    #[error("too many requests are waiting for the synthesiser")]
    Saturated,
    /// It was not asked: it failed too often in a row, and is left alone for a while.
    #[error("the synthesiser is not asked for a while: {message}")]
    BreakerOpen {
        /// What came of the last request; holds no caller data.
        message: String,
    },
    /// It cannot be reached or its worker is not running.
    #[error("the synthesiser is not available: {message}")]
    Unavailable {
        /// What was found; holds no caller data.
        message: String,
    },
    /// It answered with something that is no audio, or refused.
    #[error("the synthesiser failed: {message}")]
    Failed {
        /// What was found; holds no caller data.
        message: String,
    },
}

/// Why the dialog platform gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DialogFailure {
    /// 401: the credential is not accepted. Ends the dialog, is never retried.
    #[error(
        "the dialog platform refuses the credential (401): the API key, or the endpoint URL \
         that stands for one"
    )]
    Unauthorized,
    /// 403: the credential may not do this. Ends the dialog, is never retried.
    #[error(
        "the dialog platform does not let the credential run this dialog (403): the API key, or \
         the endpoint URL that stands for one"
    )]
    Forbidden,
    /// 429, and no try was left within the time for the answer.
    #[error("the dialog platform is rate limiting (429)")]
    RateLimited,
    /// Another status than 2xx.
    #[error("the dialog platform answered with status {status}")]
    Status {
        /// The HTTP status.
        status: u16,
    },
    /// No answer in time.
    #[error("the dialog platform did not answer in time")]
    Timeout,
    /// No connection, or it broke.
    #[error("the dialog platform is not reachable")]
    Unreachable,
    /// It was not asked: it failed too often in a row, and is left alone for a while.
    #[error("the dialog platform is not asked for a while: {message}")]
    BreakerOpen {
        /// What came of the last request; holds no caller data.
        message: String,
    },
    /// The answer is not what the contract says.
    #[error("the dialog platform's answer is not understood: {message}")]
    Malformed {
        /// What was found; holds no caller data.
        message: String,
    },
    /// No permit became free within the time for the answer.
    #[error("too many dialog requests are waiting")]
    Saturated,
    /// The engine lost track of the request; it may or may not have run.
    #[error("the dialog request was lost")]
    Lost,
}

impl DialogFailure {
    /// Whether the dialog is over: asking again cannot help.
    #[must_use]
    pub const fn ends_dialog(&self) -> bool {
        matches!(self, Self::Unauthorized | Self::Forbidden)
    }

    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::RateLimited => "rate_limited",
            Self::Status { .. } => "status",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::BreakerOpen { .. } => "breaker_open",
            Self::Malformed { .. } => "malformed",
            Self::Saturated => "saturated",
            Self::Lost => "lost",
        }
    }
}

macro_rules! provider_failure_names {
    ($($failure:ident),*) => {$(
        impl $failure {
            /// The name used in records and metric labels.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self {
                    Self::Timeout => "timeout",
                    Self::RateLimited => "rate_limited",
                    Self::Saturated => "saturated",
                    Self::BreakerOpen { .. } => "breaker_open",
                    Self::Unavailable { .. } => "unavailable",
                    Self::Failed { .. } => "failed",
                }
            }
        }
    )*};
}

provider_failure_names!(SttFailure, TtsFailure);
