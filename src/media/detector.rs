//! The seam between voice activity detectors and everything that uses one.
//!
//! A detector hears windows of a length of its own and says how probable speech
//! is. It decides nothing: thresholds and durations are the segmenter's.

use crate::types::Detector;

/// Tells speech from everything else, window by window, for one call.
pub trait VoiceDetector: Send {
    /// Samples of a window, at the inner rate.
    fn window_samples(&self) -> usize;

    /// How probable speech is in the next window of the stream, 0 to 1. The window
    /// holds exactly [`VoiceDetector::window_samples`] samples.
    fn speech_probability(&mut self, window: &[i16]) -> f32;

    /// Forgets the stream; the next window begins another one.
    fn reset(&mut self);
}

/// A new detector of the configured kind.
#[must_use]
pub fn new_detector(kind: Detector) -> Box<dyn VoiceDetector> {
    match kind {
        Detector::Earshot => Box::new(EarshotDetector::new()),
    }
}

/// Crate `earshot`: 16 ms windows, 8 kB a call. As good as a large model on clean
/// speech and steady noise, misled by other voices in the background.
struct EarshotDetector(Box<earshot::Detector>);

impl EarshotDetector {
    const WINDOW_SAMPLES: usize = 256;

    fn new() -> Self {
        Self(earshot::Detector::default_boxed())
    }
}

impl VoiceDetector for EarshotDetector {
    fn window_samples(&self) -> usize {
        Self::WINDOW_SAMPLES
    }

    fn speech_probability(&mut self, window: &[i16]) -> f32 {
        debug_assert_eq!(window.len(), Self::WINDOW_SAMPLES);
        // In this order a NaN becomes silence instead of staying a NaN.
        self.0.predict_i16(window).max(0.0).min(1.0)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probabilities(detector: &mut dyn VoiceDetector, samples: &[i16]) -> Vec<f32> {
        let windows = samples.chunks_exact(detector.window_samples());
        windows.map(|window| detector.speech_probability(window)).collect()
    }

    /// White noise from a fixed seed, 25 dB below the loudest.
    fn noise(samples: usize) -> Vec<i16> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16 / 16
        };
        std::iter::repeat_with(next).take(samples).collect()
    }

    #[test]
    fn digital_silence_and_steady_noise_are_no_speech() {
        let mut detector = new_detector(Detector::Earshot);
        for samples in [vec![0; 32_000], noise(32_000)] {
            let heard = probabilities(&mut *detector, &samples);
            assert!(heard.iter().all(|p| (0.0..=1.0).contains(p)));
            // It needs the first second to get used to noise.
            let speech = heard[63..].iter().filter(|p| **p > 0.5).count();
            assert_eq!(speech, 0, "{heard:?}");
            detector.reset();
        }
    }

    #[test]
    fn a_reset_detector_hears_as_a_new_one() {
        let (mut used, mut new) =
            (new_detector(Detector::Earshot), new_detector(Detector::Earshot));
        probabilities(&mut *used, &noise(8_000));
        used.reset();
        let samples: Vec<i16> = (0..8_000).map(|n| (n % 160 * 100 - 8_000) as i16).collect();
        assert_eq!(probabilities(&mut *used, &samples), probabilities(&mut *new, &samples));
    }
}
