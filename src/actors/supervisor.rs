//! CallSupervisor: one call. It owns the children, keeps what they need to be
//! started again, drives the call's core, and carries out what the core says.
//!
//! It makes no decision about speech, turns or restarts; those are the core's.

mod hearing;

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, ActorContext, Addr, Context, Handler, Recipient, WeakRecipient};

use self::hearing::Hearing;
use super::children::{Birth, Children, Keep};
use super::driver::{CallPulses, Driver, Registration};
use super::epilogue::Epilogue;
use super::kit::{CallKit, CallSpec};
use super::leg::{CommandSender, LegEnds, LegShared, Signals};
use super::link::LegCommand;
use super::messages::{ChildExited, ChildReport, Report};
use super::pulse::{Driven, Pulse, start_driving};
use super::tts::SentenceRequest;
use crate::call::{AudioProgress, CallCore, CallInput, CallOutput, Job};
use crate::services::TtsRequest;
use crate::telemetry::CallScope;
use crate::turn::TurnInput;
use crate::types::{
    Asked, CallEvent, CallEventKind, CallSnapshot, CallerText, ChildKind, DialogFailure,
    DialogRequest, ExitReason, Generation, INNER_RATE, Now, SentenceId, SessionData, TraceParent,
    TtsFailure, TurnId, UtteranceEnd,
};

/// Reports waiting for the supervisor; children keep what does not fit.
const MAILBOX_MAX: usize = 64;

/// The actor.
pub struct CallSupervisor {
    spec: CallSpec,
    kit: CallKit,
    scope: CallScope,
    /// Tells the end if this actor cannot.
    epilogue: Rc<Epilogue>,
    core: CallCore,
    keep: Keep,
    children: Children,
    /// The children's ways to this actor.
    reports: Recipient<ChildReport>,
    exits: WeakRecipient<ChildExited>,
    pulses: Rc<CallPulses>,
    /// Keeps the thread's driver looking after this call.
    _registration: Registration,
    leg: Arc<LegShared>,
    commands: CommandSender,
    hearing: Hearing,
    /// Bytes received on earlier legs.
    bytes_before: u64,
}

impl CallSupervisor {
    /// Starts a call on the current thread. `on_exit` is called when it is over.
    pub(super) fn start(
        spec: CallSpec,
        kit: CallKit,
        ends: LegEnds,
        driver: &Rc<Driver>,
        on_exit: impl FnOnce(ExitReason) + 'static,
    ) {
        let epilogue = Epilogue::new(
            kit.clock,
            &kit.telemetry,
            scope_of(&spec, &ends.shared),
            Arc::clone(&ends.shared),
            ends.commands.clone(),
        );
        let last = Rc::clone(&epilogue);
        super::kernel::spawn_watched(
            MAILBOX_MAX,
            |address| Self::new(spec, kit, ends, driver, epilogue, address),
            move |reason| {
                last.supervisor_ended(&reason);
                on_exit(reason);
            },
        );
    }

    fn new(
        spec: CallSpec,
        kit: CallKit,
        ends: LegEnds,
        driver: &Rc<Driver>,
        epilogue: Rc<Epilogue>,
        address: &Addr<Self>,
    ) -> Self {
        sabotage!("supervisor.new");
        let leg = Arc::clone(&ends.shared);
        let commands = ends.commands.clone();
        let core = CallCore::new(kit.clock.now(), Arc::clone(&spec.route));
        let keep = Keep::new(ends, core.epoch(), &spec.route);
        let children = Children::default();
        let pulses = Rc::new(CallPulses::new(Arc::clone(&leg), driver));
        let registration = driver.register(Rc::clone(&pulses));
        Self {
            scope: epilogue.scope(),
            spec,
            kit,
            epilogue,
            core,
            keep,
            children,
            reports: address.clone().recipient(),
            exits: address.downgrade().recipient(),
            pulses,
            _registration: registration,
            leg,
            commands,
            hearing: Hearing::default(),
            bytes_before: 0,
        }
    }

    fn snapshot(&self) -> CallSnapshot {
        CallSnapshot {
            rings: self.leg.ring_fill().unwrap_or_default(),
            audio_ms: self.pulses.heard_until().as_ms(),
            audio_bytes: self.bytes_before + self.leg.bytes_in(),
            ..self.core.snapshot()
        }
    }

    fn now(&self) -> Now {
        self.kit.clock.now()
    }

    fn input(&mut self, input: CallInput) {
        let bytes = self.bytes_before + self.leg.bytes_in();
        let at = self.pulses.heard_until();
        self.core.set_audio_progress(AudioProgress { at, bytes });
        self.core.handle_input(self.now(), input);
    }

    fn turn(&mut self, turn: TurnInput) {
        self.input(CallInput::Turn { turn });
    }

    fn attach_leg(&mut self) {
        let (leg, transport) = (self.leg.leg(), self.leg.transport().to_owned());
        self.input(CallInput::LegAttached { leg, transport });
    }
}

fn scope_of(spec: &CallSpec, leg: &LegShared) -> CallScope {
    CallScope {
        call_id: spec.call_id,
        session_id: spec.session_id,
        carrier_call_id: spec.carrier_call_id.clone(),
        user_id: spec.user_id.clone(),
        route: Arc::clone(&spec.route),
        transport: leg.transport(),
        open_turns: Arc::default(),
    }
}

impl Actor for CallSupervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
        self.attach_leg();
    }
}

impl Driven for CallSupervisor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.pulses.supervisor
    }

    fn drive(&mut self, ctx: &mut Context<Self>, _: &mut TaskContext<'_>) {
        sabotage!("supervisor.drive");
        self.take_signals();
        self.core.handle_timeout(self.now());
        while let Some(output) = self.core.poll_output() {
            self.carry_out(output);
        }
        if self.core.is_ended() {
            ctx.stop();
        }
        self.leg.show(|| self.snapshot());
        self.pulses.supervisor.set_due(self.core.poll_timeout());
    }
}

impl Drop for CallSupervisor {
    fn drop(&mut self) {
        self.kit.stt.forget(&self.spec.call_id);
        self.leg.close();
        self.leg.close_looks();
    }
}

// === What the leg and the registry signal ===

impl CallSupervisor {
    fn take_signals(&mut self) {
        let leg = Arc::clone(&self.leg);
        let Signals { hang_up, lost, output_gone, successor, notes } = leg.take_signals();
        for fact in notes {
            self.input(CallInput::Noted { fact });
        }
        if let Some(ends) = successor {
            self.change_leg(ends);
        } else if lost && hang_up.is_none() {
            self.close_utterance();
            self.input(CallInput::LegLost { leg: leg.leg(), can_hear: !output_gone });
        }
        if let Some(cause) = hang_up {
            self.input(CallInput::HungUp { cause });
        }
    }

    /// Goes on with another connection. What the old one still holds is closed, and what
    /// nobody has listened to yet is lost.
    fn change_leg(&mut self, ends: LegEnds) {
        self.close_utterance();
        let unheard = self.leg.try_buffered_ms().and_then(|ms| u32::try_from(ms).ok()).unwrap_or(0);
        let samples = INNER_RATE.samples_in_ms(unheard) as u64;
        if samples > 0 {
            self.input(CallInput::Noted { fact: CallEventKind::AudioDropped { samples } });
        }
        self.input(CallInput::LegLost { leg: self.leg.leg(), can_hear: false });
        self.bytes_before += self.leg.bytes_in();
        self.leg.close();
        self.commands.send(LegCommand::Superseded);
        self.leg = Arc::clone(&ends.shared);
        self.commands = ends.commands.clone();
        self.scope.transport = self.leg.transport();
        let (leg, commands) = (Arc::clone(&self.leg), self.commands.clone());
        self.epilogue.change_leg(self.scope.clone(), leg, commands);
        self.pulses.set_leg(Arc::clone(&self.leg));
        self.keep.change_leg(ends, self.core.epoch());
        self.attach_leg();
    }

    fn close_utterance(&mut self) {
        self.keep.listening.close(UtteranceEnd::MediaEnded);
        self.children.nudge(ChildKind::Vad);
    }
}

// === What the core says ===

impl CallSupervisor {
    fn carry_out(&mut self, output: CallOutput) {
        sabotage!("supervisor.output");
        match output {
            CallOutput::StartChild { child, generation } => self.start_child(child, generation),
            CallOutput::StopChild { child } => self.children.stop(child),
            CallOutput::Transcribe { utterance } => self.transcribe(utterance),
            CallOutput::Ask { turn, text, session } => self.ask(turn, text, session),
            CallOutput::Speak { sentence, text, ssml, intent } => {
                self.speak(sentence, text, ssml, intent);
            }
            CallOutput::StopSpeaking { epoch } => {
                self.keep.speaking.stop(epoch);
                self.children.nudge(ChildKind::Tts);
            }
            CallOutput::HoldSpeaking { from } => {
                self.keep.speaking.hold(from);
                self.children.nudge(ChildKind::Tts);
            }
            CallOutput::Abandon { job } => self.abandon(job),
            CallOutput::Tell(event) => self.tell(event),
            CallOutput::End { cause } => {
                // First: whoever is told the end may dial again at once.
                self.leg.close();
                self.commands.end(cause);
            }
        }
    }

    fn start_child(&mut self, child: ChildKind, generation: Generation) {
        let birth = Birth {
            generation,
            keep: &self.keep,
            kit: &self.kit,
            route: &self.spec.route,
            leg: &self.leg,
            reports: &self.reports,
            exits: &self.exits,
            pulses: &self.pulses,
        };
        self.children.start(child, &birth);
    }

    fn ask(&mut self, turn: TurnId, text: CallerText, session: SessionData) {
        let request = DialogRequest {
            call_id: self.spec.call_id,
            session_id: self.spec.session_id,
            user_id: self.spec.user_id.clone(),
            turn,
            text,
            session,
            answer_ms_max: self.spec.route.turns.dialog_ms_max,
            trace: self.trace_parent(Asked::Turn(turn)),
        };
        self.keep.dialog.put(turn, request, self.now());
        self.children.nudge(ChildKind::Dialog);
    }

    fn speak(
        &mut self,
        sentence: SentenceId,
        text: CallerText,
        ssml: Option<CallerText>,
        intent: Option<String>,
    ) {
        let route = &self.spec.route;
        let tts = TtsRequest {
            text,
            ssml,
            voice: route.voice.clone(),
            language: route.language.clone(),
            answer_ms_max: route.turns.tts_ms_max,
            trace: self.trace_parent(Asked::Sentence(sentence)),
        };
        self.keep.tts.put(sentence, SentenceRequest { tts, intent }, self.now());
        self.children.nudge(ChildKind::Tts);
    }

    /// Where in the call's trace what a provider is `asked` stands.
    fn trace_parent(&self, asked: Asked) -> Option<TraceParent> {
        self.kit.telemetry.trace_parent(&self.spec.call_id, asked)
    }

    fn abandon(&mut self, job: Job) {
        match job {
            Job::Utterance(utterance) => self.abandon_utterance(utterance),
            Job::Turn(turn) => self.keep.dialog.remove(turn),
            Job::Sentence(sentence) => {
                self.keep.tts.remove(sentence);
                self.keep.speaking.drop_sentence(sentence);
                self.children.nudge(ChildKind::Tts);
            }
        }
    }

    fn tell(&self, event: CallEvent) {
        self.epilogue.told(&event);
        self.kit.telemetry.call_event(&self.scope, &event);
        self.commands.offer(event);
    }
}

// === What the children say ===

impl Handler<ChildReport> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, message: ChildReport, _: &mut Context<Self>) {
        sabotage!("supervisor.report");
        let ChildReport { child, generation, report } = message;
        if self.core.generation(child) != generation {
            let fact = CallEventKind::StaleMessageDropped { child, generation };
            return self.input(CallInput::Noted { fact });
        }
        match report {
            Report::Noted(fact) => self.input(CallInput::Noted { fact }),
            Report::Speech { event, position } => self.handle_speech(event, position),
            Report::Spoken(speech) => self.follow_speech(speech),
            Report::Transcribed(utterance) => self.handle_transcript(utterance),
            Report::Replied(turn) => self.handle_reply(turn),
            Report::SentenceReady { sentence, tts_ms, audio_ms } => {
                self.turn(TurnInput::SentenceReady { sentence, tts_ms, audio_ms });
            }
            Report::SentenceFailed { sentence, tts_ms, failure } => {
                self.turn(TurnInput::SentenceFailed { sentence, tts_ms, failure });
            }
            Report::SentenceBroken { cut, tts_ms, failure } => {
                self.turn(TurnInput::SentenceBroken { cut, tts_ms, failure });
            }
            Report::SentenceStarted(sentence) => {
                self.turn(TurnInput::SentenceStarted { sentence });
            }
            Report::SentenceFinished(sentence) => {
                self.turn(TurnInput::SentenceFinished { sentence });
            }
            Report::SpeakingStopped { epoch, cuts } => {
                self.turn(TurnInput::SpeakingStopped { epoch, cuts });
            }
        }
    }
}

impl CallSupervisor {
    fn handle_reply(&mut self, turn: TurnId) {
        let Some((answer, _)) = self.keep.dialog.take_answer(turn, self.now()) else { return };
        let result = answer.unwrap_or(Err(DialogFailure::Lost));
        self.turn(TurnInput::Replied { turn, result });
    }
}

impl Handler<ChildExited> for CallSupervisor {
    type Result = ();

    fn handle(&mut self, message: ChildExited, _: &mut Context<Self>) {
        let ChildExited { child, generation, reason } = message;
        if self.core.generation(child) == generation {
            self.give_up_poisoned(child);
        }
        self.input(CallInput::ChildExited { child, generation, reason });
    }
}

impl CallSupervisor {
    /// Gives up the requests that were there each time the child died.
    fn give_up_poisoned(&mut self, child: ChildKind) {
        match child {
            ChildKind::Stt => self.give_up_utterances(),
            ChildKind::Dialog => {
                for turn in self.keep.dialog.child_died() {
                    let result = Err(DialogFailure::Lost);
                    self.turn(TurnInput::Replied { turn, result });
                }
            }
            ChildKind::Tts => {
                for sentence in self.keep.tts.child_died() {
                    let failure = TtsFailure::Failed { message: "the request was lost".to_owned() };
                    self.turn(TurnInput::SentenceFailed { sentence, tts_ms: 0, failure });
                }
            }
            ChildKind::Ingest | ChildKind::Vad => {}
        }
    }
}
