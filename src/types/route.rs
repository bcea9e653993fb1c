//! What a call is to be treated with, decided once at its start and never again.

use serde::{Deserialize, Serialize};

/// What a carrier says of the route that a call is to take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallTarget {
    /// Asked for by its name, or by one of its keys: there has to be such a route.
    Route(String),
    /// The number that was called: one that no route claims takes the default route.
    Called(String),
}

/// A route was asked for in two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("route and called both select the route: send one of them")]
pub struct TwoTargets;

impl CallTarget {
    /// The one of the two that was given.
    pub fn of(route: Option<String>, called: Option<String>) -> Result<Option<Self>, TwoTargets> {
        match (route, called) {
            (Some(_), Some(_)) => Err(TwoTargets),
            (Some(route), None) => Ok(Some(Self::Route(route))),
            (None, called) => Ok(called.map(Self::Called)),
        }
    }
}

/// The settings of one call. Shared, immutable; nothing reads global settings
/// while a call runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// The route's name in the configuration.
    pub name: String,
    /// Name of the dialog backend.
    pub dialog: String,
    /// Name of the recogniser.
    pub stt: String,
    /// Name of the synthesiser.
    pub tts: String,
    /// The synthesiser's voice.
    pub voice: String,
    /// BCP 47 tag, for example `en-US`.
    pub language: String,
    /// What the engine itself says.
    pub prompts: Prompts,
    /// How speech is told from silence.
    pub listening: ListeningSettings,
    /// How turns are taken.
    pub turns: TurnSettings,
    /// How often a child may be restarted.
    pub restarts: BudgetSettings,
}

/// Something the engine says by itself. Written as its text alone, or as a table
/// of text and `interruptible`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "WrittenPrompt", into = "WrittenPrompt")]
pub struct Prompt {
    /// The words; one or more sentences.
    pub text: String,
    /// Whether the caller may interrupt it. `None`: as the route says.
    pub interruptible: Option<bool>,
}

/// The engine's own sentences.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Prompts {
    /// Said when the call starts; `None`, written as an empty text, says nothing.
    #[serde(with = "greeting")]
    pub greeting: Option<Prompt>,
    /// Said when the caller was not understood.
    pub no_match: Prompt,
    /// Said when the dialog platform or the recogniser failed for this turn.
    pub turn_failed: Prompt,
    /// Rendered before the first call; played when the call cannot go on.
    pub fallback: Prompt,
}

/// The two ways to write a prompt.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum WrittenPrompt {
    Text(String),
    Table { text: String, interruptible: bool },
}

impl From<WrittenPrompt> for Prompt {
    fn from(written: WrittenPrompt) -> Self {
        match written {
            WrittenPrompt::Text(text) => Self { text, interruptible: None },
            WrittenPrompt::Table { text, interruptible } => {
                Self { text, interruptible: Some(interruptible) }
            }
        }
    }
}

impl From<Prompt> for WrittenPrompt {
    fn from(prompt: Prompt) -> Self {
        match prompt.interruptible {
            None => Self::Text(prompt.text),
            Some(interruptible) => Self::Table { text: prompt.text, interruptible },
        }
    }
}

/// A prompt that may be missing, so that the configuration can name it and say no.
mod greeting {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Prompt;

    pub(super) fn serialize<S: Serializer>(
        prompt: &Option<Prompt>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match prompt {
            Some(prompt) => prompt.serialize(serializer),
            None => "".serialize(serializer),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Prompt>, D::Error> {
        let prompt = Prompt::deserialize(deserializer)?;
        Ok((!prompt.text.is_empty()).then_some(prompt))
    }
}

/// Which voice activity detector hears the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The Silero model: stands steady noise (`docs/vad.md`).
    Silero,
    /// Crate `earshot`: cheap, good on clean speech and steady noise.
    Earshot,
}

/// Where a detector's probabilities become a decision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Thresholds {
    /// Probability at which speech may start.
    pub start: f32,
    /// Probability under which it may stop.
    pub stop: f32,
}

impl Detector {
    /// The thresholds that suit this detector: what one calls 0.5, another calls 0.65.
    #[must_use]
    pub const fn thresholds(self) -> Thresholds {
        match self {
            // Those that its makers ship.
            Self::Silero => Thresholds { start: 0.5, stop: 0.35 },
            Self::Earshot => Thresholds { start: 0.65, stop: 0.45 },
        }
    }
}

/// How speech is told from silence. Lengths are audio time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListeningSettings {
    /// The detector.
    pub detector: Detector,
    /// Speech probability at which speech may start; 0 for what suits the detector.
    pub start_probability: f32,
    /// Speech probability under which it may stop, below that at which it may start; 0
    /// for what suits the detector.
    pub stop_probability: f32,
    /// Speech needed before it counts as started.
    pub speech_ms_min: u32,
    /// Silence that ends an utterance.
    pub silence_ms_end: u32,
    /// Audio kept from before the start.
    pub pre_roll_ms: u32,
    /// Who is so much quieter than the caller (dB) opens no utterance, does not keep one
    /// open and does not interrupt the bot; 0 for everybody does.
    pub level_gate_db: u32,
    /// Whether the bot's echo is told from the caller.
    pub echo_gate: bool,
    /// Longest utterance.
    pub utterance_ms_max: u32,
    /// How long audio may wait unprocessed after its arrival; also the reorder window.
    pub latency_ms_max: u32,
    /// Audio that may arrive ahead of real time in one burst.
    pub burst_ms_max: u32,
}

impl ListeningSettings {
    /// The thresholds in force: those that were set, else those of the detector.
    #[must_use]
    pub fn thresholds(&self) -> Thresholds {
        let own = self.detector.thresholds();
        let or = |set: f32, own: f32| if set > 0.0 { set } else { own };
        Thresholds {
            start: or(self.start_probability, own.start),
            stop: or(self.stop_probability, own.stop),
        }
    }
}

/// How turns are taken. Lengths are real time unless said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnSettings {
    /// Whether the caller may interrupt, unless a prompt says otherwise.
    pub interruptible: bool,
    /// Caller speech (audio time) that interrupts at once. Shorter speech does when words
    /// are recognised in it.
    pub interrupt_speech_ms_min: u32,
    /// Where the bot goes on after an interruption that held no words.
    pub resume_from: ResumeFrom,
    /// What a listener says without wanting anything, in place of the language's own words.
    pub listener_words: Vec<String>,
    /// What becomes of an answer when the caller added something before it was begun.
    pub held_answer: HeldAnswer,
    /// Longest time that a caller who speaks on holds back what the bot has to say.
    pub hold_ms_max: u32,
    /// Longest wait for a transcript.
    pub stt_ms_max: u32,
    /// Longest wait for a dialog reply, retries included.
    pub dialog_ms_max: u32,
    /// Longest wait for one sentence's audio.
    pub tts_ms_max: u32,
    /// Failed turns in a row after which the fallback is played and the call ends.
    pub failures_max: u32,
    /// How long a call without media waits for its caller.
    pub reconnect_ms_max: u32,
    /// Utterances that are joined in one question before it is sent; one more ends the oldest.
    pub utterances_joined_max: u32,
}

/// Where the bot goes on after an interruption that was none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResumeFrom {
    /// At the beginning of the sentence it was in.
    Sentence,
    /// Where it was.
    Position,
}

/// What becomes of an answer that the caller did not wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeldAnswer {
    /// It is spoken once the caller has finished.
    Speak,
    /// It is not spoken. What else the bot asked for stands.
    Drop,
}

/// How often one child may be restarted before the call gives up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BudgetSettings {
    /// Restarts within the window.
    pub restarts_max: u32,
    /// Length of the window.
    pub window_ms: u32,
}

impl Default for ListeningSettings {
    fn default() -> Self {
        Self {
            detector: Detector::Silero,
            start_probability: 0.0,
            stop_probability: 0.0,
            speech_ms_min: 64,
            silence_ms_end: 500,
            pre_roll_ms: 300,
            level_gate_db: 12,
            echo_gate: true,
            utterance_ms_max: 30_000,
            latency_ms_max: 300,
            burst_ms_max: 2_500,
        }
    }
}

impl Default for TurnSettings {
    fn default() -> Self {
        Self {
            interruptible: true,
            interrupt_speech_ms_min: 200,
            resume_from: ResumeFrom::Sentence,
            listener_words: Vec::new(),
            held_answer: HeldAnswer::Speak,
            hold_ms_max: 30_000,
            stt_ms_max: 10_000,
            dialog_ms_max: 25_000,
            tts_ms_max: 10_000,
            failures_max: 3,
            reconnect_ms_max: 5_000,
            utterances_joined_max: 8,
        }
    }
}

impl Default for BudgetSettings {
    fn default() -> Self {
        Self { restarts_max: 3, window_ms: 30_000 }
    }
}

impl Default for Prompts {
    fn default() -> Self {
        let say = |text: &str| Prompt { text: text.to_owned(), interruptible: None };
        Self {
            greeting: None,
            no_match: say("Sorry, I did not understand that. Could you say it again?"),
            turn_failed: say("Sorry, something went wrong. Could you say that again?"),
            fallback: Prompt {
                text: "I experienced a connection interruption. Please hang up and call back."
                    .to_owned(),
                interruptible: Some(false),
            },
        }
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            name: "default".to_owned(),
            dialog: "cognigy-dialogs".to_owned(),
            stt: "pocketsphinx".to_owned(),
            tts: "flite".to_owned(),
            voice: "slt".to_owned(),
            language: "en-US".to_owned(),
            prompts: Prompts::default(),
            listening: ListeningSettings::default(),
            turns: TurnSettings::default(),
            restarts: BudgetSettings::default(),
        }
    }
}
