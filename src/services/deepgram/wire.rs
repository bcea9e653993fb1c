//! What is said over a stream: the messages, and how a transcript is put together.
//!
//! Pure. Source: <https://developers.deepgram.com/reference/speech-to-text/listen-streaming>.

use serde::Deserialize;

use crate::types::{CallerText, Transcript};

/// Recognise what was said so far; answered with a result that says `from_finalize`.
pub(super) const FINALIZE: &str = r#"{"type":"Finalize"}"#;
/// The stream is still wanted although nothing is said.
pub(super) const KEEP_ALIVE: &str = r#"{"type":"KeepAlive"}"#;
/// Nothing more will be said; answered with the last results and `Metadata`.
pub(super) const CLOSE_STREAM: &str = r#"{"type":"CloseStream"}"#;

/// Longest transcript. Nobody says so much in one utterance.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// How speech is to be recognised. The engine itself tells where utterances end, and asks
/// nobody what was understood in the middle of one.
pub(super) const QUERY: [(&str, &str); 6] = [
    ("encoding", "linear16"),
    ("sample_rate", "16000"),
    ("channels", "1"),
    ("endpointing", "false"),
    ("interim_results", "false"),
    ("smart_format", "true"),
];

#[derive(Deserialize)]
#[serde(tag = "type")]
enum ServerMessage {
    Results(Results),
    Metadata,
    Error,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Results {
    #[serde(default)]
    is_final: bool,
    #[serde(default)]
    from_finalize: bool,
    channel: Channel,
}

#[derive(Deserialize)]
struct Channel {
    #[serde(default)]
    alternatives: Vec<Alternative>,
}

#[derive(Deserialize)]
struct Alternative {
    transcript: String,
    confidence: Option<f32>,
}

/// How far a message brought the utterance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// Something, or nothing of interest.
    More,
    /// All that was said before [`FINALIZE`] is recognised.
    Finalized,
    /// Nothing follows on this stream.
    Last,
    /// The server gives up.
    Failed,
    /// This is no message of the contract.
    Malformed,
    /// More than anybody says.
    TooLong,
}

/// What was understood of an utterance so far.
#[derive(Debug, Default)]
pub(super) struct Understood {
    text: String,
    /// Sum over the segments: confidence times characters.
    confidence: f32,
    characters: usize,
}

impl Understood {
    /// Takes in a message of the server.
    pub(super) fn take_in(&mut self, message: &str) -> Told {
        match serde_json::from_str(message) {
            Ok(ServerMessage::Results(results)) => self.take_results(results),
            Ok(ServerMessage::Metadata) => Told::Last,
            Ok(ServerMessage::Error) => Told::Failed,
            Ok(ServerMessage::Other) => Told::More,
            Err(_) => Told::Malformed,
        }
    }

    fn take_results(&mut self, results: Results) -> Told {
        // What is not final is told again.
        if results.is_final || results.from_finalize {
            results.channel.alternatives.first().into_iter().for_each(|best| self.append(best));
        }
        match results.from_finalize {
            _ if self.text.len() > TEXT_BYTES_MAX => Told::TooLong,
            true => Told::Finalized,
            false => Told::More,
        }
    }

    fn append(&mut self, segment: &Alternative) {
        let text = segment.transcript.trim();
        if text.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(text);
        let characters = text.chars().count();
        self.characters += characters;
        self.confidence += segment.confidence.unwrap_or(0.0) * characters as f32;
    }

    /// The words, with the mean confidence in a character of them.
    pub(super) fn transcript(&self) -> Transcript {
        if self.text.is_empty() {
            return Transcript::NoMatch;
        }
        let confidence = (self.confidence > 0.0).then(|| self.confidence / self.characters as f32);
        Transcript::Final { text: CallerText::from(self.text.as_str()), confidence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn results(transcript: &str, confidence: f32, rest: &str) -> String {
        format!(
            r#"{{"type":"Results","channel_index":[0,1],"duration":1.5,"start":0.0{rest},
            "channel":{{"alternatives":[{{"transcript":"{transcript}","confidence":{confidence},
            "words":[]}}]}},"metadata":{{"request_id":"r"}}}}"#
        )
    }

    fn final_results(transcript: &str, confidence: f32) -> String {
        results(transcript, confidence, r#","is_final":true,"speech_final":false"#)
    }

    #[test]
    fn the_final_segments_are_joined_until_the_finalized_one() {
        let mut understood = Understood::default();
        let finalized = results("to ten", 0.5, r#","is_final":true,"from_finalize":true"#);
        let told = [
            results("from", 0.4, r#","is_final":false"#),
            r#"{"type":"SpeechStarted","channel":[0],"timestamp":0.1}"#.to_owned(),
            final_results("from seven", 0.8),
            final_results("", 0.0),
            finalized,
        ]
        .map(|message| understood.take_in(&message));
        assert_eq!(told, [Told::More, Told::More, Told::More, Told::More, Told::Finalized]);
        let Transcript::Final { text, confidence } = understood.transcript() else { panic!() };
        assert_eq!(text.expose(), "from seven to ten");
        let mean = (0.8 * 10.0 + 0.5 * 6.0) / 16.0;
        assert!((confidence.expect("it is told") - mean).abs() < 1e-5);
    }

    #[test]
    fn silence_is_no_match() {
        let mut understood = Understood::default();
        let told = understood.take_in(&results("", 0.0, r#","from_finalize":true"#));
        assert_eq!((told, understood.transcript()), (Told::Finalized, Transcript::NoMatch));
    }

    #[test]
    fn a_server_that_does_not_stop_talking_is_stopped() {
        let mut understood = Understood::default();
        let segment = final_results(&"word ".repeat(1_000), 0.9);
        let told: Vec<Told> = (0..14).map(|_| understood.take_in(&segment)).collect();
        assert_eq!(told.iter().position(|told| *told == Told::TooLong), Some(13));
    }

    #[test]
    fn the_end_errors_and_nonsense_are_told_apart() {
        let told = [
            r#"{"type":"Metadata","request_id":"r","duration":1.0,"channels":1}"#,
            r#"{"type":"Error","variant":"x","description":"y"}"#,
            r#"{"type":"SomethingNew"}"#,
            r#"{"type":"Results"}"#,
            "hello",
        ]
        .map(|message| Understood::default().take_in(message));
        use Told::{Failed, Last, Malformed, More};
        assert_eq!(told, [Last, Failed, More, Malformed, Malformed]);
    }
}
