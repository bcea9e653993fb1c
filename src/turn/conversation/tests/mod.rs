//! Conversations as stories: what happens on the left, what is done on the right.

mod answers;
mod connection;
mod failures;
mod floor;
mod interruption;
mod random;
mod replies;
mod turns;

use std::sync::Arc;

use super::{Conversation, TurnInput, TurnOutput, UtteranceFacts};
use crate::turn::CutShort;
use crate::types::{
    DialogReply, Epoch, Now, ReplyOutput, Route, SentenceId, Transcript, TurnId, UtteranceEnd,
    UtteranceId,
};

/// A conversation whose clock moves 10 ms with every input.
struct Story {
    conversation: Conversation,
    now: Now,
}

impl Story {
    fn begin() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Route)) -> Self {
        let mut route = Route::default();
        change(&mut route);
        Self { conversation: Conversation::new(Arc::new(route)), now: Now::default() }
    }

    /// Feeds an input; returns what is to be done, events left out.
    fn then(&mut self, input: TurnInput) -> Vec<String> {
        self.feed(input).into_iter().filter_map(|output| told(&output)).collect()
    }

    /// Feeds an input; returns the names of the events.
    fn events(&mut self, input: TurnInput) -> Vec<&'static str> {
        let name = |output: TurnOutput| match output {
            TurnOutput::Tell { kind, .. } => Some(kind.name()),
            _ => None,
        };
        self.feed(input).into_iter().filter_map(name).collect()
    }

    fn feed(&mut self, input: TurnInput) -> Vec<TurnOutput> {
        self.now = self.now.plus_ms(10);
        self.conversation.handle_input(self.now, input);
        std::iter::from_fn(|| self.conversation.poll_output()).collect()
    }

    /// Feeds inputs one after the other; returns what is to be done.
    fn all(&mut self, inputs: impl IntoIterator<Item = TurnInput>) -> Vec<String> {
        inputs.into_iter().flat_map(|input| self.then(input)).collect()
    }

    /// The caller says something, long enough to interrupt; its transcript is still to come.
    fn speaks(&mut self, number: u32) -> Vec<String> {
        self.all([TurnInput::SpeechStarted, TurnInput::SpeechSustained, utterance(number)])
    }

    /// The caller makes a sound, too short to interrupt.
    fn coughs(&mut self, number: u32) -> Vec<String> {
        self.all([TurnInput::SpeechStarted, TurnInput::Utterance(facts(number, false))])
    }

    /// The bot says "One two three four. Five." in answer to the first turn and is heard.
    fn bot_speaks() -> Self {
        let mut story = Self::begin();
        story.turn(1, "breakfast", says("One two three four. Five."));
        story.then(started(1));
        story
    }

    /// A whole turn up to the reply.
    fn turn(&mut self, number: u32, says: &str, reply: DialogReply) -> Vec<String> {
        self.then(utterance(number));
        self.then(transcribed(number, says));
        self.then(replied(number, reply))
    }
}

fn told(output: &TurnOutput) -> Option<String> {
    Some(match output {
        TurnOutput::Transcribe { utterance } => format!("transcribe {utterance}"),
        TurnOutput::Discard { utterance } => format!("discard {utterance}"),
        TurnOutput::Ask { turn, text, .. } => format!("ask {turn} {}", text.expose()),
        TurnOutput::Speak { sentence, text, .. } => format!("speak {sentence} {}", text.expose()),
        TurnOutput::StopSpeaking { epoch } => format!("stop, epoch {epoch}"),
        TurnOutput::Drop { sentence } => format!("drop {sentence}"),
        TurnOutput::Hold { from: Some(from) } => format!("hold from {from}"),
        TurnOutput::Hold { from: None } => "go on".to_owned(),
        TurnOutput::End { cause } => format!("end {}", cause.as_str()),
        TurnOutput::Tell { .. } => return None,
    })
}

fn facts(number: u32, sustained: bool) -> UtteranceFacts {
    UtteranceFacts {
        utterance: UtteranceId(number),
        audio_ms: 1_000,
        end_of_speech_ms: 500,
        sustained,
        end: UtteranceEnd::Silence,
    }
}

fn utterance(number: u32) -> TurnInput {
    TurnInput::Utterance(facts(number, true))
}

fn transcribed(number: u32, text: &str) -> TurnInput {
    let result = Ok(Transcript::Final { text: text.into(), confidence: None });
    TurnInput::Transcribed { utterance: UtteranceId(number), result }
}

fn no_match(number: u32) -> TurnInput {
    TurnInput::Transcribed { utterance: UtteranceId(number), result: Ok(Transcript::NoMatch) }
}

fn stopped(epoch: u32, cuts: impl IntoIterator<Item = CutShort>) -> TurnInput {
    TurnInput::SpeakingStopped { epoch: Epoch(epoch), cuts: cuts.into_iter().collect() }
}

/// A sentence of a second, cut after so many milliseconds.
fn cut(sentence: u32, heard_ms: usize) -> CutShort {
    CutShort {
        sentence: SentenceId(sentence),
        heard_samples: 16 * heard_ms,
        samples: 16_000,
        open: false,
    }
}

fn replied(turn: u32, reply: DialogReply) -> TurnInput {
    TurnInput::Replied { turn: TurnId(turn), result: Ok(reply) }
}

fn says(text: &str) -> DialogReply {
    DialogReply {
        outputs: vec![ReplyOutput { text: text.into(), markup: None, interruptible: None }],
        intent: Some("hotel".to_owned()),
        ..DialogReply::default()
    }
}

fn started(sentence: u32) -> TurnInput {
    TurnInput::SentenceStarted { sentence: SentenceId(sentence) }
}

fn finished(sentence: u32) -> TurnInput {
    TurnInput::SentenceFinished { sentence: SentenceId(sentence) }
}

const NOTHING: [&str; 0] = [];
