//! The state machine: caller turns on one side, the bot's sentences on the other.
//!
//! A caller turn goes collecting → thinking → answering. Utterances are recognised as they
//! come and collected in one question until it is sent; turns are asked one at a time, each
//! once, so that the dialog platform sees one conversation. While the caller speaks, no
//! question is sent and no sentence begins that may be interrupted (`floor`).

mod bot;
mod caller;
mod floor;
mod interruption;
mod platform;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use self::bot::Unspoken;
use self::caller::Part;
use self::floor::Floor;
use self::interruption::{Pause, Stop};
use super::speech::{BotSpeech, CutShort, Passage, Sentence};
use crate::types::{
    CallEventKind, CallerText, ConversationState, DialogFailure, DialogReply, EndCause, Epoch, Now,
    Route, SentenceId, SessionData, SttFailure, Transcript, TtsFailure, TurnId, TurnTimings,
    UtteranceEnd, UtteranceId,
};

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum TurnInput {
    /// The call began and somebody can hear it.
    CallBegan,
    /// The caller speaks.
    SpeechStarted,
    /// The caller has been speaking long enough to interrupt.
    SpeechSustained,
    /// The caller finished an utterance, or it was cut at its limit.
    Utterance(UtteranceFacts),
    /// Nothing followed the utterance that was cut at its limit.
    SpeechEnded,
    /// The caller has held back for too long what the bot has to say.
    HoldExpired,
    /// The recogniser answered.
    Transcribed { utterance: UtteranceId, result: Result<Transcript, SttFailure> },
    /// The dialog platform answered.
    Replied { turn: TurnId, result: Result<DialogReply, DialogFailure> },
    /// A sentence has its audio, or the beginning of it, which has no length yet.
    SentenceReady { sentence: SentenceId, tts_ms: u64, audio_ms: Option<u64> },
    /// A sentence will have none.
    SentenceFailed { sentence: SentenceId, tts_ms: u64, failure: TtsFailure },
    /// A sentence ended before its time; this is how much of it was heard.
    SentenceBroken { cut: CutShort, tts_ms: u64, failure: TtsFailure },
    /// A sentence's first sample went out.
    SentenceStarted { sentence: SentenceId },
    /// A sentence was heard to its end.
    SentenceFinished { sentence: SentenceId },
    /// Playing stopped as asked; this is how far each sentence got.
    SpeakingStopped { epoch: Epoch, cuts: Vec<CutShort> },
    /// Nobody hears the bot any more, or only a leg that cannot speak.
    MediaLost { can_hear: bool },
    /// The caller is back.
    MediaResumed,
    /// The call cannot go on: say the fallback, then end.
    GiveUp { cause: EndCause },
}

/// What is known of an utterance besides its audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UtteranceFacts {
    /// Its number.
    pub utterance: UtteranceId,
    /// How long it lasts.
    pub audio_ms: u64,
    /// From the last speech heard to the decision that it was the last.
    pub end_of_speech_ms: u64,
    /// It was long enough to count as an interruption.
    pub sustained: bool,
    /// What closed it.
    pub end: UtteranceEnd,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum TurnOutput {
    /// Have the utterance recognised.
    Transcribe { utterance: UtteranceId },
    /// Forget the utterance's audio.
    Discard { utterance: UtteranceId },
    /// Ask the dialog platform.
    Ask { turn: TurnId, text: CallerText, session: SessionData },
    /// Synthesise and play after what is queued: the text, or the same as SSML.
    Speak {
        sentence: SentenceId,
        text: CallerText,
        ssml: Option<CallerText>,
        intent: Option<String>,
    },
    /// Fall silent at once and report how far each sentence got. Those that are queued are
    /// kept and begin anew.
    StopSpeaking { epoch: Epoch },
    /// Forget a sentence, whatever became of it.
    Drop { sentence: SentenceId },
    /// Do not begin this sentence or one behind it until told otherwise. `None`: go on.
    Hold { from: Option<SentenceId> },
    /// Tell the world.
    Tell { turn: Option<TurnId>, kind: CallEventKind },
    /// The call is over.
    End { cause: EndCause },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Turn {
    id: TurnId,
    /// What the caller said, utterance by utterance.
    parts: Vec<Part>,
    /// When the last utterance was complete.
    decided_at: Now,
    stage: Stage,
    timings: TurnTimings,
    /// The caller went on, and the route drops such answers.
    is_unwanted: bool,
    intent: Option<String>,
    confidence: Option<f32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    /// Not sent yet.
    Collecting,
    Thinking {
        since: Now,
    },
    Answering {
        since: Now,
    },
}

/// The conversation of one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    route: Arc<Route>,
    /// Turns not answered yet, oldest first.
    turns: VecDeque<Turn>,
    speech: BotSpeech,
    floor: Floor,
    /// The player was silenced and has not reported yet.
    stop: Option<Stop>,
    /// The caller interrupted; whether they meant it is not known yet.
    pause: Option<Pause>,
    /// Sentences that wait for the caller to come back.
    unheard: Vec<Sentence>,
    media_lost: bool,
    session: SessionData,
    epoch: Epoch,
    turn_last: TurnId,
    sentence_last: SentenceId,
    failures_in_a_row: u32,
    /// What the latest sentence was for that was heard.
    #[serde(default)]
    begun_last: Option<Passage>,
    /// The latest turn of which it was told that nothing was heard.
    #[serde(default)]
    unheard_last: Option<TurnId>,
    /// What the latest answered turn took.
    #[serde(default)]
    answered_last: Option<TurnTimings>,
    /// Sentences that could not be spoken and are told together.
    #[serde(default)]
    unspoken: Option<Unspoken>,
    /// The call ends with this once everything is said.
    ending: Option<EndCause>,
    ended: bool,
    #[serde(skip)]
    outputs: VecDeque<TurnOutput>,
}

impl Conversation {
    /// A conversation that has not begun.
    #[must_use]
    pub fn new(route: Arc<Route>) -> Self {
        Self {
            route,
            turns: VecDeque::new(),
            speech: BotSpeech::default(),
            floor: Floor::default(),
            stop: None,
            pause: None,
            unheard: Vec::new(),
            media_lost: false,
            session: SessionData::default(),
            epoch: Epoch::default(),
            turn_last: TurnId::default(),
            sentence_last: SentenceId::default(),
            failures_in_a_row: 0,
            begun_last: None,
            unheard_last: None,
            answered_last: None,
            unspoken: None,
            ending: None,
            ended: false,
            outputs: VecDeque::new(),
        }
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<TurnOutput> {
        self.outputs.pop_front()
    }

    /// Caller turns begun so far.
    #[must_use]
    pub fn turns_begun(&self) -> u32 {
        self.turn_last.0
    }

    /// The epoch of what is played now.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Why the call ends once everything is said, if it does.
    #[must_use]
    pub fn ending(&self) -> Option<EndCause> {
        self.ending
    }

    /// Sentences that are queued or played.
    #[must_use]
    pub fn sentences_queued(&self) -> usize {
        self.speech.len()
    }

    /// Caller turns not answered yet.
    #[must_use]
    pub fn turns_open(&self) -> usize {
        self.turns.len()
    }

    /// What the latest answered turn took.
    #[must_use]
    pub fn answered_last(&self) -> Option<TurnTimings> {
        self.answered_last
    }

    /// What the conversation is doing, for whoever looks at it.
    #[must_use]
    pub fn state(&self) -> ConversationState {
        let stage = |wanted: fn(&Stage) -> bool| self.turns.iter().any(|turn| wanted(&turn.stage));
        if self.speech.current().is_some() {
            ConversationState::Speaking
        } else if stage(|stage| matches!(stage, Stage::Thinking { .. })) {
            ConversationState::Thinking
        } else if stage(|stage| matches!(stage, Stage::Answering { .. })) {
            ConversationState::Answering
        } else if self.turns.is_empty() {
            ConversationState::Listening
        } else {
            ConversationState::Transcribing
        }
    }

    /// Takes in what happened. Outputs are to be drained afterwards.
    pub fn handle_input(&mut self, now: Now, input: TurnInput) {
        if self.ended {
            return;
        }
        match input {
            TurnInput::CallBegan => self.greet(),
            TurnInput::SpeechStarted => self.handle_speech_started(),
            TurnInput::SpeechSustained => self.handle_speech_sustained(),
            TurnInput::Utterance(facts) => self.handle_utterance(now, facts),
            TurnInput::SpeechEnded => self.handle_speech_ended(),
            TurnInput::HoldExpired => self.handle_hold_expired(),
            TurnInput::Transcribed { utterance, result } => {
                self.handle_transcript(now, utterance, result);
            }
            TurnInput::Replied { turn, result } => self.handle_reply(now, turn, result),
            TurnInput::SentenceReady { sentence, tts_ms, audio_ms } => {
                self.handle_sentence_ready(sentence, tts_ms, audio_ms);
            }
            TurnInput::SentenceFailed { sentence, tts_ms, failure } => {
                self.handle_sentence_failed(sentence, tts_ms, failure);
            }
            TurnInput::SentenceBroken { cut, tts_ms, failure } => {
                self.handle_sentence_broken(cut, tts_ms, failure);
            }
            TurnInput::SentenceStarted { sentence } => self.handle_started(now, sentence),
            TurnInput::SentenceFinished { sentence } => self.handle_finished(now, sentence),
            TurnInput::SpeakingStopped { epoch, cuts } => self.handle_stopped(epoch, &cuts),
            TurnInput::MediaLost { can_hear } => self.handle_media_lost(can_hear),
            TurnInput::MediaResumed => self.handle_media_resumed(),
            TurnInput::GiveUp { cause } => self.give_up(cause),
        }
        self.settle();
        self.resolve_pause();
        self.ask_next(now);
        self.update_hold(now);
        self.tell_unspoken_in_the_end();
        self.end_if_done();
    }
}

impl Conversation {
    fn tell(&mut self, turn: Option<TurnId>, kind: CallEventKind) {
        self.outputs.push_back(TurnOutput::Tell { turn, kind });
    }
}
