//! Takes the 16 kHz weights out of the Silero model that crate `silero` carries, and
//! runs the model itself, with `rten`, over the streams of the tests.
//!
//! Run by `make silero-weights` and `make vad-oracle`; no part of the engine.

mod onnx;
mod oracle;
mod weights;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["weights", file] => weights::extract(silero::BUNDLED_MODEL, Path::new(file)),
        ["oracle", folder, file] => {
            oracle::hear(silero::BUNDLED_MODEL, Path::new(folder), Path::new(file))
        }
        _ => Err("usage: weights FILE | oracle FOLDER FILE".into()),
    }
}
