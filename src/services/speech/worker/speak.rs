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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CallerText;

    fn find() -> Option<Speaker> {
        Speaker::load().inspect_err(|error| println!("skipped: {error}")).ok()
    }

    fn ask(speaker: &mut Speaker, text: &str, voice: &str) -> Result<usize, WorkerFailure> {
        let request = Request::Synthesize {
            id: 1,
            sample_rate: WIRE_RATE_HZ,
            text: CallerText::from(text),
            voice: voice.to_owned(),
            language: String::new(),
        };
        match speaker.answer(request)? {
            Reply::Spoken { id: 1, sample_rate: WIRE_RATE_HZ, audio } => {
                Ok(audio.0.samples().len())
            }
            other => panic!("not speech: {other:?}"),
        }
    }

    #[test]
    fn every_voice_speaks_at_the_rate_of_the_wire_in_any_order() {
        let Some(mut speaker) = find() else { return };
        for voice in ["", "slt", "kal", "rms", "awb", "kal16", "slt"] {
            let samples = ask(&mut speaker, "what time is breakfast", voice).unwrap();
            assert!((12_000..40_000).contains(&samples), "{voice}: {samples} samples");
        }
    }

    #[test]
    fn nothing_to_say_is_no_failure_and_strange_texts_are_survived() {
        let Some(mut speaker) = find() else { return };
        for text in ["", " ", "?!", "\u{1f600} caf\u{e9} \u{4f60}", "<speak>&amp;</speak>"] {
            ask(&mut speaker, text, "").unwrap();
        }
        assert_eq!(ask(&mut speaker, "a\0b", "").unwrap_err().code, "bad_text");
        assert_eq!(ask(&mut speaker, &"a ".repeat(501), "").unwrap_err().code, "text_too_long");
    }

    #[test]
    fn a_voice_that_flite_does_not_have_is_refused_with_those_it_has() {
        let error = find_voice("en-US-Standard-A").unwrap_err();
        assert_eq!(error.code, "unknown_voice");
        assert!(error.message.contains("slt, rms, awb, kal, kal16"), "{error}");
    }
}
