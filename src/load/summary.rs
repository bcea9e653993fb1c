//! A report as text for a terminal. Pure.

use std::fmt::Write as _;

use super::engine::{Course, EngineFigures};
use super::figures::{ms, percent, time};
use super::report::Report;

/// Room for a value beside its name, in a terminal of 80 columns.
const VALUE_CHARS: usize = 66;

/// Answers to calls that were not taken, of which more are in the report's file.
const ANSWERS_SHOWN_MAX: usize = 5;

/// The report as lines of at most 80 characters. Ends with a line break.
#[must_use]
pub fn summary(report: &Report) -> String {
    let mut text = String::new();
    let run = &report.run;
    line(
        &mut text,
        "calls",
        &format!(
            "{} at a time ({} loop), {} over {}: {} placed, {} taken, {} refused, {} given up, {} ended by the engine",
            run.calls,
            run.mode,
            time(run.seconds),
            run.carrier,
            report.placed,
            report.connected,
            report.refused,
            report.given_up,
            report.ended_by_engine
        ),
    );
    let turns = &report.turns;
    line(
        &mut text,
        "turns",
        &format!(
            "{} ended: {} ok ({}), {} flawed, {} not understood, {} unanswered; {} interruptions",
            turns.ended,
            turns.ok,
            percent(report.turns_ok_share()),
            turns.flawed,
            turns.not_understood,
            turns.unanswered,
            turns.interruptions
        ),
    );
    line(&mut text, "audio", &audio(report));
    line(
        &mut text,
        "late frames",
        &format!("{:.3} % of {} reply frames", report.late_share * 100.0, report.reply_frames),
    );
    if let Some(engine) = &report.engine {
        line(&mut text, "engine", &self::engine(engine));
    }
    counts(&mut text, "errors", report.errors.iter());
    answers(&mut text, report);
    counts(&mut text, "engine told", report.engine_told.iter());
    text.push('\n');
    table(&mut text, report);
    text.push('\n');
    verdict(&mut text, report);
    text
}

/// What the numbers in the audio showed.
pub(super) fn audio(report: &Report) -> String {
    if report.verified_replies == 0 {
        return "not verified: no reply carried a number".to_owned();
    }
    let it = &report.to_caller;
    let mut text = format!("{} replies verified", report.verified_replies);
    if report.flaws() == 0 {
        text.push_str(", nothing lost, repeated, moved, damaged or heard elsewhere");
        return text;
    }
    write_to(
        &mut text,
        format_args!(
            "; to the caller: {} words missing, {} ms lost, {} ms too much, {} repeated, {} moved",
            it.missing_words, it.lost_ms, it.extra_ms, it.repeated_words, it.reordered_words
        ),
    );
    for (flaw, count) in &report.to_engine {
        write_to(&mut text, format_args!("; to the engine: {count} {flaw}"));
    }
    write_to(&mut text, format_args!("; cross-talk: {} words", report.cross_talk_words));
    text
}

fn engine(it: &EngineFigures) -> String {
    let course = |course: Course, unit: &str| {
        let max = course.max.map_or_else(|| "-".to_owned(), |it| format!("{it:.1}{unit}"));
        let growth = course.growth.map_or_else(|| "-".to_owned(), |it| format!("{it:+.2}"));
        format!("{max} at most, {growth}")
    };
    format!(
        "{} cores; memory {}; handles {}; threads {} (growth after {} of warm-up; {} looks, {} failed)",
        ms(it.cores),
        course(it.resident_mb, " MB"),
        course(it.handles, ""),
        course(it.threads, ""),
        time(it.warm_until_s),
        it.looks,
        it.looks_failed
    )
}

fn table(text: &mut String, report: &Report) {
    let stages = report.stages_ms.iter().map(|(name, figures)| (name.replace('_', " "), figures));
    let rows = [
        ("call set-up".to_owned(), &report.set_up_ms),
        ("response".to_owned(), &report.response_ms),
    ];
    let own = [("generator lateness".to_owned(), &report.generator.send_late_ms)];
    write_to(
        text,
        format_args!(
            "{:<20} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
            "milliseconds", "count", "p50", "p95", "p99", "max"
        ),
    );
    for (name, figures) in rows.into_iter().chain(stages).chain(own) {
        write_to(
            text,
            format_args!(
                "{name:<20} {:>9} {:>9} {:>9} {:>9} {:>9}\n",
                figures.count,
                ms(figures.p50),
                ms(figures.p95),
                ms(figures.p99),
                ms(figures.max)
            ),
        );
    }
    for thread in &report.generator.threads {
        let (used, waited) = (thread.cpu_share, thread.wait_share);
        write_to(
            text,
            format_args!("generator thread     {used:.2} cores; waited {waited:.2} for a core\n"),
        );
    }
}

fn verdict(text: &mut String, report: &Report) {
    if let Some(reason) = &report.no_call {
        write_to(text, format_args!("NO CALL: {reason}\n"));
    }
    for reason in &report.invalid_because {
        write_to(text, format_args!("INVALID: {reason}\n"));
    }
    for missed in &report.missed {
        write_to(text, format_args!("MISSED: {missed}\n"));
    }
    if report.stopped_early {
        text.push_str("The run was stopped before its end.\n");
    }
}

fn counts<'a>(text: &mut String, name: &str, counts: impl Iterator<Item = (&'a String, &'a u64)>) {
    let counts: Vec<String> = counts.map(|(kind, count)| format!("{kind} {count}")).collect();
    if !counts.is_empty() {
        line(text, name, &counts.join(", "));
    }
}

/// What was said to calls that were not taken, the most frequent first.
fn answers(text: &mut String, report: &Report) {
    let mut answers: Vec<_> = report.answers.iter().collect();
    answers.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    for (said, count) in answers.into_iter().take(ANSWERS_SHOWN_MAX) {
        line(text, "not taken", &format!("{count} times: {said}"));
    }
}

/// A line with its name; what is longer than a terminal goes on below.
fn line(text: &mut String, name: &str, value: &str) {
    let (mut name, mut rest) = (name, value);
    while !rest.is_empty() {
        let fits = rest.char_indices().nth(VALUE_CHARS).map_or(rest.len(), |(end, _)| end);
        let cut = if fits == rest.len() { fits } else { rest[..fits].rfind(' ').unwrap_or(fits) };
        write_to(text, format_args!("{name:<12}  {}\n", rest[..cut].trim_end()));
        (name, rest) = ("", rest[cut..].trim_start());
    }
}

fn write_to(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _infallible = text.write_fmt(arguments);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{Percentiles, TurnFigures};

    #[test]
    fn the_summary_says_what_was_measured_and_what_is_wrong_with_it() {
        let mut report = Report {
            placed: 5,
            turns: TurnFigures { ended: 4, ok: 3, unanswered: 1, ..TurnFigures::default() },
            response_ms: Percentiles { count: 3, p50: Some(301.25), ..Percentiles::default() },
            ..Report::default()
        };
        report.errors.insert("connection_lost".to_owned(), 2);
        report.answers.insert("404 unknown_route: there is no route".to_owned(), 12);
        report.answers.insert("503 full".to_owned(), 3);
        report.invalid_because.push("the generator was late".to_owned());
        report.missed.push("response p99: 900 ms, at most 800 wanted".to_owned());
        let text = summary(&report);
        for part in [
            "4 ended: 3 ok (75 %)",
            "not verified: no reply carried a number",
            "connection_lost 2",
            "not taken     12 times: 404 unknown_route: there is no route\nnot taken     3 times: 503",
            "response                     3     301.2         -",
            "INVALID: the generator was late",
            "MISSED: response p99: 900 ms",
        ] {
            assert!(text.contains(part), "{part} is missing in\n{text}");
        }
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert!(longest <= Some(80), "{text}");
    }
}
