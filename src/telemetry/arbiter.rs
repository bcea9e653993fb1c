//! What the media threads tell: how late they are and what their calls carry.
//!
//! Called by the beat, at each look of admission and about once a second for each call,
//! never for a frame.
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
    open: Gauge,
    busy: Gauge,
    lateness: Gauge,
    lag: Histogram,
    late_frames: Counter,
}

/// The room of a media thread for calls. By default one without calls.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Room {
    /// It takes no new calls.
    pub is_closed: bool,
    /// Share of the last second in which it did not rest, 0 to 1.
    pub busy: f64,
    /// What 99.9 % of its due frames were no later than, in milliseconds.
    pub late_ms: u32,
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
    /// Gaps in reply audio because the synthesiser was slower than it is spoken.
    pub reply_gaps: u64,
    /// Events that a transport was not told because it was behind.
    pub events_left_out: u64,
    /// The longest that caller audio waited from its arrival until it was heard.
    pub waited_ms: u64,
    /// Samples with speech that was taken for the bot's echo.
    pub echo_samples: u64,
    /// Samples with speech that was much quieter than the caller.
    pub quiet_samples: u64,
}

impl ArbiterMeter {
    /// Registers the series of the media thread `arbiter`.
    pub(super) fn register(arbiter: usize, metrics: Arc<Metrics>) -> Self {
        let open =
            |metric: Metric| metric.register_open(vec![Label::new("arbiter", arbiter.to_string())]);
        let gauge = |metric: Metric| match open(metric) {
            Handle::Gauge(gauge) => gauge,
            _ => Gauge::noop(),
        };
        let meter = Self {
            metrics,
            calls: gauge(Metric::ArbiterCalls),
            open: gauge(Metric::ArbiterOpen),
            busy: gauge(Metric::ArbiterBusy),
            lateness: gauge(Metric::ArbiterLateness),
            lag: match open(Metric::ArbiterLag) {
                Handle::Histogram(histogram) => histogram,
                _ => Histogram::noop(),
            },
            late_frames: match open(Metric::LateFrames) {
                Handle::Counter(counter) => counter,
                _ => Counter::noop(),
            },
        };
        meter.room(Room::default());
        meter
    }

    /// Tells whether the thread takes calls, and what that is decided by.
    pub fn room(&self, room: Room) {
        self.open.set(f64::from(u8::from(!room.is_closed)));
        self.busy.set(room.busy);
        self.lateness.set(f64::from(room.late_ms) / 1_000.0);
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
        let Carried { bytes_in, bytes_out, late_frames, reply_gaps, events_left_out, .. } = carried;
        self.metrics.count(Metric::MediaBytes, &["in"], bytes_in);
        self.metrics.count(Metric::MediaBytes, &["out"], bytes_out);
        self.metrics.count(Metric::ReplyAudioGaps, &[], reply_gaps);
        self.metrics.count(Metric::CarrierEventsLeftOut, &[], events_left_out);
        self.metrics.observe_ms(Metric::AudioWait, &[], carried.waited_ms);
        self.metrics.count(Metric::SpeechLeftOut, &["echo"], carried.echo_samples);
        self.metrics.count(Metric::SpeechLeftOut, &["quiet"], carried.quiet_samples);
        self.late_frames.increment(late_frames);
    }
}

impl std::ops::AddAssign for Carried {
    fn add_assign(&mut self, other: Self) {
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.late_frames += other.late_frames;
        self.reply_gaps += other.reply_gaps;
        self.events_left_out += other.events_left_out;
        self.waited_ms = self.waited_ms.max(other.waited_ms);
        self.echo_samples += other.echo_samples;
        self.quiet_samples += other.quiet_samples;
    }
}
