//! A synthesiser that speaks every sentence as the same tone, at once: for load tests
//! in which synthesis must not be what is measured. It reads no text.

use std::f64::consts::TAU;

use super::{Health, ServiceFuture, TextToSpeech, TtsRequest};
use crate::config::ToneSettings;
use crate::types::{INNER_RATE, SpeechAudio, TtsFailure};

/// The `tone` synthesiser. The tone is made once; sentences share it.
pub(super) struct ToneTts {
    audio: SpeechAudio,
}

impl ToneTts {
    pub(super) fn new(settings: &ToneSettings) -> Self {
        Self { audio: tone(settings) }
    }
}

impl TextToSpeech for ToneTts {
    fn synthesize(&self, _: TtsRequest) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(std::future::ready(Ok(self.audio.clone())))
    }

    fn speaks_words(&self) -> bool {
        false
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "speaks every sentence as the tone of [tts.tone]".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}

fn tone(settings: &ToneSettings) -> SpeechAudio {
    let step = TAU * f64::from(settings.frequency_hz) / f64::from(INNER_RATE.hz());
    let amplitude = f64::from(settings.amplitude);
    let sample = |at: usize| (amplitude * (step * at as f64).sin()).round() as i16;
    let samples: Vec<i16> = (0..INNER_RATE.samples_in_ms(settings.audio_ms)).map(sample).collect();
    SpeechAudio::new(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tone_has_the_length_the_loudness_and_the_pitch_of_the_settings() {
        let audio = tone(&ToneSettings { frequency_hz: 440, amplitude: 8_000, audio_ms: 2_000 });
        assert_eq!(audio.ms(), 2_000);
        assert_eq!(audio.samples().iter().max(), Some(&8_000));
        let upward = audio.samples().windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
        assert!(upward.abs_diff(880) <= 1, "{upward} waves in two seconds");
    }
}
