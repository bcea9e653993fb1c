//! Colour where the terminal has it: not in a file or a pipe, not in a dumb terminal, and not
//! for who sets NO_COLOR (<https://no-color.org>).

use std::ffi::OsStr;
use std::io::{self, IsTerminal as _};

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Paint(bool);

/// What is told by a colour. Whoever sees none misses nothing: the words say it as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// A heading.
    Heading,
    /// The caller.
    Caller,
    /// The bot.
    Bot,
    /// Something is wrong.
    Trouble,
}

impl Paint {
    /// For standard output.
    pub(super) fn of_stdout() -> Self {
        let variable = |name| std::env::var_os(name);
        let (no_color, term) = (variable("NO_COLOR"), variable("TERM"));
        Self(io::stdout().is_terminal() && is_wanted(no_color.as_deref(), term.as_deref()))
    }

    /// `text` in the colour of `tone`.
    pub(super) fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Heading => "1",
            Tone::Caller => "36",
            Tone::Bot => "32",
            Tone::Trouble => "31",
        };
        if self.0 && !text.is_empty() {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// What the environment wants. NO_COLOR counts when it is not empty.
fn is_wanted(no_color: Option<&OsStr>, term: Option<&OsStr>) -> bool {
    no_color.is_none_or(OsStr::is_empty) && term.is_some_and(|term| term != "dumb")
}

#[cfg(test)]
impl Paint {
    /// Without colour.
    pub(super) const NONE: Self = Self(false);
    /// With it.
    pub(super) const FULL: Self = Self(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_wants_no_colour_gets_none() {
        let wanted = |no_color: Option<&str>, term: Option<&str>| {
            is_wanted(no_color.map(OsStr::new), term.map(OsStr::new))
        };
        assert!(wanted(None, Some("xterm-256color")) && wanted(Some(""), Some("xterm")));
        assert!(!wanted(Some("1"), Some("xterm")));
        assert!(!wanted(None, Some("dumb")) && !wanted(None, None));
        assert_eq!(Paint::NONE.paint(Tone::Bot, "Hello."), "Hello.");
        assert_eq!(Paint::FULL.paint(Tone::Trouble, "no"), "\x1b[31mno\x1b[0m");
    }
}
