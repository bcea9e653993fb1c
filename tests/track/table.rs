//! Writes what `make vad-oracle` and `make vad-table` ask for: the streams of the
//! tracks for another runtime to hear, or the tables of `docs/vad.md`.

#![allow(clippy::unwrap_used, reason = "a tool that cannot go on says so and stops")]

#[path = "mod.rs"]
mod track;

use std::path::Path;

use antiphon::types::Detector;
use track::held_out::{self, Condition};
use track::oracle::{self, Oracle, WINDOW_SAMPLES};
use track::score::{Score, probabilities, score};
use track::{Stream, Track};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["streams", folder] => {
            write_streams(Path::new(folder), oracle::streams(&Track::clean()).into_iter());
        }
        ["held-out-streams", folder] => {
            let conditions = held_out::conditions();
            write_streams(Path::new(folder), conditions.iter().flat_map(Condition::streams));
        }
        ["table", page] => write_tables(Path::new(page)),
        _ => panic!("usage: vad_track streams FOLDER | held-out-streams FOLDER | table PAGE"),
    }
}

fn write_streams(folder: &Path, streams: impl Iterator<Item = Stream>) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, stream) in streams.enumerate() {
        let bytes: Vec<u8> = stream.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{number:03}.raw")), bytes).unwrap();
    }
}

fn write_tables(page: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    let text = with_table(&text, "table", &table());
    let text = with_table(&text, "held-out table", &held_out_table());
    std::fs::write(page, text).unwrap();
}

/// Puts a table between the lines that mark its place.
fn with_table(text: &str, name: &str, table: &str) -> String {
    let marks = [format!("<!-- {name} -->\n"), format!("<!-- /{name} -->\n")];
    let (before, rest) = text.split_once(&marks[0]).expect("the page has a place for the table");
    let (_, behind) = rest.split_once(&marks[1]).expect("the place for the table ends");
    [before, &marks[0], table, &marks[1], behind].concat()
}

fn table() -> String {
    let (track, mut oracle) = (Track::clean(), Oracle::stored());
    let seconds = track.samples.len() / 16_000;
    let mut lines = format!("{} utterances in {seconds} s.\n\n", track.labels.len());
    lines +=
        "| condition | silero (ours) | the same model in `rten` | earshot |\n|---|---|---|---|\n";
    for stream in track.conditions() {
        let [silero, rten, earshot] = scores(&track, &stream, &mut oracle).map(cell);
        lines += &format!("| {} | {silero} | {rten} | {earshot} |\n", stream.name);
    }
    lines
}

fn held_out_table() -> String {
    let mut oracle = Oracle::of_held_out();
    let mut lines =
        "| condition | utterances | silero (ours) | the same model in `rten` | earshot |\n\
                     |---|---|---|---|---|\n"
            .to_owned();
    for condition in held_out::conditions() {
        let (mut sums, mut utterances) = ([Score::default(); 3], 0);
        for (call, stream) in condition.calls.iter().zip(condition.streams()) {
            utterances += call.labels.len();
            let scores = scores(call, &stream, &mut oracle);
            sums.iter_mut().zip(scores).for_each(|(sum, score)| *sum += score);
        }
        let name = &condition.name;
        let [silero, rten, earshot] = sums.map(cell);
        lines += &format!("| {name} | {utterances} | {silero} | {rten} | {earshot} |\n");
    }
    assert!(oracle.is_empty(), "the oracle heard the same streams");
    lines
}

/// Of silero, of the same model in another runtime, and of earshot.
fn scores(track: &Track, stream: &Stream, oracle: &mut Oracle) -> [Score; 3] {
    let rten = score(track, Detector::Silero, stream, (&oracle.next(stream), WINDOW_SAMPLES));
    let [silero, earshot] =
        [Detector::Silero, Detector::Earshot].map(|kind| ours(track, kind, stream));
    [silero, rten, earshot]
}

fn ours(track: &Track, kind: Detector, stream: &Stream) -> Score {
    let (heard, window_samples) = probabilities(kind, &stream.samples);
    score(track, kind, stream, (&heard, window_samples))
}

fn cell(score: Score) -> String {
    format!("{}, {}, {:.1} %", score.whole, score.false_segments, score.false_percent())
}
