//! What a word says, and its 48 bits: 36 of content, 12 to check them.

use super::{Flaw, SYMBOLS};

/// Who speaks, and for a reply how the utterance arrived that it answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A caller.
    Speech,
    /// A bot, to an utterance that arrived whole (`None`) or with a flaw.
    Reply(Option<Flaw>),
}

/// One word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeWord {
    /// Who speaks.
    pub kind: Kind,
    /// Number of the call.
    pub call: u16,
    /// Number of the turn, below [`CodeWord::TURNS`]; later turns begin anew.
    pub turn: u8,
    /// Which word of the passage, from 0.
    pub index: u8,
    /// Words of the passage, up to [`CodeWord::WORDS_MAX`].
    pub of: u8,
}

impl CodeWord {
    /// Turns before the numbers begin anew.
    pub const TURNS: u8 = 128;
    /// Most words of a passage: eleven seconds.
    pub const WORDS_MAX: u8 = 31;
    /// The call of a sentence that belongs to none.
    pub const NOBODY: u16 = u16::MAX;

    /// The symbols that carry it, six bits each.
    pub(super) fn symbols(self) -> [u8; SYMBOLS] {
        let content = self.content();
        let bits = mix(content << 12 | u64::from(check(content)));
        std::array::from_fn(|at| (bits >> (6 * (SYMBOLS - 1 - at)) & 63) as u8)
    }

    /// The word of these symbols; `None` if they do not agree with their check or say
    /// what no word says.
    pub(super) fn from_symbols(symbols: [u8; SYMBOLS]) -> Option<Self> {
        let bits = symbols.iter().fold(0_u64, |bits, symbol| bits << 6 | u64::from(symbol & 63));
        let bits = unmix(bits);
        let content = bits >> 12;
        (u64::from(check(content)) == bits & 0xfff).then(|| Self::from_content(content)).flatten()
    }

    fn content(self) -> u64 {
        let fields = [
            (self.kind.number(), 3),
            (u64::from(self.call), 16),
            (u64::from(self.turn), 7),
            (u64::from(self.index), 5),
            (u64::from(self.of), 5),
        ];
        fields.iter().fold(0, |bits, (value, width)| bits << width | value & ((1 << width) - 1))
    }

    fn from_content(content: u64) -> Option<Self> {
        let field = |shift: u32, width: u32| content >> shift & ((1 << width) - 1);
        let word = Self {
            kind: Kind::from_number(field(33, 3))?,
            call: field(17, 16) as u16,
            turn: field(10, 7) as u8,
            index: field(5, 5) as u8,
            of: field(0, 5) as u8,
        };
        (word.index < word.of).then_some(word)
    }
}

impl Kind {
    fn number(self) -> u64 {
        match self {
            Self::Speech => 0,
            Self::Reply(None) => 1,
            Self::Reply(Some(flaw)) => 2 + flaw as u64,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Speech),
            1 => Some(Self::Reply(None)),
            _ => Flaw::ALL
                .into_iter()
                .find(|flaw| 2 + *flaw as u64 == number)
                .map(Some)
                .map(Self::Reply),
        }
    }
}

/// Spreads every bit over all symbols, so that the words of two calls sound different from
/// the first symbol to the last: a piece of another call's word is no piece of this one's.
const fn mix(bits: u64) -> u64 {
    let folded = bits ^ bits >> 24;
    let product = folded.wrapping_mul(FACTOR) & WORD_BITS;
    product ^ product >> 24
}

const fn unmix(bits: u64) -> u64 {
    let folded = bits ^ bits >> 24;
    let product = folded.wrapping_mul(INVERSE) & WORD_BITS;
    product ^ product >> 24
}

const WORD_BITS: u64 = (1 << 48) - 1;
/// Odd, so that multiplying by it can be undone.
const FACTOR: u64 = 0x9e37_79b9_7f4b;
const INVERSE: u64 = {
    let mut inverse = FACTOR;
    let mut bits = 3;
    while bits < 48 {
        // Newton's step doubles the bits that are right.
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(FACTOR.wrapping_mul(inverse)));
        bits *= 2;
    }
    inverse
};

/// CRC-12 over 36 bits.
fn check(content: u64) -> u16 {
    (0..36).rev().fold(0xfff_u16, |sum, bit| {
        let carry = (sum >> 11 & 1) ^ (content >> bit & 1) as u16;
        (sum << 1 & 0xfff) ^ (carry * 0x80f)
    })
}
