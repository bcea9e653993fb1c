//! A passage as text, as it goes through a dialog: three numbers, such as `4711 12 0`,
//! that say which call, which turn, and how the passage arrived.

use std::fmt;
use std::str::FromStr;

use super::{CodeReader, CodeWord, Flaw, Kind, Passage, write_passage};
use crate::types::INNER_RATE;

/// What an utterance said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodedText {
    /// Number of the call.
    pub call: u16,
    /// Number of the turn.
    pub turn: u8,
    /// The worst thing that happened to it on its way.
    pub flaw: Option<Flaw>,
}

/// The text is not of this kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no coded text: use three numbers, the call, the turn and the flaw")]
pub struct NotCoded;

impl CodedText {
    /// What one utterance at the inner rate says; `None` if no word in it can be read.
    #[must_use]
    pub fn read(samples: &[i16]) -> Option<Self> {
        let mut passage: Option<Passage> = None;
        CodeReader::new(INNER_RATE).hear(samples, &mut |heard| match &mut passage {
            None => passage = Some(Passage::new(heard, INNER_RATE)),
            Some(passage) => passage.hear(heard),
        });
        let passage = passage?;
        let CodeWord { call, turn, .. } = passage.first();
        Some(Self { call, turn, flaw: passage.flaws().worst() })
    }

    /// A bot's reply to it at the inner rate, in so many words.
    #[must_use]
    pub fn speak(self, words: u8) -> Vec<i16> {
        let Self { call, turn, flaw } = self;
        let kind = Kind::Reply(flaw);
        write_passage(CodeWord { kind, call, turn, index: 0, of: words }, INNER_RATE)
    }
}

impl fmt::Display for CodedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flaw = self.flaw.map_or(0, |flaw| flaw as u8 + 1);
        write!(f, "{} {} {flaw}", self.call, self.turn)
    }
}

impl FromStr for CodedText {
    type Err = NotCoded;

    fn from_str(text: &str) -> Result<Self, NotCoded> {
        let mut numbers = text.split_whitespace();
        let call = numbers.next().and_then(|text| text.parse().ok()).ok_or(NotCoded)?;
        let turn = numbers.next().and_then(|text| text.parse().ok()).ok_or(NotCoded)?;
        let flaw: usize = numbers.next().and_then(|text| text.parse().ok()).ok_or(NotCoded)?;
        if turn >= CodeWord::TURNS || flaw > Flaw::ALL.len() || numbers.next().is_some() {
            return Err(NotCoded);
        }
        let flaw = flaw.checked_sub(1).and_then(|place| Flaw::ALL.get(place).copied());
        Ok(Self { call, turn, flaw })
    }
}
