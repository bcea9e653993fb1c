//! A recogniser that takes every utterance for the same phrase: for load tests and
//! for trying out everything but recognition. It listens to nothing.

use super::{Health, ServiceFuture, SpeechToText, SttRequest};
use crate::config::FixedSettings;
use crate::types::{CallerText, SttFailure, Transcript};

/// The `fixed` recogniser.
pub(super) struct FixedStt {
    text: CallerText,
}

impl FixedStt {
    pub(super) fn new(settings: &FixedSettings) -> Self {
        Self { text: settings.text.as_str().into() }
    }
}

impl SpeechToText for FixedStt {
    fn transcribe(&self, _: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        let transcript = Transcript::Final { text: self.text.clone(), confidence: None };
        Box::pin(std::future::ready(Ok(transcript)))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "takes every utterance for the phrase in stt.fixed.text".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}
