//! Audio at half its declared rate.
//!
//! * The stream is cut into windows that begin and end with an arrival and last at
//!   least [`WINDOW_MS_MIN`]. What arrives after the beginning belongs to the
//!   window: a chunk is sent when it is full, so it stands for the time before it,
//!   and large chunks simply make longer windows.
//! * Every window of a stretch must run at half the declared rate, [`WINDOWS_MIN`]
//!   windows or more, and [`STRETCH_MS_MIN`]. Pauses, callers whose silence is not sent,
//!   and jitter put other paces in between, and the stretch begins anew.
//!
//! Other paces below real time are not told: a caller whose silence is not sent looks
//! the same.

use crate::types::{Now, SampleRate};

/// Shortest window that a pace is taken from.
const WINDOW_MS_MIN: u64 = 500;
/// Windows in a row that must agree.
const WINDOWS_MIN: u32 = 5;
/// Shortest stretch.
const STRETCH_MS_MIN: u64 = 5_000;
/// What counts as about half the declared rate.
const HALF: std::ops::RangeInclusive<f64> = 0.4..=0.6;

/// See the module's text.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SlowWatch {
    window: Option<Span>,
    /// Windows in a row that ran at half the rate.
    stretch: Option<Span>,
    windows: u32,
}

/// Audio that arrived after an instant.
#[derive(Clone, Copy, Debug)]
struct Span {
    since: Now,
    samples: u64,
}

impl SlowWatch {
    /// Takes note of an arrival; the pace that is suspected.
    pub fn handle_arrival(&mut self, now: Now, samples: u64, declared: SampleRate) -> Option<f64> {
        let begin = Span { since: now, samples: 0 };
        let Some(window) = &mut self.window else {
            // The first audio stands for the time before it.
            self.window = Some(begin);
            return None;
        };
        window.samples += samples;
        if now.ms_since(window.since) < WINDOW_MS_MIN {
            return None;
        }
        let closed = std::mem::replace(window, begin);
        if !HALF.contains(&closed.pace(now, declared)) {
            (self.stretch, self.windows) = (None, 0);
            return None;
        }
        let stretch = self.stretch.get_or_insert(Span { samples: 0, ..closed });
        stretch.samples += closed.samples;
        self.windows += 1;
        let lasts = self.windows >= WINDOWS_MIN && now.ms_since(stretch.since) >= STRETCH_MS_MIN;
        lasts.then(|| stretch.pace(now, declared))
    }
}

impl Span {
    /// Asked only once time has passed since the beginning.
    fn pace(self, now: Now, declared: SampleRate) -> f64 {
        let seconds = (now.0 - self.since.0) as f64 / 1e9;
        self.samples as f64 / seconds / f64::from(declared.hz())
    }
}
