//! What one media connection shows of itself: counts that the media thread folds
//! into the metrics about once a second, and looks from outside that it answers.
//!
//! Plain atomics, written by whoever carries the audio. A look costs the call one
//! snapshot at its next tick; whoever asks waits, the media thread does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::leg::LegShared;
use crate::telemetry::Carried;
use crate::types::{CallSnapshot, RingFill};

/// Looks that may wait for one tick of a call. One more gets no answer.
const LOOKS_MAX: usize = 16;

/// The counts of one connection.
#[derive(Default)]
pub(super) struct LegGauges {
    /// Of the bytes received, those that were told.
    bytes_in_told: AtomicU64,
    bytes_out: AtomicU64,
    late_frames: AtomicU64,
    reply_gaps: AtomicU64,
    events_left_out: AtomicU64,
    /// The longest that the caller's audio waited since this was told, in milliseconds.
    waited_ms: AtomicU64,
    /// Reply audio that the transport has not taken.
    playout_ms: AtomicU64,
    /// `looks` holds something.
    looked_at: AtomicBool,
    looks: Mutex<Vec<oneshot::Sender<CallSnapshot>>>,
}

// === Who carries the audio ===

impl LegGauges {
    /// So many bytes were handed to the transport.
    pub fn sent(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// So much reply audio waits for the transport, and so many pieces of it were
    /// handed over too late.
    pub fn played(&self, waiting_ms: u64, late_frames: u32) {
        self.playout_ms.store(waiting_ms, Ordering::Relaxed);
        if late_frames > 0 {
            self.late_frames.fetch_add(u64::from(late_frames), Ordering::Relaxed);
        }
    }

    /// The caller's audio was heard so long after it came.
    pub fn audio_waited(&self, ms: u64) {
        if ms > self.waited_ms.load(Ordering::Relaxed) {
            self.waited_ms.store(ms, Ordering::Relaxed);
        }
    }

    /// So many times a sentence did not grow in time.
    pub fn waited_for_speech(&self, gaps: u32) {
        if gaps > 0 {
            self.reply_gaps.fetch_add(u64::from(gaps), Ordering::Relaxed);
        }
    }

    /// A transport that is behind is not told one event.
    pub fn left_out(&self) {
        self.events_left_out.fetch_add(1, Ordering::Relaxed);
    }
}

// === The media thread ===

impl LegShared {
    /// What the connection carried since this was asked last.
    pub(super) fn take_carried(&self) -> Carried {
        let gauges = self.gauges();
        let bytes_in = self.bytes_in();
        let told = gauges.bytes_in_told.swap(bytes_in, Ordering::Relaxed);
        Carried {
            bytes_in: bytes_in.saturating_sub(told),
            bytes_out: gauges.bytes_out.swap(0, Ordering::Relaxed),
            late_frames: gauges.late_frames.swap(0, Ordering::Relaxed),
            reply_gaps: gauges.reply_gaps.swap(0, Ordering::Relaxed),
            events_left_out: gauges.events_left_out.swap(0, Ordering::Relaxed),
            waited_ms: gauges.waited_ms.swap(0, Ordering::Relaxed),
            ..Carried::default()
        }
    }

    /// How much audio waits in the rings. `None` while a transport holds the
    /// intake: nobody waits for a look.
    pub(super) fn ring_fill(&self) -> Option<RingFill> {
        let playout_ms = self.gauges().playout_ms.load(Ordering::Relaxed);
        Some(RingFill { ingest_ms: self.try_buffered_ms()?, playout_ms })
    }

    /// Whether somebody waits for a snapshot.
    pub(super) fn is_looked_at(&self) -> bool {
        self.gauges().looked_at.load(Ordering::Relaxed)
    }

    /// Gives everybody who waits the same snapshot. Whoever is gone misses it.
    pub(super) fn show(&self, snapshot: impl FnOnce() -> CallSnapshot) {
        let gauges = self.gauges();
        if !gauges.looked_at.swap(false, Ordering::AcqRel) {
            return;
        }
        let looks = std::mem::take(&mut *gauges.looks.lock());
        let snapshot = snapshot();
        for look in looks {
            let _gone = look.send(snapshot.clone());
        }
    }

    /// Nobody will show anything any more.
    pub(super) fn close_looks(&self) {
        self.gauges().looks.lock().clear();
    }
}

// === Who looks ===

/// Asks for a snapshot. `None` when too many wait for one already.
pub(super) fn look(leg: &Arc<LegShared>) -> Option<oneshot::Receiver<CallSnapshot>> {
    let (answer, receiver) = oneshot::channel();
    let gauges = leg.gauges();
    let mut looks = gauges.looks.lock();
    if looks.len() >= LOOKS_MAX {
        return None;
    }
    looks.push(answer);
    gauges.looked_at.store(true, Ordering::Release);
    Some(receiver)
}
