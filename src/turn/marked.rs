//! Cuts a text with markup into sentences, each with its markup as a document of its own.
//!
//! A sentence ends where it would end without markup, but never within an element that stands
//! for itself. An element that holds for several sentences holds for each of them.

use std::iter::Peekable;
use std::slice::Iter;

use super::sentences::{Sentences, sentences};
use crate::types::{CallerText, Mark, MarkKind, Markup, push_xml_text};

/// Longest document. Synthesisers take 5,000 bytes and more; the words of a longer one are
/// spoken without markup.
const DOCUMENT_BYTES_MAX: usize = 4_500;
const ROOT_END: &str = "</speak>";

/// A sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// Its words.
    pub text: &'a str,
    /// Words and markup, where there is any.
    pub ssml: Option<CallerText>,
}

impl<'a> Piece<'a> {
    /// One without markup.
    pub const fn plain(text: &'a str) -> Self {
        Self { text, ssml: None }
    }
}

/// The sentences of `text` in `language`.
pub(super) fn pieces<'a>(
    text: &'a str,
    markup: Option<&'a Markup>,
    language: &str,
) -> impl Iterator<Item = Piece<'a>> {
    let sentences = sentences(text, language);
    let marked = markup.map(|markup| Marked {
        text,
        markup,
        sentences: sentences.clone(),
        marks: markup.marks.iter().peekable(),
        open: Vec::new(),
        at: 0,
    });
    let plain = markup.is_none().then_some(sentences).into_iter().flatten().map(Piece::plain);
    marked.into_iter().flatten().chain(plain)
}

struct Marked<'a> {
    text: &'a str,
    markup: &'a Markup,
    sentences: Sentences<'a>,
    marks: Peekable<Iter<'a, Mark>>,
    /// Elements that began and did not end: how each begins and ends.
    open: Vec<(&'a str, &'a str)>,
    /// Where what was not given yet begins.
    at: usize,
}

impl<'a> Iterator for Marked<'a> {
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        self.sentences.next()?;
        let (from, to) = (self.at, self.end());
        self.at = to;
        let text = self.words(from, to).trim();
        let document = self.document(from, to);
        let fits = |document: &String| document.len() <= DOCUMENT_BYTES_MAX;
        Some(Piece { text, ssml: document.filter(fits).map(CallerText::from) })
    }
}

impl<'a> Marked<'a> {
    /// Where the sentence ends that was just found, or the first one behind it whose end is
    /// not within an element that stands for itself.
    fn end(&mut self) -> usize {
        loop {
            let to = self.text.len() - self.sentences.rest().len();
            if !self.is_within_element(to) {
                return to;
            }
            if self.sentences.next().is_none() {
                return self.text.len();
            }
        }
    }

    fn is_within_element(&self, place: usize) -> bool {
        let marks = &self.markup.marks;
        let before = marks.partition_point(|mark| mark.at < place);
        marks[..before].last().is_some_and(|mark| match mark.kind {
            MarkKind::Whole { bytes, .. } => place < mark.at.saturating_add(bytes),
            MarkKind::Begin { .. } | MarkKind::End => false,
        })
    }

    fn words(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// What stands between two places, as a document; `None` where that is nothing but words.
    fn document(&mut self, from: usize, to: usize) -> Option<String> {
        let mut document = self.markup.root.clone();
        self.open.iter().for_each(|(tag, _)| document.push_str(tag));
        let begin = document.len();
        let mut is_marked = !self.open.is_empty();
        let mut at = from;
        while let Some(mark) = self.next_mark(to) {
            is_marked = true;
            let place = mark.at.clamp(at, to);
            push_words(&mut document, begin, self.words(at, place));
            at = place;
            match &mark.kind {
                MarkKind::Begin { tag, end_tag } => {
                    document.push_str(tag);
                    self.open.push((tag, end_tag));
                }
                MarkKind::End => {
                    if let Some((_, end_tag)) = self.open.pop() {
                        document.push_str(end_tag);
                    }
                }
                MarkKind::Whole { element, bytes } => {
                    document.push_str(element);
                    at = place.saturating_add(*bytes).min(to);
                }
            }
        }
        push_words(&mut document, begin, self.words(at, to));
        self.open.iter().rev().for_each(|(_, end_tag)| document.push_str(end_tag));
        document.push_str(ROOT_END);
        is_marked.then_some(document)
    }

    /// The next mark of the sentence that ends at `to`. What ends there belongs to it, what
    /// begins there to the next one, if there is one.
    fn next_mark(&mut self, to: usize) -> Option<&'a Mark> {
        let is_last = to >= self.text.len();
        self.marks.next_if(|mark| {
            mark.at < to || is_last || (mark.at == to && mark.kind == MarkKind::End)
        })
    }
}

/// Appends words to a document whose own content begins at `begin`: not with white space.
fn push_words(document: &mut String, begin: usize, words: &str) {
    let words = if document.len() == begin { words.trim_start() } else { words };
    push_xml_text(document, words);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(name: &str) -> MarkKind {
        MarkKind::Begin { tag: format!("<{name}>"), end_tag: format!("</{name}>") }
    }

    fn whole(element: &str, bytes: usize) -> MarkKind {
        MarkKind::Whole { element: element.to_owned(), bytes }
    }

    /// The sentences of `text`: words, and their document.
    fn cut(
        text: &str,
        marks: impl IntoIterator<Item = (usize, MarkKind)>,
    ) -> Vec<(String, String)> {
        let marks = marks.into_iter().map(|(at, kind)| Mark { at, kind }).collect();
        let markup = Markup { root: "<speak>".to_owned(), marks };
        pieces(text, Some(&markup), "en-US")
            .map(|piece| {
                let ssml = piece.ssml.map_or_else(|| "-".to_owned(), |ssml| ssml.expose().clone());
                (piece.text.to_owned(), ssml)
            })
            .collect()
    }

    fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
        expected.map(|(text, ssml)| (text.to_owned(), ssml.to_owned())).into()
    }

    #[test]
    fn a_text_without_markup_is_cut_into_its_words() {
        let cut: Vec<Piece<'_>> = pieces("One two. Three four.", None, "en-US").collect();
        assert_eq!(cut, [Piece::plain("One two."), Piece::plain("Three four.")]);
    }

    #[test]
    fn a_sentence_that_holds_no_markup_is_words_only() {
        let told = cut("Well then. Hold on.", [(15, whole("<break/>", 0))]);
        let expected =
            pairs([("Well then.", "-"), ("Hold on.", "<speak>Hold<break/> on.</speak>")]);
        assert_eq!(told, expected);
    }

    #[test]
    fn an_element_around_several_sentences_is_around_each_of_them() {
        let told =
            cut("Well then. Hold on. Bye now.", [(0, begin("prosody")), (19, MarkKind::End)]);
        let expected = pairs([
            ("Well then.", "<speak><prosody>Well then.</prosody></speak>"),
            ("Hold on.", "<speak><prosody>Hold on.</prosody></speak>"),
            ("Bye now.", "-"),
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn a_pause_between_two_sentences_is_made_before_the_second_and_one_at_the_end_is_kept() {
        let pause = || whole("<break/>", 0);
        let told = cut("Well then. Hold on.", [(10, pause()), (19, pause())]);
        let expected =
            pairs([("Well then.", "-"), ("Hold on.", "<speak><break/> Hold on.<break/></speak>")]);
        assert_eq!(told, expected);
    }

    #[test]
    fn no_cut_is_within_an_element_that_stands_for_itself() {
        let text = "Ask Dr. Who. He knows. Bye now.";
        let told = cut(text, [(4, whole("<sub alias=\"…\">W</sub>", 18))]);
        let expected = pairs([
            ("Ask Dr. Who. He knows.", "<speak>Ask <sub alias=\"…\">W</sub></speak>"),
            ("Bye now.", "-"),
        ]);
        assert_eq!(told, expected);
    }

    #[test]
    fn words_are_escaped_and_what_xml_does_not_know_is_left_out() {
        let told = cut("5 < 7 & so\u{1} on.", [(0, whole("<break/>", 0))]);
        assert_eq!(told[0].1, "<speak><break/>5 &lt; 7 &amp; so on.</speak>");
    }

    #[test]
    fn a_document_that_no_synthesiser_takes_is_spoken_without_its_markup() {
        let long = format!("<audio src=\"{}\"/>", "x".repeat(DOCUMENT_BYTES_MAX));
        assert_eq!(cut("Hold on.", [(0, whole(&long, 0))]), pairs([("Hold on.", "-")]));
    }

    #[test]
    fn marks_beyond_a_text_that_was_shortened_cost_nothing() {
        let marks = [(0, begin("p")), (5, whole("<w>on. Bye.</w>", 9)), (20, MarkKind::End)];
        let told = cut("Hold on.", marks);
        assert_eq!(told[0].0, "Hold on.");
        assert_eq!(told[0].1, "<speak><p>Hold <w>on. Bye.</w></p></speak>");
    }
}
