//! Tells the caller from people behind them by how loud they are: who is much quieter than
//! the caller was lately is somebody else.
//!
//! An utterance is over when nobody speaks who is about as loud as it was, so that somebody
//! who goes on talking behind the caller does not keep it open. Who speaks up while the bot
//! does has to be about as loud as the caller is. At another time it is enough to be about as
//! loud as the quietest of the caller's last utterances, and after some seconds of silence
//! anybody is more and more likely to be heard: it may be another caller. It knows no speech
//! and no echo.

use crate::types::INNER_RATE;

/// Loudness counts as the loudest of so many windows (96 ms at 32 ms each): between syllables
/// a voice is as quiet as anything.
const WINDOWS: usize = 3;
/// Within an utterance, of so many (512 ms): its last word is often mumbled.
const WINDOWS_SPEAKING: usize = 16;
/// How fast a caller may become quieter within an utterance, and how much quieter somebody
/// may be for each second of silence, in dB.
const FALL_DB: f32 = 1.0;
/// Seconds of silence that count for nothing: it is the caller's turn.
const TURN_SECONDS: f32 = 3.0;
/// Nobody who is quieter than this interrupts before the caller has spoken (dB of full scale).
const FLOOR_DB: f32 = -47.0;
/// Quieter than anything.
const SILENT_DB: f32 = -100.0;

/// How loud the caller is.
#[derive(Clone, Debug)]
pub(super) struct LevelGate {
    /// The last windows, in dB of full scale; one without speech is silent.
    windows: [f32; WINDOWS_SPEAKING],
    next: usize,
    caller: Caller,
    /// How long both the caller and the bot have been silent.
    silent_seconds: f32,
    utterance: Option<Utterance>,
}

/// The utterance in progress, in dB.
#[derive(Clone, Copy, Debug)]
struct Utterance {
    /// How loud it is at this time.
    level: f32,
    /// How loud it was at its loudest.
    loudest: f32,
}

impl Default for LevelGate {
    fn default() -> Self {
        Self {
            windows: [SILENT_DB; WINDOWS_SPEAKING],
            next: 0,
            caller: Caller::default(),
            silent_seconds: 0.0,
            utterance: None,
        }
    }
}

impl LevelGate {
    /// Hears the next window: whether it sounds like speech, belongs to an utterance, and
    /// whether the bot speaks.
    pub fn hear(
        &mut self,
        window: &[i16],
        is_speech: bool,
        is_open: bool,
        bot_speaks: bool,
        range_db: f32,
    ) {
        self.windows[self.next] = if is_speech { level_of(window) } else { SILENT_DB };
        self.next = (self.next + 1) % WINDOWS_SPEAKING;
        let seconds = window.len() as f32 / INNER_RATE.hz() as f32;
        if is_open {
            let level = self.loudest(WINDOWS);
            let begun = Utterance { level, loudest: level };
            self.utterance.get_or_insert(begun).level -= FALL_DB * seconds;
        } else if let Some(utterance) = self.utterance.take() {
            self.caller.spoke(utterance.loudest, range_db);
        }
        let is_silent = !is_open && !bot_speaks;
        self.silent_seconds = if is_silent { self.silent_seconds + seconds } else { 0.0 };
    }

    /// Whether what was heard last, which sounds like speech, is at most `range_db` quieter
    /// than the caller, as [`LevelGate::hear`] was told of it.
    pub fn is_near(&self, range_db: f32, bot_speaks: bool) -> bool {
        let loudest = self.loudest(WINDOWS);
        if bot_speaks {
            return loudest >= self.caller.usual().map_or(FLOOR_DB, |usual| usual - range_db);
        }
        if let Some(utterance) = self.utterance {
            return self.loudest(WINDOWS_SPEAKING) >= utterance.level - range_db;
        }
        if self.caller.known < UTTERANCES_AGREED {
            return true;
        }
        let fall = FALL_DB * (self.silent_seconds - TURN_SECONDS).max(0.0);
        self.caller.quietest().is_none_or(|quietest| loudest >= quietest - range_db - fall)
    }

    /// What was heard last was the caller's.
    pub fn learn(&mut self) {
        let level = self.loudest(WINDOWS);
        if let Some(utterance) = &mut self.utterance {
            utterance.level = utterance.level.max(level);
            utterance.loudest = utterance.loudest.max(level);
        }
    }

    /// Of the last `windows`.
    fn loudest(&self, windows: usize) -> f32 {
        let ago = |ago| self.windows[(self.next + WINDOWS_SPEAKING - ago) % WINDOWS_SPEAKING];
        (1..=windows).map(ago).fold(SILENT_DB, f32::max)
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
    const WINDOW_MS: u32 = 32;

    /// Plays a voice of this level, in dB of full scale, and tells whether it was near at the
    /// end.
    fn speak(gate: &mut LevelGate, db: f32, ms: u32, is_open: bool, bot_speaks: bool) -> bool {
        let level = (32_768.0 * 10_f32.powf(db / 20.0)) as i16;
        let mut near = false;
        for _ in 0..ms / WINDOW_MS {
            gate.hear(&[level; 512], true, is_open, bot_speaks, RANGE_DB);
            near = gate.is_near(RANGE_DB, bot_speaks);
            if near {
                gate.learn();
            }
        }
        near
    }

    fn quiet(gate: &mut LevelGate, ms: u32, bot_speaks: bool) {
        for _ in 0..ms / WINDOW_MS {
            gate.hear(&[0; 512], false, false, bot_speaks, RANGE_DB);
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
        assert!(!speak(&mut gate, -38.0, 400, false, false));
        for _ in 0..2 {
            quiet(&mut gate, 10_000, false);
            assert!(speak(&mut gate, -38.0, 400, false, false));
            speak(&mut gate, -38.0, 1_000, true, false);
        }
        quiet(&mut gate, 320, false);
        assert!(speak(&mut gate, -40.0, 400, false, false));
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
