//! What a run counts and measures. Pure: every thread has a tally of its own, and they
//! are added up at the end. It judges nothing; the report does.

use std::collections::BTreeMap;

use super::histogram::Histogram;
use super::said::Answers;
use crate::media::coded::{Flaw, Flaws};
use crate::types::{CallEventKind, Now, TurnTimings};

/// How a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TurnEnd {
    /// The answer carried the caller's own number and nothing was wrong with it.
    Intact,
    /// It was answered by sound that carries no number.
    Uncoded,
    /// The engine said that it did not understand, or that something went wrong.
    NotUnderstood,
    /// Something was wrong with the answer or with the utterance it answers.
    Flawed,
    /// No answer came in time.
    Unanswered,
}

/// How often turns ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Turns {
    pub(super) said: u64,
    pub(super) intact: u64,
    pub(super) uncoded: u64,
    pub(super) not_understood: u64,
    pub(super) flawed: u64,
    pub(super) unanswered: u64,
    pub(super) interruptions: u64,
}

impl Turns {
    fn end(&mut self, end: TurnEnd) {
        *match end {
            TurnEnd::Intact => &mut self.intact,
            TurnEnd::Uncoded => &mut self.uncoded,
            TurnEnd::NotUnderstood => &mut self.not_understood,
            TurnEnd::Flawed => &mut self.flawed,
            TurnEnd::Unanswered => &mut self.unanswered,
        } += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.said += other.said;
        self.intact += other.intact;
        self.uncoded += other.uncoded;
        self.not_understood += other.not_understood;
        self.flawed += other.flawed;
        self.unanswered += other.unanswered;
        self.interruptions += other.interruptions;
    }
}

/// What the code shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Codes {
    /// Replies that carried a number.
    pub(super) replies: u64,
    /// What happened to them on their way to the caller.
    pub(super) to_caller: Flaws,
    /// Words for another call that this one heard.
    pub(super) foreign_words: u64,
    /// Words that a caller said and a caller heard.
    pub(super) echoed_words: u64,
    /// Replies to an earlier turn.
    pub(super) stale_replies: u64,
    /// Utterances by the worst that happened to them on their way to the engine.
    pub(super) to_engine: [u64; Flaw::ALL.len()],
}

impl Codes {
    /// A reply was heard to its end, or to where it was cut off.
    pub(super) fn reply(&mut self, flaws: Flaws, on_the_way_up: Option<Flaw>) {
        self.replies += 1;
        add_flaws(&mut self.to_caller, &flaws);
        if let Some(flaw) = on_the_way_up {
            self.to_engine[flaw as usize] += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.replies += other.replies;
        add_flaws(&mut self.to_caller, &other.to_caller);
        self.foreign_words += other.foreign_words;
        self.echoed_words += other.echoed_words;
        self.stale_replies += other.stale_replies;
        for (count, more) in self.to_engine.iter_mut().zip(other.to_engine) {
            *count += more;
        }
    }
}

fn add_flaws(flaws: &mut Flaws, more: &Flaws) {
    flaws.missing_words += more.missing_words;
    flaws.lost_ms += more.lost_ms;
    flaws.extra_ms += more.extra_ms;
    flaws.repeated_words += more.repeated_words;
    flaws.reordered_words += more.reordered_words;
    flaws.foreign_words += more.foreign_words;
}

/// How long things took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Latencies {
    /// From the last speech frame sent to the first audio of the answer.
    pub(super) response: Histogram,
    /// The engine's own figures of its stages.
    pub(super) stages: [Histogram; STAGES.len()],
}

/// The stages that the engine tells of.
pub(super) const STAGES: [&str; 4] = ["end_of_speech", "stt", "dialog", "tts"];

impl Latencies {
    fn add_stages(&mut self, timings: &TurnTimings) {
        let ms = [timings.end_of_speech_ms, timings.stt_ms, timings.dialog_ms, timings.tts_ms];
        for (histogram, ms) in self.stages.iter_mut().zip(ms) {
            histogram.add_us(ms * 1_000);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.response.merge(&other.response);
        for (histogram, more) in self.stages.iter_mut().zip(&other.stages) {
            histogram.merge(more);
        }
    }
}

/// One piece of the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Interval {
    /// The most calls at a time.
    pub(super) calls_max: u32,
    pub(super) refused: u64,
    pub(super) failed: u64,
    pub(super) turns: u64,
    pub(super) latencies: Latencies,
    /// Reply frames, and those that came too late to be played.
    pub(super) heard: u64,
    pub(super) late: u64,
    pub(super) send_late: Histogram,
    /// Share of the core that the thread used, added up over the threads.
    pub(super) cpu_share: f64,
}

impl Interval {
    fn merge(&mut self, other: &Self) {
        self.calls_max += other.calls_max;
        self.refused += other.refused;
        self.failed += other.failed;
        self.turns += other.turns;
        self.latencies.merge(&other.latencies);
        self.heard += other.heard;
        self.late += other.late;
        self.send_late.merge(&other.send_late);
        self.cpu_share += other.cpu_share;
    }
}

/// Everything of one thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    interval_ms: u64,
    pub(super) placed: u64,
    pub(super) connected: u64,
    pub(super) refused: u64,
    /// Calls that were never taken: refused, and out of tries or time.
    pub(super) given_up: u64,
    /// Calls that the engine ended.
    pub(super) ended_by_engine: u64,
    /// What went wrong, by its kind.
    pub(super) errors: BTreeMap<&'static str, u64>,
    /// What the engine said to calls that it did not take.
    pub(super) answers: Answers,
    pub(super) turns: Turns,
    pub(super) codes: Codes,
    pub(super) set_up: Histogram,
    pub(super) latencies: Latencies,
    pub(super) sent: u64,
    pub(super) send_late: Histogram,
    /// Writes that the engine's side did not take at once.
    pub(super) blocked: u64,
    pub(super) heard: u64,
    /// Of the reply frames that came too late to be played: how much too late.
    pub(super) late: Histogram,
    /// Events of the engine that say that it lost something, by name.
    pub(super) engine_told: BTreeMap<&'static str, u64>,
    pub(super) intervals: Vec<Interval>,
}

impl Tally {
    /// A tally of a run in pieces of `interval_ms`.
    pub(super) fn new(interval_ms: u64) -> Self {
        Self { interval_ms: interval_ms.max(1), ..Self::default() }
    }

    /// The piece of the run that `now` falls into.
    pub(super) fn interval(&mut self, now: Now) -> &mut Interval {
        // A run of a day in pieces of a second fits; nothing later is kept apart.
        let place = (now.0 / 1_000_000 / self.interval_ms).min(100_000) as usize;
        if self.intervals.len() <= place {
            self.intervals.resize(place + 1, Interval::default());
        }
        &mut self.intervals[place]
    }

    /// A call was taken after so long.
    pub(super) fn call_connected(&mut self, set_up_us: u64) {
        self.connected += 1;
        self.set_up.add_us(set_up_us);
    }

    pub(super) fn call_refused(&mut self, now: Now) {
        self.refused += 1;
        self.interval(now).refused += 1;
    }

    pub(super) fn error(&mut self, now: Now, kind: &'static str) {
        *self.errors.entry(kind).or_default() += 1;
        self.interval(now).failed += 1;
    }

    /// A message of audio went out so long after its time.
    pub(super) fn sent(&mut self, now: Now, late_us: u64) {
        self.sent += 1;
        self.send_late.add_us(late_us);
        self.interval(now).send_late.add_us(late_us);
    }

    /// A frame of the reply came, so much too late to be played.
    pub(super) fn heard(&mut self, now: Now, late_us: u64) {
        self.heard += 1;
        let interval = self.interval(now);
        interval.heard += 1;
        if late_us > 0 {
            interval.late += 1;
            self.late.add_us(late_us);
        }
    }

    /// The first audio of an answer came so long after the last speech frame.
    pub(super) fn answered(&mut self, now: Now, response_us: u64) {
        self.latencies.response.add_us(response_us);
        self.interval(now).latencies.response.add_us(response_us);
    }

    pub(super) fn turn_ended(&mut self, now: Now, end: TurnEnd) {
        self.turns.end(end);
        self.interval(now).turns += 1;
    }

    /// The engine told a fact.
    pub(super) fn event(&mut self, now: Now, kind: &CallEventKind) {
        match kind {
            CallEventKind::TurnAnswered { timings, .. } => {
                self.latencies.add_stages(timings);
                self.interval(now).latencies.add_stages(timings);
            }
            CallEventKind::AudioDropped { .. }
            | CallEventKind::AudioGap { .. }
            | CallEventKind::SttFailed { .. }
            | CallEventKind::DialogFailed { .. }
            | CallEventKind::TtsFailed { .. }
            | CallEventKind::TurnAbandoned { .. }
            | CallEventKind::FalseInterruption { .. }
            | CallEventKind::ReplyFlawed { .. }
            | CallEventKind::ChildRestarted { .. }
            | CallEventKind::InputRefused { .. }
            | CallEventKind::FallbackPlayed {} => {
                *self.engine_told.entry(kind.name()).or_default() += 1;
            }
            _ => {}
        }
    }

    /// Adds what another thread counted.
    pub(super) fn merge(&mut self, other: &Self) {
        self.interval_ms = other.interval_ms;
        self.placed += other.placed;
        self.connected += other.connected;
        self.refused += other.refused;
        self.given_up += other.given_up;
        self.ended_by_engine += other.ended_by_engine;
        add_counts(&mut self.errors, &other.errors);
        self.answers.merge(&other.answers);
        self.turns.merge(&other.turns);
        self.codes.merge(&other.codes);
        self.set_up.merge(&other.set_up);
        self.latencies.merge(&other.latencies);
        self.sent += other.sent;
        self.send_late.merge(&other.send_late);
        self.blocked += other.blocked;
        self.heard += other.heard;
        self.late.merge(&other.late);
        add_counts(&mut self.engine_told, &other.engine_told);
        if self.intervals.len() < other.intervals.len() {
            self.intervals.resize(other.intervals.len(), Interval::default());
        }
        for (interval, more) in self.intervals.iter_mut().zip(&other.intervals) {
            interval.merge(more);
        }
    }

    pub(super) const fn interval_ms(&self) -> u64 {
        self.interval_ms
    }
}

fn add_counts(counts: &mut BTreeMap<&'static str, u64>, more: &BTreeMap<&'static str, u64>) {
    for (kind, more) in more {
        *counts.entry(kind).or_default() += more;
    }
}
