//! actors
pub mod link;
pub mod metrics;
