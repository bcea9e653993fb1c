//! The children of a call: how each is started, and what is kept for the next
//! generation of each.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, Addr, Context, Recipient, WeakRecipient};

use super::dialog::{Dialog, DialogActor, DialogBoard};
use super::driver::CallPulses;
use super::ingest::{Ingest, IngestActor, Inner};
use super::kernel::spawn_watched;
use super::kit::CallKit;
use super::lease::Home;
use super::leg::{LegEnds, LegShared};
use super::messages::{ChildExited, ChildReport, Report, Reporter};
use super::orders::{ListeningOrders, SpeakingOrders};
use super::played::PlayedRecord;
use super::pulse::Pulse;
use super::stt::{Stt, SttActor, SttBoard};
use super::tts::{Tts, TtsActor, TtsBoard};
use super::vad::{Vad, VadActor};
use super::voice::Voice;
use crate::media::{Arrival, FinderParts, RingConsumer, RingProducer, audio_ring};
use crate::services::SpeechFeed;
use crate::types::{ChildKind, Epoch, ExitReason, Generation, INNER_RATE, Route};

/// A mailbox must have room for something; nobody writes to a child's.
const MAILBOX_MAX: usize = 1;

/// Length of the ring between Ingest and Vad.
const INNER_RING_MS: u32 = 320;

/// Spans in that ring.
const INNER_SPANS_MAX: usize = 64;

/// Everything that outlives a child.
pub(super) struct Keep {
    audio_in: Home<RingConsumer<Arrival>>,
    inner_in: Home<RingProducer<Inner>>,
    inner_out: Home<RingConsumer<Inner>>,
    finder: Home<FinderParts>,
    voice: Home<Voice>,
    played: PlayedRecord,
    feed: Home<Option<SpeechFeed>>,
    unsent: [Home<VecDeque<Report>>; 5],
    pub stt: SttBoard,
    pub dialog: DialogBoard,
    pub tts: TtsBoard,
    pub listening: ListeningOrders,
    pub speaking: SpeakingOrders,
}

impl Keep {
    pub fn new(ends: LegEnds, epoch: Epoch, route: &Arc<Route>) -> Self {
        let (inner_in, inner_out) =
            audio_ring(INNER_RATE.samples_in_ms(INNER_RING_MS), INNER_SPANS_MAX);
        let LegEnds { shared, audio_in, playout, commands } = ends;
        let played = PlayedRecord::new(route);
        let writer = played.begin(shared.leg());
        Self {
            audio_in: Home::new(audio_in),
            inner_in: Home::new(inner_in),
            inner_out: Home::new(inner_out),
            finder: Home::new(FinderParts::default()),
            voice: Home::new(Voice::new(shared, playout, commands, writer, epoch)),
            played,
            feed: Home::new(None),
            unsent: std::array::from_fn(|_| Home::new(VecDeque::new())),
            stt: SttBoard::default(),
            dialog: DialogBoard::default(),
            tts: TtsBoard::default(),
            listening: ListeningOrders::default(),
            speaking: SpeakingOrders::default(),
        }
    }

    /// Takes over another connection's ends; children that hold the old ones keep
    /// them until they end.
    pub fn change_leg(&self, ends: LegEnds, epoch: Epoch) {
        let LegEnds { shared, audio_in, playout, commands } = ends;
        let writer = self.played.begin(shared.leg());
        self.audio_in.replace(audio_in);
        self.voice.replace(Voice::new(shared, playout, commands, writer, epoch));
    }
}

/// A running child. Dropping it stops the actor.
pub(super) struct Child<A: Actor> {
    /// An actor without an address ends.
    _address: Addr<A>,
    pulse: Rc<Pulse>,
}

impl<A: Actor> Child<A> {
    fn nudge(&self) {
        self.pulse.wake();
    }
}

impl<A: Actor> Drop for Child<A> {
    fn drop(&mut self) {
        self.pulse.stop();
    }
}

/// The running children.
#[derive(Default)]
pub(super) struct Children {
    ingest: Option<Child<IngestActor>>,
    vad: Option<Child<VadActor>>,
    stt: Option<Child<SttActor>>,
    dialog: Option<Child<DialogActor>>,
    tts: Option<Child<TtsActor>>,
}

impl Children {
    /// Stops a child; its exit is reported as that of any other.
    pub fn stop(&mut self, child: ChildKind) {
        match child {
            ChildKind::Ingest => self.ingest = None,
            ChildKind::Vad => self.vad = None,
            ChildKind::Stt => self.stt = None,
            ChildKind::Dialog => self.dialog = None,
            ChildKind::Tts => self.tts = None,
        }
    }

    /// Has a child look at its board and its orders. One that is dying is not missed: the
    /// next generation looks at them first.
    pub fn nudge(&self, child: ChildKind) {
        match child {
            ChildKind::Ingest => self.ingest.iter().for_each(Child::nudge),
            ChildKind::Vad => self.vad.iter().for_each(Child::nudge),
            ChildKind::Stt => self.stt.iter().for_each(Child::nudge),
            ChildKind::Dialog => self.dialog.iter().for_each(Child::nudge),
            ChildKind::Tts => self.tts.iter().for_each(Child::nudge),
        }
    }

    /// Starts a child. One that needs what its predecessor still holds is not
    /// started; its predecessor's exit will ask for it again.
    pub fn start(&mut self, child: ChildKind, birth: &Birth<'_>) {
        match child {
            ChildKind::Ingest => self.ingest = birth.ingest(),
            ChildKind::Vad => self.vad = birth.vad(),
            ChildKind::Stt => self.stt = birth.stt(),
            ChildKind::Dialog => self.dialog = birth.dialog(),
            ChildKind::Tts => self.tts = birth.tts(),
        }
    }
}

/// What a child is made of.
pub(super) struct Birth<'a> {
    pub generation: Generation,
    pub keep: &'a Keep,
    pub kit: &'a CallKit,
    pub route: &'a Arc<Route>,
    pub leg: &'a Arc<LegShared>,
    pub reports: &'a Recipient<ChildReport>,
    pub exits: &'a WeakRecipient<ChildExited>,
    pub pulses: &'a Rc<CallPulses>,
}

impl Birth<'_> {
    fn ingest(&self) -> Option<Child<IngestActor>> {
        let parts = Ingest {
            clock: self.kit.clock,
            listening: self.route.listening.clone(),
            rate: self.leg.format_in().rate,
            leg: Arc::clone(self.leg),
            audio_in: self.keep.audio_in.lend()?,
            inner: self.keep.inner_in.lend()?,
            reporter: self.reporter(ChildKind::Ingest)?,
            pulse: self.pulses.renew(ChildKind::Ingest),
            pulses: Rc::clone(self.pulses),
        };
        let pulse = Rc::clone(&parts.pulse);
        Some(self.spawn(ChildKind::Ingest, pulse, move || IngestActor::new(parts)))
    }

    fn vad(&self) -> Option<Child<VadActor>> {
        let parts = Vad {
            clock: self.kit.clock,
            inner: self.keep.inner_out.lend()?,
            orders: self.keep.listening.clone(),
            finder: self.keep.finder.lend()?,
            played: self.keep.played.clone(),
            feed: self.keep.feed.lend()?,
            follows_speech: self.kit.stt.follows_speech(),
            reporter: self.reporter(ChildKind::Vad)?,
            pulse: self.pulses.renew(ChildKind::Vad),
            pulses: Rc::clone(self.pulses),
        };
        let pulse = Rc::clone(&parts.pulse);
        let route = Arc::clone(self.route);
        Some(self.spawn(ChildKind::Vad, pulse, move || VadActor::new(parts, &route)))
    }

    fn stt(&self) -> Option<Child<SttActor>> {
        let parts = Stt {
            board: self.keep.stt.clone(),
            provider: Arc::clone(&self.kit.stt),
            runtime: self.kit.runtime.clone(),
            speech_ms_max: self.route.listening.utterance_ms_max,
            reporter: self.reporter(ChildKind::Stt)?,
            pulse: self.pulses.renew(ChildKind::Stt),
        };
        let pulse = Rc::clone(&parts.pulse);
        Some(self.spawn(ChildKind::Stt, pulse, move || SttActor::new(parts)))
    }

    fn dialog(&self) -> Option<Child<DialogActor>> {
        let parts = Dialog {
            board: self.keep.dialog.clone(),
            provider: Arc::clone(&self.kit.dialog),
            runtime: self.kit.runtime.clone(),
            reporter: self.reporter(ChildKind::Dialog)?,
            pulse: self.pulses.renew(ChildKind::Dialog),
        };
        let pulse = Rc::clone(&parts.pulse);
        Some(self.spawn(ChildKind::Dialog, pulse, move || DialogActor::new(parts)))
    }

    fn tts(&self) -> Option<Child<TtsActor>> {
        let parts = Tts {
            clock: self.kit.clock,
            board: self.keep.tts.clone(),
            orders: self.keep.speaking.clone(),
            provider: Arc::clone(&self.kit.tts),
            prompts: Arc::clone(&self.kit.prompts),
            provider_name: self.route.tts.clone(),
            resume_from: self.route.turns.resume_from,
            runtime: self.kit.runtime.clone(),
            voice: self.keep.voice.lend()?,
            reporter: self.reporter(ChildKind::Tts)?,
            pulse: self.pulses.renew(ChildKind::Tts),
            pulses: Rc::clone(self.pulses),
            frame_due: None,
        };
        let pulse = Rc::clone(&parts.pulse);
        Some(self.spawn(ChildKind::Tts, pulse, move || TtsActor::new(parts)))
    }

    fn reporter(&self, child: ChildKind) -> Option<Reporter> {
        let unsent = self.keep.unsent[child as usize].lend()?;
        Some(Reporter::new(child, self.generation, self.reports.clone(), unsent))
    }

    fn spawn<A: Actor<Context = Context<A>>>(
        &self,
        child: ChildKind,
        pulse: Rc<Pulse>,
        make: impl FnOnce() -> A,
    ) -> Child<A> {
        let (exits, generation) = (self.exits.clone(), self.generation);
        let on_exit = move |reason: ExitReason| {
            if let Some(parent) = exits.upgrade() {
                tell_exit(&parent, ChildExited { child, generation, reason });
            }
        };
        Child { _address: spawn_watched(MAILBOX_MAX, |_| make(), on_exit), pulse }
    }
}

#[expect(clippy::disallowed_methods, reason = "must arrive, and is sent once in a life")]
fn tell_exit(parent: &Recipient<ChildExited>, exit: ChildExited) {
    parent.do_send(exit);
}
