//! Italian.

use super::Language;

pub(super) static ITALIAN: Language = Language {
    goes_on: &[
        "sig", "sigg", "sig.ra", "sig.na", "dott", "dott.ssa", "dr", "prof", "prof.ssa", "ing",
        "avv", "arch", "geom", "rag", "egr", "gent", "spett", "ca", "p.es", "cfr", "san",
    ],
    before_number: &[
        "n", "nr", "num", "pag", "pagg", "art", "tel", "cap", "fig", "vol", "p", "int", "gen",
        "feb", "mar", "apr", "mag", "giu", "lug", "ago", "sett", "set", "ott", "nov", "dic", "ca",
    ],
    before_number_endings: &[],
    may_end: &["a.c", "d.c"],
    ordinals: None,
    openers: &[
        "a", "al", "alle", "che", "ci", "come", "con", "da", "desidera", "di", "dove", "e", "gli",
        "grazie", "ha", "ho", "i", "il", "in", "io", "la", "le", "lei", "lo", "ma", "mi", "no",
        "noi", "o", "per", "prego", "può", "quando", "questa", "questo", "se", "si", "sono", "sì",
        "un", "una", "vuole", "è",
    ],
};
