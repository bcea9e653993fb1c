//! Tests that go through more than one file of telemetry.

mod events;
mod queue;
mod samples;
mod support;
mod writer;
