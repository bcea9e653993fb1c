//! Speech that carries numbers: which call, which turn, which word of how many. Pure.
//!
//! Whoever sends it can tell from what comes back what became of every piece of it:
//! lost, repeated, out of order, damaged, or heard in somebody else's call. A
//! [`CodeWord`] is a breath of 32 ms and eight symbols of 40 ms, each a vowel: harmonics of
//! 125 Hz with one formant out of four in each of three bands, six bits in all. It counts
//! as speech for every detector here (bare tones do not), and survives G.711, resampling
//! between 8 and 16 kHz, and any chunking.
//!
//! [`write_word`] makes the sound, [`CodeReader`] finds words in a stream, [`Passage`]
//! judges the words of one utterance, and [`CodedText`] is what a recogniser makes of it.
//! Nothing here knows a carrier, and no word holds anything about a person.

mod passage;
mod reader;
mod text;
mod voice;
mod word;

#[cfg(test)]
mod tests;

pub use passage::{Flaw, Flaws, Passage};
pub use reader::{CodeReader, HeardWord};
pub use text::CodedText;
pub use voice::{write_lead_in, write_passage, write_word};
pub use word::{CodeWord, Kind};

/// Length of a word, the breath before it included.
pub const WORD_MS: u32 = GAP_MS + SYMBOLS as u32 * SYMBOL_MS;

/// Length of the breath before the symbols of a word, a reader's silence. Longer than a
/// period, so that it is found, and than a frame of 20 ms, so that losing one there does
/// not hide the beginning.
const GAP_MS: u32 = 32;
/// Length of a symbol: five periods.
const SYMBOL_MS: u32 = 40;
/// Symbols of a word.
const SYMBOLS: usize = 8;
/// Length of a period, one wave of the pitch.
const PERIOD_MS: u32 = 8;
/// The formants of a symbol, as multiples of the pitch: two bits choose one of each row.
const FORMANTS: [[usize; 4]; 3] = [[3, 4, 5, 6], [8, 10, 12, 14], [18, 20, 22, 24]];
