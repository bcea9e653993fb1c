//! Whom a browser speaks for. A web page of somebody else may send requests to this
//! engine from the browser of whoever reads it, past every firewall; and a name that its
//! owner lets point to this engine makes the page look like one of the engine's own. Pure.
//!
//! Carriers, programs and Prometheus send no `Origin` and call the engine by a name that it
//! knows.

use std::net::{Ipv4Addr, Ipv6Addr};

use actix_http::RequestHead;
use actix_http::uri::Authority;
use actix_web::http::header::{HOST, HeaderName, ORIGIN};
use actix_web::http::{Method, StatusCode};

use super::refusal::Refusal;
use crate::config::ServerSettings;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What the configuration allows.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Names of this engine beside those of the loopback, in lower case.
    hosts: Vec<String>,
    /// `scheme://host[:port]` of pages that may use it, in lower case.
    origins: Vec<String>,
}

/// Where a request comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Visit {
    /// No web page of somebody else.
    Own,
    /// A page that is allowed to, of this origin.
    Page(String),
}

impl Access {
    /// As the configuration has it.
    #[must_use]
    pub fn new(settings: &ServerSettings) -> Self {
        let lower = |list: &[String]| list.iter().map(|it| it.to_ascii_lowercase()).collect();
        Self { hosts: lower(&settings.allowed_hosts), origins: lower(&settings.allowed_origins) }
    }

    /// Whether a request may come in.
    pub(super) fn check(&self, head: &RequestHead) -> Result<Visit, Refusal> {
        let host = self.host(head)?;
        let mut origins = head.headers.get_all(ORIGIN);
        let Some(origin) = origins.next() else {
            // What a page loads without asking has no origin.
            let is_foreign = says(head, SEC_FETCH_SITE, &["cross-site", "same-site"]);
            let is_link = says(head, SEC_FETCH_MODE, &["navigate"]) && head.method == Method::GET;
            return if is_foreign && !is_link {
                Err(foreign_page("this page"))
            } else {
                Ok(Visit::Own)
            };
        };
        let origin = String::from_utf8_lossy(origin.as_bytes()).to_ascii_lowercase();
        if origins.next().is_some() {
            // Whoever stands before the engine may have looked at the other one.
            return Err(foreign_page("a page of two origins"));
        }
        // A page that came from this engine came by the web.
        let page = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        let is_own = host.is_some_and(|host| page == Some(host.as_str()));
        if is_own {
            Ok(Visit::Own)
        } else if self.origins.contains(&origin) {
            Ok(Visit::Page(origin))
        } else {
            Err(foreign_page(&origin))
        }
    }

    /// What the client takes this engine for. `None`: it does not say, as old ones do.
    fn host(&self, head: &RequestHead) -> Result<Option<String>, Refusal> {
        let mut named = head.headers.get_all(HOST).map(|value| value.to_str().unwrap_or_default());
        let host = named.next();
        let is_one = named.next().is_none();
        let in_target = head.uri.authority().map(Authority::as_str);
        for host in host.into_iter().chain(in_target) {
            if !is_one || !self.is_ours(&host.to_ascii_lowercase()) {
                return Err(foreign_host(host));
            }
        }
        Ok(host.map(str::to_ascii_lowercase))
    }

    fn is_ours(&self, host: &str) -> bool {
        let Some(name) = without_port(host) else { return false };
        let is_loopback = match name.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            Some(address) => {
                address.parse::<Ipv6Addr>().is_ok_and(|it| it.to_canonical().is_loopback())
            }
            None => name.parse::<Ipv4Addr>().is_ok_and(|it| it.is_loopback()),
        };
        is_loopback
            || name == "localhost"
            || self.hosts.iter().any(|allowed| allowed == name || allowed == host)
    }
}

/// Whether any header of this name has one of these values.
fn says(head: &RequestHead, name: HeaderName, values: &[&str]) -> bool {
    let is_one = |said: &str| values.iter().any(|value| value.eq_ignore_ascii_case(said));
    head.headers.get_all(name).any(|said| said.to_str().is_ok_and(is_one))
}

/// Whether a path is written as it is meant. Whoever stands before the engine and lets some
/// paths through must not read another path than the engine does.
pub(super) fn check_path(path: &str) -> Result<(), Refusal> {
    let is_meant = path.split('/').skip(1).enumerate().all(|(at, segment)| {
        let is_root = at == 0 && path.len() == 1;
        (!segment.is_empty() || is_root) && segment != "." && segment != ".." && is_plain(segment)
    });
    if is_meant {
        return Ok(());
    }
    Err(Refusal::bad_request(
        "bad_path",
        "the path is not written as it is meant: send it without empty segments, `.`, `..`, and \
         without % before what needs none",
    ))
}

/// Whether nothing is written with % that means the same without it.
fn is_plain(segment: &str) -> bool {
    segment.split('%').skip(1).all(|escaped| {
        let code = escaped.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        code.is_some_and(|code| !(code.is_ascii_alphanumeric() || b"-._~/".contains(&code)))
    })
}

/// The name or address in `host[:port]`.
fn without_port(host: &str) -> Option<&str> {
    let end = if host.starts_with('[') {
        host.find(']')? + 1
    } else {
        host.find(':').unwrap_or(host.len())
    };
    let (name, port) = host.split_at(end);
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
    is_port.then_some(name)
}

fn foreign_page(origin: &str) -> Refusal {
    Refusal::new(
        StatusCode::FORBIDDEN,
        "foreign_origin",
        format_args!(
            "{} may not use this engine from a browser: list its origin in server.allowed_origins",
            shown(origin)
        ),
    )
}

fn foreign_host(host: &str) -> Refusal {
    Refusal::new(
        StatusCode::MISDIRECTED_REQUEST,
        "foreign_host",
        format_args!(
            "this engine is not called {:?}: use localhost or its loopback address, or list the \
             name in server.allowed_hosts",
            shown(host)
        ),
    )
}

/// Enough of it to be recognised.
fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use actix_http::test::TestRequest;

    use super::*;

    fn access() -> Access {
        Access::new(&ServerSettings {
            allowed_hosts: vec!["Engine.example".to_owned(), "proxy.example:8443".to_owned()],
            allowed_origins: vec!["https://Console.example".to_owned()],
            ..ServerSettings::default()
        })
    }

    fn check(headers: &[(&str, &str)]) -> Result<Visit, &'static str> {
        let mut request = TestRequest::default();
        for (name, value) in headers {
            request.append_header((*name, *value));
        }
        access().check(request.finish().head()).map_err(|refusal| refusal.code())
    }

    #[test]
    fn an_engine_is_called_by_its_loopback_or_by_a_configured_name() {
        let ours = [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1:8080",
            "127.8.8.8",
            "[::1]:80",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "engine.example:1",
            "ENGINE.example",
            "proxy.example:8443",
        ];
        for host in ours {
            assert_eq!(check(&[("host", host)]), Ok(Visit::Own), "{host}");
        }
        let foreign = [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:80@evil.example",
            "10.0.0.1",
            "127.0.0.1.evil.example",
            "[::1",
            "[::1]x",
            "[127.0.0.1]",
            "127.0.0.1]",
            "::1",
            "[2001:db8::1]:80",
            "proxy.example",
            "0.0.0.0:8080",
            "localhost:x",
        ];
        for host in foreign {
            assert_eq!(check(&[("host", host)]), Err("foreign_host"), "{host}");
        }
        let both = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(check(&both), Err("foreign_host"));
        assert_eq!(check(&[]), Ok(Visit::Own), "HTTP/1.0 names no host");
    }

    #[test]
    fn a_web_page_comes_in_when_it_is_the_engines_own_or_allowed() {
        let from = |origin| check(&[("host", "127.0.0.1:8080"), ("origin", origin)]);
        assert_eq!(from("http://127.0.0.1:8080"), Ok(Visit::Own));
        let console = "https://console.example";
        assert_eq!(from("https://Console.Example"), Ok(Visit::Page(console.to_owned())));
        for foreign in [
            "null",
            "",
            "https://evil.example",
            "http://localhost:3000",
            "http://127.0.0.1:8081",
            "http://console.example",
            "https://console.example:8443",
            "https://console.example.evil",
        ] {
            assert_eq!(from(foreign), Err("foreign_origin"), "{foreign}");
        }
    }

    #[test]
    fn of_headers_that_are_there_twice_none_is_overlooked() {
        let own = ("origin", "http://127.0.0.1:8080");
        let foreign = ("origin", "https://evil.example");
        for origins in [[own, foreign], [foreign, own], [own, own]] {
            let headers = [&[("host", "127.0.0.1:8080")], &origins[..]].concat();
            assert_eq!(check(&headers), Err("foreign_origin"), "{origins:?}");
        }
        let sites = [("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&sites), Err("foreign_origin"));
    }

    #[test]
    fn a_path_is_written_in_one_way() {
        let plain = ["/", "/v1/calls", "/v1/calls/a-1/media", "/v1/calls/%C3%BC", "/metrics", ""];
        for path in plain {
            assert!(check_path(path).is_ok(), "{path}");
        }
        for path in [
            "/v1/call%73",
            "/%6detrics",
            "/%6Detrics",
            "//metrics",
            "/v1//calls",
            "/metrics/",
            "/v1/./calls",
            "/v1/x/../calls",
            "/v1%2fcalls",
            "/v1/%2e/calls",
            "/v1/%2e%2e/calls",
            "/v1/calls%",
            "/v1/calls%7",
            "/v1/calls%zz",
            "/v1/calls/..",
            "/.",
        ] {
            assert!(check_path(path).is_err(), "{path}");
        }
    }

    #[test]
    fn what_a_page_loads_in_passing_is_refused_as_well_and_a_link_is_not() {
        let fetched = |site, mode| {
            check(&[("host", "localhost"), ("sec-fetch-site", site), ("sec-fetch-mode", mode)])
        };
        assert_eq!(fetched("cross-site", "no-cors"), Err("foreign_origin"));
        assert_eq!(fetched("Cross-Site", "no-cors"), Err("foreign_origin"));
        assert_eq!(fetched("same-site", "cors"), Err("foreign_origin"));
        assert_eq!(fetched("cross-site", "navigate"), Ok(Visit::Own));
        assert_eq!(fetched("same-origin", "cors"), Ok(Visit::Own));
        assert_eq!(fetched("none", "navigate"), Ok(Visit::Own));
    }
}
