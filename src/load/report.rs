//! A run as its result: figures of the engine, figures of the generator itself, and whether
//! the first mean anything. Pure, and plain data: what is written as JSON is this.

use std::collections::BTreeMap;

use serde::Serialize;

use super::engine::{EngineFigures, EngineSample};
use super::histogram::Histogram;
use super::objectives::Objectives;
use super::plan::LoadPlan;
use super::schedule::Schedule;
use super::tally::{Interval, STAGES, Tally};
use super::unreached;
use crate::media::coded::Flaw;

/// The result of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// Whether the figures are the engine's: the generator kept up with its own plan.
    pub valid: bool,
    /// Why they are not, one sentence each.
    pub invalid_because: Vec<String>,
    /// Why no call came about, if none did: then there are no figures at all.
    pub no_call: Option<String>,
    /// The run was ended before its time.
    pub stopped_early: bool,
    /// Objectives that were missed, one sentence each.
    pub missed: Vec<String>,
    /// What was asked for.
    pub run: RunFacts,
    /// Who asked, where and when.
    pub origin: Origin,
    /// Calls that were placed, those tried again included.
    pub placed: u64,
    /// Calls that the engine took.
    pub connected: u64,
    /// Calls that the engine refused for lack of room, each time counted.
    pub refused: u64,
    /// Calls that were refused so often that they were given up.
    pub given_up: u64,
    /// Calls that the engine ended.
    pub ended_by_engine: u64,
    /// What went wrong, by its kind.
    pub errors: BTreeMap<String, u64>,
    /// What the engine said to calls that it did not take: status and its own words.
    pub answers: BTreeMap<String, u64>,
    /// Caller turns.
    pub turns: TurnFigures,
    /// What the numbers in the audio show, towards the caller.
    pub to_caller: FlawFigures,
    /// Utterances that arrived at the engine with a flaw, by the worst of each.
    pub to_engine: BTreeMap<String, u64>,
    /// Words that were heard in a call they do not belong to.
    pub cross_talk_words: u64,
    /// Replies that carried a number: nothing is verified without them.
    pub verified_replies: u64,
    /// Replies to an earlier turn.
    pub stale_replies: u64,
    /// Time from the request to the call being taken, in milliseconds.
    pub set_up_ms: Percentiles,
    /// Time from the last frame with speech to the first audio of the answer, in
    /// milliseconds; the silence that the engine waits for is part of it.
    pub response_ms: Percentiles,
    /// The engine's own figures of its stages, in milliseconds.
    pub stages_ms: BTreeMap<String, Percentiles>,
    /// Frames of reply audio that came.
    pub reply_frames: u64,
    /// Share of them that came too late for a jitter buffer of 60 ms, 0 to 1.
    pub late_share: f64,
    /// How much too late, in milliseconds.
    pub late_ms: Percentiles,
    /// What the engine told of its own losses, by event.
    pub engine_told: BTreeMap<String, u64>,
    /// The generator itself.
    pub generator: GeneratorFigures,
    /// The engine's process, if it was watched.
    pub engine: Option<EngineFigures>,
    /// The run in pieces.
    pub intervals: Vec<IntervalFigures>,
}

/// Where a run comes from. Whoever starts it knows; the report only keeps it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Origin {
    /// When it began, as RFC 3339 in UTC.
    pub started: String,
    /// Version of the generator.
    pub version: &'static str,
    /// Name of its computer.
    pub host: String,
    /// What kind of computer that is.
    pub system: String,
    /// Its cores.
    pub cores: usize,
    /// What was typed.
    pub command: String,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct RunFacts {
    /// Where calls were placed.
    pub url: String,
    /// The carrier protocol.
    pub carrier: &'static str,
    /// `closed` (so many calls are held) or `open` (calls arrive at a rate).
    pub mode: &'static str,
    /// The most calls at a time, about.
    pub calls: u32,
    /// How long the run was to be, in seconds.
    pub seconds: f64,
    /// Audio in one message, in milliseconds.
    pub chunk_ms: u32,
    /// Samples a second.
    pub rate_hz: u32,
    /// What was left to chance is decided by it.
    pub seed: u64,
}

/// Caller turns by how they ended. Those cut off by the end of the run are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TurnFigures {
    /// Turns that ended.
    pub ended: u64,
    /// Answered, and flawless as far as that can be told.
    pub ok: u64,
    /// Answered by the engine's own sentence that it did not understand or failed.
    pub not_understood: u64,
    /// Answered, with something wrong in either direction.
    pub flawed: u64,
    /// Not answered in time.
    pub unanswered: u64,
    /// Answers that the caller interrupted.
    pub interruptions: u64,
}

/// What was wrong with the audio that callers heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FlawFigures {
    /// Words that were not heard.
    pub missing_words: u64,
    /// Audio missing between words that were, in milliseconds.
    pub lost_ms: u64,
    /// Audio between words that was not sent there, in milliseconds.
    pub extra_ms: u64,
    /// Words heard twice.
    pub repeated_words: u64,
    /// Words heard after a later one.
    pub reordered_words: u64,
}

/// Percentiles in milliseconds; `None` where nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Percentiles {
    /// Values measured.
    pub count: u64,
    /// Half of them are not above it.
    pub p50: Option<f64>,
    /// 95 % are not above it.
    pub p95: Option<f64>,
    /// 99 % are not above it.
    pub p99: Option<f64>,
    /// None is above it.
    pub max: Option<f64>,
}

/// The generator's own figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GeneratorFigures {
    /// Messages of audio sent.
    pub sent: u64,
    /// How long after their time they went out, in milliseconds.
    pub send_late_ms: Percentiles,
    /// Messages that the engine's side did not take at once.
    pub blocked: u64,
    /// Its threads.
    pub threads: Vec<ThreadUse>,
}

/// What a thread of the generator used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ThreadUse {
    /// Share of a core, on average, 0 to 1.
    pub cpu_share: f64,
    /// Share of a core in the busiest quarter of a second.
    pub cpu_share_max: f64,
    /// Share of the time in which it had work and other programs had its core.
    pub wait_share: f64,
}

/// A piece of the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct IntervalFigures {
    /// Where it begins, in seconds since the start.
    pub at_s: f64,
    /// The most calls at a time.
    pub calls: u32,
    /// Calls refused.
    pub refused: u64,
    /// Things that went wrong.
    pub errors: u64,
    /// Turns that ended.
    pub turns: u64,
    /// Response times, in milliseconds.
    pub response_ms: Percentiles,
    /// The engine's stages, in milliseconds.
    pub stages_ms: BTreeMap<String, Percentiles>,
    /// Share of the reply frames that came too late, 0 to 1.
    pub late_share: f64,
    /// How late the generator was 99 % of the time at most, in milliseconds.
    pub send_late_p99_ms: Option<f64>,
    /// Cores that the generator used.
    pub generator_cores: f64,
    /// The last look at the engine's process.
    pub engine: Option<EngineSample>,
}

impl From<&Histogram> for Percentiles {
    fn from(histogram: &Histogram) -> Self {
        let round = |ms: f64| (ms * 1_000.0).round() / 1_000.0;
        let at = |percent| histogram.percentile_ms(percent).map(round);
        Self {
            count: histogram.count(),
            p50: at(50.0),
            p95: at(95.0),
            p99: at(99.0),
            max: histogram.max_ms().map(round),
        }
    }
}

impl Report {
    /// The result of `plan`, out of what its threads found.
    #[must_use]
    pub(super) fn new(
        plan: &LoadPlan,
        tally: &Tally,
        threads: Vec<ThreadUse>,
        stopped_early: bool,
    ) -> Self {
        let codes = &tally.codes;
        let flaws = &codes.to_caller;
        let by_flaw = Flaw::ALL.iter().zip(codes.to_engine).filter(|(_, count)| *count > 0);
        let mut report = Self {
            stopped_early,
            run: run_facts(plan),
            placed: tally.placed,
            connected: tally.connected,
            refused: tally.refused,
            given_up: tally.given_up,
            ended_by_engine: tally.ended_by_engine,
            errors: named(&tally.errors),
            answers: tally.answers.counts().clone(),
            turns: turn_figures(plan, tally),
            to_caller: FlawFigures {
                missing_words: flaws.missing_words.into(),
                lost_ms: flaws.lost_ms.into(),
                extra_ms: flaws.extra_ms.into(),
                repeated_words: flaws.repeated_words.into(),
                reordered_words: flaws.reordered_words.into(),
            },
            to_engine: by_flaw.map(|(flaw, count)| (flaw.as_str().to_owned(), count)).collect(),
            cross_talk_words: codes.foreign_words
                + codes.echoed_words
                + u64::from(flaws.foreign_words)
                + codes.to_engine[Flaw::Foreign as usize],
            verified_replies: codes.replies,
            stale_replies: codes.stale_replies,
            set_up_ms: (&tally.set_up).into(),
            response_ms: (&tally.latencies.response).into(),
            stages_ms: stages(&tally.latencies.stages),
            reply_frames: tally.heard,
            late_share: share(tally.late.count(), tally.heard),
            late_ms: (&tally.late).into(),
            engine_told: named(&tally.engine_told),
            generator: GeneratorFigures {
                sent: tally.sent,
                send_late_ms: (&tally.send_late).into(),
                blocked: tally.blocked,
                threads,
            },
            intervals: intervals(tally),
            ..Self::default()
        };
        if tally.placed > 0 && tally.connected == 0 {
            let url = plan.target.url.as_str();
            report.no_call = Some(unreached::why(url, tally));
        } else {
            report.invalid_because = report.reasons_against(plan);
        }
        report.valid = report.no_call.is_none() && report.invalid_because.is_empty();
        report
    }

    /// Adds what was seen of the engine's process, in the order of time.
    pub(super) fn add_engine(&mut self, figures: EngineFigures, samples: &[EngineSample]) {
        self.engine = Some(figures);
        for sample in samples {
            let is_later = self.intervals.partition_point(|it| it.at_s <= sample.at_s);
            if let Some(interval) = self.intervals[..is_later].last_mut() {
                interval.engine = Some(*sample);
            }
        }
    }

    /// Judges it by `objectives`.
    pub fn judge(&mut self, objectives: &Objectives) {
        self.missed = objectives.missed(self);
    }

    /// Share of the turns that are answered and flawless, 0 to 1.
    #[must_use]
    pub fn turns_ok_share(&self) -> f64 {
        share(self.turns.ok, self.turns.ended)
    }

    /// Flaws in both directions, each kind in its own unit, added up.
    #[must_use]
    pub fn flaws(&self) -> u64 {
        let FlawFigures { missing_words, lost_ms, extra_ms, repeated_words, reordered_words } =
            self.to_caller;
        let cuts = u64::from(lost_ms > 0) + u64::from(extra_ms > 0);
        let to_engine: u64 = self.to_engine.values().sum();
        missing_words + cuts + repeated_words + reordered_words + to_engine + self.cross_talk_words
    }

    /// Everything that went wrong.
    #[must_use]
    pub fn errors_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Why the figures would be the generator's own and not the engine's.
    fn reasons_against(&self, plan: &LoadPlan) -> Vec<String> {
        let limits = plan.limits;
        let late = self.generator.send_late_ms.p99.filter(|ms| *ms > limits.send_late_ms_max);
        let late = late.map(|ms| {
            format!(
                "the generator sent 1 % of its messages more than {ms:.1} ms late (limit {} ms)",
                limits.send_late_ms_max
            )
        });
        let busiest = self.generator.threads.iter().map(|it| it.cpu_share).fold(0.0, f64::max);
        let busy = (busiest > limits.cpu_share_max).then(|| {
            format!(
                "a thread of the generator used {:.0} % of its core (limit {:.0} %)",
                busiest * 100.0,
                limits.cpu_share_max * 100.0
            )
        });
        let silent = (self.generator.sent == 0).then(|| "no call sent any audio".to_owned());
        [late, busy, silent].into_iter().flatten().collect()
    }
}

fn run_facts(plan: &LoadPlan) -> RunFacts {
    RunFacts {
        url: plan.target.url.to_string(),
        carrier: plan.target.carrier.as_str(),
        mode: match plan.schedule {
            Schedule::Held(_) => "closed",
            Schedule::Arriving(_) => "open",
        },
        calls: plan.schedule.calls_max(),
        seconds: plan.schedule.ms() as f64 / 1_000.0,
        chunk_ms: plan.caller.chunk_ms,
        rate_hz: plan.caller.rate.hz(),
        seed: plan.seed,
    }
}

fn turn_figures(plan: &LoadPlan, tally: &Tally) -> TurnFigures {
    let turns = &tally.turns;
    // An engine whose voice carries no numbers can only be asked for an answer. One whose
    // voice does has a flaw wherever they are missing.
    let is_coded = plan.must_verify || tally.codes.replies > 0;
    let (uncoded_ok, uncoded_flawed) =
        if is_coded { (0, turns.uncoded) } else { (turns.uncoded, 0) };
    let flawed = turns.flawed + uncoded_flawed;
    let ok = turns.intact + uncoded_ok;
    TurnFigures {
        ended: ok + flawed + turns.not_understood + turns.unanswered,
        ok,
        not_understood: turns.not_understood,
        flawed,
        unanswered: turns.unanswered,
        interruptions: turns.interruptions,
    }
}

fn intervals(tally: &Tally) -> Vec<IntervalFigures> {
    let at_s = |place: usize| place as f64 * tally.interval_ms() as f64 / 1_000.0;
    let figures = |(place, interval): (usize, &Interval)| IntervalFigures {
        at_s: at_s(place),
        calls: interval.calls_max,
        refused: interval.refused,
        errors: interval.failed,
        turns: interval.turns,
        response_ms: (&interval.latencies.response).into(),
        stages_ms: stages(&interval.latencies.stages),
        late_share: share(interval.late, interval.heard),
        send_late_p99_ms: interval.send_late.percentile_ms(99.0),
        generator_cores: interval.cpu_share,
        engine: None,
    };
    tally.intervals.iter().enumerate().map(figures).collect()
}

fn stages(histograms: &[Histogram; STAGES.len()]) -> BTreeMap<String, Percentiles> {
    let measured = STAGES.iter().zip(histograms).filter(|(_, histogram)| histogram.count() > 0);
    measured.map(|(name, histogram)| ((*name).to_owned(), histogram.into())).collect()
}

fn named(counts: &BTreeMap<&'static str, u64>) -> BTreeMap<String, u64> {
    counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

fn share(part: u64, of: u64) -> f64 {
    if of == 0 { 0.0 } else { part as f64 / of as f64 }
}
