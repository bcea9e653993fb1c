//! The tables of a call, a row a turn: what was said, and how long each stage took. Long texts
//! are wrapped; no line is wider than a terminal of 80 columns. Pure.

use super::paint::{Paint, Tone};
use super::turn_log::TurnRow;
use crate::types::TurnTimings;

/// One column: its heading, and how it is filled.
struct Column {
    heading: &'static str,
    width: usize,
    /// Numbers stand at the right.
    is_number: bool,
    cell: fn(usize, &TurnRow) -> String,
}

const NUMBER: Column =
    Column { heading: "#", width: 2, is_number: true, cell: |at, _| (at + 1).to_string() };

const WORDS: [Column; 5] = [
    NUMBER,
    words("caller said", 18, |_, row| row.said.clone()),
    words("recognised", 18, |_, row| row.recognised.clone()),
    words("intent", 14, |_, row| row.intent.clone()),
    words("reply", 20, |_, row| row.reply.clone()),
];

const TIMES: [Column; 6] = [
    NUMBER,
    time("end of speech", |_, row| ms(row, |it| it.end_of_speech_ms)),
    time("recogniser", |_, row| ms(row, |it| it.stt_ms)),
    time("dialog", |_, row| ms(row, |it| it.dialog_ms)),
    time("first audio", |_, row| ms(row, |it| it.tts_ms)),
    time("in all", |_, row| ms(row, TurnTimings::total_ms)),
];

const fn words(heading: &'static str, width: usize, cell: fn(usize, &TurnRow) -> String) -> Column {
    Column { heading, width, is_number: false, cell }
}

const fn time(heading: &'static str, cell: fn(usize, &TurnRow) -> String) -> Column {
    Column { heading, width: 13, is_number: true, cell }
}

/// Between two columns.
const GAP: &str = "  ";

/// Draws the tables. Ends with a line break.
pub(super) fn table(rows: &[TurnRow], paint: Paint) -> String {
    format!("{}\n{}", draw(&WORDS, rows, paint), draw(&TIMES, rows, paint))
}

fn draw(columns: &[Column], rows: &[TurnRow], paint: Paint) -> String {
    let heading: Vec<_> = columns.iter().map(|column| wrap(column.heading, column.width)).collect();
    let rule: Vec<_> = columns.iter().map(|column| vec!["-".repeat(column.width)]).collect();
    let mut text = lines(columns, &heading, |line| paint.paint(Tone::Heading, line));
    text += &lines(columns, &rule, str::to_owned);
    for (at, row) in rows.iter().enumerate() {
        let cells: Vec<_> =
            columns.iter().map(|column| wrap(&(column.cell)(at, row), column.width)).collect();
        text += &lines(columns, &cells, |line| match row.is_answered() {
            true => line.to_owned(),
            false => paint.paint(Tone::Trouble, line),
        });
    }
    text
}

fn ms(row: &TurnRow, stage: fn(&TurnTimings) -> u64) -> String {
    row.timings.as_ref().map_or_else(|| "-".to_owned(), |timings| format!("{} ms", stage(timings)))
}

/// The lines of one row: as many as its longest cell has.
fn lines(columns: &[Column], cells: &[Vec<String>], painted: impl Fn(&str) -> String) -> String {
    let height = cells.iter().map(Vec::len).max().unwrap_or_default();
    let line = |at: usize| {
        let padded = cells.iter().zip(columns).map(|(cell, column)| {
            let text = cell.get(at).map_or("", String::as_str);
            let width = column.width;
            if column.is_number { format!("{text:>width$}") } else { format!("{text:<width$}") }
        });
        let line = padded.collect::<Vec<_>>().join(GAP);
        format!("{}\n", painted(line.trim_end()))
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

    fn rows() -> [TurnRow; 2] {
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
                held_ms: 0,
            }),
        };
        let unanswered = TurnRow {
            said: "blue".to_owned(),
            recognised: "(not understood)".to_owned(),
            ..TurnRow::default()
        };
        [answered, unanswered]
    }

    #[test]
    fn each_turn_is_a_row_with_its_words_and_the_latency_of_each_stage() {
        let expected = " #  caller said         recognised          intent          reply
--  ------------------  ------------------  --------------  --------------------
 1  i would like to     i would like to     book_room       For how many nights?
    book a room please  book a room please
 2  blue                (not understood)

 #  end of speech     recogniser         dialog    first audio         in all
--  -------------  -------------  -------------  -------------  -------------
 1         512 ms          43 ms           3 ms          28 ms         586 ms
 2              -              -              -              -              -
";
        assert_eq!(table(&rows(), Paint::NONE), expected);
    }

    #[test]
    fn no_line_is_wider_than_80_columns_and_colour_takes_no_room() {
        let long = TurnRow {
            said: "a".repeat(300),
            intent: "an_intent_with_a_long_name".to_owned(),
            ..TurnRow::default()
        };
        let text = table(&[long], Paint::NONE);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let painted = table(&rows(), Paint::FULL);
        assert!(painted.contains("\x1b[31m 2  blue                (not understood)\x1b[0m"));
    }

    #[test]
    fn a_word_wider_than_its_column_is_cut() {
        assert_eq!(wrap("a bcdefg hi", 4), ["a", "bcde", "fg", "hi"]);
        assert_eq!(wrap("", 4), [""]);
    }
}
