//! How well a detector finds the utterances of the labelled track.

use std::ops::{AddAssign, Range};

use antiphon::media::detector::new_detector;
use antiphon::media::segmenter::{Segmenter, SegmenterEvent};
use antiphon::types::{Detector, ListeningSettings, Thresholds, UtteranceEnd};

use super::{Stream, Track};

/// What of an utterance a segment must cover.
const COVERED_MIN: f64 = 0.6;

/// What came of the track.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Score {
    /// Utterances that came out as exactly one segment of their own.
    pub whole: usize,
    /// Segments wholly in silence.
    pub false_segments: usize,
    /// Windows wholly in silence that were taken for speech.
    pub false_windows: usize,
    /// Windows wholly in silence.
    pub silent_windows: usize,
}

impl Score {
    /// Of the silence: what was taken for speech, in percent.
    pub fn false_percent(&self) -> f64 {
        100.0 * self.false_windows as f64 / self.silent_windows.max(1) as f64
    }
}

impl AddAssign for Score {
    fn add_assign(&mut self, other: Self) {
        self.whole += other.whole;
        self.false_segments += other.false_segments;
        self.false_windows += other.false_windows;
        self.silent_windows += other.silent_windows;
    }
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
    let nowhere = |s: &&Range<usize>| track.labels.iter().all(|label| overlap(s, label) == 0);
    let (false_windows, silent_windows) = silence(track, kind.thresholds(), heard, window_samples);
    Score {
        whole: whole(&track.labels, &segments),
        false_segments: segments.iter().filter(nowhere).count(),
        false_windows,
        silent_windows,
    }
}

fn overlap(a: &Range<usize>, b: &Range<usize>) -> usize {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}

/// Labels that come out as exactly one segment of their own.
pub fn whole(labels: &[Range<usize>], segments: &[Range<usize>]) -> usize {
    let found = |label: &&Range<usize>| {
        let touching: Vec<_> = segments.iter().filter(|s| overlap(s, label) > 0).collect();
        let [segment] = touching[..] else { return false };
        let others = labels.iter().filter(|other| overlap(segment, other) > 0).count();
        others == 1 && overlap(segment, label) as f64 >= COVERED_MIN * label.len() as f64
    };
    labels.iter().filter(found).count()
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

/// Windows wholly in silence: those in which speech may start, and all of them.
fn silence(
    track: &Track,
    thresholds: Thresholds,
    heard: &[f32],
    window_samples: usize,
) -> (usize, usize) {
    let silent = |index: &usize| {
        let window = index * window_samples..(index + 1) * window_samples;
        track.labels.iter().all(|label| label.end <= window.start || window.end <= label.start)
    };
    let silence: Vec<usize> = (0..heard.len()).filter(silent).collect();
    let wrong = silence.iter().filter(|index| heard[**index] >= thresholds.start).count();
    (wrong, silence.len())
}
