//! Audio that comes faster than its declared rate: 24, 44.1 or 48 kHz sent as 16 kHz.
//!
//! A sender who is too fast is seen for a short time only: two bursts ahead of real time
//! he is slowed down, and then nothing shows any more. So few windows have to be enough,
//! with jitter and stalls in them. What is looked at is the lead over real time.
//!
//! * It must be [`LEAD_MS_MIN`] or more, and have grown by [`GROWTH_MS_MIN`] beyond any
//!   lead before that: whoever catches up after a stall sends fast, but is not further
//!   ahead than he was.
//! * It must have grown steadily: nowhere more than [`DEVIATION_MAX`] of the growth off the
//!   straight line. A pre-buffered start, a burst, or a file sent as fast as the line takes
//!   it is a jump, and a line with little of it.
//! * It must have grown at a pace that a wrong rate explains: from [`PACE_MIN`] to what
//!   the highest rate makes of the declared one, or twice as fast (two channels sent as
//!   one).
//!
//! A file that is sent at such a steady pace is reported too. It looks no different, and
//! the report says "suspected".

use std::collections::VecDeque;

use crate::types::{Now, SampleRate};

/// Lead over real time that few senders have on purpose.
const LEAD_MS_MIN: i64 = 3_000;
/// What it must have grown by.
const GROWTH_MS_MIN: i64 = 3_000;
/// How far the growth may be off a straight line, as a part of it.
const DEVIATION_MAX: f64 = 0.35;
/// Windows between the beginning and the end that must lie on the line.
const WINDOWS_MIN: usize = 2;
/// Slowest pace that is suspected; 24 kHz sent as 16 is 1.5.
const PACE_MIN: f64 = 1.35;
/// What jitter may make of the fastest pace.
const PACE_SLACK: f64 = 1.15;
/// Shortest window; the best lead in it counts.
const WINDOW_MS_MIN: u64 = 200;
/// Windows that are remembered: 13 s and more.
const WINDOWS_MAX: usize = 64;

/// See the module's text.
#[derive(Clone, Debug)]
pub(super) struct FastWatch {
    pace_max: f64,
    /// The best lead of each window, oldest first. The last window is open.
    windows: VecDeque<Window>,
    /// The best lead before the open window.
    record_ns: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    since: Now,
    /// When its best lead was reached.
    at: Now,
    lead_ns: i64,
    /// The best lead up to then.
    record_ns: i64,
}

impl FastWatch {
    pub fn new(declared: SampleRate) -> Self {
        let highest = SampleRate::SUPPORTED_HZ.into_iter().max().unwrap_or_default();
        let pace_max = f64::from(highest) / f64::from(declared.hz());
        Self {
            pace_max: pace_max.max(2.0) * PACE_SLACK,
            windows: VecDeque::with_capacity(WINDOWS_MAX),
            record_ns: None,
        }
    }

    /// Takes note of an arrival, with the lead behind it; the pace that is suspected.
    pub fn handle_arrival(&mut self, now: Now, lead_ns: i64) -> Option<f64> {
        match self.windows.back_mut() {
            None => self.begin_window(now, lead_ns),
            Some(open) if now.ms_since(open.since) < WINDOW_MS_MIN => {
                if lead_ns > open.lead_ns {
                    (open.at, open.lead_ns) = (now, lead_ns);
                    open.record_ns = open.record_ns.max(lead_ns);
                }
            }
            Some(open) => {
                self.record_ns = Some(open.record_ns);
                self.begin_window(now, lead_ns);
            }
        }
        let is_record = self.record_ns.is_some_and(|record| lead_ns > record);
        (is_record && lead_ns >= ns(LEAD_MS_MIN)).then(|| self.pace(now, lead_ns))?
    }

    fn begin_window(&mut self, now: Now, lead_ns: i64) {
        if self.windows.len() == WINDOWS_MAX {
            self.windows.pop_front();
        }
        let record_ns = self.record_ns.map_or(lead_ns, |record| record.max(lead_ns));
        self.windows.push_back(Window { since: now, at: now, lead_ns, record_ns });
    }

    /// The pace of a steady growth that ends here.
    fn pace(&self, now: Now, lead_ns: i64) -> Option<f64> {
        let starts = self.windows.iter().enumerate().rev();
        starts
            .filter(|(_, start)| lead_ns - start.record_ns >= ns(GROWTH_MS_MIN))
            .find_map(|(index, start)| self.steady_pace(index, *start, now, lead_ns))
    }

    fn steady_pace(&self, index: usize, start: Window, now: Now, lead_ns: i64) -> Option<f64> {
        let passed = |at: Now| at.0.saturating_sub(start.at.0) as f64;
        let grown = |lead_ns: i64| (lead_ns - start.lead_ns) as f64;
        let slope = grown(lead_ns) / passed(now);
        let is_on_the_line = |window: &Window| {
            let deviation = grown(window.lead_ns) - slope * passed(window.at);
            deviation.abs() <= DEVIATION_MAX * grown(lead_ns)
        };
        let mut between = self.windows.iter().skip(index + 1).filter(|window| window.at < now);
        let is_steady = (PACE_MIN..=self.pace_max).contains(&(1.0 + slope))
            && between.clone().count() >= WINDOWS_MIN
            && between.all(is_on_the_line);
        is_steady.then_some(1.0 + slope)
    }
}

const fn ns(ms: i64) -> i64 {
    ms * 1_000_000
}
