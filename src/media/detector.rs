//! The seam between voice activity detectors and everything that uses one.
//!
//! A detector hears windows of a length of its own and says how probable speech
//! is. It decides nothing: thresholds and durations are the segmenter's.

use super::silero::{Silero, WINDOW_SAMPLES};
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
        Detector::Silero => Box::new(SileroDetector::new()),
        Detector::Earshot => Box::new(EarshotDetector::new()),
    }
}

/// The Silero model: 32 ms windows, 1.4 kB a call.
///
/// A window so quiet that nobody could hear speech in it is none, whatever the model
/// makes of it, so that an utterance ends where the voice does and not when the model has
/// forgotten it. After half a second of such windows the model is left alone until there
/// is something to hear: most of a call is silence. `tests/vad.rs` holds what is found to
/// that of the model alone.
struct SileroDetector {
    model: Silero,
    /// Windows in a row that were too quiet.
    quiet_windows: u32,
}

impl SileroDetector {
    /// Loudest sample of a window without speech: 60 dB below the loudest there is.
    const QUIET_PEAK_MAX: u16 = 32;
    /// Quiet windows that the model still hears: half a second.
    const SETTLING_WINDOWS: u32 = 16;

    fn new() -> Self {
        Self { model: Silero::new(), quiet_windows: 0 }
    }
}

impl VoiceDetector for SileroDetector {
    fn window_samples(&self) -> usize {
        WINDOW_SAMPLES
    }

    fn speech_probability(&mut self, window: &[i16]) -> f32 {
        let window: &[i16; WINDOW_SAMPLES] =
            window.try_into().expect("the caller gives whole windows");
        if peak(window) > Self::QUIET_PEAK_MAX {
            self.quiet_windows = 0;
            return self.model.speech_probability(window);
        }
        self.quiet_windows = self.quiet_windows.saturating_add(1);
        if self.quiet_windows > Self::SETTLING_WINDOWS {
            self.model.skip(window);
            return 0.0;
        }
        self.model.speech_probability(window);
        0.0
    }

    fn reset(&mut self) {
        self.model.reset();
        self.quiet_windows = 0;
    }
}

fn peak(window: &[i16]) -> u16 {
    // A fold without a branch is computed many samples at a time.
    window.iter().fold(0, |peak, sample| peak.max(sample.unsigned_abs()))
}

/// Crate `earshot`: 16 ms windows, 8 kB a call. As good as a large model on clean
/// speech and steady noise, misled by other voices in the background.
///
/// A second of digital silence spoils it: noise that begins afterwards counts as
/// speech for seconds on end. Silence is therefore kept from it.
struct EarshotDetector(Box<earshot::Detector>);

impl EarshotDetector {
    const WINDOW_SAMPLES: usize = 256;
    /// Loudest sample of digital silence: twice what G.711 makes of it, 66 dB below
    /// the loudest.
    const SILENCE_PEAK_MAX: u16 = 16;

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
        if peak(window) <= Self::SILENCE_PEAK_MAX {
            self.0.reset();
            return 0.0;
        }
        self.0.predict_i16(window).clamp(0.0, 1.0)
    }

    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::resampler::Resampler;
    use crate::types::SampleRate;

    const DETECTORS: [Detector; 2] = [Detector::Silero, Detector::Earshot];

    fn highest(probabilities: &[f32]) -> f32 {
        probabilities.iter().copied().fold(0.0, f32::max)
    }

    fn probabilities(detector: &mut dyn VoiceDetector, samples: &[i16]) -> Vec<f32> {
        let windows = samples.chunks_exact(detector.window_samples());
        windows.map(|window| detector.speech_probability(window)).collect()
    }

    /// White noise from a fixed seed, as loud as a noisy line: 20 dB below speech.
    fn noise(samples: usize) -> Vec<i16> {
        let mut state = 1_u32;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16 / 64
        };
        std::iter::repeat_with(next).take(samples).collect()
    }

    #[test]
    fn steady_noise_is_no_speech_not_even_after_digital_silence() {
        let mut telephone = Vec::new();
        let line = SampleRate::new(8_000).unwrap();
        Resampler::to_inner(line).process(&noise(16_000), &mut telephone);
        for (silence, noise) in [(0, noise(32_000)), (0, telephone.clone()), (16_000, telephone)] {
            for kind in DETECTORS {
                let mut detector = new_detector(kind);
                let call = [vec![0; silence], noise.clone()].concat();
                let heard = probabilities(&mut *detector, &call);
                // They need the first half second to get used to noise.
                let used_to_it = (silence + 8_000) / detector.window_samples();
                let (before, noisy) = heard.split_at(used_to_it);
                let quiet = &before[..silence / detector.window_samples()];
                assert!(highest(quiet) < kind.thresholds().stop, "{kind:?} in silence");
                let probability = highest(noisy);
                assert!(probability < kind.thresholds().start, "{kind:?}: {probability}");
            }
        }
    }

    #[test]
    fn a_reset_detector_hears_as_a_new_one() {
        for kind in DETECTORS {
            let (mut used, mut new) = (new_detector(kind), new_detector(kind));
            probabilities(&mut *used, &noise(8_000));
            used.reset();
            let samples: Vec<i16> = (0..8_000).map(|n| (n % 160 * 100 - 8_000) as i16).collect();
            assert_eq!(probabilities(&mut *used, &samples), probabilities(&mut *new, &samples));
        }
    }
}
