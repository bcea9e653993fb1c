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
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    for (at, mark) in text.char_indices().filter(|&(_, mark)| is_sentence_mark(mark)) {
        let end = end_of_closing_marks(text, at + mark.len_utf8());
        if at >= start && ends_sentence(&text[start..at], mark, &text[end..]) {
            push_pieces(&text[start..end], &mut found);
            start = end;
        }
    }
    push_pieces(&text[start..], &mut found);
    found
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

fn push_pieces<'a>(sentence: &'a str, found: &mut Vec<&'a str>) {
    let mut rest = sentence.trim();
    while rest.chars().count() > SENTENCE_CHARS_MAX {
        let (piece, tail) = rest.split_at(cut_position(rest));
        found.push(piece.trim_end());
        rest = tail.trim_start();
    }
    if rest.chars().any(char::is_alphanumeric) {
        found.push(rest);
    }
}

/// Behind the last space within the limit, or at the limit.
fn cut_position(text: &str) -> usize {
    let limit = text.char_indices().nth(SENTENCE_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    text[..limit].rfind(char::is_whitespace).filter(|&at| at > 0).unwrap_or(limit)
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

    #[test]
    fn a_reply_is_cut_behind_its_sentence_marks() {
        assert_eq!(
            sentences("Breakfast is at 7.30 a.m. daily. Anything else?  Yes!"),
            ["Breakfast is at 7.30 a.m. daily.", "Anything else?", "Yes!"],
        );
        assert_eq!(
            sentences("Ask Dr. Who (or Mr. J. Smith). \"Fine.\" Bye"),
            ["Ask Dr. Who (or Mr. J. Smith).", "\"Fine.\"", "Bye",]
        );
    }

    #[test]
    fn text_without_words_makes_no_sentence() {
        assert_eq!(sentences("  ... \n - "), Vec::<&str>::new());
    }

    #[test]
    fn an_endless_sentence_is_cut_at_a_space() {
        let text = "word ".repeat(100);
        let pieces = sentences(&text);
        assert!(pieces.len() > 1);
        assert!(pieces.iter().all(|piece| piece.chars().count() <= SENTENCE_CHARS_MAX));
        assert_eq!(pieces.join(" "), text.trim());
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
            prop_assert_eq!(letters(&sentences(&text).concat()), letters(&text));
        }

        #[test]
        fn what_was_heard_is_a_prefix(text in "\\PC{0,60}", part in 0usize..100) {
            prop_assert!(text.starts_with(words_heard(&text, part, 100)));
        }
    }
}
