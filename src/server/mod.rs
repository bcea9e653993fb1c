//! The engine as a whole: built from a configuration, bound to its ports, ready or
//! not, drained and stopped.
//!
//! Wires everything and decides nothing about calls.

mod chance;
mod deep_check;
mod doors;
mod engine;
mod handles;
mod health;
mod planner;
mod routes;

pub use deep_check::ask_providers;
pub use engine::{Engine, RunningEngine, StartError, certificate_files};
pub use health::{Finding, check_providers};
