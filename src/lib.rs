//! Antiphon: a real-time media engine for contact-centre voice bots.
//!
//! The map, in reading order. Arrows point downwards only: a folder may use what
//! stands above it in this table, as the last column says.
//!
//! | folder | what it is | may use |
//! |---|---|---|
//! | [`types`] | vocabulary: ids, time, audio, settings, facts and failures | nothing |
//! | [`media`] | pure: codecs, resampling, reordering, speech detection, playout | `types` |
//! | [`turn`] | pure: the conversation, who speaks when | `types` |
//! | [`resilience`] | pure: backoff, breaker, retry, permits, restart budget | `types` |
//! | [`call`] | pure: one call as a value; its timers, events and restarts | the four above |
//! | [`config`] | `config.toml` and the environment as checked values | `types` |
//! | [`telemetry`] | one event: log line, metric and record together | `types` |
//! | [`services`] | recognisers, dialog platforms, synthesisers behind traits | `types`, `media`, `resilience`, `config`, `telemetry` |
//! | [`actors`] | the only place that knows actix: thin shells around the pure cores | all above |
//! | [`transports`] | carriers: pure codecs and thin connections | `types`, `media`, `config`, `telemetry`, [`actors::link`] |
//! | [`server`] | wires everything, starts and stops it | all above |
//! | [`sandbox`] | local stand-ins for the platforms, and the demo bot | `types`, `media` |
//! | [`load`] | callers: one call, and a thousand that are measured | `types`, `media`, `config` |
//! | [`cli`] | the commands | all |
//!
//! Pure means: no clock, lock, thread, channel, randomness, file or network; time
//! comes in as an argument ([`types::Now`]) and effects leave as values. What runs
//! is described in `actors.md`.

#[macro_use]
mod sabotage;

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
