//! The sound of a call as pure code: bytes to samples, samples to utterances, and
//! sentences to a paced stream.
//!
//! Time is an argument, audio a slice. Nothing here locks, sleeps, reads a clock
//! or a file, or knows what a turn is.

pub mod backlog;
pub mod coded;
pub mod decoder;
pub mod detector;
pub mod echo;
pub mod encoder;
pub mod finder;
pub mod g711;
mod gates;
mod lead;
mod level_gate;
mod loudness;
pub mod pace;
pub mod playout;
pub mod reorder;
pub mod resampler;
pub mod ring;
pub mod segmenter;
pub mod silero;
pub mod wav;

pub use backlog::{Arrival, Backlog};
pub use decoder::Decoder;
pub use echo::Played;
pub use encoder::Encoder;
pub use finder::{FinderParts, SpeechFinder};
pub use gates::LeftOut;
pub use pace::PaceWatch;
pub use playout::{Heard, Playout, PlayoutStep};
pub use reorder::{Insertion, Ordered, ReorderWindow};
pub use resampler::Resampler;
pub use ring::{RingConsumer, RingProducer, audio_ring};
pub use segmenter::SegmenterEvent;
