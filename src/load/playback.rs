//! What a telephone would make of the audio that comes: a jitter buffer of 60 ms, and a
//! frame that comes after its turn to be played is late. Pure; it plays nothing.

use crate::types::Now;

/// How long the first frame is held back, so that later ones may be late by as much.
pub const JITTER_MS: u32 = 60;

/// The playback of one call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Playback {
    /// When the next frame is played; `None` while nothing is being said.
    due: Option<Now>,
}

impl Playback {
    /// A frame of `audio_us` came. Says by how many microseconds it is late.
    pub(super) fn take(&mut self, now: Now, audio_us: u64) -> u64 {
        let due = self.due.unwrap_or_else(|| now.plus_ms(JITTER_MS));
        let late_us = now.0.saturating_sub(due.0) / 1_000;
        self.due = Some(Now(due.0.max(now.0).saturating_add(audio_us * 1_000)));
        late_us
    }

    /// What comes next begins anew: another sentence or another answer.
    pub(super) const fn rest(&mut self) {
        self.due = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late_ms(arrivals_ms: &[u64]) -> Vec<u64> {
        let mut playback = Playback::default();
        let arrivals = arrivals_ms.iter();
        arrivals.map(|ms| playback.take(Now(ms * 1_000_000), 20_000) / 1_000).collect()
    }

    #[test]
    fn a_frame_may_be_late_by_the_jitter_buffer_and_no_more() {
        assert_eq!(late_ms(&[0, 20, 40, 120, 145, 165]), [0, 0, 0, 0, 5, 0]);
    }

    #[test]
    fn after_a_late_frame_the_next_ones_are_due_after_it() {
        assert_eq!(late_ms(&[0, 180, 190, 210, 235]), [0, 100, 0, 0, 0]);
    }

    #[test]
    fn a_new_sentence_is_never_late() {
        let mut playback = Playback::default();
        playback.take(Now(0), 20_000);
        playback.rest();
        assert_eq!(playback.take(Now(10_000_000_000), 20_000), 0);
    }
}
