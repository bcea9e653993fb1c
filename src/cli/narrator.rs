//! Tells a call while it runs: one line for whatever is said. Prints, and decides
//! nothing.

use tokio::time::Instant;

use super::print;
use super::turn_log::{TranscriptLine, TurnLog, TurnRow};
use crate::load::CallObservation;

/// Follows one call.
pub(super) struct Narrator {
    said: Vec<String>,
    log: TurnLog,
    started: Instant,
}

impl Narrator {
    /// For a caller who is going to say `said`.
    pub(super) fn new(said: Vec<String>) -> Self {
        let log = TurnLog::new(said.iter().map(String::as_str));
        Self { said, log, started: Instant::now() }
    }

    /// Notes what happened and prints it if it is worth a line.
    pub(super) fn observe(&mut self, observation: &CallObservation<'_>) {
        let line = match observation {
            CallObservation::UtteranceBegan { turn } => {
                self.said.get(*turn).map(|text| TranscriptLine::caller(text))
            }
            CallObservation::Event { turn, event } => self.log.note(*turn, event),
            CallObservation::Refused { code, message } => {
                Some(TranscriptLine::engine(&format!("{code}: {message}")))
            }
            CallObservation::Reply { .. } => None,
        };
        if let Some(line) = line {
            let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            print(&format!("{}\n", line.at(at_ms)));
        }
    }

    /// What became of each turn.
    pub(super) fn rows(&self) -> &[TurnRow] {
        self.log.rows()
    }
}
