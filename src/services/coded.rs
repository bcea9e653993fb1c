//! A recogniser and a synthesiser for speech that carries numbers. With an `echo` dialog
//! between them a caller hears its own number again, and how its utterance arrived: what
//! is lost, repeated or heard in another call becomes visible in both directions.
//!
//! How the numbers sound is [`crate::media::coded`]'s; words of a language mean nothing here.

use super::{Health, ServiceFuture, SpeechToText, SttRequest, TextToSpeech, TtsRequest};
use crate::config::CodedTtsSettings;
use crate::media::coded::{CodeWord, CodedText};
use crate::types::{SpeechAudio, SttFailure, Transcript, TtsFailure};

/// The `coded` recogniser.
pub(super) struct CodedStt;

impl SpeechToText for CodedStt {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(async move {
            let read = CodedText::read(request.speech.whole().await.samples());
            Ok(read.map_or(Transcript::NoMatch, |text| Transcript::Final {
                text: text.to_string().into(),
                confidence: None,
            }))
        })
    }

    fn knows_any_words(&self) -> bool {
        false
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "reads the numbers in coded speech, and no other speech".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}

/// The `coded` synthesiser.
pub(super) struct CodedTts {
    words: u8,
}

/// What a text that names no call is spoken as.
const NOBODYS: CodedText = CodedText { call: CodeWord::NOBODY, turn: 0, flaw: None };

impl CodedTts {
    pub(super) const fn new(settings: &CodedTtsSettings) -> Self {
        Self { words: settings.words }
    }
}

impl TextToSpeech for CodedTts {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        let text = request.text.expose().parse().unwrap_or(NOBODYS);
        Box::pin(std::future::ready(Ok(SpeechAudio::new(text.speak(self.words)))))
    }

    fn speaks_words(&self) -> bool {
        false
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "speaks the numbers of coded speech".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::CallId;

    async fn recognised(samples: Vec<i16>) -> Transcript {
        let request = SttRequest {
            call_id: CallId::of_test("a"),
            speech: SpeechAudio::new(samples).into(),
            language: "en-US".to_owned(),
            answer_ms_max: 1_000,
            trace: None,
        };
        CodedStt.transcribe(request).await.expect("it listens")
    }

    async fn spoken(text: &str) -> Vec<i16> {
        let request = TtsRequest {
            text: text.into(),
            ssml: None,
            voice: String::new(),
            language: "en-US".to_owned(),
            answer_ms_max: 1_000,
            trace: None,
        };
        let audio = CodedTts { words: 3 }.synthesize(request).await.expect("it speaks");
        audio.samples().to_vec()
    }

    #[tokio::test]
    async fn what_is_spoken_is_recognised() {
        let transcript = recognised(spoken("4711 12 0").await).await;
        let expected = Transcript::Final { text: "4711 12 0".into(), confidence: None };
        assert_eq!(transcript, expected);
    }

    #[tokio::test]
    async fn a_text_that_names_no_call_is_nobodys_and_other_sounds_are_no_match() {
        let text = CodedText::read(&spoken("Sorry, I did not understand that.").await);
        assert_eq!(text, Some(NOBODYS));
        assert_eq!(recognised(vec![1_000; 16_000]).await, Transcript::NoMatch);
    }
}
