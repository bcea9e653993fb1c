//! What a single value may be, and how to say that it is not.
//!
//! Messages name what is allowed. They repeat numbers and misspelt names, and
//! nothing else of what was written: it may be a credential in the wrong place.

use std::net::SocketAddr;

use reqwest::Url as ParsedUrl;
use toml::Spanned;
use toml::de::{DeTable, DeValue};
use tracing_subscriber::EnvFilter;

use super::nearest::nearest;

/// What a key may hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rule {
    /// A whole number in a range, both ends included.
    Whole { min: u64, max: u64 },
    /// A number in a range, both ends included.
    Real { min: f64, max: f64 },
    /// `true` or `false`.
    Flag,
    /// Any text.
    Text { may_be_empty: bool },
    /// A list of texts, none empty.
    Texts,
    /// One of these names.
    OneOf(&'static [&'static str]),
    /// A list of these names.
    SomeOf(&'static [&'static str]),
    /// An IP address of this computer, and a port.
    Address,
    /// The `http` or `https` address that paths are appended to.
    Url { may_be_empty: bool },
    /// A list of hosts, each with or without a port.
    Hosts,
    /// A list of origins of web pages.
    Origins,
    /// A file or folder. Whether it exists is found out by who needs it.
    Path { may_be_empty: bool },
    /// A JSON pointer, or nothing.
    Pointer,
    /// A BCP 47 tag.
    Language,
    /// A log filter.
    Filter,
    /// A text, or a table of `text` and `interruptible`.
    Prompt { may_be_empty: bool },
}

impl Rule {
    /// Checks a value. The error continues a sentence that begins with the key.
    pub(super) fn check(self, value: &DeValue<'_>) -> Result<(), String> {
        match self {
            Self::Whole { min, max } => whole(value, min, max),
            Self::Real { min, max } => real(value, min, max),
            Self::Flag => flag(value),
            Self::Text { may_be_empty } => text(value, may_be_empty).map(|_| ()),
            Self::Texts => each(value, |text| non_empty(text, false)),
            Self::OneOf(names) => one_of(text(value, true)?, names),
            Self::SomeOf(names) => each(value, |text| one_of(text, names)),
            Self::Address => address(text(value, true)?),
            Self::Url { may_be_empty } => match text(value, may_be_empty)? {
                "" => Ok(()),
                url => base_url(url),
            },
            Self::Hosts => each(value, host),
            Self::Origins => each(value, origin),
            Self::Path { may_be_empty } => text(value, may_be_empty).map(|_| ()),
            Self::Pointer => pointer(text(value, true)?),
            Self::Language => language(text(value, true)?),
            Self::Filter => filter(text(value, true)?),
            Self::Prompt { may_be_empty } => prompt(value, may_be_empty),
        }
    }

    /// Whether a value is written as a text, in the environment without quotes.
    pub(super) fn is_text(self) -> bool {
        !matches!(
            self,
            Self::Whole { .. }
                | Self::Real { .. }
                | Self::Flag
                | Self::Texts
                | Self::SomeOf(_)
                | Self::Hosts
                | Self::Origins
        )
    }
}

/// Says what was found instead of what is wanted.
fn wanted(what: &str, found: &DeValue<'_>) -> String {
    format!("must be {what}, but is {}", kind(found))
}

/// What kind of value something is, with an article.
pub(super) fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn whole(value: &DeValue<'_>, min: u64, max: u64) -> Result<(), String> {
    let allowed = format!("a whole number from {min} to {max}");
    let Some(number) = value.as_integer() else { return Err(wanted(&allowed, value)) };
    match u64::from_str_radix(number.as_str(), number.radix()) {
        Ok(found) if (min..=max).contains(&found) => Ok(()),
        _ => Err(format!("must be {allowed}, but is {number}")),
    }
}

fn real(value: &DeValue<'_>, min: f64, max: f64) -> Result<(), String> {
    let allowed = format!("a number from {min} to {max}");
    let written = match value {
        DeValue::Float(number) => number.as_str(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
        _ => return Err(wanted(&allowed, value)),
    };
    match written.parse::<f64>() {
        Ok(found) if (min..=max).contains(&found) => Ok(()),
        _ => Err(format!("must be {allowed}, but is {written}")),
    }
}

fn flag(value: &DeValue<'_>) -> Result<(), String> {
    value.as_bool().map(|_| ()).ok_or_else(|| wanted("true or false", value))
}

fn text<'a>(value: &'a DeValue<'_>, may_be_empty: bool) -> Result<&'a str, String> {
    let text = value.as_str().ok_or_else(|| wanted("a text in quotes", value))?;
    non_empty(text, may_be_empty).map(|()| text)
}

fn non_empty(text: &str, may_be_empty: bool) -> Result<(), String> {
    if text.is_empty() && !may_be_empty {
        return Err("must not be empty".to_owned());
    }
    Ok(())
}

fn each(value: &DeValue<'_>, check: impl Fn(&str) -> Result<(), String>) -> Result<(), String> {
    const LIST: &str = "a list of texts, such as [\"a\", \"b\"]";
    let list = value.as_array().ok_or_else(|| wanted(LIST, value))?;
    for (index, entry) in list.iter().enumerate() {
        let text = entry.get_ref().as_str().ok_or_else(|| wanted(LIST, entry.get_ref()));
        text.and_then(&check).map_err(|problem| format!("entry {}: {problem}", index + 1))?;
    }
    Ok(())
}

fn one_of(found: &str, names: &[&str]) -> Result<(), String> {
    if names.contains(&found) {
        return Ok(());
    }
    let shown: String = found.chars().take(SHOWN_CHARS_MAX).collect();
    let allowed = names.join("`, `");
    let hint = nearest(found, names.iter().copied())
        .map_or_else(String::new, |name| format!("; did you mean `{name}`?"));
    Err(format!("must be one of `{allowed}`, but is {shown:?}{hint}"))
}

fn address(text: &str) -> Result<(), String> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "must be an IP address and a port, such as 127.0.0.1:8080".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err("must be a loopback address such as 127.0.0.1: until authentication exists the engine \
         binds loopback only"
        .to_owned())
}

fn base_url(text: &str) -> Result<(), String> {
    let example = "must be a URL such as https://host.example/base";
    let url = ParsedUrl::parse(text).map_err(|error| format!("{example}: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{example}: it must begin with http:// or https://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{example}: it must not hold ? or #, since a path is appended"));
    }
    Ok(())
}

fn host(text: &str) -> Result<(), String> {
    let parsed = ParsedUrl::parse(&format!("http://{text}")).ok().filter(|url| {
        let extra = url.path() != "/" || url.query().is_some() || url.fragment().is_some();
        !extra && url.username().is_empty() && url.password().is_none() && !text.ends_with('/')
    });
    parsed
        .map(|_| ())
        .ok_or_else(|| "must be a host such as media.example or media.example:8443".to_owned())
}

fn origin(text: &str) -> Result<(), String> {
    let is_origin = ParsedUrl::parse(text).is_ok_and(|url| {
        let written = url.origin().ascii_serialization();
        matches!(url.scheme(), "http" | "https") && written.eq_ignore_ascii_case(text)
    });
    if is_origin {
        return Ok(());
    }
    Err("must be an origin such as https://console.example or http://localhost:3000, without a \
         path and without the scheme's own port"
        .to_owned())
}

fn pointer(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('/') {
        return Ok(());
    }
    Err("must be empty or a JSON pointer, which begins with /".to_owned())
}

fn language(text: &str) -> Result<(), String> {
    let subtags = || text.split('-');
    let formed = subtags()
        .all(|tag| (1..=8).contains(&tag.len()) && tag.bytes().all(|b| b.is_ascii_alphanumeric()));
    let named = subtags()
        .next()
        .is_some_and(|tag| tag.len() >= 2 && tag.bytes().all(|b| b.is_ascii_alphabetic()));
    if formed && named {
        return Ok(());
    }
    Err("must be a language tag such as en-US".to_owned())
}

/// A level that is misspelt would be read as the name of a part of the program, and silence
/// all the others.
fn filter(text: &str) -> Result<(), String> {
    let wrong = |problem: String| format!("must be {FILTER}: {problem}");
    let directives = || text.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    if directives().next().is_none() {
        return Err(wrong("it is empty; `off` logs nothing".to_owned()));
    }
    // What stands in [] may hold commas.
    if !text.contains('[') {
        directives().try_for_each(directive).map_err(wrong)?;
    }
    EnvFilter::try_new(text).map(|_| ()).map_err(|error| wrong(error.to_string()))
}

/// `info`, or `antiphon=debug`.
fn directive(directive: &str) -> Result<(), String> {
    let (target, level) = match directive.split_once('=') {
        Some((target, level)) => (Some(target.trim()), level.trim()),
        None => (None, directive),
    };
    let shown = |name: &str| -> String { name.chars().take(SHOWN_CHARS_MAX).collect() };
    if !LEVELS.iter().any(|known| known.eq_ignore_ascii_case(level)) {
        let hint = nearest(level, LEVELS.iter().copied()).unwrap_or_default();
        let (directive, level) = (shown(directive), shown(level));
        return Err(match target {
            Some(_) => format!("{level:?} in {directive:?} is no level; did you mean `{hint}`?"),
            None => format!(
                "{level:?} is no level; did you mean `{hint}`? One part of the program is \
                 written with its level, such as `{level}=debug`"
            ),
        });
    }
    let part = target.unwrap_or(PROGRAM).split("::").next().unwrap_or_default();
    if part != PROGRAM && strsim::jaro_winkler(part, PROGRAM) > MISSPELT_LIKENESS {
        return Err(format!("{:?} is nothing here; did you mean `{PROGRAM}`?", shown(part)));
    }
    Ok(())
}

fn prompt(value: &DeValue<'_>, may_be_empty: bool) -> Result<(), String> {
    match value {
        DeValue::String(words) => speakable(words, may_be_empty),
        DeValue::Table(table) => prompt_table(table, may_be_empty),
        _ => Err(wanted(PROMPT, value)),
    }
}

/// A prompt of dots or blanks would be silence where a caller waits for words.
fn speakable(words: &str, may_be_empty: bool) -> Result<(), String> {
    non_empty(words, may_be_empty)?;
    if !words.is_empty() && !words.contains(char::is_alphanumeric) {
        return Err(format!("must hold words to be spoken, but is {words:?}"));
    }
    Ok(())
}

fn prompt_table(table: &DeTable<'_>, may_be_empty: bool) -> Result<(), String> {
    let part = |key: &str| table.get(key).map(Spanned::get_ref).ok_or(format!("must be {PROMPT}"));
    if table.len() != 2 {
        return Err(format!("must be {PROMPT}"));
    }
    text(part("text")?, may_be_empty)
        .and_then(|words| speakable(words, may_be_empty))
        .map_err(|problem| format!("`text` {problem}"))?;
    flag(part("interruptible")?).map_err(|problem| format!("`interruptible` {problem}"))
}

const FILTER: &str = "a log filter such as `info`, `antiphon=debug` or `warn,antiphon=info`";
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
/// What the parts of this program are called at the beginning.
const PROGRAM: &str = "antiphon";
/// From 0 to 1. No crate that logs here comes near it.
const MISSPELT_LIKENESS: f64 = 0.9;
const PROMPT: &str = "a text, or a table such as { text = \"…\", interruptible = false }";
/// How much of a misspelt name is repeated.
const SHOWN_CHARS_MAX: usize = 40;
