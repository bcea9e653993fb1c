//! What the system knows of this process, under the names that every Prometheus
//! client uses: `process_cpu_seconds_total` and so on.
//!
//! Read from `/proc/self` at each scrape, so it costs nothing in between. What the
//! system does not tell is left out; other systems than Linux tell nothing here.

use std::fmt::Write as _;
use std::fs;

use super::metrics::Kind;

/// Clock ticks in `/proc/self/stat` a second: `USER_HZ`, 100 wherever Rust runs on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// One of the standard metrics.
pub(super) struct ProcessSpec {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) help: &'static str,
    read: fn(&Texts) -> Option<f64>,
}

/// What the system says, as text.
#[derive(Default)]
struct Texts {
    /// `/proc/self/stat`
    stat: String,
    /// `/proc/self/status`
    status: String,
    /// `/proc/self/limits`
    limits: String,
    /// `/proc/stat`
    system: String,
    /// Entries of `/proc/self/fd`.
    open_files: Option<usize>,
}

/// The standard metrics of a process.
pub(super) const PROCESS: &[ProcessSpec] = &[
    ProcessSpec {
        name: "process_cpu_seconds_total",
        kind: Kind::Counter,
        help: "Total user and system CPU time spent in seconds.",
        read: Texts::cpu_seconds,
    },
    ProcessSpec {
        name: "process_open_fds",
        kind: Kind::Gauge,
        help: "Number of open file descriptors.",
        read: |texts| texts.open_files.map(|count| count as f64),
    },
    ProcessSpec {
        name: "process_max_fds",
        kind: Kind::Gauge,
        help: "Maximum number of open file descriptors.",
        read: |texts| number_after(&texts.limits, "Max open files"),
    },
    ProcessSpec {
        name: "process_virtual_memory_bytes",
        kind: Kind::Gauge,
        help: "Virtual memory size in bytes.",
        read: |texts| number_after(&texts.status, "VmSize:").map(|kb| kb * 1024.0),
    },
    ProcessSpec {
        name: "process_resident_memory_bytes",
        kind: Kind::Gauge,
        help: "Resident memory size in bytes.",
        read: |texts| number_after(&texts.status, "VmRSS:").map(|kb| kb * 1024.0),
    },
    ProcessSpec {
        name: "process_start_time_seconds",
        kind: Kind::Gauge,
        help: "Start time of the process since unix epoch in seconds.",
        read: |texts| {
            let booted_at = number_after(&texts.system, "btime")?;
            Some(booted_at + texts.stat_field(22)? / TICKS_PER_SECOND)
        },
    },
    ProcessSpec {
        name: "process_threads",
        kind: Kind::Gauge,
        help: "Number of OS threads in the process.",
        read: |texts| number_after(&texts.status, "Threads:"),
    },
];

/// The metrics as text for Prometheus. Reads files: not for a thread that must not wait.
pub(super) fn render() -> String {
    Texts::read().render()
}

/// Processor time that this process has taken so far, in seconds, to the hundredth. `None`
/// where the system does not tell. Takes some ten microseconds.
#[must_use]
pub fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    Texts { stat, ..Texts::default() }.cpu_seconds()
}

/// Memory of this process that is in use, in bytes. `None` where the system does not
/// tell. Takes some ten microseconds.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    number_after(&status, "VmRSS:").map(|kb| kb as u64 * 1_024)
}

impl Texts {
    fn read() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
        Self {
            stat: text("/proc/self/stat"),
            status: text("/proc/self/status"),
            limits: text("/proc/self/limits"),
            system: text("/proc/stat"),
            // The folder itself is open while it is counted.
            open_files: fs::read_dir("/proc/self/fd").ok().map(|files| files.count() - 1),
        }
    }

    fn render(&self) -> String {
        let mut out = String::new();
        for ProcessSpec { name, kind, help, read } in PROCESS {
            let kind = if matches!(kind, Kind::Counter) { "counter" } else { "gauge" };
            if let Some(value) = read(self) {
                // A String takes everything.
                let _written =
                    write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n\n");
            }
        }
        out
    }

    fn cpu_seconds(&self) -> Option<f64> {
        Some((self.stat_field(14)? + self.stat_field(15)?) / TICKS_PER_SECOND)
    }

    /// A field of `/proc/self/stat`, counted from 1. The second one, the program's
    /// name in parentheses, may hold blanks.
    fn stat_field(&self, number: usize) -> Option<f64> {
        let (_, behind_name) = self.stat.rsplit_once(')')?;
        behind_name.split_whitespace().nth(number - 3)?.parse().ok()
    }
}

/// The first number behind `name` at the start of a line.
fn number_after(text: &str, name: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_the_standard_metrics() {
        let texts = Texts {
            stat: "7 (a (b) c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 12345 1 1".into(),
            status: "Name:\tantiphon\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t9\n".into(),
            limits: "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024   4096   files\n"
                .into(),
            system: "cpu  1 2 3\nbtime 1700000000\n".into(),
            open_files: Some(12),
        };
        let values: Vec<String> = texts
            .render()
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(str::to_owned)
            .collect();
        assert_eq!(
            values,
            [
                "process_cpu_seconds_total 3",
                "process_open_fds 12",
                "process_max_fds 1024",
                "process_virtual_memory_bytes 2097152",
                "process_resident_memory_bytes 1048576",
                "process_start_time_seconds 1700000123.45",
                "process_threads 9",
            ]
        );
    }

    #[test]
    fn what_the_system_does_not_say_is_left_out() {
        assert_eq!(Texts::default().render(), "");
    }

    #[test]
    fn this_process_is_found() {
        let text = render();
        for spec in PROCESS {
            assert!(text.contains(&format!("\n{} ", spec.name)), "{} is missing", spec.name);
        }
        assert!(resident_bytes() > Some(1 << 20));
        assert!(cpu_seconds().is_some());
    }
}
