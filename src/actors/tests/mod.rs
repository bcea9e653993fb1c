//! Whole calls through all actors, in virtual time, with services that follow a
//! script and panics planted wherever a child passes by.

mod calls;
mod ear;
mod echo;
mod floor;
mod intake;
mod requests;
mod rounds;
mod silence;
pub(crate) mod stage;
mod stalls;
mod streaming;
mod supervision;
mod survival;
