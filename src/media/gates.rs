//! Who speaks, where somebody does: the caller, somebody behind them, or the bot's echo. What
//! is not the caller counts as silence.

use super::echo::{ECHO_NANOS, EchoGate, Played, nanos_of};
use super::level_gate::{FLOOR_DB, LevelGate, Sound};
use crate::types::{LegId, ListeningSettings, MediaTime, Now, Thresholds};

/// So long after its last word the bot still speaks (0.25 s), for whoever is too quiet to
/// interrupt it: another sentence may follow. An answer that comes at once loses nothing by
/// it: more is kept from before the start of an utterance.
const GAP_NANOS: u64 = 250_000_000;

/// The gates of one call.
pub(super) struct Gates {
    thresholds: Thresholds,
    level_db: Option<f32>,
    parts: GateParts,
}

/// What the gates know of their call.
#[derive(Clone, Debug, Default)]
pub(super) struct GateParts {
    /// The connection that all of this is known of.
    leg: LegId,
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

    /// The caller's audio up to `position` came until `now`, on this connection. Of another
    /// one nothing is known: it may be another telephone in another room.
    pub fn came(&mut self, leg: LegId, position: MediaTime, now: Now) {
        if self.parts.leg != leg {
            let GateParts { mut echo, left_out, .. } = self.take_parts();
            echo.iter_mut().for_each(|echo| **echo = EchoGate::default());
            self.parts = GateParts { leg, echo, left_out, ..GateParts::default() };
        }
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
        played.forget_until(until);
        let was_heard_in = |nanos| {
            let nanos = nanos_of(window.len()) + nanos;
            played.was_heard(Now(until.0.saturating_sub(nanos)), until)
        };
        let is_speech = probability >= self.thresholds.stop;
        let floor_db = self.level_db.map_or(FLOOR_DB, |range_db| parts.level.floor_db(range_db));
        let is_echo = match &mut parts.echo {
            Some(echo) if was_heard_in(ECHO_NANOS) => {
                echo.hear(window, until, played);
                is_speech && !echo.is_caller(floor_db)
            }
            Some(echo) => {
                echo.rest();
                false
            }
            None => false,
        };
        let sound = match (is_speech, is_echo) {
            (_, true) => Sound::Echo,
            (true, false) => Sound::Speech,
            (false, false) => Sound::Silence,
        };
        let bot_speaks = was_heard_in(GAP_NANOS);
        let is_near = self
            .level_db
            .is_none_or(|range_db| parts.level.hear(window, sound, is_open, bot_speaks, range_db));
        parts.is_left_out = is_echo || (is_speech && !is_near);
        if !parts.is_left_out {
            if probability >= self.thresholds.start {
                parts.level.learn();
            }
            return probability;
        }
        let LeftOut { echo, quiet } = &mut parts.left_out;
        *(if is_echo { echo } else { quiet }) += window.len() as u64;
        0.0
    }

    /// The same for the beginning of a window that nothing follows.
    pub fn judge_rest(&self, probability: f32) -> f32 {
        if self.parts.is_left_out { 0.0 } else { probability }
    }
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
#[path = "tests/gates.rs"]
mod tests;
