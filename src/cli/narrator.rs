//! Tells a call while it runs: one line for whatever is said. Prints, and decides
//! nothing.

use tokio::time::Instant;

use super::paint::Paint;
use super::print;
use super::turn_log::{TranscriptLine, TurnLog, TurnRow};
use crate::load::CallObservation;

/// Follows one call.
pub(super) struct Narrator {
    said: Vec<String>,
    log: TurnLog,
    started: Instant,
    paint: Paint,
    /// The refusal told last: the same one again is not told again.
    refused: String,
}

impl Narrator {
    /// For a caller who is going to say `said`.
    pub(super) fn new(said: Vec<String>) -> Self {
        let log = TurnLog::new(said.iter().map(String::as_str));
        Self {
            said,
            log,
            started: Instant::now(),
            paint: Paint::of_stdout(),
            refused: String::new(),
        }
    }

    /// Notes what happened and prints it if it is worth a line.
    pub(super) fn observe(&mut self, observation: &CallObservation<'_>) {
        if let Some(line) = self.line(observation) {
            let at_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let text = line.at(at_ms);
            let text = match line.tone() {
                Some(tone) => self.paint.paint(tone, &text),
                None => text,
            };
            print(&format!("{text}\n"));
        }
    }

    fn line(&mut self, observation: &CallObservation<'_>) -> Option<TranscriptLine> {
        match observation {
            CallObservation::UtteranceBegan { turn } => {
                self.said.get(*turn).map(|text| TranscriptLine::caller(text))
            }
            CallObservation::Event { turn, event } => self.log.note(*turn, event),
            CallObservation::Refused { code, message } => {
                let told = format!("{code}: {message}");
                let is_new = told != std::mem::replace(&mut self.refused, told.clone());
                is_new.then(|| TranscriptLine::engine(&told))
            }
            CallObservation::Reply { .. } => None,
        }
    }

    /// What became of each turn.
    pub(super) fn rows(&self) -> &[TurnRow] {
        self.log.rows()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_refusal_again_and_again_is_told_once() {
        let mut narrator = Narrator::new(Vec::new());
        let mut told = |code| {
            narrator.line(&CallObservation::Refused { code, message: "send audio" }).is_some()
        };
        assert_eq!(
            ["bad_json", "bad_json", "bad_json", "bad_hex"].map(&mut told),
            [true, false, false, true]
        );
    }
}
