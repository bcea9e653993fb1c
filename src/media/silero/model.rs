//! The weights of the network, laid out for [`super::lanes::Lanes`].
//!
//! Embedded with the program, unpacked once for the process, shared by all calls. It
//! computes nothing.

use std::sync::OnceLock;

use super::lanes::{LANES, Tile};
use super::network::gates_in_silence;
use super::spectrum::{BINS, FRAME_SAMPLES, Spectrum};

/// What `tools/silero` took out of the model; licence and origin stand beside it.
const WEIGHTS: &[u8] = include_bytes!("../../../assets/silero_vad_16k.bin");
/// First bytes of the file; the last one is the version.
const MAGIC: &[u8; 8] = b"SVAD16K\x01";

/// Channels that leave the four layers of the encoder.
pub(super) const ENCODED: [usize; 4] = [128, 64, 64, 128];
/// Units of the memory: as many hidden values, and as many cells.
pub(super) const UNITS: usize = 128;
/// Gates of a unit: input, forget, cell, output.
pub(super) const GATES: usize = 4;
/// Frames that a kernel of the encoder looks at: the one before, the one, the next.
pub(super) const TAPS: usize = 3;

/// Weights of a layer: by tile of outputs, by input, by tap.
pub(super) type Layer<const TILES: usize, const INPUTS: usize, const TAPS: usize> =
    Box<[[[Tile; TAPS]; INPUTS]; TILES]>;

/// The whole network.
pub(super) struct Model {
    pub(super) spectrum: Spectrum,
    /// Every frame from itself and its neighbours.
    pub(super) encode_0: Layer<8, BINS, TAPS>,
    pub(super) bias_0: [Tile; 8],
    /// Every other frame from itself and its neighbours.
    pub(super) encode_1: Layer<4, 128, TAPS>,
    pub(super) bias_1: [Tile; 4],
    /// The first of two frames: the one before it is always missing.
    pub(super) encode_2: Layer<4, 64, 2>,
    pub(super) bias_2: [Tile; 4],
    /// A single frame: both its neighbours are missing.
    pub(super) encode_3: Layer<8, 64, 1>,
    pub(super) bias_3: [Tile; 8],
    /// What is encoded, then what is remembered, on the gates.
    pub(super) memory: Layer<8, { 2 * UNITS }, GATES>,
    pub(super) memory_bias: [[Tile; GATES]; 8],
    /// The same with what is encoded of digital silence.
    pub(super) silence: [[Tile; GATES]; 8],
    pub(super) decode: [Tile; 8],
    pub(super) decode_bias: f32,
}

impl Model {
    /// The model of this process. Built by the first who asks: the result does not
    /// depend on who that is, so this is as pure as a constant.
    pub(super) fn shared() -> &'static Self {
        static MODEL: OnceLock<Model> = OnceLock::new();
        MODEL.get_or_init(|| Self::unpack(WEIGHTS))
    }

    /// Panics when the file is not the one that this layout was made for: it is part
    /// of the program, and every test that listens would fail.
    fn unpack(file: &[u8]) -> Self {
        let body = file.strip_prefix(MAGIC).expect("the embedded file holds weights");
        let (bytes, rest) = body.as_chunks::<4>();
        let values: Vec<f32> = bytes.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let mut tensors = Tensors { values: &values };
        let window = tensors.take(FRAME_SAMPLES);
        let encode_0 = tensors.take(ENCODED[0] * BINS * TAPS);
        let bias_0 = tensors.take(ENCODED[0]);
        let encode_1 = tensors.take(ENCODED[1] * ENCODED[0] * TAPS);
        let bias_1 = tensors.take(ENCODED[1]);
        let encode_2 = tensors.take(ENCODED[2] * ENCODED[1] * TAPS);
        let bias_2 = tensors.take(ENCODED[2]);
        let encode_3 = tensors.take(ENCODED[3] * ENCODED[2] * TAPS);
        let bias_3 = tensors.take(ENCODED[3]);
        let on_encoded = tensors.take(GATES * UNITS * ENCODED[3]);
        let on_remembered = tensors.take(GATES * UNITS * UNITS);
        let bias_encoded = tensors.take(GATES * UNITS);
        let bias_remembered = tensors.take(GATES * UNITS);
        let decode = tensors.take(UNITS);
        let decode_bias = tensors.take(1)[0];
        assert!(tensors.values.is_empty() && rest.is_empty(), "the weights end with the file");
        // Convolutions come by output, input and tap; the layers of the memory by gate,
        // unit and input.
        let encoder = |weights: &[f32], inputs: usize, output, input, tap| {
            weights[(output * inputs + input) * TAPS + tap]
        };
        let memory = |unit, input, gate| match input {
            0..UNITS => on_encoded[(gate * UNITS + unit) * UNITS + input],
            _ => on_remembered[(gate * UNITS + unit) * UNITS + input - UNITS],
        };
        let gate_bias = |gate, unit| {
            let at = gate * UNITS + unit;
            bias_encoded[at] + bias_remembered[at]
        };
        let mut model = Self {
            spectrum: Spectrum::new(window),
            encode_0: layer(|o, i, tap| encoder(encode_0, BINS, o, i, tap)),
            bias_0: tiles(|o| bias_0[o]),
            encode_1: layer(|o, i, tap| encoder(encode_1, ENCODED[0], o, i, tap)),
            bias_1: tiles(|o| bias_1[o]),
            encode_2: layer(|o, i, tap| encoder(encode_2, ENCODED[1], o, i, tap + 1)),
            bias_2: tiles(|o| bias_2[o]),
            encode_3: layer(|o, i, tap| encoder(encode_3, ENCODED[2], o, i, tap + 1)),
            bias_3: tiles(|o| bias_3[o]),
            memory: layer(memory),
            memory_bias: std::array::from_fn(|tile| {
                std::array::from_fn(|gate| lanes_of(tile, |unit| gate_bias(gate, unit)))
            }),
            silence: [[Tile::default(); GATES]; 8],
            decode: tiles(|unit| decode[unit]),
            decode_bias,
        };
        model.silence = gates_in_silence(&model);
        model
    }
}

/// The rest of the file's values.
struct Tensors<'a> {
    values: &'a [f32],
}

impl<'a> Tensors<'a> {
    fn take(&mut self, length: usize) -> &'a [f32] {
        let (tensor, rest) = self.values.split_at(length);
        self.values = rest;
        tensor
    }
}

/// A layer of the weights that `of` tells by output, input and tap.
fn layer<const TILES: usize, const INPUTS: usize, const TAPS: usize>(
    of: impl Fn(usize, usize, usize) -> f32,
) -> Layer<TILES, INPUTS, TAPS> {
    let tile_of = |tile| -> [[Tile; TAPS]; INPUTS] {
        std::array::from_fn(|input| {
            std::array::from_fn(|tap| lanes_of(tile, |output| of(output, input, tap)))
        })
    };
    let tiles: Vec<_> = (0..TILES).map(tile_of).collect();
    tiles.into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("made of as many"))
}

fn tiles<const TILES: usize>(of: impl Fn(usize) -> f32) -> [Tile; TILES] {
    std::array::from_fn(|tile| lanes_of(tile, &of))
}

fn lanes_of(tile: usize, of: impl Fn(usize) -> f32) -> Tile {
    Tile(std::array::from_fn(|lane| of(tile * LANES + lane)))
}
