//! The words of a text with markup, and the markup beside them.

use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

use super::marks::Marks;
use super::{Spoken, is_one_of};

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

/// Reads XML in which every `<` begins markup.
pub(super) fn read(xml: &str) -> Spoken {
    let mut reader = Reader::from_str(xml);
    let config = reader.config_mut();
    config.check_end_names = false;
    config.allow_unmatched_ends = true;
    config.allow_dangling_amp = true;
    let mut reading = Reading::until(xml.to_ascii_lowercase().rfind("</sub"));
    loop {
        let at = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match reader.read_event() {
            Ok(Event::Start(tag)) => reading.open(&tag, at),
            Ok(Event::Empty(tag)) => reading.empty(&tag),
            Ok(Event::End(tag)) => reading.close(tag.name().as_ref()),
            Ok(Event::Text(text)) => reading.write(&text),
            Ok(Event::CData(text)) => reading.write(&text),
            Ok(Event::GeneralRef(reference)) => reading.write(&resolved(&reference)),
            Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
            // What cannot be read was made readable before; what is left is said as it is.
            Err(_) => {
                reading.say(&xml[at.min(xml.len())..]);
                return Spoken { markup: None, ..reading.end() };
            }
            Ok(Event::Eof) => return reading.end(),
        }
    }
}

/// Longest name of an entity that stands for a character.
const ENTITY_BYTES_MAX: usize = 10;

/// Whether an entity stands for a character anywhere in `text`.
pub(super) fn has_entity(text: &str) -> bool {
    text.match_indices('&').any(|(at, _)| {
        let name =
            text.as_bytes()[at + 1..].iter().take(ENTITY_BYTES_MAX).position(|&it| it == b';');
        name.is_some_and(|length| {
            character_of(&BytesRef::new(&text[at + 1..at + 1 + length])).is_some()
        })
    })
}

fn character_of(reference: &BytesRef<'_>) -> Option<String> {
    if let Ok(Some(character)) = reference.resolve_char_ref() {
        return Some(character.to_string());
    }
    match &**reference {
        // Of pages, not of XML.
        "nbsp" => Some(" ".to_owned()),
        name => resolve_predefined_entity(name).map(str::to_owned),
    }
}

/// The character that an entity stands for, or what was written.
fn resolved(reference: &BytesRef<'_>) -> String {
    character_of(reference).unwrap_or_else(|| format!("&{};", &**reference))
}

/// What was read so far.
struct Reading {
    plain: String,
    /// White space comes before what follows.
    space: bool,
    /// A tag separates what follows from what was said.
    gap: bool,
    /// Tags within a replaced text, and the one around it.
    silent: usize,
    /// Where the last replaced text ends.
    aliases_end: usize,
    marks: Marks,
}

impl Reading {
    fn until(aliases_end: Option<usize>) -> Self {
        Self {
            plain: String::new(),
            space: false,
            gap: false,
            silent: 0,
            aliases_end: aliases_end.unwrap_or(0),
            marks: Marks::default(),
        }
    }

    fn end(mut self) -> Spoken {
        self.plain.truncate(self.plain.trim_end().len());
        Spoken { markup: self.marks.end(self.plain.len()), plain: self.plain }
    }

    /// Takes text that stands there.
    fn write(&mut self, text: &str) {
        self.marks.write(text);
        self.say(text);
    }

    /// Says words, with one space where there is white space between them.
    fn say(&mut self, words: &str) {
        if self.silent > 0 || words.is_empty() {
            return;
        }
        let closing = |first: char| matches!(first, '.' | ',' | '?' | '!' | ';' | ':');
        self.space |= std::mem::take(&mut self.gap) && !words.starts_with(closing);
        for character in words.chars() {
            if character.is_whitespace() {
                self.space = true;
            } else {
                self.say_space();
                self.plain.push(character);
            }
        }
    }

    fn say_space(&mut self) {
        let is_due = std::mem::take(&mut self.space);
        if is_due && !self.plain.is_empty() && !self.plain.ends_with(' ') {
            self.plain.push(' ');
        }
    }

    fn open(&mut self, tag: &BytesStart<'_>, at: usize) {
        let name = tag.name();
        let is_sub = is_one_of(name.as_ref(), &["sub"]);
        self.gap |= is_one_of(name.as_ref(), &SEPARATING);
        if self.silent > 0 {
            self.silent += usize::from(is_sub);
            self.marks.open(tag, self.plain.len());
        } else if !is_sub {
            if Marks::stands_for_words(name.as_ref()) {
                self.say_space();
            }
            self.marks.open(tag, self.plain.len());
        } else if let Some(alias) = alias(tag).filter(|_| at < self.aliases_end) {
            self.say_space();
            self.marks.open(tag, self.plain.len());
            self.say(&alias);
            self.silent = 1;
        }
    }

    fn empty(&mut self, tag: &BytesStart<'_>) {
        let name = tag.name();
        self.gap |= is_one_of(name.as_ref(), &SEPARATING);
        let alias = alias(tag).filter(|_| is_one_of(name.as_ref(), &["sub"]));
        if alias.is_some() {
            self.say_space();
        }
        let at = self.plain.len();
        self.say(&alias.unwrap_or_default());
        self.marks.empty(tag, at, self.plain.len());
    }

    fn close(&mut self, name: &str) {
        self.gap |= is_one_of(name, &SEPARATING);
        if is_one_of(name, &["sub"]) {
            self.silent = self.silent.saturating_sub(1);
        }
        self.marks.close(name, self.plain.len());
    }
}

/// What is said in place of the text in a `<sub>`.
fn alias(tag: &BytesStart<'_>) -> Option<String> {
    let alias = tag.try_get_attribute("alias").ok()??;
    let value = alias.normalized_value(XmlVersion::Implicit1_0).ok()?;
    let value = value.trim();
    (!value.is_empty()).then(|| value.to_owned())
}
