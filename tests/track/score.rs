//! How well a detector finds the utterances of the labelled track.

use std::ops::Range;

use antiphon::media::detector::new_detector;
use antiphon::media::segmenter::{Segmenter, SegmenterEvent};
use antiphon::types::{Detector, ListeningSettings, Thresholds, UtteranceEnd};

use super::{Stream, Track};

/// What of an utterance a segment must cover.
const COVERED_MIN: f64 = 0.6;

/// What came of the track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Utterances that came out as exactly one segment of their own.
    pub whole: usize,
    /// Segments wholly in silence.
    pub false_segments: usize,
    /// Of the silence: what was taken for speech, in percent.
    pub false_percent: f64,
}

/// The probabilities of a detector, window by window, and the window's length.
pub fn probabilities(kind: Detector, samples: &[i16]) -> (Vec<f32>, usize) {
    let mut detector = new_detector(kind);
    let length = detector.window_samples();
    let windows = samples.chunks_exact(length);
    (windows.map(|window| detector.speech_probability(window)).collect(), length)
}

/// Scores a detector's probabilities of a stream of the track.
pub fn score(
    track: &Track,
    kind: Detector,
    stream: &Stream,
    (heard, window_samples): (&[f32], usize),
) -> Score {
    let segments = segments(kind, &stream.samples, (heard, window_samples));
    let overlap =
        |a: &Range<usize>, b: &Range<usize>| a.end.min(b.end).saturating_sub(a.start.max(b.start));
    let found = |label: &&Range<usize>| {
        let touching: Vec<_> = segments.iter().filter(|s| overlap(s, label) > 0).collect();
        let [segment] = touching[..] else { return false };
        let others = track.labels.iter().filter(|other| overlap(segment, other) > 0).count();
        others == 1 && overlap(segment, label) as f64 >= COVERED_MIN * label.len() as f64
    };
    let nowhere = |s: &&Range<usize>| track.labels.iter().all(|label| overlap(s, label) == 0);
    Score {
        whole: track.labels.iter().filter(found).count(),
        false_segments: segments.iter().filter(nowhere).count(),
        false_percent: false_percent(track, kind.thresholds(), heard, window_samples),
    }
}

/// Speech as the segmenter cuts it when 30 ms begin and 200 ms end it.
pub fn segments(
    kind: Detector,
    samples: &[i16],
    (heard, window_samples): (&[f32], usize),
) -> Vec<Range<usize>> {
    let settings = ListeningSettings {
        detector: kind,
        speech_ms_min: 30,
        silence_ms_end: 200,
        ..ListeningSettings::default()
    };
    let mut segmenter = Segmenter::new(&settings, 1_000);
    for (window, probability) in samples.chunks_exact(window_samples).zip(heard) {
        segmenter.handle_window(window, *probability);
    }
    segmenter.end_input(UtteranceEnd::MediaEnded);
    std::iter::from_fn(|| segmenter.poll_event())
        .filter_map(|event| match event {
            SegmenterEvent::UtteranceReady { started_at, ended_at, .. } => {
                Some(started_at.0 as usize..ended_at.0 as usize)
            }
            _ => None,
        })
        .collect()
}

/// Windows wholly in silence in which speech may start.
fn false_percent(
    track: &Track,
    thresholds: Thresholds,
    heard: &[f32],
    window_samples: usize,
) -> f64 {
    let silent = |index: &usize| {
        let window = index * window_samples..(index + 1) * window_samples;
        track.labels.iter().all(|label| label.end <= window.start || window.end <= label.start)
    };
    let silence: Vec<usize> = (0..heard.len()).filter(silent).collect();
    let wrong = silence.iter().filter(|index| heard[**index] >= thresholds.start).count();
    100.0 * wrong as f64 / silence.len().max(1) as f64
}
