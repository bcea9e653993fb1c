//! How loud each frequency is in the four frames of a window.
//!
//! The model has this as a convolution with 258 rows; they are exactly a Fourier
//! transform behind a window (checked where the weights are extracted), so it is one
//! here, sixteen numbers at a time.
//!
//! The 256 real samples of a frame count as 128 complex numbers. A first step of four
//! turns their transform into four of 32 numbers, which run side by side with those of
//! the other frames: 4 × 4 lanes, and every butterfly is the same in all of them. A
//! last step takes the two halves of each complex number apart again.

use std::f64::consts::TAU;

use super::lanes::{LANES, Lanes, Quad, Tile};

/// Samples of a frame.
pub(super) const FRAME_SAMPLES: usize = 256;
/// From one frame to the next.
const STEP_SAMPLES: usize = 128;
/// Frames of a window.
pub(super) const FRAMES: usize = 4;
/// Samples that the frames of a window cover.
pub(super) const COVERED_SAMPLES: usize = FRAME_SAMPLES + (FRAMES - 1) * STEP_SAMPLES;
/// Frequencies from 0 to half the rate.
pub(super) const BINS: usize = FRAME_SAMPLES / 2 + 1;

/// Complex numbers of a frame.
const POINTS: usize = FRAME_SAMPLES / 2;
/// Complex numbers of a part of a frame.
const PART: usize = POINTS / 4;
/// Points of the spectrum in a tile.
const IN_TILE: usize = LANES / FRAMES;
/// Samples are fractions of this in the model.
const FULL_SCALE: f64 = 32_768.0;

/// Loudness by frequency and frame.
pub(super) type Magnitudes = [Quad; BINS];

/// The samples of a window, those at even and those at odd places.
pub(super) struct Samples {
    pub(super) even: [Quad; COVERED_SAMPLES / 8],
    pub(super) odd: [Quad; COVERED_SAMPLES / 8],
}

/// The tables of the transform.
pub(super) struct Spectrum {
    /// The window on the even and on the odd samples, every number once for each
    /// frame. It also brings the samples to the scale of the model.
    window: [[Tile; POINTS / IN_TILE]; 2],
    /// What the four parts of a frame are turned by; the first is not.
    part_turns: [[Turn; 3]; PART / IN_TILE],
    /// What the butterflies of a part are turned by.
    turns: [(f32, f32); PART / 2],
    /// What takes the even samples apart from the odd ones.
    split_turns: [Turn; POINTS / IN_TILE],
}

/// Complex numbers of length one.
type Turn = (Tile, Tile);

impl Spectrum {
    pub(super) fn new(window: &[f32]) -> Self {
        // The last step takes halves of sums.
        let scale = 0.5 / FULL_SCALE;
        let window_of = |odd: usize| {
            std::array::from_fn(|tile| by_point(tile, |n| scale * f64::from(window[2 * n + odd])))
        };
        Self {
            window: [window_of(0), window_of(1)],
            part_turns: std::array::from_fn(|tile| {
                std::array::from_fn(|part| turn(tile, (part + 1) as f64 / POINTS as f64))
            }),
            turns: std::array::from_fn(|n| {
                let angle = TAU * n as f64 / PART as f64;
                (angle.cos() as f32, -angle.sin() as f32)
            }),
            split_turns: std::array::from_fn(|tile| turn(tile, 1.0 / FRAME_SAMPLES as f64)),
        }
    }

    /// Computes the loudness of every frequency in every frame.
    #[inline(always)]
    pub(super) fn magnitudes<V: Lanes>(&self, samples: &Samples, out: &mut Magnitudes) {
        let mut parts = [[Tile::default(); PART]; 2];
        self.split_into_parts::<V>(samples, &mut parts);
        self.transform_parts::<V>(&mut parts);
        let mut points = [[Quad::default(); POINTS + 1]; 2];
        last_stage::<V>(&parts, &mut points);
        self.take_apart::<V>(&points, out);
    }

    /// Windows the frames, and makes of each of them its four parts.
    #[inline(always)]
    fn split_into_parts<V: Lanes>(&self, samples: &Samples, parts: &mut [[Tile; PART]; 2]) {
        for tile in 0..PART / IN_TILE {
            let [a, b, c, d] = [0, 1, 2, 3].map(|quarter| tile + quarter * (PART / IN_TILE));
            let (a, b) = (self.windowed::<V>(samples, a), self.windowed::<V>(samples, b));
            let (c, d) = (self.windowed::<V>(samples, c), self.windowed::<V>(samples, d));
            let (sum, difference) = (a.add(c), a.sub(c));
            let (other_sum, other_difference) = (b.add(d), b.sub(d));
            let [first, second, third] = &self.part_turns[tile];
            let split = [
                sum.add(other_sum),
                difference.sub_quarter_turn(other_difference).mul(Complex::load(first)),
                sum.sub(other_sum).mul(Complex::load(second)),
                difference.add_quarter_turn(other_difference).mul(Complex::load(third)),
            ];
            for (part, values) in split.into_iter().enumerate() {
                store_part(values.0, part, tile, &mut parts[0]);
                store_part(values.1, part, tile, &mut parts[1]);
            }
        }
    }

    /// Four points of all frames behind the window.
    #[inline(always)]
    fn windowed<V: Lanes>(&self, samples: &Samples, tile: usize) -> Complex<V> {
        Complex(
            by_frame::<V>(&samples.even, tile).mul(V::load(&self.window[0][tile])),
            by_frame::<V>(&samples.odd, tile).mul(V::load(&self.window[1][tile])),
        )
    }

    /// All but the last stage of sixteen transforms of 32 numbers.
    #[inline(always)]
    fn transform_parts<V: Lanes>(&self, [real, imaginary]: &mut [[Tile; PART]; 2]) {
        for stage in 0..4 {
            let span = PART >> (stage + 1);
            for start in (0..PART).step_by(2 * span) {
                for n in start..start + span {
                    let a = Complex::<V>(V::load(&real[n]), V::load(&imaginary[n]));
                    let b = Complex(V::load(&real[n + span]), V::load(&imaginary[n + span]));
                    let (cos, sin) = self.turns[(n - start) << stage];
                    let sum = a.add(b);
                    let turned = a.sub(b).mul(Complex(V::splat(cos), V::splat(sin)));
                    sum.0.store(&mut real[n]);
                    sum.1.store(&mut imaginary[n]);
                    turned.0.store(&mut real[n + span]);
                    turned.1.store(&mut imaginary[n + span]);
                }
            }
        }
    }

    /// The loudness of the real signal's frequencies, from those of the complex one.
    #[inline(always)]
    fn take_apart<V: Lanes>(&self, points: &[[Quad; POINTS + 1]; 2], out: &mut Magnitudes) {
        for tile in 0..POINTS / IN_TILE {
            let at = tile * IN_TILE;
            let there = Complex::<V>(run(&points[0], at), run(&points[1], at));
            let mirror = POINTS + 1 - IN_TILE - at;
            let back = Complex::<V>(
                run::<V>(&points[0], mirror).reverse_quads(),
                run::<V>(&points[1], mirror).reverse_quads(),
            );
            let even = Complex(there.0.add(back.0), there.1.sub(back.1));
            let odd = Complex(there.1.add(back.1), back.0.sub(there.0));
            let both = even.add(odd.mul(Complex::load(&self.split_turns[tile])));
            both.magnitude().store_run(&mut out.as_chunks_mut().0[tile]);
        }
        // The highest frequency is the difference of the sums of even and odd samples.
        let (even, odd) = (points[0][0], points[1][0]);
        out[POINTS] = std::array::from_fn(|frame| 2.0 * (even[frame] - odd[frame]).abs());
    }
}

/// Four samples from the same place of every frame.
#[inline(always)]
fn by_frame<V: Lanes>(samples: &[Quad; COVERED_SAMPLES / 8], tile: usize) -> V {
    /// From one frame to the next, in quads of every second sample.
    const STEP: usize = STEP_SAMPLES / 8;
    let [a, b, c, d] = [tile, tile + STEP, tile + 2 * STEP, tile + 3 * STEP];
    V::load_quads([&samples[a], &samples[b], &samples[c], &samples[d]]).transpose_quads()
}

/// Writes the quads of four points of one part to where the transform reads them.
#[inline(always)]
fn store_part<V: Lanes>(values: V, part: usize, tile: usize, to: &mut [Tile; PART]) {
    let points = &mut to.as_chunks_mut::<IN_TILE>().0[tile];
    values.store_quads(points.each_mut().map(|point| &mut point.0.as_chunks_mut().0[part]));
}

/// The stage without turns; what it gives out stands in order of frequency, and the
/// first number once more behind the last.
#[inline(always)]
fn last_stage<V: Lanes>(
    [real, imaginary]: &[[Tile; PART]; 2],
    points: &mut [[Quad; POINTS + 1]; 2],
) {
    for (parts, points) in [real, imaginary].into_iter().zip(points) {
        let runs = points.as_chunks_mut::<IN_TILE>().0;
        for pair in 0..PART / 2 {
            let (a, b) = (V::load(&parts[2 * pair]), V::load(&parts[2 * pair + 1]));
            let to = reversed(pair);
            a.add(b).store_run(&mut runs[to]);
            a.sub(b).store_run(&mut runs[to + PART / 2]);
        }
        points[POINTS] = points[0];
    }
}

/// The four bits of a number in reverse order.
const fn reversed(pair: usize) -> usize {
    (pair & 1) << 3 | (pair & 2) << 1 | (pair & 4) >> 1 | (pair & 8) >> 3
}

/// Four points from `at` on.
#[inline(always)]
fn run<V: Lanes>(points: &[Quad; POINTS + 1], at: usize) -> V {
    V::load_run(points[at..].first_chunk().expect("a tile before the end"))
}

/// What `of` tells of the four points of a tile, once for each frame.
fn by_point(tile: usize, of: impl Fn(usize) -> f64) -> Tile {
    Tile(std::array::from_fn(|lane| of(tile * IN_TILE + lane / FRAMES) as f32))
}

/// Turns by `share` of a full turn for each point, clockwise.
fn turn(tile: usize, share: f64) -> Turn {
    let angle = |n: usize| TAU * n as f64 * share;
    (by_point(tile, |n| angle(n).cos()), by_point(tile, |n| -angle(n).sin()))
}

/// A complex number in each lane.
#[derive(Clone, Copy)]
struct Complex<V>(V, V);

impl<V: Lanes> Complex<V> {
    #[inline(always)]
    fn load((real, imaginary): &Turn) -> Self {
        Self(V::load(real), V::load(imaginary))
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        Self(self.0.add(other.0), self.1.add(other.1))
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        Self(self.0.sub(other.0), self.1.sub(other.1))
    }

    /// `self + i × other`.
    #[inline(always)]
    fn add_quarter_turn(self, other: Self) -> Self {
        Self(self.0.sub(other.1), self.1.add(other.0))
    }

    /// `self - i × other`.
    #[inline(always)]
    fn sub_quarter_turn(self, other: Self) -> Self {
        Self(self.0.add(other.1), self.1.sub(other.0))
    }

    #[inline(always)]
    fn mul(self, other: Self) -> Self {
        Self(
            self.0.mul(other.0).sub(self.1.mul(other.1)),
            self.0.mul_add(other.1, self.1.mul(other.0)),
        )
    }

    #[inline(always)]
    fn magnitude(self) -> V {
        self.0.mul_add(self.0, self.1.mul(self.1)).sqrt()
    }
}
