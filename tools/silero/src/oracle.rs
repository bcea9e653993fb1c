//! The model as it was published, run by `rten` over the streams of the tests.
//!
//! The format of what comes out is described in `tests/track/oracle.rs`.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use rten::{Model, NodeId};
use rten_tensor::NdTensor;

/// Samples of a window, and of the window before that go in front of it.
const WINDOW: usize = 512;
const CONTEXT: usize = 64;

struct Oracle {
    model: Model,
    inputs: [NodeId; 3],
    outputs: [NodeId; 2],
}

/// Hears every `.raw` file of `folder`, in order of name, and writes the probabilities
/// to `file`.
pub fn hear(model: &'static [u8], folder: &Path, file: &Path) -> Result<(), Box<dyn Error>> {
    let oracle = Oracle::new(model)?;
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, std::io::Error>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "raw"));
    paths.sort();
    let mut bytes = Vec::new();
    for path in &paths {
        let stream = fs::read(path)?;
        let heard = oracle.probabilities(&stream)?;
        bytes.extend(hash(&stream).to_le_bytes());
        bytes.extend(u16::try_from(heard.len())?.to_le_bytes());
        for probability in heard {
            let fraction = (probability * f32::from(u16::MAX)).round() as u16;
            bytes.extend(fraction.to_le_bytes());
        }
    }
    fs::write(file, &bytes)?;
    println!("{}: {} streams, {} bytes", file.display(), paths.len(), bytes.len());
    Ok(())
}

impl Oracle {
    fn new(model: &'static [u8]) -> Result<Self, Box<dyn Error>> {
        let model = Model::load_static_slice(model)?;
        let [input, state, rate] = ["input", "state", "sr"].map(|name| model.node_id(name));
        let [output, next] = ["output", "stateN"].map(|name| model.node_id(name));
        Ok(Self { inputs: [input?, state?, rate?], outputs: [output?, next?], model })
    }

    fn probabilities(&self, stream: &[u8]) -> Result<Vec<f32>, Box<dyn Error>> {
        let samples: Vec<f32> = stream
            .chunks_exact(2)
            .map(|bytes| f32::from(i16::from_le_bytes([bytes[0], bytes[1]])) / 32_768.0)
            .collect();
        let mut state = NdTensor::<f32, 3>::zeros([2, 1, 128]);
        let mut context = vec![0.0; CONTEXT];
        let mut heard = Vec::new();
        for window in samples.chunks_exact(WINDOW) {
            let input = NdTensor::from_data([1, CONTEXT + WINDOW], [&context, window].concat());
            let rate = NdTensor::<i32, 0>::from_data([], vec![16_000]);
            let [at_input, at_state, at_rate] = self.inputs;
            let inputs =
                vec![(at_input, input.into()), (at_state, state.into()), (at_rate, rate.into())];
            let [output, next] = self.model.run_n(inputs, self.outputs, None)?;
            let output: NdTensor<f32, 2> = output.try_into()?;
            heard.push(output[[0, 0]]);
            state = next.try_into()?;
            context = window[WINDOW - CONTEXT..].to_vec();
        }
        Ok(heard)
    }
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
