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

    /// The stream was interrupted for a while: the next window does not continue the last.
    fn interrupt(&mut self);
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
/// forgotten it. The model takes such windows for digital silence, which costs it a fifth,
/// and after a few seconds of them it is left alone: most of a call is silence. `tests/hearing/vad.rs`
/// holds what is found to that of the model alone.
///
/// The model gets used to whatever it hears, without a bound: after half a minute of noise a
/// word is missed that stands 10 dB above it. Where there is no speech for some seconds, a
/// second memory therefore begins to listen, which knows nothing of what came before; once it
/// knows the noise, and both are sure that nobody speaks, it takes the place of the first. A
/// memory that knows nothing at all would take the noise for speech.
///
/// A cold model misses short words, so a call begins as if a quiet line had come before it,
/// and what comes behind an interruption as if that had been silent.
struct SileroDetector {
    model: Silero,
    /// Windows in a row that were too quiet.
    quiet_windows: u32,
    /// Windows in a row that sound like speech.
    voiced_windows: u32,
    /// Windows that the model remembers since somebody spoke, quiet ones not counted.
    remembered_windows: u32,
    /// Windows that the second memory has heard.
    fresh_windows: u32,
    /// Windows in a row in which the model is sure that there is no speech.
    sure_windows: u32,
}

impl SileroDetector {
    /// Loudest sample of a window without speech: 60 dB below the loudest there is.
    const QUIET_PEAK_MAX: u16 = 32;
    /// Quiet windows that the model hears as they are: 128 ms, in which a voice fades away.
    const FADING_WINDOWS: u32 = 4;
    /// Quiet windows that the model still hears: 3 s. From half a second to two seconds
    /// words are lost for want of the rest.
    const SETTLING_WINDOWS: u32 = 96;
    /// Windows of silence in an interruption: half a second.
    const INTERRUPTED_WINDOWS: u32 = 16;
    /// Speech, in windows in a row (96 ms): music and dishes sound like it now and then.
    const VOICED_WINDOWS_MIN: u32 = 3;
    /// A second memory begins to listen when the first one remembers so much without speech:
    /// 6 s.
    const REMEMBERED_WINDOWS_MAX: u32 = 188;
    /// It knows a noise after so much of it: 1.5 s. After 1 s it takes music for speech more
    /// than three times as often.
    const FRESH_WINDOWS_MIN: u32 = 47;
    /// It ends when nobody was sure for so long (3 s), and another one begins later.
    const FRESH_WINDOWS_MAX: u32 = 94;
    /// Before the first is given up, both are sure in so many windows: it may be in mid-word.
    const SURE_WINDOWS: u32 = 5;
    const SURE_PROBABILITY_MAX: f32 = 0.1;

    fn new() -> Self {
        Self {
            model: Silero::on_a_quiet_line(),
            quiet_windows: 0,
            voiced_windows: 0,
            remembered_windows: 0,
            fresh_windows: 0,
            sure_windows: 0,
        }
    }

    fn hear_quiet(&mut self, window: &[i16; WINDOW_SAMPLES]) {
        self.quiet_windows = self.quiet_windows.saturating_add(1);
        if self.quiet_windows > Self::SETTLING_WINDOWS {
            self.model.skip(window);
        } else if self.quiet_windows > Self::FADING_WINDOWS {
            self.model.hear_silence(window);
        } else {
            self.model.speech_probability(window);
        }
    }

    /// Has the model forget what came before when it has not heard any speech for long enough.
    fn count_without_speech(&mut self, probability: f32) {
        let is_voiced = probability >= Detector::Silero.thresholds().stop;
        self.voiced_windows = if is_voiced { self.voiced_windows + 1 } else { 0 };
        let is_speech = self.voiced_windows >= Self::VOICED_WINDOWS_MIN;
        self.remembered_windows = if is_speech { 0 } else { self.remembered_windows + 1 };
        match self.model.probability_afresh() {
            None if self.remembered_windows >= Self::REMEMBERED_WINDOWS_MAX => {
                self.model.hear_afresh();
                (self.fresh_windows, self.sure_windows) = (0, 0);
            }
            None => {}
            Some(_) if is_speech => self.model.drop_fresh(),
            Some(afresh) => {
                let is_sure = probability.max(afresh) < Self::SURE_PROBABILITY_MAX;
                self.sure_windows = if is_sure { self.sure_windows + 1 } else { 0 };
                self.fresh_windows += 1;
                if self.fresh_windows >= Self::FRESH_WINDOWS_MIN
                    && self.sure_windows >= Self::SURE_WINDOWS
                {
                    self.model.keep_fresh();
                    self.remembered_windows = self.fresh_windows;
                } else if self.fresh_windows >= Self::FRESH_WINDOWS_MAX {
                    self.model.drop_fresh();
                    self.remembered_windows = 0;
                }
            }
        }
    }
}

impl VoiceDetector for SileroDetector {
    fn window_samples(&self) -> usize {
        WINDOW_SAMPLES
    }

    fn speech_probability(&mut self, window: &[i16]) -> f32 {
        let window: &[i16; WINDOW_SAMPLES] =
            window.try_into().expect("the caller gives whole windows");
        if peak(window) <= Self::QUIET_PEAK_MAX {
            self.hear_quiet(window);
            return 0.0;
        }
        self.quiet_windows = 0;
        let probability = self.model.speech_probability(window);
        self.count_without_speech(probability);
        probability
    }

    fn interrupt(&mut self) {
        // What the model knows of the caller and of the line stays.
        (0..Self::INTERRUPTED_WINDOWS).for_each(|_| self.model.hear_silence(&[0; WINDOW_SAMPLES]));
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

    fn interrupt(&mut self) {
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
    fn what_was_heard_before_an_interruption_does_not_make_speech_of_what_follows() {
        for kind in DETECTORS {
            let mut detector = new_detector(kind);
            probabilities(&mut *detector, &vowel(16_000));
            detector.interrupt();
            let heard = probabilities(&mut *detector, &noise(4_000));
            assert!(highest(&heard) < kind.thresholds().start, "{kind:?}: {heard:?}");
        }
    }

    /// Loud and rich in harmonics of 100 Hz.
    fn vowel(samples: usize) -> Vec<i16> {
        (0..samples).map(|n| (n % 160 * 100) as i16 - 8_000).collect()
    }
}
