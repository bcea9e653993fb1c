//! One media connection of a call: the transport's half and the call's half.
//!
//! Audio crosses in two rings, commands in a bounded queue, and what the
//! transport has to say in flags that the media thread's driver looks at. The
//! lock around the intake is held for the copy only, never across an await.

mod output;

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

pub use output::LegOutput;

use super::clock::Clock;
use super::gauges::LegGauges;
use super::intake::Intake;
use super::link::{CallRequest, ChunkOutcome, Delivery, IntakeState, LegCommand, StreamOutcome};
use super::placement::Seat;
use super::rounds::Doorbell;
use crate::media::{Arrival, RingConsumer, RingProducer, audio_ring};
use crate::types::{
    CallEvent, CallEventKind, CallId, EndCause, Epoch, LegId, ListeningSettings, MediaFormat,
    SampleRate,
};

/// Commands waiting for a transport. One more sentence, flush or end means that the transport
/// does not read: the leg is lost.
const COMMANDS_MAX: usize = 64;

/// Events are left out while the others have less room than this.
const COMMANDS_RESERVED: usize = COMMANDS_MAX / 2;

/// Facts waiting for the call's supervisor. One more is added to one of its kind, else dropped.
const NOTES_MAX: usize = 32;

/// Length of the ring from the transport to ingest; what does not fit waits behind it.
const INGEST_RING_MS: u32 = 320;

/// Spans in a ring: pieces of 1 ms may fill a whole tick.
const SPANS_MAX: usize = 64;

/// Room in the ring to the transport beyond the lead that a transport asks for.
const PLAYOUT_SLACK_MS: u32 = 60;

/// The connection that begins a call.
pub(super) const FIRST_LEG: LegId = LegId(1);

/// What the transport has: bytes in, commands out.
pub struct Leg {
    /// The call it belongs to.
    pub call_id: CallId,
    /// The call was running already and goes on with this connection.
    pub resumed: bool,
    /// Takes the caller's audio.
    pub input: LegInput,
    /// Gives the commands.
    pub output: LegOutput,
    /// Where the connection is carried best.
    pub seat: Seat,
}

/// What the call has.
pub struct LegEnds {
    /// What both halves share.
    pub shared: Arc<LegShared>,
    /// The caller's audio.
    pub audio_in: RingConsumer<Arrival>,
    /// Reply audio at the outgoing rate; used with [`Delivery::Paced`].
    pub playout: RingProducer<Epoch>,
    /// Commands for the transport.
    pub commands: CommandSender,
}

/// Makes both halves of a connection.
pub(super) fn connect(
    call_id: CallId,
    leg: LegId,
    seat: &Seat,
    request: &CallRequest,
    listening: &ListeningSettings,
    clock: Clock,
) -> (Leg, LegEnds) {
    let rate_in = request.format_in.rate;
    let (ingest_in, audio_in) = audio_ring(rate_in.samples_in_ms(INGEST_RING_MS), SPANS_MAX);
    let (playout, playout_out) =
        audio_ring(playout_samples(request.delivery, request.format_out.rate), SPANS_MAX);
    let (sender, receiver) = mpsc::channel(COMMANDS_MAX);
    let comes_back = leg > FIRST_LEG;
    let intake = Intake::new(request, listening, ingest_in, clock.now(), comes_back);
    let shared = Arc::new(LegShared {
        leg,
        clock,
        format_in: request.format_in,
        format_out: request.format_out,
        delivery: request.delivery,
        transport: request.transport,
        intake: Mutex::new(intake),
        audio_waiting: AtomicBool::new(false),
        refill_waiting: AtomicBool::new(false),
        bytes_in: AtomicU64::new(0),
        gauges: LegGauges::default(),
        events_left_out: AtomicU32::new(0),
        epoch: AtomicU32::new(0),
        playout_ready: Notify::new(),
        doorbell: OnceLock::new(),
        over: AtomicBool::new(false),
        end: OnceLock::new(),
        signal: AtomicBool::new(false),
        signals: Mutex::new(Signals::default()),
    });
    let commands = CommandSender { sender, shared: Arc::clone(&shared) };
    let leg = Leg {
        call_id,
        resumed: false,
        seat: seat.clone(),
        input: LegInput(Arc::clone(&shared)),
        output: LegOutput::new(Arc::clone(&shared), receiver, playout_out),
    };
    (leg, LegEnds { shared, audio_in, playout, commands })
}

fn playout_samples(delivery: Delivery, rate: SampleRate) -> usize {
    match delivery {
        Delivery::Paced { lead_ms, .. } => rate.samples_in_ms(lead_ms + PLAYOUT_SLACK_MS),
        // Sentences travel whole, as commands; a ring must hold something.
        Delivery::WholeSentences => 1,
    }
}

/// What both halves of a connection share.
pub struct LegShared {
    leg: LegId,
    clock: Clock,
    format_in: MediaFormat,
    format_out: MediaFormat,
    delivery: Delivery,
    transport: &'static str,
    intake: Mutex<Intake>,
    /// The ingest ring has something new.
    audio_waiting: AtomicBool,
    /// Audio waits behind the ring or for a missing predecessor.
    refill_waiting: AtomicBool,
    bytes_in: AtomicU64,
    gauges: LegGauges,
    /// Events that the transport was not told, and of which it does not know yet.
    events_left_out: AtomicU32,
    epoch: AtomicU32,
    playout_ready: Notify,
    /// Has the connection look whether audio came, where it does not look by itself.
    doorbell: OnceLock<Weak<Doorbell>>,
    /// The call is over, or went on to another connection.
    over: AtomicBool,
    /// Why the call ended, once it has.
    end: OnceLock<EndCause>,
    /// `signals` has something new.
    signal: AtomicBool,
    signals: Mutex<Signals>,
}

/// What the transport or the registry has to say to the supervisor.
#[derive(Default)]
pub(super) struct Signals {
    /// The call is to end.
    pub hang_up: Option<EndCause>,
    /// The caller's audio does not come any more.
    pub lost: bool,
    /// Nobody takes the commands any more.
    pub output_gone: bool,
    /// The connection that takes over.
    pub successor: Option<LegEnds>,
    /// Facts to be told.
    pub notes: Vec<CallEventKind>,
}

// === impl LegShared: the call's side ===

impl LegShared {
    /// Which connection of the call this is.
    pub(super) fn leg(&self) -> LegId {
        self.leg
    }

    /// Name of the transport.
    pub(super) fn transport(&self) -> &'static str {
        self.transport
    }

    /// How reply audio is handed over.
    pub(super) fn delivery(&self) -> Delivery {
        self.delivery
    }

    /// What the caller's audio is written in.
    pub(super) fn format_in(&self) -> MediaFormat {
        self.format_in
    }

    /// What the reply is written in.
    pub(super) fn format_out(&self) -> MediaFormat {
        self.format_out
    }

    /// Caller audio received, in bytes.
    pub(super) fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// What it shows of itself.
    pub(super) fn gauges(&self) -> &LegGauges {
        &self.gauges
    }

    /// Caller audio not yet processed. `None` while a transport is at it.
    pub(super) fn try_buffered_ms(&self) -> Option<u64> {
        self.intake.try_lock().map(|intake| intake.buffered_ms())
    }

    /// Whether audio came since this was asked last.
    pub(super) fn take_audio_waiting(&self) -> bool {
        self.audio_waiting.load(Ordering::Relaxed)
            && self.audio_waiting.swap(false, Ordering::AcqRel)
    }

    /// Has the connection look whether audio came.
    pub(super) fn doorbell(&self) -> Option<Arc<Doorbell>> {
        self.doorbell.get()?.upgrade()
    }

    /// Whether the supervisor has to look at the signals.
    pub(super) fn take_signal(&self) -> bool {
        self.signal.load(Ordering::Relaxed) && self.signal.swap(false, Ordering::AcqRel)
    }

    /// Takes what was signalled.
    pub(super) fn take_signals(&self) -> Signals {
        let mut signals = self.signals.lock();
        let mut taken = std::mem::take(&mut *signals);
        if taken.lost {
            // It will not read again, so this is the time to tell.
            taken.notes.extend(self.take_events_left_out());
        }
        // These stay true: a leg that is gone does not come back.
        signals.hang_up = taken.hang_up;
        signals.lost = taken.lost;
        signals.output_gone = taken.output_gone;
        taken
    }

    /// Whether audio waits for the ring, or for a missing predecessor.
    pub(super) fn has_waiting(&self) -> bool {
        self.refill_waiting.load(Ordering::Acquire)
    }

    /// Moves waiting audio into the ring. Returns whether any moved.
    pub(super) fn refill(&self, now: crate::types::Now) -> bool {
        if !self.has_waiting() {
            return false;
        }
        let mut intake = self.intake.lock();
        let moved = intake.refill(now);
        self.after_intake(&mut intake);
        moved
    }

    /// Opens an epoch: audio of earlier ones is not handed over any more.
    pub(super) fn open_epoch(&self, epoch: Epoch) {
        self.epoch.store(epoch.0, Ordering::Release);
    }

    /// Tells the transport that the playout ring has something new.
    pub(super) fn playout_written(&self) {
        self.playout_ready.notify_one();
    }

    /// Nothing is taken from this connection any more.
    pub(super) fn close(&self) {
        self.over.store(true, Ordering::Release);
    }

    /// Hands the call over to another connection.
    pub(super) fn succeed(&self, ends: LegEnds) {
        self.signals.lock().successor = Some(ends);
        self.signal.store(true, Ordering::Release);
    }

    /// Ends the call from outside.
    pub(super) fn hang_up(&self, cause: EndCause) {
        self.signals.lock().hang_up.get_or_insert(cause);
        self.signal.store(true, Ordering::Release);
    }

    /// Whether nobody is connected any more, as far as the transport knows.
    pub(super) fn is_lost(&self) -> bool {
        self.signals.lock().lost
    }

    /// Whether nothing is taken from it any more.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// Whether the call is over, or was told to end: its name is free for another call.
    pub(super) fn is_ending(&self) -> bool {
        self.is_over() || self.signals.lock().hang_up.is_some()
    }

    fn note(&self, fact: CallEventKind) {
        let mut signals = self.signals.lock();
        let is_full = signals.notes.len() >= NOTES_MAX;
        let is_absorbed = is_full && signals.notes.iter_mut().any(|note| note.absorb(&fact));
        if !is_full && !is_absorbed {
            signals.notes.push(fact);
        }
        self.signal.store(true, Ordering::Release);
    }

    fn take_events_left_out(&self) -> Option<CallEventKind> {
        let count = self.events_left_out.swap(0, Ordering::Relaxed);
        (count > 0).then_some(CallEventKind::EventsLeftOut { count })
    }

    /// Takes over what the intake found out; called with its lock held.
    fn after_intake(&self, intake: &mut Intake) {
        self.bytes_in.store(intake.bytes_in(), Ordering::Relaxed);
        self.refill_waiting.store(intake.has_waiting(), Ordering::Release);
        self.audio_waiting.store(true, Ordering::Release);
        if let Some(fact) = intake.take_note() {
            self.note(fact);
        }
    }
}

/// Where a transport puts the caller's audio. Clones are the same connection.
#[derive(Clone)]
pub struct LegInput(Arc<LegShared>);

impl LegInput {
    /// Names what the connection is visited by. The first one stays.
    pub(super) fn set_doorbell(&self, doorbell: Weak<Doorbell>) {
        let _one_is_known = self.0.doorbell.set(doorbell);
    }

    /// Takes the next bytes of a stream, any number: a part of a sample is carried
    /// over to the next call.
    pub fn stream(&self, bytes: &[u8]) -> StreamOutcome {
        self.take_in(|intake, now| intake.stream(bytes, now))
    }

    /// Takes the next samples of a stream that were decoded by the transport.
    /// `wire_bytes` is what they were on the wire, for the records.
    pub fn samples(&self, samples: &[i16], wire_bytes: u64) -> StreamOutcome {
        self.take_in(|intake, now| intake.samples(samples, wire_bytes, now))
    }

    fn take_in(&self, take: impl FnOnce(&mut Intake, crate::types::Now) -> bool) -> StreamOutcome {
        if self.0.over.load(Ordering::Acquire) {
            return StreamOutcome::Ended;
        }
        let now = self.0.clock.now();
        let mut intake = self.0.intake.lock();
        if !take(&mut intake, now) {
            return StreamOutcome::Full;
        }
        self.0.after_intake(&mut intake);
        StreamOutcome::Accepted
    }

    /// Takes a numbered chunk of whole samples.
    pub fn chunk(&self, sequence: u64, bytes: &[u8]) -> ChunkOutcome {
        if self.0.over.load(Ordering::Acquire) {
            return ChunkOutcome::Ended;
        }
        let now = self.0.clock.now();
        let mut intake = self.0.intake.lock();
        let outcome = intake.chunk(sequence, bytes, now);
        if outcome == ChunkOutcome::Accepted {
            self.0.after_intake(&mut intake);
        }
        outcome
    }

    /// What the carrier may be told.
    #[must_use]
    pub fn state(&self) -> IntakeState {
        let intake = self.0.intake.lock();
        IntakeState {
            next_sequence: intake.next_sequence(),
            buffered_ms: intake.buffered_ms(),
            epoch: Epoch(self.0.epoch.load(Ordering::Acquire)),
            running: !self.0.over.load(Ordering::Acquire),
        }
    }

    /// Reports that a piece of input was refused with the error `code`.
    pub fn refused(&self, code: &str) {
        self.0.note(CallEventKind::InputRefused { code: code.to_owned(), count: 1 });
    }

    /// Ends the call in an orderly way.
    pub fn hang_up(&self, cause: EndCause) {
        self.0.hang_up(cause);
    }

    /// Reports that the caller's audio does not come any more.
    pub fn lost(&self) {
        self.0.signals.lock().lost = true;
        self.0.signal.store(true, Ordering::Release);
    }
}

/// Where the call puts commands for its transport. Clones share one queue.
#[derive(Clone)]
pub struct CommandSender {
    sender: mpsc::Sender<LegCommand>,
    shared: Arc<LegShared>,
}

impl CommandSender {
    /// Queues a command that must arrive. A transport that lets the queue fill up
    /// does not read: its leg is lost.
    pub fn send(&self, command: LegCommand) {
        if self.sender.try_send(command).is_err() {
            LegInput(Arc::clone(&self.shared)).lost();
        }
    }

    /// Tells the end. Where there is no room for it, it follows what is queued.
    pub fn end(&self, cause: EndCause) {
        let _told_before = self.shared.end.set(cause);
        let _full = self.sender.try_send(LegCommand::End { cause });
    }

    /// Queues an event, unless the transport is behind: events are a courtesy. What is left
    /// out is counted, and told once the transport reads again.
    pub fn offer(&self, event: CallEvent) {
        if self.sender.is_closed() {
            return;
        }
        if self.sender.capacity() <= COMMANDS_RESERVED {
            self.leave_out(&event.kind);
            return;
        }
        if let Some(fact) = self.shared.take_events_left_out() {
            self.shared.note(fact);
        }
        let _gone = self.sender.try_send(LegCommand::Event(Arc::new(event)));
    }

    fn leave_out(&self, kind: &CallEventKind) {
        self.shared.gauges.left_out();
        // That something was left out is told once, not for ever.
        if !matches!(kind, CallEventKind::EventsLeftOut { .. }) {
            self.shared.events_left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}
