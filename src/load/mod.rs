//! Callers: they speak to the engine as strangers would, over its carriers' protocols and
//! in real time, and tell what they heard. Nothing here knows the engine's inside.
//!
//! One call: [`Caller`] decides (pure), [`place_call`] does (one WebSocket), and
//! [`StereoRecording`] keeps both sides.
//!
//! Many calls: a [`LoadPlan`] becomes a [`RunningLoad`] and that a [`Report`].
//!
//! | file | what it is |
//! |---|---|
//! | `plan`, `script`, `schedule`, `pattern` | pure: what the run is to be, when calls begin and end, how callers talk |
//! | `talker`, `playback` | pure: one of many callers, and what it measures |
//! | `line`, `handshake`, `callback` | a call over a WebSocket or over HTTP |
//! | `worker`, `generator`, `gauge` | threads, the ticker that sends, processor time |
//! | `unreached` | whether anybody is there; pure: why no call came about |
//! | `said` | pure: what the engine says to calls that it does not take |
//! | `engine_watch`, `engine` | looks at the engine's metrics; pure: whether its process grows |
//! | `tally`, `histogram` | pure: counts and durations |
//! | `report`, `objectives`, `summary`, `html`, `plot`, `figures` | pure: the result, what it misses, and how it is shown |

mod call;
mod callback;
mod caller;
mod connection;
mod engine;
mod engine_watch;
mod figures;
mod gauge;
mod generator;
mod handshake;
mod histogram;
mod html;
mod line;
mod objectives;
mod pattern;
mod plan;
mod playback;
mod plot;
mod recording;
mod report;
mod said;
mod schedule;
mod script;
mod summary;
mod talker;
mod tally;
#[cfg(test)]
mod tests;
mod unreached;
mod wire;
mod worker;

pub use call::{CallEnd, CallError, CallObservation, CallOutcome, CallPlan, place_call};
pub use caller::{Caller, CallerSettings, CallerTurn, Chunk};
pub use engine::{Course, EngineFigures, EngineSample, LOOKS_MIN};
pub use engine_watch::{EngineWatch, WatchError};
pub use gauge::Progress;
pub use generator::{LoadError, RunningLoad, start};
pub use histogram::Histogram;
pub use html::html;
pub use objectives::Objectives;
pub use pattern::{Dice, SpanError, SpanMs, TalkPattern};
pub use plan::{Carrier, LoadPlan, Target, TargetError, ValidityLimits};
pub use playback::JITTER_MS;
pub use recording::StereoRecording;
pub use report::{
    FlawFigures, GeneratorFigures, IntervalFigures, Origin, Percentiles, Report, RunFacts,
    ThreadUse, TurnFigures,
};
pub use schedule::{Arrivals, Place, Schedule, Stage};
pub use script::{Script, ScriptError};
pub use summary::summary;
pub use talker::Speech;
pub use unreached::knock;
