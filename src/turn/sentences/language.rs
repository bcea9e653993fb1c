//! What a full stop means in a language: the words that are shortened with one, and the
//! numbers that are ordinals. Each language is one file of words.

mod dutch;
mod english;
mod french;
mod german;
mod italian;
mod portuguese;
mod spanish;

/// Words are in lower case, without their last full stop.
#[derive(Debug)]
pub(super) struct Language {
    /// Behind these a sentence goes on: titles, `e.g.`, `bzw.`.
    pub goes_on: &'static [&'static str],
    /// Behind these it goes on with a number, or with another of them: `No. 5`, `Fri. Jan. 3`.
    pub before_number: &'static [&'static str],
    /// Likewise words that end so: `Hauptstr. 5`.
    pub before_number_endings: &'static [&'static str],
    /// Of several letters with full stops each, those that may end a sentence: `6 p.m.`
    pub may_end: &'static [&'static str],
    /// Where `3.` may be the third.
    pub ordinals: Option<Ordinals>,
    /// Words with which a sentence begins, and no name or noun.
    pub openers: &'static [&'static str],
}

/// When a number with a full stop is an ordinal: `am 3. Mai`, and not `Zimmer 3.`
#[derive(Debug)]
pub(super) struct Ordinals {
    /// Words in front of one.
    pub after: &'static [&'static str],
    /// Words behind one.
    pub before: &'static [&'static str],
}

/// A language of which nothing is known.
static OTHER: Language = Language {
    goes_on: &["dr", "mr", "mrs", "ms", "prof", "st"],
    before_number: &["nr", "no", "tel", "p"],
    before_number_endings: &[],
    may_end: &["a.m", "p.m"],
    ordinals: None,
    openers: &[],
};

impl Language {
    /// The language of a BCP 47 tag.
    pub fn of(tag: &str) -> &'static Self {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        match primary.to_ascii_lowercase().as_str() {
            "en" => &english::ENGLISH,
            "de" => &german::GERMAN,
            "fr" => &french::FRENCH,
            "es" => &spanish::SPANISH,
            "it" => &italian::ITALIAN,
            "pt" => &portuguese::PORTUGUESE,
            "nl" => &dutch::DUTCH,
            _ => &OTHER,
        }
    }

    /// Whether a number follows this word.
    pub fn is_before_number(&self, word: &str) -> bool {
        let ends_so = |ending: &&str| word.ends_with(*ending);
        self.before_number.contains(&word) || self.before_number_endings.iter().any(ends_so)
    }
}
