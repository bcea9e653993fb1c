//! Dialog: asks the dialog platform. The questions and the replies lie on the board;
//! this child starts requests and reports answers. A request runs on the service
//! runtime, so it outlives the child: no turn is asked twice because of a crash.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::board::Board;
use super::messages::{Report, Reporter};
use super::pulse::{Driven, Pulse, start_driving};
use super::service_runtime::ServiceRuntime;
use crate::services::DialogBackend;
use crate::types::{DialogFailure, DialogReply, DialogRequest, Now, TurnId};

/// The platform sees one turn of a call after the other.
const RUNNING_MAX: usize = 1;

/// Turns to ask and what came of them.
pub type DialogBoard = Board<TurnId, DialogRequest, Result<DialogReply, DialogFailure>>;

/// What Dialog works with.
pub struct Dialog {
    pub(super) board: DialogBoard,
    pub(super) provider: Arc<dyn DialogBackend>,
    pub(super) runtime: ServiceRuntime,
    pub(super) reporter: Reporter,
    pub(super) pulse: Rc<Pulse>,
}

/// The child.
pub struct DialogActor(Dialog);

impl DialogActor {
    /// A child that goes on with what is on the board.
    #[must_use]
    pub fn new(parts: Dialog) -> Self {
        Self(parts)
    }
}

impl Actor for DialogActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
    }
}

impl Driven for DialogActor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.0.pulse
    }

    fn drive(&mut self, _: &mut Context<Self>, task: &mut TaskContext<'_>) {
        sabotage!(Dialog, "drive");
        let Dialog { board, provider, runtime, reporter, pulse } = &mut self.0;
        board.start(RUNNING_MAX, |request| {
            let provider = Arc::clone(provider);
            let within_ms = request.answer_ms_max;
            runtime.ask(
                within_ms,
                DialogFailure::Timeout,
                async move { provider.ask(request).await },
            )
        });
        while let Some(turn) = board.poll_answered(task) {
            sabotage!(Dialog, "answer");
            reporter.tell(Report::Replied(turn));
        }
        if !reporter.flush() {
            pulse.set_due(Some(Now::default()));
        }
    }
}
