//! What is played on a call's connection, for whoever listens to the caller: the voice
//! writes it, Vad reads it. Both run on the call's thread, so nobody waits for anybody.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::media::Played;
use crate::types::{LegId, Now, SpeechAudio};

/// The record of one call. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct PlayedRecord(Rc<Record>);

#[derive(Default)]
struct Record {
    /// The connection that is written of.
    leg: Cell<Option<LegId>>,
    played: RefCell<Played>,
}

/// Writes what is played on one connection, as long as it is the call's.
pub(super) struct PlayedWriter {
    record: PlayedRecord,
    leg: LegId,
}

impl PlayedRecord {
    /// Nothing was played on this connection. What is still written of an earlier one is not
    /// heard on it.
    pub fn begin(&self, leg: LegId) -> PlayedWriter {
        self.0.leg.set(Some(leg));
        *self.0.played.borrow_mut() = Played::default();
        PlayedWriter { record: self.clone(), leg }
    }

    /// Reads it.
    pub fn with<T>(&self, read: impl FnOnce(&mut Played) -> T) -> T {
        read(&mut self.0.played.borrow_mut())
    }
}

impl PlayedWriter {
    /// Samples `from..to` of `audio` were handed over; they are heard from `since` on.
    pub fn hand_over(&self, since: Now, audio: &SpeechAudio, from: usize, to: usize) {
        self.write(|played| played.hand_over(since, audio, from, to));
    }

    /// What was not heard at `now` will not be.
    pub fn stop(&self, now: Now) {
        self.write(|played| played.stop(now));
    }

    fn write(&self, write: impl FnOnce(&mut Played)) {
        if self.record.0.leg.get() == Some(self.leg) {
            self.record.with(write);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_played_on_an_earlier_connection_is_not_heard_on_this_one() {
        let (record, audio) = (PlayedRecord::default(), SpeechAudio::new(vec![1; 160]));
        let was_heard = || record.with(|played| played.was_heard(Now(0), Now(1)));
        let earlier = record.begin(LegId(1));
        earlier.hand_over(Now(0), &audio, 0, 160);
        assert!(was_heard());
        let later = record.begin(LegId(2));
        assert!(!was_heard());
        earlier.hand_over(Now(0), &audio, 0, 160);
        assert!(!was_heard(), "whoever plays there still is not done yet");
        later.hand_over(Now(0), &audio, 0, 160);
        earlier.stop(Now(0));
        assert!(was_heard());
    }
}
