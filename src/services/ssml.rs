//! Plain words out of SSML, for synthesisers that take text only.
//!
//! Pure. Flows mix text and markup: a lone `<break/>` in a plain text, text in front of
//! `<speak>`, `5 < 7`. Markup is what begins like an element of SSML; every other `<` is
//! text. Pauses, emphasis and voices are lost; an `alias` is said in place of what it
//! stands for.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

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
/// Elements that separate words: `one<break/>two` is two words, `im<w>poss</w>ible` one.
const SEPARATING: [&str; 12] = [
    "audio",
    "break",
    "desc",
    "media",
    "p",
    "par",
    "paragraph",
    "s",
    "sentence",
    "seq",
    "silence",
    "speak",
];
/// Longest name that is looked at.
const NAME_BYTES_MAX: usize = 40;
const COMMENT: (&str, &str) = ("<!--", "-->");
const CHARACTERS: (&str, &str) = ("<![CDATA[", "]]>");
const INSTRUCTION: (&str, &str) = ("<?", "?>");
const DOCUMENT_TYPE: (&str, &str) = ("<!DOCTYPE", ">");

/// `text` without its markup when there is any, otherwise as it is.
#[must_use]
pub fn plain_text(text: &str) -> String {
    with_text_escaped(text).map_or_else(|| text.to_owned(), |xml| words(&xml))
}

/// `text` as XML that a reader takes: what is no markup of SSML is escaped. `None` when it
/// holds no markup.
fn with_text_escaped(text: &str) -> Option<String> {
    let mut xml = String::with_capacity(text.len());
    let mut has_markup = false;
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        xml.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some((markup, after)) = split_markup(rest) {
            has_markup = true;
            xml.push_str(markup);
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
fn split_markup(text: &str) -> Option<(&str, &str)> {
    for (begin, end) in [COMMENT, CHARACTERS, INSTRUCTION, DOCUMENT_TYPE] {
        if let Some(inner) = text.strip_prefix(begin) {
            let length = inner.find(end).map(|at| begin.len() + at + end.len());
            return Some(length.map_or(("", ""), |length| text.split_at(length)));
        }
    }
    let name = tag_name(text)?;
    let known = ELEMENTS.iter().any(|element| element.eq_ignore_ascii_case(name));
    // A prefix is a synthesiser's own: `amazon:effect`, `mstts:express-as`.
    if !known && !name.contains(':') {
        return None;
    }
    let Some(end) = tag_end(text) else { return Some(("", "")) };
    Some(text.split_at(end))
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

/// Behind the `>` of the tag: the first one outside of quotes.
fn tag_end(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn words(xml: &str) -> String {
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut spoken = Spoken::until(xml.to_ascii_lowercase().rfind("</sub"));
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match reader.read_event() {
            Ok(Event::Start(tag)) => spoken.open(&tag, at),
            Ok(Event::Empty(tag)) => spoken.empty(&tag),
            Ok(Event::End(tag)) => spoken.close(tag.name().as_ref()),
            Ok(Event::Text(text)) => spoken.say(&text),
            Ok(Event::CData(text)) => spoken.say(&text),
            Ok(Event::GeneralRef(reference)) => spoken.say(&resolved(&reference)),
            Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
            // What cannot be read was made readable before; what is left is said as it is.
            Err(_) => {
                spoken.say(&xml[at.min(xml.len())..]);
                break;
            }
            Ok(Event::Eof) => break,
        }
    }
    spoken.text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The character that an entity stands for, or what was written.
fn resolved(reference: &BytesRef<'_>) -> String {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return character.to_string();
    }
    let name: &str = reference;
    resolve_predefined_entity(name).map_or_else(|| format!("&{name};"), str::to_owned)
}

/// What was read so far.
struct Spoken {
    text: String,
    /// A tag separates what follows from what was said.
    gap: bool,
    /// Tags within a replaced text, and the one around it.
    silent: usize,
    /// Where the last replaced text ends.
    aliases_end: usize,
}

impl Spoken {
    fn until(aliases_end: Option<usize>) -> Self {
        Self { text: String::new(), gap: false, silent: 0, aliases_end: aliases_end.unwrap_or(0) }
    }

    fn say(&mut self, words: &str) {
        if self.silent > 0 || words.is_empty() {
            return;
        }
        let closing = |first: char| matches!(first, '.' | ',' | '?' | '!' | ';' | ':');
        if std::mem::take(&mut self.gap) && !words.starts_with(closing) {
            self.text.push(' ');
        }
        self.text.push_str(words);
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: usize) {
        let name = tag.name();
        self.gap |= is_one_of(name.as_ref(), &SEPARATING);
        if self.silent > 0 {
            self.silent += usize::from(is_one_of(name.as_ref(), &["sub"]));
        } else if at < self.aliases_end && self.replace(tag) {
            self.silent = 1;
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) {
        self.gap |= is_one_of(tag.name().as_ref(), &SEPARATING);
        self.replace(tag);
    }

    fn close(&mut self, name: &str) {
        self.gap |= is_one_of(name, &SEPARATING);
        if is_one_of(name, &["sub"]) {
            self.silent = self.silent.saturating_sub(1);
        }
    }

    /// Says the alias of a `<sub>`, if it has one.
    fn replace(&mut self, tag: &BytesStart<'_>) -> bool {
        if !is_one_of(tag.name().as_ref(), &["sub"]) {
            return false;
        }
        let Ok(Some(alias)) = tag.try_get_attribute("alias") else { return false };
        let value = alias.normalized_value(XmlVersion::Implicit1_0);
        let value = value.as_deref().unwrap_or_default().trim();
        self.say(value);
        !value.is_empty()
    }
}

fn is_one_of(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// One line of `tests/cases/ssml.jsonl`.
    #[derive(Deserialize)]
    struct Case {
        text: String,
        plain: String,
    }

    #[test]
    fn the_known_texts_become_the_words_that_are_meant() {
        for line in include_str!("../../tests/cases/ssml.jsonl").lines() {
            let case: Case = serde_json::from_str(line).unwrap();
            assert_eq!(plain_text(&case.text), case.plain, "{}", case.text);
        }
    }

    #[test]
    fn text_that_is_no_ssml_stays_as_it_is() {
        for text in [
            " 3 < 4 & more ",
            "a<b>c",
            "AT&amp;T",
            "<3",
            "I <love> it",
            "x <",
            "if a <b and c> d",
            "<pre>",
        ] {
            assert_eq!(plain_text(text), text);
        }
    }

    #[test]
    fn markup_is_dropped_and_words_stay_apart() {
        let ssml = "<speak version=\"1.0\"><s>Welcome<break time=\"1s\"/>back</s>\
                    <!-- a > b --><p>It is <emphasis>cheap</emphasis>.</p></speak>";
        assert_eq!(plain_text(ssml), "Welcome back It is cheap.");
        assert_eq!(plain_text("<speak>Hello<break/>, you</speak>"), "Hello, you");
        assert_eq!(plain_text("<amazon:effect name=\"whispered\">Hush</amazon:effect>!"), "Hush!");
        assert_eq!(plain_text("<speak><audio src=\"a>b.wav\">Music</audio></speak>"), "Music");
    }

    #[test]
    fn entities_become_the_characters_they_stand_for() {
        let ssml = "<speak>bed &amp; breakfast &#8364;9 &#x41; &unknown; R&D &lt;</speak>";
        assert_eq!(plain_text(ssml), "bed & breakfast €9 A &unknown; R&D <");
    }

    #[test]
    fn an_ordinary_less_than_within_markup_is_text() {
        assert_eq!(plain_text("<speak>5 < 7 and <b>8</b></speak>"), "5 < 7 and <b>8</b>");
    }

    #[test]
    fn an_alias_without_an_end_costs_no_words() {
        assert_eq!(plain_text("<speak>See <sub alias=\"two\">2 and 3</speak>"), "See 2 and 3");
        assert_eq!(plain_text("<sub alias=\"\">2</sub>, <sub>3</sub>"), "2, 3");
        assert_eq!(
            plain_text("<sub alias=\"a &amp; b\">x <sub alias=\"y\">z</sub></sub>."),
            "a & b."
        );
    }

    #[test]
    fn a_tag_that_never_ends_swallows_the_rest_and_nothing_else() {
        assert_eq!(plain_text("<speak>hello <break time"), "hello");
        assert_eq!(plain_text("<speak>hello</break>, you</speak></speak>"), "hello, you");
    }

    proptest! {
        #[test]
        fn no_input_makes_it_longer_or_fail(
            text in "(<speak>|<sub alias=\"|<break/>|</|<!--|]]>|[<>&;#x0-9a-z !\"'=/?-]){0,30}",
        ) {
            prop_assert!(plain_text(&text).len() <= text.len());
        }

        #[test]
        fn words_between_tags_are_said(words in proptest::collection::vec("[a-z]{1,8}", 1..10)) {
            let ssml = words.join("<break/>");
            prop_assert_eq!(plain_text(&ssml), words.join(" "));
        }
    }
}
