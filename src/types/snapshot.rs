//! What can be seen of a running call from outside. To look at, not to go on
//! from; nothing that was said is in it.

use serde::Serialize;

use super::events::TurnTimings;
use super::failure::ChildKind;
use super::ids::{Epoch, Generation, LegId, TurnId};

/// A call at one moment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CallSnapshot {
    /// Whether it goes on.
    pub state: CallState,
    /// Who speaks, or what is waited for.
    pub conversation: ConversationState,
    /// Name of its route.
    pub route: String,
    /// Its current connection.
    pub leg: Option<LegId>,
    /// The latest caller turn; 0 before the first.
    pub turn: TurnId,
    /// Caller turns not answered yet.
    pub turns_open: usize,
    /// Sentences queued or played.
    pub sentences_queued: usize,
    /// Rises with each interruption.
    pub epoch: Epoch,
    /// Caller audio heard so far.
    pub audio_ms: u64,
    /// Caller audio received, in bytes.
    pub audio_bytes: u64,
    /// What the latest answered turn took, stage by stage.
    pub last_turn: Option<TurnTimings>,
    /// Its children, in the order of the audio's way.
    pub children: Vec<ChildSnapshot>,
    /// Audio that waits in its rings.
    pub rings: RingFill,
}

/// Whether a call goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It runs, and its media is connected.
    Running,
    /// Its media is lost; it waits for its caller.
    Away,
    /// It says what is left and ends.
    Ending,
}

/// What a conversation is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationState {
    /// The caller may speak, or does.
    Listening,
    /// An utterance is being recognised, or waits to be asked.
    Transcribing,
    /// The dialog platform is being asked.
    Thinking,
    /// An answer is there, and its first audio is being made.
    Answering,
    /// The bot speaks.
    Speaking,
}

/// One child of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ChildSnapshot {
    /// Which.
    pub child: ChildKind,
    /// Its present life.
    pub generation: Generation,
    /// How often it failed and was replaced. A new connection replaces some of the
    /// children too; that does not count.
    pub restarts: u32,
}

/// Audio on its way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RingFill {
    /// Caller audio received and not yet taken off the ring, what waits behind it included.
    pub ingest_ms: u64,
    /// Reply audio made and not yet taken by the transport.
    pub playout_ms: u64,
}
