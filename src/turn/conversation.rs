//! The state machine: caller turns on one side, the bot's sentences on the other.
//!
//! A caller turn goes listening → transcribing → understood → thinking → answered.
//! Utterances are recognised as they come; turns are asked one at a time, in the
//! order they were spoken, so that the dialog platform sees one conversation.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::sentences::sentences;
use super::speech::{BotSpeech, CutShort, Purpose, Sentence, unheard_ms};
use crate::types::{
    CallEventKind, CallerText, DialogFailure, DialogReply, EndCause, Epoch, Now, Prompt, Route,
    SentenceId, SessionData, SttFailure, Transcript, TtsFailure, TurnId, TurnTimings, UtteranceId,
};

/// What happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "input", rename_all = "snake_case")]
pub enum TurnInput {
    /// The call began and somebody can hear it.
    CallBegan,
    /// The caller has been speaking long enough to interrupt.
    SpeechSustained,
    /// The caller finished an utterance.
    Utterance(UtteranceFacts),
    /// The recogniser answered.
    Transcribed { utterance: UtteranceId, result: Result<Transcript, SttFailure> },
    /// The dialog platform answered.
    Replied { turn: TurnId, result: Result<DialogReply, DialogFailure> },
    /// A sentence has its audio.
    SentenceReady { sentence: SentenceId, tts_ms: u64, audio_ms: u64 },
    /// A sentence will have none.
    SentenceFailed { sentence: SentenceId, tts_ms: u64, failure: TtsFailure },
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
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum TurnOutput {
    /// Have the utterance recognised.
    Transcribe { utterance: UtteranceId },
    /// Forget the utterance's audio.
    Discard { utterance: UtteranceId },
    /// Ask the dialog platform.
    Ask { turn: TurnId, text: CallerText, session: SessionData },
    /// Synthesise and play after what is queued.
    Speak { sentence: SentenceId, text: CallerText, intent: Option<String> },
    /// Stop playing, drop what is queued, and report how far it got.
    StopSpeaking { epoch: Epoch },
    /// Tell the world.
    Tell { turn: Option<TurnId>, kind: CallEventKind },
    /// The call is over.
    End { cause: EndCause },
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Turn {
    id: TurnId,
    facts: UtteranceFacts,
    /// When the utterance was complete.
    decided_at: Now,
    stage: Stage,
    timings: TurnTimings,
    intent: Option<String>,
    confidence: Option<f32>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
enum Stage {
    Transcribing,
    Understood { text: CallerText, at: Now },
    Thinking { since: Now },
    Answering { since: Now },
}

/// Bytes of one sample at the inner rate, for `audio_bytes` in events.
const BYTES_PER_MS: u64 = 32;

/// The conversation of one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    route: Arc<Route>,
    /// Turns not answered yet, oldest first.
    turns: VecDeque<Turn>,
    speech: BotSpeech,
    /// Sentences stopped in mid-play whose report is awaited, and what for.
    cut: Option<Cut>,
    /// Sentences that wait for the caller to come back.
    unheard: Vec<Sentence>,
    media_lost: bool,
    session: SessionData,
    epoch: Epoch,
    turn_last: TurnId,
    sentence_last: SentenceId,
    failures_in_a_row: u32,
    /// The call ends with this once everything is said.
    ending: Option<EndCause>,
    ended: bool,
    #[serde(skip)]
    outputs: VecDeque<TurnOutput>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Cut {
    epoch: Epoch,
    sentences: Vec<Sentence>,
    by_caller: bool,
}

impl Conversation {
    /// A conversation that has not begun.
    #[must_use]
    pub fn new(route: Arc<Route>) -> Self {
        Self {
            route,
            turns: VecDeque::new(),
            speech: BotSpeech::default(),
            cut: None,
            unheard: Vec::new(),
            media_lost: false,
            session: SessionData::default(),
            epoch: Epoch::default(),
            turn_last: TurnId::default(),
            sentence_last: SentenceId::default(),
            failures_in_a_row: 0,
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

    /// The stop that is still to be reported, if any: a new player must be told again.
    #[must_use]
    pub fn stop_pending(&self) -> Option<Epoch> {
        self.cut.as_ref().map(|cut| cut.epoch)
    }

    /// Takes in what happened. Outputs are to be drained afterwards.
    pub fn handle_input(&mut self, now: Now, input: TurnInput) {
        if self.ended {
            return;
        }
        match input {
            TurnInput::CallBegan => self.greet(),
            TurnInput::SpeechSustained => self.interrupt(),
            TurnInput::Utterance(facts) => self.handle_utterance(now, facts),
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
            TurnInput::SentenceStarted { sentence } => self.handle_started(now, sentence),
            TurnInput::SentenceFinished { sentence } => self.handle_finished(sentence),
            TurnInput::SpeakingStopped { epoch, cuts } => self.handle_stopped(epoch, &cuts),
            TurnInput::MediaLost { can_hear } => self.handle_media_lost(can_hear),
            TurnInput::MediaResumed => self.handle_media_resumed(),
            TurnInput::GiveUp { cause } => self.give_up(cause),
        }
        self.ask_next(now);
        self.end_if_done();
    }
}

// === The caller's side ===

impl Conversation {
    fn handle_utterance(&mut self, now: Now, facts: UtteranceFacts) {
        let utterance = facts.utterance;
        if self.ending.is_some() || self.falls_into_speech(facts) {
            self.outputs.push_back(TurnOutput::Discard { utterance });
            self.tell(None, CallEventKind::UtteranceIgnored { utterance });
            return;
        }
        self.make_room();
        self.turn_last = self.turn_last.next();
        self.turns.push_back(Turn {
            id: self.turn_last,
            facts,
            decided_at: now,
            stage: Stage::Transcribing,
            timings: TurnTimings {
                end_of_speech_ms: facts.end_of_speech_ms,
                ..TurnTimings::default()
            },
            intent: None,
            confidence: None,
        });
        self.outputs.push_back(TurnOutput::Transcribe { utterance });
    }

    /// Speech over a prompt that may not be interrupted, or too short to interrupt.
    fn falls_into_speech(&self, facts: UtteranceFacts) -> bool {
        self.speech.playing().is_some_and(|playing| !playing.interruptible || !facts.sustained)
    }

    /// Gives up the oldest turn that was not asked yet when too many wait.
    fn make_room(&mut self) {
        let waiting_max = self.route.turns.waiting_turns_max as usize;
        let unasked =
            |turn: &Turn| matches!(turn.stage, Stage::Transcribing | Stage::Understood { .. });
        if self.turns.iter().filter(|turn| unasked(turn)).count() < waiting_max {
            return;
        }
        let Some(at) = self.turns.iter().position(unasked) else { return };
        if let Some(turn) = self.turns.remove(at) {
            self.tell(Some(turn.id), CallEventKind::TurnAbandoned { turn: turn.id });
        }
    }

    fn handle_transcript(
        &mut self,
        now: Now,
        utterance: UtteranceId,
        result: Result<Transcript, SttFailure>,
    ) {
        let is_it = |turn: &&mut Turn| {
            turn.facts.utterance == utterance && matches!(turn.stage, Stage::Transcribing)
        };
        let Some(turn) = self.turns.iter_mut().find(is_it) else { return };
        let id = turn.id;
        let stt_ms = now.ms_since(turn.decided_at);
        let audio_bytes = turn.facts.audio_ms * BYTES_PER_MS;
        turn.timings.stt_ms = stt_ms;
        let kind = match result {
            Ok(Transcript::Final { text, confidence }) => {
                turn.stage = Stage::Understood { text: text.clone(), at: now };
                CallEventKind::Transcribed { text, confidence, stt_ms, audio_bytes }
            }
            Ok(Transcript::NoMatch) => CallEventKind::NotUnderstood { stt_ms, audio_bytes },
            Err(failure) => CallEventKind::SttFailed { failure, stt_ms },
        };
        let outcome = match &kind {
            CallEventKind::NotUnderstood { .. } => Some(Purpose::NoMatch),
            CallEventKind::SttFailed { .. } => Some(Purpose::TurnFailed),
            _ => None,
        };
        self.tell(Some(id), kind);
        if let Some(purpose) = outcome {
            self.close_turn(id);
            self.apologise(purpose, id);
        }
    }

    /// Asks the platform the oldest turn, once it is understood and no other is being asked.
    fn ask_next(&mut self, now: Now) {
        if self.ending.is_some() {
            return;
        }
        let Some(turn) =
            self.turns.iter_mut().find(|turn| !matches!(turn.stage, Stage::Answering { .. }))
        else {
            return;
        };
        let Stage::Understood { text, .. } = &turn.stage else { return };
        let text = text.clone();
        turn.stage = Stage::Thinking { since: now };
        let (turn, session) = (turn.id, self.session.clone());
        self.outputs.push_back(TurnOutput::Ask { turn, text, session });
    }

    fn close_turn(&mut self, id: TurnId) {
        self.turns.retain(|turn| turn.id != id);
    }
}

// === The platform's side ===

impl Conversation {
    fn handle_reply(&mut self, now: Now, id: TurnId, result: Result<DialogReply, DialogFailure>) {
        let Some(turn) = self.turns.iter_mut().find(|turn| turn.id == id) else { return };
        let Stage::Thinking { since } = turn.stage else { return };
        let dialog_ms = now.ms_since(since);
        turn.timings.dialog_ms = dialog_ms;
        match result {
            Ok(reply) => {
                turn.stage = Stage::Answering { since: now };
                turn.intent.clone_from(&reply.intent);
                turn.confidence = reply.confidence;
                self.failures_in_a_row = 0;
                self.tell(Some(id), replied(&reply, dialog_ms));
                self.speak_reply(id, reply);
            }
            Err(failure) => {
                let fatal = failure.ends_dialog();
                self.close_turn(id);
                self.tell(Some(id), CallEventKind::DialogFailed { failure, dialog_ms });
                if fatal {
                    self.give_up(EndCause::DialogUnauthorized);
                } else {
                    self.apologise(Purpose::TurnFailed, id);
                }
            }
        }
    }

    fn speak_reply(&mut self, turn: TurnId, reply: DialogReply) {
        self.session = reply.session;
        for output in &reply.outputs {
            let interruptible = output.interruptible.unwrap_or(self.route.turns.interruptible);
            for text in sentences(output.text.expose()) {
                self.say(text, Some(turn), reply.intent.clone(), interruptible, Purpose::Reply);
            }
        }
        if reply.end_call {
            self.ending = Some(EndCause::DialogEnded);
        }
        if !self.speech.has_more_of(Some(turn)) && !self.media_lost {
            self.close_turn(turn);
        }
    }
}

fn replied(reply: &DialogReply, dialog_ms: u64) -> CallEventKind {
    let texts: Vec<&str> =
        reply.outputs.iter().map(|output| output.text.expose().as_str()).collect();
    CallEventKind::DialogReplied {
        text: CallerText::new(texts.join(" ")),
        intent: reply.intent.clone(),
        confidence: reply.confidence,
        next_state: reply.next_state.clone(),
        dialog_ms,
    }
}

// === The bot's side ===

impl Conversation {
    fn greet(&mut self) {
        if let Some(prompt) = self.route.prompts.greeting.clone() {
            self.say_prompt(&prompt, None, Purpose::Greeting);
        }
    }

    /// Says that a turn led to nothing; gives up after too many failures in a row.
    fn apologise(&mut self, purpose: Purpose, turn: TurnId) {
        if purpose == Purpose::TurnFailed && self.counts_as_last_failure() {
            self.give_up(EndCause::TurnsFailed);
            return;
        }
        let prompts = &self.route.prompts;
        let prompt =
            if purpose == Purpose::NoMatch { &prompts.no_match } else { &prompts.turn_failed };
        self.say_prompt(&prompt.clone(), Some(turn), purpose);
    }

    fn counts_as_last_failure(&mut self) -> bool {
        self.failures_in_a_row += 1;
        self.failures_in_a_row >= self.route.turns.failures_max
    }

    fn say_prompt(&mut self, prompt: &Prompt, turn: Option<TurnId>, purpose: Purpose) {
        let interruptible = prompt.interruptible.unwrap_or(self.route.turns.interruptible);
        for text in sentences(&prompt.text) {
            let intent = purpose.as_intent().map(str::to_owned);
            self.say(text, turn, intent, interruptible, purpose);
        }
    }

    fn say(
        &mut self,
        text: &str,
        turn: Option<TurnId>,
        intent: Option<String>,
        interruptible: bool,
        purpose: Purpose,
    ) {
        self.sentence_last = self.sentence_last.next();
        let sentence = Sentence {
            id: self.sentence_last,
            turn,
            text: text.into(),
            intent,
            interruptible,
            purpose,
            started: false,
        };
        if self.media_lost && purpose != Purpose::Fallback {
            self.unheard.push(sentence);
        } else {
            self.queue_sentence(sentence);
        }
    }

    fn queue_sentence(&mut self, sentence: Sentence) {
        self.outputs.push_back(TurnOutput::Speak {
            sentence: sentence.id,
            text: sentence.text.clone(),
            intent: sentence.intent.clone(),
        });
        self.speech.push(sentence);
    }

    fn handle_sentence_ready(&mut self, sentence: SentenceId, tts_ms: u64, audio_ms: u64) {
        let Some(turn) = self.speech.get(sentence).map(|sentence| sentence.turn) else { return };
        self.tell(turn, CallEventKind::SentenceSynthesized { sentence, tts_ms, audio_ms });
    }

    fn handle_sentence_failed(&mut self, id: SentenceId, tts_ms: u64, failure: TtsFailure) {
        let Some(sentence) = self.speech.remove(id) else { return };
        self.tell(sentence.turn, CallEventKind::TtsFailed { sentence: id, failure, tts_ms });
        let answering = |turn: &Turn| {
            Some(turn.id) == sentence.turn && matches!(turn.stage, Stage::Answering { .. })
        };
        let unanswered = self.turns.iter().any(answering);
        if self.speech.has_more_of(sentence.turn) || sentence.purpose == Purpose::Fallback {
            return;
        }
        if let Some(turn) = sentence.turn.filter(|_| unanswered) {
            self.close_turn(turn);
            self.apologise(Purpose::TurnFailed, turn);
        } else if sentence.purpose != Purpose::Reply && self.counts_as_last_failure() {
            self.give_up(EndCause::TurnsFailed);
        }
        self.stop_turn_if_silent();
    }

    fn handle_started(&mut self, now: Now, id: SentenceId) {
        let Some(sentence) = self.speech.start(id) else { return };
        let (turn, purpose) = (sentence.turn, sentence.purpose);
        match purpose {
            Purpose::Reply => self.tell_answered(now, turn),
            Purpose::Fallback => self.tell(turn, CallEventKind::FallbackPlayed {}),
            Purpose::Greeting | Purpose::NoMatch | Purpose::TurnFailed => {}
        }
    }

    fn tell_answered(&mut self, now: Now, id: Option<TurnId>) {
        let Some(at) = self.turns.iter().position(|turn| Some(turn.id) == id) else { return };
        let Some(mut turn) = self.turns.remove(at) else { return };
        if let Stage::Answering { since } = turn.stage {
            turn.timings.tts_ms = now.ms_since(since);
        }
        turn.timings.response_ms = now.ms_since(turn.decided_at);
        let kind = CallEventKind::TurnAnswered {
            intent: turn.intent,
            confidence: turn.confidence,
            timings: turn.timings,
        };
        self.tell(Some(turn.id), kind);
    }

    fn handle_finished(&mut self, id: SentenceId) {
        if self.speech.finish(id).is_some() {
            self.stop_turn_if_silent();
        }
    }

    fn stop_turn_if_silent(&mut self) {
        if self.speech.is_silent() {
            let heard = self.speech.take_heard();
            self.tell(None, CallEventKind::BotTurnStopped { heard });
        }
    }
}

// === Interruption, loss, end ===

impl Conversation {
    fn interrupt(&mut self) {
        let playing = self.speech.playing();
        if self.ending.is_none() && playing.is_some_and(|sentence| sentence.interruptible) {
            self.stop_speaking(true);
        }
    }

    fn stop_speaking(&mut self, by_caller: bool) {
        let sentences = self.speech.take_all();
        if by_caller {
            // Turns whose answer will not be heard are over.
            self.turns.retain(|turn| !matches!(turn.stage, Stage::Answering { .. }));
        }
        self.epoch = self.epoch.next();
        let mut sentences = sentences;
        if let Some(before) = self.cut.take() {
            sentences.splice(0..0, before.sentences);
        }
        self.cut = Some(Cut { epoch: self.epoch, sentences, by_caller });
        self.outputs.push_back(TurnOutput::StopSpeaking { epoch: self.epoch });
    }

    fn handle_stopped(&mut self, epoch: Epoch, cuts: &[CutShort]) {
        if self.cut.as_ref().is_none_or(|cut| cut.epoch != epoch) {
            return;
        }
        let Some(cut) = self.cut.take() else { return };
        let mut unheard = Vec::new();
        for sentence in cut.sentences {
            match cuts.iter().find(|cut| cut.sentence == sentence.id) {
                Some(&part) if cut.by_caller => self.speech.add_heard_part(&sentence, part),
                _ => unheard.push(sentence),
            }
        }
        if cut.by_caller {
            let heard = self.speech.take_heard();
            let unheard_ms = unheard_ms(cuts);
            self.tell(None, CallEventKind::Interruption { epoch, heard, unheard_ms });
        } else {
            self.keep_unheard(unheard);
        }
    }

    /// Keeps for a caller who comes back what a lost connection cut off.
    fn keep_unheard(&mut self, mut sentences: Vec<Sentence>) {
        if self.gives_up() {
            return;
        }
        sentences.retain(|sentence| sentence.purpose != Purpose::Fallback);
        self.unheard.splice(0..0, sentences);
        if !self.media_lost {
            self.speak_unheard();
        }
    }

    fn gives_up(&self) -> bool {
        self.ending.is_some_and(|ending| ending != EndCause::DialogEnded)
    }

    fn handle_media_lost(&mut self, can_hear: bool) {
        if self.media_lost {
            return;
        }
        self.media_lost = true;
        self.stop_speaking(false);
        if can_hear {
            self.say_prompt(&self.route.prompts.fallback.clone(), None, Purpose::Fallback);
        }
    }

    fn handle_media_resumed(&mut self) {
        self.media_lost = false;
        if self.cut.is_none() {
            self.speak_unheard();
        }
    }

    /// Says again, from its beginning, what was not heard to its end.
    fn speak_unheard(&mut self) {
        for mut sentence in std::mem::take(&mut self.unheard) {
            self.sentence_last = self.sentence_last.next();
            sentence.id = self.sentence_last;
            sentence.started = false;
            self.queue_sentence(sentence);
        }
    }

    fn give_up(&mut self, cause: EndCause) {
        if self.gives_up() {
            return;
        }
        self.ending = Some(cause);
        self.turns.clear();
        self.unheard.clear();
        if !self.speech.is_silent() {
            self.stop_speaking(false);
        }
        if !self.media_lost {
            self.say_prompt(&self.route.prompts.fallback.clone(), None, Purpose::Fallback);
        }
    }

    fn end_if_done(&mut self) {
        let Some(cause) = self.ending else { return };
        if self.speech.is_silent() && self.unheard.is_empty() {
            self.ended = true;
            self.outputs.push_back(TurnOutput::End { cause });
        }
    }

    fn tell(&mut self, turn: Option<TurnId>, kind: CallEventKind) {
        self.outputs.push_back(TurnOutput::Tell { turn, kind });
    }
}
