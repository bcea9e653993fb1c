//! Writes what `make vad-oracle` and `make vad-table` ask for: the streams of the
//! tracks for another runtime to hear, or the tables of `docs/vad.md`.

#![allow(clippy::unwrap_used, reason = "a tool that cannot go on says so and stops")]

#[path = "mod.rs"]
mod track;

use std::path::Path;

use antiphon::types::{Detector, ListeningSettings};
use track::answers::{Call, after_long_noise, conditions};
use track::held_out::{self, Condition};
use track::line::{
    Line, Scene, gates_open, interruptions, only_the_bot, people, people_over_the_bot, percentile,
    replies, stopped_replies, talker_behind, whole,
};
use track::oracle::{self, Oracle, WINDOW_SAMPLES};
use track::score::{Score, probabilities, score};
use track::words::{Word, short_words};
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
        ["gates", page] => write_gates_table(Path::new(page)),
        ["words", page] => write_words_table(Path::new(page)),
        _ => panic!(
            "usage: vad_track streams FOLDER | held-out-streams FOLDER | table PAGE | gates PAGE | \
             words PAGE"
        ),
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

fn write_gates_table(page: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    std::fs::write(page, with_table(&text, "gates table", &gates_table())).unwrap();
}

fn write_words_table(page: &Path) {
    let text = std::fs::read_to_string(page).unwrap();
    std::fs::write(page, with_table(&text, "words table", &words_table())).unwrap();
}

/// Words after long noise are heard in so many calls, each of so many words in four noises.
const NOISY_CALLS: usize = 3;
const WORDS_IN_NOISE: usize = 25;

fn words_table() -> String {
    let words = short_words();
    let mut lines = "| what | words | missed | clipped |\n|---|---|---|---|\n".to_owned();
    let mut row = |what: &str, call: &Call| {
        let (missed, clipped) = (call.missed().len(), call.clipped().len());
        lines += &format!("| {what} | {} | {missed} | {clipped} |\n", call.words.len());
    };
    let call = Call::of(words.iter().cycle().take(600), 11_200..96_000, 6);
    row("after 0.7 to 6 s of silence", &call);
    row("after 0.7 to 6 s of silence, µ-law", &call.over_the_telephone());
    for (line, call) in conditions(&Call::of(words.iter(), 16_000..32_000, 8)) {
        row(&format!("after 1 to 2 s, {line}"), &call);
    }
    let (mut of, mut hidden, mut missed) = (0, 0, 0);
    for nth in 0..NOISY_CALLS {
        let some = words.iter().cycle().skip(nth * WORDS_IN_NOISE).take(WORDS_IN_NOISE);
        let found = after_long_noise(&some.collect::<Vec<&Word>>(), 7 + nth as u32);
        of += found.words;
        hidden += found.hidden.len();
        missed += found.missed.len();
    }
    lines += &format!(
        "| 10 dB above noise that went on for more than 31 s | {of}, {hidden} of which nobody \
         hears | {missed} | – |\n"
    );
    lines
}

/// Losses and delays of the echoes that are measured, each at 16 kHz and at 8 kHz µ-law.
const LOSSES_DB: [f64; 4] = [12.0, 20.0, 30.0, 40.0];
const DELAYS_MS: [u32; 6] = [20, 60, 150, 300, 400, 500];
/// Who talks behind the caller.
const TALKERS: [&str; 4] = ["jfk.wav", "librivox_0870.wav", "forever_4.wav", "generated_01.wav"];

fn gates_table() -> String {
    let (open, gates) = (gates_open(), ListeningSettings::default());
    let mut lines = "| what | gates open | with the gates |\n|---|---|---|\n".to_owned();
    let mut row = |what: &str, count: &dyn Fn(&ListeningSettings) -> String| {
        lines += &format!("| {what} | {} | {} |\n", count(&open), count(&gates));
    };
    let scene = only_the_bot(&replies());
    for loss_db in LOSSES_DB {
        row(&format!("echo at -{loss_db} dB"), &|settings| echo_cell(&scene, settings, loss_db));
    }
    for db in [0.0, -6.0] {
        let scene = people_over_the_bot(&people(), &replies(), db);
        let levels = if db == 0.0 { "as loud as the bot" } else { "6 dB quieter than the bot" };
        let line = |loss_db, is_telephone| Line { loss_db, delay_ms: 150, room: 1, is_telephone };
        let lines = [
            ("no echo", line(None, false)),
            ("echo at -12 dB", line(Some(12.0), false)),
            ("echo at -20 dB", line(Some(20.0), false)),
            ("echo at -20 dB, µ-law", line(Some(20.0), true)),
        ];
        for (name, line) in lines {
            row(&format!("people {levels}, {name}"), &|settings| {
                let is_open = settings.level_gate_db == 0;
                // The bot stops itself.
                if is_open && line.loss_db.is_some() {
                    "–".to_owned()
                } else {
                    people_cell(&scene, settings, line)
                }
            });
        }
    }
    row("talker at -15 dB behind the caller", &talkers_cell);
    let track = Track::clean();
    let calls = [
        ("clean", track.at_gains_db(&track.gains_db(0.0))),
        ("12 dB quieter", track.at_gains_db(&vec![-12.0; track.labels.len()])),
        ("6 dB louder and quieter", track.at_gains_db(&track.gains_db(6.0))),
        ("talker at -15 dB", track.with_talker("librivox_0870.wav", -15.0)),
    ];
    for (name, call) in calls {
        row(&format!("track, {name}"), &|settings| format!("{} whole", whole(&call, settings)));
    }
    lines
}

fn echo_cell(scene: &Scene, settings: &ListeningSettings, loss_db: f64) -> String {
    let (mut stopped, mut turns, mut replies) = (0, 0, 0);
    for (nth, delay_ms) in DELAYS_MS.into_iter().enumerate() {
        for is_telephone in [false, true] {
            let room = 1 + nth as u32;
            let line = Line { loss_db: Some(loss_db), delay_ms, room, is_telephone };
            let found = scene.heard_by(settings, line);
            stopped += stopped_replies(scene, &found);
            turns += found.utterances.len();
            replies += scene.replies.len();
        }
    }
    format!("{stopped} of {replies} replies stopped, {turns} turns of echo")
}

fn people_cell(scene: &Scene, settings: &ListeningSettings, line: Line) -> String {
    let decided = interruptions(scene, &scene.heard_by(settings, line));
    let mut heard: Vec<u32> = decided.iter().flatten().copied().collect();
    let (p50, p95) = (percentile(&mut heard, 50), percentile(&mut heard, 95));
    format!("{} of {} heard, {p50}, {p95} ms", heard.len(), decided.len())
}

fn talkers_cell(settings: &ListeningSettings) -> String {
    let (mut stopped, mut of) = (0, 0);
    for talker in TALKERS {
        let scene = talker_behind(&people(), &replies(), talker, -15.0);
        stopped += stopped_replies(&scene, &scene.heard_by(settings, Line::CLEAR));
        of += scene.replies.len();
    }
    format!("{stopped} of {of} replies stopped")
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
