//! A report as one HTML file that needs nothing else: no script, no font, no network.
//! Plots are inline SVG and follow the reader's choice of dark or light. Pure.

use super::report::{IntervalFigures, Report};
use super::summary::summary;

/// The report as a page.
#[must_use]
pub fn html(report: &Report) -> String {
    let run = &report.run;
    let verdict = match (report.valid, report.missed.is_empty()) {
        (false, _) => {
            "<p class=bad>Invalid: these figures are the generator's, not the engine's.</p>"
        }
        (true, false) => "<p class=bad>An objective was missed.</p>",
        (true, true) => "<p class=good>Valid, and nothing was missed.</p>",
    };
    let engine = if report.engine.is_some() { ENGINE_PLOTS } else { &[] };
    let plots = PLOTS.iter().chain(engine);
    let plots: String = plots.map(|plot| plot.draw(&report.intervals)).collect();
    format!(
        "<!doctype html>\n<html lang=en><meta charset=utf-8>\n\
         <meta name=viewport content=\"width=device-width\">\n<title>{calls} calls, {carrier}</title>\n\
         <style>{STYLE}</style>\n<h1>{calls} calls over {carrier}</h1>\n<p>{url}, {seconds} s, \
         messages of {chunk_ms} ms at {rate_hz} Hz, seed {seed}</p>\n{verdict}\n<pre>{text}</pre>\n\
         <main>\n{plots}</main>\n</html>\n",
        calls = run.calls,
        carrier = run.carrier,
        url = escaped(&run.url),
        seconds = run.seconds,
        chunk_ms = run.chunk_ms,
        rate_hz = run.rate_hz,
        seed = run.seed,
        text = escaped(&summary(report)),
    )
}

const STYLE: &str = "
:root { color-scheme: light dark; --ink: light-dark(#222, #ddd); --faint: light-dark(#ddd, #444);
  --a: light-dark(#0b63ce, #6db3ff); --b: light-dark(#b85c00, #ffb454); --c: light-dark(#b3003c, #ff7a9c);
  --d: light-dark(#2a7d2a, #7ed67e) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 76rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; font-size: 13px }
main { display: grid; grid-template-columns: repeat(auto-fit, minmax(24rem, 1fr)); gap: 1.5rem }
figure { margin: 0 } figcaption { font-weight: 600 } svg { width: 100%; height: auto }
svg text { fill: var(--ink); font-size: 11px } .grid { stroke: var(--faint) }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round }
.a { stroke: var(--a) } .b { stroke: var(--b) } .c { stroke: var(--c) } .d { stroke: var(--d) }
svg text.a { fill: var(--a) } svg text.b { fill: var(--b) } svg text.c { fill: var(--c) } svg text.d { fill: var(--d) }
svg text { stroke: none }
.bad { color: var(--c); font-weight: 600 } .good { color: var(--d); font-weight: 600 }
";

/// Reads one figure of an interval; nothing where nothing was measured.
type Read = fn(&IntervalFigures) -> Option<f64>;

/// A picture of some figures over time.
struct Plot {
    title: &'static str,
    lines: &'static [(&'static str, Read)],
}

const PLOTS: &[Plot] = &[
    Plot { title: "Calls", lines: &[("calls", |it| Some(f64::from(it.calls)))] },
    Plot {
        title: "Response, ms",
        lines: &[
            ("p50", |it| it.response_ms.p50),
            ("p95", |it| it.response_ms.p95),
            ("p99", |it| it.response_ms.p99),
        ],
    },
    Plot {
        title: "Stages, p50, ms",
        lines: &[
            ("end of speech", |it| it.stages_ms.get("end_of_speech")?.p50),
            ("recogniser", |it| it.stages_ms.get("stt")?.p50),
            ("dialog", |it| it.stages_ms.get("dialog")?.p50),
            ("synthesiser", |it| it.stages_ms.get("tts")?.p50),
        ],
    },
    Plot {
        title: "Stages, p99, ms",
        lines: &[
            ("end of speech", |it| it.stages_ms.get("end_of_speech")?.p99),
            ("recogniser", |it| it.stages_ms.get("stt")?.p99),
            ("dialog", |it| it.stages_ms.get("dialog")?.p99),
            ("synthesiser", |it| it.stages_ms.get("tts")?.p99),
        ],
    },
    Plot { title: "Late reply frames, %", lines: &[("late", |it| Some(it.late_share * 100.0))] },
    Plot {
        title: "Refused calls and errors",
        lines: &[
            ("refused", |it| Some(it.refused as f64)),
            ("errors", |it| Some(it.errors as f64)),
        ],
    },
    Plot { title: "Turns that ended", lines: &[("turns", |it| Some(it.turns as f64))] },
    Plot {
        title: "The generator: lateness p99 in ms, cores",
        lines: &[("ms late", |it| it.send_late_p99_ms), ("cores", |it| Some(it.generator_cores))],
    },
];

/// For a run whose engine was watched.
const ENGINE_PLOTS: &[Plot] = &[
    Plot {
        title: "The engine: resident memory, MB",
        lines: &[("memory", |it| Some(it.engine?.resident_bytes? / 1e6))],
    },
    Plot {
        title: "The engine: handles and threads",
        lines: &[("handles", |it| it.engine?.handles), ("threads", |it| it.engine?.threads)],
    },
];

const CLASSES: [char; 4] = ['a', 'b', 'c', 'd'];
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 200.0;
/// Room for the numbers at the left and under the plot.
const LEFT: f64 = 46.0;
const BOTTOM: f64 = 178.0;
const TOP: f64 = 20.0;

impl Plot {
    fn draw(&self, intervals: &[IntervalFigures]) -> String {
        let values = self.lines.iter().flat_map(|(_, read)| intervals.iter().filter_map(read));
        let highest = nice(values.fold(0.0, f64::max));
        let until_s = intervals.last().map_or(1.0, |last| last.at_s).max(1.0);
        let mut svg = String::new();
        for step in 0..=4 {
            let value = highest * f64::from(step) / 4.0;
            let y = place(value, highest);
            svg += &format!(
                "<line class=grid x1={LEFT} x2={WIDTH} y1={y:.1} y2={y:.1} />\
                 <text x={x} y={text_y:.1} text-anchor=end>{value}</text>",
                x = LEFT - 4.0,
                text_y = y + 4.0
            );
        }
        for (at, (name, read)) in self.lines.iter().enumerate() {
            let class = CLASSES[at % CLASSES.len()];
            svg += &polylines(intervals, *read, until_s, highest, class);
            let x = LEFT + 110.0 * at as f64;
            svg += &format!("<text class={class} x={x} y=12>{name}</text>");
        }
        svg += &format!("<text x={LEFT} y=194>0 s</text>");
        svg += &format!("<text x={WIDTH} y=194 text-anchor=end>{until_s} s</text>");
        format!(
            "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             role=img aria-label=\"{}\">{svg}</svg></figure>\n",
            self.title, self.title
        )
    }
}

/// A line for each stretch in which something was measured.
fn polylines(
    intervals: &[IntervalFigures],
    read: Read,
    until_s: f64,
    highest: f64,
    class: char,
) -> String {
    let mut lines = vec![Vec::new()];
    for interval in intervals {
        match read(interval) {
            Some(value) => {
                let x = LEFT + (WIDTH - LEFT) * interval.at_s / until_s;
                let point = format!("{x:.1},{:.1}", place(value, highest));
                if let Some(line) = lines.last_mut() {
                    line.push(point);
                }
            }
            None => lines.push(Vec::new()),
        }
    }
    let lines = lines.iter().filter(|line| !line.is_empty());
    lines.map(|line| format!("<polyline class={class} points=\"{}\" />", line.join(" "))).collect()
}

fn place(value: f64, highest: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * value / highest
}

/// The next number that is easy to read in quarters.
fn nice(highest: f64) -> f64 {
    let power = 10_f64.powf(highest.max(0.1).log10().floor());
    let steps = [1.0, 2.0, 4.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= highest).unwrap_or(10.0 * power)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::engine::EngineFigures;
    use crate::load::report::{Percentiles, RunFacts};

    #[test]
    fn the_page_needs_nothing_but_itself_and_shows_every_plot() {
        let interval = |at_s: f64, p50| IntervalFigures {
            at_s,
            calls: 10,
            response_ms: Percentiles { p50, ..Percentiles::default() },
            ..IntervalFigures::default()
        };
        let report = Report {
            run: RunFacts { url: "ws://a/?x=<b>&c".to_owned(), ..RunFacts::default() },
            intervals: vec![
                interval(0.0, Some(300.0)),
                interval(1.0, None),
                interval(2.0, Some(1.0)),
            ],
            ..Report::default()
        };
        let page = html(&report);
        assert_eq!(page.matches("<svg").count(), PLOTS.len());
        let engine = Some(EngineFigures::default());
        let watched = html(&Report { engine, ..report.clone() });
        assert_eq!(watched.matches("<svg").count(), PLOTS.len() + ENGINE_PLOTS.len());
        assert!(page.contains("ws://a/?x=&lt;b&gt;&amp;c"));
        for outside in ["<script", "src=", "href=", "@import", "url("] {
            assert!(!page.contains(outside), "{outside}");
        }
        // What was not measured is a gap and not a zero.
        let response = page.split("<figure>").find(|part| part.contains("Response")).unwrap();
        assert_eq!(response.matches("<polyline").count(), 2);
    }

    #[test]
    fn scales_end_at_a_round_number() {
        assert_eq!([0.0, 3.0, 60.0, 61.0, 999.0].map(nice), [0.1, 4.0, 60.0, 80.0, 1_000.0]);
    }
}
