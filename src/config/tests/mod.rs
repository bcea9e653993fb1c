//! Tests of loading as a whole: text and environment in, settings or problems out.

mod files;
mod problems;
mod routes;

use std::ffi::OsString;

use super::{Config, load};

/// Loads a file's text and some variables.
fn parse(text: &str, environment: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let environment: Vec<(OsString, OsString)> =
        environment.iter().map(|(name, value)| (name.into(), value.into())).collect();
    load::parse("config.toml", text, &environment)
        .map_err(|problems| problems.all().iter().map(ToString::to_string).collect())
}

/// The problems of a text, which must have some.
fn problems(text: &str) -> Vec<String> {
    parse(text, &[]).expect_err("a wrong configuration")
}
