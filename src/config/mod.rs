//! Typed `config.toml` with environment overrides. A value that was built cannot be wrong.

mod settings;

pub use settings::*;
