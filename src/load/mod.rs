//! Callers: they speak to the engine over its simulator WebSocket as a stranger
//! would, in real time, and keep what they heard.
//!
//! [`Caller`] decides (pure), [`place_call`] does (one WebSocket), and
//! [`StereoRecording`] keeps both sides. Nothing here knows the engine's inside.

mod call;
mod caller;
mod recording;
mod wire;

pub use call::{CallEnd, CallError, CallObservation, CallOutcome, CallPlan, place_call};
pub use caller::{Caller, CallerSettings, CallerSettingsError, CallerTurn, Chunk};
pub use recording::StereoRecording;
