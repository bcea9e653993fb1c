//! The held-out track: a real telephone call with other people in the background. Its
//! settings were fixed in `docs/vad.md` before any detector heard it. Nothing is to be
//! tuned on it, so no test may depend on what comes of it.

use antiphon::media::wav;
use antiphon::types::INNER_RATE;

use super::{
    Random, Stream, TELEPHONE_CALL, Track, clipped, file, labels, mixed, over_the_telephone,
    recording, resampled, rms,
};

/// Root mean square of labelled speech at -20 dBov.
const TELEPHONE_RMS: f64 = 3_276.8;

/// How far the babble is below the speech.
const RATIOS_DB: [f64; 3] = [15.0, 10.0, 5.0];

/// With the first seed four voices babble, with each further one another one.
const SEEDS: [u32; 3] = [1, 2, 3];
const VOICES_MIN: usize = 4;

/// Who babbles: the recordings of one person each.
const VOICES: [&[&str]; 6] = [
    &[
        "librivox_0870.wav",
        "librivox_0880.wav",
        "librivox_0890.wav",
        "librivox_0920.wav",
        "librivox_0930.wav",
    ],
    &["jfk.wav"],
    &["forever_2.wav", "forever_4.wav"],
    &["goforward.raw", "something.raw"],
    &["numbers.raw"],
    &["cards_001.wav", "cards_002.wav", "cards_003.wav", "cards_004.wav", "cards_005.wav"],
];

/// A row of the table: calls that are scored together.
pub struct Condition {
    pub name: String,
    pub calls: Vec<Track>,
}

impl Condition {
    /// What is heard of its calls.
    pub fn streams(&self) -> impl Iterator<Item = Stream> {
        let stream =
            |call: &Track| Stream { name: self.name.clone(), samples: call.samples.clone() };
        self.calls.iter().map(stream)
    }
}

/// Every condition, in the order of the table.
pub fn conditions() -> Vec<Condition> {
    let voices: Vec<Vec<f64>> = VOICES.iter().map(|names| voice(names)).collect();
    let mut conditions = Vec::new();
    for (level, wanted_rms) in [("as recorded", None), ("-20 dBov", Some(TELEPHONE_RMS))] {
        let sides = sides(wanted_rms);
        let clean = sides.iter().map(|side| over_the_line(side, side.samples.clone()));
        let name = format!("{level}, no babble");
        conditions.push(Condition { name, calls: clean.collect() });
        for db in RATIOS_DB {
            let name = format!("{level}, babble, {db} dB");
            let calls = sides.iter().flat_map(|side| in_babble(side, &voices, db)).collect();
            conditions.push(Condition { name, calls });
        }
    }
    conditions
}

/// Both sides of the call with their labels, brought to a level.
fn sides(wanted_rms: Option<f64>) -> Vec<Track> {
    let call = wav::read(&file(TELEPHONE_CALL)).unwrap();
    let side = |channel: &Vec<i16>| {
        let samples = resampled(channel, call.rate, INNER_RATE);
        let labels = labels(&samples);
        let side = Track { samples, labels };
        let gain = wanted_rms.map_or(1.0, |wanted| wanted / side.speech_rms());
        let samples = side.samples.iter().map(|s| clipped(f64::from(*s) * gain)).collect();
        Track { samples, ..side }
    };
    call.channels.iter().map(side).collect()
}

/// A side with each seed's babble.
fn in_babble(side: &Track, voices: &[Vec<f64>], db: f64) -> Vec<Track> {
    let with = |seed: &u32| {
        let count = VOICES_MIN + *seed as usize - 1;
        let babble = babble(&voices[..count], side.samples.len(), *seed);
        over_the_line(side, mixed(&side.samples, side.speech_rms(), &babble, db))
    };
    SEEDS.iter().map(with).collect()
}

fn over_the_line(side: &Track, samples: Vec<i16>) -> Track {
    Track { samples: over_the_telephone(&samples), labels: side.labels.clone() }
}

/// What one person says, without pauses and at one level.
fn voice(names: &[&str]) -> Vec<f64> {
    let spoken: Vec<f64> = names
        .iter()
        .flat_map(|name| {
            let samples = recording(name);
            let labels = labels(&samples);
            labels.into_iter().flat_map(move |label| samples[label].to_vec())
        })
        .map(f64::from)
        .collect();
    let level = rms(spoken.iter().copied());
    spoken.into_iter().map(|sample| sample / level).collect()
}

fn babble(voices: &[Vec<f64>], length: usize, seed: u32) -> Vec<f64> {
    let mut random = Random(seed);
    let starts: Vec<usize> =
        voices.iter().map(|voice| (random.positive() * voice.len() as f64) as usize).collect();
    let at = |n: usize| voices.iter().zip(&starts).map(|(v, start)| v[(start + n) % v.len()]).sum();
    (0..length).map(at).collect()
}
