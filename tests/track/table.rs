//! Writes what `make vad-oracle` and `make vad-table` ask for: the streams of the
//! labelled track for another runtime to hear, or the table of `docs/vad.md`.

#![allow(clippy::unwrap_used, reason = "a tool that cannot go on says so and stops")]

#[path = "mod.rs"]
mod track;

use std::path::Path;

use antiphon::types::Detector;
use track::oracle::{self, Oracle, WINDOW_SAMPLES};
use track::score::{Score, probabilities, score};
use track::{Stream, Track};

/// The table stands between these lines of the page.
const MARKS: [&str; 2] = ["<!-- table -->\n", "<!-- /table -->\n"];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["streams", folder] => write_streams(Path::new(folder)),
        ["table", page] => write_table(Path::new(page)),
        _ => panic!("usage: vad_track streams FOLDER | vad_track table PAGE"),
    }
}

fn write_streams(folder: &Path) {
    std::fs::create_dir_all(folder).unwrap();
    for (number, stream) in oracle::streams(&Track::clean()).iter().enumerate() {
        let bytes: Vec<u8> = stream.samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{number:03}.raw")), bytes).unwrap();
    }
}

fn write_table(page: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    let (before, rest) = text.split_once(MARKS[0]).expect("the page has a place for the table");
    let (_, behind) = rest.split_once(MARKS[1]).expect("the place for the table ends");
    std::fs::write(page, [before, MARKS[0], &table(), MARKS[1], behind].concat()).unwrap();
}

fn table() -> String {
    let (track, mut oracle) = (Track::clean(), Oracle::stored());
    let seconds = track.samples.len() / 16_000;
    let mut lines = format!(
        "{} utterances in {seconds} s.\n\n\
         | condition | silero (ours) | the same model in `rten` | earshot |\n|---|---|---|---|\n",
        track.labels.len()
    );
    for stream in track.conditions() {
        let rten =
            score(&track, Detector::Silero, &stream, (&oracle.next(&stream), WINDOW_SAMPLES));
        let cells = [ours(&track, Detector::Silero, &stream), rten];
        let earshot = ours(&track, Detector::Earshot, &stream);
        let [silero, rten] = cells.map(cell);
        lines += &format!("| {} | {silero} | {rten} | {} |\n", stream.name, cell(earshot));
    }
    lines
}

fn ours(track: &Track, kind: Detector, stream: &Stream) -> Score {
    let (heard, window_samples) = probabilities(kind, &stream.samples);
    score(track, kind, stream, (&heard, window_samples))
}

fn cell(score: Score) -> String {
    format!("{}, {}, {:.1} %", score.whole, score.false_segments, score.false_percent)
}
