//! What a grammar needs of a dictionary: the words of a JSGF text, and how each is said.
//!
//! Pure. It does not check the grammar's syntax: the recogniser does that.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead};

/// The demo bot's grammar.
pub const DEMO_GRAMMAR: &str = include_str!("../../../assets/hotel.jsgf");

/// The words that the grammar `jsgf` can recognise.
pub(super) fn words(jsgf: &str) -> BTreeSet<String> {
    let plain = without_comments(jsgf);
    let mut words = BTreeSet::new();
    for statement in plain.split(';') {
        let statement = statement.trim();
        let declares = ["#JSGF", "grammar ", "import "];
        if declares.iter().any(|start| statement.starts_with(start)) {
            continue;
        }
        let body = statement.split_once('=').map_or("", |(_, body)| body);
        collect_words(body, &mut words);
    }
    words
}

/// Leaves out rule names, weights and tags: what is between `<>`, `//` and `{}`.
fn collect_words(body: &str, words: &mut BTreeSet<String>) {
    let mut closing = None;
    let mut word = String::new();
    for c in body.chars().chain([' ']) {
        if let Some(end) = closing {
            if c == end {
                closing = None;
            }
            continue;
        }
        if c.is_alphanumeric() || matches!(c, '\'' | '-' | '_' | '.') {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            words.insert(std::mem::take(&mut word));
        }
        closing = match c {
            '<' => Some('>'),
            '/' => Some('/'),
            '{' => Some('}'),
            _ => None,
        };
    }
}

/// `//` and `/* */` comments become a space. A weight such as `/0.5/` is none: a
/// comment begins a line or follows a space, and a weight has a digit behind its `/`.
fn without_comments(jsgf: &str) -> String {
    let mut plain = String::with_capacity(jsgf.len());
    let mut rest = jsgf;
    loop {
        let line = rest.find("//");
        let block = rest.find("/*");
        let (start, end) = match (line, block) {
            (None, None) => break,
            (Some(line), block) if block.is_none_or(|block| line < block) => {
                (line, rest[line..].find('\n').map(|at| line + at))
            }
            (_, Some(block)) => (block, rest[block..].find("*/").map(|at| block + at + 2)),
            (Some(_), None) => break,
        };
        plain.push_str(&rest[..start]);
        plain.push(' ');
        rest = end.map_or("", |end| &rest[end..]);
    }
    plain.push_str(rest);
    plain
}

/// Everyday words: one of them said alone shall not be forced into a command.
pub(super) fn decoys() -> BTreeSet<String> {
    include_str!("../../../assets/decoys.txt").split_whitespace().map(str::to_owned).collect()
}

/// A grammar whose sentences are single `words`.
pub(super) fn of_single_words(words: &BTreeSet<&str>) -> String {
    let words = words.iter().copied().collect::<Vec<_>>().join(" | ");
    format!("#JSGF V1.0;\ngrammar words;\npublic <word> = {words};\n")
}

/// The sounds that the words of `said` are made of.
pub(super) fn sounds(said: &BTreeMap<String, String>) -> BTreeSet<&str> {
    said.values().flat_map(|sounds| sounds.split_whitespace()).collect()
}

/// The name of a sound as a word of its own; no word of a dictionary is called so.
pub(super) fn sound_word(sound: &str) -> String {
    format!("{sound}_")
}

/// A grammar whose sentences are `sounds` in any order and number.
pub(super) fn of_any_sounds(sounds: &BTreeSet<&str>) -> String {
    let words: Vec<String> = sounds.iter().map(|sound| sound_word(sound)).collect();
    let words = words.join(" | ");
    format!("#JSGF V1.0;\ngrammar sounds;\npublic <sounds> = ({words})+;\n")
}

/// Those of `decoys` that can be said and that sound like no word of the grammar.
pub(super) fn distinct<'a>(
    decoys: &'a BTreeSet<String>,
    grammar_words: &BTreeSet<String>,
    said: &BTreeMap<String, String>,
) -> BTreeSet<&'a str> {
    let is_decoy = |entry: &str| !grammar_words.contains(base(entry));
    let of_grammar = said.iter().filter(|(entry, _)| !is_decoy(entry));
    let taken: BTreeSet<&String> = of_grammar.map(|(_, phones)| phones).collect();
    let like_grammar: BTreeSet<&str> = said
        .iter()
        .filter(|(entry, phones)| is_decoy(entry) && taken.contains(phones))
        .map(|(entry, _)| base(entry))
        .collect();
    let is_free =
        |word: &&str| said.contains_key(*word) && is_decoy(word) && !like_grammar.contains(*word);
    decoys.iter().map(String::as_str).filter(is_free).collect()
}

/// How each of `words` is said: entries of the dictionary, such as `read` and `read(2)`.
pub(super) fn pronunciations(
    dictionary: impl BufRead,
    words: &BTreeSet<String>,
) -> io::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for line in dictionary.split(b'\n') {
        let line = line?;
        // An entry with letters beyond ASCII may be in any encoding: it is not for us.
        let Ok(line) = str::from_utf8(&line) else { continue };
        let Some((entry, phones)) = line.split_once(char::is_whitespace) else { continue };
        if words.contains(base(entry)) {
            found.insert(entry.to_owned(), phones.trim().to_owned());
        }
    }
    Ok(found)
}

/// The word of an entry such as `read(2)`.
fn base(entry: &str) -> &str {
    entry.split_once('(').map_or(entry, |(word, _)| word)
}

/// Those of `words` that have no pronunciation.
pub(super) fn unknown<'a>(
    words: &'a BTreeSet<String>,
    pronunciations: &BTreeMap<String, String>,
) -> Vec<&'a str> {
    words.iter().filter(|word| !pronunciations.contains_key(*word)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(words: &[&str]) -> BTreeSet<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_are_told_from_rules_weights_tags_and_comments() {
        let jsgf = "#JSGF V1.0;\n// not this\ngrammar hotel;\n/* nor\n this */\n\
                    public <room> = [please] /0.5/ book a room {BOOK} | i'd like <what>;\n\
                    <what> = (one | two)*; // last";
        let expected = set(&["a", "book", "i'd", "like", "one", "please", "room", "two"]);
        assert_eq!(words(jsgf), expected);
    }

    #[test]
    fn a_word_brings_all_its_pronunciations_and_no_other_word() {
        let dictionary = "read R EH D\nread(2) R IY D\nreading R IY D IH NG\n\n\u{e9} EH\n";
        let wanted = set(&["read", "zyzzyva"]);
        let found = pronunciations(dictionary.as_bytes(), &wanted).unwrap();
        assert!(
            found
                .iter()
                .map(|(word, phones)| (word.as_str(), phones.as_str()))
                .eq([("read", "R EH D"), ("read(2)", "R IY D")])
        );
        assert_eq!(unknown(&wanted, &found), ["zyzzyva"]);
    }

    #[test]
    fn a_decoy_that_sounds_like_a_command_is_none() {
        let words = |words: &[&str]| set(words);
        let said = [
            ("no", "N OW"),
            ("know", "N OW"),
            ("two", "T UW"),
            ("tree", "T R IY"),
            ("to", "T AH"),
            ("to(2)", "T UW"),
        ];
        let said =
            said.iter().map(|(word, phones)| ((*word).to_owned(), (*phones).to_owned())).collect();
        let decoys = words(&["know", "to", "tree", "two", "unsaid"]);
        assert!(distinct(&decoys, &words(&["no", "two"]), &said).into_iter().eq(["tree"]));
    }

    #[test]
    fn the_demo_grammar_has_the_words_of_a_hotel() {
        let words = words(DEMO_GRAMMAR);
        for word in ["room", "breakfast", "agent", "cancel", "goodbye", "ten", "i'd"] {
            assert!(words.contains(word), "{word}");
        }
        assert!(!words.contains("hotel.jsgf") && !words.contains("utterance"));
    }
}
