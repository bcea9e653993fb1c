//! Goes through everything that was written and finds what is wrong by itself:
//! keys that do not exist and values that their rule does not allow.
//!
//! Does not look at two keys at once; that is [`super::coherence`].

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::Problem;
use super::keys::{NAMED_ROUTE_KEYS, all_paths, is_section, rule_of};
use super::nearest::nearest_path;
use super::rule::{Rule, kind};
use super::source::Source;

/// A key or a value that is wrong.
pub(super) struct Wrong {
    /// Where it stands.
    pub(super) span: Range<usize>,
    /// The key, as it is shown.
    pub(super) shown: String,
    message: String,
}

impl Wrong {
    pub(super) fn problem(&self, source: &Source<'_>) -> Problem {
        Problem { place: Some(source.place(&self.span)), message: self.message.clone() }
    }
}

/// Everything wrong with `table`, in the order of the file.
pub(super) fn check(table: &DeTable<'_>) -> Vec<Wrong> {
    let mut walk = Walk { found: Vec::new() };
    walk.section("", "", table);
    walk.found.sort_by_key(|wrong| wrong.span.start);
    walk.found
}

struct Walk {
    found: Vec<Wrong>,
}

impl Walk {
    /// Checks the keys of a table. `path` is where its keys are described, `shown`
    /// where it was written; they differ inside `routes`.
    fn section(&mut self, path: &str, shown: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = key.get_ref();
            let near = || suggestion(path, shown, name);
            let (inner, shown) = (join(path, name), join(shown, name));
            if let Some(rule) = rule_of(&inner) {
                self.value(rule, &shown, value);
            } else if inner == "routes" {
                self.routes(value);
            } else if is_section(&inner) {
                self.table(&shown, value, |walk, table| walk.section(&inner, &shown, table));
            } else {
                self.unknown(key.span(), &shown, near());
            }
        }
    }

    fn routes(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(routes) = value.get_ref().as_array() else {
            let found = kind(value.get_ref());
            let message = format!("`routes` must be written as [[routes]], but is {found}");
            return self.wrong(value.span(), "routes", message);
        };
        for (index, route) in routes.iter().enumerate() {
            let shown = format!("routes[{index}]");
            self.table(&shown, route, |walk, table| {
                walk.route(route.span(), &shown, table);
            });
        }
    }

    fn route(&mut self, span: Range<usize>, shown: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let (name, shown) = (key.get_ref().as_ref(), join(shown, key.get_ref()));
            let rule = NAMED_ROUTE_KEYS.iter().find(|(key, _)| *key == name);
            match rule {
                Some((_, rule)) => self.value(*rule, &shown, value),
                None if name == "settings" => {
                    self.table(&shown, value, |walk, table| walk.section("route", &shown, table));
                }
                None => {
                    let near = nearest_path("", name, &["name", "called", "settings"]);
                    self.unknown(key.span(), &shown, near.map(str::to_owned));
                }
            }
        }
        for (name, _) in NAMED_ROUTE_KEYS {
            if !table.contains_key(*name) {
                let message = format!("`{shown}` needs the key `{name}`");
                self.wrong(span.clone(), shown, message);
            }
        }
    }

    fn value(&mut self, rule: Rule, shown: &str, value: &Spanned<DeValue<'_>>) {
        if let Err(problem) = rule.check(value.get_ref()) {
            self.wrong(value.span(), shown, format!("`{shown}` {problem}"));
        }
    }

    fn table(
        &mut self,
        shown: &str,
        value: &Spanned<DeValue<'_>>,
        then: impl FnOnce(&mut Self, &DeTable<'_>),
    ) {
        match value.get_ref().as_table() {
            Some(table) => then(self, table),
            None => {
                let message =
                    format!("`{shown}` must be a table, but is {}", kind(value.get_ref()));
                self.wrong(value.span(), shown, message);
            }
        }
    }

    fn unknown(&mut self, span: Range<usize>, shown: &str, near: Option<String>) {
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        self.wrong(span, shown, format!("`{shown}` is not a key{hint}"));
    }

    fn wrong(&mut self, span: Range<usize>, shown: &str, message: String) {
        self.found.push(Wrong { span, shown: shown.to_owned(), message });
    }
}

/// The nearest key to one that does not exist in `section`, written as in
/// `shown_section`: inside `routes` only the keys of a route can be meant.
fn suggestion(section: &str, shown_section: &str, key: &str) -> Option<String> {
    if section == shown_section {
        return nearest_path(section, key, &all_paths()).map(str::to_owned);
    }
    let mut paths = all_paths();
    paths.retain(|path| path.starts_with("route."));
    let near = nearest_path(section, key, &paths)?.strip_prefix("route")?;
    let settings = shown_section.strip_suffix(section.strip_prefix("route")?)?;
    Some(format!("{settings}{near}"))
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
