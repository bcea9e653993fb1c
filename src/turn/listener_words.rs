//! What a listener says to show that they listen: "mm-hm", "ja", "d'accord".
//!
//! Said while the bot speaks, it wants nothing of the bot. Said when the bot has finished,
//! it may be an answer: whether it is one of the two is the conversation's to decide.

/// Sounds that are no word of any language, in the spellings of the common recognisers.
const SOUNDS: &[&str] = &[
    "mm", "mmm", "hm", "hmm", "mhm", "mhmm", "mmhm", "mmhmm", "hmhm", "uh", "huh", "uhhuh", "um",
    "uhm", "uhum", "ah", "aha", "ahah", "aham", "eh", "oh", "ok", "okay",
];

/// By language: single words, and phrases of several.
const WORDS: &[(&str, &[&str])] = &[
    ("de", &["ja", "jaja", "jo", "genau", "gut", "stimmt", "klar", "verstehe", "ach so", "na gut"]),
    ("en", &["yeah", "yep", "yup", "right", "sure", "alright", "all right", "i see", "got it"]),
    ("es", &["sí", "si", "ajá", "aja", "ya", "vale", "claro", "bueno", "bien", "ya veo"]),
    ("fr", &["oui", "ouais", "hum", "voilà", "bien", "d'accord", "je vois", "très bien"]),
    ("it", &["sì", "si", "già", "certo", "esatto", "bene", "va bene", "ho capito"]),
    ("nl", &["ja", "jaja", "oké", "juist", "precies", "goed", "klopt", "snap ik"]),
    ("pl", &["tak", "no", "jasne", "dobrze", "rozumiem", "no tak"]),
    ("pt", &["sim", "tá", "pois", "certo", "claro", "está bem", "tudo bem"]),
];

/// Whether `text` holds nothing but a listener's words: those in `own`, or, where it is
/// empty, those of the language with the BCP 47 tag `language`.
#[must_use]
pub fn is_listeners(text: &str, language: &str, own: &[String]) -> bool {
    let text = plain(text);
    if text.is_empty() {
        return false;
    }
    if !own.is_empty() {
        let own: Vec<String> = own.iter().map(|words| plain(words)).collect();
        return is_made_of(&text, |phrase| own.iter().any(|words| words == phrase));
    }
    let language = language.split('-').next().unwrap_or_default();
    let words = WORDS.iter().find(|(tag, _)| tag.eq_ignore_ascii_case(language));
    let words = words.map_or(&[][..], |(_, words)| words);
    is_made_of(&text, |phrase| SOUNDS.contains(&phrase) || words.contains(&phrase))
}

/// Small letters, one space between words, no other signs: recognisers write "Mm-hmm." as
/// well as "mm hmm".
fn plain(text: &str) -> String {
    let kept = |sign: &char| sign.is_alphanumeric() || sign.is_whitespace() || *sign == '\'';
    let letters: String = text.replace('’', "'").to_lowercase().chars().filter(kept).collect();
    letters.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Words in the longest phrase of the tables.
const PHRASE_WORDS_MAX: usize = 3;

/// Whether `text` can be cut into phrases that all `fit`. The longest that fits comes first.
fn is_made_of(text: &str, fits: impl Fn(&str) -> bool) -> bool {
    let words: Vec<&str> = text.split(' ').collect();
    let mut at = 0;
    while at < words.len() {
        let longest = PHRASE_WORDS_MAX.min(words.len() - at);
        let fitting = (1..=longest).rev().find(|&length| fits(&words[at..at + length].join(" ")));
        let Some(length) = fitting else { return false };
        at += length;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_known_in_whatever_spelling_a_recogniser_uses() {
        for text in ["mm-hm", "Mm-hmm.", "mm hmm", "Uh-huh!", "yeah", "Yeah, okay.", "OK", "I see."]
        {
            assert!(is_listeners(text, "en-US", &[]), "{text}");
        }
        assert!(is_listeners("Ja, genau.", "de-AT", &[]));
        assert!(is_listeners("D’accord", "fr", &[]));
        assert!(is_listeners("mhm", "xx-unknown", &[]));
    }

    #[test]
    fn whoever_says_more_wants_something() {
        for text in ["yeah but", "no", "stop", "okay what about parking", "one", "see", ""] {
            assert!(!is_listeners(text, "en-US", &[]), "{text}");
        }
        assert!(!is_listeners("ja", "en-US", &[]), "of another language");
    }

    #[test]
    fn a_route_may_have_words_of_its_own_instead() {
        let own = ["Roger that".to_owned()];
        assert!(is_listeners("roger that", "en-US", &own));
        assert!(!is_listeners("yeah", "en-US", &own));
    }

    #[test]
    fn every_entry_of_the_tables_is_written_as_it_is_compared() {
        for (language, words) in WORDS {
            for entry in words.iter().chain(SOUNDS) {
                assert_eq!(plain(entry), **entry, "{language}");
                assert!(entry.split(' ').count() <= PHRASE_WORDS_MAX, "{language}: {entry}");
            }
        }
    }
}
