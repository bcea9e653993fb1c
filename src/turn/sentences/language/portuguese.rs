//! Portuguese.

use super::Language;

pub(super) static PORTUGUESE: Language = Language {
    goes_on: &[
        "sr", "sra", "srs", "sras", "srta", "dr", "dra", "d", "prof", "profa", "eng", "exmo",
        "exma", "av", "aprox", "p.ex", "sto", "sta",
    ],
    before_number: &[
        "n", "nº", "num", "núm", "pág", "art", "tel", "cap", "fig", "vol", "r", "jan", "fev",
        "mar", "abr", "jun", "jul", "ago", "set", "out", "nov", "dez", "apto", "ramal", "aprox",
    ],
    before_number_endings: &[],
    may_end: &["a.c", "d.c"],
    ordinals: None,
    openers: &[
        "a", "ao", "as", "com", "como", "de", "deseja", "do", "e", "ela", "ele", "em", "essa",
        "esse", "esta", "este", "está", "eu", "há", "isso", "já", "mas", "na", "no", "nós", "não",
        "o", "obrigada", "obrigado", "onde", "os", "ou", "para", "pode", "por", "quando", "que",
        "se", "seu", "sim", "sua", "tem", "um", "uma", "você", "é",
    ],
};
