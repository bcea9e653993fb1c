//! A detector, the gates behind it, and a segmenter together: samples in, utterances out.
//!
//! Takes any number of samples and cuts them into the detector's windows. What it
//! knows of the call survives the detector: see [`SpeechFinder::take_parts`].

use std::fmt;

use super::detector::{VoiceDetector, new_detector};
use super::echo::Played;
use super::gates::{GateParts, Gates, LeftOut};
use super::segmenter::{Segmenter, SegmenterEvent, SegmenterParts};
use crate::types::{ListeningSettings, MediaTime, Now, UtteranceEnd};

/// Finds the utterances of one call.
pub struct SpeechFinder {
    detector: Box<dyn VoiceDetector>,
    gates: Gates,
    segmenter: Segmenter,
    /// The beginning of the detector's next window.
    window: Vec<i16>,
}

/// All that a finder knows of its call apart from the detector's own state.
#[derive(Clone, Default)]
pub struct FinderParts {
    segmenter: SegmenterParts,
    gates: GateParts,
    window: Vec<i16>,
}

impl SpeechFinder {
    /// A finder at the beginning of a call. `sustain_ms` of speech in one utterance
    /// are reported as [`SegmenterEvent::SpeechSustained`].
    #[must_use]
    pub fn new(settings: &ListeningSettings, sustain_ms: u32) -> Self {
        Self::resume(settings, sustain_ms, FinderParts::default())
    }

    /// A finder with a new detector that goes on where another one ended. A window
    /// that the other one's detector did not survive counts as silence instead of
    /// being heard again.
    #[must_use]
    pub fn resume(settings: &ListeningSettings, sustain_ms: u32, parts: FinderParts) -> Self {
        Self::with_detector(new_detector(settings.detector), settings, sustain_ms, parts)
    }

    fn with_detector(
        detector: Box<dyn VoiceDetector>,
        settings: &ListeningSettings,
        sustain_ms: u32,
        parts: FinderParts,
    ) -> Self {
        let FinderParts { segmenter, gates, mut window } = parts;
        let mut segmenter = Segmenter::resume(settings, sustain_ms, segmenter);
        if window.len() >= detector.window_samples() {
            segmenter.handle_window(&window, 0.0);
            window.clear();
        }
        window.reserve_exact(detector.window_samples() - window.len());
        Self { detector, gates: Gates::resume(settings, gates), segmenter, window }
    }

    /// What the next generation needs to go on, also after a panic in here. This
    /// finder is back at the beginning of a call.
    #[must_use]
    pub fn take_parts(&mut self) -> FinderParts {
        FinderParts {
            segmenter: self.segmenter.take_parts(),
            gates: self.gates.take_parts(),
            window: std::mem::take(&mut self.window),
        }
    }

    /// Takes the next samples of the call while nothing is played.
    pub fn handle_samples(&mut self, samples: &[i16]) {
        self.handle_samples_over(samples, Now::default(), &mut Played::default());
    }

    /// Takes the next samples of the call, the last of which came at `now`. What was `played`
    /// until then may be heard in them.
    pub fn handle_samples_over(&mut self, samples: &[i16], now: Now, played: &mut Played) {
        let position = self.position().plus_samples(samples.len() as u64);
        self.gates.came(played.leg(), position, now);
        let window_samples = self.detector.window_samples();
        let mut rest = samples;
        while !rest.is_empty() {
            let missing = window_samples - self.window.len();
            let (piece, behind) = rest.split_at(rest.len().min(missing));
            self.window.extend_from_slice(piece);
            rest = behind;
            if self.window.len() == window_samples {
                self.handle_window(played);
            }
        }
        self.segmenter.handle_beginning(&self.window);
    }

    fn handle_window(&mut self, played: &mut Played) {
        let (until, is_open) = (self.position(), self.segmenter.is_open());
        let probability = self.detector.speech_probability(&self.window);
        let probability = self.gates.judge(&self.window, until, probability, is_open, played);
        self.segmenter.handle_window(&self.window, probability);
        self.window.clear();
    }

    /// Nothing comes for as long as the silence that ends an utterance. Closes the
    /// utterance in progress if that is this caller's silence:
    /// [`Segmenter::is_silent_in_pauses`].
    pub fn pause_input(&mut self) {
        if self.segmenter.is_silent_in_pauses() {
            self.end_input(UtteranceEnd::Stalled);
        }
        // What was not sent in silence does not come later.
        self.gates.interrupt();
    }

    /// Closes the utterance in progress, if there is one: the caller stopped sending
    /// or the media ended.
    pub fn end_input(&mut self, end: UtteranceEnd) {
        if !self.window.is_empty() {
            let mut padded = self.window.clone();
            padded.resize(self.detector.window_samples(), 0);
            let probability = self.detector.speech_probability(&padded);
            let probability = self.gates.judge_rest(probability);
            self.segmenter.handle_window(&self.window, probability);
            self.window.clear();
        }
        self.segmenter.end_input(end);
        // Whatever comes next does not continue what was heard.
        self.detector.interrupt();
        self.gates.interrupt();
    }

    /// The next event. Ask until there is none.
    pub fn poll_event(&mut self) -> Option<SegmenterEvent> {
        self.segmenter.poll_event()
    }

    /// Speech that was not taken for the caller's since this was asked last.
    pub fn take_left_out(&mut self) -> LeftOut {
        self.gates.take_left_out()
    }

    /// The utterance in progress as far as it is certain: [`Segmenter::open_utterance`].
    #[must_use]
    pub fn open_utterance(&self) -> Option<[&[i16]; 2]> {
        self.segmenter.open_utterance()
    }

    /// Whether the next `samples` may decide something: [`Segmenter::turns_within`].
    #[must_use]
    pub fn turns_within(&self, samples: usize) -> bool {
        self.segmenter.turns_within(self.window.len() + samples)
    }

    /// The end of the audio taken so far.
    #[must_use]
    pub fn position(&self) -> MediaTime {
        self.segmenter.position().plus_samples(self.window.len() as u64)
    }
}

impl fmt::Debug for FinderParts {
    /// Without the audio.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FinderParts")
            .field("segmenter", &self.segmenter)
            .field("window_samples", &self.window.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;

    /// A detector that takes the first sample of a window for the probability of
    /// speech in percent, and dies of a negative one.
    struct Scripted;

    impl VoiceDetector for Scripted {
        fn window_samples(&self) -> usize {
            4
        }

        fn speech_probability(&mut self, window: &[i16]) -> f32 {
            assert!(window[0] >= 0, "planted");
            f32::from(window[0]) / 100.0
        }

        fn interrupt(&mut self) {}
    }

    fn settings() -> ListeningSettings {
        ListeningSettings {
            speech_ms_min: 0,
            silence_ms_end: 1,
            level_gate_db: 0,
            ..ListeningSettings::default()
        }
    }

    fn finder(parts: FinderParts) -> SpeechFinder {
        SpeechFinder::with_detector(Box::new(Scripted), &settings(), 1_000, parts)
    }

    fn utterances(finder: &mut SpeechFinder) -> Vec<Vec<i16>> {
        std::iter::from_fn(|| finder.poll_event())
            .filter_map(|event| match event {
                SegmenterEvent::UtteranceReady { audio, .. } => Some(audio.samples().to_vec()),
                _ => None,
            })
            .collect()
    }

    const SPOKEN: [i16; 24] =
        [9, 0, 0, 0, 90, 1, 2, 3, 90, 4, 5, 6, 9, 7, 7, 7, 9, 8, 8, 8, 9, 0, 0, 0];

    #[test]
    fn samples_may_come_in_any_pieces() {
        for length in 1..SPOKEN.len() {
            let mut finder = finder(FinderParts::default());
            for (index, piece) in SPOKEN.chunks(length).enumerate() {
                finder.handle_samples(piece);
                assert_eq!(finder.position().0 as usize, SPOKEN.len().min((index + 1) * length));
            }
            finder.handle_samples(&[9, 0, 0, 0, 9, 0, 0, 0]);
            assert_eq!(utterances(&mut finder), [[&SPOKEN[..], &[9, 0, 0, 0][..]].concat()]);
        }
    }

    #[test]
    fn the_last_samples_are_heard_although_they_fill_no_window() {
        let mut finder = finder(FinderParts::default());
        finder.handle_samples(&[90, 1, 2, 3, 90, 4]);
        finder.end_input(UtteranceEnd::Stalled);
        assert_eq!(utterances(&mut finder), [[90, 1, 2, 3, 90, 4]]);
    }

    #[test]
    fn an_utterance_survives_the_detector_and_the_fatal_window_is_not_heard_again() {
        let mut first = finder(FinderParts::default());
        let samples = [90, 1, 2, 3, -1, 4, 5, 6, 90, 7, 8, 9];
        let died = catch_unwind(AssertUnwindSafe(|| first.handle_samples(&samples)));
        assert!(died.is_err());

        let mut second = finder(first.take_parts());
        assert_eq!(second.position(), MediaTime(8));
        second.handle_samples(&samples[8..]);
        second.end_input(UtteranceEnd::MediaEnded);
        assert_eq!(utterances(&mut second), [samples]);
    }
}
