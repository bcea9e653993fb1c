//! Whether what a recogniser answered holds words of the caller. Pure.
//!
//! Recognisers tell of what they hear besides words, such as `[BLANK_AUDIO]`, `(music)`,
//! `♪♪` and `*coughs*`, and give out a lone `.` for silence. Asked as the caller's words,
//! a bot would answer a cough. Every transcript passes through here.

use crate::types::{CallerText, Transcript};

/// Longest remark; more in brackets is speech.
const REMARK_CHARS_MAX: usize = 60;
/// Brackets around remarks. A recogniser writes telephone numbers in round ones, so what
/// holds digits is none.
const BRACKETS: [(char, char); 10] = [
    ('[', ']'),
    ('(', ')'),
    ('{', '}'),
    ('<', '>'),
    ('*', '*'),
    ('♪', '♪'),
    ('（', '）'),
    ('［', '］'),
    ('【', '】'),
    ('〔', '〕'),
];

/// `transcript` with nothing but words in it, or no match when there are none.
pub(super) fn only(transcript: Transcript) -> Transcript {
    let Transcript::Final { text, confidence } = transcript else { return Transcript::NoMatch };
    match words(text.expose()) {
        Some(words) => Transcript::Final { text: CallerText::from(words), confidence },
        None => Transcript::NoMatch,
    }
}

/// The words of `text`, or `None`.
fn words(text: &str) -> Option<String> {
    let spoken = without_remarks(text);
    let words = spoken.split_whitespace().collect::<Vec<_>>().join(" ");
    if !words.chars().any(char::is_alphanumeric) {
        return None;
    }
    // What stood between a remark and the first word belongs to neither.
    let orphaned = |letter: char| letter.is_whitespace() || ",.;:!?…♪♫".contains(letter);
    let first = if spoken == text { &words[..] } else { words.trim_start_matches(orphaned) };
    Some(first.to_owned())
}

fn without_remarks(text: &str) -> String {
    let mut spoken = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let behind = &rest[letter.len_utf8()..];
        let within_word = spoken.ends_with(char::is_alphanumeric);
        match remark(letter, behind).filter(|_| !within_word) {
            Some(behind) => {
                spoken.push(' ');
                rest = behind;
            }
            None => {
                spoken.push(if matches!(letter, '♪' | '♫') { ' ' } else { letter });
                rest = behind;
            }
        }
    }
    spoken
}

/// What stands behind the remark that `opening` begins, if it begins one.
fn remark(opening: char, behind: &str) -> Option<&str> {
    let (_, closing) = BRACKETS.iter().find(|(begin, _)| *begin == opening)?;
    let length = behind.chars().take(REMARK_CHARS_MAX).position(|letter| letter == *closing)?;
    let end: usize = behind.chars().take(length).map(char::len_utf8).sum();
    let (inside, rest) = behind.split_at(end);
    let is_time = inside.contains("-->");
    let is_speech = inside.chars().any(char::is_numeric) && !is_time;
    (!is_speech).then_some(&rest[closing.len_utf8()..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_holds_no_words_is_no_match() {
        for text in [
            "",
            "  \n",
            ".",
            "…",
            "...",
            "♪",
            "♪♪",
            "♪ la la ♪",
            "[BLANK_AUDIO]",
            "[ Silence ]",
            "(applause)",
            "(music)",
            " (wind blowing) ",
            "*coughs*",
            "<unk>",
            "<|nospeech|>",
            "[MUSIC] (laughter)",
            "（音楽）",
            "【拍手】",
            "[laughs].",
            "- ",
            "?!",
            "👍",
            "[00:00:00.000 --> 00:00:02.000]",
        ] {
            assert_eq!(words(text), None, "{text:?}");
        }
    }

    #[test]
    fn words_stay_and_what_is_no_word_beside_them_goes() {
        for (text, expected) in [
            ("a table for four", "a table for four"),
            (" A table.\n For four.\n", "A table. For four."),
            ("[laughs] yes", "yes"),
            ("yes [laughs]", "yes"),
            ("*coughs*, two people.", "two people."),
            ("[00:00:00.000 --> 00:00:02.000]  Hello.", "Hello."),
            ("♪ Hello", "Hello"),
            ("5", "5"),
            ("ja", "ja"),
            ("はい", "はい"),
            ("...and then?", "...and then?"),
            ("call (555) 123-4567", "call (555) 123-4567"),
            ("name(s) and [unclosed", "name(s) and [unclosed"),
            ("3 * 4 is twelve", "3 * 4 is twelve"),
        ] {
            assert_eq!(words(text).as_deref(), Some(expected), "{text:?}");
        }
    }
}
