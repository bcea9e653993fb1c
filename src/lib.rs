//! Antiphon.

pub mod actors;
pub mod call;
pub mod cli;
pub mod config;
pub mod load;
pub mod media;
pub mod resilience;
pub mod sandbox;
pub mod server;
pub mod services;
pub mod telemetry;
pub mod transports;
pub mod turn;
pub mod types;
