//! What a call is, and what it gets from the engine.

use std::sync::Arc;

use super::clock::Clock;
use super::service_runtime::ServiceRuntime;
use crate::services::{DialogBackend, PromptCache, SpeechToText, TextToSpeech};
use crate::telemetry::Telemetry;
use crate::types::{CallId, CarrierCallId, Route, SessionId, UserId};

/// What a call gets from the engine.
#[derive(Clone)]
pub struct CallKit {
    /// Time.
    pub clock: Clock,
    /// Where providers' requests run.
    pub runtime: ServiceRuntime,
    /// The route's recogniser.
    pub stt: Arc<dyn SpeechToText>,
    /// The route's dialog platform.
    pub dialog: Arc<dyn DialogBackend>,
    /// The route's synthesiser.
    pub tts: Arc<dyn TextToSpeech>,
    /// The engine's own sentences.
    pub prompts: Arc<PromptCache>,
    /// Where facts are told.
    pub telemetry: Telemetry,
}

/// What a call is.
pub struct CallSpec {
    /// Its id.
    pub call_id: CallId,
    /// The carrier's name for it, if it gave one.
    pub carrier_call_id: Option<CarrierCallId>,
    /// The dialog platform's name of its conversation.
    pub session_id: SessionId,
    /// Who is calling.
    pub user_id: UserId,
    /// How it is treated.
    pub route: Arc<Route>,
}
