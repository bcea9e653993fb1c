//! The rules of the house, checked: who may use whom, what pure code must not
//! know, how long things get, and that the map names what exists.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Longest file, before the tests inside it.
const FILE_LINES_MAX: usize = 500;

/// Who may use whom: the table of `src/lib.rs`, as code. Tests are free.
const LAYERS: [(&str, &[&str]); 14] = [
    ("types", &[]),
    ("media", &["types"]),
    ("turn", &["types"]),
    ("resilience", &["types"]),
    ("call", &["types", "media", "turn", "resilience"]),
    ("config", &["types"]),
    ("telemetry", &["types"]),
    ("services", &["types", "media", "resilience", "config", "telemetry"]),
    (
        "actors",
        &["types", "media", "turn", "resilience", "call", "config", "telemetry", "services"],
    ),
    ("transports", &["types", "media", "config", "telemetry", "actors::link"]),
    (
        "server",
        &[
            "types",
            "media",
            "turn",
            "resilience",
            "call",
            "config",
            "telemetry",
            "services",
            "actors",
            "transports",
        ],
    ),
    ("sandbox", &["types", "media"]),
    ("load", &["types", "media", "config"]),
    ("cli", &["types", "media", "config", "telemetry", "services", "server", "sandbox", "load"]),
];

const PURE: [&str; 5] = ["types", "media", "turn", "resilience", "call"];

/// What of the standard library pure code must not know. Time comes in as an argument.
const IMPURE: [&str; 14] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "Atomic",
    "Condvar",
    "Instant",
    "Mutex",
    "RwLock",
    "SystemTime",
    "mpsc",
    "thread_local!",
];

/// Who may know which crate. Whoever adds one says here where it may spread, so that it
/// can be replaced again: actix in one folder, and no crate with effects in a pure one.
const CRATES: [(&str, &[&str]); 37] = [
    ("actix", &["actors"]),
    ("actix_codec", &["transports"]),
    ("actix_http", &["transports"]),
    ("actix_rt", &["actors"]),
    ("actix_service", &["transports"]),
    ("actix_web", &["transports", "server", "sandbox", "cli"]),
    ("actix_ws", &["sandbox"]),
    ("base64", &["services"]),
    ("bytes", &["services", "actors", "transports"]),
    ("clap", &["cli", "main.rs"]),
    ("crossbeam_channel", &["telemetry"]),
    ("earshot", &["media"]),
    ("futures_util", &["services", "actors", "transports", "server", "load"]),
    ("getrandom", &["server"]),
    ("httpdate", &["services", "transports"]),
    ("libc", &["telemetry"]),
    ("libloading", &["services"]),
    ("metrics", &["telemetry"]),
    ("metrics_exporter_prometheus", &["telemetry"]),
    ("parking_lot", &["telemetry", "services", "actors", "transports", "server", "sandbox"]),
    ("quick_xml", &["services"]),
    ("reqwest", &["config", "services", "transports", "load"]),
    ("ringbuf", &["media"]),
    ("rustix", &["server"]),
    // Its errors are plain data, and told in one way wherever they come up.
    ("rustls", &["types", "services", "transports", "sandbox", "load", "cli"]),
    ("rustls_platform_verifier", &["load"]),
    ("serde", EVERYWHERE),
    ("serde_json", EVERYWHERE),
    ("socket2", &["transports"]),
    ("strsim", &["config"]),
    ("thiserror", EVERYWHERE),
    (
        "tokio",
        &["telemetry", "services", "actors", "transports", "server", "sandbox", "load", "cli"],
    ),
    ("tokio_rustls", &["transports", "load"]),
    ("tokio_tungstenite", &["services", "transports", "load"]),
    ("toml", &["config", "load"]),
    ("tracing", &["telemetry", "services", "actors", "transports", "server"]),
    ("tracing_subscriber", &["config", "telemetry"]),
];
const EVERYWHERE: &[&str] = &[];

/// What is left behind by accident. In pieces, so that this file does not find itself.
const LEFTOVERS: [&str; 5] = [
    concat!("todo", "!"),
    concat!("dbg", "!"),
    concat!("unimplemented", "!"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
];

struct Source {
    path: PathBuf,
    /// The first folder under `src`; the file's own name for those directly in it.
    folder: String,
    text: String,
}

impl Source {
    /// Lines before the tests inside the file, with their numbers from 1.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self.text.find("\n#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        (1..).zip(self.text[..tests].lines())
    }

    /// Whether the whole file is a test.
    fn is_test(&self) -> bool {
        let name = self.path.to_string_lossy();
        name.contains("/tests/") || name.ends_with("tests.rs")
    }

    /// Code lines without what is only said in comments.
    fn statements(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    files.sort();
    files.into_iter().map(|path| source(&path)).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the project can be read") {
        let path = entry.expect("an entry of the project can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn source(path: &Path) -> Source {
    let inside = path.strip_prefix(root().join("src")).expect("the file lies in src");
    let first = inside.iter().next().map(|part| part.to_string_lossy().into_owned());
    Source {
        path: Path::new("src").join(inside),
        folder: first.unwrap_or_default(),
        text: fs::read_to_string(path).expect("a source file can be read"),
    }
}

/// Fails with everything that was found, one finding a line.
fn assert_none(rule: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}

#[test]
fn arrows_point_downwards_only() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let Some((_, allowed)) = LAYERS.iter().find(|(folder, _)| *folder == source.folder) else {
            continue;
        };
        for (number, line) in source.statements() {
            for used in line.split("crate::").skip(1) {
                let begins = |folder: &str| {
                    used.strip_prefix(folder).is_some_and(|rest| !rest.starts_with(is_name))
                };
                let inside = begins(&source.folder);
                let fine = allowed.iter().any(|&folder| begins(folder));
                if !inside && !fine {
                    findings.push(format!("{}:{number}: {}", source.path.display(), line.trim()));
                }
            }
        }
    }
    assert_none("a folder uses one that it may not (see src/lib.rs)", &findings);
}

fn is_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[test]
fn every_folder_has_its_place_in_the_table() {
    let lib = read("src/lib.rs");
    for (folder, _) in LAYERS {
        assert!(
            lib.contains(&format!("[`{folder}`]")),
            "{folder} is not in the table of src/lib.rs"
        );
        assert!(root().join("src").join(folder).is_dir(), "src/{folder} does not exist");
    }
}

#[test]
fn pure_code_knows_no_clock_lock_thread_channel_file_or_network() {
    let mut findings = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.folder.as_str()) || source.is_test() {
            continue;
        }
        for (number, line) in source.statements() {
            for word in IMPURE.iter().filter(|word| line.contains(**word)) {
                findings.push(format!("{}:{number}: {word}", source.path.display()));
            }
        }
    }
    assert_none("pure code knows something that is not pure", &findings);
}

#[test]
fn a_crate_stays_where_it_can_be_replaced() {
    let mut findings = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (number, line) in source.statements() {
            for (name, folders) in CRATES.iter().filter(|(name, _)| names_crate(line, name)) {
                if !folders.is_empty() && !folders.contains(&source.folder.as_str()) {
                    findings.push(format!("{}:{number}: {name}", source.path.display()));
                }
            }
        }
    }
    assert_none("a crate outside its folders (see CRATES in tests/tidy.rs)", &findings);
}

#[test]
fn unsafe_code_stays_where_foreign_code_or_single_instructions_are_called() {
    let places = ["src/services/speech/library", "src/media/silero", "src/media/echo/bands.rs"];
    let elsewhere = |source: &&Source| !places.iter().any(|place| source.path.starts_with(place));
    let mut findings = Vec::new();
    for source in sources().iter().filter(elsewhere) {
        let allowed = source.statements().filter(|(_, line)| line.contains("unsafe_code"));
        findings.extend(allowed.map(|(number, _)| format!("{}:{number}", source.path.display())));
    }
    assert_none("unsafe code elsewhere", &findings);
}

/// Whether a path in the line begins with the crate.
fn names_crate(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + name.len()..]);
        after.starts_with("::") && !before.ends_with(|letter| is_name(letter) || letter == ':')
    })
}

#[test]
fn every_dependency_has_its_place_in_the_table() {
    let manifest = read("Cargo.toml");
    let table =
        manifest.split("\n[dependencies]\n").nth(1).and_then(|rest| rest.split("\n[").next());
    let lines = table.expect("the manifest lists dependencies").lines();
    let listed: BTreeSet<String> = lines
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect();
    let placed: BTreeSet<String> = CRATES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(listed, placed, "Cargo.toml and CRATES in tests/tidy.rs name the same crates");
}

#[test]
fn every_file_says_what_it_is() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|source| !source.text.starts_with("//!"))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_none("a file does not begin with `//!`", &silent);
}

#[test]
fn files_fit_in_the_head() {
    let long: Vec<String> = sources()
        .iter()
        .map(|source| (source.path.display().to_string(), source.code().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines before its tests"))
        .collect();
    assert_none("a file is too long", &long);
}

#[test]
fn nothing_is_left_behind() {
    let mut findings = Vec::new();
    for source in sources() {
        for (number, line) in (1..).zip(source.text.lines()) {
            for leftover in LEFTOVERS.iter().filter(|leftover| line.contains(**leftover)) {
                findings.push(format!("{}:{number}: {leftover}", source.path.display()));
            }
        }
    }
    assert_none("something was left behind", &findings);
}

#[test]
fn the_map_of_the_actors_names_every_actor_and_message() {
    let map = read("actors.md");
    let mut named = BTreeSet::new();
    for source in sources().iter().filter(|source| source.folder == "actors") {
        if source.is_test() {
            continue;
        }
        let lines: Vec<&str> = source.statements().map(|(_, line)| line).collect();
        for (at, line) in lines.iter().enumerate() {
            if let Some(rest) = line.strip_prefix("impl Actor for ") {
                named.insert(first_name(rest));
            }
            if line.contains("Message)]") {
                let declared = lines[at..].iter().find(|line| line.contains("struct "));
                let declared = declared.expect("a message is a struct");
                named.insert(first_name(declared.split("struct ").nth(1).unwrap_or_default()));
            }
        }
    }
    assert!(named.len() > 10, "the search finds actors and messages: {named:?}");
    let missing: Vec<String> =
        named.into_iter().filter(|name| !map.contains(&format!("`{name}`"))).collect();
    assert_none("actors.md does not name", &missing);
}

fn first_name(text: &str) -> String {
    text.chars().take_while(|&letter| is_name(letter)).collect()
}

#[test]
fn the_map_of_the_actors_names_every_timer_of_a_call() {
    let map = read("actors.md");
    let timers = read("src/call/timers.rs");
    let table = timers.split("pub enum CallTimer {").nth(1).and_then(|rest| rest.split('}').next());
    let table = table.expect("there is a table of timers");
    let variants = table.lines().map(str::trim).filter(|line| line.ends_with(','));
    let missing: Vec<String> =
        variants.map(first_name).filter(|name| !map.contains(&format!("`{name}`"))).collect();
    assert_none("actors.md does not name the timer", &missing);
}

#[test]
fn what_the_texts_tell_to_type_exists() {
    let makefile = read("Makefile");
    let help = std::process::Command::new(env!("CARGO_BIN_EXE_antiphon"))
        .arg("--help")
        .output()
        .expect("the binary can be run");
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let (mut findings, mut commands_seen) = (Vec::new(), BTreeSet::new());
    for (name, text) in texts() {
        for target in words_after(&text, "make ") {
            if !makefile.contains(&format!("\n{target}:")) {
                findings.push(format!("{name}: make {target}"));
            }
        }
        for command in words_after(&text, "antiphon ") {
            if !help.contains(&format!("\n  {command} ")) {
                findings.push(format!("{name}: antiphon {command}"));
            }
            commands_seen.insert(command);
        }
    }
    assert!(commands_seen.len() > 4, "the texts name the commands: {commands_seen:?}");
    assert_none("a text tells to type what does not exist", &findings);
}

#[test]
fn every_file_the_texts_point_to_exists() {
    let mut missing = Vec::new();
    for (name, text) in texts() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let beside = root().join(&name).with_file_name(target);
            if !target.starts_with("http") && !beside.exists() {
                missing.push(format!("{name}: {target}"));
            }
        }
        let paths = ["src/", "tests/", "docs/", "assets/", "benches/", "ops/"];
        for path in text.split('`').filter(|code| paths.iter().any(|path| code.starts_with(path))) {
            if !path.contains(char::is_whitespace) && !root().join(path).exists() {
                missing.push(format!("{name}: {path}"));
            }
        }
    }
    assert_none("a text points to what does not exist", &missing);
}

/// Everything that is written for people to read, by its path.
fn texts() -> Vec<(String, String)> {
    let folders = ["", "docs", "benches", "ops", "tests", "tests/audio", "tests/track"];
    let entries = folders.iter().flat_map(|folder| {
        fs::read_dir(root().join(folder)).expect("a folder of the project can be read")
    });
    let mut names = vec!["config.toml".to_owned()];
    for entry in entries {
        let path = entry.expect("an entry of the project can be read").path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let inside = path.strip_prefix(root()).expect("the file lies in the project");
            names.push(inside.to_string_lossy().into_owned());
        }
    }
    names.into_iter().map(|name| (name.clone(), read(&name))).collect()
}

/// The word that follows `before` wherever code begins with it: after a backtick or a
/// prompt, or at the start of a line.
fn words_after(text: &str, before: &str) -> BTreeSet<String> {
    text.match_indices(before)
        .filter(|(at, _)| {
            let line = text[..*at].lines().next_back().unwrap_or_default();
            let starts_line = text[..*at].ends_with('\n') || *at == 0;
            starts_line || line.ends_with('`') || line.ends_with("$ ")
        })
        .map(|(at, _)| {
            let rest = &text[at + before.len()..];
            rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

#[test]
fn no_profile_aborts_on_panic() {
    let manifest = read("Cargo.toml");
    let abort = format!("panic = {:?}", "abort");
    assert!(!manifest.contains(&abort), "supervision depends on unwinding");
}
