//! What a run has to reach to be called good. Pure: a report and the wishes go in, what
//! was missed comes out, one line each.

use serde::{Deserialize, Serialize};

use super::engine::{Course, EngineFigures};
use super::report::Report;

/// The wishes. What is not given is not judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Objectives {
    /// Longest median response, in milliseconds.
    pub max_p50_ms: Option<f64>,
    /// Longest response of 95 % of the turns, in milliseconds.
    pub max_p95_ms: Option<f64>,
    /// Longest response of 99 % of the turns, in milliseconds.
    pub max_p99_ms: Option<f64>,
    /// Smallest share of turns that are answered and flawless, 0 to 1.
    pub min_turns_ok: Option<f64>,
    /// Largest share of reply frames that come too late to be played, 0 to 1.
    pub max_late: Option<f64>,
    /// Most flaws of the audio in both directions: lost, repeated, damaged and so on.
    pub max_flaws: Option<u64>,
    /// Most words that were heard in another call.
    pub max_cross_talk: Option<u64>,
    /// Most refused calls.
    pub max_refused: Option<u64>,
    /// Most errors.
    pub max_errors: Option<u64>,
    /// Longest time until 99 % of the calls are taken, in milliseconds.
    pub max_set_up_p99_ms: Option<f64>,
    /// Most growth of the engine's resident memory after the warm-up, in MB.
    pub max_memory_growth_mb: Option<f64>,
    /// Most growth of the number of its open handles.
    pub max_handle_growth: Option<f64>,
    /// Most growth of the number of its threads.
    pub max_thread_growth: Option<f64>,
}

impl Objectives {
    /// What `other` wishes, and what is wished here where it wishes nothing.
    #[must_use]
    pub fn overlaid_by(self, other: Self) -> Self {
        Self {
            max_p50_ms: other.max_p50_ms.or(self.max_p50_ms),
            max_p95_ms: other.max_p95_ms.or(self.max_p95_ms),
            max_p99_ms: other.max_p99_ms.or(self.max_p99_ms),
            min_turns_ok: other.min_turns_ok.or(self.min_turns_ok),
            max_late: other.max_late.or(self.max_late),
            max_flaws: other.max_flaws.or(self.max_flaws),
            max_cross_talk: other.max_cross_talk.or(self.max_cross_talk),
            max_refused: other.max_refused.or(self.max_refused),
            max_errors: other.max_errors.or(self.max_errors),
            max_set_up_p99_ms: other.max_set_up_p99_ms.or(self.max_set_up_p99_ms),
            max_memory_growth_mb: other.max_memory_growth_mb.or(self.max_memory_growth_mb),
            max_handle_growth: other.max_handle_growth.or(self.max_handle_growth),
            max_thread_growth: other.max_thread_growth.or(self.max_thread_growth),
        }
    }

    /// Whether a figure is wished for that only an engine that is watched has.
    #[must_use]
    pub fn need_watch(&self) -> bool {
        let growth = [self.max_memory_growth_mb, self.max_handle_growth, self.max_thread_growth];
        growth.iter().any(Option::is_some)
    }

    /// Every wish that `report` does not fulfil, one line each. A figure that there is not,
    /// such as the latency of no turn at all, fulfils nothing.
    #[must_use]
    pub fn missed(&self, report: &Report) -> Vec<String> {
        let response = report.response_ms;
        // Without a number in any reply nothing is known of the audio.
        let growth = |of: fn(&EngineFigures) -> Course| of(report.engine.as_ref()?).growth;
        let verified = |count: u64| (report.verified_replies > 0).then_some(count);
        let at_most = [
            ("response p50", response.p50, self.max_p50_ms, "ms"),
            ("response p95", response.p95, self.max_p95_ms, "ms"),
            ("response p99", response.p99, self.max_p99_ms, "ms"),
            ("set-up p99", report.set_up_ms.p99, self.max_set_up_p99_ms, "ms"),
            ("late reply frames", Some(report.late_share), self.max_late, "of all"),
            count("flaws", verified(report.flaws()), self.max_flaws),
            count("words of other calls", verified(report.cross_talk_words), self.max_cross_talk),
            count("refused calls", Some(report.refused), self.max_refused),
            count("errors", Some(report.errors_count()), self.max_errors),
            ("growth of memory", growth(|it| it.resident_mb), self.max_memory_growth_mb, "MB"),
            ("growth of handles", growth(|it| it.handles), self.max_handle_growth, ""),
            ("growth of threads", growth(|it| it.threads), self.max_thread_growth, ""),
        ];
        let exceeded = at_most.into_iter().filter_map(|(what, found, limit, unit)| {
            let limit = limit?;
            let is_kept = found.is_some_and(|found| found <= limit);
            let found = found.map(|found| format!("{} {unit}", number(found)));
            let found = found.unwrap_or_else(|| "not measured".to_owned());
            let limit = number(limit);
            (!is_kept).then(|| format!("{what}: {}, at most {limit} wanted", found.trim_end()))
        });
        let too_few = self.min_turns_ok.filter(|least| report.turns_ok_share() < *least);
        let too_few = too_few.map(|least| {
            format!(
                "turns ok: {} of all, at least {} wanted",
                number(report.turns_ok_share()),
                number(least)
            )
        });
        exceeded.chain(too_few).collect()
    }
}

type AtMost = (&'static str, Option<f64>, Option<f64>, &'static str);

fn count(what: &'static str, found: Option<u64>, limit: Option<u64>) -> AtMost {
    (what, found.map(|found| found as f64), limit.map(|limit| limit as f64), "")
}

/// Without digits that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::Percentiles;

    #[test]
    fn every_missed_wish_is_one_line_and_a_fulfilled_one_none() {
        let report = Report {
            response_ms: Percentiles {
                p50: Some(300.0),
                p99: Some(512.5),
                ..Percentiles::default()
            },
            late_share: 0.02,
            refused: 3,
            ..Report::default()
        };
        let wishes = Objectives {
            max_p50_ms: Some(300.0),
            max_p95_ms: Some(400.0),
            max_p99_ms: Some(500.0),
            min_turns_ok: Some(0.99),
            max_late: Some(0.01),
            max_refused: Some(0),
            max_errors: Some(0),
            max_flaws: Some(0),
            ..Objectives::default()
        };
        assert_eq!(
            wishes.missed(&report),
            [
                "response p95: not measured, at most 400 wanted",
                "response p99: 512.5 ms, at most 500 wanted",
                "late reply frames: 0.02 of all, at most 0.01 wanted",
                "flaws: not measured, at most 0 wanted",
                "refused calls: 3, at most 0 wanted",
                "turns ok: 0 of all, at least 0.99 wanted",
            ]
        );
        assert!(Objectives::default().missed(&report).is_empty());
    }

    #[test]
    fn an_engine_that_grows_misses_and_one_that_nobody_watched_as_well() {
        let grown = |by| Course { growth: Some(by), ..Course::default() };
        let engine = EngineFigures {
            resident_mb: grown(3.25),
            handles: grown(-1.0),
            ..EngineFigures::default()
        };
        let watched = Report { engine: Some(engine), ..Report::default() };
        let wishes = Objectives {
            max_memory_growth_mb: Some(2.0),
            max_handle_growth: Some(0.0),
            ..Objectives::default()
        };
        assert_eq!(wishes.missed(&watched), ["growth of memory: 3.25 MB, at most 2 wanted"]);
        assert_eq!(wishes.missed(&Report::default()).len(), 2);
    }

    #[test]
    fn what_is_given_later_counts() {
        let first = Objectives { max_p50_ms: Some(1.0), max_errors: Some(1), ..Default::default() };
        let both = first.overlaid_by(Objectives { max_p50_ms: Some(2.0), ..Default::default() });
        assert_eq!((both.max_p50_ms, both.max_errors), (Some(2.0), Some(1)));
    }
}
