//! Vad: has the detector listen and reports speech edges and whole utterances.
//! What to make of them is the supervisor's.

use std::rc::Rc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::clock::Clock;
use super::driver::CallPulses;
use super::ingest::Inner;
use super::lease::Lease;
use super::messages::{Report, Reporter};
use super::orders::ListeningOrders;
use super::played::PlayedRecord;
use super::pulse::{Driven, Pulse, start_driving};
use super::rounds::ROUND_MS;
use super::scratch::with_scratch;
use crate::media::{FinderParts, LeftOut, RingConsumer, SegmenterEvent, SpeechFinder};
use crate::services::SpeechFeed;
use crate::types::{INNER_RATE, MediaTime, Now, Route, UtteranceEnd};

/// Samples given to the detector at once. Few, because this much is lost when the
/// detector panics.
const PIECE_SAMPLES: usize = 256;

/// Pieces worked off in one go (2 s of audio), then the thread's other calls are served.
const PIECES_PER_DRIVE: usize = 125;

/// Audio is fed to a recogniser that follows speech in pieces of at least so many samples
/// (200 ms): each one wakes a thread and becomes a message on the network.
const FEED_SAMPLES: usize = INNER_RATE.samples_in_ms(200);

/// Where so little (130 ms) may decide about an utterance, more is asked for at once: the
/// time between two visits, and a tick or two until somebody knows.
const TURN_NEAR_SAMPLES: usize = INNER_RATE.samples_in_ms(ROUND_MS as u32 + 30);

/// What Vad works with.
pub struct Vad {
    pub(super) clock: Clock,
    pub(super) inner: Lease<RingConsumer<Inner>>,
    pub(super) orders: ListeningOrders,
    /// The way to the recogniser of the utterance in progress, where it is followed.
    pub(super) feed: Lease<Option<SpeechFeed>>,
    pub(super) follows_speech: bool,
    /// What the finder knew when the child before this one ended.
    pub(super) finder: Lease<FinderParts>,
    /// What the caller hears of the bot.
    pub(super) played: PlayedRecord,
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

    /// Closes the utterance in progress, with all that is there of it.
    fn close_if_ordered(&mut self) {
        if let Some(end) = self.parts.orders.close_pending() {
            sabotage!(Vad, "close utterance");
            let now = self.parts.clock.now();
            while self.listen(now) {}
            self.finder.end_input(end);
            self.parts.orders.closed();
            self.report();
        }
    }

    /// Listens to what is there. Returns whether something is left for the next time.
    fn listen(&mut self, now: Now) -> bool {
        for _ in 0..PIECES_PER_DRIVE {
            if !self.listen_to_piece(now) {
                return false;
            }
            self.report();
        }
        true
    }

    fn listen_to_piece(&mut self, now: Now) -> bool {
        with_scratch(|scratch| {
            let Some((mark, _)) = self.parts.inner.pop(PIECE_SAMPLES, &mut scratch.samples) else {
                return false;
            };
            match mark {
                Inner::Audio => {
                    // What waits behind it came later.
                    let waiting = MediaTime(self.parts.inner.occupied_samples() as u64);
                    let came = Now(now.0.saturating_sub(waiting.as_nanos()));
                    let finder = &mut self.finder;
                    self.parts.played.with(|played| {
                        finder.handle_samples_over(&scratch.samples, came, played);
                    });
                }
                Inner::Paused => self.finder.pause_input(),
                Inner::Stalled => self.finder.end_input(UtteranceEnd::Stalled),
            }
            true
        })
    }

    fn report(&mut self) {
        self.parts.pulses.set_heard_until(self.finder.position());
        let left_out = self.finder.take_left_out();
        if left_out != LeftOut::default() {
            self.parts.pulses.left_out(left_out);
        }
        self.parts.pulses.set_turn_is_near(self.finder.turns_within(TURN_NEAR_SAMPLES));
        while let Some(event) = self.finder.poll_event() {
            let begins = matches!(event, SegmenterEvent::SpeechStarted { .. });
            if let SegmenterEvent::UtteranceReady { audio, .. } = &event
                && let Some(feed) = self.parts.feed.take()
            {
                feed.end(audio.clone());
            }
            let position = self.finder.position();
            self.parts.reporter.tell(Report::Speech { event, position });
            if begins && self.parts.follows_speech {
                let feed = self.parts.feed.insert(SpeechFeed::begin());
                self.parts.reporter.tell(Report::Spoken(feed.speech()));
            }
        }
    }

    /// Feeds what is certain of the utterance in progress, a piece at a time.
    fn feed(&mut self) {
        let Some(feed) = self.parts.feed.as_mut() else { return };
        let Some([first, second]) = self.finder.open_utterance() else { return };
        if first.len() + second.len() >= feed.fed() + FEED_SAMPLES {
            let unfed = &first[feed.fed().min(first.len())..];
            let fed_of_second = feed.fed().saturating_sub(first.len());
            feed.append([unfed, &second[fed_of_second..]]);
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
        self.close_if_ordered();
        let more = self.listen(self.parts.clock.now());
        self.report();
        self.feed();
        let sent = self.parts.reporter.flush();
        if more || !sent {
            self.parts.pulse.set_due(Some(Now::default()));
        }
    }
}

impl Drop for VadActor {
    fn drop(&mut self) {
        *self.parts.finder = self.finder.take_parts();
    }
}
