//! The core of a call: inputs in, outputs and a wake-up time out.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::parts::{AudioProgress, Job};
use super::repeated::RepeatedFacts;
use super::timers::{CallTimer, TimerTable};
use crate::resilience::RestartBudget;
use crate::turn::{Conversation, TurnInput, TurnOutput};
use crate::types::{
    CallEvent, CallEventKind, CallSnapshot, CallState, CallerText, ChildKind, ChildSnapshot,
    DialogFailure, EndCause, Epoch, ExitReason, Generation, LegId, MediaTime, Now, RingFill, Route,
    SentenceId, SessionData, SttFailure, TtsFailure, TurnId, UtteranceId,
};

/// How much longer than its service a deadline of the call waits, so that the
/// service's own, more precise failure comes first.
const DEADLINE_GRACE_MS: u32 = 1_000;

/// How long a sentence may take to be made once its first audio is there: no longer than
/// it takes to be said, by a synthesiser that streams in real time.
const SENTENCE_STREAM_MS_MAX: u32 = 30_000;

/// How much longer than speech takes to be noticed it may stay away behind an utterance that
/// was cut at its limit.
const SPEECH_GOES_ON_GRACE_MS: u32 = 250;

/// Longest time for saying what is left when a call ends by itself.
const FAREWELL_MS_MAX: u32 = 30_000;

/// Everything that can happen to a call.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum CallInput {
    /// A media connection was made: the first one, or a new one after a loss.
    LegAttached { leg: LegId, transport: String },
    /// The media connection was lost. `can_hear`: its way to the caller still stands.
    LegLost { leg: LegId, can_hear: bool },
    /// The call is to end now.
    HungUp { cause: EndCause },
    /// Speech began.
    SpeechStarted { at: MediaTime },
    /// Turn taking.
    Turn { turn: TurnInput },
    /// A child ended.
    ChildExited { child: ChildKind, generation: Generation, reason: ExitReason },
    /// A fact that only has to be told.
    Noted { fact: CallEventKind },
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum CallOutput {
    /// Start a child. A child of an older generation is gone.
    StartChild { child: ChildKind, generation: Generation },
    /// Stop a child; its exit will have a new one started.
    StopChild { child: ChildKind },
    /// Have the utterance recognised.
    Transcribe { utterance: UtteranceId },
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
    /// Do not begin this sentence or one behind it until told otherwise. `None`: go on.
    HoldSpeaking { from: Option<SentenceId> },
    /// Nobody waits for this any more, nor for what came of it.
    Abandon { job: Job },
    /// Tell the world.
    Tell(CallEvent),
    /// The call is over; nothing follows.
    End { cause: EndCause },
}

/// The state of one call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CallCore {
    route: Arc<Route>,
    conversation: Conversation,
    children: BTreeMap<ChildKind, Child>,
    timers: TimerTable,
    started_at: Now,
    leg: Option<LegId>,
    lost_at: Option<Now>,
    audio: AudioProgress,
    events_told: u64,
    #[serde(default)]
    repeated: RepeatedFacts,
    ended: bool,
    #[serde(skip)]
    outputs: VecDeque<CallOutput>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Child {
    generation: Generation,
    budget: RestartBudget,
    /// Times it failed and was replaced.
    #[serde(default)]
    restarts: u32,
    /// It was told to stop, so that its successor works with another connection.
    replacing: bool,
}

impl CallCore {
    /// A call that was admitted at `now`. Its children are the first outputs,
    /// from the sink to the source.
    #[must_use]
    pub fn new(now: Now, route: Arc<Route>) -> Self {
        let child = || Child {
            generation: Generation(1),
            budget: RestartBudget::new(route.restarts),
            restarts: 0,
            replacing: false,
        };
        let mut core = Self {
            conversation: Conversation::new(Arc::clone(&route)),
            children: ChildKind::ALL.into_iter().map(|kind| (kind, child())).collect(),
            route,
            timers: TimerTable::default(),
            started_at: now,
            leg: None,
            lost_at: None,
            audio: AudioProgress::default(),
            events_told: 0,
            repeated: RepeatedFacts::default(),
            ended: false,
            outputs: VecDeque::new(),
        };
        for child in ChildKind::ALL.into_iter().rev() {
            core.outputs.push_back(CallOutput::StartChild { child, generation: Generation(1) });
        }
        core
    }

    /// The settings of this call.
    #[must_use]
    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// The generation of a child; messages of another one are stale.
    #[must_use]
    pub fn generation(&self, child: ChildKind) -> Generation {
        self.children.get(&child).map_or(Generation(0), |child| child.generation)
    }

    /// The current epoch of what is played.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.conversation.epoch()
    }

    /// Whether the call is over.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        self.ended
    }

    /// What can be seen of the call; its rings are the shell's to fill in.
    #[must_use]
    pub fn snapshot(&self) -> CallSnapshot {
        let children = self.children.iter().map(|(&child, life)| ChildSnapshot {
            child,
            generation: life.generation,
            restarts: life.restarts,
        });
        CallSnapshot {
            state: match (self.ended || self.conversation.ending().is_some(), self.lost_at) {
                (true, _) => CallState::Ending,
                (false, Some(_)) => CallState::Away,
                (false, None) => CallState::Running,
            },
            conversation: self.conversation.state(),
            route: self.route.name.clone(),
            leg: self.leg,
            turn: TurnId(self.conversation.turns_begun()),
            turns_open: self.conversation.turns_open(),
            sentences_queued: self.conversation.sentences_queued(),
            epoch: self.conversation.epoch(),
            audio_ms: self.audio.at.as_ms(),
            audio_bytes: self.audio.bytes,
            last_turn: self.conversation.answered_last(),
            children: children.collect(),
            rings: RingFill::default(),
        }
    }

    /// Takes note of the caller's audio; events carry it.
    pub fn set_audio_progress(&mut self, audio: AudioProgress) {
        self.audio = audio;
    }

    /// The next thing to do, until there is none.
    pub fn poll_output(&mut self) -> Option<CallOutput> {
        self.outputs.pop_front()
    }

    /// When [`CallCore::handle_timeout`] is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        self.timers.next_timeout().map(|(_, at)| at).filter(|_| !self.ended)
    }

    /// Takes in what happened. Outputs are to be drained afterwards.
    pub fn handle_input(&mut self, now: Now, input: CallInput) {
        if self.ended {
            return;
        }
        match input {
            CallInput::LegAttached { leg, transport } => self.attach_leg(now, leg, transport),
            CallInput::LegLost { leg, can_hear } => self.lose_leg(now, leg, can_hear),
            CallInput::HungUp { cause } => self.end(now, cause),
            CallInput::SpeechStarted { at } => {
                self.tell(None, CallEventKind::SpeechStarted { at });
                self.handle_turn(now, TurnInput::SpeechStarted);
            }
            CallInput::Turn { turn } => self.handle_turn(now, turn),
            CallInput::ChildExited { child, generation, reason } => {
                self.handle_child_exit(now, child, generation, reason);
            }
            CallInput::Noted { fact } => self.note(now, fact),
        }
    }

    /// Acts on every timer that is due.
    pub fn handle_timeout(&mut self, now: Now) {
        while !self.ended {
            let Some(timer) = self.timers.expire(now) else { return };
            self.handle_timer(now, timer);
        }
    }
}

// === Legs ===

impl CallCore {
    fn attach_leg(&mut self, now: Now, leg: LegId, transport: String) {
        self.leg = Some(leg);
        self.timers.stop(CallTimer::ReconnectWindow);
        if let Some(lost_at) = self.lost_at.take() {
            let away_ms = now.ms_since(lost_at);
            self.tell(None, CallEventKind::MediaResumed { leg, away_ms });
            self.replace_media_children();
            self.handle_turn(now, TurnInput::MediaResumed);
        } else if self.events_told == 0 {
            let route = self.route.name.clone();
            let detector = self.route.listening.detector;
            self.tell(None, CallEventKind::CallStarted { route, transport, detector });
            self.handle_turn(now, TurnInput::CallBegan);
        }
    }

    /// Those that hold an end of the old connection's rings.
    fn replace_media_children(&mut self) {
        for kind in [ChildKind::Ingest, ChildKind::Tts] {
            if let Some(child) = self.children.get_mut(&kind) {
                child.replacing = true;
                self.outputs.push_back(CallOutput::StopChild { child: kind });
            }
        }
    }

    fn lose_leg(&mut self, now: Now, leg: LegId, can_hear: bool) {
        if self.leg != Some(leg) || self.lost_at.is_some() {
            return;
        }
        self.lost_at = Some(now);
        self.timers.set(CallTimer::ReconnectWindow, now.plus_ms(self.route.turns.reconnect_ms_max));
        self.tell(None, CallEventKind::MediaLost { leg });
        self.handle_turn(now, TurnInput::MediaLost { can_hear });
    }

    fn end(&mut self, now: Now, cause: EndCause) {
        self.ended = true;
        self.tell_repeated(now);
        let unspoken = self.conversation.take_unspoken();
        unspoken.into_iter().for_each(|(turn, kind)| self.tell(turn, kind));
        self.tell(
            None,
            CallEventKind::CallEnded {
                cause,
                duration_ms: now.ms_since(self.started_at),
                audio_bytes: self.audio.bytes,
                turns: self.conversation.turns_begun(),
            },
        );
        self.outputs.push_back(CallOutput::End { cause });
    }
}

// === Turns ===

impl CallCore {
    fn handle_turn(&mut self, now: Now, input: TurnInput) {
        self.note_utterance(&input);
        self.stop_timer_of(&input);
        self.conversation.handle_input(now, input);
        while let Some(output) = self.conversation.poll_output() {
            self.carry_out(now, output);
        }
        if self.conversation.ending().is_some() && !self.timers.is_set(CallTimer::Farewell) {
            self.timers.set(CallTimer::Farewell, now.plus_ms(FAREWELL_MS_MAX));
        }
        let hold_ms_max = self.route.turns.hold_ms_max;
        self.keep_timer(now, CallTimer::HoldLimit, self.conversation.holds(), hold_ms_max);
        let expects_more = self.conversation.expects_more_speech();
        let more_ms_max = self.route.listening.speech_ms_min + SPEECH_GOES_ON_GRACE_MS;
        self.keep_timer(now, CallTimer::SpeechGoesOn, expects_more, more_ms_max);
    }

    /// Arms `timer` when its reason comes up, and disarms it when that is gone.
    fn keep_timer(&mut self, now: Now, timer: CallTimer, has_reason: bool, ms: u32) {
        match (has_reason, self.timers.is_set(timer)) {
            (true, false) => self.timers.set(timer, now.plus_ms(ms)),
            (false, true) => self.timers.stop(timer),
            _ => {}
        }
    }

    fn note_utterance(&mut self, input: &TurnInput) {
        if let TurnInput::Utterance(facts) = input {
            self.tell(
                None,
                CallEventKind::UtteranceSegmented {
                    utterance: facts.utterance,
                    speech_ms: facts.audio_ms,
                    end_of_speech_ms: facts.end_of_speech_ms,
                    at: self.audio.at,
                    end: facts.end,
                },
            );
        }
    }

    fn stop_timer_of(&mut self, input: &TurnInput) {
        match *input {
            TurnInput::Transcribed { utterance, .. } => {
                self.timers.stop(CallTimer::SttDeadline(utterance));
            }
            TurnInput::Replied { turn, .. } => {
                self.timers.stop(CallTimer::DialogDeadline(turn));
            }
            TurnInput::SentenceReady { sentence, .. }
            | TurnInput::SentenceFailed { sentence, .. } => {
                self.timers.stop(CallTimer::SentenceDeadline(sentence));
            }
            _ => {}
        }
    }

    fn carry_out(&mut self, now: Now, output: TurnOutput) {
        if self.ended {
            return;
        }
        let turns = &self.route.turns;
        let due = |wait_ms: u32| now.plus_ms(wait_ms.saturating_add(DEADLINE_GRACE_MS));
        let output = match output {
            TurnOutput::Transcribe { utterance } => {
                self.timers.set(CallTimer::SttDeadline(utterance), due(turns.stt_ms_max));
                CallOutput::Transcribe { utterance }
            }
            TurnOutput::Discard { utterance } => {
                self.timers.stop(CallTimer::SttDeadline(utterance));
                CallOutput::Abandon { job: Job::Utterance(utterance) }
            }
            TurnOutput::Ask { turn, text, session } => {
                self.timers.set(CallTimer::DialogDeadline(turn), due(turns.dialog_ms_max));
                CallOutput::Ask { turn, text, session }
            }
            TurnOutput::Speak { sentence, text, ssml, intent } => {
                let wait_ms = self.sentence_ms_max();
                self.timers.set(CallTimer::SentenceDeadline(sentence), due(wait_ms));
                CallOutput::Speak { sentence, text, ssml, intent }
            }
            TurnOutput::StopSpeaking { epoch } => CallOutput::StopSpeaking { epoch },
            TurnOutput::Drop { sentence } => {
                self.timers.stop(CallTimer::SentenceDeadline(sentence));
                CallOutput::Abandon { job: Job::Sentence(sentence) }
            }
            TurnOutput::Hold { from } => CallOutput::HoldSpeaking { from },
            TurnOutput::Tell { turn, kind } => return self.tell(turn, kind),
            TurnOutput::End { cause } => return self.end(now, cause),
        };
        self.outputs.push_back(output);
    }

    /// Longest time for the first audio of the sentence that was queued last: those before
    /// it are made first, one after the other and to their ends.
    fn sentence_ms_max(&self) -> u32 {
        let before = self.conversation.sentences_queued().saturating_sub(1);
        let before = u32::try_from(before).unwrap_or(u32::MAX);
        let first_ms = self.route.turns.tts_ms_max;
        let each_ms = first_ms.saturating_add(SENTENCE_STREAM_MS_MAX);
        each_ms.saturating_mul(before).saturating_add(first_ms)
    }

    fn note(&mut self, now: Now, fact: CallEventKind) {
        if let Some(fact) = self.repeated.take(now, fact) {
            self.tell(None, fact);
        }
        if let Some(due) = self.repeated.due() {
            self.timers.set(CallTimer::RepeatedFacts, due);
        }
    }

    fn tell_repeated(&mut self, now: Now) {
        for fact in self.repeated.release(now) {
            self.tell(None, fact);
        }
    }

    fn tell(&mut self, turn: Option<TurnId>, kind: CallEventKind) {
        self.events_told += 1;
        let event = CallEvent { sequence: self.events_told, turn, audio_at: self.audio.at, kind };
        self.outputs.push_back(CallOutput::Tell(event));
    }
}

// === Timers and children ===

impl CallCore {
    fn handle_timer(&mut self, now: Now, timer: CallTimer) {
        match timer {
            CallTimer::SttDeadline(utterance) => {
                self.abandon(Job::Utterance(utterance));
                let result = Err(SttFailure::Timeout);
                self.handle_turn(now, TurnInput::Transcribed { utterance, result });
            }
            CallTimer::DialogDeadline(turn) => {
                self.abandon(Job::Turn(turn));
                let result = Err(DialogFailure::Timeout);
                self.handle_turn(now, TurnInput::Replied { turn, result });
            }
            CallTimer::SentenceDeadline(sentence) => {
                self.abandon(Job::Sentence(sentence));
                let (tts_ms, failure) =
                    (u64::from(self.route.turns.tts_ms_max), TtsFailure::Timeout);
                self.handle_turn(now, TurnInput::SentenceFailed { sentence, tts_ms, failure });
            }
            CallTimer::HoldLimit => self.handle_turn(now, TurnInput::HoldExpired),
            CallTimer::SpeechGoesOn => self.handle_turn(now, TurnInput::SpeechEnded),
            CallTimer::ReconnectWindow => self.end(now, EndCause::MediaLost),
            CallTimer::RepeatedFacts => self.tell_repeated(now),
            CallTimer::Farewell => {
                self.end(now, self.conversation.ending().unwrap_or(EndCause::TurnsFailed));
            }
        }
    }

    fn abandon(&mut self, job: Job) {
        self.outputs.push_back(CallOutput::Abandon { job });
    }

    fn handle_child_exit(
        &mut self,
        now: Now,
        kind: ChildKind,
        generation: Generation,
        reason: ExitReason,
    ) {
        let Some(child) = self.children.get_mut(&kind) else { return };
        if child.generation != generation {
            return;
        }
        let generation = generation.next();
        let replaced = std::mem::take(&mut child.replacing);
        if !replaced && !child.budget.spend(now) {
            return self.give_up_on(now, kind);
        }
        child.generation = generation;
        if !replaced {
            child.restarts += 1;
            self.tell(None, CallEventKind::ChildRestarted { child: kind, generation, reason });
        }
        self.outputs.push_back(CallOutput::StartChild { child: kind, generation });
    }

    /// A child cannot be kept alive. Without a voice there is no fallback to say.
    fn give_up_on(&mut self, now: Now, child: ChildKind) {
        self.tell(None, CallEventKind::RestartLimitReached { child });
        if child == ChildKind::Tts {
            self.end(now, EndCause::RestartLimit);
        } else {
            self.handle_turn(now, TurnInput::GiveUp { cause: EndCause::RestartLimit });
        }
    }
}
