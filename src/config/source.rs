//! The text of a configuration: the file with the environment laid over it, and
//! the way back from a value to the place where it was written.
//!
//! Knows TOML and the names of variables; judges no value.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Place, Problem};
use super::keys::{KEYS, rule_of};
use super::nearest::nearest;
use super::rule::Rule;

/// A parsed file and the variables laid over it.
pub(super) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    /// Variable `n` stands at position `text.len() + 1 + n`, behind the text.
    variables: Vec<String>,
}

impl<'a> Source<'a> {
    /// Parses `text`; the file is called `name` in problems.
    pub(super) fn parse(name: &'a str, text: &'a str) -> Result<(Self, DeTable<'a>), Vec<Problem>> {
        let source = Self { name, text, variables: Vec::new() };
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok((source, table.into_inner()));
        }
        let problem = |error: &toml::de::Error| {
            let place = error.span().map(|span| source.place(&span));
            Problem { place, message: format!("not TOML: {}", error.message()) }
        };
        Err(errors.iter().map(problem).collect())
    }

    /// Lays the variables over the table that mean one of its keys; returns what is
    /// wrong with the others that look as if they should.
    pub(super) fn overlay(
        &mut self,
        table: &mut DeTable<'a>,
        environment: &'a [(OsString, OsString)],
    ) -> Vec<Problem> {
        let mut problems = Vec::new();
        for (name, value) in environment {
            let Some(name) = name.to_str().filter(|name| name.starts_with(PREFIX)) else {
                continue;
            };
            let outcome = match path_of(name) {
                Ok(Some(path)) => self.set(table, name, path, value),
                Ok(None) => Ok(()),
                Err(message) => Err(message),
            };
            if let Err(message) = outcome {
                problems
                    .push(Problem { place: Some(Place::Environment(name.to_owned())), message });
            }
        }
        problems
    }

    /// Where a value was written.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        if let Some(variable) = span.start.checked_sub(self.text.len() + 1)
            && let Some(name) = self.variables.get(variable)
        {
            return Place::Environment(name.clone());
        }
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Place::File {
            name: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }

    fn set(
        &mut self,
        table: &mut DeTable<'a>,
        name: &str,
        path: &'static str,
        value: &'a OsStr,
    ) -> Result<(), String> {
        let text = value.to_str().ok_or_else(|| format!("`{path}` must be UTF-8"))?;
        let value = parse_value(path, text)?;
        let at = self.text.len() + 1 + self.variables.len();
        self.variables.push(name.to_owned());
        insert(table, path, value, at..at);
        Ok(())
    }
}

/// The key that a variable means. `None`: it is none of ours, for example the
/// credential `ANTIPHON_TTS_API_KEY`.
fn path_of(variable: &str) -> Result<Option<&'static str>, String> {
    let paths = || KEYS.iter().map(|(path, _)| *path);
    if let Some(path) = paths().find(|path| variable_of(path) == variable) {
        return Ok(Some(path));
    }
    if variable.starts_with("ANTIPHON_ROUTES__") {
        return Err("routes can be set in the file only".to_owned());
    }
    let meant = |name: &str| paths().find(|path| variable_of(path).replace("__", "_") == name);
    let near = if variable[PREFIX.len()..].contains("__") {
        let names: Vec<String> = paths().map(variable_of).collect();
        nearest(variable, names.iter().map(String::as_str)).map(str::to_owned)
    } else {
        meant(variable).map(variable_of)
    };
    match near {
        Some(near) => Err(format!("no key is set by this name; did you mean {near}?")),
        None => Ok(None),
    }
}

/// The variable that sets a key: `server.http` is `ANTIPHON_SERVER__HTTP`.
pub(super) fn variable_of(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").replace('-', "_").to_uppercase())
}

/// Texts stand in the environment as they are, everything else as in TOML.
fn parse_value<'a>(path: &str, text: &'a str) -> Result<DeValue<'a>, String> {
    if rule_of(path).is_some_and(Rule::is_text) {
        return Ok(DeValue::String(Cow::Borrowed(text)));
    }
    DeValue::parse(text).map(Spanned::into_inner).map_err(|_| {
        format!("`{path}` must be written as in the file, such as 5, true or [\"a\", \"b\"]")
    })
}

/// Puts a value at a path, making the tables on the way. Where something else
/// than a table stands in the way it stays, and is found wrong later.
fn insert<'a>(table: &mut DeTable<'a>, path: &'static str, value: DeValue<'a>, span: Range<usize>) {
    let key = |name: &'static str| Spanned::new(span.clone(), Cow::Borrowed(name));
    match path.split_once('.') {
        None => {
            table.remove(path);
            table.insert(key(path), Spanned::new(span, value));
        }
        Some((section, rest)) => {
            if !table.contains_key(section) {
                let empty = DeValue::Table(DeTable::new());
                table.insert(key(section), Spanned::new(span.clone(), empty));
            }
            let inner = table.get_mut(section).map(Spanned::get_mut);
            if let Some(DeValue::Table(inner)) = inner {
                insert(inner, rest, value, span);
            }
        }
    }
}

/// What the names of all variables of the engine begin with.
const PREFIX: &str = "ANTIPHON_";
