//! Spanish.

use super::Language;

pub(super) static SPANISH: Language = Language {
    goes_on: &[
        "sr", "sra", "sres", "sras", "srta", "dr", "dra", "dres", "d", "dña", "ud", "uds", "vd",
        "vds", "ing", "lic", "arq", "prof", "profa", "gral", "av", "avda", "p.ej", "aprox", "sto",
        "sta",
    ],
    before_number: &[
        "n", "no", "nro", "núm", "pág", "págs", "art", "tel", "tfno", "cap", "ext", "vol", "fig",
        "ene", "feb", "mar", "abr", "jun", "jul", "ago", "sept", "oct", "nov", "dic", "c", "aprox",
        "hab", "apdo",
    ],
    before_number_endings: &[],
    may_end: &["a.m", "p.m"],
    ordinals: None,
    openers: &[
        "a", "al", "con", "de", "del", "desea", "el", "ella", "en", "es", "esta", "este", "esto",
        "está", "están", "gracias", "ha", "hay", "la", "las", "le", "lo", "los", "me", "mi", "no",
        "o", "para", "pero", "por", "puede", "que", "quiere", "se", "si", "sí", "su", "sus",
        "tiene", "un", "una", "usted", "y", "ya", "yo",
    ],
};
