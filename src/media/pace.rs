//! Notices audio that runs at half or double its declared rate.
//!
//! A carrier that declares 16 kHz and sends 8 kHz is understood by nobody, and
//! nothing but the pace gives it away. The rule, and why honest senders keep it:
//!
//! * The stream is cut into windows that begin and end with an arrival and last at
//!   least [`WINDOW_MS_MIN`]. What arrives after the beginning belongs to the
//!   window: a chunk is sent when it is full, so it stands for the time before it,
//!   and large chunks simply make longer windows.
//! * Every window of a stretch must run at half (or every one at double) the
//!   declared rate, [`WINDOWS_MIN`] windows or more. Pauses, callers whose silence is
//!   not sent, jitter, and files sent as fast as the line takes them put other paces
//!   in between, and the stretch begins anew.
//! * At half pace the stretch must last [`STRETCH_MS_MIN`].
//! * At double pace the audio must be [`LEAD_MS_MIN`] ahead of real time, counted from
//!   the first arrival: whoever catches up after a stall sends fast, but is never
//!   ahead. No more is waited for, because a sender who is further ahead than two
//!   bursts is slowed down to real time, and then nothing shows any more.
//!
//! A file sent at exactly double speed is reported too. It looks no different, and
//! the report says "suspected". Nothing is corrected here.

use crate::types::{Now, SampleRate};

/// Shortest window that a pace is taken from.
pub const WINDOW_MS_MIN: u32 = 500;
/// Windows in a row that must agree.
pub const WINDOWS_MIN: u32 = 5;
/// Shortest stretch at half pace.
pub const STRETCH_MS_MIN: u64 = 5_000;
/// Lead over real time that no burst and no catching up explains.
pub const LEAD_MS_MIN: u64 = 3_000;

/// What counts as about half the declared rate.
const HALF: std::ops::RangeInclusive<f64> = 0.4..=0.6;
/// What counts as about double the declared rate.
const DOUBLE: std::ops::RangeInclusive<f64> = 1.7..=2.3;

/// Audio arrives at a pace that contradicts its declared rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSuspected {
    /// What the carrier said.
    pub declared_hz: u32,
    /// Samples a second that arrived.
    pub measured_hz: u32,
}

/// Watches the arrivals of one connection, and reports at most once.
#[derive(Clone, Debug)]
pub struct PaceWatch {
    declared: SampleRate,
    /// From the first arrival on, without what it brought.
    all: Option<Span>,
    window: Option<Span>,
    stretch: Option<Stretch>,
    reported: bool,
}

/// Audio that arrived after an instant.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Now,
    samples: u64,
}

/// Windows in a row that run at the same wrong pace.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    pace: Pace,
    windows: u32,
    span: Span,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Half,
    Double,
}

impl PaceWatch {
    /// A watch of a connection that declared `declared`.
    #[must_use]
    pub fn new(declared: SampleRate) -> Self {
        Self { declared, all: None, window: None, stretch: None, reported: false }
    }

    /// Takes note of `samples` of one channel, at the declared rate, that arrived at
    /// `now`.
    pub fn handle_arrival(&mut self, now: Now, samples: usize) -> Option<RateSuspected> {
        if self.reported {
            return None;
        }
        let begin = Span { since: now, samples: 0 };
        let (Some(all), Some(window)) = (&mut self.all, &mut self.window) else {
            (self.all, self.window) = (Some(begin), Some(begin));
            return None;
        };
        all.samples += samples as u64;
        window.samples += samples as u64;
        if now.ms_since(window.since) < u64::from(WINDOW_MS_MIN) {
            return None;
        }
        let closed = std::mem::replace(window, begin);
        self.extend_stretch(closed, now);
        self.suspicion(now)
    }

    fn extend_stretch(&mut self, window: Span, now: Now) {
        self.stretch = self.pace_of(window, now).map(|pace| match self.stretch {
            Some(Stretch { pace: before, windows, span }) if before == pace => {
                let span = Span { samples: span.samples + window.samples, ..span };
                Stretch { pace, windows: windows + 1, span }
            }
            _ => Stretch { pace, windows: 1, span: window },
        });
    }

    fn suspicion(&mut self, now: Now) -> Option<RateSuspected> {
        let stretch = self.stretch?;
        let is_sure = match stretch.pace {
            Pace::Half => now.ms_since(stretch.span.since) >= STRETCH_MS_MIN,
            Pace::Double => self.lead_ms(now) >= LEAD_MS_MIN,
        };
        if stretch.windows < WINDOWS_MIN || !is_sure {
            return None;
        }
        self.reported = true;
        let measured_hz = stretch.span.samples_a_second(now).round() as u32;
        Some(RateSuspected { declared_hz: self.declared.hz(), measured_hz })
    }

    fn pace_of(&self, window: Span, now: Now) -> Option<Pace> {
        let pace = window.samples_a_second(now) / f64::from(self.declared.hz());
        if HALF.contains(&pace) {
            Some(Pace::Half)
        } else if DOUBLE.contains(&pace) {
            Some(Pace::Double)
        } else {
            None
        }
    }

    fn lead_ms(&self, now: Now) -> u64 {
        let Some(all) = self.all else { return 0 };
        self.declared.ms_of_samples(all.samples).saturating_sub(now.ms_since(all.since))
    }
}

impl Span {
    /// Asked only once time has passed since the beginning.
    fn samples_a_second(self, now: Now) -> f64 {
        self.samples as f64 * 1e9 / (now.0 - self.since.0) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends pieces of `samples` every `every_ms` from `from_ms` on, for `for_ms`, each
    /// moved by up to `jitter_ms` in a fixed pattern.
    struct Sender {
        samples: usize,
        every_ms: u64,
        jitter_ms: u64,
    }

    impl Sender {
        fn arrivals(&self, from_ms: u64, for_ms: u64) -> Vec<(u64, usize)> {
            (0..for_ms / self.every_ms)
                .map(|n| {
                    let jitter = n * 7 % 11 * self.jitter_ms / 10;
                    (from_ms + n * self.every_ms + jitter, self.samples)
                })
                .collect()
        }
    }

    fn sender(samples: usize, every_ms: u64) -> Sender {
        Sender { samples, every_ms, jitter_ms: 0 }
    }

    /// What a watch of an 8 kHz stream reports, and when.
    fn watch(arrivals: impl IntoIterator<Item = (u64, usize)>) -> Vec<(u64, u32)> {
        let mut sorted: Vec<_> = arrivals.into_iter().collect();
        sorted.sort_by_key(|(ms, _)| *ms);
        let mut watch = PaceWatch::new(SampleRate::new(8_000).unwrap());
        sorted
            .into_iter()
            .filter_map(|(ms, samples)| {
                let suspected = watch.handle_arrival(Now(ms * 1_000_000), samples)?;
                assert_eq!(suspected.declared_hz, 8_000);
                Some((ms, suspected.measured_hz))
            })
            .collect()
    }

    fn measured(arrivals: Vec<(u64, usize)>) -> Option<u32> {
        let reports = watch(arrivals);
        assert!(reports.len() <= 1, "reported more than once: {reports:?}");
        reports.first().map(|(_, hz)| *hz)
    }

    #[test]
    fn double_pace_is_reported_once_at_a_lead_of_three_seconds_and_half_after_five() {
        assert_eq!(watch(sender(320, 20).arrivals(0, 60_000)), [(3_000, 16_000)]);
        assert_eq!(watch(sender(80, 20).arrivals(0, 60_000)), [(5_000, 4_000)]);
    }

    #[test]
    fn chunks_of_two_seconds_are_measured_too() {
        assert_eq!(measured(sender(32_000, 2_000).arrivals(0, 30_000)), Some(16_000));
        assert_eq!(measured(sender(8_000, 2_000).arrivals(0, 30_000)), Some(4_000));
    }

    #[test]
    fn jitter_does_not_hide_a_wrong_rate() {
        let jittery = Sender { samples: 320, every_ms: 20, jitter_ms: 60 };
        assert!(measured(jittery.arrivals(0, 30_000)).is_some());
    }

    #[test]
    fn the_declared_pace_is_never_reported() {
        for (samples, every_ms) in [(8, 1), (160, 20), (1_600, 200), (16_000, 2_000)] {
            for jitter_ms in [0, 10, 100] {
                let honest = Sender { samples, every_ms, jitter_ms };
                assert_eq!(measured(honest.arrivals(0, 120_000)), None, "{samples}, {jitter_ms}");
            }
        }
    }

    #[test]
    fn a_caller_whose_silence_is_not_sent_is_not_reported() {
        let talk = (0..40)
            .flat_map(|turn| sender(160, 20).arrivals(turn * 3_000, 1_000 + turn * 37 % 900));
        assert_eq!(watch(talk), []);
    }

    #[test]
    fn catching_up_after_a_stall_is_not_reported() {
        let before = sender(160, 20).arrivals(0, 10_000);
        // 12 s of silence on the line, then what was held back, at double pace.
        let behind = sender(160, 10).arrivals(22_000, 12_000);
        let after = sender(160, 20).arrivals(34_000, 20_000);
        assert_eq!(watch([before, behind, after].concat()), []);
    }

    #[test]
    fn a_file_sent_as_fast_as_the_line_takes_it_is_not_reported() {
        assert_eq!(watch(sender(160, 1).arrivals(0, 60_000)), []);
        assert_eq!(watch((0..500).map(|_| (0, 16_000))), []);
    }

    #[test]
    fn a_burst_at_the_beginning_is_not_reported() {
        let burst = vec![(0, 160); 125];
        let after = sender(160, 20).arrivals(20, 60_000);
        assert_eq!(watch([burst, after].concat()), []);
    }
}
