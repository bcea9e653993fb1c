//! What keeps a failing child or provider from taking calls down with it:
//! restarting, waiting, retrying and standing in line, as decisions.
//!
//! Pure. Time and randomness are arguments; nothing here sleeps, sends or locks.

mod backoff;
mod permits;
mod restart_budget;
mod retry;

pub use backoff::{Backoff, RETRY_AFTER_MS_MAX};
pub use permits::{LineFull, PermitQueue, Place, Ticket};
pub use restart_budget::RestartBudget;
pub use retry::{AttemptFailure, Progress, RetryDecision, RetryPolicy};
