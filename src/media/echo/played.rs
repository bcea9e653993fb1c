//! What the bot was heard to say lately, on the clock: which samples of which sentences, and
//! from when on. It holds the sentences themselves, copies nothing, and measures nothing.

use std::collections::VecDeque;

use super::ECHO_NANOS;
use crate::types::{INNER_RATE, LegId, ListeningSettings, Now, SpeechAudio};

/// Pieces that are remembered. What continues a piece belongs to it, so that a sentence is
/// one, and one that grows as many as it came in, of 0.1 s each: 12.8 s of them, where 11 s
/// are kept at most and 0.16 s are sent ahead.
const PIECES_MAX: usize = 128;

/// For so long after its echo may have come a piece is remembered, though the caller's audio
/// is not late (0.5 s): that is in pieces itself, and waits for the detector.
const SPARE_NANOS: u64 = 500_000_000;

const SAMPLE_NANOS: u64 = 1_000_000_000 / INNER_RATE.hz() as u64;

/// What is played on one connection, and when. It takes 5 kB at most, and the sentences until
/// no audio of the caller's may hold their echo any more.
#[derive(Clone, Debug, Default)]
pub struct Played {
    leg: LegId,
    /// How late the caller's audio may be.
    late_nanos: u64,
    /// One after the other, none before the one before it.
    pieces: VecDeque<Piece>,
}

#[derive(Clone, Debug)]
struct Piece {
    since: Now,
    audio: SpeechAudio,
    from: usize,
    to: usize,
}

impl Piece {
    fn until(&self) -> Now {
        Now(self.since.0 + nanos_of(self.to - self.from))
    }

    fn is_continued_by(&self, since: Now, audio: &SpeechAudio, from: usize) -> bool {
        // Two instants that are reckoned apart may differ by a rounding.
        let follows = self.until().0.abs_diff(since.0) < nanos_of(1);
        follows && self.to == from && std::ptr::eq(self.audio.samples(), audio.samples())
    }
}

impl Played {
    /// Nothing was played on this connection yet.
    #[must_use]
    pub fn on(leg: LegId, listening: &ListeningSettings) -> Self {
        // What stays away for longer than a silence lasts does not continue what came, and
        // what waits for longer than it may is dropped.
        let late_ms = u64::from(listening.silence_ms_end) + u64::from(listening.latency_ms_max);
        Self { leg, late_nanos: late_ms * 1_000_000, pieces: VecDeque::new() }
    }

    /// Where it is played.
    #[must_use]
    pub fn leg(&self) -> LegId {
        self.leg
    }

    /// Samples `from..to` of `audio` were handed over; they are heard from `since` on.
    pub fn hand_over(&mut self, since: Now, audio: &SpeechAudio, from: usize, to: usize) {
        self.forget_until(since);
        if let Some(last) = self.pieces.back_mut()
            && last.is_continued_by(since, audio, from)
        {
            last.to = to;
            return;
        }
        if self.pieces.len() == PIECES_MAX {
            self.pieces.pop_front();
        }
        self.pieces.push_back(Piece { since, audio: audio.clone(), from, to });
    }

    /// What was not heard at `now` will not be.
    pub fn stop(&mut self, now: Now) {
        self.pieces.retain(|piece| piece.since < now);
        for piece in &mut self.pieces {
            let heard = samples_in(now.0 - piece.since.0);
            piece.to = piece.to.min(piece.from.saturating_add(heard));
        }
    }

    /// Forgets what was heard so long before `now` that no audio of the caller's may hold an
    /// echo of it any more.
    pub fn forget_until(&mut self, now: Now) {
        let kept_nanos = ECHO_NANOS + SPARE_NANOS + self.late_nanos;
        let before = Now(now.0.saturating_sub(kept_nanos));
        while self.pieces.front().is_some_and(|piece| piece.until() <= before) {
            self.pieces.pop_front();
        }
    }

    /// Whether anything was heard from `since` to `until`.
    #[must_use]
    pub fn was_heard(&self, since: Now, until: Now) -> bool {
        self.pieces.iter().any(|piece| piece.since < until && since < piece.until())
    }

    /// Writes what was heard from `since` on; silence where nothing was.
    pub fn copy_to(&self, since: Now, out: &mut [i16]) {
        out.fill(0);
        for piece in &self.pieces {
            let behind = samples_in(piece.since.0.saturating_sub(since.0));
            let skipped = samples_in(since.0.saturating_sub(piece.since.0));
            let heard = &piece.audio.samples()[piece.from..piece.to];
            if let (Some(to), Some(heard)) = (out.get_mut(behind..), heard.get(skipped..)) {
                to.iter_mut().zip(heard).for_each(|(to, heard)| *to = *heard);
            }
        }
    }
}

/// Whole samples, at the nearest: instants are reckoned to the nanosecond.
fn samples_in(nanos: u64) -> usize {
    let samples = nanos.saturating_add(SAMPLE_NANOS / 2) / SAMPLE_NANOS;
    usize::try_from(samples).unwrap_or(usize::MAX)
}

/// How long samples last.
pub(in crate::media) fn nanos_of(samples: usize) -> u64 {
    (samples as u64).saturating_mul(SAMPLE_NANOS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u32) -> Now {
        Now::default().plus_ms(ms)
    }

    fn speech(first: i16, samples: i16) -> SpeechAudio {
        SpeechAudio::new((first..first + samples).collect::<Vec<_>>())
    }

    fn heard(played: &Played, since: Now, samples: usize) -> Vec<i16> {
        let mut out = vec![7; samples];
        played.copy_to(since, &mut out);
        out
    }

    #[test]
    fn what_is_sent_ahead_is_heard_when_its_time_comes() {
        let mut played = Played::default();
        let (one, two) = (speech(100, 32), speech(200, 16));
        played.hand_over(ms(10), &one, 0, 16);
        played.hand_over(ms(11), &one, 16, 32);
        played.hand_over(ms(12), &two, 0, 16);
        assert_eq!(played.pieces.len(), 2, "a sentence is one piece");
        let expected: Vec<i16> = [0; 16].into_iter().chain(100..132).chain(200..216).collect();
        assert_eq!(heard(&played, ms(9), 64), expected);
        assert_eq!(heard(&played, ms(12), 20)[..17], [expected[48..].to_vec(), vec![0]].concat());
        assert!(!played.was_heard(ms(9), ms(10)) && played.was_heard(ms(9), ms(11)));
        assert!(!played.was_heard(ms(13), ms(90)));
    }

    #[test]
    fn after_a_flush_nothing_more_was_heard() {
        let mut played = Played::default();
        played.hand_over(ms(10), &speech(100, 160), 0, 160);
        played.hand_over(ms(20), &speech(300, 160), 0, 160);
        played.stop(ms(11));
        let expected: Vec<i16> = (100..116).chain([0; 4]).collect();
        assert_eq!(heard(&played, ms(10), 20), expected);
        assert!(!played.was_heard(ms(11), ms(100)));
    }

    #[test]
    fn a_gap_is_silence() {
        let mut played = Played::default();
        let audio = speech(100, 32);
        played.hand_over(ms(10), &audio, 0, 16);
        played.hand_over(ms(90), &audio, 16, 32);
        assert_eq!(heard(&played, ms(89), 17), [vec![0; 16], vec![116]].concat());
    }

    #[test]
    fn what_was_heard_long_ago_is_forgotten_although_nobody_listens() {
        let mut played = Played::default();
        for nth in 0..20 {
            played.hand_over(ms(5_000 * nth), &speech(1, 16), 0, 16);
        }
        assert_eq!(played.pieces.len(), 1);
    }

    #[test]
    fn audio_that_is_as_late_as_it_may_be_finds_what_was_played_when_it_was_spoken() {
        for latency_ms_max in [300, 5_000] {
            let listening = ListeningSettings { latency_ms_max, ..ListeningSettings::default() };
            let mut played = Played::on(LegId(1), &listening);
            played.hand_over(ms(1_000), &speech(1, 16), 0, 16);
            // An echo may come 0.74 s later.
            let heard_until = 1_000 + 740 + latency_ms_max;
            for at_ms in (1_100..heard_until).step_by(100) {
                played.hand_over(ms(at_ms), &speech(2, 16), 0, 16);
            }
            played.forget_until(ms(heard_until));
            assert_eq!(heard(&played, ms(1_000), 1), [1], "{latency_ms_max} ms late");
        }
    }

    #[test]
    fn there_is_room_for_all_that_is_kept_of_a_sentence_that_grows() {
        let longest = ListeningSettings {
            silence_ms_end: 5_000,
            latency_ms_max: 5_000,
            ..ListeningSettings::default()
        };
        let mut played = Played::on(LegId(1), &longest);
        for nth in 0..200 {
            played.hand_over(ms(100 * nth), &SpeechAudio::new(vec![1; 1_600]), 0, 1_600);
        }
        let kept = played.pieces.len();
        assert!(kept < PIECES_MAX, "{kept}");
    }

    #[test]
    fn only_so_many_pieces_are_remembered() {
        let mut played = Played::default();
        for nth in 0..200 {
            played.hand_over(ms(2 * nth), &speech(1, 16), 0, 16);
        }
        assert_eq!(played.pieces.len(), PIECES_MAX);
        assert_eq!(heard(&played, ms(398), 2), [1, 2], "the newest ones");
    }
}
