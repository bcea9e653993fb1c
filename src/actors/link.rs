//! The one seam between carriers and calls. A transport knows this file and no
//! actor: it connects a leg, gives it bytes, and carries out its commands.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;

pub use super::inspection::{CallPage, CallView};
pub use super::leg::{Leg, LegInput, LegOutput};
pub use super::placement::Seat;
pub use super::registry::Switchboard;
pub use super::rounds::Visits;

use crate::types::{
    CallEvent, CallTarget, CarrierCallId, EndCause, Epoch, MediaFormat, SentenceId, UserId,
};

/// What a transport knows of a call that it wants to start or to resume.
#[derive(Clone, Debug)]
pub struct CallRequest {
    /// The carrier's name for the call, by which it resumes it on the same transport.
    /// `None`: the engine's id is its name.
    pub carrier_call_id: Option<CarrierCallId>,
    /// Whether a running call is taken over from a connection that still stands.
    pub takes_over: bool,
    /// Who is calling.
    pub user_id: UserId,
    /// What selects the route.
    pub target: Option<CallTarget>,
    /// Where the connection comes from, if that is known. The calls of a source that
    /// begins them too fast are refused.
    pub source: Option<IpAddr>,
    /// Name of the transport, for records.
    pub transport: &'static str,
    /// What the caller's audio is written in.
    pub format_in: MediaFormat,
    /// What the reply is to be written in.
    pub format_out: MediaFormat,
    /// How the reply is handed over.
    pub delivery: Delivery,
    /// Number of the first chunk, for carriers that number them.
    pub first_sequence: u64,
    /// How far ahead of the next expected number a chunk may be.
    pub sequence_ahead_max: u64,
}

/// How reply audio is handed to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum Delivery {
    /// In real time, in pieces of `frame_ms`, at most `lead_ms` ahead.
    Paced { frame_ms: u32, lead_ms: u32 },
    /// Each sentence whole, as soon as its turn to be played has come.
    WholeSentences,
}

/// What a transport is to do.
#[derive(Clone, Debug)]
pub enum LegCommand {
    /// Play this. Sent with [`Delivery::Paced`].
    Audio {
        /// Drop it if a later epoch was flushed.
        epoch: Epoch,
        /// Samples at the outgoing rate handed over before this piece, over the leg's life.
        position: u64,
        /// Whole samples in the outgoing format.
        bytes: Bytes,
    },
    /// Play this. Sent with [`Delivery::WholeSentences`].
    Sentence {
        /// Drop it if a later epoch was flushed.
        epoch: Epoch,
        /// Its number.
        sentence: SentenceId,
        /// The intent it answers; `None` for the engine's own prompts.
        intent: Option<String>,
        /// Whole samples in the outgoing format.
        bytes: Bytes,
    },
    /// Forget what was not played yet: the caller interrupted.
    Flush {
        /// The epoch that begins.
        epoch: Epoch,
    },
    /// Something happened; for carriers that asked for events.
    Event(Arc<CallEvent>),
    /// Another connection has taken the call over. Nothing follows.
    Superseded,
    /// The call is over. Nothing follows.
    End {
        /// Why.
        cause: EndCause,
    },
}

/// What became of a numbered chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChunkOutcome {
    /// Taken, now or as soon as its predecessors are there.
    Accepted,
    /// This number was taken before, or its time has passed.
    Duplicate,
    /// Further ahead than the window allows.
    TooFarAhead,
    /// More audio is waiting than a burst may hold. Try again later.
    Full,
    /// It holds more audio than one chunk may.
    TooLong {
        /// The most, in milliseconds.
        ms_max: u32,
    },
    /// The call is over.
    Ended,
}

/// What became of a piece of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamOutcome {
    /// Taken.
    Accepted,
    /// Nothing of it was taken: more audio is waiting than a burst may hold. Offer
    /// it again a little later.
    Full,
    /// The call is over.
    Ended,
}

/// What the carrier may be told about a call's intake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntakeState {
    /// Lowest sequence number that has not been taken.
    pub next_sequence: u64,
    /// Caller audio that waits to be processed.
    pub buffered_ms: u64,
    /// Current epoch of the reply.
    pub epoch: Epoch,
    /// Whether the call still runs.
    pub running: bool,
}
