//! The voice activity detectors on the labelled track: as good as `docs/vad.md` says, and
//! the same as the model in another runtime.

use crate::track::oracle::{Oracle, WINDOW_SAMPLES};
use crate::track::score::{Score, probabilities, score, segments};
use crate::track::{Stream, Track, recordings};
use antiphon::media::silero::{Level, Silero};
use antiphon::types::Detector;

/// How far a probability may be from the other runtime's.
const ERROR_MAX: f32 = 1e-4;

#[test]
fn every_window_is_heard_as_by_another_runtime_on_every_kind_of_processor() {
    let mut oracle = Oracle::stored();
    // The plain level is slow without optimisation: the recordings have to do.
    let fast = |level: &Level| *level != Level::PLAIN;
    for stream in Track::clean().conditions() {
        assert_heard_alike(
            &stream,
            &oracle.next(&stream),
            Level::available().iter().filter(|it| fast(it)),
        );
    }
    for stream in recordings() {
        assert_heard_alike(&stream, &oracle.next(&stream), Level::available().iter());
    }
    assert!(oracle.is_empty(), "the oracle heard the same streams");
}

fn assert_heard_alike<'a>(
    stream: &Stream,
    expected: &[f32],
    levels: impl Iterator<Item = &'a Level>,
) {
    for level in levels {
        let mut silero = Silero::at_level(*level);
        let windows = stream.samples.as_chunks::<WINDOW_SAMPLES>().0;
        assert_eq!(windows.len(), expected.len(), "{}", stream.name);
        for (index, (window, expected)) in windows.iter().zip(expected).enumerate() {
            let heard = silero.speech_probability(window);
            let error = (heard - expected).abs();
            let place = format!("{}, {level:?}, window {index}", stream.name);
            assert!(error < ERROR_MAX, "{place}: {heard} is not {expected}");
        }
    }
}

/// Of the 45 utterances: how many come out whole at least, and how many segments of the
/// silence there are at most, by condition. The table of `docs/vad.md` with a little room.
const WHOLE_MIN: [(&str, usize, usize); 8] = [
    ("clean", 40, 0),
    ("clean, µ-law", 38, 0),
    ("white noise, 10 dB", 35, 0),
    ("pink noise, 5 dB, µ-law", 33, 1),
    ("pink noise, 0 dB", 36, 0),
    ("babble, 20 dB", 35, 4),
    ("babble, 15 dB", 34, 9),
    ("babble, 10 dB", 28, 15),
];

#[test]
fn noise_and_other_voices_hide_few_utterances_and_make_few() {
    let track = Track::clean();
    let conditions = track.conditions();
    for (condition, whole_min, false_max) in WHOLE_MIN {
        let stream = conditions.iter().find(|stream| stream.name == condition).unwrap();
        let silero = scored(&track, Detector::Silero, stream);
        assert!(silero.whole >= whole_min, "{condition}: {silero:?}");
        assert!(silero.false_segments <= false_max, "{condition}: {silero:?}");
    }
}

#[test]
fn silero_stands_what_earshot_does_not() {
    let track = Track::clean();
    for stream in track.conditions() {
        let silero = scored(&track, Detector::Silero, &stream);
        let earshot = scored(&track, Detector::Earshot, &stream);
        let worse = earshot.whole.saturating_sub(silero.whole);
        assert!(worse <= 2, "{}: {silero:?}, {earshot:?}", stream.name);
        if ["pink noise, 0 dB", "babble, 10 dB"].contains(&stream.name.as_str()) {
            assert!(silero.whole > earshot.whole + 15, "{}: {silero:?}, {earshot:?}", stream.name);
        }
    }
}

/// How far an edge may move when windows too quiet for speech are not left to the model:
/// two windows, in samples.
const MOVED_MAX: usize = 2 * WINDOW_SAMPLES;

#[test]
fn leaving_out_what_is_too_quiet_for_speech_changes_no_utterance() {
    // Nothing is too quiet in noise.
    let quiet = Track::clean().conditions().into_iter().filter(|it| it.name.contains("clean"));
    for stream in quiet.chain(recordings()) {
        let mut model = Silero::on_a_quiet_line();
        let windows = stream.samples.as_chunks::<WINDOW_SAMPLES>().0;
        let alone: Vec<f32> = windows.iter().map(|it| model.speech_probability(it)).collect();
        let alone = edges(&stream.samples, &alone);
        let found = edges(&stream.samples, &probabilities(Detector::Silero, &stream.samples).0);
        assert_eq!(found.len(), alone.len(), "{}", stream.name);
        let moved: Vec<usize> = alone.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).collect();
        assert!(moved.iter().all(|it| *it <= MOVED_MAX), "{}: {moved:?}", stream.name);
    }
}

#[test]
fn placing_the_end_of_speech_by_loudness_makes_and_loses_no_utterance() {
    for stream in Track::clean().conditions().into_iter().chain(recordings()) {
        let heard = probabilities(Detector::Silero, &stream.samples).0;
        let by_loudness = edges(&stream.samples, &heard);
        // Where all is equally loud, loudness does not tell anything.
        let by_detector = edges(&vec![1_000; stream.samples.len()], &heard);
        assert_eq!(by_loudness.len(), by_detector.len(), "{}", stream.name);
        for (edge, before) in by_loudness.iter().zip(by_detector) {
            assert!((0..=WINDOW_SAMPLES).contains(&(before - edge)), "{}", stream.name);
        }
    }
}

/// Where the segments of a stream begin and end.
fn edges(samples: &[i16], heard: &[f32]) -> Vec<usize> {
    let segments = segments(Detector::Silero, samples, (heard, WINDOW_SAMPLES));
    segments.into_iter().flat_map(|segment| [segment.start, segment.end]).collect()
}

fn scored(track: &Track, kind: Detector, stream: &Stream) -> Score {
    let (heard, window_samples) = probabilities(kind, &stream.samples);
    score(track, kind, stream, (&heard, window_samples))
}
