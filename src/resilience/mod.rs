//! What keeps a failing child or provider, or too many callers, from taking calls down
//! with them: restarting, waiting, retrying, standing in line, not asking and refusing, as decisions.
//!
//! Pure. Time and randomness are arguments; nothing here sleeps, sends or locks.

mod admission;
mod backoff;
mod breaker;
mod busy;
mod comeback;
mod keyed_rates;
mod lateness;
mod memory_room;
mod permits;
mod process_room;
mod restart_budget;
mod resume_rate;
mod retry;
mod standing;

pub use admission::{Look, Overload, ThreadAdmission, ThreadLimits, Turned};
pub use backoff::{Backoff, RETRY_AFTER_MS_MAX};
pub use breaker::{Breaker, BreakerState, Outcome, Pass};
pub use busy::{BusyForecast, LOOK_MS};
pub use comeback::Comebacks;
pub use keyed_rates::KeyedRates;
pub use lateness::Lateness;
pub use memory_room::MemoryRoom;
pub use permits::{LineFull, PermitQueue, Place, Ticket};
pub use process_room::{CoresBusy, ProcessRoom};
pub use restart_budget::RestartBudget;
pub use resume_rate::ResumeRate;
pub use retry::{AttemptFailure, Progress, RetryDecision, RetryPolicy};
pub use standing::Standing;
