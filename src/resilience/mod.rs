//! What keeps a failing provider from taking calls down with it: waiting,
//! retrying and queueing, as decisions.
//!
//! Pure. Time and randomness are arguments; nothing here sleeps, sends or locks.

pub mod backoff;
pub mod permits;
pub mod retry;
