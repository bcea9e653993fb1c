//! Vad: has the detector listen and reports speech edges and whole utterances.
//! What to make of them is the supervisor's.

use std::rc::Rc;
use std::task::Context as TaskContext;

use actix::{Actor, Context, Handler};

use super::driver::CallPulses;
use super::ingest::Inner;
use super::lease::Lease;
use super::messages::{CloseUtterance, Report, Reporter};
use super::pulse::{Driven, Pulse, start_driving};
use super::scratch::with_scratch;
use crate::media::{FinderParts, RingConsumer, SpeechFinder};
use crate::types::{Route, UtteranceEnd};

/// Samples given to the detector at once. Few, because this much is lost when the
/// detector panics.
const PIECE_SAMPLES: usize = 256;

/// Pieces worked off in one go (2 s of audio), then the thread's other calls are served.
const PIECES_PER_DRIVE: usize = 125;

/// What Vad works with.
pub struct Vad {
    pub(super) inner: Lease<RingConsumer<Inner>>,
    /// What the finder knew when the child before this one ended.
    pub(super) finder: Lease<FinderParts>,
    pub(super) reporter: Reporter,
    pub(super) pulse: Rc<Pulse>,
    pub(super) pulses: Rc<CallPulses>,
}

/// The child.
pub struct VadActor {
    parts: Vad,
    finder: SpeechFinder,
}

impl VadActor {
    /// A child that goes on with what the one before it had collected.
    #[must_use]
    pub fn new(mut parts: Vad, route: &Route) -> Self {
        let known = std::mem::take(&mut *parts.finder);
        let sustain_ms = route.turns.interrupt_speech_ms_min;
        let finder = SpeechFinder::resume(&route.listening, sustain_ms, known);
        Self { parts, finder }
    }

    /// Listens to what is there. Returns whether something is left for the next time.
    fn listen(&mut self) -> bool {
        for _ in 0..PIECES_PER_DRIVE {
            if !self.listen_to_piece() {
                return false;
            }
            self.report();
        }
        true
    }

    fn listen_to_piece(&mut self) -> bool {
        with_scratch(|scratch| {
            let Some((mark, _)) = self.parts.inner.pop(PIECE_SAMPLES, &mut scratch.samples) else {
                return false;
            };
            match mark {
                Inner::Audio => self.finder.handle_samples(&scratch.samples),
                Inner::Stalled => self.finder.end_input(UtteranceEnd::Stalled),
            }
            true
        })
    }

    fn report(&mut self) {
        self.parts.pulses.set_heard_until(self.finder.position());
        while let Some(event) = self.finder.poll_event() {
            let position = self.finder.position();
            self.parts.reporter.tell(Report::Speech { event, position });
        }
    }
}

impl Actor for VadActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
    }
}

impl Driven for VadActor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.parts.pulse
    }

    fn drive(&mut self, _: &mut Context<Self>, _: &mut TaskContext<'_>) {
        sabotage!(Vad, "drive");
        let more = self.listen();
        self.report();
        let sent = self.parts.reporter.flush();
        if more || !sent {
            self.parts.pulse.set_due(Some(crate::types::Now::default()));
        }
    }
}

impl Handler<CloseUtterance> for VadActor {
    type Result = ();

    fn handle(&mut self, CloseUtterance(end): CloseUtterance, _: &mut Context<Self>) {
        sabotage!(Vad, "close utterance");
        while self.listen() {}
        self.finder.end_input(end);
        self.report();
    }
}

impl Drop for VadActor {
    fn drop(&mut self) {
        *self.parts.finder = self.finder.take_parts();
    }
}
