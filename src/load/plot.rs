//! Pictures of figures over time, as inline SVG. One unit an axis; labels are HTML beside the
//! picture, so that none is cut off. Pure.

use super::figures::{figure, time};
use super::report::IntervalFigures;

/// Reads one figure of an interval; nothing where nothing was measured.
pub(super) type Read = fn(&IntervalFigures) -> Option<f64>;

/// A picture of some figures over time.
pub(super) struct Plot {
    pub(super) title: &'static str,
    /// The unit of all its lines; empty for counts, which have whole numbers on their axis.
    pub(super) unit: &'static str,
    pub(super) lines: &'static [(&'static str, Read)],
}

const CLASSES: [char; 4] = ['a', 'b', 'c', 'd'];
const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 196.0;
/// Room for the numbers at the left, and for half a number at the right.
const LEFT: f64 = 56.0;
const RIGHT: f64 = WIDTH - 24.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 172.0;
/// Lines across the picture, about.
const STEPS: f64 = 4.0;

impl Plot {
    pub(super) fn draw(&self, intervals: &[IntervalFigures]) -> String {
        let values = self.lines.iter().flat_map(|(_, read)| intervals.iter().filter_map(read));
        let (highest, step) = scale(values.fold(0.0, f64::max), self.unit.is_empty());
        let until_s = intervals.last().map_or(1.0, |last| last.at_s).max(1.0);
        let mut svg = String::new();
        for value in ticks(step, highest) {
            let y = y_of(value, highest);
            svg += &format!(
                "<line class=grid x1={LEFT} x2={RIGHT} y1={y:.1} y2={y:.1} />\
                 <text x={:.1} y={:.1} text-anchor=end>{}</text>",
                LEFT - 6.0,
                y + 4.0,
                figure(value)
            );
        }
        for at_s in ticks(time_step(until_s), until_s) {
            let x = x_of(at_s, until_s);
            svg += &format!(
                "<line class=grid x1={x:.1} x2={x:.1} y1={BOTTOM} y2={:.1} />\
                 <text x={x:.1} y={:.1} text-anchor=middle>{}</text>",
                BOTTOM + 4.0,
                BOTTOM + 18.0,
                time(at_s)
            );
        }
        let mut legend = String::new();
        for ((name, read), class) in self.lines.iter().zip(CLASSES) {
            svg += &polylines(intervals, *read, until_s, highest, class);
            if self.lines.len() > 1 {
                legend += &format!("<span class={class}>{name}</span>");
            }
        }
        let unit = if self.unit.is_empty() { "" } else { ", " };
        let title = format!("{}{unit}{}", self.title, self.unit);
        format!(
            "<figure><figcaption>{title}<span class=legend>{legend}</span></figcaption>\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{title}\">{svg}</svg>\
             </figure>\n"
        )
    }
}

/// A line for each stretch in which something was measured; a point where it is one moment.
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
                let point =
                    format!("{:.1},{:.1}", x_of(interval.at_s, until_s), y_of(value, highest));
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

fn x_of(at_s: f64, until_s: f64) -> f64 {
    LEFT + (RIGHT - LEFT) * at_s / until_s
}

fn y_of(value: f64, highest: f64) -> f64 {
    BOTTOM - (BOTTOM - TOP) * value / highest
}

/// The end of an axis that shows `highest`, and the step of its numbers, which are round.
fn scale(highest: f64, is_count: bool) -> (f64, f64) {
    let highest = if highest > 0.0 { highest } else { 1.0 };
    let step = round_step(highest / STEPS, &[1.0, 2.0, 2.5, 5.0, 10.0]);
    let step = if is_count { step.ceil() } else { step };
    ((highest / step).ceil() * step, step)
}

/// The step of times that people count in.
fn time_step(until_s: f64) -> f64 {
    let rough = until_s / STEPS;
    let counted =
        [1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1_800.0];
    counted.into_iter().find(|step| *step >= rough).unwrap_or((rough / 3_600.0).ceil() * 3_600.0)
}

/// The smallest of `steps`, times a power of ten, that is not below `least`.
fn round_step(least: f64, steps: &[f64]) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let found = steps.iter().map(|step| step * power).find(|step| *step >= least * 0.999_999);
    found.unwrap_or(10.0 * power)
}

/// Multiples of `step` up to `highest`.
fn ticks(step: f64, highest: f64) -> impl Iterator<Item = f64> {
    let count = (highest / step + 1e-6).floor() as u32;
    (0..=count).map(move |at| f64::from(at) * step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::Percentiles;

    fn interval(at_s: f64, p50: Option<f64>) -> IntervalFigures {
        let response_ms = Percentiles { p50, ..Percentiles::default() };
        IntervalFigures { at_s, response_ms, ..IntervalFigures::default() }
    }

    #[test]
    fn axes_end_at_round_numbers_and_counts_have_no_halves() {
        let ends = |highest, is_count| scale(highest, is_count);
        assert_eq!(ends(0.0, false), (1.0, 0.25));
        assert_eq!(ends(0.0, true), (1.0, 1.0));
        assert_eq!(ends(3.0, true), (3.0, 1.0));
        assert_eq!(ends(301.0, false), (400.0, 100.0));
        assert_eq!(ends(1_000.0, true), (1_000.0, 250.0));
        assert_eq!(ends(0.07, false).1, 0.02);
        assert_eq!(
            [3.0, 29.0, 60.0, 1_800.0, 86_400.0].map(time_step),
            [1.0, 10.0, 15.0, 600.0, 21_600.0]
        );
    }

    #[test]
    fn every_label_is_short_and_within_the_picture() {
        let plot =
            Plot { title: "Response", unit: "ms", lines: &[("p50", |it| it.response_ms.p50)] };
        for highest in [0.3, 0.1 + 0.2, 13.333_333, 7_777.7, 123_456.7] {
            let intervals =
                [interval(0.0, Some(highest / 3.0)), interval(13.333_333, Some(highest))];
            let svg = plot.draw(&intervals);
            for label in svg.split("<text ").skip(1) {
                let text = label.split(['>', '<']).nth(1).expect("a label");
                assert!(text.len() <= 8, "{text:?} is cut off at the left");
            }
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        }
    }

    #[test]
    fn what_was_not_measured_is_a_gap_and_not_a_zero() {
        let plot =
            Plot { title: "Response", unit: "ms", lines: &[("p50", |it| it.response_ms.p50)] };
        let intervals = [interval(0.0, Some(300.0)), interval(1.0, None), interval(2.0, Some(1.0))];
        assert_eq!(plot.draw(&intervals).matches("<polyline").count(), 2);
    }
}
