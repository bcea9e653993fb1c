//! actors
pub mod link;
