//! The file that is shipped, the table of keys and the settings agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::parse;
use crate::config::keys::{KEYS, rule_of};
use crate::config::rule::Rule;
use crate::config::source::variable_of;
use crate::config::{Config, ConfigError, RouteSettings, effective_toml, load};
use crate::types::CallTarget;

fn shipped() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config.toml");
    fs::read_to_string(path).expect("config.toml")
}

/// The path of every key that the settings have.
fn keys_of_settings() -> BTreeSet<String> {
    fn collect(table: &toml::Table, path: &str, keys: &mut BTreeSet<String>) {
        for (key, value) in table {
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            match value.as_table().filter(|_| rule_of(&path).is_none()) {
                Some(table) => collect(table, &path, keys),
                None => drop(keys.insert(path)),
            }
        }
    }
    let mut keys = BTreeSet::new();
    let settings = toml::Table::try_from(Config::default()).expect("settings as TOML");
    collect(&settings, "", &mut keys);
    assert!(keys.remove("routes"), "no list of routes");
    keys
}

#[test]
fn every_setting_has_a_rule_and_every_rule_a_setting() {
    let ruled: BTreeSet<String> = KEYS.iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(ruled, keys_of_settings());
}

#[test]
fn the_shipped_file_holds_exactly_the_defaults() {
    assert_eq!(parse(&shipped(), &[]), Ok(Config::default()));
    assert_eq!(parse("", &[]), Ok(Config::default()));
}

#[test]
fn the_shipped_file_explains_every_key() {
    let (mut section, mut before) = (String::new(), String::new());
    let mut explained = BTreeSet::new();
    for line in shipped().lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            assert!(before.starts_with("# "), "{section}.{key} has no comment before it");
            explained.insert(format!("{section}.{key}"));
        }
        before = line.to_owned();
    }
    assert_eq!(explained, keys_of_settings());
}

#[test]
fn the_shipped_example_of_a_route_works() {
    let text = shipped();
    let example = text.split("For example:\n#\n").nth(1).expect("the example");
    let example = example.lines().map(|line| line.trim_start_matches("# "));
    let config = parse(&example.collect::<Vec<_>>().join("\n"), &[]).expect("a right example");
    let support = CallTarget::Route("support".to_owned());
    assert_eq!(config.routes().resolve(Some(&support)).expect("it is there").voice, "awb");
}

#[test]
fn the_effective_configuration_can_be_read_back() {
    let mut config = Config::default();
    config.limits.calls_max = 7;
    assert_eq!(parse(&effective_toml(&config), &[]), Ok(config));
}

#[test]
fn the_effective_configuration_shows_no_password_of_any_url() {
    let urls = KEYS.iter().filter(|(_, rule)| matches!(rule, Rule::Url { .. }));
    let variables: Vec<_> = urls.map(|(key, _)| variable_of(key)).collect();
    assert!(!variables.is_empty());
    for variable in &variables {
        let environment = [(variable.as_str(), "https://someone:hunter2@host.example/base")];
        let shown = effective_toml(&parse("", &environment).expect("a right URL"));
        assert!(shown.contains("https://redacted@host.example/base"), "{shown}");
        assert!(!shown.contains("hunter2") && !shown.contains("someone"), "{shown}");
    }
}

#[test]
fn every_key_can_be_set_by_a_variable_of_its_own() {
    let names: BTreeSet<String> = KEYS.iter().map(|(key, _)| variable_of(key)).collect();
    assert_eq!(names.len(), KEYS.len());
    let config = parse(
        "[server]\ntick_ms = 20\n",
        &[
            ("ANTIPHON_SERVER__TICK_MS", "30"),
            ("ANTIPHON_DIALOG__COGNIGY_DIALOGS__BOT_ID", "my bot"),
            ("ANTIPHON_ROUTE__TURNS__INTERRUPTIBLE", "false"),
            ("ANTIPHON_ROUTE__PROMPTS__GREETING", "Hello."),
            ("ANTIPHON_HTTP_CALLBACK__PLAYBACK_HOSTS", "[\"a.example\", \"b.example:1\"]"),
            ("ANTIPHON_TTS_API_KEY", "a credential, not a setting"),
            ("PATH", "/bin"),
        ],
    )
    .expect("right variables");
    assert_eq!(config.server.tick_ms, 30);
    assert_eq!(config.dialog.cognigy_dialogs.bot_id, "my bot");
    assert!(!config.route.turns.interruptible);
    assert_eq!(config.route.prompts.greeting.expect("a greeting").text, "Hello.");
    assert_eq!(config.http_callback.playback_hosts, ["a.example", "b.example:1"]);
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let path = Path::new("/nowhere/antiphon.toml");
    let refused = load(Some(path), []).expect_err("no such file");
    assert!(matches!(refused, ConfigError::Unreadable { .. }));
    assert!(refused.to_string().contains("/nowhere/antiphon.toml"));
}

#[test]
fn route_settings_default_to_the_default_route() {
    let route = Config::default().routes().resolve(None).expect("there is always one");
    assert_eq!(*route, crate::types::Route::default());
    assert_eq!(RouteSettings::default().voice, "");
}
