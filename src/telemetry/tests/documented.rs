//! `docs/metrics.md` lists every metric as it is registered, and no other.

use std::fs;

use crate::telemetry::metric_list::SPECS;
use crate::telemetry::metrics::{Kind, LabelSpec};
use crate::telemetry::process::PROCESS;

/// The table as it must be.
fn table() -> Vec<String> {
    let row = |name: &str, kind: Kind, labels: &str, help: &str| {
        format!("| `{name}` | {} | {labels} | {help} |", kind_name(kind))
    };
    let ours = SPECS.iter().map(|spec| {
        let labels: Vec<String> = spec.labels.iter().map(label).collect();
        row(spec.name, spec.kind, &labels.join("; "), spec.help)
    });
    let standard = PROCESS.iter().map(|spec| row(spec.name, spec.kind, "", spec.help));
    ours.chain(standard).collect()
}

const fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram(_) => "histogram",
    }
}

fn label(label: &LabelSpec) -> String {
    match label.values {
        // Open, or the one value of this build.
        [] | [_] => format!("`{}`", label.name),
        values => format!("`{}`: {}", label.name, values.join(", ")),
    }
}

#[test]
fn the_documented_metrics_are_the_registered_ones() {
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md"))
        .expect("docs/metrics.md");
    let rows: Vec<&str> = documented.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = table();
    assert_eq!(rows, expected, "the table of docs/metrics.md should be:\n{}", expected.join("\n"));
}
