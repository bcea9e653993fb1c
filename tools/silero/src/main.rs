//! Takes the 16 kHz weights out of the Silero model that crate `silero` carries. Run by
//! `make silero-weights`; no part of the engine.

mod onnx;
mod weights;

use std::error::Error;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["weights", file] => weights::extract(silero::BUNDLED_MODEL, Path::new(file)),
        _ => Err("usage: weights FILE".into()),
    }
}
