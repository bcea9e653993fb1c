//! The weights as the engine embeds them: a magic word, then the tensors one after
//! another, 32-bit little-endian floats in the model's own order of dimensions.

use std::error::Error;
use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

use crate::onnx::constant;

/// First bytes of the file; the last one is the version.
const MAGIC: &[u8; 8] = b"SVAD16K\x01";
/// Samples of a frame of the spectrum.
const FRAME: usize = 256;
/// How far the model's basis may be from a windowed Fourier transform.
const BASIS_ERROR_MAX: f64 = 1e-6;

/// Every tensor but the basis, by its name in the model, with its length.
const TENSORS: [(&str, usize); 14] = [
    ("encoder.0.reparam_conv.weight", 128 * 129 * 3),
    ("encoder.0.reparam_conv.bias", 128),
    ("encoder.1.reparam_conv.weight", 64 * 128 * 3),
    ("encoder.1.reparam_conv.bias", 64),
    ("encoder.2.reparam_conv.weight", 64 * 64 * 3),
    ("encoder.2.reparam_conv.bias", 64),
    ("encoder.3.reparam_conv.weight", 128 * 64 * 3),
    ("encoder.3.reparam_conv.bias", 128),
    ("decoder.rnn.weight_ih", 512 * 128),
    ("decoder.rnn.weight_hh", 512 * 128),
    ("decoder.rnn.bias_ih", 512),
    ("decoder.rnn.bias_hh", 512),
    ("decoder.decoder.2.weight", 128),
    ("decoder.decoder.2.bias", 1),
];

/// Writes the weights of `model` into `file`.
pub fn extract(model: &[u8], file: &Path) -> Result<(), Box<dyn Error>> {
    let basis = constant(model, "stft.forward_basis_buffer").ok_or("the model has no basis")?;
    let window = window(&basis)?;
    let mut bytes = MAGIC.to_vec();
    let mut put = |values: &[f32]| bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
    put(&window);
    for (name, length) in TENSORS {
        let values = constant(model, name).ok_or_else(|| format!("the model has no {name}"))?;
        if values.len() != length {
            return Err(format!("{name} has {} values, not {length}", values.len()).into());
        }
        put(&values);
    }
    fs::write(file, &bytes)?;
    println!("{}: {} bytes", file.display(), bytes.len());
    Ok(())
}

/// The window of the basis, which is checked to be a windowed Fourier transform: the
/// engine computes that with an FFT.
fn window(basis: &[f32]) -> Result<Vec<f32>, Box<dyn Error>> {
    // The cosine of frequency 0 is 1 everywhere.
    let window = basis[..FRAME].to_vec();
    let mut error_max = 0.0_f64;
    for (row, values) in basis.chunks_exact(FRAME).enumerate() {
        let (bin, imaginary) = (row % 129, row >= 129);
        for (n, value) in values.iter().enumerate() {
            let angle = TAU * (bin * n % FRAME) as f64 / FRAME as f64;
            let wave = if imaginary { -angle.sin() } else { angle.cos() };
            error_max = error_max.max((wave * f64::from(window[n]) - f64::from(*value)).abs());
        }
    }
    println!("the basis is a windowed Fourier transform to within {error_max:e}");
    if error_max > BASIS_ERROR_MAX {
        return Err("the basis is no windowed Fourier transform".into());
    }
    Ok(window)
}
