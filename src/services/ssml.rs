//! Reads SSML: its plain words, for synthesisers that take text only, and beside them its
//! markup, for those that take more.
//!
//! Pure. Flows mix text and markup: a lone `<break/>` in a plain text, text in front of
//! `<speak>`, `5 < 7`, attributes with a quote too many. Markup is what begins like an element
//! of SSML, and what a page is marked up with ([`page`]), which is left out; every other `<` is
//! text. In plain words pauses, emphasis and voices are lost; an `alias` is said in place of
//! what it stands for.

mod marks;
mod page;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::types::Markup;

/// The elements of SSML 1.1, and those that synthesisers add without a prefix.
const ELEMENTS: [&str; 28] = [
    "audio",
    "bookmark",
    "break",
    "desc",
    "emphasis",
    "lang",
    "lexicon",
    "lookup",
    "mark",
    "media",
    "meta",
    "metadata",
    "p",
    "par",
    "paragraph",
    "phoneme",
    "prosody",
    "s",
    "say-as",
    "sentence",
    "seq",
    "speak",
    "sub",
    "token",
    "voice",
    "w",
    "express-as",
    "silence",
];
/// Longest name that is looked at.
const NAME_BYTES_MAX: usize = 40;
const COMMENT: (&str, &str) = ("<!--", "-->");
const CHARACTERS: (&str, &str) = ("<![CDATA[", "]]>");
const INSTRUCTION: (&str, &str) = ("<?", "?>");
const DOCUMENT_TYPE: (&str, &str) = ("<!DOCTYPE", ">");

/// Longest text whose markup is kept. Of longer ones the words are spoken.
const MARKED_BYTES_MAX: usize = 32 * 1024;

/// A text as it is to be spoken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Spoken {
    /// Its words.
    pub(super) plain: String,
    /// Its markup, where that says more than the words.
    pub(super) markup: Option<Markup>,
}

/// Reads `text`: without markup it is taken as it is.
pub(super) fn read(text: &str) -> Spoken {
    let Some(xml) = with_text_escaped(text) else {
        return Spoken { plain: text.to_owned(), markup: None };
    };
    let spoken = words::read(&xml);
    let is_kept = text.len() <= MARKED_BYTES_MAX;
    Spoken { markup: spoken.markup.filter(|_| is_kept), ..spoken }
}

/// `text` as XML that a reader takes: what is no markup of SSML is escaped. `None` when it
/// holds no markup.
fn with_text_escaped(text: &str) -> Option<String> {
    let mut xml = String::with_capacity(text.len());
    let mut has_markup = words::has_entity(text);
    let page = page::PageTags::of(text);
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        xml.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((space, after)) = page.split(rest) {
            has_markup = true;
            xml.push_str(space);
            rest = after;
        } else if let Some((markup, after)) = split_markup(rest) {
            has_markup = true;
            xml.push_str(&markup);
            rest = after;
        } else {
            xml.push_str("&lt;");
            rest = &rest[1..];
        }
    }
    xml.push_str(rest);
    has_markup.then_some(xml)
}

/// The markup that `text` begins with, and what follows; `None` if that is text. What has
/// no end swallows the rest.
fn split_markup(text: &str) -> Option<(Cow<'_, str>, &str)> {
    for (begin, end) in [COMMENT, CHARACTERS, INSTRUCTION, DOCUMENT_TYPE] {
        if let Some(inner) = text.strip_prefix(begin) {
            let length = inner.find(end).map(|at| begin.len() + at + end.len());
            let (markup, after) = length.map_or(("", ""), |length| text.split_at(length));
            return Some((markup.into(), after));
        }
    }
    let name = tag_name(text)?;
    let known = ELEMENTS.iter().any(|element| element.eq_ignore_ascii_case(name));
    if !known && !has_prefix(name) {
        return None;
    }
    let Some((end, is_whole)) = tag_end(text) else { return Some(("".into(), "")) };
    let (tag, after) = text.split_at(end);
    Some((if is_whole { tag.into() } else { without_attributes(tag, name).into() }, after))
}

/// The name of the tag that `text` begins with, if it looks like one.
fn tag_name(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("</").or_else(|| text.strip_prefix('<'))?;
    let part_of_name =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-' | b'_');
    let length = inner.bytes().take(NAME_BYTES_MAX).take_while(|&byte| part_of_name(byte)).count();
    let (name, after) = inner.split_at(length);
    let begins = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let ends = after.starts_with(|next: char| matches!(next, '/' | '>') || next.is_whitespace());
    (begins && (ends || after.is_empty())).then_some(name)
}

/// Whether `name` is one of a synthesiser's own: `amazon:effect`, `mstts:express-as`. What
/// ends with the colon, or goes on with no name behind it, is text: `<http://example.com>`,
/// `<Name: Smith>`.
fn has_prefix(name: &str) -> bool {
    let begins_name = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let parts = name.split_once(':');
    parts.is_some_and(|(prefix, local)| {
        begins_name(prefix) && begins_name(local) && !local.contains(':')
    })
}

/// Behind the `>` of the tag, the first one outside of quotes, and whether its quotes are in
/// order. A quote too many would make markup of the words behind the tag: as no value holds a
/// `<`, it shows, and the tag ends at the very first `>`.
fn tag_end(text: &str) -> Option<(usize, bool)> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some((at + 1, true)),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(_), b'<') => break,
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    quote?;
    text.find('>').map(|at| (at + 1, false))
}

fn without_attributes(tag: &str, name: &str) -> String {
    let is_end = tag.starts_with("</");
    let is_empty = tag.ends_with("/>");
    format!("<{}{name}{}>", if is_end { "/" } else { "" }, if is_empty { "/" } else { "" })
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}
