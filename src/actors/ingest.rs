//! Ingest: takes the caller's audio off the ring, drops what waited too long, and
//! brings the rest to the inner rate for Vad. It never looks at what it carries.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::clock::Clock;
use super::driver::CallPulses;
use super::intake::Arrival;
use super::lease::Lease;
use super::leg::LegShared;
use super::messages::{Report, Reporter};
use super::pulse::{Driven, Pulse, start_driving};
use super::scratch::with_scratch;
use crate::media::{Resampler, RingConsumer, RingProducer};
use crate::types::{CallEventKind, ChildKind, INNER_RATE, ListeningSettings, Now, SampleRate};

/// Samples moved at once, at the carrier's rate.
const PIECE_SAMPLES: usize = 960;

/// Room that one piece may need at the inner rate: twice as much, from 8 kHz, and
/// what the resampler still held.
const PIECE_ROOM: usize = 2 * PIECE_SAMPLES + 64;

/// What a span of the ring between Ingest and Vad means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// Audio at the inner rate.
    Audio,
    /// The caller stopped sending: what follows begins anew.
    Stalled,
}

/// What Ingest works with.
pub struct Ingest {
    pub(super) clock: Clock,
    pub(super) listening: ListeningSettings,
    pub(super) rate: SampleRate,
    pub(super) leg: Arc<LegShared>,
    pub(super) audio_in: Lease<RingConsumer<Arrival>>,
    pub(super) inner: Lease<RingProducer<Inner>>,
    pub(super) reporter: Reporter,
    pub(super) pulse: Rc<Pulse>,
    pub(super) pulses: Rc<CallPulses>,
}

/// The child.
pub struct IngestActor {
    parts: Ingest,
    resampler: Resampler,
    /// When the caller counts as no longer sending; `None` after that was said.
    stalls_at: Option<Now>,
    dropped_samples: u64,
    /// Silence still to be put in, at the inner rate.
    gap_left: usize,
}

impl IngestActor {
    /// A child that goes on where the ring stands.
    #[must_use]
    pub fn new(parts: Ingest) -> Self {
        Self {
            resampler: Resampler::to_inner(parts.rate),
            parts,
            stalls_at: None,
            dropped_samples: 0,
            gap_left: 0,
        }
    }

    /// Moves what is there. Returns whether Vad's ring has to be emptied first.
    fn move_audio(&mut self, now: Now) -> bool {
        loop {
            while let Some((arrival, left)) = self.parts.audio_in.peek() {
                if !self.fill_gap() || self.parts.inner.vacant_samples() < PIECE_ROOM {
                    return true;
                }
                self.move_piece(now, arrival, left);
            }
            if !self.parts.leg.refill(now) {
                return false;
            }
        }
    }

    fn move_piece(&mut self, now: Now, arrival: Arrival, left: usize) {
        if arrival.missing > 0 {
            self.audio_is_missing(arrival.missing);
        } else if now.ms_since(arrival.at) > u64::from(self.parts.listening.latency_ms_max) {
            self.parts.audio_in.skip_span();
            self.dropped_samples += left as u64;
            // Silence takes its place, so that positions stay true.
            self.gap_left += self.at_inner_rate(left as u64);
        } else {
            self.convert_piece();
            let silence_ms = self.parts.listening.silence_ms_end;
            let stalls_at = arrival.covers_until.max(now).plus_ms(silence_ms);
            // The last piece of a long chunk does not cover the whole of it.
            self.stalls_at = self.stalls_at.max(Some(stalls_at));
        }
    }

    fn audio_is_missing(&mut self, samples: u32) {
        self.parts.audio_in.skip_span();
        let missing = self.at_inner_rate(u64::from(samples));
        self.gap_left += missing;
        let samples = missing as u64;
        self.parts.reporter.tell(Report::Noted(CallEventKind::AudioGap { samples }));
    }

    fn at_inner_rate(&self, samples: u64) -> usize {
        let inner = samples * u64::from(INNER_RATE.hz()) / u64::from(self.parts.rate.hz());
        usize::try_from(inner).unwrap_or(usize::MAX)
    }

    /// Puts silence where audio is missing, so that positions stay true. Returns
    /// whether the gap is filled.
    fn fill_gap(&mut self) -> bool {
        const SILENCE: [i16; PIECE_SAMPLES] = [0; PIECE_SAMPLES];
        while self.gap_left > 0 {
            let piece = &SILENCE[..self.gap_left.min(PIECE_SAMPLES)];
            let taken = self.parts.inner.push(piece, Inner::Audio);
            if taken == 0 {
                return false;
            }
            self.gap_left -= taken;
        }
        true
    }

    fn convert_piece(&mut self) {
        with_scratch(|scratch| {
            self.parts.audio_in.pop(PIECE_SAMPLES, &mut scratch.samples);
            self.resampler.process(&scratch.samples, &mut scratch.converted);
            let taken = self.parts.inner.push(&scratch.converted, Inner::Audio);
            debug_assert_eq!(taken, scratch.converted.len(), "room was checked");
        });
    }

    fn report_drops(&mut self) {
        let samples = std::mem::take(&mut self.dropped_samples);
        if samples > 0 {
            self.parts.reporter.tell(Report::Noted(CallEventKind::AudioDropped { samples }));
        }
    }

    /// Says once that the caller stopped sending.
    fn check_stall(&mut self, now: Now) {
        if self.stalls_at.is_some_and(|at| at <= now) && self.parts.inner.push_mark(Inner::Stalled)
        {
            self.stalls_at = None;
        }
    }
}

impl Actor for IngestActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        start_driving(ctx);
    }
}

impl Driven for IngestActor {
    fn pulse(&self) -> &Rc<Pulse> {
        &self.parts.pulse
    }

    fn drive(&mut self, _: &mut Context<Self>, _: &mut TaskContext<'_>) {
        sabotage!(Ingest, "drive");
        let now = self.parts.clock.now();
        let blocked = self.move_audio(now);
        self.report_drops();
        self.check_stall(now);
        let sent = self.parts.reporter.flush();
        self.parts.pulses.wake(ChildKind::Vad);
        self.parts.pulse.set_due(if blocked || !sent { Some(now) } else { self.stalls_at });
    }
}
