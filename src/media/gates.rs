//! Who speaks, where somebody does: the caller, somebody behind them, or the bot's echo. What
//! is not the caller counts as silence.

use super::echo::{ECHO_NANOS, EchoGate, Played, nanos_of};
use super::level_gate::LevelGate;
use crate::types::{ListeningSettings, MediaTime, Now, Thresholds};

/// The gates of one call.
pub(super) struct Gates {
    thresholds: Thresholds,
    level_db: Option<f32>,
    parts: GateParts,
}

/// What the gates know of their call.
#[derive(Clone, Debug, Default)]
pub(super) struct GateParts {
    clock: AudioClock,
    level: LevelGate,
    /// `None` where echoes are not looked for.
    echo: Option<Box<EchoGate>>,
    /// The last window was speech of somebody else's.
    is_left_out: bool,
    left_out: LeftOut,
}

/// Samples with speech that were not taken for the caller's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// They were taken for the bot's echo.
    pub echo: u64,
    /// Somebody much quieter than the caller spoke.
    pub quiet: u64,
}

impl Gates {
    /// Gates that go on with these settings.
    pub fn resume(settings: &ListeningSettings, mut parts: GateParts) -> Self {
        let range_db = settings.level_gate_db;
        parts.echo = settings.echo_gate.then(|| parts.echo.take().unwrap_or_default());
        Self {
            thresholds: settings.thresholds(),
            level_db: (range_db > 0).then_some(range_db as f32),
            parts,
        }
    }

    /// What other gates need to go on.
    pub fn take_parts(&mut self) -> GateParts {
        std::mem::take(&mut self.parts)
    }

    /// The caller's audio up to `position` came until `now`.
    pub fn came(&mut self, position: MediaTime, now: Now) {
        self.parts.clock.came(position, now);
    }

    /// What comes next does not continue what came.
    pub fn interrupt(&mut self) {
        self.parts.clock = AudioClock::default();
    }

    /// What was left out since this was asked last.
    pub fn take_left_out(&mut self) -> LeftOut {
        std::mem::take(&mut self.parts.left_out)
    }

    /// How probable it is that the caller speaks in the window that ends at `until`, given
    /// how probable it is that somebody does, and whether an utterance is in progress.
    pub fn judge(
        &mut self,
        window: &[i16],
        until: MediaTime,
        probability: f32,
        is_open: bool,
        played: &mut Played,
    ) -> f32 {
        let parts = &mut self.parts;
        let until = parts.clock.at(until);
        let bot_speaks = speaks_lately(played, until, window.len());
        match &mut parts.echo {
            Some(echo) if bot_speaks => echo.hear(window, until, played),
            Some(echo) => echo.rest(),
            None => {}
        }
        let is_speech = probability >= self.thresholds.stop;
        if let Some(range_db) = self.level_db {
            parts.level.hear(window, is_speech, is_open, bot_speaks, range_db);
        }
        parts.is_left_out = false;
        if !is_speech {
            return probability;
        }
        let is_echo = bot_speaks && parts.echo.as_mut().is_some_and(|echo| !echo.is_caller());
        let is_near = |range_db| parts.level.is_near(range_db, bot_speaks);
        if is_echo {
            parts.left_out.echo += window.len() as u64;
        } else if !self.level_db.is_none_or(is_near) {
            parts.left_out.quiet += window.len() as u64;
        } else {
            if probability >= self.thresholds.start {
                parts.level.learn();
            }
            return probability;
        }
        parts.is_left_out = true;
        0.0
    }

    /// The same for the beginning of a window that nothing follows.
    pub fn judge_rest(&self, probability: f32) -> f32 {
        if self.parts.is_left_out { 0.0 } else { probability }
    }
}

/// Whether in `samples` that end at `until` the bot is heard, or may be by its echo.
fn speaks_lately(played: &mut Played, until: Now, samples: usize) -> bool {
    let since = Now(until.0.saturating_sub(ECHO_NANOS + nanos_of(samples)));
    played.forget_before(since);
    played.was_heard(since, until)
}

/// When the caller's audio was there, by its position. Audio may come late and in pieces, but
/// never before its time: the earliest that was seen lately is right.
#[derive(Clone, Copy, Debug, Default)]
struct AudioClock {
    /// When the call's first sample was there, to judge by the audio of this half second and
    /// of the one before, in nanoseconds.
    began: [Option<i64>; 2],
    /// Where this half second began.
    since: (MediaTime, Now),
}

impl AudioClock {
    const SPAN_NANOS: u64 = 500_000_000;

    fn came(&mut self, position: MediaTime, now: Now) {
        let (first, then) = self.since;
        let audio_nanos = nanos_of(position.samples_since(first) as usize);
        if audio_nanos.min(now.0.saturating_sub(then.0)) >= Self::SPAN_NANOS {
            self.began = [None, self.began[0]];
            self.since = (position, now);
        }
        let began = now.0 as i64 - nanos_of(position.0 as usize) as i64;
        self.began[0] = Some(self.began[0].map_or(began, |known| known.min(began)));
    }

    fn at(&self, position: MediaTime) -> Now {
        let began = self.began.into_iter().flatten().min().unwrap_or_default();
        Now(began.saturating_add(nanos_of(position.0 as usize) as i64).max(0).unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::INNER_RATE;

    fn ms(ms: u32) -> Now {
        Now::default().plus_ms(ms)
    }

    fn at(ms: u32) -> MediaTime {
        MediaTime(INNER_RATE.samples_in_ms(ms) as u64)
    }

    #[test]
    fn audio_that_comes_late_was_there_before() {
        let mut clock = AudioClock::default();
        for nth in 1..=20 {
            let late_ms = [0, 15, 80, 60, 40][nth as usize % 5];
            clock.came(at(20 * nth), ms(1_000 + 20 * nth + late_ms));
        }
        assert_eq!(clock.at(at(300)), ms(1_300));
    }

    #[test]
    fn a_chunk_that_is_heard_piece_by_piece_was_there_when_it_came() {
        let mut clock = AudioClock::default();
        for chunk in 1..=5 {
            // All of it came at once, and 320 ms of it are seen to wait.
            for piece in 0..20 {
                let position = 1_000 * (chunk - 1) + 50 * piece;
                let waiting = (1_000 * chunk - position).min(320);
                clock.came(at(position + waiting), ms(1_000 * chunk + piece));
            }
            let now = clock.at(at(1_000 * chunk - 500));
            assert!(now.ms_since(ms(1_000 * chunk - 520)) <= 40, "{now:?}");
        }
    }

    #[test]
    fn silence_that_was_not_sent_puts_the_clock_on() {
        let mut clock = AudioClock::default();
        for nth in 1..=100 {
            clock.came(at(20 * nth), ms(20 * nth));
        }
        for nth in 1..=60 {
            clock.came(at(2_000 + 20 * nth), ms(2_300 + 20 * nth));
        }
        assert_eq!(clock.at(at(3_200)), ms(3_500));
    }
}
