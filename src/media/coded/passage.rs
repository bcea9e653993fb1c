//! Judges the words of one utterance or reply: what is missing, what is too much, what
//! belongs to somebody else. It compares numbers and positions and hears nothing itself.

use super::{CodeWord, HeardWord, WORD_MS};
use crate::types::SampleRate;

/// The worst thing that happened to a passage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Flaw {
    /// Words could not be read, in their time.
    Damaged,
    /// Audio is missing.
    Lost,
    /// There is more audio than was sent: pieces of it twice, or gaps.
    Repeated,
    /// Words came in another order.
    Reordered,
    /// Words of another call were heard.
    Foreign,
}

impl Flaw {
    /// Every flaw, the least bad first.
    pub const ALL: [Self; 5] =
        [Self::Damaged, Self::Lost, Self::Repeated, Self::Reordered, Self::Foreign];

    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Lost => "lost",
            Self::Repeated => "repeated",
            Self::Reordered => "reordered",
            Self::Foreign => "foreign",
        }
    }
}

/// What happened to a passage, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flaws {
    /// Words that were not heard.
    pub missing_words: u32,
    /// Audio that is missing between words that were heard, in milliseconds.
    pub lost_ms: u32,
    /// Audio between such words that was never sent there, in milliseconds.
    pub extra_ms: u32,
    /// Words that were heard twice.
    pub repeated_words: u32,
    /// Words that came after a later one.
    pub reordered_words: u32,
    /// Words of other calls or turns.
    pub foreign_words: u32,
}

impl Flaws {
    /// The worst of them.
    #[must_use]
    pub const fn worst(self) -> Option<Flaw> {
        if self.foreign_words > 0 {
            Some(Flaw::Foreign)
        } else if self.reordered_words > 0 {
            Some(Flaw::Reordered)
        } else if self.repeated_words > 0 || self.extra_ms > 0 {
            Some(Flaw::Repeated)
        } else if self.lost_ms > 0 {
            Some(Flaw::Lost)
        } else if self.missing_words > 0 {
            Some(Flaw::Damaged)
        } else {
            None
        }
    }
}

/// How far a word may be from its place: filters and chunks move it by less, and no
/// carrier's frame is shorter than twice that.
const SHIFT_MS_MAX: u32 = 4;

/// The words of one utterance or reply.
#[derive(Clone, Copy, Debug)]
pub struct Passage {
    rate: SampleRate,
    first: CodeWord,
    /// Words heard, one bit each.
    heard: u32,
    last: HeardWord,
    flaws: Flaws,
}

impl Passage {
    /// A passage that begins with `first`, which says whose it is.
    #[must_use]
    pub const fn new(first: HeardWord, rate: SampleRate) -> Self {
        Self { rate, first: first.word, heard: 1 << first.word.index, last: first, flaws: NONE }
    }

    /// The first word: whose passage it is.
    #[must_use]
    pub const fn first(&self) -> CodeWord {
        self.first
    }

    /// Whether `word` is of this call, turn and kind.
    #[must_use]
    pub fn holds(&self, word: CodeWord) -> bool {
        let CodeWord { kind, call, turn, index: _, of } = self.first;
        (kind, call, turn, of) == (word.kind, word.call, word.turn, word.of)
    }

    /// Takes the next word of the stream.
    pub fn hear(&mut self, heard: HeardWord) {
        let index = heard.word.index;
        if !self.holds(heard.word) {
            self.flaws.foreign_words += 1;
        } else if self.heard >> index & 1 == 1 {
            self.flaws.repeated_words += 1;
        } else if index < self.last.word.index {
            self.heard |= 1 << index;
            self.flaws.reordered_words += 1;
        } else {
            self.heard |= 1 << index;
            self.compare(heard);
            self.last = heard;
        }
    }

    /// The last word was heard.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.last.word.index + 1 == self.first.of
    }

    /// Samples of the stream before the end of the last word heard.
    #[must_use]
    pub fn until(&self) -> u64 {
        let word = self.rate.samples_in_ms(WORD_MS) as u64;
        self.last.at + word
    }

    /// What happened to a passage that should have been heard to its end.
    #[must_use]
    pub fn flaws(&self) -> Flaws {
        let missing = u32::from(self.first.of).saturating_sub(self.heard.count_ones());
        Flaws { missing_words: missing, ..self.flaws }
    }

    /// What happened to a passage that was cut off: the words after the last one heard
    /// are not missed.
    #[must_use]
    pub fn flaws_if_cut(&self) -> Flaws {
        let spoken = u32::from(self.last.word.index) + 1;
        let missing = spoken.saturating_sub(self.heard.count_ones());
        Flaws { missing_words: missing, ..self.flaws }
    }

    /// Compares the time since the last word with the time it should have been.
    fn compare(&mut self, heard: HeardWord) {
        let words = u64::from(heard.word.index - self.last.word.index);
        let due = words * self.rate.samples_in_ms(WORD_MS) as u64;
        let was = heard.at.saturating_sub(self.last.at);
        let ms = self.rate.ms_of_samples(was.abs_diff(due)) as u32;
        if ms > SHIFT_MS_MAX {
            let counter =
                if was < due { &mut self.flaws.lost_ms } else { &mut self.flaws.extra_ms };
            *counter += ms;
        }
    }
}

const NONE: Flaws = Flaws {
    missing_words: 0,
    lost_ms: 0,
    extra_ms: 0,
    repeated_words: 0,
    reordered_words: 0,
    foreign_words: 0,
};
