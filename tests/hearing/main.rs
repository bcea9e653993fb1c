//! The pure parts over hours of recorded speech, and over texts without end: who is heard,
//! what is taken for speech, and what it costs.

#![allow(clippy::unwrap_used, reason = "a test that cannot read its recording has failed")]

#[path = "../track/mod.rs"]
mod track;

mod bounded_work;
mod gates;
mod over_a_reply;
mod recordings;
mod short_words;
mod vad;
