//! The audio path as pure code: bytes to samples, samples to utterances, and
//! sentences to a paced stream.
//!
//! Time is an argument, audio a slice. Nothing here locks, sleeps, reads a clock
//! or a file, or knows what a turn is.

mod playout;
mod ring;

pub use playout::{Heard, Playout, PlayoutStep};
pub use ring::{RingConsumer, RingProducer, audio_ring};
