//! What the demo's caller says, and what it has to get for an answer. Pure.

use super::turn_log::TurnRow;

/// One caller turn of the demo.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScriptedTurn {
    /// The words, as they have to be recognised.
    pub(super) say: &'static str,
    /// The intent they have to lead to.
    intent: &'static str,
    /// What the reply has to contain.
    reply: &'static str,
}

/// The call: a question, a booking with its details, a goodbye.
pub(super) const SCRIPT: [ScriptedTurn; 6] = [
    ScriptedTurn { say: "what time is breakfast", intent: "breakfast_time", reply: "seven to ten" },
    ScriptedTurn { say: "i would like to book a room", intent: "book_room", reply: "many nights" },
    ScriptedTurn { say: "three nights", intent: "give_details", reply: "many people" },
    ScriptedTurn {
        say: "two people",
        intent: "give_details",
        reply: "Three nights for two people",
    },
    ScriptedTurn { say: "yes please", intent: "affirm", reply: "room is booked" },
    ScriptedTurn { say: "goodbye", intent: "goodbye", reply: "Goodbye" },
];

/// Everything in `rows` that is not as the script wants it, one line each.
pub(super) fn mismatches(rows: &[TurnRow]) -> Vec<String> {
    let missing = SCRIPT.len().saturating_sub(rows.len());
    let turns = SCRIPT.iter().zip(rows).enumerate();
    turns
        .filter_map(|(index, (turn, row))| {
            turn.mismatch(row).map(|what| format!("turn {}: {what}", index + 1))
        })
        .chain((missing > 0).then(|| format!("{missing} turns did not take place")))
        .collect()
}

impl ScriptedTurn {
    fn mismatch(&self, row: &TurnRow) -> Option<String> {
        if row.recognised.is_empty() {
            return Some(format!("\"{}\" was not heard", self.say));
        }
        if row.recognised != self.say {
            return Some(format!("\"{}\" was recognised as \"{}\"", self.say, row.recognised));
        }
        if row.intent != self.intent {
            return Some(format!("the intent is \"{}\" and not {}", row.intent, self.intent));
        }
        if !row.reply.contains(self.reply) {
            return Some(format!("the reply does not say \"{}\"", self.reply));
        }
        (!row.is_answered()).then(|| "the answer was not heard".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::hotel::{HotelState, answer};
    use crate::types::TurnTimings;

    /// The call as it should be: understood word for word, answered by the hotel.
    fn good_call() -> Vec<TurnRow> {
        let mut state = HotelState::default();
        SCRIPT
            .iter()
            .map(|turn| {
                let reply = answer(std::mem::take(&mut state), turn.say);
                state = reply.state;
                TurnRow {
                    said: turn.say.to_owned(),
                    recognised: turn.say.to_owned(),
                    intent: reply.intent.as_str().to_owned(),
                    reply: reply.outputs.join(" "),
                    timings: Some(TurnTimings::default()),
                }
            })
            .collect()
    }

    #[test]
    fn the_hotel_answers_the_script_as_expected() {
        assert_eq!(mismatches(&good_call()), Vec::<String>::new());
    }

    #[test]
    fn whatever_is_not_as_expected_is_told_with_its_turn() {
        let with = |index: usize, change: fn(&mut TurnRow)| {
            let mut rows = good_call();
            change(&mut rows[index]);
            mismatches(&rows)
        };
        assert_eq!(
            with(0, |row| row.recognised = "what time is bread".to_owned()),
            ["turn 1: \"what time is breakfast\" was recognised as \"what time is bread\""]
        );
        assert_eq!(
            with(1, |row| row.intent = "goodbye".to_owned()),
            ["turn 2: the intent is \"goodbye\" and not book_room"]
        );
        assert_eq!(
            with(2, |row| row.reply.clear()),
            ["turn 3: the reply does not say \"many people\""]
        );
        assert_eq!(with(3, |row| row.timings = None), ["turn 4: the answer was not heard"]);
        assert_eq!(with(4, |row| row.recognised.clear()), ["turn 5: \"yes please\" was not heard"]);
    }

    #[test]
    fn a_call_that_broke_off_is_no_good_call() {
        assert_eq!(mismatches(&good_call()[..4]), ["2 turns did not take place"]);
    }
}
