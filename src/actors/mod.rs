//! actors
mod clock;
mod kernel;
pub mod link;
pub mod metrics;
pub use kernel::{install_panic_hook, spawn_watched};
pub use clock::Clock;
