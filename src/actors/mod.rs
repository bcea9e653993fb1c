//! The only place that knows actix: thin shells around the pure cores.
//!
//! ```text
//! CallRegistry ── CallSupervisor ──┬─ Ingest   ring → inner rate
//!                                  ├─ Vad      samples → utterances
//!                                  ├─ Stt      utterances → words
//!                                  ├─ Dialog   words → replies
//!                                  └─ Tts      replies → playout ring
//! MetricsActor    writes the event file, on a thread of its own
//! ```
//!
//! `actors.md` describes each actor, message, limit and life. Reading order here:
//! [`link`] (the seam to carriers), `leg` and `intake` behind it, `registry`, `call_table`,
//! `supervisor`, `children`, then the five children; below them `kernel`
//! (supervision), `epilogue`, `lease`, `board` and `orders` (what survives whom), `pulse`,
//! `ticks`, `rounds`, `driver` and `placement` (who runs when and where), `watch`, `rest` and
//! `admission` (whether another call fits). An actor that decides something about speech or dialog is
//! in the wrong file.

mod admission;
mod board;
mod call_table;
mod children;
mod clock;
mod dialog;
mod driver;
mod epilogue;
mod gauges;
mod ingest;
mod inspection;
mod intake;
mod kernel;
mod kit;
mod lease;
mod leg;
pub mod link;
mod messages;
mod metrics;
mod metrics_thread;
mod orders;
mod placement;
mod played;
mod pulse;
mod registry;
mod rest;
mod rounds;
mod scratch;
mod service_runtime;
mod stt;
mod supervisor;
#[cfg(test)]
pub(crate) mod tests;
mod ticks;
mod tts;
mod vad;
mod voice;
mod watch;

pub use clock::Clock;
pub use kernel::spawn_watched;
pub use kit::CallKit;
pub use metrics_thread::MetricsThread;
pub use placement::MediaThreads;
pub use registry::{CallPlanner, CallRegistry, DrawBits, Load, RegistryParts};
pub use service_runtime::ServiceRuntime;
