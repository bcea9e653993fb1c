//! Tells the caller from people behind them by how loud they are: who is much quieter than
//! the caller was lately is somebody else.
//!
//! An utterance is over when nobody speaks who is about as loud as it was, so that somebody
//! who goes on talking behind the caller does not keep it open. Who speaks up while the bot
//! does has to be about as loud as the caller is. At another time it is enough to be about as
//! loud as the quietest of the caller's last utterances. But the bot asks, and who answers may
//! be much quieter than before: soon after it has spoken anybody is heard, unless somebody
//! talked behind the caller all the while. It knows no speech and no echo.

use crate::types::INNER_RATE;

/// Loudness counts as the loudest of so long (96 ms): between syllables a voice is as quiet
/// as anything.
const SYLLABLE_SAMPLES: usize = INNER_RATE.samples_in_ms(96);
/// Within an utterance, of so long (512 ms): its last word is often mumbled.
const WORD_SAMPLES: usize = INNER_RATE.samples_in_ms(512);
/// Windows that are remembered: as many as that is where they are 16 ms long. No detector has
/// shorter ones.
const WINDOWS_MAX: usize = WORD_SAMPLES / INNER_RATE.samples_in_ms(16);
/// How fast a caller may become quieter within an utterance, in dB a second.
const FALL_DB: f32 = 1.0;
/// So long after the bot has spoken anybody is heard: with the gap that still counts as the
/// bot's, 1.5 s after its last word.
const ANSWER_SECONDS: f32 = 1.25;
/// So long after the caller has spoken anybody is heard, and after the bot where somebody
/// talked behind the caller: nobody waits for them.
const SILENT_SECONDS: f32 = 5.0;
/// Who speaks in so much of the time in which the bot does, and too quietly to interrupt it,
/// talks behind the caller: two fifths, since people pause. Who begins to answer before the bot
/// is done does not come to it.
const BEHIND_SHARE: f32 = 0.4;
/// Of so much of the bot (8 s, and half as much of what was before): the last replies.
const REPLIES_SECONDS: f32 = 8.0;
/// Nobody who is quieter than this interrupts before the caller has spoken (dB of full scale).
pub(super) const FLOOR_DB: f32 = -47.0;
/// Quieter than anything.
const SILENT_DB: f32 = -100.0;

/// How loud the caller is.
#[derive(Clone, Debug)]
pub(super) struct LevelGate {
    /// The last ones, in a ring.
    windows: [Window; WINDOWS_MAX],
    next: usize,
    caller: Caller,
    floor: Floor,
    utterance: Option<Utterance>,
}

/// What a window sounds like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sound {
    /// Nobody speaks.
    Silence,
    /// The bot comes back: it tells nothing of how loud anybody is.
    Echo,
    /// Somebody speaks who may be the caller.
    Speech,
}

/// A window that was heard.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// How loud it was, in dB of full scale; one without speech is silent.
    level: f32,
    samples: usize,
}

/// The utterance in progress, in dB.
#[derive(Clone, Copy, Debug)]
struct Utterance {
    /// How loud it is at this time.
    level: f32,
    /// How loud it was at its loudest.
    loudest: f32,
}

/// Who speaks, and who spoke last.
#[derive(Clone, Copy, Debug, Default)]
struct Floor {
    bot_speaks: bool,
    /// The bot was the last who spoke.
    was_bots: bool,
    /// How long both the caller and the bot have been silent.
    silent_seconds: f32,
    /// How long the bot spoke in its last replies and did not come back.
    bot_seconds: f32,
    /// How long somebody too quiet spoke meanwhile.
    behind_seconds: f32,
}

impl Default for LevelGate {
    fn default() -> Self {
        Self {
            windows: [Window { level: SILENT_DB, samples: 0 }; WINDOWS_MAX],
            next: 0,
            caller: Caller::default(),
            floor: Floor::default(),
            utterance: None,
        }
    }
}

impl LevelGate {
    /// Hears the next window: what it sounds like, whether an utterance is in progress, and
    /// whether the bot speaks. Returns whether what was heard is at most `range_db` quieter
    /// than the caller.
    pub fn hear(
        &mut self,
        window: &[i16],
        sound: Sound,
        is_open: bool,
        bot_speaks: bool,
        range_db: f32,
    ) -> bool {
        let is_speech = sound == Sound::Speech;
        let level = if is_speech { level_of(window) } else { SILENT_DB };
        self.windows[self.next] = Window { level, samples: window.len() };
        self.next = (self.next + 1) % WINDOWS_MAX;
        let seconds = window.len() as f32 / INNER_RATE.hz() as f32;
        if is_open {
            let level = self.loudest(SYLLABLE_SAMPLES);
            let begun = Utterance { level, loudest: level };
            self.utterance.get_or_insert(begun).level -= FALL_DB * seconds;
        } else if let Some(utterance) = self.utterance.take() {
            self.caller.spoke(utterance.loudest, range_db);
        }
        self.floor.pass(seconds, is_open, bot_speaks);
        let is_near = self.is_near(range_db);
        if bot_speaks && sound != Sound::Echo {
            self.floor.listen_behind(seconds, is_speech && !is_near);
        }
        is_near
    }

    fn is_near(&self, range_db: f32) -> bool {
        let loudest = self.loudest(SYLLABLE_SAMPLES);
        if self.floor.bot_speaks {
            return loudest >= self.caller.usual().map_or(FLOOR_DB, |usual| usual - range_db);
        }
        if let Some(utterance) = self.utterance {
            return self.loudest(WORD_SAMPLES) >= utterance.level - range_db;
        }
        if self.caller.known < UTTERANCES_AGREED || self.floor.is_free() {
            return true;
        }
        self.caller.quietest().is_none_or(|quietest| loudest >= quietest - range_db)
    }

    /// What was heard last was the caller's.
    pub fn learn(&mut self) {
        let level = self.loudest(SYLLABLE_SAMPLES);
        if let Some(utterance) = &mut self.utterance {
            utterance.level = utterance.level.max(level);
            utterance.loudest = utterance.loudest.max(level);
        }
    }

    /// What is quieter than this is nobody who speaks up while the bot does: the caller may be
    /// known to be quiet.
    pub fn floor_db(&self, range_db: f32) -> f32 {
        self.caller.usual().map_or(FLOOR_DB, |usual| FLOOR_DB.min(usual - range_db))
    }

    /// Of the last `samples`, to a window.
    fn loudest(&self, samples: usize) -> f32 {
        let (newer, older) = self.windows.split_at(self.next);
        let (mut loudest, mut heard) = (SILENT_DB, 0);
        for window in newer.iter().rev().chain(older.iter().rev()) {
            if heard >= samples {
                break;
            }
            loudest = loudest.max(window.level);
            heard += window.samples;
        }
        loudest
    }
}

impl Floor {
    fn pass(&mut self, seconds: f32, is_open: bool, bot_speaks: bool) {
        self.bot_speaks = bot_speaks;
        self.was_bots = !is_open && (bot_speaks || self.was_bots);
        let is_silent = !is_open && !bot_speaks;
        self.silent_seconds = if is_silent { self.silent_seconds + seconds } else { 0.0 };
    }

    /// Somebody too quiet speaks while the bot does, or nobody.
    fn listen_behind(&mut self, seconds: f32, is_behind: bool) {
        self.bot_seconds += seconds;
        if is_behind {
            self.behind_seconds += seconds;
        }
        if self.bot_seconds > REPLIES_SECONDS {
            self.bot_seconds /= 2.0;
            self.behind_seconds /= 2.0;
        }
    }

    /// Whether anybody is heard, as nobody has spoken for so long.
    fn is_free(&self) -> bool {
        let is_asked = self.was_bots && self.behind_seconds <= BEHIND_SHARE * self.bot_seconds;
        self.silent_seconds >= if is_asked { ANSWER_SECONDS } else { SILENT_SECONDS }
    }
}

/// Utterances that tell how loud the caller is.
const UTTERANCES: usize = 4;
/// So many have to agree before anybody is left out while the bot is silent: one may have been
/// a cough.
const UTTERANCES_AGREED: usize = 2;

/// How loud the last utterances were at their loudest, in dB.
#[derive(Clone, Copy, Debug, Default)]
struct Caller {
    /// The newest first.
    levels: [f32; UTTERANCES],
    known: usize,
    /// The last utterance was far from all of them.
    was_far: bool,
}

impl Caller {
    fn spoke(&mut self, level: f32, range_db: f32) {
        let is_far = self.quietest().is_some_and(|quietest| level < quietest - range_db);
        if is_far && !std::mem::replace(&mut self.was_far, true) {
            // Once, it is somebody behind the caller; twice, it is another caller.
            return;
        }
        if is_far {
            self.known = 0;
        }
        self.was_far = false;
        self.levels.copy_within(..UTTERANCES - 1, 1);
        self.levels[0] = level;
        self.known = UTTERANCES.min(self.known + 1);
    }

    fn quietest(&self) -> Option<f32> {
        self.levels[..self.known].iter().copied().reduce(f32::min)
    }

    /// The second loudest where there are two: one may have been a cough, and others somebody's behind the caller.
    fn usual(&self) -> Option<f32> {
        let mut levels = self.levels;
        let levels = &mut levels[..self.known];
        levels.sort_unstable_by(|one, other| other.total_cmp(one));
        levels.get(usize::from(self.known > 1)).copied()
    }
}

fn level_of(window: &[i16]) -> f32 {
    let sum: u64 = window.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    let mean = sum as f32 / window.len().max(1) as f32 / (32_768.0 * 32_768.0);
    10.0 * mean.max(1e-10).log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE_DB: f32 = 12.0;
    const WINDOW_SAMPLES: usize = 512;

    /// Plays a voice of this level, in dB of full scale, in windows of so many samples, and
    /// tells whether it was near at the end.
    fn speak_in(
        windows: usize,
        gate: &mut LevelGate,
        db: f32,
        ms: u32,
        is_open: bool,
        bot_speaks: bool,
    ) -> bool {
        let level = (32_768.0 * 10_f32.powf(db / 20.0)) as i16;
        let mut near = false;
        for _ in 0..INNER_RATE.samples_in_ms(ms) / windows {
            near = gate.hear(&vec![level; windows], Sound::Speech, is_open, bot_speaks, RANGE_DB);
            if near {
                gate.learn();
            }
        }
        near
    }

    fn speak(gate: &mut LevelGate, db: f32, ms: u32, is_open: bool, bot_speaks: bool) -> bool {
        speak_in(WINDOW_SAMPLES, gate, db, ms, is_open, bot_speaks)
    }

    fn quiet(gate: &mut LevelGate, ms: u32, bot_speaks: bool) {
        for _ in 0..INNER_RATE.samples_in_ms(ms) / WINDOW_SAMPLES {
            gate.hear(&[0; WINDOW_SAMPLES], Sound::Silence, false, bot_speaks, RANGE_DB);
        }
    }

    fn after_utterances_at(levels: &[f32]) -> LevelGate {
        let mut gate = LevelGate::default();
        for db in levels {
            speak(&mut gate, *db, 1_000, true, false);
            quiet(&mut gate, 320, false);
        }
        gate
    }

    #[test]
    fn who_goes_on_behind_the_caller_does_not_keep_the_utterance_open() {
        let mut gate = LevelGate::default();
        assert!(speak(&mut gate, -20.0, 1_000, true, false));
        assert!(!speak(&mut gate, -35.0, 800, true, false));
        assert!(speak(&mut gate, -28.0, 400, true, false), "the caller, more quietly");
    }

    #[test]
    fn who_is_much_quieter_than_the_caller_does_not_interrupt_however_long_the_bot_speaks() {
        let mut gate = after_utterances_at(&[-20.0]);
        quiet(&mut gate, 60_000, true);
        assert!(!speak(&mut gate, -35.0, 400, false, true));
        assert!(speak(&mut gate, -30.0, 400, false, true));
    }

    #[test]
    fn before_the_caller_has_spoken_a_floor_holds_while_the_bot_speaks_and_no_other_time() {
        assert!(!speak(&mut LevelGate::default(), -49.0, 400, false, true));
        assert!(speak(&mut LevelGate::default(), -45.0, 400, false, true));
        assert!(speak(&mut LevelGate::default(), -59.0, 400, false, false));
    }

    #[test]
    fn another_caller_is_heard_after_some_seconds_and_then_at_once() {
        let mut gate = after_utterances_at(&[-20.0, -20.0]);
        for _ in 0..2 {
            assert!(!speak(&mut gate, -38.0, 400, false, false));
            quiet(&mut gate, 4_800, false);
            assert!(speak(&mut gate, -38.0, 400, false, false));
            speak(&mut gate, -38.0, 1_000, true, false);
            quiet(&mut gate, 320, false);
        }
        assert!(speak(&mut gate, -40.0, 400, false, false));
    }

    #[test]
    fn who_answers_the_bot_much_more_quietly_than_before_is_heard_if_they_go_on() {
        for before_ms in [0, 640] {
            let mut gate = after_utterances_at(&[-20.0, -20.0]);
            quiet(&mut gate, 3_000, true);
            assert!(!speak(&mut gate, -45.0, before_ms, false, true));
            assert!(!speak(&mut gate, -45.0, 1_100, false, false), "it may be somebody else");
            assert!(speak(&mut gate, -45.0, 200, false, false), "{before_ms} ms before");
        }
    }

    #[test]
    fn who_talked_behind_the_caller_while_the_bot_spoke_does_not_answer_it() {
        let mut gate = after_utterances_at(&[-20.0, -20.0]);
        for _ in 0..3 {
            assert!(!speak(&mut gate, -35.0, 3_000, false, true));
            assert!(!speak(&mut gate, -35.0, 4_500, false, false));
            quiet(&mut gate, 3_000, true);
        }
        quiet(&mut gate, 6_000, true);
        quiet(&mut gate, 1_300, false);
        assert!(speak(&mut gate, -35.0, 100, false, false), "they were silent lately");
    }

    #[test]
    fn how_long_the_windows_of_a_detector_are_changes_nothing() {
        for windows in [512, 256] {
            let mut gate = LevelGate::default();
            let mut speak = |db, ms, is_open, bot_speaks| {
                speak_in(windows, &mut gate, db, ms, is_open, bot_speaks)
            };
            assert!(speak(-20.0, 32, false, true));
            assert!(speak(-60.0, 64, false, true), "{windows}: between two syllables");
            assert!(!speak(-60.0, 32, false, true), "{windows}");
            assert!(speak(-20.0, 512, true, false));
            assert!(speak(-60.0, 480, true, false), "{windows}: a mumbled word");
            assert!(!speak(-60.0, 32, true, false), "{windows}");
        }
    }

    #[test]
    fn somebody_who_was_heard_once_behind_the_caller_is_not_taken_for_the_caller() {
        let mut gate = after_utterances_at(&[-20.0, -40.0, -20.0]);
        assert!(!speak(&mut gate, -36.0, 400, false, true));
        assert!(!speak(&mut gate, -36.0, 400, false, false));
    }

    #[test]
    fn a_caller_whose_level_varies_is_heard_at_any_of_them() {
        let mut gate = after_utterances_at(&[-14.0, -25.0, -14.0, -14.0]);
        assert!(speak(&mut gate, -36.0, 400, false, false));
    }

    #[test]
    fn after_one_loud_sound_anybody_is_heard_while_the_bot_is_silent() {
        let mut gate = after_utterances_at(&[-8.0]);
        assert!(speak(&mut gate, -26.0, 400, false, false));
    }

    #[test]
    fn of_two_utterances_the_quieter_tells_who_may_interrupt() {
        let mut gate = after_utterances_at(&[-8.0, -18.0]);
        assert!(speak(&mut gate, -28.0, 400, false, true));
    }

    #[test]
    fn one_loud_cough_does_not_make_the_caller_a_stranger() {
        let mut gate = after_utterances_at(&[-26.0, -26.0, -8.0]);
        assert!(speak(&mut gate, -26.0, 400, false, true));
        assert!(speak(&mut gate, -26.0, 400, false, false));
    }
}
