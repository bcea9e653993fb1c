//! Tells the caller from the echo of the bot: what comes from the caller's side is compared
//! with what was played to it.
//!
//! Two things are known of an echo. It is no louder than what was played is from the caller's
//! side: where that stayed quiet after a loud word, there is little of an echo or none, and
//! whoever is clearly louder than it could be is the caller. And it has the ups and downs of
//! what was played, some time later: so the loudness of eight bands over the last 400 ms is
//! correlated with what was played up to 710 ms before. Where the two are alike, the
//! difference is the echo's gain; what is not alike, or louder than that, is the caller.
//!
//! It works only while something is played, and compares only where a detector hears speech.
//! Nothing is allocated after it was made. It removes no echo.

mod bands;
mod played;

use self::bands::{BANDS, BandFilter, FRAME_SAMPLES, Frame, Steps, steps, steps_between};
pub use self::played::Played;
pub(super) use self::played::nanos_of;
use crate::types::Now;

/// Frames of the caller's side that are compared (400 ms), and so many at least.
const COMPARED: usize = 40;
const COMPARED_MIN: usize = 20;
/// Delays of an echo, in frames: 0 to 710 ms, with the room that rings on, and what is lost
/// on the way of the audio to where it is heard.
const LAGS: usize = 72;
/// Frames of what was played that are looked at.
const PLAYED: usize = COMPARED + LAGS - 1;
/// How long after something was played its echo may be heard (0.74 s).
pub(super) const ECHO_NANOS: u64 = 740_000_000;
const FRAME_NANOS: u64 = 10_000_000;
/// So far may what was played be read from where it belongs: the two clocks are not the same.
const ASTRAY_NANOS: u64 = 2 * FRAME_NANOS;

/// What is quieter than this is nobody who speaks up while the bot does.
const FLOOR: Steps = steps(-47.0);
/// As alike as only an echo is.
const ALIKE: f32 = 0.75;
/// So alike that it is no accident, whatever the level.
const ECHO: f32 = 0.9;
/// Less alike than an echo whose gain is known.
const UNLIKE: f32 = 0.6;
/// As little alike as an echo never is.
const FOREIGN: f32 = 0.4;
/// What is so much louder than the echo is the caller.
const EXCESS: f32 = steps_between(8.0);
/// What is not so much louder may be an echo although it is less alike: of a long vowel.
const SLIGHT_EXCESS: f32 = steps_between(4.0);
/// What is so much louder than an echo of the most gain that was seen is the caller: a room
/// swallows some tones.
const LOUDER: f32 = steps_between(10.0);
/// How fast that gain rises while something is played: a frame may have been such a tone
/// (3 dB a second).
const RISE: f32 = steps_between(0.03);
/// No echo has more gain than this.
const GAIN_MAX: f32 = steps_between(-7.0);
/// Nor is more than this learned (-10 dB): who is that loud is alike by chance.
const GAIN_LEARNED_MAX: f32 = steps_between(-10.0);
/// Frames for which a room rings on, beyond the 50 ms of a level (110 ms).
const RINGING: usize = 11;
/// So far may the delay of one echo seem to wander, in frames.
const ASTRAY_LAGS: usize = 3;
/// How much of a gain that was learned stays, each time it is learned again.
const GAIN_KEPT: f32 = 0.9;
/// What is played is loud enough to tell by what comes back how loud an echo is.
const AUDIBLE: Steps = steps(-45.0);
/// What is known of an echo is forgotten when nothing was played for so long (3 s).
const KNOWN_NANOS: u64 = 3_000_000_000;

/// Compares the two sides of one call.
#[derive(Clone, Debug)]
pub struct EchoGate {
    caller: History<LAGS>,
    caller_filter: BandFilter,
    played: History<PLAYED>,
    played_filter: BandFilter,
    /// Until when what was played is in its history. `None` while nothing is played.
    played_until: Option<Now>,
    /// When something was played last.
    active_at: Now,
    /// Frames since it began to be played.
    frames: usize,
    /// How much louder than what was played an echo is at most.
    loudest_gain: Option<f32>,
    /// How much louder than what was played the echo is.
    gain: Option<f32>,
    /// The delay at which the two sides were alike last.
    alike_at: Option<usize>,
}

/// The last frames of one side, the newest last.
#[derive(Clone, Debug)]
struct History<const FRAMES: usize> {
    bands: [[Steps; BANDS]; FRAMES],
    levels: [Steps; FRAMES],
}

/// Where the two sides are most alike.
#[derive(Clone, Copy, Debug)]
struct Likeness {
    correlation: f32,
    /// In frames.
    lag: usize,
}

impl Default for EchoGate {
    fn default() -> Self {
        Self {
            caller: History::default(),
            caller_filter: BandFilter::new(),
            played: History::default(),
            played_filter: BandFilter::new(),
            played_until: None,
            active_at: Now::default(),
            frames: 0,
            loudest_gain: None,
            gain: None,
            alike_at: None,
        }
    }
}

// === What is heard ===

impl EchoGate {
    /// Hears the caller's next samples, the last of them from `until`, while something is or
    /// was lately `played`.
    pub fn hear(&mut self, samples: &[i16], until: Now, played: &Played) {
        if self.played_until.is_none() {
            self.begin(until);
        }
        self.active_at = until;
        let mut rest = samples;
        while let Some((frame, behind)) = self.caller_filter.hear(rest) {
            rest = behind;
            self.caller.push(frame);
            self.hear_played(Now(until.0.saturating_sub(nanos_of(behind.len()))), played);
            self.limit_gain();
        }
    }

    /// Nothing is played, nor was lately.
    pub fn rest(&mut self) {
        self.played_until = None;
    }

    /// Something is played again.
    fn begin(&mut self, now: Now) {
        (self.caller, self.played, self.frames) = (History::default(), History::default(), 0);
        self.caller_filter.reset();
        self.played_filter.reset();
        if now.0.saturating_sub(self.active_at.0) > KNOWN_NANOS {
            (self.loudest_gain, self.gain, self.alike_at) = (None, None, None);
        }
    }

    /// Hears what was played in the frame that ends at `until`.
    fn hear_played(&mut self, until: Now, played: &Played) {
        let due = until.0.saturating_sub(FRAME_NANOS);
        let since =
            self.played_until.filter(|it| it.0.abs_diff(due) < ASTRAY_NANOS).unwrap_or(Now(due));
        let mut samples = [0; FRAME_SAMPLES];
        played.copy_to(since, &mut samples);
        if let Some((frame, _)) = self.played_filter.hear(&samples) {
            self.played.push(frame);
        }
        self.played_until = Some(Now(since.0 + FRAME_NANOS));
        self.frames = self.frames.saturating_add(1);
    }

    /// All of an echo of what was played one longest delay ago has come.
    fn limit_gain(&mut self) {
        let played = self.played.levels[PLAYED - LAGS];
        if self.frames >= LAGS && played >= AUDIBLE {
            let gain = f32::from(self.caller.loudest(LAGS)) - f32::from(played);
            let gain = self.loudest_gain.map_or(gain, |known| gain.min(known + RISE));
            self.loudest_gain = Some(gain);
            // Somebody was alike by chance.
            self.gain = self.gain.filter(|learned| *learned < gain + EXCESS);
        }
    }
}

// === Whose it is ===

impl EchoGate {
    /// Whether what was heard last is the caller, given that somebody speaks and that an echo
    /// may be in it.
    pub fn is_caller(&mut self) -> bool {
        let level = self.caller.level();
        if level < FLOOR {
            return false;
        }
        let level = f32::from(level);
        let above = level - f32::from(self.played.loudest(LAGS));
        if above > GAIN_MAX || self.loudest_gain.is_some_and(|gain| above > gain + LOUDER) {
            return true;
        }
        let frames = self.frames.min(COMPARED);
        if frames < COMPARED_MIN {
            return false;
        }
        let Some(Likeness { correlation, lag }) = self.most_alike(frames) else { return true };
        if correlation > ALIKE {
            self.learn_gain(frames, lag);
        }
        let excess = match (self.gain, self.loudest_gain) {
            (Some(gain), _) => level - f32::from(self.played.loudest_before(lag)) - gain,
            (None, Some(gain)) => above - gain,
            (None, None) => return correlation < ALIKE,
        };
        (excess > EXCESS && correlation < ECHO)
            || (excess > SLIGHT_EXCESS && correlation < UNLIKE)
            || correlation < FOREIGN
    }

    fn learn_gain(&mut self, frames: usize, lag: usize) {
        // By chance the two are alike at any delay, an echo has one.
        if self.alike_at.replace(lag).is_none_or(|at| at.abs_diff(lag) > ASTRAY_LAGS) {
            return;
        }
        let gain = f32::from(self.median_difference(frames, lag)).min(GAIN_LEARNED_MAX);
        let known = self.gain.unwrap_or(gain);
        self.gain = Some(known * GAIN_KEPT + gain * (1.0 - GAIN_KEPT));
    }

    /// The delay at which the last `frames` of both sides are most alike. `None` where nothing
    /// changed in them.
    fn most_alike(&self, frames: usize) -> Option<Likeness> {
        let caller = Deviation::of(self.caller.newest(frames, 0));
        let mut played = Deviation::of(self.played.newest(frames, 0));
        let mut best: Option<Likeness> = None;
        for lag in 0..LAGS {
            if lag > 0 {
                let (newest, oldest) = (PLAYED - lag, PLAYED - lag - frames);
                played.move_to(&self.played.bands[oldest], &self.played.bands[newest]);
            }
            let products = products(
                self.caller.newest(frames, 0).as_flattened(),
                self.played.newest(frames, lag).as_flattened(),
            );
            let correlation = caller.correlation(&played, products, frames);
            if let Some(correlation) = correlation
                && best.is_none_or(|best| correlation > best.correlation)
            {
                best = Some(Likeness { correlation, lag });
            }
        }
        best
    }

    /// How much louder the caller's side is than what was played `lag` frames before.
    fn median_difference(&self, frames: usize, lag: usize) -> i16 {
        let mut differences = [0; COMPARED * BANDS];
        let differences = &mut differences[..frames * BANDS];
        let caller = self.caller.newest(frames, 0).as_flattened();
        let played = self.played.newest(frames, lag).as_flattened();
        for ((difference, caller), played) in differences.iter_mut().zip(caller).zip(played) {
            *difference = i16::from(*caller) - i16::from(*played);
        }
        *differences.select_nth_unstable(frames * BANDS / 2).1
    }
}

impl<const FRAMES: usize> Default for History<FRAMES> {
    fn default() -> Self {
        Self { bands: [[0; BANDS]; FRAMES], levels: [0; FRAMES] }
    }
}

impl<const FRAMES: usize> History<FRAMES> {
    fn push(&mut self, frame: Frame) {
        self.bands.copy_within(1.., 0);
        self.levels.copy_within(1.., 0);
        (self.bands[FRAMES - 1], self.levels[FRAMES - 1]) = (frame.bands, frame.level);
    }

    /// So many frames, the newest of them `lag` before the last.
    fn newest(&self, frames: usize, lag: usize) -> &[[Steps; BANDS]] {
        &self.bands[FRAMES - lag - frames..FRAMES - lag]
    }

    /// The level of the last 50 ms.
    fn level(&self) -> Steps {
        self.levels[FRAMES - 1]
    }

    /// The highest level of the last `frames`.
    fn loudest(&self, frames: usize) -> Steps {
        self.levels[FRAMES - frames..].iter().copied().max().unwrap_or_default()
    }

    /// The highest level of those that end `lag` frames before the last: rooms ring.
    fn loudest_before(&self, lag: usize) -> Steps {
        let end = FRAMES - lag;
        self.levels[end.saturating_sub(RINGING)..end].iter().copied().max().unwrap_or_default()
    }
}

/// What the correlation of some frames needs to know of one side.
struct Deviation {
    sums: [i32; BANDS],
    squares: i32,
}

impl Deviation {
    fn of(frames: &[[Steps; BANDS]]) -> Self {
        let mut this = Self { sums: [0; BANDS], squares: 0 };
        frames.iter().for_each(|frame| this.add(frame, 1));
        this
    }

    fn add(&mut self, frame: &[Steps; BANDS], times: i32) {
        for (sum, steps) in self.sums.iter_mut().zip(frame) {
            *sum += times * i32::from(*steps);
            self.squares += times * i32::from(*steps).pow(2);
        }
    }

    /// One frame came, another one left.
    fn move_to(&mut self, came: &[Steps; BANDS], left: &[Steps; BANDS]) {
        self.add(came, 1);
        self.add(left, -1);
    }

    /// The sum of squares with each band's mean taken off.
    fn variance(&self, frames: usize) -> f32 {
        let means: i32 = self.sums.iter().map(|sum| sum * sum / frames as i32).sum();
        (self.squares - means) as f32
    }

    /// With another one, given the sum of the products. `None` where one of them is constant.
    fn correlation(&self, other: &Self, products: i32, frames: usize) -> Option<f32> {
        let scale = self.variance(frames) * other.variance(frames);
        let sums = self.sums.iter().zip(other.sums);
        let means: i32 = sums.map(|(one, other)| one * other / frames as i32).sum();
        (scale > 1.0).then(|| (products - means) as f32 / scale.sqrt())
    }
}

fn products(one: &[Steps], other: &[Steps]) -> i32 {
    one.iter().zip(other).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_learned_of_an_echo_is_forgotten_when_nothing_was_played_for_long() {
        let mut gate = EchoGate {
            loudest_gain: Some(1.0),
            gain: Some(1.0),
            alike_at: Some(1),
            ..EchoGate::default()
        };
        gate.begin(Now(KNOWN_NANOS + 1));
        assert_eq!((gate.loudest_gain, gate.gain, gate.alike_at), (None, None, None));
    }
}
