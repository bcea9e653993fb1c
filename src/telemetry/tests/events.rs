//! What each event becomes: a line, metrics, and nothing that was said.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::samples::{
    NAME, NUMBER, SPOKEN, call_events, dialog_facts, engine_events, event, label_events, scope,
};
use super::support::{Folder, LogLines, lines, settings, telemetry, telemetry_with};
use crate::telemetry::metric_list::SPECS;
use crate::telemetry::metrics::{Kind, LabelSpec};
use crate::telemetry::{EventWriter, LockedFile, Prometheus, Service};
use crate::types::CallEventKind;

fn call_id() -> String {
    scope().call_id.to_string()
}

/// Tells everything once; returns the log, the scrape and the file's text.
fn tell_everything() -> (String, String, String) {
    let folder = Folder::new();
    let (recorder, prometheus) = Prometheus::recorder().expect("buckets for every histogram");
    let (telemetry, queue) = telemetry_with(&recorder, 1_000, 50);
    let platform = metrics::with_local_recorder(&recorder, || telemetry.dialog_meter("p"));
    let log = logged(|| {
        let (scope, mut sequence) = (scope(), 0);
        for kind in call_events().into_iter().chain(label_events()) {
            sequence += 1;
            telemetry.call_event(&scope, &event(sequence, kind));
        }
        engine_events().iter().for_each(|event| telemetry.engine_event(event));
        dialog_facts(&scope.call_id).iter().for_each(|fact| platform.fact(fact));
    });
    queue.drain(&mut EventWriter::<LockedFile>::new(settings(folder.file())));
    (log, prometheus.render(), fs::read_to_string(folder.file()).expect("the event file"))
}

/// What `tell` writes to the log, everything included.
fn logged(tell: impl FnOnce()) -> String {
    let log = LogLines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(log.writer())
        .finish();
    tracing::subscriber::with_default(subscriber, tell);
    log.text()
}

#[test]
fn nothing_that_was_said_is_in_the_log_the_metrics_or_the_file() {
    let (log, scrape, file) = tell_everything();
    for told in [&log, &scrape, &file] {
        assert!(told.contains("antiphon") || told.contains(&call_id()), "nothing was told");
        assert!(!told.contains(SPOKEN), "spoken words are told");
    }
}

#[test]
fn names_of_the_caller_are_in_the_file_only_and_labels_hold_no_call() {
    let (log, scrape, file) = tell_everything();
    for private in [NUMBER, NAME] {
        assert!(file.contains(private), "{private}");
        assert!(!log.contains(private) && !scrape.contains(private), "{private}");
    }
    let session_id = scope().session_id.to_string();
    assert_eq!(file.matches(&session_id).count(), 1, "the session is told once, at the start");
    for unbounded in [&call_id(), &session_id, "book_room"] {
        assert!(!scrape.contains(unbounded), "{unbounded}");
    }
}

#[test]
fn a_fact_of_which_its_name_says_all_has_no_details() {
    let (log, _, _) = tell_everything();
    let stopped = log.lines().find(|line| line.contains("engine_stopped")).expect("it is told");
    assert!(!stopped.contains("details"), "{stopped}");
    assert!(log.contains("details="), "{log}");
}

#[test]
fn every_line_has_the_same_columns() {
    let columns = [
        "timestamp",
        "event_type",
        "user_id",
        "intent",
        "confidence",
        "stt_latency_ms",
        "tts_latency_ms",
        "cognigy_latency_ms",
        "audio_bytes_processed",
        "call_id",
        "carrier_call_id",
        "route",
        "turn",
        "sequence",
        "audio_ms",
    ];
    let (_, _, file) = tell_everything();
    for line in file.lines() {
        let at: Vec<_> = columns
            .iter()
            .map(|column| line.find(&format!("\"{column}\":")).expect("every column"))
            .collect();
        assert!(at.is_sorted(), "columns change places: {line}");
    }
}

#[test]
fn an_answered_turn_is_told_with_all_its_latencies() {
    let folder = Folder::new();
    let (telemetry, queue, prometheus) = telemetry(10, 10);
    let kind = call_events().into_iter().find(|kind| kind.name() == "turn_answered");
    telemetry.call_event(&scope(), &event(9, kind.expect("a sample")));
    queue.drain(&mut EventWriter::<LockedFile>::new(settings(folder.file())));
    let expected = json!({
        "timestamp": "2023-11-14T22:13:20.123Z", "event_type": "turn_answered",
        "user_id": NUMBER, "intent": "book_room", "confidence": 0.75,
        "stt_latency_ms": 40, "tts_latency_ms": 25, "cognigy_latency_ms": 120,
        "audio_bytes_processed": null, "call_id": call_id(), "carrier_call_id": NAME, "route": "default",
        "turn": 3, "sequence": 9, "audio_ms": 1000, "end_of_speech_ms": 510, "dialog_wait_ms": 15,
        "response_ms": 190,
        "held_ms": 10,
    });
    assert_eq!(lines(&folder.file()), [expected]);
    let scrape = prometheus.render();
    assert!(scrape.contains("\nantiphon_turns_answered_total{route=\"default\"} 1\n"));
    assert!(scrape.contains("\nantiphon_response_latency_seconds_bucket{le=\"0.2\"} 1\n"));
    assert!(scrape.contains("\nantiphon_response_latency_seconds_bucket{le=\"0.15\"} 0\n"));
}

#[test]
fn every_histogram_has_buckets_and_every_metric_a_help_text() {
    let (_, scrape, _) = tell_everything();
    // The series of threads and providers begin with those.
    let is_there = |label: &LabelSpec| !label.values.is_empty() || label.name == "route";
    for spec in SPECS.iter().filter(|spec| spec.labels.iter().all(is_there)) {
        assert!(scrape.contains(&format!("# HELP {} ", spec.name)), "{} has no help", spec.name);
        let tail = match spec.kind {
            Kind::Counter => "_total",
            Kind::Gauge => "",
            Kind::Histogram(_) => "_seconds",
        };
        assert!(spec.name.starts_with("antiphon_") && spec.name.ends_with(tail), "{}", spec.name);
        assert!(!spec.name.ends_with("_count"), "{}: the ending of histograms", spec.name);
    }
    assert!(!scrape.contains("quantile="), "a histogram without buckets became a summary");
}

#[test]
fn a_counter_that_never_counted_reads_zero() {
    let (_telemetry, _queue, prometheus) = telemetry(1, 1);
    let text = prometheus.render();
    for route in ["default", "hotel"] {
        let series = format!("antiphon_calls_ended_total{{route=\"{route}\",cause=\"drained\"}} 0");
        assert!(text.contains(&series), "{series}");
    }
}

#[test]
fn a_breaker_tells_how_it_stands_and_its_outage_once() {
    let folder = Folder::new();
    let (recorder, prometheus) = Prometheus::recorder().expect("buckets for every histogram");
    let stands = |state: u8, openings: u8, refusals: u8| {
        let scrape = prometheus.render();
        for (name, value) in
            [("state", state), ("openings_total", openings), ("refusals_total", refusals)]
        {
            let series =
                format!("antiphon_breaker_{name}{{service=\"stt\",provider=\"p\"}} {value}");
            assert!(scrape.contains(&series), "{series} is not in:\n{scrape}");
        }
    };
    let (telemetry, queue, _) = telemetry(10, 10);
    let meter =
        metrics::with_local_recorder(&recorder, || telemetry.breaker_meter(Service::Stt, "p"));
    stands(0, 0, 0);
    meter.opened(5, 5_000, "there was no complete answer in time".to_owned());
    meter.refused();
    stands(2, 1, 1);
    meter.half_opened();
    stands(1, 1, 1);
    meter.stayed_open();
    stands(2, 1, 1);
    meter.half_opened();
    meter.closed(10_120);
    stands(0, 1, 1);
    queue.drain(&mut EventWriter::<LockedFile>::new(settings(folder.file())));
    let told = lines(&folder.file());
    let types: Vec<&Value> = told.iter().map(|line| &line["event_type"]).collect();
    assert_eq!(types, ["breaker_opened", "breaker_closed"]);
    assert_eq!((&told[0]["failures"], &told[1]["away_ms"]), (&json!(5), &json!(10_120)));
}

#[test]
fn what_comes_of_requests_to_a_platform_is_counted_under_its_name() {
    let (recorder, prometheus) = Prometheus::recorder().expect("buckets for every histogram");
    let (telemetry, _queue) = telemetry_with(&recorder, 10, 10);
    let [one, _other] = ["one", "other"].map(|provider| {
        metrics::with_local_recorder(&recorder, || telemetry.dialog_meter(provider))
    });
    dialog_facts(&scope().call_id).iter().for_each(|fact| one.fact(fact));
    one.throttled(1_000);
    let scrape = prometheus.render();
    for (provider, times) in [("one", 1), ("other", 0)] {
        for (name, more) in [
            ("throttles_total", ""),
            ("attempts_total", ",outcome=\"malformed\""),
            ("retries_total", ",cause=\"rate_limited\""),
        ] {
            let series = format!("antiphon_dialog_{name}{{provider=\"{provider}\"{more}}} {times}");
            assert!(scrape.contains(&series), "{series} is not in:\n{scrape}");
        }
    }
    let waited =
        "antiphon_dialog_permit_wait_seconds_count{provider=\"one\",outcome=\"granted\"} 1";
    assert!(scrape.contains(waited), "{waited} is not in:\n{scrape}");
}

#[test]
fn samples_name_every_event_type() {
    let told: BTreeSet<String> = call_events().iter().map(|kind| kind.name().to_owned()).collect();
    assert_eq!(told, names_of_call_events());
}

#[test]
fn the_documented_table_lists_every_event_type_with_its_own_fields() {
    let (_, _, file) = tell_everything();
    let documented = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md"))
        .expect("docs/events.md");
    let rows: Vec<(String, String)> = documented
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, rest)| (name.to_owned(), rest.to_owned()))
        .collect();
    let mut names = names_of_call_events();
    names.extend(engine_events().iter().map(|event| event.name().to_owned()));
    let listed: BTreeSet<String> = rows.iter().map(|(name, _)| name.clone()).collect();
    assert_eq!(listed, names);
    for line in file.lines() {
        let record: Value = serde_json::from_str(line).expect("a JSON line");
        let (_, row) = rows
            .iter()
            .find(|(name, _)| Some(name.as_str()) == record["event_type"].as_str())
            .expect("a row");
        let fields = line.split("\"audio_ms\":").nth(1).expect("the last common column");
        for field in fields.split(",\"").skip(1).filter_map(|field| field.split_once("\":")) {
            assert!(row.contains(&format!("`{}`", field.0)), "{} is not in: {row}", field.0);
        }
    }
}

/// The names that the derived deserialiser knows: all of them, by construction.
fn names_of_call_events() -> BTreeSet<String> {
    let refusal = serde_json::from_value::<CallEventKind>(json!({"event": "unheard_of"}))
        .expect_err("no such event")
        .to_string();
    let listed = refusal.split_once("expected one of ").expect("the list").1;
    let names = listed.split(", ").filter_map(|name| name.split('`').nth(1));
    names.map(str::to_owned).collect()
}
