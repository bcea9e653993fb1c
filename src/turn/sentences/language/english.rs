//! English.

use super::Language;

pub(super) static ENGLISH: Language = Language {
    goes_on: &[
        "mr", "mrs", "ms", "mx", "messrs", "dr", "prof", "st", "mt", "rev", "hon", "gen", "col",
        "capt", "lt", "sgt", "gov", "sen", "rep", "pres", "supt", "vs", "approx", "e.g", "i.e",
        "cf", "viz", "incl", "excl",
    ],
    before_number: &[
        "no", "nos", "nr", "jan", "feb", "mar", "apr", "jun", "jul", "aug", "sep", "sept", "oct",
        "nov", "dec", "mon", "tue", "tues", "wed", "thu", "thur", "thurs", "fri", "sat", "sun",
        "p", "pp", "fig", "figs", "vol", "ch", "sec", "art", "ext", "rm", "apt", "ste", "tel",
        "ca", "dept", "par", "ver", "op",
    ],
    before_number_endings: &[],
    may_end: &["a.m", "p.m", "b.c", "a.d"],
    ordinals: None,
    openers: &[
        "a", "an", "and", "any", "anything", "are", "as", "at", "both", "but", "can", "could",
        "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "here", "his",
        "how", "i", "if", "in", "is", "it", "its", "let", "my", "no", "not", "now", "on", "once",
        "one", "or", "our", "please", "she", "should", "so", "sorry", "thank", "thanks", "that",
        "the", "their", "then", "there", "these", "they", "this", "those", "to", "was", "we",
        "what", "when", "where", "which", "who", "why", "with", "would", "yes", "you", "your",
    ],
};
