//! What the bot was heard to say lately, on the clock: which samples of which sentences, and
//! from when on. It holds the sentences themselves, copies nothing, and measures nothing.

use std::collections::VecDeque;

use crate::types::{INNER_RATE, MediaTime, Now, SpeechAudio};

/// Pieces that are remembered. What continues a piece belongs to it, so that a sentence is
/// one, and one that grows as many as it came in: 6 s of them, where 0.16 s are sent ahead.
const PIECES_MAX: usize = 64;

/// For so long after it was heard (2 s) a piece is remembered at most, though nobody listens: an
/// echo's time, and as much as the caller's audio may be late.
const KEPT_NANOS: u64 = 2_000_000_000;

/// What is played, and when. It takes 2.5 kB at most, and the sentences until 2 s after they were heard.
#[derive(Clone, Debug, Default)]
pub struct Played {
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
    /// Samples `from..to` of `audio` were handed over; they are heard from `since` on.
    pub fn hand_over(&mut self, since: Now, audio: &SpeechAudio, from: usize, to: usize) {
        self.forget_before(Now(since.0.saturating_sub(KEPT_NANOS)));
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

    /// Forgets what was heard before `now`.
    pub fn forget_before(&mut self, now: Now) {
        while self.pieces.front().is_some_and(|piece| piece.until() <= now) {
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
    let half = 500_000_000 / u64::from(INNER_RATE.hz());
    let samples = u128::from(nanos + half) * u128::from(INNER_RATE.hz()) / 1_000_000_000;
    usize::try_from(samples).unwrap_or(usize::MAX)
}

/// How long samples last.
pub(in crate::media) fn nanos_of(samples: usize) -> u64 {
    MediaTime(samples as u64).as_nanos()
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
        played.forget_before(ms(11));
        assert!(played.pieces.is_empty());
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
    fn only_so_many_pieces_are_remembered() {
        let mut played = Played::default();
        for nth in 0..200 {
            played.hand_over(ms(10 * nth), &speech(1, 16), 0, 16);
        }
        assert_eq!(played.pieces.len(), PIECES_MAX);
        assert_eq!(heard(&played, ms(1_990), 2), [1, 2], "the newest ones");
    }
}
