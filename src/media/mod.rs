//! The audio path as pure code: bytes to samples, samples to utterances, and
//! sentences to a paced stream.
//!
//! Time is an argument, audio a slice. Nothing here locks, sleeps, reads a clock
//! or a file, or knows what a turn is.

mod decoder;
mod encoder;
mod g711;
mod playout;
mod resampler;
mod ring;


pub use decoder::{Decoder, PartialSample};
pub use encoder::Encoder;
pub use g711::{alaw_decode, alaw_encode, mulaw_decode, mulaw_encode};
pub use playout::{Heard, Playout, PlayoutStep};
pub use resampler::Resampler;
pub use ring::{RingConsumer, RingProducer, audio_ring};
