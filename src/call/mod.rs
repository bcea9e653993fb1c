//! One call as a value: turns, timers, restarts and events joined.
//!
//! [`CallCore`] takes what happened and says what is to be done. It can be
//! serialised at any moment between two inputs. It touches no audio sample,
//! actor, provider or clock, so that a call can be run in virtual time, written
//! down and run again.

mod core;
mod parts;
mod repeated;
#[cfg(test)]
mod tests;
mod timers;

pub use self::core::{CallCore, CallInput, CallOutput};
pub use self::parts::{AudioProgress, Job};
pub use self::timers::{CallTimer, TimerTable};
