//! A run in which no call came about says nothing about the engine, and that is not the
//! generator's fault: why, in a sentence that says what to do.

use std::time::Duration;

use tokio::time::timeout;

use super::connection::connect_tcp;
use super::generator::LoadError;
use super::plan::Target;
use super::tally::Tally;

/// Longest wait for somebody to answer before a run.
const KNOCK_WITHIN: Duration = Duration::from_secs(5);

/// Finds out whether anybody listens where calls are going to be placed.
///
/// # Errors
/// [`LoadError::NobodyAnswers`].
pub async fn knock(target: &Target) -> Result<(), LoadError> {
    let nobody = |why: String| LoadError::NobodyAnswers { url: target.url.to_string(), why };
    match timeout(KNOCK_WITHIN, connect_tcp(&target.url)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(nobody(error.to_string())),
        Err(_) => Err(nobody(format!("no connection within {} s", KNOCK_WITHIN.as_secs()))),
    }
}

/// Why none of the calls at `url` came about: what happened most.
pub(super) fn why(url: &str, tally: &Tally) -> String {
    let refused = tally.refused;
    let answers = tally.answers.counts().iter().max_by_key(|(_, count)| **count);
    let said = answers.map(|(said, _)| said.as_str());
    let worst = tally.errors.iter().max_by_key(|(_, count)| **count);
    let Some((kind, count)) = worst.filter(|(_, count)| **count > refused) else {
        let because = said.unwrap_or("it has no room, or is stopping");
        return format!("{url} refused every call ({refused}): {because}");
    };
    match *kind {
        "not_connected" => nobody_answers(url, "every connection failed"),
        "no_answer" => format!("{url} takes connections and says nothing: is it an engine?"),
        "tls_wanted" => format!("{url} speaks TLS only: use wss:// or https://"),
        "no_tls" => format!("{url} speaks no TLS: use ws:// or http://"),
        "certificate" => format!(
            "the certificate of {url} is not trusted: SSL_CERT_FILE names a file of \
             certificates that are"
        ),
        "status_4xx" => format!(
            "{url} refuses calls that are placed like this ({}): look at path and query of --url",
            said.unwrap_or("status 4xx")
        ),
        kind => format!("no call at {url} came about: {} ({count})", said.unwrap_or(kind)),
    }
}

/// What is told when nobody is there.
pub(super) fn nobody_answers(url: &str, why: &str) -> String {
    format!("nobody answers at {url} ({why}): start an engine there, or name another --url")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_most_is_told_with_what_to_do() {
        let tally = |refused, errors: &[(&'static str, u64)]| {
            let mut tally = Tally::new(1_000);
            tally.refused = refused;
            tally.errors = errors.iter().copied().collect();
            tally
        };
        let told = |refused, errors: &[_]| why("ws://a", &tally(refused, errors));
        assert_eq!(told(5, &[]), "ws://a refused every call (5): it has no room, or is stopping");
        assert_eq!(
            told(1, &[("not_connected", 9), ("no_answer", 2)]),
            "nobody answers at ws://a (every connection failed): start an engine there, or name \
             another --url"
        );
        assert_eq!(told(0, &[("tls_wanted", 1)]), "ws://a speaks TLS only: use wss:// or https://");
        assert_eq!(told(0, &[("bad_answer", 3)]), "no call at ws://a came about: bad_answer (3)");
        let said = |refused, errors: &[_], said: &str| {
            let mut tally = tally(refused, errors);
            tally.answers.add(said);
            why("ws://a", &tally)
        };
        assert_eq!(
            said(5, &[], "503 draining: it stops"),
            "ws://a refused every call (5): 503 draining: it stops"
        );
        assert_eq!(
            said(0, &[("status_4xx", 3)], "404 unknown_route: there is no route of this name"),
            "ws://a refuses calls that are placed like this (404 unknown_route: there is no \
             route of this name): look at path and query of --url"
        );
    }
}
