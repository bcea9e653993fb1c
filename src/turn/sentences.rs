//! Cuts a reply into sentences, so that the first is heard while the next is made.
//!
//! Plain rules for text meant to be spoken; no language model. Text is never
//! changed but for surrounding white space, and none of it is lost.

/// Longest piece that is synthesised at once, in characters. A longer sentence
/// is cut at its last space before that.
pub const SENTENCE_CHARS_MAX: usize = 300;

/// Words after which a full stop does not end the sentence.
const ABBREVIATIONS: [&str; 8] = ["mr", "mrs", "ms", "dr", "st", "vs", "approx", "prof"];

/// The sentences of `text`, trimmed, none empty.
#[must_use]
pub fn sentences(text: &str) -> Sentences<'_> {
    Sentences { text, at: 0, end: 0 }
}

/// Sentences, each found when it is asked for: what nobody asks for costs nothing.
#[derive(Clone, Debug)]
pub struct Sentences<'a> {
    text: &'a str,
    /// Where what was not given yet begins.
    at: usize,
    /// Where the sentence ends that is given in pieces.
    end: usize,
}

impl<'a> Sentences<'a> {
    /// What was not given yet.
    #[must_use]
    pub fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next piece of the sentence that ends at `end`.
    fn piece(&mut self) -> &'a str {
        let sentence = &self.text[self.at..self.end];
        let piece = &sentence[..cut_position(sentence.trim_start(), sentence)];
        self.at += piece.len();
        piece.trim()
    }
}

impl<'a> Iterator for Sentences<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while self.at < self.text.len() {
            if self.at == self.end {
                self.end = self.at + sentence_end(self.rest());
            }
            let piece = self.piece();
            if piece.contains(char::is_alphanumeric) {
                return Some(piece);
            }
        }
        None
    }
}

/// Where the first sentence of `text` ends.
fn sentence_end(text: &str) -> usize {
    let marks = text.char_indices().filter(|&(_, mark)| is_sentence_mark(mark));
    let mut ends = marks.filter_map(|(at, mark)| {
        let end = end_of_closing_marks(text, at + mark.len_utf8());
        ends_sentence(&text[..at], mark, &text[end..]).then_some(end)
    });
    ends.next().unwrap_or(text.len())
}

fn is_sentence_mark(mark: char) -> bool {
    matches!(mark, '.' | '!' | '?' | '\n' | '。' | '！' | '？')
}

/// Quotes and brackets that close behind a mark belong to its sentence.
fn end_of_closing_marks(text: &str, end: usize) -> usize {
    let rest = &text[end..];
    text.len() - rest.trim_start_matches(['"', '\'', ')', ']', '”', '’']).len()
}

fn ends_sentence(before: &str, mark: char, rest: &str) -> bool {
    let breaks = rest.is_empty() || rest.starts_with(char::is_whitespace);
    match mark {
        '\n' | '。' | '！' | '？' => true,
        '.' => breaks && !goes_on_after_dot(before, rest),
        _ => breaks,
    }
}

/// Whether the full stop belongs to an abbreviation inside the sentence.
fn goes_on_after_dot(before: &str, rest: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let word = word.trim_start_matches(['(', '"', '\'']).to_lowercase();
    let initials = word.split('.').all(|part| part.chars().count() == 1);
    let next = rest.trim_start().chars().next();
    if word.contains('.') && initials {
        return next.is_some_and(char::is_lowercase);
    }
    ABBREVIATIONS.contains(&word.as_str())
        || (initials && word.chars().all(char::is_alphabetic) && next.is_some())
}

/// Where the first piece of `sentence` ends, `words` being the same without its leading
/// space: at its end, or, if it is too long, at the last space within the limit, or at
/// the limit.
fn cut_position(words: &str, sentence: &str) -> usize {
    let Some((limit, _)) = words.char_indices().nth(SENTENCE_CHARS_MAX) else {
        return sentence.len();
    };
    let cut = words[..limit].rfind(char::is_whitespace).filter(|&at| at > 0).unwrap_or(limit);
    sentence.len() - words.len() + cut
}

/// The first words of `text` that make up `part` of `whole`: what was heard of a
/// sentence that was cut off. Only words heard to their end count.
#[must_use]
pub fn words_heard(text: &str, part: usize, whole: usize) -> &str {
    if part >= whole {
        return text;
    }
    let heard_bytes = text.len() * part / whole.max(1);
    let ends_word = |&(at, letter): &(usize, char)| letter.is_whitespace() && at <= heard_bytes;
    let end = text.char_indices().rev().find(ends_word).map_or(0, |(at, _)| at);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(text: &str) -> Vec<&str> {
        sentences(text).collect()
    }

    #[test]
    fn a_reply_is_cut_behind_its_sentence_marks() {
        assert_eq!(
            cut("Breakfast is at 7.30 a.m. daily. Anything else?  Yes!"),
            ["Breakfast is at 7.30 a.m. daily.", "Anything else?", "Yes!"],
        );
        assert_eq!(
            cut("Ask Dr. Who (or Mr. J. Smith). \"Fine.\" Bye"),
            ["Ask Dr. Who (or Mr. J. Smith).", "\"Fine.\"", "Bye",]
        );
    }

    #[test]
    fn text_without_words_makes_no_sentence() {
        assert_eq!(cut("  ... \n - "), Vec::<&str>::new());
    }

    #[test]
    fn an_endless_sentence_is_cut_at_a_space() {
        let text = "word ".repeat(100);
        let pieces = cut(&text);
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= SENTENCE_CHARS_MAX));
        assert_eq!(pieces.join(" "), text.trim());
    }

    #[test]
    fn what_nobody_asks_for_is_left_as_it_is() {
        let text = "One. Two. Three.";
        let mut sentences = sentences(text);
        assert_eq!(sentences.by_ref().take(2).collect::<Vec<_>>(), ["One.", "Two."]);
        assert_eq!(sentences.rest(), " Three.");
    }

    #[test]
    fn only_whole_words_were_heard() {
        assert_eq!(words_heard("one two three", 0, 10), "");
        assert_eq!(words_heard("one two three", 6, 10), "one two");
        assert_eq!(words_heard("one two three", 10, 10), "one two three");
    }

    proptest! {
        #[test]
        fn no_word_is_lost_or_invented(text in "[a-zA-Z .!?,\n]{0,700}") {
            let letters = |text: &str| -> String {
                text.chars().filter(|c| c.is_alphanumeric()).collect()
            };
            prop_assert_eq!(letters(&cut(&text).concat()), letters(&text));
        }

        #[test]
        fn what_was_heard_is_a_prefix(text in "\\PC{0,60}", part in 0usize..100) {
            prop_assert!(text.starts_with(words_heard(&text, part, 100)));
        }
    }
}
