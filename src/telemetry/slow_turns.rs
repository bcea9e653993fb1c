//! The slowest turns of the last hour, stage by stage.
//!
//! A minute keeps its slowest turns and forgets the others, so that one bad minute
//! does not push out all the rest, and what is kept is bounded whatever happens.
//! Reads no clock: the time comes with each turn.

use std::cmp::Reverse;

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::record::Timestamp;
use super::{CallScope, WINDOW_MINUTES};
use crate::types::{CallId, TurnId, TurnTimings};

/// Turns kept for each minute.
const KEPT_PER_MINUTE: usize = 20;

/// A turn that took long. Holds no words and nobody's number.
#[derive(Clone, Debug, serde::Serialize)]
pub struct SlowTurn {
    /// Its call.
    pub call_id: CallId,
    /// Which turn of the call.
    pub turn: TurnId,
    /// When its answer began.
    pub at: Timestamp,
    /// From the caller's last word to the first one of the answer.
    pub total_ms: u64,
    /// Where that time went.
    pub stages_ms: Stages,
    /// Name of the call's route.
    pub route: String,
    /// Name of its transport.
    pub transport: &'static str,
    /// Who answered.
    pub providers: TurnProviders,
}

/// The stages of a turn, by name.
#[derive(Clone, Copy, Debug)]
pub struct Stages(TurnTimings);

/// The providers of a turn by their names in the configuration.
#[derive(Clone, Debug, serde::Serialize)]
pub struct TurnProviders {
    /// The recogniser.
    pub stt: String,
    /// The dialog platform.
    pub dialog: String,
    /// The synthesiser.
    pub tts: String,
}

/// The slowest turns, by the minute.
#[derive(Debug, Default)]
pub(super) struct SlowTurns {
    minutes: Vec<Minute>,
}

#[derive(Debug)]
struct Minute {
    /// Counted from 1970.
    number: u64,
    /// Slowest first.
    turns: Vec<SlowTurn>,
}

impl SlowTurns {
    /// Keeps a turn that ended at `at`, if it is slow for its minute.
    pub(super) fn add(
        &mut self,
        at: Timestamp,
        scope: &CallScope,
        turn: TurnId,
        timings: TurnTimings,
    ) {
        let turns = &mut self.minute(at.minute()).turns;
        let total_ms = timings.total_ms();
        let place = turns.partition_point(|kept| kept.total_ms >= total_ms);
        if place >= KEPT_PER_MINUTE {
            return;
        }
        turns.truncate(KEPT_PER_MINUTE - 1);
        let route = &scope.route;
        turns.insert(
            place,
            SlowTurn {
                call_id: scope.call_id,
                turn,
                at,
                total_ms,
                stages_ms: Stages(timings),
                route: route.name.clone(),
                transport: scope.transport,
                providers: TurnProviders {
                    stt: route.stt.clone(),
                    dialog: route.dialog.clone(),
                    tts: route.tts.clone(),
                },
            },
        );
    }

    /// The slowest turns of the hour before `now`, slowest first.
    pub(super) fn slowest(&self, now: Timestamp, limit: usize) -> Vec<SlowTurn> {
        let now = now.minute();
        let recent = self.minutes.iter().filter(|minute| minute.is_within(now));
        let mut turns: Vec<&SlowTurn> = recent.flat_map(|minute| &minute.turns).collect();
        turns.sort_by_key(|turn| Reverse(turn.total_ms));
        turns.into_iter().take(limit).cloned().collect()
    }

    /// The minute with this number, with a place for it. A clock that was set back
    /// makes old minutes look like later ones; those go, too.
    fn minute(&mut self, number: u64) -> &mut Minute {
        if let Some(at) = self.minutes.iter().position(|minute| minute.number == number) {
            return &mut self.minutes[at];
        }
        self.minutes.retain(|minute| minute.is_within(number));
        self.minutes.push(Minute { number, turns: Vec::new() });
        let last = self.minutes.len() - 1;
        &mut self.minutes[last]
    }
}

impl Minute {
    fn is_within(&self, now: u64) -> bool {
        self.number <= now && now - self.number < WINDOW_MINUTES
    }
}

impl Serialize for Stages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stages = self.0.stages();
        let mut map = serializer.serialize_map(Some(stages.len()))?;
        for (stage, ms) in stages {
            map.serialize_entry(stage.as_str(), &ms)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::telemetry::tests::samples::{TIMINGS, scope};

    /// `minute` minutes and `second` seconds into some day.
    fn at(minute: u64, second: u64) -> Timestamp {
        Timestamp(UNIX_EPOCH + Duration::from_secs(1_700_000_040 + minute * 60 + second))
    }

    fn took(ms: u64) -> TurnTimings {
        TurnTimings { end_of_speech_ms: 500, response_ms: ms - 500, ..TurnTimings::default() }
    }

    fn add(turns: &mut SlowTurns, at: Timestamp, turn: u32, ms: u64) {
        turns.add(at, &scope(), TurnId(turn), took(ms));
    }

    fn totals(turns: &SlowTurns, now: Timestamp) -> Vec<u64> {
        turns.slowest(now, 100).iter().map(|turn| turn.total_ms).collect()
    }

    #[test]
    fn the_slowest_come_first_whenever_they_were() {
        let mut turns = SlowTurns::default();
        for (minute, ms) in [(0, 900), (1, 3_000), (2, 700), (2, 1_200)] {
            add(&mut turns, at(minute, 5), 1, ms);
        }
        assert_eq!(totals(&turns, at(2, 30)), [3_000, 1_200, 900, 700]);
        assert_eq!(turns.slowest(at(2, 30), 1).len(), 1);
    }

    #[test]
    fn a_minute_keeps_its_slowest_and_no_more() {
        let mut turns = SlowTurns::default();
        for number in 0..1_000_u64 {
            add(&mut turns, at(0, number % 60), 1, 1_000 + number * 7 % 1_000);
        }
        let kept = totals(&turns, at(0, 59));
        assert_eq!(kept.len(), KEPT_PER_MINUTE);
        assert_eq!((kept[0], kept[19]), (1_999, 1_980));
    }

    #[test]
    fn an_hour_later_a_turn_is_forgotten_and_its_room_given_back() {
        let mut turns = SlowTurns::default();
        for minute in 0..500 {
            add(&mut turns, at(minute, 0), 1, 1_000 + minute);
            assert!(turns.minutes.len() <= WINDOW_MINUTES as usize);
        }
        assert_eq!(totals(&turns, at(499, 59)).len(), 60);
        assert_eq!(totals(&turns, at(558, 0)), [1_499]);
        assert_eq!(totals(&turns, at(559, 0)), Vec::<u64>::new());
    }

    #[test]
    fn a_clock_that_is_set_back_leaves_nothing_behind_that_never_ends() {
        let mut turns = SlowTurns::default();
        add(&mut turns, at(100, 0), 1, 5_000);
        add(&mut turns, at(0, 0), 2, 1_000);
        assert_eq!(totals(&turns, at(0, 30)), [1_000]);
        assert_eq!(turns.minutes.len(), 1);
    }

    #[test]
    fn the_stages_of_a_turn_add_up_to_what_the_caller_waited() {
        let mut turns = SlowTurns::default();
        turns.add(at(0, 0), &scope(), TurnId(3), TIMINGS);
        let told = serde_json::to_value(turns.slowest(at(0, 1), 1)).expect("it is plain data");
        let expected = serde_json::json!([{
            "call_id": scope().call_id, "turn": 3, "at": "2023-11-14T22:14:00.000Z", "total_ms": 700,
            "stages_ms": { "end_of_speech": 510, "stt": 40, "turn_wait": 5, "permit_wait": 15,
                           "dialog": 105, "tts": 25 },
            "route": "default", "transport": "stream",
            "providers": { "stt": "pocketsphinx", "dialog": "cognigy-dialogs", "tts": "flite" },
        }]);
        assert_eq!(told, expected);
    }
}
