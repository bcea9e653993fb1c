//! The engine as a user has it: a process of its own, real sockets, callers, proxies and
//! platforms beside it. One program for all of these, because what they share takes longer
//! to build than they do.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that goes wrong")]

mod admission;
mod connections;
mod hostile;
mod hundred_calls;
mod load;
mod operations;
mod peers;
mod process;
mod prometheus;
mod protocols;
mod proxies;
mod reconnect;
mod redaction;
mod silence;
mod speech_worker;
mod streaming;
mod support;
mod tls;
mod traces;
