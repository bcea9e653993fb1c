//! Ingest: takes the caller's audio off the ring, drops what waited too long, and
//! brings the rest to the inner rate for Vad. It never looks at what it carries.
//!
//! When nothing comes, it says so twice: once when it might be the silence that ends an
//! utterance, and once when it has been too long for a stall of the network. What to make
//! of the first is for whoever heard what came before.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Context as TaskContext;

use actix::{Actor, Context};

use super::clock::Clock;
use super::driver::CallPulses;
use super::lease::Lease;
use super::leg::LegShared;
use super::messages::{Report, Reporter};
use super::pulse::{Driven, Pulse, start_driving};
use super::rounds::ROUND_MS;
use super::scratch::with_scratch;
use crate::media::backlog::{GAP_MS_MAX, Timing};
use crate::media::{Arrival, Resampler, RingConsumer, RingProducer};
use crate::types::{CallEventKind, ChildKind, INNER_RATE, ListeningSettings, Now, SampleRate};

/// Samples moved at once, at the carrier's rate.
const PIECE_SAMPLES: usize = 960;

/// Room that one piece may need at the inner rate: twice as much, from 8 kHz, and
/// what the resampler still held.
const PIECE_ROOM: usize = 2 * PIECE_SAMPLES + 64;

/// Most silence in place of audio that is not there.
const GAP_SAMPLES_MAX: usize = INNER_RATE.samples_in_ms(GAP_MS_MAX);

/// How long nothing may come before the caller counts as no longer sending: longer than
/// the network of a phone that changes cells is away, so that it cuts no word.
const STALL_MS_MAX: u32 = 1_500;

/// A stall that is noticed so much too late was not watched: this thread did not run.
const UNWATCHED_MS: u64 = 50;

/// Time to read what came while this thread did not run: two visits of each connection.
const READ_MS: u32 = 2 * ROUND_MS as u32;

/// What a span of the ring between Ingest and Vad means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inner {
    /// Audio at the inner rate.
    Audio,
    /// Nothing has come for as long as the silence that ends an utterance.
    Paused,
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
    /// What is said next when nothing comes; `None` after all was said.
    quiet: Option<Quiet>,
    /// At the inner rate.
    dropped_samples: u64,
    /// Silence still to be put in, at the inner rate.
    gap_left: usize,
}

/// Nothing has come since the next audio was due.
#[derive(Clone, Copy)]
struct Quiet {
    since: Now,
    /// What is said next, and when.
    says: Inner,
    at: Now,
    /// Whether this thread was too late to know once.
    unwatched: bool,
}

impl IngestActor {
    /// A child that goes on where the ring stands.
    #[must_use]
    pub fn new(parts: Ingest) -> Self {
        Self {
            resampler: Resampler::to_inner(parts.rate),
            parts,
            quiet: None,
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
        match arrival {
            Arrival::Audio(timing) => self.move_audio_piece(now, timing, left),
            Arrival::Dropped(samples) => self.is_dropped(samples),
            Arrival::Missing(samples) => {
                self.parts.audio_in.skip_span();
                let samples = self.parts.rate.at_inner_rate(samples);
                self.put_silence(samples);
                self.parts.reporter.tell(Report::Noted(CallEventKind::AudioGap { samples }));
            }
        }
    }

    fn move_audio_piece(&mut self, now: Now, timing: Timing, left: usize) {
        self.parts.leg.gauges().audio_waited(now.ms_since(timing.at));
        if now.ms_since(timing.due) > u64::from(self.parts.listening.latency_ms_max) {
            self.is_dropped(left as u64);
        } else {
            self.convert_piece();
        }
        // The last piece of a long chunk does not cover the whole of it.
        let since = self.quiet.map(|quiet| quiet.since).max(Some(timing.covers_until.max(now)));
        self.quiet = since.map(|since| self.pause_after(since));
    }

    fn is_dropped(&mut self, samples: u64) {
        self.parts.audio_in.skip_span();
        let samples = self.parts.rate.at_inner_rate(samples);
        self.dropped_samples += samples;
        self.put_silence(samples);
    }

    /// Silence takes the place of what is not there, so that positions stay true.
    fn put_silence(&mut self, samples: u64) {
        let samples = usize::try_from(samples).unwrap_or(usize::MAX);
        self.gap_left = self.gap_left.saturating_add(samples).min(GAP_SAMPLES_MAX);
    }

    /// Puts the silence in. Returns whether all of it is.
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

    /// What is said when nothing comes after `since`.
    fn pause_after(&self, since: Now) -> Quiet {
        let at = since.plus_ms(self.parts.listening.silence_ms_end);
        Quiet { since, says: Inner::Paused, at, unwatched: false }
    }

    /// Says that nothing comes, if that is so. What waits has come.
    fn check_quiet(&mut self, now: Now) {
        if self.parts.leg.has_waiting() {
            return;
        }
        while let Some(quiet) = self.quiet.filter(|quiet| quiet.at <= now) {
            if !quiet.unwatched && now.ms_since(quiet.at) > UNWATCHED_MS {
                self.quiet = Some(Quiet { at: now.plus_ms(READ_MS), unwatched: true, ..quiet });
            } else if self.fill_gap() && self.parts.inner.push_mark(quiet.says) {
                self.quiet = (quiet.says == Inner::Paused).then(|| self.stall_after(quiet));
            } else {
                return;
            }
        }
    }

    fn stall_after(&self, quiet: Quiet) -> Quiet {
        let silence_ms = self.parts.listening.silence_ms_end;
        let at = quiet.since.plus_ms(STALL_MS_MAX.max(silence_ms)).max(quiet.at);
        Quiet { says: Inner::Stalled, at, ..quiet }
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
        self.check_quiet(now);
        let sent = self.parts.reporter.flush();
        self.parts.pulses.wake(ChildKind::Vad);
        self.parts.pulse.set_due(if blocked || !sent {
            Some(now)
        } else {
            self.quiet.map(|quiet| quiet.at)
        });
    }
}
