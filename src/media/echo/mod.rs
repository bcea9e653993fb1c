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

use std::iter::StepBy;
use std::ops::Range;

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

// `ALIKE`, `UNLIKE`, `EXCESS` and `GAIN_KEPT` come from a prototype with which 0 of 27 replies
// stopped themselves and 31 of 31 people were heard over an echo of -20 dB. Where no other
// reason is given, a number was chosen and not varied by itself; `docs/vad.md` has what came
// of them all. "The table" below is the one there.

/// As alike as only an echo is.
const ALIKE: f32 = 0.75;
/// So alike that it is no accident, whatever the level. From 0.85 to 0.97 the table hardly
/// changes.
const ECHO: f32 = 0.9;
/// Less alike than an echo whose gain is known.
const UNLIKE: f32 = 0.6;
/// As little alike as an echo never is. With 0.4, 2 of 45 people who are 6 dB quieter than the
/// bot are not heard on a line without an echo; with 0.6 still no echo of the table is speech.
const FOREIGN: f32 = 0.5;
/// What is so much louder than the echo is the caller.
const EXCESS: f32 = steps_between(8.0);
/// What is not so much louder may be an echo although it is less alike: of a long vowel. With
/// 2 dB no echo of the table is speech either: the rest is for rooms that are not in it.
const SLIGHT_EXCESS: f32 = steps_between(4.0);
/// What is so much louder than an echo of the most gain that was seen is the caller: a room
/// swallows some tones. With 6 dB nine echoes of 1,152 in the table begin an utterance, with
/// 14 dB people are heard up to 53 ms later.
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
/// How much of a gain that was learned stays, each time the two sides are compared.
const GAIN_KEPT: f32 = 0.9;
/// Frames from one comparison to the next (30 ms): a detector's windows may be shorter.
const COMPARED_EVERY: usize = 3;
/// Of so many delays one is tried at first: what is alike is so for some frames. To try each
/// changes the table by 20 ms at most.
const LAGS_AT_ONCE: usize = 2;
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
    /// What came of the last comparison, and in which frame that was.
    compared: (Option<Likeness>, usize),
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
            compared: (None, 0),
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
        self.compared = (None, 0);
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
    /// may be in it. Who may be an echo and is quieter than `floor_db` is nobody.
    pub fn is_caller(&mut self, floor_db: f32) -> bool {
        let level = f32::from(self.caller.level());
        let above = level - f32::from(self.played.loudest(LAGS));
        if above > GAIN_MAX || self.loudest_gain.is_some_and(|gain| above > gain + LOUDER) {
            return true;
        }
        let frames = self.frames.min(COMPARED);
        if level < f32::from(steps(floor_db)) || frames < COMPARED_MIN {
            return false;
        }
        let Some(Likeness { correlation, lag }) = self.compare(frames) else { return true };
        let excess = match (self.gain, self.loudest_gain) {
            (Some(gain), _) => level - f32::from(self.played.loudest_before(lag)) - gain,
            (None, Some(gain)) => above - gain,
            (None, None) => return correlation < ALIKE,
        };
        (excess > EXCESS && correlation < ECHO)
            || (excess > SLIGHT_EXCESS && correlation < UNLIKE)
            || correlation < FOREIGN
    }

    /// Where the last `frames` of both sides are alike. `None` where nothing changed in them.
    fn compare(&mut self, frames: usize) -> Option<Likeness> {
        let (mut likeness, compared_at) = self.compared;
        if self.frames >= compared_at + COMPARED_EVERY {
            likeness = self.most_alike(frames);
            self.compared = (likeness, self.frames);
            if let Some(Likeness { lag, .. }) = likeness.filter(|it| it.correlation > ALIKE) {
                self.learn_gain(frames, lag);
            }
        }
        likeness
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

    /// The delay at which the last `frames` of both sides are most alike; the one at which they
    /// were lately, where they are as alike there as only an echo is. `None` where nothing
    /// changed in them.
    fn most_alike(&self, frames: usize) -> Option<Likeness> {
        let caller = Deviation::of(self.caller.newest(frames, 0));
        let best_of = |lags| self.most_alike_of(&caller, frames, lags);
        let around = |lag: usize, lags: usize| lag.saturating_sub(lags)..LAGS.min(lag + lags + 1);
        if let Some(at) = self.alike_at {
            let known = best_of(around(at, ASTRAY_LAGS).step_by(1));
            if known.is_some_and(|known| known.correlation > ALIKE) {
                return known;
            }
        }
        let best = best_of((0..LAGS).step_by(LAGS_AT_ONCE))?;
        best_of(around(best.lag, LAGS_AT_ONCE - 1).step_by(1))
    }

    /// The same of these delays, from the shortest on.
    fn most_alike_of(
        &self,
        caller: &Deviation,
        frames: usize,
        lags: StepBy<Range<usize>>,
    ) -> Option<Likeness> {
        let mut played: Option<(usize, Deviation)> = None;
        let mut best: Option<Likeness> = None;
        for lag in lags {
            let heard = self.played.newest(frames, lag);
            let (at, deviation) = played.get_or_insert_with(|| (lag, Deviation::of(heard)));
            while *at < lag {
                *at += 1;
                let (newest, oldest) = (PLAYED - *at, PLAYED - *at - frames);
                deviation.move_to(&self.played.bands[oldest], &self.played.bands[newest]);
            }
            let own = self.caller.newest(frames, 0);
            let products = products(own.as_flattened(), heard.as_flattened());
            if let Some(correlation) = caller.correlation(deviation, products, frames)
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
    /// Of each band. No more than [`COMPARED`] steps.
    sums: [i16; BANDS],
    squares: i32,
}

impl Deviation {
    fn of(frames: &[[Steps; BANDS]]) -> Self {
        let mut sums = [0; BANDS];
        for frame in frames {
            add(&mut sums, frame);
        }
        let frames = frames.as_flattened();
        Self { sums, squares: products(frames, frames) }
    }

    /// One frame came, another one left.
    fn move_to(&mut self, came: &[Steps; BANDS], left: &[Steps; BANDS]) {
        add(&mut self.sums, came);
        self.sums.iter_mut().zip(left).for_each(|(sum, left)| *sum -= i16::from(*left));
        self.squares += products(came, came) - products(left, left);
    }

    /// The sum of products with each band's mean taken off, given that with them.
    fn covariance(&self, other: &Self, products: i32, frames: usize) -> f32 {
        let sums = self.sums.iter().zip(&other.sums);
        let means: i32 = sums.map(|(one, other)| i32::from(*one) * i32::from(*other)).sum();
        products as f32 - means as f32 / frames as f32
    }

    /// With another one, given the sum of the products. `None` where one of them is constant.
    fn correlation(&self, other: &Self, products: i32, frames: usize) -> Option<f32> {
        let variance = |one: &Self| one.covariance(one, one.squares, frames);
        let scale = variance(self) * variance(other);
        (scale > 1.0).then(|| self.covariance(other, products, frames) / scale.sqrt())
    }
}

fn add(sums: &mut [i16; BANDS], frame: &[Steps; BANDS]) {
    sums.iter_mut().zip(frame).for_each(|(sum, steps)| *sum += i16::from(*steps));
}

fn products(one: &[Steps], other: &[Steps]) -> i32 {
    one.iter().zip(other).map(|(one, other)| i32::from(*one) * i32::from(*other)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::SpeechAudio;

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

    /// A noise that is louder and quieter from 40 ms to 40 ms.
    fn noise(ms: u32) -> Vec<i16> {
        const LEVELS: [i32; 7] = [160, 30, 90, 120, 20, 70, 40];
        let sample = |n: usize| (n as i32 * 7_919 % 201 - 100) * LEVELS[n / 640 * n / 640 % 7];
        (0..16 * ms as usize).map(|n| sample(n) as i16).collect()
    }

    /// Plays `sound` and hears it back, so many samples later and in windows of so many, at a
    /// `gain` that may change.
    fn hear_back(sound: &[i16], lag: usize, window: usize, gain: fn(usize) -> f32) -> EchoGate {
        let (mut gate, mut played) = (EchoGate::default(), Played::default());
        played.hand_over(Now(0), &SpeechAudio::new(sound), 0, sound.len());
        let echo =
            |n: usize| n.checked_sub(lag).map_or(0, |n| (f32::from(sound[n]) * gain(n)) as i16);
        for until in (window..=sound.len()).step_by(window) {
            let heard: Vec<i16> = (until - window..until).map(echo).collect();
            gate.hear(&heard, Now(nanos_of(until)), &played);
            gate.is_caller(-60.0);
        }
        gate
    }

    #[test]
    fn how_long_the_windows_of_a_detector_are_changes_no_gain() {
        let falling = |n| if n < 22_400 { 0.1 } else { 0.03 };
        let gains = [512, 256].map(|window| hear_back(&noise(2_000), 0, window, falling).gain);
        let [Some(long), Some(short)] = gains else { panic!("{gains:?}") };
        assert!((long - short).abs() < steps_between(0.75), "{gains:?}");
    }

    #[test]
    fn an_echo_is_found_at_any_delay() {
        for lag in 0..LAGS {
            let gate = hear_back(&noise(1_500), lag * FRAME_SAMPLES, 512, |_| 0.1);
            let gain = gate.gain.expect("an echo");
            assert_eq!(gate.alike_at, Some(lag));
            assert!((gain - steps_between(-20.0)).abs() < steps_between(0.75), "{gain}");
        }
    }
}
