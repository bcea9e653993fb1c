//! The way of a caller's audio, from bytes to utterances, on recordings of people.
//! Where they come from and what is said in them: `tests/audio/README.md`.

use std::ops::RangeInclusive;

use antiphon::media::decoder::Decoder;
use antiphon::media::encoder::Encoder;
use antiphon::media::finder::SpeechFinder;
use antiphon::media::resampler::Resampler;
use antiphon::media::segmenter::SegmenterEvent;
use antiphon::media::wav;
use antiphon::types::{
    Codec, INNER_RATE, ListeningSettings, MediaFormat, SampleRate, SpeechAudio, UtteranceEnd,
};

/// Recordings at 16 kHz, and how many utterances each holds when half a second of
/// silence ends one. Speakers pause for breath once in a while.
const RECORDINGS: [(&str, usize); 16] = [
    ("cards_001.wav", 1),
    ("cards_002.wav", 1),
    ("cards_003.wav", 1),
    ("cards_004.wav", 1),
    ("cards_005.wav", 1),
    ("forever_2.wav", 1),
    ("forever_4.wav", 1),
    ("goforward.raw", 1),
    // "And so my fellow Americans", "ask not", "what your country can do for you",
    // "ask what you can do for your country".
    ("jfk.wav", 4),
    ("librivox_0870.wav", 1),
    ("librivox_0880.wav", 1),
    ("librivox_0890.wav", 1),
    ("librivox_0920.wav", 1),
    ("librivox_0930.wav", 1),
    ("numbers.raw", 1),
    ("something.raw", 1),
];

/// Audio that is fed at once where a test does not say otherwise (20 ms).
const CHUNK_SAMPLES: usize = 320;

fn file(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/audio/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A recording at 16 kHz, with a second of digital silence before and behind it.
fn recording(name: &str) -> Vec<i16> {
    let mut samples = Vec::new();
    if name.ends_with(".raw") {
        Decoder::new(MediaFormat::pcm16(INNER_RATE)).decode_stream(&file(name), &mut samples);
    } else {
        let wav = wav::read(&file(name)).unwrap();
        assert_eq!((wav.rate, wav.channels.len()), (INNER_RATE, 1), "{name}");
        samples.extend(&wav.channels[0]);
    }
    let second = vec![0; INNER_RATE.hz() as usize];
    [&second[..], &samples, &second].concat()
}

/// What an utterance covers, in samples at the inner rate.
#[derive(Debug, PartialEq)]
struct Found {
    speech: (u64, u64),
    audio: (u64, u64),
    end: UtteranceEnd,
}

/// Every utterance of a call, whose audio is checked to be the call's.
fn utterances(settings: &ListeningSettings, call: &[i16], chunk_samples: usize) -> Vec<Found> {
    let mut finder = SpeechFinder::new(settings, 200);
    for chunk in call.chunks(chunk_samples) {
        finder.handle_samples(chunk);
    }
    finder.end_input(UtteranceEnd::MediaEnded);
    assert_eq!(finder.position().0 as usize, call.len());
    std::iter::from_fn(|| finder.poll_event())
        .filter_map(|event| match event {
            SegmenterEvent::UtteranceReady { audio, started_at, ended_at, end } => {
                let audio = placed(&audio, call, started_at.0);
                Some(Found { speech: (started_at.0, ended_at.0), audio, end })
            }
            _ => None,
        })
        .collect()
}

/// Where in the call an utterance's audio lies: up to the pre-roll before its start.
fn placed(audio: &SpeechAudio, call: &[i16], started_at: u64) -> (u64, u64) {
    let length = audio.samples().len();
    let latest = (started_at as usize).min(call.len() - length);
    let start = (0..=latest)
        .rev()
        .find(|start| &call[*start..start + length] == audio.samples())
        .expect("an utterance is a stretch of its call");
    (start as u64, (start + length) as u64)
}

/// The 16 ms windows within 24 dB of the loudest, as positions: speech on a clean line.
fn loud_windows(call: &[i16]) -> Vec<u64> {
    let power = |window: &[i16]| window.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
    let powers: Vec<f64> = call.chunks_exact(256).map(power).collect();
    let loudest = powers.iter().copied().fold(0.0, f64::max);
    let loud = powers.iter().enumerate().filter(|(_, power)| **power > loudest / 250.0);
    loud.map(|(index, _)| index as u64 * 256).collect()
}

/// Checks that the utterances of `heard` hold all speech of the clean recording.
fn assert_heard(name: &str, clean: &[i16], heard: &[i16], counts: RangeInclusive<usize>) {
    let found = utterances(&ListeningSettings::default(), heard, CHUNK_SAMPLES);
    let spoken = loud_windows(clean);
    let missed: Vec<u64> = spoken
        .iter()
        .filter(|at| !found.iter().any(|f| (f.audio.0..f.audio.1).contains(at)))
        .map(|at| at / 16)
        .collect();
    assert!(missed.len() * 100 <= spoken.len(), "{name}: not heard at {missed:?} ms: {found:?}");
    for utterance in &found {
        let (from, to) = utterance.speech;
        let speech = spoken.iter().any(|at| (from..to).contains(at));
        assert!(speech, "{name}: no speech in {utterance:?}");
        assert_eq!(utterance.end, UtteranceEnd::Silence, "{name}: {found:?}");
    }
    assert!(counts.contains(&found.len()), "{name}: {found:?}");
}

/// 8 kHz µ-law and back.
fn over_the_telephone(call: &[i16]) -> Vec<i16> {
    let line = MediaFormat::new(Codec::Mulaw, 8_000, 1).unwrap();
    let (mut narrow, mut bytes, mut decoded, mut wide) = (vec![], vec![], vec![], vec![]);
    let mut resampler = Resampler::from_inner(line.rate);
    resampler.process(call, &mut narrow);
    resampler.flush(&mut narrow);
    Encoder::new(line).encode(&narrow, &mut bytes);
    Decoder::new(line).decode_stream(&bytes, &mut decoded);
    let mut resampler = Resampler::to_inner(line.rate);
    resampler.process(&decoded, &mut wide);
    resampler.flush(&mut wide);
    wide
}

/// Adds white noise 20 dB below the level of the speech, from a fixed seed.
fn with_noise(call: &[i16]) -> Vec<i16> {
    let loud = loud_windows(call);
    let power: f64 = loud
        .iter()
        .flat_map(|at| &call[*at as usize..*at as usize + 256])
        .map(|sample| f64::from(*sample).powi(2))
        .sum();
    // Uniform noise up to a height has a third of the height's square as its power.
    let height = (power / (loud.len() * 256) as f64 / 100.0 * 3.0).sqrt();
    let mut state = 1_u32;
    call.iter()
        .map(|sample| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (f64::from(state >> 8) / f64::from(1 << 23) - 1.0) * height;
            (f64::from(*sample) + noise).clamp(-32_768.0, 32_767.0) as i16
        })
        .collect()
}

#[test]
fn every_utterance_is_found_whole() {
    for (name, count) in RECORDINGS {
        let call = recording(name);
        assert_heard(name, &call, &call, count..=count);
    }
}

#[test]
fn every_utterance_is_found_over_the_telephone() {
    for (name, count) in RECORDINGS {
        let call = recording(name);
        assert_heard(name, &call, &over_the_telephone(&call), count..=count);
    }
}

#[test]
fn white_noise_at_20_db_neither_hides_an_utterance_nor_makes_one() {
    // Noise may bridge the pauses between utterances.
    for (name, count) in RECORDINGS {
        let call = recording(name);
        assert_heard(name, &call, &with_noise(&call), 1..=count);
        let telephone = over_the_telephone(&with_noise(&call));
        assert_heard(name, &call, &telephone, 1..=count);
    }
}

#[test]
fn the_size_of_the_chunks_changes_nothing() {
    let settings = ListeningSettings::default();
    let call = recording("jfk.wav");
    let expected = utterances(&settings, &call, CHUNK_SAMPLES);
    for chunk_ms in [1, 17, 2_000] {
        let chunk_samples = INNER_RATE.samples_in_ms(chunk_ms);
        assert_eq!(utterances(&settings, &call, chunk_samples), expected, "{chunk_ms} ms");
    }
}

#[test]
fn the_published_timings_of_a_real_call_are_met() {
    // Channel, offset and duration in seconds; the caller is on the left.
    let published = [(0, 0.1, 0.4), (0, 1.1, 1.6), (0, 2.9, 1.2), (1, 4.9, 1.0), (1, 6.7, 2.6)];
    let tolerance = 0.5;
    let call = wav::read(&file("genesys_test-transcript-connector.wav")).unwrap();
    assert_eq!(call.rate, SampleRate::new(8_000).unwrap());
    let channels: Vec<Vec<i16>> = call
        .channels
        .iter()
        .map(|channel| {
            let mut wide = Vec::new();
            // The first ten seconds hold all that was published.
            Resampler::to_inner(call.rate).process(&channel[..80_000], &mut wide);
            wide
        })
        .collect();

    for silence_ms_end in [200, 250, 300] {
        let settings = ListeningSettings { silence_ms_end, ..ListeningSettings::default() };
        let found = channels.iter().enumerate().flat_map(|(channel, samples)| {
            utterances(&settings, samples, CHUNK_SAMPLES).into_iter().map(move |utterance| {
                let (from, to) = utterance.speech;
                (channel, from as f64 / 16_000.0, (to - from) as f64 / 16_000.0)
            })
        });
        let found: Vec<(usize, f64, f64)> = found.collect();
        assert_eq!(found.len(), published.len(), "{silence_ms_end} ms: {found:?}");
        for (found, published) in found.iter().zip(published) {
            let near = |a: f64, b: f64| (a - b).abs() <= tolerance;
            assert!(
                found.0 == published.0 && near(found.1, published.1) && near(found.2, published.2),
                "{silence_ms_end} ms: {found:?} is not {published:?}"
            );
        }
    }
}
