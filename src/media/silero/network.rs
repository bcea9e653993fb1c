//! The network on one window: loudness by frequency, four layers of convolution, the
//! memory, the verdict.
//!
//! Written once for all kinds of processor ([`Lanes`]). What differs is how many tiles
//! of outputs are summed up side by side (`SIDE`): enough of them to keep the
//! processor busy, few enough for its registers. Nothing is allocated; what is
//! computed on the way lies on the stack.

use super::lanes::{LANES, Lanes, Plain, Quad, Tile};
use super::model::{GATES, Layer, Model, TAPS, UNITS};
use super::spectrum::{BINS, FRAMES, Magnitudes, Samples};

/// Tiles that the units of the memory fill.
const UNIT_TILES: usize = UNITS / LANES;

/// What the network knows of the windows before.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Memory {
    hidden: [Tile; UNIT_TILES],
    cells: [Tile; UNIT_TILES],
}

/// How probable speech is in a window, 0 to 1, to each of the memories that hear it.
///
/// What a window sounds like does not depend on what was heard before, so a second memory
/// costs a fifth of a window. `SIDE` is for layers with a sum for each of four frames or gates, `SIDE_TWO` for two
/// frames, `SIDE_ONE` for one.
#[inline(always)]
pub(super) fn speech_probability<
    V: Lanes,
    const SIDE: usize,
    const SIDE_TWO: usize,
    const SIDE_ONE: usize,
    const MEMORIES: usize,
>(
    model: &Model,
    mut memories: [&mut Memory; MEMORIES],
    samples: &Samples,
) -> [f32; MEMORIES] {
    let mut magnitudes = [Quad::default(); BINS];
    model.spectrum.magnitudes::<V>(samples, &mut magnitudes);
    let four = four_frames::<V, SIDE>(&model.encode_0, &model.bias_0, &magnitudes);
    let two = two_frames::<V, SIDE_TWO>(&model.encode_1, &model.bias_1, &four);
    let [first, second] = &two;
    let one = one_frame::<V, 4, 64, 2, 4, 4>(&model.encode_2, &model.bias_2, [first, second]);
    let encoded = one_frame::<V, 4, 64, 1, 8, SIDE_ONE>(&model.encode_3, &model.bias_3, [&one]);
    remember::<V, MEMORIES>(model, &mut memories, Heard::Window(&encoded));
    let mut verdicts = [0.0; MEMORIES];
    for (memory, probability) in memories.iter().zip(&mut verdicts) {
        *probability = verdict::<V>(model, memory);
    }
    verdicts
}

/// Remembers a window of digital silence. What it is encoded as never changes, so only a
/// fifth of a window is left to compute.
#[inline(always)]
pub(super) fn remember_silence<V: Lanes>(model: &Model, memory: &mut Memory) {
    remember::<V, 1>(model, &mut [memory], Heard::Silence);
}

/// What digital silence does to the gates of the memory, biases included.
pub(super) fn gates_in_silence(model: &Model) -> [[Tile; GATES]; UNIT_TILES] {
    let four = four_frames::<Plain, 1>(&model.encode_0, &model.bias_0, &[Quad::default(); BINS]);
    let [first, second] = two_frames::<Plain, 1>(&model.encode_1, &model.bias_1, &four);
    let two = [&first, &second];
    let one = one_frame::<Plain, 4, 64, 2, 4, 1>(&model.encode_2, &model.bias_2, two);
    let encoded = one_frame::<Plain, 4, 64, 1, 8, 1>(&model.encode_3, &model.bias_3, [&one]);
    std::array::from_fn(|tile| {
        let mut sums = model.memory_bias[tile].each_ref().map(Plain::load);
        for (input, weights) in model.memory[tile][..UNITS].iter().enumerate() {
            let x = Plain::splat(value(&encoded, input));
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = Plain::load(weights).mul_add(x, *sum);
            }
        }
        let mut gates = [Tile::default(); GATES];
        sums.into_iter().zip(&mut gates).for_each(|(sum, gate)| sum.store(gate));
        gates
    })
}

/// Every frame from itself, the one before and the one behind.
#[inline(always)]
fn four_frames<V: Lanes, const SIDE: usize>(
    layer: &Layer<8, BINS, TAPS>,
    bias: &[Tile; 8],
    frames: &Magnitudes,
) -> [[Tile; 8]; FRAMES] {
    let mut out = [[Tile::default(); 8]; FRAMES];
    for start in (0..8).step_by(SIDE) {
        let weights: [_; SIDE] = std::array::from_fn(|side| &layer[start + side]);
        let mut sums: [[V; FRAMES]; SIDE] =
            std::array::from_fn(|side| [V::load(&bias[start + side]); FRAMES]);
        for (input, frames) in frames.iter().enumerate() {
            let [a, b, c, d] = frames.map(V::splat);
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let [before, at, behind] = weights[input].each_ref().map(V::load);
                sums[0] = at.mul_add(a, sums[0]);
                sums[1] = at.mul_add(b, sums[1]);
                sums[2] = at.mul_add(c, sums[2]);
                sums[3] = at.mul_add(d, sums[3]);
                sums[0] = behind.mul_add(b, sums[0]);
                sums[1] = behind.mul_add(c, sums[1]);
                sums[2] = behind.mul_add(d, sums[2]);
                sums[1] = before.mul_add(a, sums[1]);
                sums[2] = before.mul_add(b, sums[2]);
                sums[3] = before.mul_add(c, sums[3]);
            }
        }
        for (side, sums) in sums.into_iter().enumerate() {
            for (frame, sum) in sums.into_iter().enumerate() {
                rectified(sum).store(&mut out[frame][start + side]);
            }
        }
    }
    out
}

/// The first and the third of four frames, from themselves and their neighbours.
#[inline(always)]
fn two_frames<V: Lanes, const SIDE: usize>(
    layer: &Layer<4, 128, TAPS>,
    bias: &[Tile; 4],
    frames: &[[Tile; 8]; FRAMES],
) -> [[Tile; 4]; 2] {
    let mut out = [[Tile::default(); 4]; 2];
    for start in (0..4).step_by(SIDE) {
        let weights: [_; SIDE] = std::array::from_fn(|side| &layer[start + side]);
        let mut sums: [[V; 2]; SIDE] =
            std::array::from_fn(|side| [V::load(&bias[start + side]); 2]);
        for input in 0..128 {
            let frame = |frame: usize| V::splat(value(&frames[frame], input));
            let (a, b, c, d) = (frame(0), frame(1), frame(2), frame(3));
            for (sums, weights) in sums.iter_mut().zip(weights) {
                let [before, at, behind] = weights[input].each_ref().map(V::load);
                sums[0] = at.mul_add(a, sums[0]);
                sums[1] = at.mul_add(c, sums[1]);
                sums[0] = behind.mul_add(b, sums[0]);
                sums[1] = behind.mul_add(d, sums[1]);
                sums[1] = before.mul_add(b, sums[1]);
            }
        }
        for (side, sums) in sums.into_iter().enumerate() {
            for (frame, sum) in sums.into_iter().enumerate() {
                rectified(sum).store(&mut out[frame][start + side]);
            }
        }
    }
    out
}

/// One frame from as many as there are taps.
#[inline(always)]
fn one_frame<
    V: Lanes,
    const TILES_IN: usize,
    const INPUTS: usize,
    const TAPS: usize,
    const TILES: usize,
    const SIDE: usize,
>(
    layer: &Layer<TILES, INPUTS, TAPS>,
    bias: &[Tile; TILES],
    frames: [&[Tile; TILES_IN]; TAPS],
) -> [Tile; TILES] {
    let mut out = [Tile::default(); TILES];
    for start in (0..TILES).step_by(SIDE) {
        let weights: [_; SIDE] = std::array::from_fn(|side| &layer[start + side]);
        let mut sums: [V; SIDE] = std::array::from_fn(|side| V::load(&bias[start + side]));
        for input in 0..INPUTS {
            for (tap, frame) in frames.iter().enumerate() {
                let x = V::splat(value(frame, input));
                for (sum, weights) in sums.iter_mut().zip(weights) {
                    *sum = V::load(&weights[input][tap]).mul_add(x, *sum);
                }
            }
        }
        for (side, sum) in sums.into_iter().enumerate() {
            rectified(sum).store(&mut out[start + side]);
        }
    }
    out
}

/// What the memory is told.
#[derive(Clone, Copy)]
enum Heard<'a> {
    /// A window, encoded.
    Window(&'a [Tile; UNIT_TILES]),
    /// Digital silence.
    Silence,
}

/// The long short-term memory: what is heard and what was remembered become what is
/// remembered, by each of the memories.
#[inline(always)]
fn remember<V: Lanes, const MEMORIES: usize>(
    model: &Model,
    memories: &mut [&mut Memory; MEMORIES],
    heard: Heard<'_>,
) {
    let mut remembered = [[Tile::default(); UNIT_TILES]; MEMORIES];
    for (to, memory) in remembered.iter_mut().zip(memories.iter()) {
        *to = memory.hidden;
    }
    for tile in 0..UNIT_TILES {
        // Two sums for each gate: one would wait for itself.
        let mut others = [[V::splat(0.0); GATES]; MEMORIES];
        let (on_encoded, on_remembered) = model.memory[tile].split_at(UNITS);
        // No closures here: they are compiled for any processor, and called for each number.
        let sums = match heard {
            Heard::Window(encoded) => {
                let mut sums = model.memory_bias[tile].each_ref().map(V::load);
                for (input, (ours, theirs)) in on_encoded.iter().zip(on_remembered).enumerate() {
                    let x = V::splat(value(encoded, input));
                    for gate in 0..GATES {
                        sums[gate] = V::load(&ours[gate]).mul_add(x, sums[gate]);
                    }
                    add_remembered(&mut others, &remembered, input, theirs);
                }
                sums
            }
            Heard::Silence => {
                for (input, theirs) in on_remembered.iter().enumerate() {
                    add_remembered(&mut others, &remembered, input, theirs);
                }
                model.silence[tile].each_ref().map(V::load)
            }
        };
        for (memory, others) in memories.iter_mut().zip(&others) {
            let [input, forget, cell, output] =
                std::array::from_fn(|gate| sums[gate].add(others[gate]));
            let kept = sigmoid(forget).mul(V::load(&memory.cells[tile]));
            let cell = sigmoid(input).mul_add(tanh(cell), kept);
            cell.store(&mut memory.cells[tile]);
            sigmoid(output).mul(tanh(cell)).store(&mut memory.hidden[tile]);
        }
    }
}

/// Adds what each memory holds in a unit to the sums of a tile's gates.
#[inline(always)]
fn add_remembered<V: Lanes, const MEMORIES: usize>(
    sums: &mut [[V; GATES]; MEMORIES],
    remembered: &[[Tile; UNIT_TILES]; MEMORIES],
    unit: usize,
    weights: &[Tile; GATES],
) {
    for (sums, remembered) in sums.iter_mut().zip(remembered) {
        let h = V::splat(value(remembered, unit));
        for (sum, weights) in sums.iter_mut().zip(weights) {
            *sum = V::load(weights).mul_add(h, *sum);
        }
    }
}

/// How probable speech is, given what is remembered.
#[inline(always)]
fn verdict<V: Lanes>(model: &Model, memory: &Memory) -> f32 {
    let mut sum = V::splat(0.0);
    for (hidden, weights) in memory.hidden.iter().zip(&model.decode) {
        sum = rectified(V::load(hidden)).mul_add(V::load(weights), sum);
    }
    let mut lanes = Tile::default();
    sum.store(&mut lanes);
    let logit = lanes.0.iter().sum::<f32>() + model.decode_bias;
    sigmoid(V::splat(logit)).store(&mut lanes);
    lanes.0[0]
}

#[inline(always)]
fn value<const TILES: usize>(tiles: &[Tile; TILES], at: usize) -> f32 {
    tiles[at / LANES].0[at % LANES]
}

#[inline(always)]
fn rectified<V: Lanes>(x: V) -> V {
    x.max(V::splat(0.0))
}

#[inline(always)]
fn sigmoid<V: Lanes>(x: V) -> V {
    let one = V::splat(1.0);
    one.div(one.add(exp(V::splat(0.0).sub(x))))
}

#[inline(always)]
fn tanh<V: Lanes>(x: V) -> V {
    let twice = sigmoid(x.add(x));
    twice.add(twice).sub(V::splat(1.0))
}

/// The exponential function to within 2 units in the last place (Cephes, `expf`).
#[inline(always)]
fn exp<V: Lanes>(x: V) -> V {
    /// Beyond it the result would leave the range of numbers.
    const LARGEST: f32 = 87.0;
    /// Added to a number it leaves the whole part in the lowest bits of the mantissa.
    const WHOLE: f32 = 12_582_912.0;
    /// The natural logarithm of two in two parts, the first exact in few bits.
    const LN_2: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
    const POLYNOMIAL: [f32; 6] =
        [1.987_569_1e-4, 1.398_2e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];
    let x = x.min(V::splat(LARGEST)).max(V::splat(-LARGEST));
    let shifted = x.mul_add(V::splat(std::f32::consts::LOG2_E), V::splat(WHOLE));
    let whole = shifted.sub(V::splat(WHOLE));
    let rest = whole.mul_add(V::splat(-LN_2.0), x);
    let rest = whole.mul_add(V::splat(-LN_2.1), rest);
    let mut sum = V::splat(POLYNOMIAL[0]);
    for coefficient in &POLYNOMIAL[1..] {
        sum = sum.mul_add(rest, V::splat(*coefficient));
    }
    let power = sum.mul_add(rest.mul(rest), rest).add(V::splat(1.0));
    power.mul(shifted.exp2_of_mantissa())
}
