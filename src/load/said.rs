//! What an engine says to calls that it does not take: a status and its own words. Pure.

use std::collections::BTreeMap;

use reqwest::StatusCode;
use serde::Deserialize;

/// Most of an answer's body that is read.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024;
/// Longest words that are kept.
const WORDS_CHARS_MAX: usize = 200;
/// Most different answers that are kept apart.
const ANSWERS_MAX: usize = 20;
/// What the others count as.
const OTHERS: &str = "other answers";

/// How often what was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers(BTreeMap<String, u64>);

/// What is said in an error, or in the reason of a close frame.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Said {
    error: Words,
    code: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Words {
    code: String,
    message: String,
}

impl Answers {
    /// Counts an answer.
    pub(super) fn add(&mut self, said: &str) {
        self.add_times(said, 1);
    }

    /// Counts those of others.
    pub(super) fn merge(&mut self, others: &Self) {
        others.0.iter().for_each(|(said, times)| self.add_times(said, *times));
    }

    fn add_times(&mut self, said: &str, times: u64) {
        let is_room = self.0.len() < ANSWERS_MAX || self.0.contains_key(said);
        *self.0.entry(if is_room { said } else { OTHERS }.to_owned()).or_default() += times;
    }

    /// All of them.
    pub(super) const fn counts(&self) -> &BTreeMap<String, u64> {
        &self.0
    }
}

/// An answer with this status and the beginning of its body.
pub(super) fn of_status(status: u16, body: &[u8]) -> String {
    let Said { error: Words { code, message }, .. } =
        serde_json::from_slice(body).unwrap_or_default();
    let name = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let name = if code.is_empty() { name.unwrap_or_default() } else { &code };
    words(&format!("{status} {name}"), &message)
}

/// An error that was sent as a message.
pub(super) fn of_message(code: &str, message: &str) -> String {
    words(code, message)
}

/// A close frame with the code 1013.
pub(super) fn of_close(reason: &str) -> String {
    let Said { code, .. } = serde_json::from_str(reason).unwrap_or_default();
    words("1013", &code)
}

/// On one line of a terminal, whoever sent it.
fn words(name: &str, message: &str) -> String {
    let text = if message.is_empty() { name.to_owned() } else { format!("{name}: {message}") };
    let printable = text.chars().map(|it| if it.is_control() { ' ' } else { it });
    let printable: String = printable.take(WORDS_CHARS_MAX).collect();
    printable.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_its_status_and_the_engines_words() {
        let body = br#"{"error":{"code":"unknown_route","message":"there is no route"}}"#;
        assert_eq!(of_status(404, body), "404 unknown_route: there is no route");
        assert_eq!(of_status(404, b"<html>"), "404 Not Found");
        assert_eq!(of_status(799, b""), "799");
        assert_eq!(of_close(r#"{"code":"full","retry_after_s":1}"#), "1013: full");
        assert_eq!(of_close(""), "1013");
        assert_eq!(of_message("full", "no\x1b[31m room\n"), "full: no [31m room");
        let long = format!(r#"{{"error":{{"code":"x","message":"{}"}}}}"#, "y".repeat(3_000));
        assert_eq!(of_status(400, long.as_bytes()).chars().count(), 200);
    }

    #[test]
    fn alike_answers_are_counted_and_no_more_than_a_few_are_kept_apart() {
        let mut answers = Answers::default();
        for number in 0..100 {
            answers.add(&number.to_string());
            answers.add("404");
        }
        let mut both = answers.clone();
        both.merge(&answers);
        assert_eq!(both.counts()["404"], 200);
        assert_eq!((both.counts().len(), both.counts()[OTHERS]), (21, 162));
    }
}
