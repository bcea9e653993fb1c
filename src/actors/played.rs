//! What is played on a call's connection, for whoever listens to the caller: the voice
//! writes it, Vad reads it. Both run on the call's thread, so nobody waits for anybody.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use crate::media::Played;
use crate::types::{LegId, Now, Route, SpeechAudio};

/// The record of one call. Clones are the same.
#[derive(Clone)]
pub(super) struct PlayedRecord(Rc<Record>);

struct Record {
    route: Arc<Route>,
    /// Of the connection that is written of.
    played: RefCell<Played>,
}

/// Writes what is played on one connection, as long as it is the call's.
pub(super) struct PlayedWriter {
    record: PlayedRecord,
    leg: LegId,
}

impl PlayedRecord {
    /// The record of a call on this route, before its first connection.
    pub fn new(route: &Arc<Route>) -> Self {
        Self(Rc::new(Record { route: Arc::clone(route), played: RefCell::default() }))
    }

    /// Nothing was played on this connection. What is still written of an earlier one is not
    /// heard on it.
    pub fn begin(&self, leg: LegId) -> PlayedWriter {
        *self.0.played.borrow_mut() = Played::on(leg, &self.0.route.listening);
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

    /// Nothing where no gate reads it: it would keep sentences for nobody.
    fn write(&self, write: impl FnOnce(&mut Played)) {
        let listening = &self.record.0.route.listening;
        if listening.echo_gate || listening.level_gate_db > 0 {
            self.record.with(|played| {
                if played.leg() == self.leg {
                    write(played);
                }
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(echo_gate: bool, level_gate_db: u32) -> PlayedRecord {
        let mut route = Route::default();
        (route.listening.echo_gate, route.listening.level_gate_db) = (echo_gate, level_gate_db);
        PlayedRecord::new(&Arc::new(route))
    }

    fn was_heard(record: &PlayedRecord) -> bool {
        record.with(|played| played.was_heard(Now(0), Now(1)))
    }

    #[test]
    fn what_was_played_on_an_earlier_connection_is_not_heard_on_this_one() {
        let (record, audio) = (record(true, 12), SpeechAudio::new(vec![1; 160]));
        let earlier = record.begin(LegId(1));
        earlier.hand_over(Now(0), &audio, 0, 160);
        assert!(was_heard(&record));
        let later = record.begin(LegId(2));
        assert!(!was_heard(&record));
        earlier.hand_over(Now(0), &audio, 0, 160);
        assert!(!was_heard(&record), "whoever plays there still is not done yet");
        later.hand_over(Now(0), &audio, 0, 160);
        earlier.stop(Now(0));
        assert!(was_heard(&record));
    }

    #[test]
    fn what_is_played_is_written_where_a_gate_reads_it() {
        for (echo_gate, level_gate_db, is_read) in
            [(true, 12, true), (true, 0, true), (false, 12, true), (false, 0, false)]
        {
            let record = record(echo_gate, level_gate_db);
            record.begin(LegId(1)).hand_over(Now(0), &SpeechAudio::new(vec![1; 160]), 0, 160);
            assert_eq!(was_heard(&record), is_read, "{echo_gate}, {level_gate_db} dB");
        }
    }
}
