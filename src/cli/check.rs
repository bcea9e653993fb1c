//! `antiphon check`: whether the engine could work here, line by line, with what
//! to do. It starts nothing, and runs no dialog turn unless it is told to.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use clap::Args;

use super::error::CliError;
use super::print;
use crate::config::{Config, ServerSettings};
use crate::server::{ask_providers, certificate_files, check_providers};
use crate::services::{Health, Providers, process_environment};
use crate::telemetry::{EventFileError, check_event_file};

pub(super) const EXAMPLES: &str = "\
Examples:
  antiphon check
  antiphon check --config other.toml && antiphon serve --config other.toml
  antiphon check --deep

ok: it works. warn: it may come up by itself; calls would fail now. fail: it will not.
The exit status is 0 unless something fails. A synthesiser behind HTTP speaks one word.

--deep costs, for each route, what one short call costs: one sentence of the synthesiser,
one utterance of the recogniser, and one session of one turn of the dialog platform. Whatever
a call would not be given now fails there, also where it may come up by itself.";

/// What to check.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Ask the providers of every route what calls ask of them as well: a sentence, an utterance
    /// and a turn. Each route costs one session of the dialog platform.
    #[arg(long)]
    deep: bool,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Finding {
    level: Level,
    what: String,
    text: String,
}

impl Finding {
    fn new(level: Level, what: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level, what: what.into(), text: text.into() }
    }

    fn of_health(what: String, health: Health) -> Self {
        match health {
            Health::Ready(text) => Self::new(Level::Ok, what, text),
            Health::Unavailable(text) => Self::new(Level::Warn, what, text),
            Health::Refused(text) => Self::new(Level::Fail, what, text),
        }
    }

    /// Of what a call asks for: it is there now, or a call would fail.
    fn of_trial(what: String, health: Health) -> Self {
        match health {
            Health::Ready(text) => Self::new(Level::Ok, what, text),
            Health::Unavailable(text) | Health::Refused(text) => Self::new(Level::Fail, what, text),
        }
    }

    fn line(&self) -> String {
        let level = match self.level {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        };
        format!("{level:<4}  {:<24}  {}\n", self.what, self.text)
    }
}

/// Checks everything that the configuration names.
pub(super) async fn run(
    args: &CheckArgs,
    config: Result<Config, CliError>,
) -> Result<(), CliError> {
    let config = match config {
        Ok(config) => config,
        Err(error) => {
            print(&Finding::new(Level::Fail, "configuration", "see below").line());
            return Err(error);
        }
    };
    let mut findings = vec![Finding::new(Level::Ok, "configuration", "every key is right")];
    findings.push(port("server.http", config.server.http));
    findings.push(port("server.simulator", config.server.simulator));
    findings.extend(certificate(&config.server));
    findings.push(event_file(&config.events.path));
    findings.extend(providers(&config, args.deep).await);
    for finding in &findings {
        print(&finding.line());
    }
    let failed = findings.iter().filter(|finding| finding.level == Level::Fail).count();
    if failed > 0 {
        return Err(CliError::Unsuccessful(format!(
            "{failed} of {} checks failed",
            findings.len()
        )));
    }
    Ok(())
}

/// Every provider that a route names: whether it can be built, how it is, and what becomes
/// of what calls ask of it.
async fn providers(config: &Config, is_deep: bool) -> Vec<Finding> {
    let routes = config.routes();
    let (built, unbuilt) =
        Providers::build_each(config, routes.all().map(Arc::as_ref), &process_environment, None);
    let unbuilt = unbuilt.into_iter().map(|(name, error)| {
        Finding::new(Level::Fail, name, error.to_string().replace('\n', "; "))
    });
    let checked = check_providers(&built).await.into_iter().map(|found| {
        Finding::of_health(format!("{} {}", found.service.as_str(), found.provider), found.health)
    });
    let mut findings: Vec<Finding> = unbuilt.chain(checked).collect();
    for route in routes.all().filter(|_| is_deep) {
        findings.extend(ask_providers(&built, route).await.into_iter().map(|found| {
            let what = format!("route {} {}", route.name, found.service.as_str());
            let row = Finding::of_trial(what, found.health);
            Finding { text: format!("{}: {}", found.provider, row.text), ..row }
        }));
    }
    findings
}

fn port(key: &str, addr: SocketAddr) -> Finding {
    match TcpListener::bind(addr) {
        Ok(_) => Finding::new(Level::Ok, key, format!("{addr} is free")),
        Err(error) => Finding::new(
            Level::Warn,
            key,
            format!("{addr}: {error}; an engine may be running there, or choose another port"),
        ),
    }
}

fn certificate(settings: &ServerSettings) -> Option<Finding> {
    let files = certificate_files(settings)?;
    Some(match files.check() {
        Ok(()) => match files.objection() {
            None => Finding::new(Level::Ok, "server.tls", "certificate and key belong together"),
            Some(fault) => {
                Finding::new(Level::Warn, "server.tls", format!("clients will refuse it: {fault}"))
            }
        },
        Err(error) => Finding::new(Level::Fail, "server.tls", error.to_string()),
    })
}

/// The engine does not start with an event file that fails here. One in use is like a port
/// in use.
fn event_file(path: &Path) -> Finding {
    let (level, text) = match check_event_file(path) {
        Ok(()) => (Level::Ok, format!("{} is writable", path.display())),
        Err(error @ EventFileError::InUse { .. }) => (Level::Warn, error.to_string()),
        Err(error) => (Level::Fail, error.to_string()),
    };
    Finding::new(level, "events.path", text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::telemetry::{AppendFile, LockedFile};

    #[test]
    fn a_health_becomes_a_line_that_says_how_it_stands_and_what_to_do() {
        let line = |health: Health| Finding::of_health("tts flite".to_owned(), health).line();
        assert_eq!(
            line(Health::Ready("flite 2.2".to_owned())),
            "ok    tts flite                 flite 2.2\n"
        );
        assert_eq!(
            line(Health::Unavailable("not reachable: start it".to_owned())),
            "warn  tts flite                 not reachable: start it\n"
        );
        assert_eq!(
            line(Health::Refused("no such key: set it".to_owned())),
            "fail  tts flite                 no such key: set it\n"
        );
    }

    #[test]
    fn what_a_call_would_not_be_given_now_fails_also_where_it_may_come_up_by_itself() {
        let level =
            |health: Health| Finding::of_trial("route default tts".to_owned(), health).level;
        assert_eq!(level(Health::Ready("speaks".to_owned())), Level::Ok);
        assert_eq!(level(Health::Unavailable("no answer".to_owned())), Level::Fail);
        assert_eq!(level(Health::Refused("404".to_owned())), Level::Fail);
    }

    #[test]
    fn a_port_in_use_is_a_warning_and_a_free_one_is_fine() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let addr = taken.local_addr().expect("it is bound");
        assert_eq!(port("server.http", addr).level, Level::Warn);
        drop(taken);
        assert_eq!(port("server.http", addr).level, Level::Ok);
    }

    #[test]
    fn an_event_file_that_cannot_be_written_fails_and_one_that_can_leaves_nothing_behind() {
        let missing = std::env::temp_dir().join(format!("antiphon-check-{}", std::process::id()));
        assert_eq!(event_file(&missing).level, Level::Ok);
        assert!(!missing.exists());
        assert_eq!(event_file(&missing.join("voice_metrics.jsonl")).level, Level::Fail);
        fs::write(&missing, "notes").expect("a file");
        assert_eq!(event_file(&missing).level, Level::Fail, "it is somebody's notes");
        fs::write(&missing, "").expect("a file");
        let engine = <LockedFile as AppendFile>::open(&missing).expect("an event file");
        assert_eq!(event_file(&missing).level, Level::Warn, "an engine writes it");
        drop(engine);
        assert_eq!(event_file(&missing).level, Level::Ok);
        fs::remove_file(&missing).expect("it is there");
    }
}
