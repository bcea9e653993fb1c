//! From file and environment to a checked [`Config`], or to every problem at once.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::coherence;
use super::error::{ConfigError, Problem, Problems};
use super::settings::Config;
use super::source::Source;
use super::walk::{self, Wrong};

/// Reads `path`, or `config.toml` where the process runs, and lays `environment`
/// over it: `ANTIPHON_SERVER__HTTP` sets `server.http`, and so on with every key
/// except the ones of `routes`. Texts are written there without quotes, everything
/// else as in the file. Without a `config.toml` the defaults hold; a file that was
/// named must exist.
///
/// # Errors
///
/// All problems that can be found at once, each with its key and its place.
pub fn load(
    path: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<Config, ConfigError> {
    let file = path.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match read(file) {
        Err(ConfigError::Unreadable { source, .. })
            if path.is_none() && source.kind() == io::ErrorKind::NotFound =>
        {
            String::new()
        }
        read => read?,
    };
    let environment: Vec<_> = environment.into_iter().collect();
    parse(&file.display().to_string(), &text, &environment).map_err(ConfigError::Wrong)
}

/// Makes a configuration of a file's text; `name` is what problems call the file.
pub(super) fn parse(
    name: &str,
    text: &str,
    environment: &[(OsString, OsString)],
) -> Result<Config, Problems> {
    let (mut source, mut table) = Source::parse(name, text)?;
    let mut found = source.overlay(&mut table, environment);
    let environment_is_right = found.is_empty();
    let wrong = walk::check(&table);
    found.extend(wrong.iter().map(|wrong| wrong.problem(&source)));
    if !found.is_empty() {
        let rest = environment_is_right.then(|| without(&source, table, &wrong)).flatten();
        return Err(Problems { found, rest });
    }
    fill_routes(&mut table);
    let config = build(&source, table.clone()).map_err(|problem| vec![problem])?;
    let found = coherence::check(&source, &table, &config);
    if found.is_empty() {
        return Ok(config);
    }
    Err(Problems { found, rest: Some(Box::new(config)) })
}

/// What is left without what is `wrong`, where that is nothing that decides about providers.
fn without(source: &Source<'_>, mut table: DeTable<'_>, wrong: &[Wrong]) -> Option<Box<Config>> {
    let decides = |wrong: &Wrong| {
        let section = wrong.shown.split(['.', '[']).next().unwrap_or_default();
        PROVIDER_SECTIONS.contains(&section)
    };
    if wrong.iter().any(decides) {
        return None;
    }
    remove(&mut table, wrong);
    fill_routes(&mut table);
    build(source, table).ok().map(Box::new)
}

fn remove(table: &mut DeTable<'_>, wrong: &[Wrong]) {
    let is_wrong = |span: Range<usize>| wrong.iter().any(|wrong| wrong.span == span);
    let wrong_ones = table.iter().filter(|(key, it)| is_wrong(key.span()) || is_wrong(it.span()));
    let names: Vec<String> = wrong_ones.map(|(key, _)| key.get_ref().to_string()).collect();
    for name in &names {
        table.remove(name.as_str());
    }
    for (_, value) in table.iter_mut() {
        if let DeValue::Table(inner) = value.get_mut() {
            remove(inner, wrong);
        }
    }
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    Ok(text)
}

/// Fills every named route with what it leaves out of `[route]`.
fn fill_routes(table: &mut DeTable<'_>) {
    let base = table.get("route").cloned();
    let Some(DeValue::Array(routes)) = table.get_mut("routes").map(Spanned::get_mut) else {
        return;
    };
    for route in routes.iter_mut() {
        let span = route.span();
        let DeValue::Table(route) = route.get_mut() else { continue };
        let empty = || Spanned::new(span.clone(), DeValue::Table(DeTable::new()));
        let base = base.clone().unwrap_or_else(empty);
        let settings = match route.remove(SETTINGS) {
            Some(own) => filled(base, own, true),
            None => base,
        };
        route.insert(Spanned::new(span, SETTINGS.into()), settings);
    }
}

/// `own` with what it leaves out of `base`. A prompt that is a table counts as
/// one value: half of one prompt and half of another make no sense.
fn filled<'a>(
    base: Spanned<DeValue<'a>>,
    own: Spanned<DeValue<'a>>,
    is_section: bool,
) -> Spanned<DeValue<'a>> {
    let span = own.span();
    match (base.into_inner(), own.into_inner()) {
        (DeValue::Table(mut base), DeValue::Table(own)) if is_section => {
            for (key, value) in own {
                let value = match base.remove(key.get_ref().as_ref()) {
                    Some(inherited) => {
                        let is_prompt = PROMPTS.contains(&key.get_ref().as_ref());
                        filled(inherited, value, !is_prompt)
                    }
                    None => value,
                };
                base.insert(key, value);
            }
            Spanned::new(span, DeValue::Table(base))
        }
        (_, own) => Spanned::new(span, own),
    }
}

/// Makes the settings. Every value was checked, so a problem here is one of the
/// table of keys; it is told like any other.
fn build(source: &Source<'_>, table: DeTable<'_>) -> Result<Config, Problem> {
    let root = Spanned::new(0..0, DeValue::Table(table));
    Config::deserialize(ValueDeserializer::from(root)).map_err(|error| {
        let place = error.span().map(|span| source.place(&span));
        Problem { place, message: error.message().to_owned() }
    })
}

/// Read when no file is named.
const DEFAULT_FILE: &str = "config.toml";
/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The key of a named route under which its settings stand.
const SETTINGS: &str = "settings";
/// The sections that say which providers there are, and how they are reached.
const PROVIDER_SECTIONS: [&str; 5] = ["route", "routes", "dialog", "stt", "tts"];
/// The keys whose values are prompts.
const PROMPTS: [&str; 4] = ["greeting", "no_match", "turn_failed", "fallback"];
