//! Dutch.

use super::Language;

pub(super) static DUTCH: Language = Language {
    goes_on: &[
        "dhr", "mevr", "mw", "dr", "drs", "ir", "ing", "mr", "prof", "st", "bijv", "bv", "ca",
        "resp", "incl", "excl", "evt", "d.w.z", "m.b.t", "o.a", "t.a.v", "n.a.v", "i.v.m", "m.a.w",
        "z.g", "jl", "vgl",
    ],
    before_number: &[
        "nr", "nrs", "blz", "art", "tel", "hfst", "fig", "jan", "feb", "mrt", "apr", "jun", "jul",
        "aug", "sep", "sept", "okt", "nov", "dec", "ma", "di", "wo", "do", "vr", "za", "zo", "ca",
        "max", "min",
    ],
    before_number_endings: &[],
    may_end: &["v.chr", "n.chr"],
    ordinals: None,
    openers: &[
        "als", "bedankt", "bij", "daar", "dan", "dank", "dat", "de", "deze", "die", "dit", "een",
        "en", "er", "heeft", "het", "hier", "hij", "hoe", "ik", "in", "is", "ja", "kan", "kunt",
        "maar", "met", "mijn", "nee", "nog", "of", "om", "op", "u", "uw", "van", "voor", "waar",
        "wanneer", "wat", "we", "wie", "wij", "wilt", "ze", "zij", "zijn",
    ],
};
