//! What to do when something fails: pure decisions, made with the time passed in.

mod restart_budget;

pub use restart_budget::RestartBudget;
