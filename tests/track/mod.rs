//! A labelled track: every recording of people and every generated sentence in one
//! call, with pauses in between, and the same call in known noise.
//!
//! Everything is computed from the files of `tests/audio` and `tests/track/audio` with
//! fixed seeds, so a stream is the same samples on every machine.

#![allow(dead_code, reason = "not everyone who hears the track needs all of it")]

pub mod answers;
pub mod held_out;
pub mod line;
pub mod oracle;
pub mod score;
pub mod words;

use std::ops::Range;

use antiphon::media::{Decoder, Encoder, Resampler, wav};
use antiphon::types::{Codec, INNER_RATE, MediaFormat, SampleRate};

/// Recordings of people at 16 kHz.
const RECORDINGS: [&str; 16] = [
    "cards_001.wav",
    "cards_002.wav",
    "cards_003.wav",
    "cards_004.wav",
    "cards_005.wav",
    "forever_2.wav",
    "forever_4.wav",
    "goforward.raw",
    "jfk.wav",
    "librivox_0870.wav",
    "librivox_0880.wav",
    "librivox_0890.wav",
    "librivox_0920.wav",
    "librivox_0930.wav",
    "numbers.raw",
    "something.raw",
];
/// Sentences of a synthesiser.
const GENERATED: usize = 24;
/// A real telephone call, 8 kHz, one side in each channel.
const TELEPHONE_CALL: &str = "genesys_test-transcript-connector.wav";

/// Labels are made of frames of this length (10 ms).
pub const FRAME_SAMPLES: usize = 160;
/// A frame is speech within this of the loudest of its recording.
const SPEECH_RANGE_DB: f64 = 32.0;
/// Shorter pauses do not end an utterance (200 ms), shorter noises are none (60 ms).
const PAUSE_FRAMES_MIN: usize = 20;
const SPEECH_FRAMES_MIN: usize = 6;
/// Pauses between recordings (0.8 to 2.0 s).
const PAUSE_SAMPLES: Range<usize> = 12_800..32_000;
/// All speech is brought to this level: that of the recordings on average.
const SPEECH_RMS: f64 = 3_200.0;
/// Voices of the babble.
const BABBLE_VOICES: usize = 8;

/// A call and where somebody speaks in it.
pub struct Track {
    pub samples: Vec<i16>,
    pub labels: Vec<Range<usize>>,
}

/// A stream with its name.
pub struct Stream {
    pub name: String,
    pub samples: Vec<i16>,
}

impl Track {
    /// The track without noise.
    pub fn clean() -> Self {
        let mut track = Self { samples: vec![0; PAUSE_SAMPLES.start], labels: Vec::new() };
        let mut random = Random(1);
        for (samples, labels) in speech() {
            let start = track.samples.len();
            track.labels.extend(labels.into_iter().map(|l| start + l.start..start + l.end));
            track.samples.extend(samples);
            let pause = PAUSE_SAMPLES.start as f64 + random.positive() * PAUSE_SAMPLES.len() as f64;
            track.samples.resize(track.samples.len() + pause as usize, 0);
        }
        track
    }

    /// The level of what is labelled.
    fn speech_rms(&self) -> f64 {
        let spoken = self.labels.iter().flat_map(|label| &self.samples[label.clone()]);
        let spoken: Vec<f64> = spoken.map(|sample| f64::from(*sample)).collect();
        rms(spoken.into_iter())
    }

    /// The track under each condition.
    pub fn conditions(&self) -> Vec<Stream> {
        let length = self.samples.len();
        let noisy = |noise: &[f64], db| mixed(&self.samples, SPEECH_RMS, noise, db);
        let (white, pink, babble) = (white(length), pink(length), babble(length));
        let streams = [
            ("clean", self.samples.clone()),
            ("clean, µ-law", over_the_telephone(&self.samples)),
            ("white noise, 10 dB", noisy(&white, 10.0)),
            ("pink noise, 5 dB, µ-law", over_the_telephone(&noisy(&pink, 5.0))),
            ("pink noise, 0 dB", noisy(&pink, 0.0)),
            ("babble, 20 dB", noisy(&babble, 20.0)),
            ("babble, 15 dB", noisy(&babble, 15.0)),
            ("babble, 10 dB", noisy(&babble, 10.0)),
            ("babble, 5 dB", noisy(&babble, 5.0)),
        ];
        streams
            .into_iter()
            .map(|(name, samples)| Stream { name: name.to_owned(), samples })
            .collect()
    }
}

/// Every recording as it is, and what a telephone leaves of it.
pub fn recordings() -> Vec<Stream> {
    let mut streams = Vec::new();
    for name in RECORDINGS {
        let samples = recording(name);
        let line = over_the_telephone(&samples);
        streams.push(Stream { name: name.to_owned(), samples });
        streams.push(Stream { name: format!("{name}, µ-law"), samples: line });
    }
    let call = wav::read(&file(TELEPHONE_CALL)).unwrap();
    for (side, channel) in call.channels.iter().enumerate() {
        let name = format!("{TELEPHONE_CALL}, side {side}");
        streams.push(Stream { name, samples: resampled(channel, call.rate, INNER_RATE) });
    }
    streams
}

/// Everything that is spoken, at one level, with its labels.
fn speech() -> Vec<(Vec<i16>, Vec<Range<usize>>)> {
    let generated = (1..=GENERATED).map(|number| format!("generated_{number:02}.wav"));
    let names = RECORDINGS.iter().map(|name| (*name).to_owned()).chain(generated);
    names
        .map(|name| {
            let samples = recording(&name);
            let labels = labels(&samples);
            let track = Track { samples, labels };
            let gain = SPEECH_RMS / track.speech_rms();
            let samples = track.samples.iter().map(|s| clipped(f64::from(*s) * gain)).collect();
            (samples, track.labels)
        })
        .collect()
}

fn recording(name: &str) -> Vec<i16> {
    if name.ends_with(".raw") {
        let mut samples = Vec::new();
        Decoder::new(MediaFormat::pcm16(INNER_RATE)).decode_stream(&file(name), &mut samples);
        return samples;
    }
    let mut recording = wav::read(&file(name)).unwrap();
    assert_eq!(recording.rate, INNER_RATE, "{name}");
    recording.channels.remove(0)
}

fn file(name: &str) -> Vec<u8> {
    // Apart from the people: other tests hear every recording of those.
    let folder = if name.starts_with("generated") { "track/audio" } else { "audio" };
    let path = format!("{}/tests/{folder}/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Where a clean recording is loud: pauses bridged, clicks left out.
fn labels(samples: &[i16]) -> Vec<Range<usize>> {
    let levels = levels(samples);
    let loudest = levels.iter().copied().fold(0.0, f64::max);
    let floor = loudest / 10_f64.powf(SPEECH_RANGE_DB / 20.0);
    let mut labels: Vec<Range<usize>> = Vec::new();
    for frame in (0..levels.len()).filter(|frame| levels[*frame] > floor) {
        match labels.last_mut() {
            Some(label) if frame - label.end < PAUSE_FRAMES_MIN => label.end = frame + 1,
            _ => labels.push(frame..frame + 1),
        }
    }
    labels.retain(|label| label.len() >= SPEECH_FRAMES_MIN);
    labels.into_iter().map(|l| l.start * FRAME_SAMPLES..l.end * FRAME_SAMPLES).collect()
}

fn levels(samples: &[i16]) -> Vec<f64> {
    let level = |frame: &[i16]| rms(frame.iter().map(|s| f64::from(*s)));
    samples.chunks_exact(FRAME_SAMPLES).map(level).collect()
}

/// 8 kHz µ-law and back.
pub fn over_the_telephone(samples: &[i16]) -> Vec<i16> {
    let line = MediaFormat::new(Codec::Mulaw, 8_000, 1).unwrap();
    let (mut bytes, mut decoded) = (Vec::new(), Vec::new());
    Encoder::new(line).encode(&resampled(samples, INNER_RATE, line.rate), &mut bytes);
    Decoder::new(line).decode_stream(&bytes, &mut decoded);
    resampled(&decoded, line.rate, INNER_RATE)
}

fn resampled(samples: &[i16], from: SampleRate, to: SampleRate) -> Vec<i16> {
    let (mut resampler, mut out) = (Resampler::new(from, to), Vec::new());
    resampler.process(samples, &mut out);
    resampler.flush(&mut out);
    out
}

/// Adds `noise`, `db` below the level of the speech.
fn mixed(samples: &[i16], speech_rms: f64, noise: &[f64], db: f64) -> Vec<i16> {
    let gain = speech_rms / 10_f64.powf(db / 20.0) / rms(noise.iter().copied());
    let sums = samples.iter().zip(noise).map(|(s, n)| f64::from(*s) + n * gain);
    sums.map(clipped).collect()
}

/// Adds `noise`, `db` below the level that all speech is brought to.
pub fn mixed_at_speech_level(samples: &[i16], noise: &[f64], db: f64) -> Vec<i16> {
    mixed(samples, SPEECH_RMS, noise, db)
}

fn white(length: usize) -> Vec<f64> {
    let mut random = Random(2);
    (0..length).map(|_| random.signed()).collect()
}

/// White noise behind the filter with three poles that Paul Kellet published: 3 dB less
/// each octave.
fn pink(length: usize) -> Vec<f64> {
    let (mut random, mut a, mut b, mut c) = (Random(3), 0.0, 0.0, 0.0);
    (0..length)
        .map(|_| {
            let white = random.signed();
            a = 0.997_65 * a + white * 0.099_046;
            b = 0.963_0 * b + white * 0.296_516_4;
            c = 0.57 * c + white * 1.052_691_3;
            a + b + c + white * 0.184_8
        })
        .collect()
}

/// Eight people who all talk without a pause, each of them something else.
fn babble(length: usize) -> Vec<f64> {
    let spoken: Vec<f64> = speech()
        .iter()
        .flat_map(|(samples, labels)| labels.iter().flat_map(|l| &samples[l.clone()]))
        .map(|sample| f64::from(*sample))
        .collect();
    let voice = |voice: usize| (2 * voice + 1) * spoken.len() / (2 * BABBLE_VOICES);
    let at = |n: usize| (0..BABBLE_VOICES).map(|v| spoken[(voice(v) + n) % spoken.len()]).sum();
    (0..length).map(at).collect()
}

fn rms(samples: impl ExactSizeIterator<Item = f64>) -> f64 {
    let length = samples.len().max(1) as f64;
    (samples.map(|s| s * s).sum::<f64>() / length).sqrt()
}

fn clipped(sample: f64) -> i16 {
    sample.round().clamp(-32_768.0, 32_767.0) as i16
}

/// Numerical Recipes' generator: the same numbers everywhere.
pub struct Random(pub u32);

impl Random {
    /// 0 to 1.
    pub fn positive(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.0 >> 8) / f64::from(1 << 24)
    }

    /// -1 to 1.
    fn signed(&mut self) -> f64 {
        2.0 * self.positive() - 1.0
    }
}
