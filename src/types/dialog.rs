//! What passes between the call and the three services it asks.

use serde::{Deserialize, Serialize};

use super::ids::{CallId, SessionId, TurnId, UserId};
use super::markup::Markup;
use super::private::{CallerText, Private};
use super::trace::TraceParent;

/// What a recogniser made of an utterance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Transcript {
    /// The words, for good.
    Final {
        /// What the caller said.
        text: CallerText,
        /// 0 to 1, where the recogniser tells.
        confidence: Option<f32>,
    },
    /// Speech, but nothing that the recogniser knows: ask again.
    NoMatch,
}

/// Opaque state of the dialog platform; it goes back with the next turn.
pub type SessionData = Private<serde_json::Value>;

/// One caller turn, as asked of the dialog platform.
#[derive(Clone, Debug)]
pub struct DialogRequest {
    /// The call it belongs to.
    pub call_id: CallId,
    /// The platform's name of the conversation: a call that resumes finds its dialog again.
    pub session_id: SessionId,
    /// Who is calling.
    pub user_id: UserId,
    /// Which turn this is.
    pub turn: TurnId,
    /// What the caller said.
    pub text: CallerText,
    /// What the platform returned last time; null at first.
    pub session: SessionData,
    /// Longest time for the answer, retries and waiting for a permit included.
    pub answer_ms_max: u32,
    /// Its place in the call's trace, where there is one.
    pub trace: Option<TraceParent>,
}

/// What the dialog platform answered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DialogReply {
    /// What is to be said, in order. May be empty.
    pub outputs: Vec<ReplyOutput>,
    /// The recognised intent, where the platform tells.
    pub intent: Option<String>,
    /// 0 to 1, where the platform tells.
    pub confidence: Option<f32>,
    /// The platform's next state, where it tells.
    pub next_state: Option<String>,
    /// State to send back with the next turn.
    pub session: SessionData,
    /// The platform wants the call to end once everything is said.
    pub end_call: bool,
    /// What of it is not done.
    #[serde(default)]
    pub flaws: Vec<ReplyFlaw>,
    /// How long the request stood in line for its permits.
    #[serde(default)]
    pub waited_ms: u64,
}

/// What of a platform's reply the caller does not get.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum ReplyFlaw {
    /// It is longer than what is said of one reply; the rest is not said.
    TooLong {
        /// Characters that are not said, as the platform wrote them.
        unsaid_chars: u64,
    },
    /// There is nothing to say, and the call goes on: the caller would hear silence.
    WithoutWords,
    /// It asks for something that cannot be done here.
    ActionNotPossible {
        /// The platform's name of it.
        action: String,
    },
    /// Its session data is larger than what is kept of a call; that of the turn before
    /// goes back with the next one.
    SessionDataTooLarge {
        /// How large it is.
        bytes: u64,
    },
}

impl ReplyFlaw {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::TooLong { .. } => "too_long",
            Self::WithoutWords => "without_words",
            Self::ActionNotPossible { .. } => "action_not_possible",
            Self::SessionDataTooLarge { .. } => "session_data_too_large",
        }
    }
}

/// One thing to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyOutput {
    /// The words; one or more sentences.
    pub text: CallerText,
    /// How they are to be said, for synthesisers that can.
    #[serde(default)]
    pub markup: Option<Private<Markup>>,
    /// Whether the caller may interrupt it. `None`: as the route says.
    pub interruptible: Option<bool>,
}
