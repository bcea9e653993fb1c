//! Whether a media thread has room for another call.
//!
//! Lateness decides, and shows too late: a thread is on time until it is full, and then
//! nobody is. So a thread is closed by what comes before it as well, the share of time in
//! which it is busy, and that is reckoned ahead: see [`BusyForecast`]. What its calls take on
//! average is limited; what they take in one second may be more, as long as it is there.
//! Calls that would fit as far as is known, but not with the care that is due to what nobody
//! has felt yet, are refused without closing the thread.
//!
//! A machine that stalls for a moment is not full of calls. The worst of what was seen in
//! a second is left out, and a few calls are always taken.
//!
//! It refuses to choose between threads, and to measure: what was seen comes in five times
//! a second as a [`Look`].

use std::collections::VecDeque;
use std::fmt;

use super::busy::{BusyForecast, LOOK_MS, peak_percent};
use super::lateness::Lateness;
use crate::types::Now;

/// A thread with fewer calls takes another one, whatever was seen: so few do not fill it.
const CALLS_ALWAYS: usize = 8;

/// Time of a media thread that it takes to begin a call, in milliseconds.
const BEGIN_MS: f64 = 0.1;

/// Looks that a thread is judged by: one second.
const LOOKS: usize = 5;

/// When it is judged by lateness, the latest of those looks are left out: a stall of the
/// machine is in two at most.
const STALLED_LOOKS: usize = 2;

/// How long a thread that was late or exhausted must have been fit for another call before
/// it is open, in milliseconds.
const CALM_MS: u64 = 400;

/// A thread that was late or at its end opens at so much of what closes it; at half of it
/// if that is lateness.
const EASE: f64 = 0.98;

/// Of the calls with which a thread was late, so many are taken next time …
const LATE_CALLS_SHARE: f64 = 0.9;

/// … and so many times more for each [`LOOK_MS`] that has passed since, with calls or without:
/// it is forgotten within minutes.
const FORGET: f64 = 1.001;

/// A thread that has not been looked at for so long does not run, in milliseconds.
const STOPPED_MS: u64 = 1_000;

/// Where a thread is closed to new calls. 0: never for this. One that does not run takes none
/// all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThreadLimits {
    /// Lateness of due work that 99.9 % of it keeps, in milliseconds.
    pub late_ms_max: u32,
    /// Share of the time in which the thread does not rest, in percent.
    pub busy_percent_max: u32,
}

/// What was seen of a thread since the look before.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Calls it carries.
    pub calls: usize,
    /// Share of the time in which it did not rest, 0 to 1.
    pub busy: f64,
    /// How late frames were handed over.
    pub frames: Lateness,
    /// How late its beats were.
    pub beats: Lateness,
}

/// Why a thread takes no call. The limits are those in force: lower ones while it is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum Overload {
    /// Due frames are handed over late.
    FramesLate { p999_ms: u32, ms_max: u32 },
    /// The thread comes late to its beat.
    BeatLate { p999_ms: u32, ms_max: u32 },
    /// With one more call it would rest too little on average.
    Busy { percent: u32, percent_max: u32 },
    /// With one more call it would hardly rest at all in the next moments.
    Exhausted { percent: u32, percent_max: u32 },
    /// With as many calls it was late a while ago.
    WasLate { calls_max: u32 },
    /// Calls that began a moment ago are not felt yet.
    Unfelt { calls: u32 },
    /// It does not run at all.
    Stopped { for_ms: u64 },
}

/// A turn of a thread that is worth telling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// It takes no more calls.
    Closed(Overload),
    /// It has taken calls again for a while.
    Open,
}

/// How long a thread must have been open before that is told, in milliseconds: one that is
/// full closes and opens with every call that ends.
const OPEN_MS: u64 = 10_000;

/// Room on one thread.
#[derive(Debug)]
pub struct ThreadAdmission {
    limits: ThreadLimits,
    /// Newest last; at most [`LOOKS`].
    looks: VecDeque<Look>,
    busy: BusyForecast,
    /// `None` while the thread carries no call: then nobody looks.
    looked_at: Option<Now>,
    closed: Option<Closed>,
    was_late: Option<WasLate>,
    told: Told,
}

/// What was told last.
#[derive(Clone, Copy, Debug)]
enum Told {
    Open,
    /// Since when it is open all the same.
    Closed {
        open_since: Option<Now>,
    },
}

/// A thread came late.
#[derive(Clone, Copy, Debug)]
struct WasLate {
    /// As many calls as it may have because it was late with more.
    calls_max: f64,
    at: Now,
}

#[derive(Clone, Copy, Debug)]
struct Closed {
    because: Overload,
    /// Since when it would not be closed any more.
    calm_since: Option<Now>,
}

impl ThreadAdmission {
    /// An open thread.
    #[must_use]
    pub fn new(limits: ThreadLimits) -> Self {
        Self {
            limits,
            looks: VecDeque::new(),
            busy: BusyForecast::new(1, BEGIN_MS),
            looked_at: None,
            closed: None,
            was_late: None,
            told: Told::Open,
        }
    }

    /// The thread has a call again, and will be looked at from now on.
    pub fn begin(&mut self, now: Now) {
        self.looked_at = Some(now);
    }

    /// The thread has no call any more. What was seen counts no longer; with how many calls
    /// it was late, only time makes forgotten.
    pub fn rest(&mut self) {
        self.looks.clear();
        self.busy.rest();
        self.looked_at = None;
        self.closed = None;
    }

    /// Takes note of what was seen.
    pub fn look(&mut self, now: Now, look: Look) {
        let calls = look.calls;
        self.looked_at = Some(now);
        self.add(look);
        if calls < CALLS_ALWAYS {
            self.closed = None;
            return;
        }
        match (self.closed, self.overload(now, calls)) {
            (None, Some(because)) => self.close(now, because, calls),
            (None, None) => {}
            (Some(closed), Some(because)) if closed.because.is_lateness() => {
                self.closed = Some(Closed { because, calm_since: None });
            }
            (Some(_), Some(because)) => self.close(now, because, calls),
            (Some(closed), None) => self.calm_down(closed, now),
        }
    }

    /// Whether another call fits beside the `calls` that the thread has, those that it
    /// does not feel yet included.
    ///
    /// # Errors
    /// Why not.
    pub fn take(&mut self, now: Now, calls: usize) -> Result<(), Overload> {
        if let Some(because) = self.stopped(now) {
            return Err(because);
        }
        if calls < CALLS_ALWAYS {
            return Ok(());
        }
        if let Some(because) = self.closed(now) {
            return Err(because);
        }
        if let Some(because) = self.overload(now, calls) {
            self.close(now, because, calls);
            return Err(because);
        }
        self.unfelt(calls).map_or(Ok(()), Err)
    }

    /// Why it is closed, if it is.
    #[must_use]
    pub fn closed(&self, now: Now) -> Option<Overload> {
        self.stopped(now).or_else(|| self.closed.map(|closed| closed.because))
    }

    /// A call on a thread that does not run is lost, however few there are and whatever the
    /// limits are.
    fn stopped(&self, now: Now) -> Option<Overload> {
        let for_ms = self.looked_at.map_or(0, |at| now.ms_since(at));
        (for_ms > STOPPED_MS).then_some(Overload::Stopped { for_ms })
    }

    /// What became of it since it was asked last.
    pub fn turned(&mut self, now: Now) -> Option<Turned> {
        let closed = self.closed(now);
        let (told, turned) = match (self.told, closed) {
            (Told::Open, None) => return None,
            (Told::Open, Some(because)) => {
                (Told::Closed { open_since: None }, Some(Turned::Closed(because)))
            }
            (Told::Closed { .. }, Some(_)) => (Told::Closed { open_since: None }, None),
            (Told::Closed { open_since }, None) => {
                let since = open_since.unwrap_or(now);
                let is_told = self.looked_at.is_none() || now.ms_since(since) >= OPEN_MS;
                if is_told {
                    (Told::Open, Some(Turned::Open))
                } else {
                    (Told::Closed { open_since: Some(since) }, None)
                }
            }
        };
        self.told = told;
        turned
    }

    /// Share of the last second in which it did not rest, 0 to 1.
    #[must_use]
    pub fn busy(&self) -> f64 {
        self.busy.busy()
    }

    /// 99.9 % of the frames that were due in the last second were no later than
    /// this, in milliseconds, stalls included.
    #[must_use]
    pub fn frames_late_ms(&self) -> u32 {
        p999_ms(self.looks.iter().map(|look| &look.frames))
    }

    fn add(&mut self, look: Look) {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.busy.look(look.calls, look.busy);
        self.looks.push_back(look);
    }

    fn close(&mut self, now: Now, because: Overload, calls: usize) {
        if because.is_lateness() {
            let calls_max = LATE_CALLS_SHARE * calls as f64;
            self.was_late = Some(WasLate { calls_max, at: now });
        }
        self.closed = Some(Closed { because, calm_since: None });
    }

    fn calm_down(&mut self, closed: Closed, now: Now) {
        let since = closed.calm_since.unwrap_or(now);
        // How many calls fit on average does not change from one look to the next.
        let is_average = matches!(closed.because, Overload::Busy { .. });
        let is_over = is_average || now.ms_since(since) >= CALM_MS;
        self.closed = (!is_over).then_some(Closed { calm_since: Some(since), ..closed });
    }

    /// What is too much for one call more than `calls`. What has closed the thread must
    /// have become less before it is not too much any more.
    fn overload(&self, now: Now, calls: usize) -> Option<Overload> {
        let ThreadLimits { late_ms_max, busy_percent_max } = self.limits;
        let (ms_max, ease) =
            if self.closed.is_some() { (late_ms_max / 2, EASE) } else { (late_ms_max, 1.0) };
        let is_late = |p999_ms| late_ms_max > 0 && p999_ms > ms_max;
        let p999_ms = self.steady_p999_ms(|look| &look.frames);
        if is_late(p999_ms) {
            return Some(Overload::FramesLate { p999_ms, ms_max });
        }
        let p999_ms = self.steady_p999_ms(|look| &look.beats);
        if is_late(p999_ms) {
            return Some(Overload::BeatLate { p999_ms, ms_max });
        }
        let percent = 100.0 * self.busy.soon_with(calls + 1);
        let percent_max = ease * peak_percent(busy_percent_max);
        if busy_percent_max > 0 && percent > percent_max {
            let (percent, percent_max) = (percent as u32, percent_max as u32);
            return Some(Overload::Exhausted { percent, percent_max });
        }
        let calls_max = ease * self.calls_max(now);
        if late_ms_max > 0 && calls as f64 + 1.0 > calls_max {
            return Some(Overload::WasLate { calls_max: calls_max as u32 });
        }
        let percent = 100.0 * self.busy.busy_with(calls + 1);
        (busy_percent_max > 0 && percent > f64::from(busy_percent_max))
            .then_some(Overload::Busy { percent: percent as u32, percent_max: busy_percent_max })
    }

    /// As many calls as it may have because it was late with more; less and less limits it.
    fn calls_max(&self, now: Now) -> f64 {
        self.was_late.map_or(f64::INFINITY, |WasLate { calls_max, at }| {
            calls_max * FORGET.powf(now.ms_since(at) as f64 / f64::from(LOOK_MS))
        })
    }

    /// Whether it takes care to leave another call to somebody else, or to later: with what
    /// nobody has felt yet, the thread may be too busy.
    fn unfelt(&self, calls: usize) -> Option<Overload> {
        let percent_max = self.limits.busy_percent_max;
        let is_careless = 100.0 * self.busy.busy_at_most_with(calls + 1) > f64::from(percent_max);
        let unfelt = self.busy.unfelt(calls).max(0.0) as u32;
        (percent_max > 0 && is_careless && unfelt > 0).then_some(Overload::Unfelt { calls: unfelt })
    }

    /// The lateness without the worst looks.
    fn steady_p999_ms(&self, which: impl Fn(&Look) -> &Lateness) -> u32 {
        let mut seen: [Option<&Lateness>; LOOKS] = [None; LOOKS];
        for (slot, look) in seen.iter_mut().zip(&self.looks) {
            *slot = Some(which(look));
        }
        let seen = &mut seen[..self.looks.len().min(LOOKS)];
        seen.sort_unstable_by_key(|lateness| lateness.map(Lateness::p999_ms));
        let steady = seen.len().saturating_sub(STALLED_LOOKS);
        p999_ms(seen[..steady].iter().flatten().copied())
    }
}

fn p999_ms<'a>(looks: impl IntoIterator<Item = &'a Lateness>) -> u32 {
    let mut all = Lateness::default();
    looks.into_iter().for_each(|look| all.merge(look));
    all.p999_ms()
}

impl Overload {
    fn is_lateness(&self) -> bool {
        matches!(self, Self::FramesLate { .. } | Self::BeatLate { .. })
    }
}

impl fmt::Display for Overload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FramesLate { p999_ms, ms_max } => {
                write!(f, "p99.9 of due frames {p999_ms} ms late, more than {ms_max}")
            }
            Self::BeatLate { p999_ms, ms_max } => {
                write!(f, "p99.9 of its beats {p999_ms} ms late, more than {ms_max}")
            }
            Self::Busy { percent, percent_max } => {
                write!(
                    f,
                    "busy {percent} % of the time with one more call, more than {percent_max}"
                )
            }
            Self::Exhausted { percent, percent_max } => write!(
                f,
                "busy {percent} % of the next second with one more call, more than {percent_max}"
            ),
            Self::WasLate { calls_max } => {
                write!(f, "it was late a while ago, and takes {calls_max} calls at most for now")
            }
            Self::Unfelt { calls } => {
                write!(f, "{calls} calls began a moment ago and are not felt yet")
            }
            Self::Stopped { for_ms } => write!(f, "it has not run for {for_ms} ms"),
        }
    }
}

#[cfg(test)]
mod tests;
