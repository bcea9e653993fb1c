//! Speaks with flite, at the rate of the wire. It refuses voices it does not have
//! rather than using another one.

use super::Engine;
use crate::services::speech::library::flite::{Flite, VOICES};
use crate::services::speech::protocol::{
    Capability, PROTOCOL_VERSION, Pcm, Ready, Reply, Request, WIRE_RATE_HZ, WorkerFailure,
};
use crate::types::SpeechAudio;

/// The voice of requests that name none.
const VOICE: &str = VOICES[0];
/// Longest text: about a minute and a half of speech, which still fits into a line.
const TEXT_BYTES_MAX: usize = 1_000;

pub(super) struct Speaker {
    flite: Flite,
}

impl Speaker {
    /// Loads the library and the default voice: the first caller shall not wait for it.
    pub(super) fn load() -> Result<Self, WorkerFailure> {
        let mut flite = Flite::load()?;
        flite.speak("ready", VOICE, WIRE_RATE_HZ)?;
        Ok(Self { flite })
    }
}

impl Engine for Speaker {
    fn ready(&self) -> Ready {
        Ready {
            protocol: PROTOCOL_VERSION,
            engine: format!("flite ({})", VOICES.join(", ")),
            capabilities: vec![Capability::Synthesize],
        }
    }

    fn answer(&mut self, request: Request) -> Result<Reply, WorkerFailure> {
        let Request::Synthesize { id, sample_rate, text, voice, .. } = request else {
            return Err(WorkerFailure::new("unsupported", "this worker only speaks"));
        };
        if sample_rate != WIRE_RATE_HZ {
            let message = format!("speech comes at {WIRE_RATE_HZ} Hz only");
            return Err(WorkerFailure::new("unsupported_rate", message));
        }
        if text.expose().len() > TEXT_BYTES_MAX {
            let message = format!("the text is longer than {TEXT_BYTES_MAX} bytes");
            return Err(WorkerFailure::new("text_too_long", message));
        }
        let samples = self.flite.speak(text.expose(), find_voice(&voice)?, sample_rate)?;
        Ok(Reply::Spoken { id, sample_rate, audio: Pcm(SpeechAudio::new(samples)) })
    }
}

fn find_voice(name: &str) -> Result<&'static str, WorkerFailure> {
    if name.is_empty() {
        return Ok(VOICE);
    }
    let known = VOICES.iter().find(|voice| **voice == name);
    known.copied().ok_or_else(|| {
        let message = format!("flite has the voices {}", VOICES.join(", "));
        WorkerFailure::new("unknown_voice", message)
    })
}
