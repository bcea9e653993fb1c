//! What must hold between keys that are each right by themselves.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::settings::{Config, RouteSettings};
use super::source::Source;

/// Everything wrong with `config`; `table` is what it was made from.
pub(super) fn check(source: &Source<'_>, table: &DeTable<'_>, config: &Config) -> Vec<Problem> {
    let mut checks = Checks { source, table, problems: Vec::new() };
    checks.server(config);
    checks.events(config);
    checks.route("route", &config.route, config);
    for (index, route) in config.routes.iter().enumerate() {
        checks.route(&format!("routes.{index}.settings"), &route.settings, config);
    }
    checks.route_names(config);
    checks.problems
}

struct Checks<'a> {
    source: &'a Source<'a>,
    table: &'a DeTable<'a>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn server(&mut self, config: &Config) {
        let (http, simulator) = (config.server.http, config.server.simulator);
        if http == simulator && http.port() != 0 {
            let message = "`server.http` and `server.simulator` must be two different addresses";
            self.wrong(&["server.simulator", "server.http"], message.to_owned());
        }
        let is_set = |file: &Path| !file.as_os_str().is_empty();
        if is_set(&config.server.tls_certificate_file) != is_set(&config.server.tls_key_file) {
            let message = "`server.tls_certificate_file` and `server.tls_key_file` go together: \
                           set both for TLS, or none";
            self.wrong(&["server.tls_certificate_file", "server.tls_key_file"], message.to_owned());
        }
    }

    fn events(&mut self, config: &Config) {
        let events = &config.events;
        if events.batch_max > events.queue_max {
            let message = format!(
                "`events.batch_max` ({}) must not be above `events.queue_max` ({})",
                events.batch_max, events.queue_max
            );
            self.wrong(&["events.batch_max", "events.queue_max"], message);
        }
    }

    fn route(&mut self, path: &str, route: &RouteSettings, config: &Config) {
        self.listening(path, route);
        let workers = [
            ("stt", &route.stt, &config.stt.worker.command),
            ("tts", &route.tts, &config.tts.worker.command),
        ];
        for (service, provider, command) in workers {
            if provider == "worker" && command.is_empty() {
                let message = format!(
                    "`{service} = \"worker\"` needs a program: set `{service}.worker.command`"
                );
                let command = format!("{service}.worker.command");
                self.wrong(&[&command, &format!("{path}.{service}")], message);
            }
        }
    }

    fn listening(&mut self, path: &str, route: &RouteSettings) {
        let listening = &route.listening;
        let at = |key: &str| format!("{path}.listening.{key}");
        let thresholds = listening.thresholds();
        if thresholds.stop >= thresholds.start {
            let message = format!(
                "`stop_probability` ({}) must be below `start_probability` ({})",
                thresholds.stop, thresholds.start
            );
            self.wrong(&[&at("stop_probability"), &at("start_probability")], message);
        }
        for (key, ms) in [
            ("speech_ms_min", listening.speech_ms_min),
            ("silence_ms_end", listening.silence_ms_end),
            ("pre_roll_ms", listening.pre_roll_ms),
        ] {
            if ms >= listening.utterance_ms_max {
                let message = format!(
                    "`{key}` ({ms}) must be below `utterance_ms_max` ({})",
                    listening.utterance_ms_max
                );
                self.wrong(&[&at(key), &at("utterance_ms_max")], message);
            }
        }
    }

    fn route_names(&mut self, config: &Config) {
        let mut names = BTreeMap::from([("default", "[route]".to_owned())]);
        let mut called = BTreeMap::new();
        for (index, route) in config.routes.iter().enumerate() {
            let shown = format!("routes[{index}]");
            if let Some(other) = names.insert(&route.name, shown.clone()) {
                let message = format!("`{shown}` has the name of {other}; give it another one");
                self.wrong(&[&format!("routes.{index}.name")], message);
            }
            for (entry, key) in route.called.iter().enumerate() {
                if let Some(other) = called.insert(key, shown.clone()) {
                    let message = format!(
                        "`{shown}.called` entry {}: {other} is called by it already",
                        entry + 1
                    );
                    self.wrong(&[&format!("routes.{index}.called.{entry}")], message);
                }
            }
        }
    }

    /// Adds a problem at the first of `paths` that was written somewhere.
    fn wrong(&mut self, paths: &[&str], message: String) {
        let span = paths.iter().find_map(|path| span_of(self.table, path));
        self.problems.push(Problem { place: span.map(|span| self.source.place(&span)), message });
    }
}

/// Where the value of a path was written. Numbers are places in a list.
fn span_of(table: &DeTable<'_>, path: &str) -> Option<Range<usize>> {
    let (first, rest) = path.split_once('.').unwrap_or((path, ""));
    span_within(table.get(first)?, rest)
}

fn span_within(value: &Spanned<DeValue<'_>>, path: &str) -> Option<Range<usize>> {
    if path.is_empty() {
        return Some(value.span());
    }
    match value.get_ref() {
        DeValue::Table(table) => span_of(table, path),
        DeValue::Array(list) => {
            let (index, rest) = path.split_once('.').unwrap_or((path, ""));
            span_within(list.get(index.parse::<usize>().ok()?)?, rest)
        }
        _ => None,
    }
}
