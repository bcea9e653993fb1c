//! The sound of a call, as pure values: formats, resampling, reordering, speech
//! detection, pace, and the recordings that tests and reports are made of.
//!
//! Nothing here reads a clock, locks, waits, or touches a file or a network:
//! audio and instants come in as arguments, audio and events go out as values.

pub mod decoder;
pub mod detector;
pub mod encoder;
pub mod finder;
pub mod g711;
pub mod pace;
pub mod reorder;
pub mod resampler;
pub mod segmenter;
pub mod wav;
