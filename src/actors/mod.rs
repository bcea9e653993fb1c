//! actors
mod clock;
mod kernel;
pub mod link;
pub mod metrics;
pub use clock::Clock;
pub use kernel::{install_panic_hook, spawn_watched};
