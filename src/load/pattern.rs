//! How callers talk: how long they speak and pause, and how often they interrupt. Pure:
//! the same seed gives the same conversation, and every caller has a seed of its own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// From the shortest to the longest, both possible, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SpanMs {
    min: u32,
    max: u32,
}

/// A text that is no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no span of milliseconds: use one number, or two such as 1000-3000")]
pub struct SpanError;

impl SpanMs {
    /// From `min` to `max`.
    ///
    /// # Errors
    /// A span that ends before it begins, or is longer than ten minutes.
    pub const fn new(min: u32, max: u32) -> Result<Self, SpanError> {
        if min <= max && max <= 600_000 { Ok(Self { min, max }) } else { Err(SpanError) }
    }
}

impl FromStr for SpanMs {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let (min, max) = text.split_once('-').unwrap_or((text, text));
        let ms = |text: &str| text.trim().parse().map_err(|_| SpanError);
        Self::new(ms(min)?, ms(max)?)
    }
}

impl TryFrom<String> for SpanMs {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl fmt::Display for SpanMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.min == self.max {
            write!(f, "{}", self.min)
        } else {
            write!(f, "{}-{}", self.min, self.max)
        }
    }
}

impl From<SpanMs> for String {
    fn from(span: SpanMs) -> Self {
        span.to_string()
    }
}

/// How callers talk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TalkPattern {
    /// How long an utterance is, where it is not a recording.
    pub speech_ms: SpanMs,
    /// Silence before the first utterance, and between the end of an answer and the next.
    pub pause_ms: SpanMs,
    /// Share of the answers that are interrupted, 0 to 1.
    pub interrupt: f64,
    /// How much of an answer is heard before it is interrupted.
    pub interrupt_after_ms: SpanMs,
}

impl Default for TalkPattern {
    fn default() -> Self {
        Self {
            speech_ms: SpanMs { min: 1_400, max: 3_200 },
            pause_ms: SpanMs { min: 800, max: 3_000 },
            interrupt: 0.0,
            interrupt_after_ms: SpanMs { min: 400, max: 1_500 },
        }
    }
}

/// A seeded sequence of numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of caller `number` under `seed`.
    #[must_use]
    pub const fn new(seed: u64, number: u64) -> Self {
        Self(seed ^ number.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// The next number.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A length within `span`, each as probable as any other.
    pub const fn within(&mut self, span: SpanMs) -> u32 {
        span.min + (self.roll() % (span.max - span.min + 1) as u64) as u32
    }

    /// A number from 0 to below 1.
    pub fn share(&mut self) -> f64 {
        (self.roll() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True so often.
    pub fn happens(&mut self, share: f64) -> bool {
        self.share() < share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_one_number_or_two() {
        assert_eq!("1000-3000".parse(), SpanMs::new(1_000, 3_000));
        assert_eq!("700".parse(), SpanMs::new(700, 700));
        for wrong in ["", "a", "3-1", "1-2-3", "-5", "900000"] {
            assert_eq!(wrong.parse::<SpanMs>(), Err(SpanError), "{wrong}");
        }
        assert_eq!(SpanMs { min: 1, max: 2 }.to_string(), "1-2");
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers_and_each_caller_its_own() {
        let rolls = |seed, number| {
            let mut dice = Dice::new(seed, number);
            [dice.roll(), dice.roll()]
        };
        assert_eq!(rolls(1, 2), rolls(1, 2));
        assert_ne!(rolls(1, 2), rolls(1, 3));
        assert_ne!(rolls(1, 2), rolls(2, 2));
    }

    #[test]
    fn lengths_reach_both_ends_of_their_span() {
        let (mut dice, span) = (Dice::new(1, 1), SpanMs { min: 5, max: 9 });
        let mut seen: Vec<u32> = (0..200).map(|_| dice.within(span)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, [5, 6, 7, 8, 9]);
    }
}
