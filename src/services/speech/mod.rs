//! Speech on this computer: recognition and synthesis in resident worker processes.
//!
//! Speech libraries are foreign code, so they never run in the engine. The engine's
//! side is a supervised pool of processes; the process side is `antiphon speech-worker`,
//! or a program of the user's own; between them is a line protocol, described in
//! `docs/local-speech.md`. This module refuses to hold a caller's words or audio longer
//! than the request takes, and to put them into a log.
//!
//! | file | what it is |
//! |---|---|
//! | `providers` | the traits, on top of a pool |
//! | `pool`, `queue`, `process` | the engine's side |
//! | `protocol`, `line` | what both sides speak |
//! | `worker/` | the process side: the main loop, the recogniser, the speaker |
//! | `enhance`, `grammar`, `verdict` | pure: better audio, words of a grammar, match or no match |
//! | `library/` | the C libraries; the only unsafe code |

mod enhance;
mod grammar;
mod library;
mod line;
mod pool;
mod process;
mod protocol;
mod providers;
mod queue;
mod verdict;
mod worker;

pub use grammar::DEMO_GRAMMAR;
pub use protocol::{
    Capability, LINE_BYTES_MAX, LineError, PROTOCOL_VERSION, Pcm, Ready, Reply, Request,
    WIRE_RATE_HZ, WorkerFailure, decode_reply, decode_request, encode_reply, encode_request,
};
pub(super) use providers::{WorkerStt, WorkerTts};
pub use worker::{RecogniserOptions, WorkerError, WorkerOptions, run};
