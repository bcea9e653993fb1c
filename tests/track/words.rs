//! Short pieces of speech, most of them one word, each by itself; and noises that go on for
//! as long as one likes.

use antiphon::types::Detector;

use super::score::probabilities;
use super::{
    FRAME_SAMPLES, GENERATED, RECORDINGS, Random, SPEECH_RMS, clipped, levels, pink, recording,
    rms, white,
};

/// A frame belongs to a word within this of the loudest of its recording.
const WORD_RANGE_DB: f64 = 26.0;
/// Longer pauses are between words (60 ms).
const PAUSE_FRAMES_MIN: usize = 6;
/// What counts as a short word (120 to 800 ms).
const WORD_FRAMES: std::ops::Range<usize> = 12..80;

/// A word by itself, at the level of the track.
pub struct Word {
    pub name: String,
    pub samples: Vec<i16>,
}

/// Speech to the detector when they are by themselves, for as many windows. Some pieces of a
/// word, cut out of it, are no speech to anybody.
const SURELY: f32 = 0.9;
const SURE_WINDOWS_MIN: usize = 3;

/// The pieces that are words to anybody.
pub fn short_words() -> Vec<Word> {
    let is_speech = |word: &Word| {
        let call = [vec![0; 16_000], word.samples.clone()].concat();
        let sure = |probability: &&f32| **probability > SURELY;
        let (heard, _) = probabilities(Detector::Silero, &call);
        heard.iter().filter(sure).count() >= SURE_WINDOWS_MIN
    };
    let words: Vec<Word> = words().into_iter().filter(is_speech).collect();
    assert!(words.len() >= 60, "{}", words.len());
    words
}

/// Every short piece of speech between two pauses, of people and of the synthesiser.
pub fn words() -> Vec<Word> {
    let generated = (1..=GENERATED).map(|number| format!("generated_{number:02}.wav"));
    let names = RECORDINGS.iter().map(|name| (*name).to_owned()).chain(generated);
    names.flat_map(|name| words_of(&name)).collect()
}

fn words_of(name: &str) -> Vec<Word> {
    let samples = recording(name);
    let levels = levels(&samples);
    let loudest = levels.iter().copied().fold(0.0, f64::max);
    let floor = loudest / 10_f64.powf(WORD_RANGE_DB / 20.0);
    let mut places: Vec<std::ops::Range<usize>> = Vec::new();
    for frame in (0..levels.len()).filter(|frame| levels[*frame] > floor) {
        match places.last_mut() {
            Some(place) if frame - place.end < PAUSE_FRAMES_MIN => place.end = frame + 1,
            _ => places.push(frame..frame + 1),
        }
    }
    places.retain(|place| WORD_FRAMES.contains(&place.len()));
    let word = |place: std::ops::Range<usize>| {
        let spoken = &samples[place.start * FRAME_SAMPLES..place.end * FRAME_SAMPLES];
        let gain = SPEECH_RMS / rms(spoken.iter().map(|s| f64::from(*s)));
        Word {
            name: format!("{name} at {} ms", place.start * 10),
            samples: spoken.iter().map(|s| clipped(f64::from(*s) * gain)).collect(),
        }
    };
    places.into_iter().map(word).collect()
}

/// Noises with a root mean square of one.
pub fn noises(length: usize) -> Vec<(&'static str, Vec<f64>)> {
    let noises = [
        ("white", white(length)),
        ("pink", pink(length)),
        ("music", music(length)),
        ("dishes", dishes(length)),
    ];
    let levelled = |noise: Vec<f64>| {
        let level = rms(noise.iter().copied());
        noise.into_iter().map(|sample| sample / level).collect()
    };
    noises.into_iter().map(|(name, noise)| (name, levelled(noise))).collect()
}

/// Four instruments that play what comes to their mind.
fn music(length: usize) -> Vec<f64> {
    let (mut random, mut out) = (Random(4), vec![0.0; length]);
    for _ in 0..4 {
        let mut at = 0;
        while at < length {
            let note_samples = 4_000 + (random.positive() * 9_000.0) as usize;
            let octaves = (random.positive() * 36.0).floor() / 12.0;
            let (hz, loudness) = (82.4 * 2_f64.powf(octaves), 0.4 + 0.6 * random.positive());
            for (n, sample) in out[at..length.min(at + note_samples)].iter_mut().enumerate() {
                let seconds = n as f64 / 16_000.0;
                let swell = (1.0 - (-80.0 * seconds).exp()) * (-3.0 * seconds).exp();
                let harmonic =
                    |number: f64| (std::f64::consts::TAU * hz * number * seconds).sin() / number;
                let tone: f64 = [1.0, 2.0, 3.0, 5.0].into_iter().map(harmonic).sum();
                *sample += loudness * swell * tone;
            }
            at += note_samples;
        }
    }
    out
}

/// Short rings at any time, as of dishes, and a hiss behind them.
fn dishes(length: usize) -> Vec<f64> {
    let mut random = Random(5);
    let mut out: Vec<f64> = (0..length).map(|_| 0.02 * random.signed()).collect();
    let mut at = 0;
    while at < length {
        let (hz, fade) = (800.0 + 4_000.0 * random.positive(), 20.0 + 60.0 * random.positive());
        let loudness = random.positive();
        for (n, sample) in out[at..length.min(at + 6_000)].iter_mut().enumerate() {
            let seconds = n as f64 / 16_000.0;
            let ring = (std::f64::consts::TAU * hz * seconds).sin() + 0.5 * random.signed();
            *sample += loudness * (-fade * seconds).exp() * ring;
        }
        at += 1_000 + (random.positive() * 14_000.0) as usize;
    }
    out
}
