//! Cuts a reply into sentences, so that the first is heard while the next is made.
//!
//! Rules for text meant to be spoken, and a table of words for each language; no language
//! model. Where it is not clear whether a sentence ends, it goes on: two sentences in one
//! piece cost a little time, half of one sounds wrong. Text is never changed but for
//! surrounding white space, and none of it is lost.

mod language;
#[cfg(test)]
mod tests;

use self::language::Language;

/// Longest piece that is synthesised at once, in characters. A longer sentence
/// is cut behind a clause, or at a space, before that.
pub const SENTENCE_CHARS_MAX: usize = 300;
/// Shortest rest of a sentence that is cut, in characters.
const REST_CHARS_MIN: usize = 60;
/// So many characters are a piece of their own, whatever they are.
const PIECE_CHARS_MIN: usize = 65;
/// Letters without which a piece is too short to be spoken by itself.
const LETTERS_MIN: usize = 2;
/// Digits of an ordinal at most.
const ORDINAL_DIGITS_MAX: usize = 3;

/// The sentences of `text` in `language` (a BCP 47 tag), trimmed, none empty.
#[must_use]
pub fn sentences<'a>(text: &'a str, language: &str) -> Sentences<'a> {
    Sentences { text, language: Language::of(language), tail: Tail::of(text), at: 0, end: 0 }
}

/// All [`sentences`] of a `text` that is known to be short.
#[must_use]
pub fn all_sentences<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    sentences(text, language).collect()
}

/// Sentences, each found when it is asked for: what nobody asks for costs nothing.
#[derive(Clone, Debug)]
pub struct Sentences<'a> {
    text: &'a str,
    language: &'static Language,
    tail: Tail,
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
        let piece = &sentence[..cut_position(sentence)];
        self.at += piece.len();
        piece.trim()
    }
}

impl<'a> Iterator for Sentences<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        while self.at < self.text.len() {
            if self.at == self.end {
                self.end = self.sentence_end();
            }
            let piece = self.piece();
            if piece.contains(char::is_alphanumeric) {
                return Some(piece);
            }
        }
        None
    }
}

// === Where a sentence ends ===

impl Sentences<'_> {
    /// Where the first sentence of the rest ends that can be spoken by itself.
    fn sentence_end(&self) -> usize {
        let text = self.rest();
        let mut letters = 0;
        for (at, mark) in text.char_indices() {
            letters += letters_of(mark);
            if letters < LETTERS_MIN || !is_sentence_mark(mark) {
                continue;
            }
            let end = end_of_closing_marks(text, at + mark.len_utf8());
            let rest = &text[end..];
            if ends_sentence(&text[..at], mark, rest, self.language)
                && self.tail.can_be_spoken(self.at + end)
            {
                return self.at + end;
            }
        }
        self.text.len()
    }
}

/// The end of a text, where what is left is too short to be a piece of its own. Found once:
/// to look for it behind each mark took the square of a text that was all ends of lines.
#[derive(Clone, Copy, Debug)]
struct Tail {
    /// From where on that is so, in bytes.
    from: usize,
    /// From where on there is nothing but white space.
    blank_from: usize,
}

impl Tail {
    fn of(text: &str) -> Self {
        let said = text.trim_end();
        let (mut letters, mut chars, mut from) = (0, 0, 0);
        for (at, character) in said.char_indices().rev() {
            letters += letters_of(character);
            chars += usize::from(!character.is_whitespace());
            if letters >= LETTERS_MIN || chars >= PIECE_CHARS_MIN {
                from = at + 1;
                break;
            }
        }
        Self { from, blank_from: said.len() }
    }

    /// Whether what is left from there on is nothing, or enough to be a piece of its own.
    const fn can_be_spoken(self, at: usize) -> bool {
        at < self.from || at >= self.blank_from
    }
}

/// What a character adds to a piece: beyond the alphabets one letter is a syllable or more.
fn letters_of(character: char) -> usize {
    match character {
        '\u{900}'.. if character.is_alphabetic() => LETTERS_MIN,
        _ => usize::from(character.is_alphabetic()),
    }
}

fn is_sentence_mark(mark: char) -> bool {
    matches!(mark, '.' | '!' | '?' | '…' | '؟') || always_ends(mark)
}

/// Marks that mean nothing else and need no space behind them: full stops of the scripts
/// of Asia and Africa, and the end of a line.
const fn always_ends(mark: char) -> bool {
    matches!(
        mark,
        '\n' | '。'
            | '！'
            | '？'
            | '｡'
            | '।'
            | '॥'
            | '۔'
            | '։'
            | '።'
            | '፧'
            | '။'
            | '។'
            | '།'
    )
}

/// Quotes and brackets that close behind a mark belong to its sentence.
fn end_of_closing_marks(text: &str, end: usize) -> usize {
    const CLOSING: [char; 14] =
        ['"', '\'', ')', ']', '”', '’', '“', '»', '›', '」', '』', '）', '】', '》'];
    let rest = &text[end..];
    text.len() - rest.trim_start_matches(CLOSING).len()
}

fn ends_sentence(before: &str, mark: char, rest: &str, language: &Language) -> bool {
    let breaks = rest.is_empty() || rest.starts_with(char::is_whitespace);
    match mark {
        _ if always_ends(mark) => true,
        '.' | '…' => breaks && !goes_on_after_dot(before, rest, language),
        _ => breaks,
    }
}

/// Whether the full stop stands within a sentence.
fn goes_on_after_dot(before: &str, rest: &str, language: &Language) -> bool {
    let Some(next) = rest.split_whitespace().next().map(bare) else { return false };
    let Some(first) = next.chars().next() else { return false };
    if first.is_lowercase() {
        return true;
    }
    let word = before.rsplit(char::is_whitespace).next().unwrap_or_default();
    let earlier = &before[..before.len() - word.len()];
    let word = bare(word).to_lowercase();
    if word.is_empty() {
        return false;
    }
    let next = next.trim_end_matches(|mark: char| !mark.is_alphanumeric()).to_lowercase();
    if word.bytes().all(|digit| digit.is_ascii_digit()) {
        return is_ordinal(earlier, &word, &next, language);
    }
    if language.is_before_number(&word) && (first.is_numeric() || language.is_before_number(&next))
        || language.goes_on.contains(&word.as_str())
    {
        return true;
    }
    let initials = word.split('.').all(|part| part.chars().count() == 1);
    initials
        && word.chars().any(char::is_alphabetic)
        && !language.may_end.contains(&word.as_str())
        && !language.openers.contains(&next.as_str())
}

/// Whether `number` with its full stop counts something that follows.
fn is_ordinal(earlier: &str, number: &str, next: &str, language: &Language) -> bool {
    let Some(ordinals) = &language.ordinals else { return false };
    if number.len() > ORDINAL_DIGITS_MAX || language.openers.contains(&next) {
        return false;
    }
    let earlier = earlier.split_whitespace().next_back().unwrap_or_default().to_lowercase();
    ordinals.before.contains(&next) || ordinals.after.contains(&bare(&earlier))
}

/// `word` without the quotes and brackets in front of it.
fn bare(word: &str) -> &str {
    word.trim_start_matches(['(', '[', '"', '\'', '„', '“', '«', '‹', '»', '¿', '¡'])
}

// === Where a long sentence is cut ===

/// Where the first piece of `sentence` ends: at its end, or, if it is too long, behind the
/// last clause within the limit, else at the last space, else at the limit.
fn cut_position(sentence: &str) -> usize {
    let words = sentence.trim_start();
    let lead = sentence.len() - words.len();
    if words.char_indices().nth(SENTENCE_CHARS_MAX).is_none() {
        return sentence.len();
    }
    // What is left is long enough to be a piece of its own.
    let chars = words.chars().take(SENTENCE_CHARS_MAX + REST_CHARS_MIN).count();
    let limit = words.char_indices().nth(chars - REST_CHARS_MIN).map_or(words.len(), |(at, _)| at);
    let piece = &words[..limit];
    let clause = piece.char_indices().rev().find_map(|(at, mark)| {
        let end = at + mark.len_utf8();
        let is_clause = matches!(mark, '、' | '，' | '；' | '：')
            || matches!(mark, ',' | ';' | ':' | '–' | '—')
                && words[end..].starts_with(char::is_whitespace);
        is_clause.then_some(end)
    });
    let space = || piece.rfind(char::is_whitespace).filter(|&at| at > 0);
    lead + clause.filter(|&at| at > limit / 3).or_else(space).unwrap_or(limit)
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
