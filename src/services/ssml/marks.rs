//! Gathers the markup beside the words of a text, so that any sentence of it can be made a
//! document that is well-formed, whatever was written.
//!
//! What is kept is bounded: tags that are long, elements that are large or deep within others,
//! and those that say nothing without an attribute that they lack are left out. Their words are
//! spoken all the same.

use quick_xml::XmlVersion;
use quick_xml::escape::escape;
use quick_xml::events::BytesStart;

use super::is_one_of;
use crate::types::{Mark, MarkKind, Markup, is_xml_character, push_xml_text};

/// Longest attributes of a tag.
const ATTRIBUTES_BYTES_MAX: usize = 512;
/// Largest element that cannot be cut.
const ELEMENT_BYTES_MAX: usize = 2_048;
/// Elements within each other, at most.
const DEPTH_MAX: usize = 8;

const ROOT: &str = "speak";
/// Elements that cannot be cut, and say something.
const WORDS: [&str; 9] = ["audio", "media", "par", "phoneme", "say-as", "seq", "sub", "token", "w"];
/// Elements that hold no words.
const POINTS: [&str; 4] = ["break", "bookmark", "mark", "silence"];
/// Elements for a whole document. Sentences are documents of their own.
const LEFT_OUT: [&str; 5] = ["desc", "lexicon", "lookup", "meta", "metadata"];
/// Attributes without which a synthesiser refuses the element.
const REQUIRED: [(&str, &str); 5] = [
    ("audio", "src"),
    ("mark", "name"),
    ("phoneme", "ph"),
    ("say-as", "interpret-as"),
    ("sub", "alias"),
];

/// The markup so far.
#[derive(Debug, Default)]
pub(super) struct Marks {
    root: Option<String>,
    marks: Vec<Mark>,
    open: Vec<Open>,
    /// Elements that are too deep to be kept.
    too_deep: usize,
    whole: Option<Whole>,
}

/// An element that holds for the words in it.
#[derive(Debug)]
struct Open {
    name: String,
    is_kept: bool,
}

/// An element that cannot be cut, as far as it is there.
#[derive(Debug)]
struct Whole {
    at: usize,
    /// `None` when it is not kept.
    element: Option<String>,
    /// Its own name, and those of the elements in it that are open.
    names: Vec<String>,
}

impl Marks {
    /// Whether an element cannot be cut and says something.
    pub(super) fn stands_for_words(name: &str) -> bool {
        is_one_of(name, &WORDS)
    }

    /// An element begins behind `at` bytes of words.
    pub(super) fn open(&mut self, tag: &BytesStart<'_>, at: usize) {
        let name = element_name(tag.name().as_ref());
        if is_one_of(&name, &POINTS) {
            // Some forget that it has no end.
            return self.empty(tag, at, at);
        }
        let begin = tag_of(&name, tag, ">");
        if let Some(whole) = &mut self.whole {
            whole.open(name, begin);
        } else if name == ROOT {
            self.root = self.root.take().or(begin);
        } else if is_one_of(&name, &WORDS) {
            self.whole = Some(Whole { at, element: begin, names: vec![name] });
        } else if self.open.len() == DEPTH_MAX {
            self.too_deep += 1;
        } else {
            let begin = begin.filter(|_| !is_one_of(&name, &LEFT_OUT));
            let is_kept = begin.is_some();
            if let Some(tag) = begin {
                self.mark(at, MarkKind::Begin { tag, end_tag: format!("</{name}>") });
            }
            self.open.push(Open { name, is_kept });
        }
    }

    /// An element without content says what stands from `at` to `end`.
    pub(super) fn empty(&mut self, tag: &BytesStart<'_>, at: usize, end: usize) {
        let name = element_name(tag.name().as_ref());
        let element = tag_of(&name, tag, "/>");
        if let Some(whole) = &mut self.whole {
            return whole.push(element);
        }
        let is_said = is_one_of(&name, &WORDS) || is_one_of(&name, &POINTS) || name.contains(':');
        if let Some(element) = element.filter(|_| is_said) {
            self.mark(at, MarkKind::Whole { element, bytes: end - at });
        }
    }

    /// Text stands there.
    pub(super) fn write(&mut self, text: &str) {
        if let Some(whole) = &mut self.whole {
            let mut written = String::new();
            push_xml_text(&mut written, text);
            whole.push(Some(written));
        }
    }

    /// An element ends behind `at` bytes of words, and with it all that began in it.
    pub(super) fn close(&mut self, name: &str, at: usize) {
        let name = element_name(name);
        if let Some(whole) = &mut self.whole {
            if whole.names.contains(&name) {
                if whole.close(&name) {
                    self.end_whole(at);
                }
                return;
            }
            if name != ROOT && !self.open.iter().any(|open| open.name == name) {
                return;
            }
            whole.close_from(0);
            self.end_whole(at);
        }
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else if let Some(from) = self.open.iter().rposition(|open| open.name == name) {
            let ended = self.open.split_off(from);
            ended.iter().filter(|open| open.is_kept).for_each(|_| self.mark(at, MarkKind::End));
        }
    }

    /// All of the markup of a text of so many bytes; `None` where there is none that says
    /// more than the words.
    pub(super) fn end(mut self, length: usize) -> Option<Markup> {
        for mark in &mut self.marks {
            mark.at = mark.at.min(length);
            if let MarkKind::Whole { bytes, .. } = &mut mark.kind {
                *bytes = (*bytes).min(length - mark.at);
            }
        }
        let root = self.root.unwrap_or_else(|| format!("<{ROOT}>"));
        (!self.marks.is_empty()).then_some(Markup { root, marks: self.marks })
    }

    fn end_whole(&mut self, end: usize) {
        if let Some(Whole { at, element: Some(element), .. }) = self.whole.take() {
            self.mark(at, MarkKind::Whole { element, bytes: end - at });
        }
    }

    fn mark(&mut self, at: usize, kind: MarkKind) {
        self.marks.push(Mark { at, kind });
    }
}

impl Whole {
    fn open(&mut self, name: String, begin: Option<String>) {
        if self.names.len() > DEPTH_MAX {
            self.element = None;
        } else {
            self.names.push(name);
            self.push(begin);
        }
    }

    /// One of its elements ends, or itself: then it is complete.
    fn close(&mut self, name: &str) -> bool {
        if let Some(from) = self.names.iter().rposition(|open| open == name) {
            self.close_from(from);
        }
        self.names.is_empty()
    }

    fn close_from(&mut self, from: usize) {
        let ended = self.names.split_off(from.min(self.names.len()));
        ended.iter().rev().for_each(|name| self.push(Some(format!("</{name}>"))));
    }

    /// One part that is not kept leaves out all of it.
    fn push(&mut self, part: Option<String>) {
        let longer = self.element.take().zip(part).map(|(element, part)| element + &part);
        self.element = longer.filter(|element| element.len() <= ELEMENT_BYTES_MAX);
    }
}

/// The name by which an element is known: XML tells upper from lower case.
fn element_name(written: &str) -> String {
    if written.contains(':') { written.to_owned() } else { written.to_ascii_lowercase() }
}

/// A tag again, with the attributes that can be read. `None` when it is not kept.
fn tag_of(name: &str, tag: &BytesStart<'_>, end: &str) -> Option<String> {
    if tag.attributes_raw().len() > ATTRIBUTES_BYTES_MAX || !is_xml_name(name) {
        return None;
    }
    let mut text = format!("<{name}");
    let mut keys = Vec::new();
    for attribute in tag.attributes().flatten() {
        let key = attribute.key.0;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0);
        let Some(value) = value.ok().filter(|_| is_xml_name(key)) else { continue };
        let value: String = value.chars().filter(|&it| is_xml_character(it)).collect();
        for part in [" ", key, "=\"", &escape(value.as_str()), "\""] {
            text.push_str(part);
        }
        keys.push(key);
    }
    let lacks = |(element, key): &(&str, &str)| *element == name && !keys.contains(key);
    (!REQUIRED.iter().any(lacks)).then(|| text + end)
}

/// Whether it is a name, with one prefix at most.
fn is_xml_name(name: &str) -> bool {
    let begins = |part: &str| part.starts_with(|it: char| it.is_ascii_alphabetic() || it == '_');
    let goes_on = |it: char| it.is_ascii_alphanumeric() || matches!(it, '-' | '_' | '.' | ':');
    name.chars().all(goes_on) && name.split(':').all(begins) && name.matches(':').count() < 2
}
