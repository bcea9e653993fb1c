//! The table of a call: one row a turn, long texts wrapped. Pure.

use super::turn_log::TurnRow;

/// One column: its heading, and how it is filled.
struct Column {
    heading: &'static str,
    width: usize,
    cell: fn(&TurnRow) -> String,
}

const COLUMNS: [Column; 8] = [
    Column { heading: "caller said", width: 22, cell: |row| row.said.clone() },
    Column { heading: "recognised", width: 22, cell: |row| row.recognised.clone() },
    Column { heading: "intent", width: 14, cell: |row| row.intent.clone() },
    Column { heading: "reply", width: 28, cell: |row| row.reply.clone() },
    Column { heading: "end of speech", width: 9, cell: |row| ms(row, |it| it.end_of_speech_ms) },
    Column { heading: "STT", width: 7, cell: |row| ms(row, |it| it.stt_ms) },
    Column { heading: "dialog", width: 7, cell: |row| ms(row, |it| it.dialog_ms) },
    Column { heading: "first reply audio", width: 11, cell: |row| ms(row, |it| it.tts_ms) },
];

/// Between two columns.
const GAP: &str = "  ";

/// Draws the table. Ends with a line break.
pub(super) fn table(rows: &[TurnRow]) -> String {
    let heading = COLUMNS.map(|column| wrap(column.heading, column.width));
    let rule = COLUMNS.map(|column| vec!["-".repeat(column.width)]);
    let body = rows.iter().map(|row| COLUMNS.map(|it| wrap(&(it.cell)(row), it.width)));
    [heading, rule].into_iter().chain(body).map(|cells| lines(&cells)).collect()
}

fn ms(row: &TurnRow, stage: fn(&crate::types::TurnTimings) -> u64) -> String {
    row.timings.as_ref().map_or_else(|| "-".to_owned(), |timings| format!("{} ms", stage(timings)))
}

/// The lines of one row: as many as its longest cell has.
fn lines(cells: &[Vec<String>; COLUMNS.len()]) -> String {
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let padded = cells.iter().zip(&COLUMNS).map(|(cell, column)| {
            let text = cell.get(at).map_or("", String::as_str);
            format!("{text:<width$}", width = column.width)
        });
        format!("{}\n", padded.collect::<Vec<_>>().join(GAP).trim_end())
    };
    (0..height).map(line).collect()
}

/// Cuts `text` between words, and within a word that is wider than `width`.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let letters: Vec<char> = word.chars().collect();
        for piece in letters.chunks(width) {
            let used = lines.last().map_or(0, |line| line.chars().count());
            if used > 0 && used + 1 + piece.len() > width {
                lines.push(String::new());
            }
            if let Some(line) = lines.last_mut() {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.extend(piece);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TurnTimings;

    #[test]
    fn each_turn_is_a_row_with_its_words_and_the_latency_of_each_stage() {
        let answered = TurnRow {
            said: "i would like to book a room please".to_owned(),
            recognised: "i would like to book a room please".to_owned(),
            intent: "book_room".to_owned(),
            reply: "For how many nights?".to_owned(),
            timings: Some(TurnTimings {
                end_of_speech_ms: 512,
                stt_ms: 43,
                dialog_ms: 3,
                dialog_wait_ms: 0,
                tts_ms: 28,
                response_ms: 74,
            }),
        };
        let unanswered = TurnRow {
            said: "blue".to_owned(),
            recognised: "(not understood)".to_owned(),
            ..TurnRow::default()
        };
        let expected = "\
caller said             recognised              intent          reply                         end of     STT      dialog   first reply
                                                                                              speech                       audio
----------------------  ----------------------  --------------  ----------------------------  ---------  -------  -------  -----------
i would like to book a  i would like to book a  book_room       For how many nights?          512 ms     43 ms    3 ms     28 ms
room please             room please
blue                    (not understood)                                                      -          -        -        -
";
        assert_eq!(table(&[answered, unanswered]), expected);
    }

    #[test]
    fn a_word_wider_than_its_column_is_cut() {
        assert_eq!(wrap("a bcdefg hi", 4), ["a", "bcde", "fg", "hi"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
