//! A report as one HTML file that needs nothing else: no script, no font, no network. It is
//! made to be shown: what was run where and when, whether it was good enough, the figures, and
//! plots over time. It follows the reader's choice of dark or light. Pure.

use std::fmt::Write as _;

use super::engine::{Course, EngineFigures};
use super::figures::{count, figure, ms, percent, time};
use super::plot::Plot;
use super::report::{Percentiles, Report};
use super::summary::audio;

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let run = &report.run;
    let title = format!("{} calls over {}", count(run.calls.into()), carrier(run.carrier));
    let engine = if report.engine.is_some() { ENGINE_PLOTS } else { &[] };
    let plots = PLOTS.iter().chain(engine);
    let plots: String = plots.map(|plot| plot.draw(&report.intervals)).collect();
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n<header><h1>{title}</h1>\n{facts}</header>\n{verdict}\n\
         <section class=tiles>{tiles}</section>\n\
         <h2>Response and stages</h2>\n{latencies}\n<h2>Calls, turns and audio</h2>\n{counts}\n\
         <h2>Over time</h2>\n<main>\n{plots}</main>\n<footer>{COMMENT}</footer>\n</html>\n",
        facts = facts(report),
        verdict = verdict(report),
        tiles = tiles(report),
        latencies = latencies(report),
        counts = counts(report),
    )
}

const COMMENT: &str = "Response: from the caller's last word to the first audio of the answer; the \
    silence that the engine waits for is part of it. Late: frames that a telephone with a jitter \
    buffer of 60 ms could not have played in time.";

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#1d2430, #e4e7ec); --dim: light-dark(#5b6472, #9aa4b2);
  --faint: light-dark(#e3e6eb, #353b45); --tile: light-dark(#f6f7f9, #1c2129); --paper: light-dark(#fff, #12161c);
  --a: light-dark(#0b63ce, #6db3ff); --b: light-dark(#b85c00, #ffb454); --c: light-dark(#b3003c, #ff7a9c);
  --d: light-dark(#237a35, #7ed68e) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 72rem;
  margin: 2rem auto; padding: 0 1.25rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem } h2 { font-size: 1.1rem; margin: 2.25rem 0 .75rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.25rem; margin: 0 } dt { color: var(--dim) }
dd { margin: 0; overflow-wrap: anywhere } code { font-size: .92em }
.verdict { margin: 1.5rem 0; padding: .75rem 1rem; border-left: .35rem solid; background: var(--tile) }
.verdict p { margin: 0; font-weight: 600 } .verdict ul { margin: .4rem 0 0; padding-left: 1.2rem; color: var(--ink) }
.good { border-color: var(--d) } .good p { color: var(--d) } .bad { border-color: var(--c) } .bad p { color: var(--c) }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); gap: .75rem }
.tile { background: var(--tile); padding: .7rem .9rem; border-radius: .4rem }
.tile b { display: block; font-size: 1.5rem; line-height: 1.25; font-weight: 600; white-space: nowrap }
.tile span { color: var(--dim); font-size: .87rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } .wide { overflow-x: auto }
th, td { padding: .3rem .9rem .3rem 0; text-align: right; border-bottom: 1px solid var(--faint); white-space: nowrap }
th { color: var(--dim); font-weight: 500 } th:first-child, td:first-child { text-align: left }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); gap: 1.75rem }
figure { margin: 0 } figcaption { font-weight: 600; display: flex; flex-wrap: wrap; gap: 0 1rem }
.legend { display: flex; flex-wrap: wrap; gap: 0 .9rem; font-weight: 400; font-size: .87rem }
.legend span::before { content: ''; display: inline-block; width: 1rem; border-top: 2px solid; margin-right: .35rem;
  vertical-align: middle }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--dim); font-size: 11px }
.grid { stroke: var(--faint) }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; stroke-linecap: round }
polyline.a { stroke: var(--a) } polyline.b { stroke: var(--b) } polyline.c { stroke: var(--c) } polyline.d { stroke: var(--d) }
.legend .a { color: var(--a) } .legend .b { color: var(--b) } .legend .c { color: var(--c) } .legend .d { color: var(--d) }
footer { color: var(--dim); font-size: .87rem; margin: 2rem 0 }
@media print { body { margin: 0; max-width: none } figure, .tile, table { break-inside: avoid } }
";

fn carrier(name: &str) -> &str {
    match name {
        "stream" => "the audio stream",
        "simulator" => "the simulator protocol",
        "http-callback" => "the HTTP callback",
        other => other,
    }
}

/// What was run, where, when and how.
fn facts(report: &Report) -> String {
    let (run, origin) = (&report.run, &report.origin);
    let started = origin.started.split('.').next().unwrap_or_default();
    let place = format!("{} ({} cores, {})", origin.host, origin.cores, origin.system);
    let loop_ = if run.mode == "open" { "calls arrive at a rate" } else { "calls are held" };
    let how = format!(
        "{} ({loop_}), messages of {} ms at {} Hz, seed {}",
        time(run.seconds),
        run.chunk_ms,
        count(run.rate_hz.into()),
        run.seed
    );
    let rows = [
        ("Engine", escaped(&run.url)),
        ("When", escaped(&format!("{} UTC", started.replace('T', " ")))),
        ("Callers", escaped(&format!("antiphon {} on {place}", origin.version))),
        ("Run", escaped(&how)),
        ("Command", format!("<code>{}</code>", escaped(&origin.command))),
    ];
    let rows = rows.map(|(name, value)| format!("<dt>{name}</dt><dd>{value}</dd>"));
    format!("<dl>{}</dl>", rows.concat())
}

fn verdict(report: &Report) -> String {
    let (class, text, reasons) = if let Some(why) = &report.no_call {
        ("bad", "No call came about.", std::slice::from_ref(why))
    } else if !report.valid {
        let text = "Invalid: these figures are the generator's, not the engine's.";
        ("bad", text, &report.invalid_because[..])
    } else {
        match report.missed.len() {
            0 => ("good", "Valid, and nothing was missed.", &[][..]),
            1 => ("bad", "An objective was missed.", &report.missed[..]),
            _ => ("bad", "Objectives were missed.", &report.missed[..]),
        }
    };
    let early = report.stopped_early.then(|| "The run was stopped before its end.".to_owned());
    let reasons: String =
        reasons.iter().chain(&early).map(|why| format!("<li>{}</li>", escaped(why))).collect();
    let list = if reasons.is_empty() { String::new() } else { format!("<ul>{reasons}</ul>") };
    format!("<div class=\"verdict {class}\"><p>{text}</p>{list}</div>")
}

/// What one looks at first.
fn tiles(report: &Report) -> String {
    let with_unit = |ms_: Option<f64>| match ms_ {
        Some(value) => format!("{} ms", figure(value)),
        None => "-".to_owned(),
    };
    let tiles = [
        (count(report.connected), "calls taken"),
        (percent(report.turns_ok_share()), "turns ok"),
        (with_unit(report.response_ms.p50), "response, median"),
        (with_unit(report.response_ms.p99), "response, p99"),
        (percent(report.late_share), "reply frames late"),
        (count(report.errors_count()), "errors"),
    ];
    let tile = |(value, name): (String, &str)| {
        format!("<div class=tile><b>{value}</b><span>{name}</span></div>")
    };
    tiles.map(tile).concat()
}

fn latencies(report: &Report) -> String {
    let stages = report.stages_ms.iter().map(|(name, it)| (name.replace('_', " "), it));
    let first = [
        ("response".to_owned(), &report.response_ms),
        ("call set-up".to_owned(), &report.set_up_ms),
    ];
    let own = [("generator lateness".to_owned(), &report.generator.send_late_ms)];
    let row = |(name, it): (String, &Percentiles)| {
        let cells = [count(it.count), ms(it.p50), ms(it.p95), ms(it.p99), ms(it.max)];
        let cells = cells.map(|cell| format!("<td>{cell}</td>")).concat();
        format!("<tr><td>{}</td>{cells}</tr>", escaped(&name))
    };
    let rows: String = first.into_iter().chain(stages).chain(own).map(row).collect();
    format!(
        "<div class=wide><table><tr><th>milliseconds</th><th>count</th><th>p50</th><th>p95</th>\
         <th>p99</th><th>max</th></tr>{rows}</table></div>"
    )
}

fn counts(report: &Report) -> String {
    let turns = &report.turns;
    let mut rows = vec![
        (
            "Calls",
            format!(
                "{} placed, {} taken, {} refused, {} given up, {} ended by the engine",
                count(report.placed),
                count(report.connected),
                count(report.refused),
                count(report.given_up),
                count(report.ended_by_engine)
            ),
        ),
        (
            "Turns",
            format!(
                "{} ended: {} ok, {} flawed, {} not understood, {} unanswered; {} interruptions",
                count(turns.ended),
                count(turns.ok),
                count(turns.flawed),
                count(turns.not_understood),
                count(turns.unanswered),
                count(turns.interruptions)
            ),
        ),
        ("Audio", audio(report)),
        (
            "Reply frames",
            format!("{}, {} late", count(report.reply_frames), percent(report.late_share)),
        ),
        ("Generator", generator(report)),
    ];
    if let Some(engine) = &report.engine {
        rows.push(("Engine's process", process(engine)));
    }
    let counted = [
        ("Errors", &report.errors),
        ("Not taken", &report.answers),
        ("Engine told", &report.engine_told),
    ];
    for (name, counts) in counted {
        if !counts.is_empty() {
            let counts = counts.iter().map(|(kind, it)| format!("{kind} {}", count(*it)));
            rows.push((name, counts.collect::<Vec<_>>().join(", ")));
        }
    }
    let row =
        |(name, value): (&str, String)| format!("<dt>{name}</dt><dd>{}</dd>", escaped(&value));
    format!("<dl>{}</dl>", rows.into_iter().map(row).collect::<String>())
}

fn generator(report: &Report) -> String {
    let threads = &report.generator.threads;
    let busiest = threads.iter().map(|it| it.cpu_share).fold(0.0, f64::max);
    format!(
        "{} messages; the busiest of its threads ({}) used {} of a core",
        count(report.generator.sent),
        threads.len(),
        percent(busiest)
    )
}

fn process(it: &EngineFigures) -> String {
    let course = |name: &str, course: Course, unit: &str| {
        let mut text = format!("{name} {}{unit} at most", course.max.map_or("-".into(), figure));
        if let Some(growth) = course.growth {
            let sign = if growth < 0.0 { "" } else { "+" };
            let _infallible = write!(text, " ({sign}{}{unit})", figure(growth));
        }
        text
    };
    format!(
        "{} cores; {}; {}; {}; growth after {} of warm-up",
        it.cores.map_or("-".into(), figure),
        course("memory", it.resident_mb, " MB"),
        course("handles", it.handles, ""),
        course("threads", it.threads, ""),
        time(it.warm_until_s)
    )
}

const PLOTS: &[Plot] = &[
    Plot { title: "Calls", unit: "", lines: &[("calls", |it| Some(f64::from(it.calls)))] },
    Plot {
        title: "Response",
        unit: "ms",
        lines: &[
            ("p50", |it| it.response_ms.p50),
            ("p95", |it| it.response_ms.p95),
            ("p99", |it| it.response_ms.p99),
        ],
    },
    Plot {
        title: "Stages, p50",
        unit: "ms",
        lines: &[
            ("end of speech", |it| it.stages_ms.get("end_of_speech")?.p50),
            ("recogniser", |it| it.stages_ms.get("stt")?.p50),
            ("dialog", |it| it.stages_ms.get("dialog")?.p50),
            ("synthesiser", |it| it.stages_ms.get("tts")?.p50),
        ],
    },
    Plot {
        title: "Stages, p99",
        unit: "ms",
        lines: &[
            ("end of speech", |it| it.stages_ms.get("end_of_speech")?.p99),
            ("recogniser", |it| it.stages_ms.get("stt")?.p99),
            ("dialog", |it| it.stages_ms.get("dialog")?.p99),
            ("synthesiser", |it| it.stages_ms.get("tts")?.p99),
        ],
    },
    Plot {
        title: "Late reply frames",
        unit: "%",
        lines: &[("late", |it| Some(it.late_share * 100.0))],
    },
    Plot {
        title: "Refused calls and errors",
        unit: "",
        lines: &[
            ("refused", |it| Some(it.refused as f64)),
            ("errors", |it| Some(it.errors as f64)),
        ],
    },
    Plot { title: "Turns that ended", unit: "", lines: &[("turns", |it| Some(it.turns as f64))] },
    Plot {
        title: "The generator: lateness, p99",
        unit: "ms",
        lines: &[("late", |it| it.send_late_p99_ms)],
    },
    Plot {
        title: "The generator: processor time",
        unit: "cores",
        lines: &[("cores", |it| Some(it.generator_cores))],
    },
];

/// For a run whose engine was watched.
const ENGINE_PLOTS: &[Plot] = &[
    Plot {
        title: "The engine: resident memory",
        unit: "MB",
        lines: &[("memory", |it| Some(it.engine?.resident_bytes? / 1e6))],
    },
    Plot {
        title: "The engine: handles and threads",
        unit: "",
        lines: &[("handles", |it| it.engine?.handles), ("threads", |it| it.engine?.threads)],
    },
];

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{Origin, RunFacts};

    fn report() -> Report {
        Report {
            valid: true,
            run: RunFacts {
                url: "ws://a/?x=<b>&c".to_owned(),
                calls: 1_200,
                carrier: "stream",
                seconds: 40.0 / 3.0,
                ..RunFacts::default()
            },
            origin: Origin {
                started: "2026-11-27T09:30:00.000Z".to_owned(),
                version: "0.1.0",
                host: "loader".to_owned(),
                system: "linux x86_64".to_owned(),
                cores: 8,
                command: "antiphon load --calls 1200".to_owned(),
            },
            ..Report::default()
        }
    }

    #[test]
    fn the_page_needs_nothing_but_itself_and_shows_every_plot() {
        let page = html(&report());
        assert_eq!(page.matches("<svg").count(), PLOTS.len());
        let engine = Some(EngineFigures::default());
        let watched = html(&Report { engine, ..report() });
        assert_eq!(watched.matches("<svg").count(), PLOTS.len() + ENGINE_PLOTS.len());
        assert!(page.contains("ws://a/?x=&lt;b&gt;&amp;c"));
        for outside in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
    }

    #[test]
    fn it_says_what_was_run_where_and_when() {
        let page = html(&report());
        for fact in [
            "1,200 calls over the audio stream",
            "2026-11-27 09:30:00 UTC",
            "antiphon 0.1.0 on loader (8 cores, linux x86_64)",
            "13.3 s (calls are held)",
            "antiphon load --calls 1200",
        ] {
            assert!(page.contains(fact), "{fact} is missing in\n{page}");
        }
        assert!(!page.contains("13.33333"), "{page}");
    }

    #[test]
    fn the_verdict_comes_with_its_reasons() {
        let missed = vec!["response p99: 900 ms, at most 800 wanted".to_owned()];
        let page = html(&Report { missed: missed.clone(), ..report() });
        assert!(page.contains("An objective was missed.") && page.contains(&missed[0]));
        let no_call = Some("nobody answers".to_owned());
        let page = html(&Report { no_call, valid: false, ..report() });
        assert!(page.contains("No call came about.") && page.contains("nobody answers"));
        assert!(html(&report()).contains("Valid, and nothing was missed."));
    }
}
