//! The metrics as those have them who look at them: a real Prometheus scrapes an
//! engine with calls, the rules compute, and the dashboard shows something.

use std::collections::BTreeSet;

use crate::support::prometheus::{Prometheus, ops, run, tool};
use crate::support::{Engine, Phone, Setup, client, sandbox, speech};
use serde_json::{Value, json};

/// Queries of the dashboard that find numbers only when something goes wrong, or when
/// a caller interrupts. None so far: what is counted is counted from the start.
const EMPTY_WITHOUT_FAULTS: [&str; 0] = [];

#[tokio::test]
async fn prometheus_scrapes_calls_the_rules_compute_and_every_panel_shows_something() {
    let (Some(program), Some(promtool)) = (tool("prometheus"), tool("promtool")) else { return };
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let prometheus = Prometheus::start(&program, &engine.http);
    prometheus.comes_to_find("antiphon_calls_active").await;

    let callers = (0..3).map(|_| async {
        let path = "/?events=1";
        let mut phone = Phone::dial(&engine.simulator, path).await.expect("taken");
        phone.turn(&speech()).await;
        phone.hang_up().await;
    });
    futures_util::future::join_all(callers).await;
    prometheus.comes_to_find("antiphon_turns_answered_total == 3").await;

    let mut silent = Vec::new();
    for query in queries() {
        let query = query.replace("$__rate_interval", "1m");
        let query = query.replace("$instance", ".*").replace("$route", ".*");
        assert!(!query.contains('$'), "a variable that is not known here: {query}");
        let expected = !EMPTY_WITHOUT_FAULTS.contains(&query.as_str());
        if expected && !prometheus.finds(&query).await {
            silent.push(query);
        }
    }
    // A rule is computed once a second, so a panel of one may be a moment behind.
    for query in silent {
        prometheus.comes_to_find(&query).await;
    }
    for rule in rules("recording.yml", "record: ") {
        prometheus.comes_to_find(&rule).await;
    }
    let firing = prometheus.query(r#"ALERTS{alertstate="firing"}"#).await;
    assert_eq!(firing, Vec::<Value>::new(), "an engine that does well wakes nobody");
    run(&promtool, &["check", "metrics"], &engine.metrics().await).await;
    engine.stop().await.assert_code(0);
}

#[tokio::test]
async fn the_rules_are_sound_and_do_what_their_tests_say() {
    let Some(promtool) = tool("promtool") else { return };
    run(&promtool, &["check", "rules", "recording.yml", "alerts.yml"], "").await;
    run(&promtool, &["check", "config", "prometheus.yml"], "").await;
    run(&promtool, &["test", "rules", "tests.yml"], "").await;
    let tests = std::fs::read_to_string(ops("prometheus/tests.yml")).expect("the tests");
    for alert in rules("alerts.yml", "alert: ") {
        let fires = format!("alertname=\"{alert}\", alertstate=\"firing\"");
        assert!(tests.contains(&fires), "{alert} has no test");
    }
}

/// One dead engine among thirty is lost in a sum over all of them.
#[test]
fn every_panel_and_every_alert_tells_the_engines_apart() {
    let rules = ["recording.yml", "alerts.yml"]
        .map(|name| std::fs::read_to_string(ops("prometheus").join(name)).expect("the rules"));
    let expressions = queries().into_iter().chain(rules);
    for text in expressions {
        for aggregate in ["sum", "avg", "max", "min", "count"] {
            for (at, _) in text.match_indices(&format!("{aggregate} by (")) {
                let labels = text[at..].split(['(', ')']).nth(1).unwrap_or_default();
                assert!(labels.contains("instance"), "{aggregate} by ({labels}) in {text}");
            }
            let over_all = format!("{aggregate}(");
            let is_sum =
                |(at, _)| !text[..at].ends_with(|it: char| it.is_alphanumeric() || it == '_');
            assert!(!text.match_indices(&over_all).any(is_sum), "{over_all} in {text}");
        }
    }
    let alerts = std::fs::read_to_string(ops("prometheus/alerts.yml")).expect("the alerts");
    for summary in alerts.lines().filter(|line| line.contains("summary:")) {
        let names_it = summary.contains("$labels.instance") || summary.contains("No engine");
        assert!(names_it, "which engine? {summary}");
    }
}

#[tokio::test]
async fn the_proxy_example_is_understood_by_the_proxy() {
    let Some(haproxy) = tool("haproxy") else { return };
    let example = std::fs::read_to_string(ops("haproxy.cfg")).expect("the example");
    // The certificate is the reader's.
    let plain: Vec<&str> = example
        .lines()
        .map(|line| line.split_once(" ssl crt ").map_or(line, |(before, _)| before))
        .collect();
    let folder = crate::support::Folder::new();
    let file = folder.write("haproxy.cfg", &(plain.join("\n") + "\n"));
    run(&haproxy, &["-c", "-f", file.to_str().expect("a plain name")], "").await;
}

/// The queries of all panels of the dashboard.
fn queries() -> Vec<String> {
    let text = std::fs::read_to_string(ops("grafana/antiphon.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let queries: Vec<String> =
        targets.map(|target| target["expr"].as_str().expect("a query").to_owned()).collect();
    assert!(queries.len() > 40, "the search finds the queries: {queries:?}");
    queries
}

/// The names of rules in a file.
fn rules(file: &str, field: &str) -> Vec<String> {
    let text = std::fs::read_to_string(ops("prometheus").join(file)).expect("the rules");
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix(field))
        .map(str::to_owned)
        .collect();
    assert!(names.len() > 5, "the search finds the rules: {names:?}");
    names
}

#[tokio::test]
async fn the_number_of_series_is_the_same_before_the_first_call_and_after_fifty() {
    let sandbox = sandbox();
    let engine = Setup::with(&sandbox).start().await;
    let at_start = series(&engine).await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    phone.turn(&speech()).await;
    phone.hang_up().await;
    engine.becomes_empty().await;
    assert_eq!(difference(&series(&engine).await, &at_start), Vec::<String>::new());

    let calls = format!("{}/v1/calls", engine.http);
    for number in 0..50 {
        let body = json!({ "call_id": format!("call-{number}"), "user_id": "u" });
        let answer = client().post(&calls).json(&body).send().await.expect("it answers");
        assert_eq!(answer.status(), 201);
        let post = client().post(format!("{calls}/call-{number}/media")).body(vec![0; 640]);
        post.header("X-Sequence-Id", "0").send().await.expect("it answers");
    }
    assert_eq!(engine.metric("antiphon_calls_active").await, 50.0);
    let lines = client().get(format!("{calls}?limit=200")).send().await.expect("it answers");
    let lines: Value = lines.json().await.expect("JSON");
    assert_eq!((&lines["total"], &lines["calls"][49]["state"]), (&json!(50), &json!("running")));
    for number in 0..50 {
        client().delete(format!("{calls}/call-{number}")).send().await.expect("it answers");
    }
    engine.becomes_empty().await;
    assert_eq!(difference(&series(&engine).await, &at_start), Vec::<String>::new());
    assert_eq!(engine.metric("antiphon_calls_ended_total").await, 51.0);
    let bytes = engine.metric("antiphon_media_bytes_total").await;
    assert!(bytes >= 50.0 * 640.0, "what calls carried is told when they end");
    engine.stop().await.assert_code(0);
}

/// Every time series, without its value.
async fn series(engine: &Engine) -> BTreeSet<String> {
    let metrics = engine.metrics().await;
    let lines = metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.filter_map(|line| line.rsplit_once(' ')).map(|(series, _)| series.to_owned()).collect()
}

fn difference(now: &BTreeSet<String>, before: &BTreeSet<String>) -> Vec<String> {
    now.symmetric_difference(before).cloned().collect()
}

#[tokio::test]
async fn a_slow_turn_is_found_with_the_stage_that_made_it_slow() {
    let sandbox = sandbox();
    let faults = json!({ "dialog": { "latency_ms": 700 } });
    let door = format!("http://{}/_sandbox/faults", sandbox.addr);
    client().post(door).json(&faults).send().await.expect("it answers");
    let engine = Setup::with(&sandbox).start().await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    let started = phone.next().await;
    let call_id = started.text("call_id");
    phone.turn(&speech()).await;
    let (status, call) = engine.get(&format!("/v1/calls/{call_id}")).await;
    assert_eq!(status, 200, "{call}");
    let call: Value = serde_json::from_str(&call).expect("JSON");
    assert!(call["last_turn"]["dialog_ms"].as_u64() >= Some(700), "{call}");
    phone.hang_up().await;

    let (_, told) = engine.get("/v1/slow-turns?limit=1").await;
    let told: Value = serde_json::from_str(&told).expect("JSON");
    let turn = &told["turns"][0];
    assert_eq!((&turn["call_id"], &turn["turn"]), (&json!(call_id), &json!(1)), "{told}");
    assert_eq!(turn["providers"]["dialog"], "cognigy-dialogs");
    let stages = turn["stages_ms"].as_object().expect("stages");
    let slowest = stages.iter().max_by_key(|(_, ms)| ms.as_u64()).expect("a stage");
    assert_eq!(slowest.0, "dialog", "{told}");
    let sum: u64 = stages.values().filter_map(Value::as_u64).sum();
    assert_eq!(Some(sum), turn["total_ms"].as_u64(), "the stages add up: {told}");
    assert_eq!(engine.get("/v1/slow-turns?limit=0").await.0, 400);
    engine.stop().await.assert_code(0);
}

#[tokio::test]
async fn a_platform_that_fails_again_and_again_is_not_asked_until_it_answers_again() {
    let sandbox = sandbox();
    let door = format!("http://{}/_sandbox/faults", sandbox.addr);
    let has_faults = async |faults: Value| {
        client().post(&door).json(&faults).send().await.expect("it answers");
    };
    // A turn is tried three times.
    let setup = Setup::with(&sandbox).key("BREAKER__FAILURES_MAX", "3");
    let setup = setup.key("BREAKER__OPEN_MS", "100");
    let events = setup.clone();
    let engine = setup.start().await;
    assert_eq!(engine.metric("antiphon_breaker_state").await, 0.0);

    has_faults(json!({ "dialog": { "status_every_nth": 1, "status": 503 } })).await;
    let mut phone = Phone::dial(&engine.simulator, "/?events=1").await.expect("taken");
    let failed = phone.turn(&speech()).await;
    assert!(failed.iter().any(|message| message.event() == "dialog_failed"), "{failed:?}");
    assert_eq!(engine.metric("antiphon_breaker_state").await, 2.0);
    assert_eq!(engine.metric("antiphon_breaker_openings_total").await, 1.0);

    has_faults(json!({})).await;
    let answered = phone.turn(&speech()).await;
    assert!(answered.iter().any(|message| message.event() == "dialog_replied"), "{answered:?}");
    assert_eq!(engine.metric("antiphon_breaker_state").await, 0.0);
    phone.hang_up().await;
    engine.stop().await.assert_code(0);
    let told = events.events().into_iter().map(|event| event["event_type"].clone());
    let told: Vec<Value> =
        told.filter(|kind| kind.as_str().is_some_and(|kind| kind.starts_with("breaker"))).collect();
    assert_eq!(told, ["breaker_opened", "breaker_closed"]);
}
