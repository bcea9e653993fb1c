//! Tests that go through more than one file of telemetry.

mod events;
mod queue;
mod samples;
pub(super) mod support;
mod writer;
