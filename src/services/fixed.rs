//! A recogniser that takes every utterance for the same phrase, and a dialog backend
//! that answers every turn with the same reply: for load tests and for trying out
//! everything else. They listen to nothing and remember nothing.

use super::{DialogBackend, Health, ServiceFuture, SpeechToText, SttRequest};
use crate::config::{FixedDialogSettings, FixedSettings};
use crate::types::{
    CallerText, DialogFailure, DialogReply, DialogRequest, ReplyOutput, SttFailure, Transcript,
};

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

/// The `fixed` dialog backend.
pub(super) struct FixedDialog {
    text: CallerText,
    intent: Option<String>,
}

impl FixedDialog {
    pub(super) fn new(settings: &FixedDialogSettings) -> Self {
        let intent = Some(settings.intent.clone()).filter(|intent| !intent.is_empty());
        Self { text: settings.text.as_str().into(), intent }
    }
}

impl DialogBackend for FixedDialog {
    fn ask(&self, _: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        let reply = DialogReply { intent: self.intent.clone(), ..saying(self.text.clone()) };
        Box::pin(std::future::ready(Ok(reply)))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "answers every turn with the reply in dialog.fixed.text".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}

/// A reply of nothing but `text`.
pub(super) fn saying(text: CallerText) -> DialogReply {
    DialogReply {
        outputs: vec![ReplyOutput { text, markup: None, interruptible: None }],
        ..DialogReply::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::tests::turn;

    async fn reply(intent: &str) -> DialogReply {
        let settings = FixedDialogSettings { text: "At ten.".to_owned(), intent: intent.into() };
        let backend = FixedDialog::new(&settings);
        backend.ask(turn("a")).await.expect("a reply")
    }

    #[tokio::test]
    async fn every_turn_is_answered_with_the_reply_of_the_settings() {
        let reply = reply("hours").await;
        assert_eq!(reply.outputs[0].text.expose(), "At ten.");
        assert_eq!((reply.outputs.len(), reply.intent.as_deref()), (1, Some("hours")));
        assert!(!reply.end_call);
    }

    #[tokio::test]
    async fn without_an_intent_in_the_settings_a_reply_has_none() {
        assert_eq!(reply("").await.intent, None);
    }
}
