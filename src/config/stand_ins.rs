//! Settings of the providers that need nobody: they answer at once and in process,
//! for load tests and for trying out everything but themselves.

use serde::{Deserialize, Serialize};

/// `[dialog.fixed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedDialogSettings {
    /// What every turn is answered with.
    pub text: String,
    /// The intent of every answer. Empty: none.
    pub intent: String,
}

/// `[stt.fixed]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FixedSettings {
    /// What every utterance is taken for.
    pub text: String,
}

/// `[tts.tone]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ToneSettings {
    /// Pitch of the tone.
    pub frequency_hz: u32,
    /// Its highest sample.
    pub amplitude: u32,
    /// How long it lasts, whatever the sentence.
    pub audio_ms: u32,
}

/// `[tts.coded]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CodedTtsSettings {
    /// Code words of a reply, 352 ms each.
    pub words: u8,
}

impl Default for CodedTtsSettings {
    fn default() -> Self {
        Self { words: 6 }
    }
}

impl Default for FixedDialogSettings {
    fn default() -> Self {
        Self { text: "Breakfast is from seven to ten.".to_owned(), intent: String::new() }
    }
}

impl Default for FixedSettings {
    fn default() -> Self {
        Self { text: "what time is breakfast".to_owned() }
    }
}

impl Default for ToneSettings {
    fn default() -> Self {
        Self { frequency_hz: 440, amplitude: 8_000, audio_ms: 2_000 }
    }
}
