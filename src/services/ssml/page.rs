//! The markup of web pages, which flows write for a chat and nobody wants to hear: `<br>`,
//! `<b>…</b>`, `<a href="…">…</a>`. It is left out; its words stay. A name alone proves
//! nothing (`a <b and c> d`): what begins has an end somewhere in the text.

use super::{is_one_of, tag_end, tag_name};

/// Elements without an end.
const EMPTY: [&str; 4] = ["br", "hr", "img", "input"];
/// Elements within a word: `un<b>believ</b>able`.
const WITHIN_WORDS: [&str; 14] = [
    "a", "abbr", "b", "big", "code", "del", "em", "font", "i", "ins", "small", "span", "strong",
    "u",
];
/// Elements that separate words.
const BLOCKS: [&str; 22] = [
    "blockquote",
    "body",
    "button",
    "div",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "html",
    "label",
    "li",
    "ol",
    "pre",
    "section",
    "table",
    "td",
    "th",
    "tr",
    "ul",
];

/// The elements of a page that a text has.
pub(super) struct PageTags(Vec<&'static str>);

impl PageTags {
    /// Those that end somewhere in `text`.
    pub(super) fn of(text: &str) -> Self {
        let mut ended = Vec::new();
        for (at, _) in text.match_indices("</") {
            let name = tag_name(&text[at..]).unwrap_or_default();
            let known = WITHIN_WORDS.iter().chain(&BLOCKS).find(|it| it.eq_ignore_ascii_case(name));
            if let Some(&known) = known
                && !ended.contains(&known)
            {
                ended.push(known);
            }
        }
        Self(ended)
    }

    /// What stands in place of the tag that `text` begins with, and what follows; `None` if
    /// that is no markup of a page.
    pub(super) fn split<'a>(&self, text: &'a str) -> Option<(&'static str, &'a str)> {
        let name = tag_name(text)?;
        if !is_one_of(name, &EMPTY) && !is_one_of(name, &self.0) {
            return None;
        }
        // What has no end swallows the rest, as elsewhere.
        let (end, _) = tag_end(text).unwrap_or((text.len(), false));
        Some((if is_one_of(name, &WITHIN_WORDS) { "" } else { " " }, &text[end..]))
    }
}
