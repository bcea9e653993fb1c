//! A scenario in a file: stages, how callers talk, and what the run has to reach. Pure; a
//! wrong file is refused with the line and what is wrong.

use serde::Deserialize;

use super::objectives::Objectives;
use super::pattern::TalkPattern;
use super::schedule::{Arrivals, Schedule, Stage};

/// What a scenario file says. What it leaves out is as on the command line.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Where calls are placed.
    pub url: Option<String>,
    /// What is left to chance is decided by it.
    pub seed: Option<u64>,
    /// Closed loop: the number of calls over time.
    pub stages: Vec<Stage>,
    /// Open loop: calls that arrive.
    pub arrivals: Option<Arrivals>,
    /// How callers talk.
    pub pattern: Option<TalkPattern>,
    /// What the run has to reach.
    pub objectives: Objectives,
}

/// Why a scenario is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// Not TOML, or not of this shape.
    #[error("{0}")]
    Toml(String),
    /// Both loops.
    #[error("`stages` and `arrivals` exclude each other: hold calls, or let them arrive")]
    BothLoops,
    /// A time or a number that makes no run.
    #[error("{0}")]
    Value(&'static str),
}

impl Script {
    /// Reads a scenario.
    ///
    /// # Errors
    /// [`ScriptError`] with what is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, ScriptError> {
        let script: Self =
            toml::from_str(text).map_err(|error| ScriptError::Toml(error.to_string()))?;
        script.check()?;
        Ok(script)
    }

    /// The schedule, if the file has one.
    #[must_use]
    pub fn schedule(&self) -> Option<Schedule> {
        match self.arrivals {
            Some(arrivals) => Some(Schedule::Arriving(arrivals)),
            None if self.stages.is_empty() => None,
            None => Some(Schedule::Held(self.stages.clone())),
        }
    }

    fn check(&self) -> Result<(), ScriptError> {
        if self.arrivals.is_some() && !self.stages.is_empty() {
            return Err(ScriptError::BothLoops);
        }
        let is_time = |seconds: f64| (0.0..=86_400.0).contains(&seconds);
        if !self.stages.iter().all(|stage| is_time(stage.ramp_s) && is_time(stage.hold_s)) {
            return Err(ScriptError::Value("`stages`: times are from 0 to 86,400 seconds"));
        }
        let rate = |it: Arrivals| {
            it.per_s > 0.0 && [it.call_s, it.ramp_s, it.for_s].into_iter().all(is_time)
        };
        if !self.arrivals.is_none_or(rate) {
            return Err(ScriptError::Value(
                "`arrivals`: per_s is above 0, times are from 0 to 86,400 seconds",
            ));
        }
        if self.pattern.is_some_and(|pattern| !(0.0..=1.0).contains(&pattern.interrupt)) {
            return Err(ScriptError::Value("`pattern.interrupt` is a share from 0 to 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCENARIO: &str = r#"
        url = "ws://127.0.0.1:8080/v1/stream"
        seed = 7

        [[stages]]
        calls = 100
        ramp_s = 10
        hold_s = 30

        [[stages]]
        calls = 500
        hold_s = 60

        [pattern]
        speech_ms = "1000-3000"
        interrupt = 0.1

        [objectives]
        max_p99_ms = 800
        min_turns_ok = 0.99
    "#;

    #[test]
    fn a_scenario_has_stages_a_pattern_and_objectives() {
        let script = Script::parse(SCENARIO).expect("a right scenario");
        let stages = vec![
            Stage { calls: 100, ramp_s: 10.0, hold_s: 30.0 },
            Stage { calls: 500, ramp_s: 0.0, hold_s: 60.0 },
        ];
        assert_eq!(script.schedule(), Some(Schedule::Held(stages)));
        let pattern = script.pattern.expect("a pattern");
        assert_eq!((pattern.speech_ms.to_string().as_str(), pattern.interrupt), ("1000-3000", 0.1));
        assert_eq!(script.objectives.max_p99_ms, Some(800.0));
    }

    #[test]
    fn an_empty_scenario_changes_nothing() {
        assert_eq!(Script::parse(""), Ok(Script::default()));
        assert_eq!(Script::default().schedule(), None);
    }

    #[test]
    fn a_wrong_scenario_is_refused_with_its_place_or_its_reason() {
        let refused = |text: &str| Script::parse(text).expect_err("refused").to_string();
        let unknown = refused("[[stages]]\ncals = 5\nhold_s = 1");
        assert!(unknown.contains("line 2") && unknown.contains("cals"), "{unknown}");
        assert!(refused("pattern.speech_ms = \"long\"").contains("1000-3000"));
        assert!(refused("pattern.interrupt = 2.0").contains("0 to 1"));
        assert!(refused("[[stages]]\ncalls = 5\nhold_s = -1").contains("86,400"));
        let both = "[[stages]]\ncalls = 1\nhold_s = 1\n[arrivals]\nper_s = 1\ncall_s = 1\nramp_s = 0\nfor_s = 1";
        assert!(refused(both).contains("exclude each other"));
    }
}
