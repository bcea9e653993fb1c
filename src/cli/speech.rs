//! What a caller says, as samples: spoken by the synthesiser on this computer, or
//! out of a recording.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::error::CliError;
use crate::config::{BreakerSettings, TtsSettings};
use crate::media::{Resampler, wav};
use crate::sandbox::{SpeechOrder, Synthesiser};
use crate::services::{Health, TextToSpeech, TtsRequest, synthesiser};
use crate::types::{CallerText, INNER_RATE, SampleRate};

/// The synthesiser of callers.
const FLITE: &str = "flite";
/// The voice of the stand-in synthesiser where a client names one that flite has not.
const BOT_VOICE: &str = "slt";
/// Voices that flite brings along.
pub(super) const FLITE_VOICES: [&str; 5] = ["slt", "rms", "awb", "kal", "kal16"];
/// Longest wait for one utterance.
const SPEAK_MS_MAX: u32 = 10_000;
/// Largest recording read: half an hour at 16 kHz.
const RECORDING_BYTES_MAX: u64 = 64 << 20;

/// A voice out of the synthesiser on this computer.
pub(super) struct CallerVoice {
    synthesiser: Arc<dyn TextToSpeech>,
    voice: String,
}

impl CallerVoice {
    /// Finds the synthesiser.
    pub(super) async fn find(voice: &str, settings: &TtsSettings) -> Result<Self, CliError> {
        Ok(Self { synthesiser: local_synthesiser(settings).await?, voice: voice.to_owned() })
    }

    /// Speaks `text` at `rate`.
    pub(super) async fn speak(&self, text: &str, rate: SampleRate) -> Result<Arc<[i16]>, CliError> {
        let request = request(text, &self.voice);
        let speech = self.synthesiser.synthesize(request).await?;
        Ok(at_rate(speech.samples(), INNER_RATE, rate).into())
    }
}

/// The synthesiser on this computer, if its packages are installed.
pub(super) async fn local_synthesiser(
    settings: &TtsSettings,
) -> Result<Arc<dyn TextToSpeech>, CliError> {
    // It needs no credential.
    let synthesiser = synthesiser(FLITE, settings, &BreakerSettings::default(), &|_| None, None)?;
    match synthesiser.check().await {
        Health::Ready(_) => Ok(synthesiser),
        Health::Unavailable(reason) | Health::Refused(reason) => Err(CliError::NoSpeech(reason)),
    }
}

/// Lends a synthesiser to the sandbox. Cloud voices are not to be had here: for a
/// name that flite does not know it speaks with the bot's voice.
pub(super) fn for_sandbox(synthesiser: Arc<dyn TextToSpeech>) -> Synthesiser {
    Arc::new(move |order: SpeechOrder| {
        let synthesiser = Arc::clone(&synthesiser);
        Box::pin(async move {
            let known = FLITE_VOICES.iter().find(|voice| **voice == order.voice);
            let request = request(&order.text, known.copied().unwrap_or(BOT_VOICE));
            let speech =
                synthesiser.synthesize(request).await.map_err(|error| error.to_string())?;
            Ok(speech.samples().to_vec())
        })
    })
}

fn request(text: &str, voice: &str) -> TtsRequest {
    TtsRequest {
        text: CallerText::from(text),
        ssml: None,
        voice: voice.to_owned(),
        language: "en-US".to_owned(),
        answer_ms_max: SPEAK_MS_MAX,
        trace: None,
    }
}

/// Reads a recording, mixed to one channel and brought to `rate`.
pub(super) fn read_wav(path: &Path, rate: SampleRate) -> Result<Arc<[i16]>, CliError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(RECORDING_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(CliError::file(path))?;
    let recording =
        wav::read(&bytes).map_err(|source| CliError::Wav { path: path.to_owned(), source })?;
    Ok(at_rate(&mixed(&recording.channels), recording.rate, rate).into())
}

/// The mean of all channels.
fn mixed(channels: &[Vec<i16>]) -> Vec<i16> {
    let frames = channels.iter().map(Vec::len).min().unwrap_or_default();
    let count = i32::try_from(channels.len().max(1)).unwrap_or(1);
    let mean = |frame: usize| {
        let sum: i32 = channels.iter().map(|channel| i32::from(channel[frame])).sum();
        i16::try_from(sum / count).unwrap_or_default()
    };
    (0..frames).map(mean).collect()
}

fn at_rate(samples: &[i16], from: SampleRate, to: SampleRate) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    let mut converted = Vec::with_capacity(samples.len());
    resampler.process(samples, &mut converted);
    resampler.flush(&mut converted);
    converted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_mixed_to_their_mean() {
        assert_eq!(mixed(&[vec![100, i16::MIN], vec![300, i16::MIN]]), [200, i16::MIN]);
        assert_eq!(mixed(&[vec![7, 8]]), [7, 8]);
        assert!(mixed(&[]).is_empty());
    }
}
