//! What calls cost apart from their audio: messages, children, set-up and tear-down,
//! events, and a whole call of which nothing is waited for.
//!
//! Compare figures of one run only; the machine decides the rest.

mod stage;

use std::sync::Arc;

use actix::{Actor, ActorContext, Context, Handler, Message};
use actix_rt::SystemRunner;
use antiphon::actors::{Clock, MetricsThread, spawn_watched};
use antiphon::call::{CallCore, CallInput, CallOutput};
use antiphon::config::EventSettings;
use antiphon::telemetry::{CallScope, EventQueue, QueueLimits, Telemetry};
use antiphon::turn::{TurnInput, UtteranceFacts};
use antiphon::types::{
    CallEvent, CallEventKind, CallId, DialogReply, EndCause, INNER_RATE, LegId, MediaFormat,
    MediaTime, Now, ReplyOutput, Route, SentenceId, SessionData, SessionId, Transcript, TurnId,
    TurnTimings, UtteranceEnd, UtteranceId,
};
use divan::Bencher;
use divan::counter::ItemsCount;
use stage::{Audio, Caller, Stage, goforward, peers, virtual_time};
use tokio::sync::oneshot;

const FORMAT: MediaFormat = MediaFormat::pcm16(INNER_RATE);

fn main() {
    divan::main();
}

// === Messages and children ===

/// Does nothing but answer, and stop when it is told to.
struct Child;

impl Actor for Child {
    type Context = Context<Self>;
}

#[derive(Message)]
#[rtype(result = "()")]
struct Hop;

impl Handler<Hop> for Child {
    type Result = ();
    fn handle(&mut self, _: Hop, _: &mut Context<Self>) {}
}

#[derive(Message)]
#[rtype(result = "()")]
struct Stop;

impl Handler<Stop> for Child {
    type Result = ();
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}

/// There and back between two actors of one thread, as a call's are.
#[divan::bench]
fn hop_between_actors(bencher: Bencher) {
    let system = virtual_time();
    let child = system.block_on(async { spawn_watched(16, |_| Child, |_| ()) });
    bencher.bench_local(|| system.block_on(child.send(Hop)).expect("it runs"));
}

/// There and back, with the deadline that every ask has.
#[divan::bench]
fn ask_the_registry(bencher: Bencher) {
    let (system, stage) = empty_stage();
    bencher.bench_local(|| system.block_on(stage.switchboard.load()).expect("it answers"));
}

/// A child's life under supervision, from its start to the report of its end.
#[divan::bench]
fn start_and_end_a_child(bencher: Bencher) {
    let system = virtual_time();
    bencher.bench_local(|| {
        system.block_on(async {
            let (ended, is_over) = oneshot::channel();
            let child = spawn_watched(16, |_| Child, |reason| drop(ended.send(reason)));
            child.try_send(Stop).expect("its mailbox is empty");
            is_over.await.expect("its end is reported")
        })
    });
}

// === Calls ===

/// Calls that begin together, and end together before anything is said: until the
/// registry has forgotten all of them.
#[divan::bench(args = [1, 100])]
fn set_up_and_tear_down(bencher: Bencher, calls: usize) {
    let (system, stage) = empty_stage();
    let ids: Vec<String> = (0..calls).map(|nth| format!("call-{nth}")).collect();
    bencher.counter(ItemsCount::new(calls)).bench_local(|| {
        system.block_on(async {
            let mut callers = Vec::with_capacity(calls);
            for id in &ids {
                callers.push(stage.call(id, FORMAT).await);
            }
            callers.iter().for_each(Caller::hang_up);
            stage.is_empty().await;
        });
    });
}

/// A call of five and a half seconds: 2.8 s with an utterance in it, silence while the
/// answer of 2 s is heard, and the end.
#[divan::bench]
fn a_whole_call(bencher: Bencher) {
    let (system, stage) = empty_stage();
    let utterance = Audio::new(&goforward(), FORMAT);
    let silence = Audio::new(&vec![0; INNER_RATE.samples_in_ms(2_700)], FORMAT);
    bencher.bench_local(|| {
        system.block_on(async {
            let caller = stage.call("call", FORMAT).await;
            caller.say(&utterance).await;
            caller.say(&silence).await;
            caller.hang_up();
            stage.is_empty().await;
            assert_eq!(caller.heard().bytes.get(), 2 * 32_000, "the answer is heard whole");
        });
    });
}

fn empty_stage() -> (SystemRunner, Stage) {
    let system = virtual_time();
    let stage = system.block_on(async { Stage::new(&peers()) });
    (system, stage)
}

/// The same call for the part of it that decides: begun, one turn answered in one
/// sentence, ended.
#[divan::bench]
fn a_whole_call_in_the_core(bencher: Bencher) {
    let route = Arc::new(Route::default());
    bencher.bench_local(|| {
        let mut core = CallCore::new(Now::default(), Arc::clone(&route));
        let transport = "bench".to_owned();
        feed(&mut core, CallInput::LegAttached { leg: LegId(1), transport });
        feed(&mut core, CallInput::SpeechStarted { at: MediaTime(0) });
        feed_turn(&mut core, TurnInput::SpeechSustained);
        feed_turn(&mut core, TurnInput::Utterance(utterance()));
        let (utterance, result) = (UtteranceId(1), Ok(transcript()));
        feed_turn(&mut core, TurnInput::Transcribed { utterance, result });
        let said =
            feed_turn(&mut core, TurnInput::Replied { turn: TurnId(1), result: Ok(reply()) });
        for sentence in said {
            feed_turn(
                &mut core,
                TurnInput::SentenceReady { sentence, tts_ms: 0, audio_ms: Some(2_000) },
            );
            feed_turn(&mut core, TurnInput::SentenceStarted { sentence });
            feed_turn(&mut core, TurnInput::SentenceFinished { sentence });
        }
        feed(&mut core, CallInput::HungUp { cause: EndCause::CallerHungUp });
        assert!(core.is_ended());
    });
}

/// Feeds an input and returns the sentences to be said.
fn feed(core: &mut CallCore, input: CallInput) -> Vec<SentenceId> {
    core.handle_input(Now::default(), input);
    let outputs = std::iter::from_fn(|| core.poll_output());
    outputs
        .filter_map(|output| match output {
            CallOutput::Speak { sentence, .. } => Some(sentence),
            _ => None,
        })
        .collect()
}

fn feed_turn(core: &mut CallCore, turn: TurnInput) -> Vec<SentenceId> {
    feed(core, CallInput::Turn { turn })
}

fn utterance() -> UtteranceFacts {
    UtteranceFacts {
        utterance: UtteranceId(1),
        audio_ms: 1_500,
        end_of_speech_ms: 200,
        sustained: true,
        end: UtteranceEnd::Silence,
    }
}

fn transcript() -> Transcript {
    Transcript::Final { text: "go forward ten meters".into(), confidence: Some(0.9) }
}

fn reply() -> DialogReply {
    DialogReply {
        outputs: vec![ReplyOutput {
            text: "Ten meters it is.".into(),
            markup: None,
            interruptible: None,
        }],
        intent: Some("go".to_owned()),
        confidence: Some(0.9),
        next_state: None,
        session: SessionData::default(),
        end_call: false,
        flaws: Vec::new(),
        waited_ms: 0,
    }
}

// === Events ===

/// Events that are told at once.
const EVENTS: usize = 10_000;

/// From the first event told until the last one is on the disk, the writer's thread
/// started and joined.
#[divan::bench]
fn write_events(bencher: Bencher) {
    let file = std::env::temp_dir().join(format!("antiphon-bench-{}.jsonl", std::process::id()));
    let settings = EventSettings { path: file.clone(), ..peers().events };
    let system = actix_rt::System::new();
    let (scope, event) = (scope(), answered());
    let bencher = bencher.counter(ItemsCount::new(EVENTS));
    bencher.with_inputs(|| telemetry(&settings)).bench_local_values(|(telemetry, queue)| {
        let clock = system.block_on(async { Clock::start() });
        let writer = system.block_on(async {
            MetricsThread::start(queue, settings.clone(), telemetry.clone(), clock)
        });
        for _ in 0..EVENTS {
            telemetry.call_event(&scope, &event);
        }
        let flushed = system.block_on(writer.stop());
        assert_eq!((flushed.dropped, flushed.waiting), (0, 0));
    });
    std::fs::remove_file(file).expect("the events were written");
}

fn telemetry(settings: &EventSettings) -> (Telemetry, EventQueue) {
    let limits = QueueLimits { queue_max: EVENTS, batch_max: settings.batch_max };
    Telemetry::new(limits, vec![Route::default().name])
}

fn scope() -> CallScope {
    CallScope {
        call_id: CallId::from_bits(1),
        carrier_call_id: None,
        session_id: SessionId::from_bits(2),
        user_id: "bench".into(),
        route: Arc::new(Route::default()),
        transport: "bench",
        open_turns: Arc::default(),
    }
}

fn answered() -> CallEvent {
    let (intent, confidence) = (Some("go".to_owned()), Some(0.9));
    let kind = CallEventKind::TurnAnswered { intent, confidence, timings: TurnTimings::default() };
    CallEvent { sequence: 1, turn: Some(TurnId(1)), audio_at: MediaTime(0), kind }
}
