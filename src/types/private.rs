//! Wrappers that keep caller data and credentials out of every log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Caller data. Prints as `[private]`; [`Private::expose`] marks each place that
/// really needs the content.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Private<T>(T);

/// Words that a caller said or hears.
pub type CallerText = Private<String>;

impl<T> Private<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The content, for the few who must see it.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl From<&str> for Private<String> {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for Private<String> {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl<T> fmt::Debug for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

impl<T> fmt::Display for Private<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[private]")
    }
}

/// A credential. Never serialised; prints masked.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a credential, without the white space that files and shells add.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The credential, for the request that carries it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Enough to tell two keys apart and too little to use one: the last four
    /// characters of a credential of at least sixteen.
    #[must_use]
    pub fn masked(&self) -> String {
        let count = self.0.chars().count();
        if count < 16 {
            return "****".to_owned();
        }
        let tail: String = self.0.chars().skip(count - 4).collect();
        format!("****{tail}")
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_text_never_prints() {
        let text = CallerText::from("my card is 4111");
        assert_eq!(format!("{text} {text:?}"), "[private] [private]");
    }

    #[test]
    fn a_short_secret_shows_nothing_and_a_long_one_its_tail() {
        assert_eq!(Secret::new("hunter2").to_string(), "****");
        assert_eq!(Secret::new("0123456789abcdefXYZ1\n").to_string(), "****XYZ1");
    }
}
