//! What became of each caller turn, collected from the events of a call. Pure.

use super::paint::Tone;
use crate::types::{CallEvent, CallEventKind, TurnTimings};

/// One caller turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TurnRow {
    /// What the caller said, as far as that is known.
    pub(super) said: String,
    /// What was recognised; several utterances are joined by ` / `.
    pub(super) recognised: String,
    /// The dialog platform's intent.
    pub(super) intent: String,
    /// What the bot answered.
    pub(super) reply: String,
    /// How long the stages took, once the answer was heard.
    pub(super) timings: Option<TurnTimings>,
}

impl TurnRow {
    /// The dialog platform answered, and its answer was heard.
    pub(super) const fn is_answered(&self) -> bool {
        self.timings.is_some()
    }
}

/// All turns of a call.
#[derive(Clone, Debug)]
pub(super) struct TurnLog {
    rows: Vec<TurnRow>,
}

/// Shown in place of words that were not understood.
const NOT_UNDERSTOOD: &str = "(not understood)";

impl TurnLog {
    /// A log for a caller who is going to say `said`.
    pub(super) fn new<'a>(said: impl IntoIterator<Item = &'a str>) -> Self {
        let row = |said: &str| TurnRow { said: said.to_owned(), ..TurnRow::default() };
        Self { rows: said.into_iter().map(row).collect() }
    }

    pub(super) fn rows(&self) -> &[TurnRow] {
        &self.rows
    }

    /// Notes what `event` says about the caller's `turn`-th utterance, or about the
    /// greeting. Gives back the line of the transcript that it is worth.
    pub(super) fn note(
        &mut self,
        turn: Option<usize>,
        event: &CallEvent,
    ) -> Option<TranscriptLine> {
        match turn {
            Some(turn) => self.note_turn(turn, event),
            None => note_greeting(event),
        }
    }

    fn note_turn(&mut self, turn: usize, event: &CallEvent) -> Option<TranscriptLine> {
        let row = self.rows.get_mut(turn)?;
        match &event.kind {
            CallEventKind::Transcribed { text, .. } => {
                append(&mut row.recognised, text.expose());
                Some(TranscriptLine::heard(text.expose()))
            }
            CallEventKind::NotUnderstood { .. } => {
                append(&mut row.recognised, NOT_UNDERSTOOD);
                Some(TranscriptLine::heard(NOT_UNDERSTOOD))
            }
            CallEventKind::DialogReplied { text, intent, .. } => {
                append(&mut row.reply, text.expose());
                append(&mut row.intent, intent.as_deref().unwrap_or("-"));
                Some(TranscriptLine::bot(text.expose()))
            }
            CallEventKind::TurnAnswered { timings, .. } => {
                row.timings = Some(*timings);
                None
            }
            // What the engine says by itself is known only once it was heard.
            CallEventKind::BotTurnStopped { heard }
                if row.reply.is_empty() && !heard.expose().is_empty() =>
            {
                row.reply.clone_from(heard.expose());
                Some(TranscriptLine::bot(heard.expose()))
            }
            CallEventKind::SttFailed { failure, .. } => {
                Some(TranscriptLine::engine(&failure.to_string()))
            }
            CallEventKind::DialogFailed { failure, .. } => {
                Some(TranscriptLine::engine(&failure.to_string()))
            }
            CallEventKind::TtsFailed { failure, .. } => {
                Some(TranscriptLine::engine(&failure.to_string()))
            }
            _ => None,
        }
    }
}

/// A greeting is known once it was heard.
fn note_greeting(event: &CallEvent) -> Option<TranscriptLine> {
    match &event.kind {
        CallEventKind::BotTurnStopped { heard } | CallEventKind::Interruption { heard, .. } => {
            (!heard.expose().is_empty()).then(|| TranscriptLine::bot(heard.expose()))
        }
        CallEventKind::TtsFailed { failure, .. } => {
            Some(TranscriptLine::engine(&failure.to_string()))
        }
        _ => None,
    }
}

fn append(text: &mut String, more: &str) {
    if !text.is_empty() {
        text.push_str(" / ");
    }
    text.push_str(more);
}

/// One line of the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TranscriptLine {
    speaker: &'static str,
    text: String,
}

impl TranscriptLine {
    /// The caller speaks.
    pub(super) fn caller(text: &str) -> Self {
        Self { speaker: "caller", text: text.to_owned() }
    }

    /// The engine has a problem.
    pub(super) fn engine(text: &str) -> Self {
        Self { speaker: "engine", text: text.to_owned() }
    }

    fn heard(text: &str) -> Self {
        Self { speaker: "heard", text: text.to_owned() }
    }

    fn bot(text: &str) -> Self {
        Self { speaker: "bot", text: text.to_owned() }
    }

    /// The line, `at_ms` into the call.
    pub(super) fn at(&self, at_ms: u64) -> String {
        let (seconds, tenths) = (at_ms / 1000, at_ms % 1000 / 100);
        format!("{:>3}.{tenths}s  {:<6}  {}", seconds, self.speaker, self.text)
    }

    /// What its colour is to say.
    pub(super) fn tone(&self) -> Option<Tone> {
        match self.speaker {
            "caller" => Some(Tone::Caller),
            "bot" => Some(Tone::Bot),
            "engine" => Some(Tone::Trouble),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{CallerText, MediaTime};

    fn event(kind: CallEventKind) -> CallEvent {
        CallEvent { sequence: 1, turn: None, audio_at: MediaTime::default(), kind }
    }

    fn transcribed(text: &str) -> CallEvent {
        event(CallEventKind::Transcribed {
            text: CallerText::from(text),
            confidence: None,
            stt_ms: 9,
            audio_bytes: 2,
        })
    }

    fn replied(text: &str, intent: &str) -> CallEvent {
        event(CallEventKind::DialogReplied {
            text: CallerText::from(text),
            intent: Some(intent.to_owned()),
            confidence: None,
            next_state: None,
            dialog_ms: 3,
            dialog_wait_ms: 0,
        })
    }

    fn stopped(heard: &str) -> CallEvent {
        event(CallEventKind::BotTurnStopped { heard: CallerText::from(heard) })
    }

    /// Notes `events` for one turn: its row and the transcript.
    fn turn(events: &[CallEvent]) -> (TurnRow, Vec<String>) {
        let mut log = TurnLog::new(["good morning"]);
        let lines =
            events.iter().filter_map(|event| log.note(Some(0), event)).map(|line| line.at(1_234));
        let lines = lines.collect();
        (log.rows()[0].clone(), lines)
    }

    #[test]
    fn an_answered_turn_has_its_words_its_intent_its_reply_and_its_timings() {
        let timings = TurnTimings { dialog_ms: 3, ..TurnTimings::default() };
        let answered =
            event(CallEventKind::TurnAnswered { intent: None, confidence: None, timings });
        let (row, transcript) = turn(&[
            transcribed("good morning"),
            replied("Hello.", "greet"),
            answered,
            stopped("Hello."),
        ]);
        assert_eq!(
            row,
            TurnRow {
                said: "good morning".to_owned(),
                recognised: "good morning".to_owned(),
                intent: "greet".to_owned(),
                reply: "Hello.".to_owned(),
                timings: Some(timings),
            }
        );
        assert_eq!(transcript, ["  1.2s  heard   good morning", "  1.2s  bot     Hello."]);
    }

    #[test]
    fn a_turn_that_was_asked_again_is_not_answered() {
        let unknown = event(CallEventKind::NotUnderstood { stt_ms: 9, audio_bytes: 2 });
        let (row, transcript) = turn(&[unknown, stopped("Say it again.")]);
        assert!(!row.is_answered());
        assert_eq!(row.recognised, NOT_UNDERSTOOD);
        assert_eq!(
            transcript,
            ["  1.2s  heard   (not understood)", "  1.2s  bot     Say it again."]
        );
    }

    #[test]
    fn an_utterance_that_was_cut_in_two_shows_both_parts() {
        let (row, _) = turn(&[transcribed("good"), transcribed("morning")]);
        assert_eq!(row.recognised, "good / morning");
    }

    #[test]
    fn a_greeting_is_told_and_belongs_to_no_turn() {
        let mut log = TurnLog::new(["good morning"]);
        let line = log.note(None, &stopped("Welcome.")).expect("a line");
        assert_eq!(line.at(0), "  0.0s  bot     Welcome.");
        assert_eq!(log.rows()[0].reply, "");
    }

    #[test]
    fn a_turn_that_nobody_expects_is_not_noted() {
        assert_eq!(TurnLog::new([]).note(Some(0), &transcribed("hello")), None);
    }
}
