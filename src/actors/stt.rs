//! Stt: has utterances recognised. The utterances and the transcripts lie on the
//! board; this child starts requests and reports answers. What is taken off the board is
//! recognised no further.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::board::Board;
use super::messages::{Report, Reporter};
use super::pulse::{Driven, Pulse, start_driving};
use super::service_runtime::ServiceRuntime;
use crate::services::{SpeechToText, SttRequest};
use crate::types::{Now, SttFailure, Transcript, UtteranceId};

/// Utterances of one call being recognised at the same time.
const RUNNING_MAX: usize = 2;

/// Utterances to recognise and what came of them.
pub type SttBoard = Board<UtteranceId, SttRequest, Result<Transcript, SttFailure>>;

/// What Stt works with.
pub struct Stt {
    pub(super) board: SttBoard,
    pub(super) provider: Arc<dyn SpeechToText>,
    pub(super) runtime: ServiceRuntime,
    /// Longest time that an utterance which is followed goes on after it was put on the board.
    pub(super) speech_ms_max: u32,
    pub(super) reporter: Reporter,
    pub(super) pulse: Rc<Pulse>,
}

/// The child.
pub struct SttActor(Stt);

impl SttActor {
    /// A child that goes on with what is on the board.
    #[must_use]
    pub fn new(parts: Stt) -> Self {
        Self(parts)
    }
}

impl Actor for SttActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
    }
}

impl Driven for SttActor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.0.pulse
    }

    fn drive(&mut self, _: &mut Context<Self>, task: &mut TaskContext<'_>) {
        sabotage!(Stt, "drive");
        let Stt { board, provider, runtime, speech_ms_max, reporter, pulse } = &mut self.0;
        board.start(RUNNING_MAX, |request| {
            let provider = Arc::clone(provider);
            let within_ms = request.answer_ms_max.saturating_add(*speech_ms_max);
            runtime.ask_while_wanted(within_ms, SttFailure::Timeout, async move {
                provider.transcribe(request).await
            })
        });
        while let Some(utterance) = board.poll_answered(task) {
            sabotage!(Stt, "answer");
            reporter.tell(Report::Transcribed(utterance));
        }
        if !reporter.flush() {
            pulse.set_due(Some(Now::default()));
        }
    }
}
