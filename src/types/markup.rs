//! The markup of a text that is spoken (SSML), apart from its words: a text can be cut into
//! sentences, and each of them be a document of its own.

use serde::{Deserialize, Serialize};

/// The markup of a text. What it says in places is bytes of that text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Markup {
    /// The tag with which a document begins.
    pub root: String,
    /// In the order of the text.
    pub marks: Vec<Mark>,
}

/// Something that stands in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Behind so many bytes.
    pub at: usize,
    /// What it is.
    pub kind: MarkKind,
}

/// What stands in a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum MarkKind {
    /// An element begins that holds for the words behind it.
    Begin {
        /// How it begins.
        tag: String,
        /// How it ends.
        end_tag: String,
    },
    /// The element that began last ends.
    End,
    /// An element that cannot be cut. It says in its own way what the next bytes of the text
    /// say in words.
    Whole {
        /// All of it.
        element: String,
        /// How many bytes; none for a pause.
        bytes: usize,
    },
}

/// Appends `text` to a document. What cannot stand there is left out.
pub fn push_xml_text(document: &mut String, text: &str) {
    for character in text.chars().filter(|&character| is_xml_character(character)) {
        match character {
            '&' => document.push_str("&amp;"),
            '<' => document.push_str("&lt;"),
            '>' => document.push_str("&gt;"),
            other => document.push(other),
        }
    }
}

/// Whether XML knows the character.
#[must_use]
pub const fn is_xml_character(character: char) -> bool {
    matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
