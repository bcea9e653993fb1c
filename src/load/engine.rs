//! What the engine's own process takes while it is under load, and whether that grows.
//! Pure: the text of its metrics goes in.
//!
//! More calls take more memory and handles, and calls come and go: so growth is what is
//! left of a figure's change over time when the number of calls has explained its part.

use serde::Serialize;

/// A look at the engine's process. What its metrics do not tell stays `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EngineSample {
    /// Seconds since the start of the run.
    pub at_s: f64,
    /// Calls that ran.
    pub calls: Option<f64>,
    /// Resident memory, in bytes.
    pub resident_bytes: Option<f64>,
    /// Open handles: files and sockets.
    pub handles: Option<f64>,
    /// Threads.
    pub threads: Option<f64>,
    /// Processor time used since its start, in seconds.
    pub cpu_s: Option<f64>,
}

/// What a run did to the engine's process.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EngineFigures {
    /// Where its metrics are.
    pub metrics_url: String,
    /// Looks that were answered.
    pub looks: usize,
    /// Looks that were not.
    pub looks_failed: usize,
    /// What came before counts as warm-up, in seconds since the start of the run.
    pub warm_until_s: f64,
    /// Cores that it used after the warm-up.
    pub cores: Option<f64>,
    /// Resident memory, in MB.
    pub resident_mb: Course,
    /// Open handles.
    pub handles: Course,
    /// Threads.
    pub threads: Course,
}

/// A figure over the time after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Course {
    /// At the first look.
    pub first: Option<f64>,
    /// At the last look.
    pub last: Option<f64>,
    /// The highest.
    pub max: Option<f64>,
    /// Change along the line of least squares, from the first look to the last, that the
    /// number of calls does not explain. `None` with fewer than [`LOOKS_MIN`] looks.
    pub growth: Option<f64>,
}

/// Fewer looks say nothing about growth.
pub const LOOKS_MIN: usize = 10;

const BYTES_PER_MB: f64 = 1e6;

impl EngineSample {
    /// Reads the text format of Prometheus.
    #[must_use]
    pub fn parse(at_s: f64, metrics: &str) -> Self {
        let value = |name: &str| {
            let mut rest = metrics.lines().filter_map(|line| line.strip_prefix(name));
            rest.find_map(|rest| rest.strip_prefix(' ')?.trim().parse().ok())
        };
        Self {
            at_s,
            calls: value("antiphon_calls_active"),
            resident_bytes: value("process_resident_memory_bytes"),
            handles: value("process_open_fds"),
            threads: value("process_threads"),
            cpu_s: value("process_cpu_seconds_total"),
        }
    }
}

impl EngineFigures {
    /// What `samples` from `warm_until_s` on come to.
    #[must_use]
    pub fn new(metrics_url: &str, samples: &[EngineSample], warm_until_s: f64) -> Self {
        let warm: Vec<EngineSample> =
            samples.iter().filter(|sample| sample.at_s >= warm_until_s).copied().collect();
        Self {
            metrics_url: metrics_url.to_owned(),
            looks: samples.len(),
            looks_failed: 0,
            warm_until_s,
            cores: cores(&warm),
            resident_mb: Course::of(&warm, |it| Some(it.resident_bytes? / BYTES_PER_MB)),
            handles: Course::of(&warm, |it| it.handles),
            threads: Course::of(&warm, |it| it.threads),
        }
    }
}

fn cores(samples: &[EngineSample]) -> Option<f64> {
    let (first, last) = (samples.first()?, samples.last()?);
    let seconds = last.at_s - first.at_s;
    (seconds > 0.0).then_some((last.cpu_s? - first.cpu_s?) / seconds)
}

impl Course {
    fn of(samples: &[EngineSample], read: impl Fn(&EngineSample) -> Option<f64>) -> Self {
        let points: Vec<Point> = samples
            .iter()
            .filter_map(|it| {
                Some(Point { at: it.at_s, calls: it.calls.unwrap_or(0.0), value: read(it)? })
            })
            .collect();
        Self {
            first: points.first().map(|point| point.value),
            last: points.last().map(|point| point.value),
            max: points.iter().map(|point| point.value).reduce(f64::max),
            growth: growth(&points),
        }
    }
}

#[derive(Clone, Copy)]
struct Point {
    at: f64,
    calls: f64,
    value: f64,
}

/// Least squares of `value = a + b * at + c * calls`; `b` times the time covered.
fn growth(points: &[Point]) -> Option<f64> {
    let (first, last) = (points.first()?, points.last()?);
    if points.len() < LOOKS_MIN {
        return None;
    }
    let (at, calls, value) = (
        centred(points, |point| point.at),
        centred(points, |point| point.calls),
        centred(points, |point| point.value),
    );
    let (time, both, load) = (product(&at, &at), product(&at, &calls), product(&calls, &calls));
    let determinant = time * load - both * both;
    // Calls that never change, or only as time does, explain nothing.
    let explains = determinant > time * load * 1e-9;
    let slope = if explains {
        (product(&at, &value) * load - product(&calls, &value) * both) / determinant
    } else {
        product(&at, &value) / time
    };
    Some(slope * (last.at - first.at))
}

fn centred(points: &[Point], read: impl Fn(&Point) -> f64) -> Vec<f64> {
    let mean = points.iter().map(&read).sum::<f64>() / points.len() as f64;
    points.iter().map(|point| read(point) - mean).collect()
}

fn product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three minutes, of which the first is the warm-up; calls come and go in waves.
    fn figures(resident: impl Fn(f64, f64) -> f64) -> EngineFigures {
        let sample = |second: u32| {
            let at_s = f64::from(second);
            let calls = 100.0 + (20.0 * (at_s / 9.0).sin()).round();
            let (resident, handles) = (Some(resident(at_s, calls)), Some(20.0 + calls));
            let (threads, cpu_s) = (Some(9.0), Some(0.5 * at_s));
            EngineSample {
                at_s,
                calls: Some(calls),
                resident_bytes: resident,
                handles,
                threads,
                cpu_s,
            }
        };
        let samples: Vec<EngineSample> = (0..=180).map(sample).collect();
        EngineFigures::new("http://a/metrics", &samples, 60.0)
    }

    fn is_about(found: Option<f64>, wanted: f64) -> bool {
        found.is_some_and(|found| (found - wanted).abs() < 0.01)
    }

    #[test]
    fn what_calls_take_while_they_run_is_no_growth() {
        let figures = figures(|_, calls| 30e6 + 200e3 * calls);
        assert!(is_about(figures.resident_mb.growth, 0.0), "{figures:?}");
        assert!(is_about(figures.handles.growth, 0.0), "{figures:?}");
        assert!(is_about(figures.threads.growth, 0.0), "{figures:?}");
        assert!(is_about(figures.cores, 0.5), "{figures:?}");
        assert_eq!((figures.looks, figures.threads.max), (181, Some(9.0)));
    }

    #[test]
    fn what_is_kept_of_every_call_is() {
        // 1 kB a call, 10 calls a second: 1.2 MB in the two minutes after the warm-up.
        let figures = figures(|at_s, calls| 30e6 + 200e3 * calls + 10e3 * at_s);
        assert!(is_about(figures.resident_mb.growth, 1.2), "{figures:?}");
    }

    #[test]
    fn what_is_taken_once_in_the_warm_up_is_not() {
        let figures = figures(|at_s, _| 30e6 + 1e6 * at_s.min(60.0));
        assert!(is_about(figures.resident_mb.growth, 0.0), "{figures:?}");
    }

    #[test]
    fn calls_that_stay_the_same_explain_nothing() {
        let sample = |second: u32| EngineSample {
            at_s: f64::from(second),
            calls: Some(50.0),
            handles: Some(f64::from(100 + second)),
            ..EngineSample::default()
        };
        let samples: Vec<EngineSample> = (0..=20).map(sample).collect();
        let figures = EngineFigures::new("", &samples, 10.0);
        assert!(is_about(figures.handles.growth, 10.0), "{figures:?}");
        assert_eq!(EngineFigures::new("", &samples, 11.5).handles.growth, None, "too few looks");
    }

    #[test]
    fn the_figures_of_the_process_are_read_and_no_others() {
        let text = "# HELP process_open_fds Number\n# TYPE process_open_fds gauge\n\
                    process_open_fds 12\nprocess_resident_memory_bytes 1048576\n\
                    process_threads_more 7\nantiphon_calls_active 3\n";
        let wanted = EngineSample {
            at_s: 2.5,
            calls: Some(3.0),
            resident_bytes: Some(1_048_576.0),
            handles: Some(12.0),
            ..EngineSample::default()
        };
        assert_eq!(EngineSample::parse(2.5, text), wanted);
    }
}
