//! Everything a call waits for, in one place.

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

/// The timers that are armed. Few at a time, so a list is enough.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct TimerTable {
    armed: Vec<(CallTimer, Now)>,
}

impl TimerTable {
    /// Arms `timer`, or moves it.
    pub fn set(&mut self, timer: CallTimer, at: Now) {
        self.stop(timer);
        self.armed.push((timer, at));
    }

    /// Disarms `timer`.
    pub fn stop(&mut self, timer: CallTimer) {
        self.armed.retain(|&(armed, _)| armed != timer);
    }

    /// Whether `timer` is armed.
    #[must_use]
    pub fn is_set(&self, timer: CallTimer) -> bool {
        self.armed.iter().any(|&(armed, _)| armed == timer)
    }

    /// The earliest instant at which something is due, and what.
    #[must_use]
    pub fn next_timeout(&self) -> Option<(CallTimer, Now)> {
        self.armed.iter().copied().min_by_key(|&(timer, at)| (at, timer))
    }

    /// Disarms and returns the earliest timer that is due at `now`.
    pub fn expire(&mut self, now: Now) -> Option<CallTimer> {
        let (timer, _) = self.next_timeout().filter(|&(_, at)| at <= now)?;
        self.stop(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timers_expire_in_the_order_of_their_instants() {
        let mut table = TimerTable::default();
        let at = |ms| Now::default().plus_ms(ms);
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
}
