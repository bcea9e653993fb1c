//! Typed `config.toml` with environment overrides. A value that was built cannot
//! be wrong: [`load()`] checks every key, value and combination before anything
//! else of the engine starts, and tells all that is wrong at once.
//!
//! | file | what it does |
//! |---|---|
//! | `settings`, `defaults`, `stand_ins` | the settings and their defaults |
//! | `load` | file and environment to settings |
//! | `source` | parsing, environment variables, places of values |
//! | `keys`, `rule`, `walk` | every key, what it may hold, checking one by one |
//! | `coherence` | what must hold between keys |
//! | `routes` | the route of a call |
//! | `effective` | the configuration in force as text |
//!
//! Credentials are not configuration: they come from the environment or from
//! files that the configuration names. Nothing here opens those.

mod coherence;
mod defaults;
mod effective;
mod error;
mod keys;
mod load;
mod nearest;
mod routes;
mod rule;
mod settings;
mod source;
mod stand_ins;
mod traces;
mod walk;

#[cfg(test)]
mod tests;

pub use effective::effective_toml;
pub use error::{ConfigError, Place, Problem, Problems};
pub use load::load;
pub use routes::RouteTable;
pub use settings::*;
pub use stand_ins::{CodedTtsSettings, FixedDialogSettings, FixedSettings, ToneSettings};
pub use traces::{OtlpSettings, TelemetrySettings};
