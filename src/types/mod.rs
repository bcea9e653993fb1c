//! The vocabulary of the engine: identifiers, time, audio, text, settings, and
//! the facts and failures that the other layers exchange.
//!
//! Plain data. Nothing here does anything over time, reads a clock, or knows a
//! wire format; a value that was constructed is valid.

mod audio;
mod dialog;
mod events;
mod failure;
mod ids;
mod markup;
mod private;
mod retry;
mod route;
mod snapshot;
mod time;
mod tls_fault;
mod trace;

pub use audio::{
    Codec, INNER_RATE, MediaFormat, MediaFormatError, SampleRate, SpeechAudio, Utterance,
    UtteranceEnd,
};
pub use dialog::{DialogReply, DialogRequest, ReplyFlaw, ReplyOutput, SessionData, Transcript};
pub use events::{CallEvent, CallEventKind, IgnoredReason, TurnStage, TurnTimings};
pub use failure::{
    ChildKind, DialogFailure, EndCause, ExitReason, RefusalReason, SttFailure, TtsFailure,
};
pub use ids::{
    CallId, CallIdError, CallKey, CarrierCallId, CarrierCallIdError, Epoch, Generation, LegId,
    SentenceId, SessionId, TurnId, UserId, UtteranceId,
};
pub use markup::{Mark, MarkKind, Markup, is_xml_character, push_xml_text};
pub use private::{CallerText, Private, Secret};
pub use retry::RetryOn;
pub use route::{
    BudgetSettings, CallTarget, Detector, HeldAnswer, ListeningSettings, Prompt, Prompts,
    ResumeFrom, Route, Thresholds, TurnSettings, TwoTargets,
};
pub use snapshot::{CallSnapshot, CallState, ChildSnapshot, ConversationState, RingFill};
pub use time::{MediaTime, Now};
pub use tls_fault::TlsFault;
pub use trace::{Asked, SpanId, TraceId, TraceParent};
