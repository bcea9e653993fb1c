//! Tests that go through more than one file of telemetry.

mod documented;
mod events;
mod json_lines;
mod queue;
pub(super) mod samples;
mod schema;
pub(super) mod support;
mod writer;
