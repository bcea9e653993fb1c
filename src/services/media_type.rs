//! A `Content-Type`, as far as providers are concerned. Pure; every text has a reading.

use std::fmt;

/// Longest name that is repeated in a message: it comes from the other side.
const SHOWN_CHARS_MAX: usize = 60;

/// What a body is declared as.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MediaType {
    /// In lower case; empty when nothing is declared.
    essence: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl MediaType {
    pub(super) fn parse(text: &str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            Some((name.trim().to_ascii_lowercase(), value.to_owned()))
        };
        Self { essence, parameters: parts.filter_map(parameter).collect() }
    }

    /// The type without its parameters.
    pub(super) fn essence(&self) -> &str {
        &self.essence
    }

    /// The value of the first parameter that has one of these names.
    pub(super) fn parameter(&self, names: &[&str]) -> Option<&str> {
        let is_it = |(name, _): &&(String, String)| names.contains(&name.as_str());
        self.parameters.iter().find(is_it).map(|(_, value)| value.as_str())
    }

    /// Whether the body may be JSON by what is declared. Servers that declare plain text,
    /// or nothing, send JSON all the same; the body decides then.
    pub(super) fn may_be_json(&self) -> bool {
        let essence = self.essence();
        essence.ends_with("+json")
            || matches!(
                essence,
                "" | "application/json"
                    | "application/octet-stream"
                    | "application/x-json"
                    | "text/json"
                    | "text/plain"
            )
    }
}

impl fmt::Display for MediaType {
    /// The type without its parameters, where it is a type at all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fine = |letter: char| letter.is_ascii_alphanumeric() || "/+-._".contains(letter);
        match self.essence() {
            "" => f.write_str("nothing"),
            essence if essence.len() <= SHOWN_CHARS_MAX && essence.chars().all(fine) => {
                f.write_str(essence)
            }
            _ => f.write_str("no media type"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_read_with_its_parameters_in_any_case_and_quoting() {
        let parsed = MediaType::parse("Audio/L16 ; Rate=\"8000\";channels=1; odd");
        assert_eq!(parsed.essence(), "audio/l16");
        assert_eq!(parsed.parameter(&["samplerate", "rate"]), Some("8000"));
        assert_eq!(parsed.parameter(&["odd"]), None);
    }

    #[test]
    fn only_what_is_a_type_is_repeated() {
        let shown = ["", "audio/mpeg", "two words", &"x".repeat(61), "a\u{1b}[2J"]
            .map(|text| MediaType::parse(text).to_string());
        let none = "no media type";
        assert_eq!(shown, ["nothing", "audio/mpeg", none, none, none]);
    }

    #[test]
    fn json_is_believed_where_the_type_does_not_contradict_it() {
        let may = |text| MediaType::parse(text).may_be_json();
        assert!(
            ["", "application/json; charset=utf-8", "text/plain", "a/problem+json"]
                .map(may)
                .iter()
                .all(|it| *it)
        );
        assert!(!["text/html", "audio/wav"].map(may).iter().any(|it| *it));
    }
}
