//! What the inputs and outputs of a call are made of.

use serde::{Deserialize, Serialize};

use crate::types::{MediaTime, SentenceId, TurnId, UtteranceId};

/// How much caller audio there was so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioProgress {
    /// Position reached in the caller's audio.
    pub at: MediaTime,
    /// Bytes received.
    pub bytes: u64,
}

/// Work given to a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Job {
    /// Recognising an utterance.
    Utterance(UtteranceId),
    /// Asking a turn.
    Turn(TurnId),
    /// Synthesising a sentence.
    Sentence(SentenceId),
}
