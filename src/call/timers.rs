//! Everything a call waits for, in one place.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::types::{Now, SentenceId, TurnId, UtteranceId};

/// Why a call wants to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallTimer {
    /// The transcript is overdue.
    SttDeadline(UtteranceId),
    /// The dialog reply is overdue.
    DialogDeadline(TurnId),
    /// A sentence's audio is overdue.
    SentenceDeadline(SentenceId),
    /// The caller has held back the bot for too long.
    HoldLimit,
    /// Nothing follows an utterance that was cut at its limit.
    SpeechGoesOn,
    /// The caller did not come back.
    ReconnectWindow,
    /// Saying goodbye takes too long.
    Farewell,
    /// Facts that came too often are to be told together.
    RepeatedFacts,
}

/// The timers that are armed. Each step takes logarithmic time: a reply may be hundreds
/// of sentences, each with its deadline.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<(CallTimer, Now)>", into = "Vec<(CallTimer, Now)>")]
pub struct TimerTable {
    armed: BTreeMap<CallTimer, Now>,
    /// The same, the earliest first.
    due: BTreeSet<(Now, CallTimer)>,
}

impl TimerTable {
    /// Arms `timer`, or moves it.
    pub fn set(&mut self, timer: CallTimer, at: Now) {
        if let Some(before) = self.armed.insert(timer, at) {
            self.due.remove(&(before, timer));
        }
        self.due.insert((at, timer));
    }

    /// Disarms `timer`.
    pub fn stop(&mut self, timer: CallTimer) {
        if let Some(at) = self.armed.remove(&timer) {
            self.due.remove(&(at, timer));
        }
    }

    /// Whether `timer` is armed.
    #[must_use]
    pub fn is_set(&self, timer: CallTimer) -> bool {
        self.armed.contains_key(&timer)
    }

    /// The earliest instant at which something is due, and what.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(CallTimer, Now)> {
        self.due.first().map(|&(at, timer)| (timer, at))
    }

    /// Disarms and returns the earliest timer that is due at `now`.
    pub fn expire(&mut self, now: Now) -> Option<CallTimer> {
        let (timer, _) = self.next_timeout().filter(|&(_, at)| at <= now)?;
        self.stop(timer);
        Some(timer)
    }
}

impl From<Vec<(CallTimer, Now)>> for TimerTable {
    fn from(armed: Vec<(CallTimer, Now)>) -> Self {
        let mut table = Self::default();
        armed.into_iter().for_each(|(timer, at)| table.set(timer, at));
        table
    }
}

impl From<TimerTable> for Vec<(CallTimer, Now)> {
    fn from(table: TimerTable) -> Self {
        table.armed.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u32) -> Now {
        Now::default().plus_ms(ms)
    }

    fn sentence(number: u32) -> CallTimer {
        CallTimer::SentenceDeadline(SentenceId(number))
    }

    #[test]
    fn timers_expire_in_the_order_of_their_instants() {
        let mut table = TimerTable::default();
        table.set(CallTimer::ReconnectWindow, at(50));
        table.set(CallTimer::SttDeadline(UtteranceId(1)), at(90));
        table.set(CallTimer::SttDeadline(UtteranceId(1)), at(20));
        table.set(CallTimer::Farewell, at(30));
        table.stop(CallTimer::Farewell);
        assert_eq!(table.next_timeout(), Some((CallTimer::SttDeadline(UtteranceId(1)), at(20))));
        assert_eq!(table.expire(at(60)), Some(CallTimer::SttDeadline(UtteranceId(1))));
        assert_eq!(table.expire(at(60)), Some(CallTimer::ReconnectWindow));
        assert_eq!(table.expire(at(60)), None);
    }

    #[test]
    fn a_table_can_be_written_down_and_read_again() {
        let mut table = TimerTable::default();
        table.set(sentence(1), at(30));
        table.set(CallTimer::Farewell, at(20));
        let text = serde_json::to_string(&table).expect("it can be written");
        let mut read: TimerTable = serde_json::from_str(&text).expect("it can be read");
        assert_eq!(read.expire(at(40)), Some(CallTimer::Farewell));
        assert_eq!(read.expire(at(40)), Some(sentence(1)));
    }
}
