//! Tts: has sentences synthesised, a little ahead, and plays them out in order, each
//! from its first audio on.
//!
//! What is played, and what is still to come of it, lives in the [`Voice`], which
//! survives this child: a sentence goes on at the sample where it was interrupted by a
//! crash.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::board::Board;
use super::clock::Clock;
use super::driver::CallPulses;
use super::lease::Lease;
use super::messages::{Report, Reporter};
use super::orders::SpeakingOrders;
use super::pulse::{Driven, Pulse, start_driving};
use super::service_runtime::ServiceRuntime;
use super::voice::{ReadySentence, Voice};
use crate::services::{PromptCache, Speech, TextToSpeech, TtsRequest};
use crate::types::{Now, ResumeFrom, SentenceId, TtsFailure};

/// Sentences of one call being synthesised at the same time: the one that is
/// needed and the one after it. One that grows counts until it is complete.
const RUNNING_MAX: usize = 2;

/// A sentence to synthesise.
#[derive(Clone, Debug)]
pub struct SentenceRequest {
    /// What goes to the synthesiser.
    pub tts: TtsRequest,
    /// What the sentence answers.
    pub intent: Option<String>,
}

/// Sentences to synthesise and what came of them.
pub type TtsBoard = Board<SentenceId, SentenceRequest, Result<Speech, TtsFailure>>;

/// What Tts works with.
pub struct Tts {
    pub(super) clock: Clock,
    pub(super) board: TtsBoard,
    pub(super) orders: SpeakingOrders,
    pub(super) provider: Arc<dyn TextToSpeech>,
    pub(super) prompts: Arc<PromptCache>,
    pub(super) provider_name: String,
    pub(super) resume_from: ResumeFrom,
    pub(super) runtime: ServiceRuntime,
    pub(super) voice: Lease<Voice>,
    pub(super) reporter: Reporter,
    pub(super) pulse: Rc<Pulse>,
    pub(super) pulses: Rc<CallPulses>,
    /// When the next frame is due. `None` also while one has to wait for a caller who
    /// does not read: that it comes late is no fault of this thread.
    pub(super) frame_due: Option<Now>,
}

/// The child.
pub struct TtsActor(Tts);

impl TtsActor {
    /// A child that goes on with what is on the board and in the voice.
    #[must_use]
    pub fn new(parts: Tts) -> Self {
        Self(parts)
    }

    fn follow_orders(&mut self, now: Now) {
        let Tts { voice, reporter, orders, resume_from, .. } = &mut self.0;
        if let Some(epoch) = orders.stop_pending() {
            sabotage!(Tts, "stop");
            voice.finish_heard(now, |report| reporter.tell(report));
            let cuts = voice.silence(now, epoch, *resume_from);
            reporter.tell(Report::SpeakingStopped { epoch, cuts });
            orders.stopped(epoch);
        }
        while let Some(sentence) = orders.take_dropped() {
            voice.forget(now, sentence);
        }
        voice.hold_from(now, orders.held_from());
    }

    fn start_requests(&self) {
        let parts = &self.0;
        let running_max = RUNNING_MAX.saturating_sub(parts.voice.growing());
        parts.board.start(running_max, |request| parts.begin(request.tts));
    }

    /// Takes finished sentences off the board and queues them in their order.
    fn collect(&mut self, task: &mut TaskContext<'_>, now: Now) {
        while let Some(sentence) = self.0.board.poll_answered(task) {
            sabotage!(Tts, "answer");
            let Some(intent) = self.0.board.request(sentence).map(|request| request.intent) else {
                continue;
            };
            let Some((answer, tts_ms)) = self.0.board.take_answer(sentence, now) else { continue };
            let lost = TtsFailure::Failed { message: "the request was lost".to_owned() };
            match answer.unwrap_or(Err(lost)) {
                Ok(speech) => {
                    let audio_ms = speech.ms();
                    let ready = ReadySentence { speech, intent, at: now, tts_ms };
                    self.0.voice.add_ready(sentence, ready);
                    self.tell(Report::SentenceReady { sentence, tts_ms, audio_ms });
                }
                Err(failure) => self.tell(Report::SentenceFailed { sentence, tts_ms, failure }),
            }
        }
        let oldest_missing = self.0.board.first_key();
        self.0.voice.queue_ready_before(oldest_missing);
    }

    /// Takes what came of sentences that grow.
    fn grow(&mut self, task: &mut TaskContext<'_>, now: Now) {
        let Tts { voice, reporter, .. } = &mut self.0;
        while voice.grow(task, now, |report| reporter.tell(report)) {
            sabotage!(Tts, "piece");
        }
    }

    fn play(&mut self, now: Now) {
        let Tts { voice, reporter, .. } = &mut self.0;
        voice.play(now, |report| reporter.tell(report));
    }

    fn tell(&mut self, report: Report) {
        self.0.reporter.tell(report);
    }
}

impl Tts {
    /// Begins one sentence: from the cache, or at the provider.
    fn begin(
        &self,
        request: TtsRequest,
    ) -> tokio::sync::oneshot::Receiver<Result<Speech, TtsFailure>> {
        if let Some(prompt) = self.prompts.get(&self.provider_name, &request) {
            let (answer, receiver) = tokio::sync::oneshot::channel();
            let _receiver_is_here = answer.send(prompt.map(Speech::from));
            return receiver;
        }
        let provider = Arc::clone(&self.provider);
        let within_ms = request.answer_ms_max;
        self.runtime.ask_while_wanted(within_ms, TtsFailure::Timeout, async move {
            provider.speak(request).await
        })
    }
}

impl Actor for TtsActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
    }
}

impl Driven for TtsActor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.0.pulse
    }

    fn drive(&mut self, _: &mut Context<Self>, task: &mut TaskContext<'_>) {
        sabotage!(Tts, "drive");
        let now = self.0.clock.now();
        if let Some(due) = self.0.frame_due.take() {
            self.0.pulses.frame_was_due(due, now);
        }
        self.follow_orders(now);
        self.start_requests();
        self.collect(task, now);
        self.grow(task, now);
        // A request may have made room for the next one.
        self.start_requests();
        self.play(now);
        let sent = self.0.reporter.flush();
        let due = self.0.voice.poll_timeout();
        self.0.frame_due = due.filter(|due| *due > now);
        self.0.pulse.set_due(if sent { due } else { Some(now) });
    }
}
