//! What the media threads tell: how late they are and what their calls carry.
//!
//! Called by the beat and about once a second for each call, never for a frame.
//! The series of a thread are registered when it starts; the number of threads is
//! configured, so the number of series is known.

use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, Label};

use super::metrics::{Handle, Metric, Metrics};
use crate::types::RingFill;

/// Tells for one media thread. Kept by its driver.
pub struct ArbiterMeter {
    metrics: Arc<Metrics>,
    calls: Gauge,
    lag: Histogram,
    late_frames: Counter,
}

/// What the media connections of a call carried since it was asked last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes handed to the transport.
    pub bytes_out: u64,
    /// Pieces of reply audio handed over after they should have been heard.
    pub late_frames: u64,
}

impl ArbiterMeter {
    /// Registers the series of the media thread `arbiter`.
    pub(super) fn register(arbiter: usize, metrics: Arc<Metrics>) -> Self {
        let open =
            |metric: Metric| metric.register_open(vec![Label::new("arbiter", arbiter.to_string())]);
        Self {
            metrics,
            calls: match open(Metric::ArbiterCalls) {
                Handle::Gauge(gauge) => gauge,
                _ => Gauge::noop(),
            },
            lag: match open(Metric::ArbiterLag) {
                Handle::Histogram(histogram) => histogram,
                _ => Histogram::noop(),
            },
            late_frames: match open(Metric::LateFrames) {
                Handle::Counter(counter) => counter,
                _ => Counter::noop(),
            },
        }
    }

    /// Tells how late a beat was.
    pub fn beat(&self, lag: Duration) {
        self.lag.record(lag.as_secs_f64());
    }

    /// Tells how many calls the thread has.
    pub fn calls(&self, count: usize) {
        self.calls.set(count as f64);
    }

    /// Tells how much audio waits in the rings of one call.
    pub fn rings(&self, fill: RingFill) {
        self.metrics.observe_ms(Metric::RingFill, &["ingest"], fill.ingest_ms);
        self.metrics.observe_ms(Metric::RingFill, &["playout"], fill.playout_ms);
    }

    /// Tells what one call carried.
    pub fn carried(&self, carried: Carried) {
        let Carried { bytes_in, bytes_out, late_frames } = carried;
        self.metrics.count(Metric::MediaBytes, &["in"], bytes_in);
        self.metrics.count(Metric::MediaBytes, &["out"], bytes_out);
        self.late_frames.increment(late_frames);
    }
}

impl std::ops::AddAssign for Carried {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.late_frames += other.late_frames;
    }
}
