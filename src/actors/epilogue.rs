//! The end of a call whose supervisor does not live to tell it: each call is told to have
//! ended once, whatever it died of, and its carrier hears the same.
//!
//! Kept beside the supervisor, on its thread, by whoever is told of its exit.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use super::clock::Clock;
use super::leg::{CommandSender, LegShared};
use crate::telemetry::{ActiveCall, CallScope, Telemetry};
use crate::types::{CallEvent, CallEventKind, EndCause, ExitReason, MediaTime, Now};

/// What is known of a call from outside.
pub(super) struct Epilogue {
    clock: Clock,
    started_at: Now,
    telemetry: Telemetry,
    connection: RefCell<Connection>,
    last: Cell<Last>,
    /// Counted until the last one lets go of this.
    _active: ActiveCall,
}

/// The call's present connection.
struct Connection {
    scope: CallScope,
    leg: Arc<LegShared>,
    commands: CommandSender,
    /// Bytes received on earlier ones.
    bytes_before: u64,
}

/// What was told last.
#[derive(Clone, Copy, Default)]
struct Last {
    sequence: u64,
    turns: u32,
    audio_at: MediaTime,
    is_end: bool,
}

impl Epilogue {
    /// Of a call that begins.
    pub fn new(
        clock: Clock,
        telemetry: &Telemetry,
        scope: CallScope,
        leg: Arc<LegShared>,
        commands: CommandSender,
    ) -> Rc<Self> {
        let connection = Connection { scope, leg, commands, bytes_before: 0 };
        Rc::new(Self {
            clock,
            started_at: clock.now(),
            telemetry: telemetry.clone(),
            connection: RefCell::new(connection),
            last: Cell::default(),
            _active: telemetry.active_call(),
        })
    }

    /// What all events of the call have in common.
    pub fn scope(&self) -> CallScope {
        self.connection.borrow().scope.clone()
    }

    /// The call goes on with another connection.
    pub fn change_leg(&self, scope: CallScope, leg: Arc<LegShared>, commands: CommandSender) {
        let mut connection = self.connection.borrow_mut();
        let bytes_before = connection.bytes_before + connection.leg.bytes_in();
        *connection = Connection { scope, leg, commands, bytes_before };
    }

    /// Takes note of what is told.
    pub fn told(&self, event: &CallEvent) {
        let Last { turns, .. } = self.last.get();
        self.last.set(Last {
            sequence: event.sequence,
            turns: event.turn.map_or(turns, |turn| turns.max(turn.0)),
            audio_at: event.audio_at,
            is_end: matches!(event.kind, CallEventKind::CallEnded { .. }),
        });
    }

    /// The supervisor is gone: tells the end, unless it did.
    pub fn supervisor_ended(&self, reason: &ExitReason) {
        let Last { sequence, turns, audio_at, is_end } = self.last.get();
        if is_end {
            return;
        }
        let cause = match reason {
            // The media threads were stopped: that is how the engine ends calls that do not.
            ExitReason::Cancelled => EndCause::Drained,
            _ => EndCause::SupervisorFailed,
        };
        let Connection { scope, leg, commands, bytes_before } = &*self.connection.borrow();
        let kind = CallEventKind::CallEnded {
            cause,
            duration_ms: self.clock.now().ms_since(self.started_at),
            audio_bytes: bytes_before + leg.bytes_in(),
            turns,
        };
        let event = CallEvent { sequence: sequence + 1, turn: None, audio_at, kind };
        self.told(&event);
        self.telemetry.call_event(scope, &event);
        leg.close();
        commands.offer(event);
        commands.end(cause);
    }
}
