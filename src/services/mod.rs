//! The three services a call asks, behind traits, and one file per provider.
//!
//! A provider is shared by all calls and runs on the service runtime, never on
//! a media thread. It keeps its wire format to itself, holds nothing of a call but a
//! connection that waits for its next utterance, and answers every request within the
//! deadline it was given.

mod breaker;
mod coded;
mod cognigy_dialogs;
mod cognigy_output;
mod cognigy_rest;
mod credentials;
mod deepgram;
mod dialog_attempts;
mod echo;
mod fixed;
mod generic_http;
mod governor;
mod growing_speech;
mod http;
mod isolated;
mod jitter;
mod json;
mod live_speech;
mod media_type;
mod misread;
mod openai_http;
mod otlp;
mod prompts;
mod providers;
mod recogniser_health;
mod repeatable;
pub mod speech;
mod speech_body;
mod ssml;
#[cfg(test)]
mod tests;
mod tone;
mod watched;
mod websocket;
mod wordless;
mod words;

pub use credentials::{CredentialError, Environment, process_environment};
pub use growing_speech::{Speech, SpeechSource, SpeechStream};
pub use http::HttpSetupError;
pub use live_speech::{LiveSpeech, SpeechFeed};
pub use otlp::TraceExport;
pub use prompts::PromptCache;
pub use providers::{ProviderError, Providers, Unbuilt, synthesiser};

use std::future::Future;
use std::pin::Pin;

use crate::types::{
    CallId, CallerText, DialogFailure, DialogReply, DialogRequest, SpeechAudio, SttFailure,
    TraceParent, Transcript, TtsFailure,
};

/// A provider's answer in the making.
pub type ServiceFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Turns an utterance into words.
pub trait SpeechToText: Send + Sync + 'static {
    /// Recognises one utterance.
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>>;

    /// Whether it listens while the caller speaks. Then it is asked as soon as speech
    /// has begun, otherwise when the utterance is complete.
    fn follows_speech(&self) -> bool {
        false
    }

    /// Whether it knows the words of its language, and not the sentences of a grammar only.
    fn knows_any_words(&self) -> bool {
        true
    }

    /// The call is over: what was kept for its next utterance is of no use any more.
    fn forget(&self, _call_id: &CallId) {}

    /// Finds out whether the provider could work now, without side effects.
    fn check(&self) -> ServiceFuture<'_, Health>;
}

/// Answers caller turns.
pub trait DialogBackend: Send + Sync + 'static {
    /// Runs one turn. Retries inside are the provider's, bounded by `answer_ms_max`.
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>>;

    /// Finds out whether the provider could work now, without side effects.
    fn check(&self) -> ServiceFuture<'_, Health>;
}

/// Turns a sentence into speech.
pub trait TextToSpeech: Send + Sync + 'static {
    /// Speaks one sentence, at the inner rate, whole.
    fn synthesize(&self, request: TtsRequest)
    -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>>;

    /// Speaks one sentence so that it can be heard as soon as its first audio is there,
    /// if the provider can do that; otherwise whole as well.
    fn speak(&self, request: TtsRequest) -> ServiceFuture<'_, Result<Speech, TtsFailure>> {
        Box::pin(async move { self.synthesize(request).await.map(Speech::from) })
    }

    /// Whether what it speaks are words, so that it may speak for another one that cannot.
    fn speaks_words(&self) -> bool {
        true
    }

    /// Finds out whether the provider could work now, without side effects.
    fn check(&self) -> ServiceFuture<'_, Health>;
}

/// An utterance to recognise.
#[derive(Clone, Debug)]
pub struct SttRequest {
    /// Whose utterance.
    pub call_id: CallId,
    /// What is said, 16 kHz mono. It grows where the provider follows speech.
    pub speech: LiveSpeech,
    /// BCP 47 tag, for example `en-US`.
    pub language: String,
    /// Longest time for the answer, from the end of the utterance on.
    pub answer_ms_max: u32,
    /// Its place in the call's trace, where there is one.
    pub trace: Option<TraceParent>,
}

/// A sentence to speak.
#[derive(Clone, Debug)]
pub struct TtsRequest {
    /// The words.
    pub text: CallerText,
    /// The same as an SSML document, where there is markup: for a provider that takes it.
    pub ssml: Option<CallerText>,
    /// The provider's name of the voice.
    pub voice: String,
    /// BCP 47 tag, for example `en-US`.
    pub language: String,
    /// Longest time for the answer, or for its first audio where it is a growing one.
    pub answer_ms_max: u32,
    /// Its place in the call's trace, where there is one.
    pub trace: Option<TraceParent>,
}

/// What a provider says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It works. The text says what was found, for people.
    Ready(String),
    /// It may come up later; calls would fail now. The text says what to do.
    Unavailable(String),
    /// It never will with these settings: wrong key, missing permission, missing
    /// package. The text says what to do.
    Refused(String),
}
