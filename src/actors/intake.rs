//! The caller's audio on its way into the ring: decoded, put in order, and fed no
//! faster than a burst allows.
//!
//! Runs on the transport's thread and, to move what waited, on the media thread,
//! always under the leg's lock. It drops nothing: what it cannot take it refuses.

use std::collections::VecDeque;

use super::link::{CallRequest, ChunkOutcome};
use super::scratch::with_scratch;
use crate::media::{Decoder, Insertion, Ordered, PaceWatch, ReorderWindow, RingProducer};
use crate::types::{CallEventKind, ListeningSettings, Now, SampleRate};

/// A missing chunk is replaced by silence, but not by more than this at once.
const GAP_MS_MAX: u32 = 1_000;

/// How a span of the ingest ring came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// When its wait began.
    pub at: Now,
    /// When the next audio is due from a caller who keeps real-time pace.
    pub covers_until: Now,
    /// Samples at the carrier's rate that never came. Above zero only on a span
    /// without samples.
    pub missing: u32,
}

/// The intake of one media connection.
pub(super) struct Intake {
    rate: SampleRate,
    decoder: Decoder,
    order: ReorderWindow<Vec<i16>>,
    ring: RingProducer<Arrival>,
    /// Audio that found no room yet, oldest first.
    backlog: VecDeque<Waiting>,
    backlog_samples: usize,
    allowance: Allowance,
    pace: PaceWatch,
    note: Option<CallEventKind>,
    chunk_samples_last: usize,
    /// Missing samples that the next span has to tell.
    missing: u32,
    bytes_in: u64,
}

struct Waiting {
    samples: Vec<i16>,
    taken: usize,
}

impl Intake {
    pub fn new(
        request: &CallRequest,
        listening: &ListeningSettings,
        ring: RingProducer<Arrival>,
    ) -> Self {
        let rate = request.format_in.rate;
        Self {
            rate,
            decoder: Decoder::new(request.format_in),
            order: ReorderWindow::new(
                request.first_sequence,
                request.sequence_ahead_max,
                listening.latency_ms_max,
            ),
            ring,
            backlog: VecDeque::new(),
            backlog_samples: 0,
            allowance: Allowance::new(rate, listening.burst_ms_max),
            pace: PaceWatch::new(rate),
            note: None,
            chunk_samples_last: 0,
            missing: 0,
            bytes_in: 0,
        }
    }

    /// Takes bytes of a stream. `false`: full, nothing was taken.
    pub fn stream(&mut self, bytes: &[u8], now: Now) -> bool {
        if self.is_full() {
            return false;
        }
        with_scratch(|scratch| {
            self.decoder.decode_stream(bytes, &mut scratch.samples);
            self.offer(&scratch.samples, now);
        });
        self.bytes_in += bytes.len() as u64;
        true
    }

    /// Takes decoded samples of a stream. `false`: full, nothing was taken.
    pub fn samples(&mut self, samples: &[i16], wire_bytes: u64, now: Now) -> bool {
        if self.is_full() {
            return false;
        }
        self.offer(samples, now);
        self.bytes_in += wire_bytes;
        true
    }

    /// Takes a numbered chunk.
    pub fn chunk(&mut self, sequence: u64, bytes: &[u8], now: Now) -> ChunkOutcome {
        if sequence < self.order.next_expected() {
            return ChunkOutcome::Duplicate;
        }
        if self.is_full() {
            return ChunkOutcome::Full;
        }
        let mut samples = Vec::with_capacity(bytes.len());
        self.decoder.decode_stream(bytes, &mut samples);
        match self.order.insert(sequence, now, samples) {
            Insertion::Accepted => {
                self.bytes_in += bytes.len() as u64;
                self.release_ordered(now);
                ChunkOutcome::Accepted
            }
            Insertion::Duplicate => ChunkOutcome::Duplicate,
            Insertion::TooFarAhead => ChunkOutcome::TooFarAhead,
        }
    }

    /// Moves what waits into the ring, as far as there is room and allowance.
    pub fn refill(&mut self, now: Now) -> bool {
        self.release_ordered(now);
        let before = self.backlog_samples;
        while let Some(mut waiting) = self.backlog.pop_front() {
            let taken = self.feed(&waiting.samples[waiting.taken..], now);
            waiting.taken += taken;
            self.backlog_samples -= taken;
            if waiting.taken < waiting.samples.len() {
                self.backlog.push_front(waiting);
                break;
            }
        }
        self.backlog_samples < before
    }

    /// Whether something waits for room or for a missing predecessor.
    pub fn has_waiting(&self) -> bool {
        !self.backlog.is_empty() || self.order.poll_timeout().is_some()
    }

    /// Something the intake found out about the caller's audio.
    pub fn take_note(&mut self) -> Option<CallEventKind> {
        self.note.take()
    }

    pub fn bytes_in(&self) -> u64 {
        self.bytes_in
    }

    pub fn next_sequence(&self) -> u64 {
        self.order.next_expected()
    }

    /// Audio that was taken and not processed yet, in milliseconds.
    pub fn buffered_ms(&self) -> u64 {
        let samples = self.backlog_samples + self.ring.occupied_samples();
        self.rate.ms_of_samples(samples as u64)
    }

    fn is_full(&self) -> bool {
        self.backlog_samples >= self.allowance.samples_max
    }

    fn release_ordered(&mut self, now: Now) {
        while let Some(next) = self.order.pop(now) {
            match next {
                Ordered::Chunk { chunk, .. } => self.offer(&chunk, now),
                Ordered::Gap { missing } => self.note_gap(missing),
            }
        }
    }

    fn note_gap(&mut self, chunks: u64) {
        let samples = chunks.saturating_mul(self.chunk_samples_last as u64);
        let samples_max = self.rate.samples_in_ms(GAP_MS_MAX) as u64;
        self.missing = u32::try_from(samples.min(samples_max)).unwrap_or(u32::MAX);
    }

    fn offer(&mut self, samples: &[i16], now: Now) {
        self.chunk_samples_last = samples.len();
        if let Some(suspicion) = self.pace.handle_arrival(now, samples.len()) {
            self.note = Some(CallEventKind::RateSuspected {
                declared_hz: suspicion.declared_hz,
                measured_hz: suspicion.measured_hz,
            });
        }
        let taken = if self.backlog.is_empty() { self.feed(samples, now) } else { 0 };
        if taken < samples.len() {
            self.backlog_samples += samples.len() - taken;
            self.backlog.push_back(Waiting { samples: samples[taken..].to_vec(), taken: 0 });
        }
    }

    /// Feeds the ring; returns how many samples it took.
    fn feed(&mut self, samples: &[i16], now: Now) -> usize {
        let count = samples.len().min(self.allowance.available(now));
        let lasts_ms = self.rate.ms_of_samples(samples.len() as u64);
        let covers_until = now.plus_ms(u32::try_from(lasts_ms).unwrap_or(u32::MAX));
        let arrival = Arrival { at: now, covers_until, missing: 0 };
        if self.missing > 0 && !self.ring.push_mark(Arrival { missing: self.missing, ..arrival }) {
            return 0;
        }
        self.missing = 0;
        let taken = self.ring.push(&samples[..count], arrival);
        self.allowance.spend(taken);
        taken
    }
}

/// How far ahead of real time a caller may be: a bucket of samples that fills at
/// the declared rate. Real-time pace on average never finds it empty.
struct Allowance {
    rate: SampleRate,
    samples_max: usize,
    level: usize,
    filled_at: Option<Now>,
}

impl Allowance {
    fn new(rate: SampleRate, burst_ms_max: u32) -> Self {
        let samples_max = rate.samples_in_ms(burst_ms_max);
        Self { rate, samples_max, level: samples_max, filled_at: None }
    }

    fn available(&mut self, now: Now) -> usize {
        let since = *self.filled_at.get_or_insert(now);
        let gained =
            self.rate.samples_in_ms(u32::try_from(now.ms_since(since)).unwrap_or(u32::MAX));
        if gained > 0 {
            self.level = (self.level + gained).min(self.samples_max);
            // Whole milliseconds only, so that no fraction is lost.
            let gained_ms = u32::try_from(now.ms_since(since)).unwrap_or(u32::MAX);
            self.filled_at = Some(since.plus_ms(gained_ms));
        }
        self.level
    }

    fn spend(&mut self, samples: usize) {
        self.level = self.level.saturating_sub(samples);
    }
}
