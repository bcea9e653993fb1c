//! The caller's audio on its way into the ring: decoded, put in order, and fed no
//! faster than a burst allows.
//!
//! Runs on the transport's thread and, to move what waited, on the media thread,
//! always under the leg's lock. What it cannot take it refuses; what it took and drops,
//! it tells.

use std::collections::BTreeSet;

use super::link::{CallRequest, ChunkOutcome};
use super::scratch::with_scratch;
use crate::media::backlog::CREDIT_MS_MAX;
use crate::media::{
    Arrival, Backlog, Decoder, Insertion, Ordered, PaceWatch, ReorderWindow, RingProducer,
};
use crate::types::{CallEventKind, ListeningSettings, Now, SampleRate};

/// Longest chunk: it is decoded and waits as a whole.
const CHUNK_MS_MAX: u32 = 10_000;

/// A chunk that is held for its predecessors counts as this long at least: its number and
/// its place take memory too.
const HELD_MS_MIN: u32 = 1;

/// Numbers of refused chunks that are remembered, so that their arrival counts once.
const REFUSED_MAX: usize = 64;

/// The intake of one media connection.
pub(super) struct Intake {
    rate: SampleRate,
    decoder: Decoder,
    order: ReorderWindow<Vec<i16>>,
    /// Samples in `order`, with what a chunk counts for at least.
    held_samples: usize,
    /// Chunks that were given up and nobody was told of yet.
    missing_chunks: u64,
    chunk_samples_last: usize,
    backlog: Backlog,
    ring: RingProducer<Arrival>,
    pace: PaceWatch,
    refused: Refused,
    note: Option<CallEventKind>,
    bytes_in: u64,
}

/// What was refused for now has arrived all the same: its pace counts, once.
#[derive(Default)]
struct Refused {
    /// The next piece of the stream was.
    stream: bool,
    chunks: BTreeSet<u64>,
}

impl Intake {
    /// An intake that begins at `now`. A caller who comes back may bring what he said
    /// while he was away.
    pub fn new(
        request: &CallRequest,
        listening: &ListeningSettings,
        ring: RingProducer<Arrival>,
        now: Now,
        comes_back: bool,
    ) -> Self {
        let rate = request.format_in.rate;
        let behind_ms = if comes_back { CREDIT_MS_MAX } else { 0 };
        Self {
            rate,
            decoder: Decoder::new(request.format_in),
            order: ReorderWindow::new(
                request.first_sequence,
                request.sequence_ahead_max,
                listening.latency_ms_max,
            ),
            held_samples: 0,
            missing_chunks: 0,
            chunk_samples_last: 0,
            backlog: Backlog::new(rate, listening.burst_ms_max, now, behind_ms),
            ring,
            pace: PaceWatch::new(rate, now),
            refused: Refused::default(),
            note: None,
            bytes_in: 0,
        }
    }

    /// Takes bytes of a stream. `false`: full, nothing was taken.
    pub fn stream(&mut self, bytes: &[u8], now: Now) -> bool {
        if !self.has_room(self.decoder.samples_in(bytes.len()), now) {
            return false;
        }
        with_scratch(|scratch| {
            self.decoder.decode_stream(bytes, &mut scratch.samples);
            self.offer(&scratch.samples, now, now);
        });
        self.bytes_in += bytes.len() as u64;
        true
    }

    /// Takes decoded samples of a stream. `false`: full, nothing was taken.
    pub fn samples(&mut self, samples: &[i16], wire_bytes: u64, now: Now) -> bool {
        if !self.has_room(samples.len(), now) {
            return false;
        }
        self.offer(samples, now, now);
        self.bytes_in += wire_bytes;
        true
    }

    fn has_room(&mut self, samples: usize, now: Now) -> bool {
        let has_room = self.backlog.make_room(now, samples, self.held_samples);
        if !std::mem::replace(&mut self.refused.stream, !has_room) {
            self.watch_pace(samples, now);
        }
        has_room
    }

    /// Takes a numbered chunk.
    pub fn chunk(&mut self, sequence: u64, bytes: &[u8], now: Now) -> ChunkOutcome {
        match self.order.verdict(sequence) {
            Insertion::Accepted => {}
            Insertion::Duplicate => return ChunkOutcome::Duplicate,
            Insertion::TooFarAhead => return ChunkOutcome::TooFarAhead,
        }
        let count = self.decoder.samples_in(bytes.len());
        if count > self.rate.samples_in_ms(CHUNK_MS_MAX) {
            return ChunkOutcome::TooLong { ms_max: CHUNK_MS_MAX };
        }
        let has_room = self.backlog.make_room(now, count, self.held_samples);
        if self.refused.is_first(sequence, has_room) {
            self.watch_pace(count, now);
        }
        if !has_room {
            return ChunkOutcome::Full;
        }
        let mut samples = Vec::with_capacity(count);
        self.decoder.decode_stream(bytes, &mut samples);
        self.held_samples += self.held_for(samples.len());
        self.order.insert(sequence, now, samples);
        self.bytes_in += bytes.len() as u64;
        self.release_ordered(now);
        ChunkOutcome::Accepted
    }

    /// Moves what waits into the ring, as far as there is room and allowance.
    pub fn refill(&mut self, now: Now) -> bool {
        self.release_ordered(now);
        self.backlog.refill(now, &mut self.ring)
    }

    /// Whether something waits for room or for a missing predecessor.
    pub fn has_waiting(&self) -> bool {
        !self.backlog.is_empty() || self.held_samples > 0
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
        let behind = self.backlog.samples() + self.held_samples;
        self.rate.ms_of_samples((behind + self.ring.occupied_samples()) as u64)
    }

    fn release_ordered(&mut self, now: Now) {
        while let Some(next) = self.order.pop(now) {
            match next {
                Ordered::Chunk { chunk, arrived, .. } => {
                    self.held_samples -= self.held_for(chunk.len());
                    self.offer_missing(chunk.len());
                    self.chunk_samples_last = chunk.len();
                    self.offer(&chunk, arrived, now);
                }
                Ordered::Gap { missing } => self.missing_chunks += missing,
            }
        }
    }

    fn held_for(&self, samples: usize) -> usize {
        samples.max(self.rate.samples_in_ms(HELD_MS_MIN))
    }

    /// Puts the gap before a chunk of `samples` in its place. What is missing was as long
    /// as what came before it, or behind it.
    fn offer_missing(&mut self, samples: usize) {
        let chunks = std::mem::take(&mut self.missing_chunks);
        if chunks > 0 {
            let each = if self.chunk_samples_last > 0 { self.chunk_samples_last } else { samples };
            self.backlog.offer_gap(chunks.saturating_mul(each as u64), &mut self.ring);
        }
    }

    fn offer(&mut self, samples: &[i16], at: Now, now: Now) {
        self.backlog.offer(at, now, samples, &mut self.ring);
    }

    fn watch_pace(&mut self, samples: usize, now: Now) {
        if let Some(suspicion) = self.pace.handle_arrival(now, samples) {
            self.note = Some(CallEventKind::RateSuspected {
                declared_hz: suspicion.declared_hz,
                measured_hz: suspicion.measured_hz,
            });
        }
    }
}

impl Refused {
    /// Whether chunk number `sequence`, taken now or not, has not been here before.
    fn is_first(&mut self, sequence: u64, is_taken: bool) -> bool {
        if is_taken {
            return !self.chunks.remove(&sequence);
        }
        if self.chunks.len() == REFUSED_MAX {
            self.chunks.pop_first();
        }
        self.chunks.insert(sequence)
    }
}
