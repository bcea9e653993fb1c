//! Streaming conversion between sample rates: a polyphase windowed-sinc filter.
//!
//! Sample `n` of the output stands for the same instant as input position
//! `n × from / to`: the filter is symmetric around it, so nothing is delayed in
//! the audio. It waits for the half of its taps that lie ahead (2 to 4 ms);
//! [`Resampler::flush`] gives out what it still holds.
//!
//! Coefficients and sums are integers. The result is the same on every machine
//! and however the input is cut, and the inner loop becomes 16-bit SIMD.
//!
//! It does not guess rates, and keeps no more than one block of the input.

use std::f64::consts::PI;
use std::sync::OnceLock;

use crate::types::{INNER_RATE, SampleRate};

/// Flat up to this share of the lower rate's half. 3.4 of 4 kHz: the telephone band.
const PASSBAND: f64 = 0.85;
/// What may come through from beyond the lower rate's half, in dB below a full tone.
const STOPBAND_DB: f64 = 66.0;
/// Taps are a multiple of it so that the inner loop has no rest.
const TAPS_STEP: usize = 16;
/// Coefficients are stored times 2^14: the largest is just under 1, and a sum of
/// absolute coefficients under 4 keeps the accumulator within 32 bits.
const COEFFICIENT_BITS: u32 = 14;
/// Input samples taken in at once.
const BLOCK_SAMPLES: usize = 256;

const RATES: usize = SampleRate::SUPPORTED_HZ.len();
/// One table for each pair of rates, made when the first call needs it.
static FILTERS: [[OnceLock<Filter>; RATES]; RATES] =
    [const { [const { OnceLock::new() }; RATES] }; RATES];

/// Converts one stream from one rate to another. Equal rates pass through.
#[derive(Clone, Debug)]
pub struct Resampler(Option<Polyphase>);

impl Resampler {
    /// A converter of a stream at `from` to `to`.
    #[must_use]
    pub fn new(from: SampleRate, to: SampleRate) -> Self {
        Self((from != to).then(|| Polyphase::new(Filter::shared(from, to))))
    }

    /// A converter of a carrier's audio to the inner rate.
    #[must_use]
    pub fn to_inner(from: SampleRate) -> Self {
        Self::new(from, INNER_RATE)
    }

    /// A converter of inner audio to a carrier's rate.
    #[must_use]
    pub fn from_inner(to: SampleRate) -> Self {
        Self::new(INNER_RATE, to)
    }

    /// Takes any number of samples and appends what is ready to `output`.
    pub fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        match &mut self.0 {
            None => output.extend_from_slice(input),
            Some(polyphase) => polyphase.process(input, output),
        }
    }

    /// Ends the stream: appends the rest to `output`, so that `n` samples have
    /// become `n × to / from`, rounded up. The next sample begins a new stream.
    pub fn flush(&mut self, output: &mut Vec<i16>) {
        if let Some(polyphase) = &mut self.0 {
            polyphase.flush(output);
        }
    }
}

#[derive(Clone, Debug)]
struct Polyphase {
    filter: &'static Filter,
    /// The input that later outputs still need; the first `filled` samples count.
    held: Box<[i16]>,
    filled: usize,
    /// Where in `held` the taps of the next output begin.
    start: usize,
    /// The next output's place between two input samples, in `1 / phases`.
    phase: usize,
}

impl Polyphase {
    fn new(filter: &'static Filter) -> Self {
        let held = vec![0; filter.taps + BLOCK_SAMPLES].into_boxed_slice();
        let mut new = Self { filter, held, filled: 0, start: 0, phase: 0 };
        new.begin();
        new
    }

    /// Silence before the first sample, up to the taps that lie behind it.
    fn begin(&mut self) {
        self.filled = self.filter.half() - 1;
        self.held[..self.filled].fill(0);
        self.start = 0;
        self.phase = 0;
    }

    fn process(&mut self, input: &[i16], output: &mut Vec<i16>) {
        output.reserve(input.len() * self.filter.phases / self.filter.step + 1);
        let mut rest = input;
        while !rest.is_empty() {
            let (block, behind) = rest.split_at(rest.len().min(self.held.len() - self.filled));
            self.held[self.filled..self.filled + block.len()].copy_from_slice(block);
            self.filled += block.len();
            self.convert_held(output);
            rest = behind;
        }
    }

    /// Silence behind the last sample, up to the taps that lie ahead of it.
    fn flush(&mut self, output: &mut Vec<i16>) {
        let silence = [0; BLOCK_SAMPLES];
        let mut missing = self.filter.half();
        while missing > 0 {
            let block = missing.min(BLOCK_SAMPLES);
            self.process(&silence[..block], output);
            missing -= block;
        }
        self.begin();
    }

    /// Makes every output whose taps are there and forgets the input behind them.
    fn convert_held(&mut self, output: &mut Vec<i16>) {
        let Filter { taps, phases, step, .. } = *self.filter;
        // Once, not for every output: the divisions were a third of the cost.
        let (whole, part) = (step / phases, step % phases);
        while self.start + taps <= self.filled {
            let window = &self.held[self.start..self.start + taps];
            output.push(weighted_sum(window, self.filter.phase(self.phase)));
            self.start += whole;
            self.phase += part;
            if self.phase >= phases {
                self.phase -= phases;
                self.start += 1;
            }
        }
        // One output moves on by at most 6 samples, far less than the taps that are left.
        self.held.copy_within(self.start..self.filled, 0);
        self.filled -= self.start;
        self.start = 0;
    }
}

fn weighted_sum(samples: &[i16], coefficients: &[i16]) -> i16 {
    let sum: i32 =
        samples.iter().zip(coefficients).map(|(s, c)| i32::from(*s) * i32::from(*c)).sum();
    let rounded = (sum + (1 << (COEFFICIENT_BITS - 1))) >> COEFFICIENT_BITS;
    rounded.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16
}

/// The coefficients of one pair of rates, shared by all calls.
#[derive(Debug)]
struct Filter {
    /// Input samples that one output is made of.
    taps: usize,
    /// Places between two input samples that an output can have.
    phases: usize,
    /// How many such places lie between two outputs.
    step: usize,
    /// `taps` coefficients for each phase.
    coefficients: Box<[i16]>,
}

impl Filter {
    fn shared(from: SampleRate, to: SampleRate) -> &'static Self {
        FILTERS[rate_index(from)][rate_index(to)].get_or_init(|| Self::design(from, to))
    }

    fn design(from: SampleRate, to: SampleRate) -> Self {
        let divisor = greatest_common_divisor(from.hz(), to.hz());
        let phases = (to.hz() / divisor) as usize;
        // In cycles per input sample.
        let stop = 0.5 * f64::from(from.hz().min(to.hz())) / f64::from(from.hz());
        let taps = kaiser_taps(stop * (1.0 - PASSBAND));
        let cutoff = stop * (1.0 + PASSBAND) / 2.0;
        let mut coefficients = Vec::with_capacity(taps * phases);
        for phase in 0..phases {
            let place = phase as f64 / phases as f64;
            coefficients.extend(phase_coefficients(taps, cutoff, place));
        }
        let step = (from.hz() / divisor) as usize;
        Self { taps, phases, step, coefficients: coefficients.into_boxed_slice() }
    }

    fn phase(&self, phase: usize) -> &[i16] {
        &self.coefficients[phase * self.taps..(phase + 1) * self.taps]
    }

    fn half(&self) -> usize {
        self.taps / 2
    }
}

/// The coefficients of an output that lies `place` (0 to 1) behind an input
/// sample. Their sum is exactly 1, or a constant input would come out rippled.
fn phase_coefficients(taps: usize, cutoff: f64, place: f64) -> Vec<i16> {
    let half = taps as f64 / 2.0;
    let exact: Vec<f64> = (0..taps)
        .map(|tap| {
            let distance = tap as f64 - (half - 1.0) - place;
            2.0 * cutoff * sinc(2.0 * cutoff * distance) * kaiser(distance / half)
        })
        .collect();
    let scale = f64::from(1 << COEFFICIENT_BITS) / exact.iter().sum::<f64>();
    let mut rounded: Vec<i16> = exact.iter().map(|c| (c * scale).round() as i16).collect();
    let missing = (1 << COEFFICIENT_BITS) - rounded.iter().map(|c| i32::from(*c)).sum::<i32>();
    // The nearest input sample has the largest coefficient and feels the rest least.
    let nearest = taps / 2 - 1 + usize::from(place >= 0.5);
    rounded[nearest] += missing as i16;
    rounded
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// Taps for a transition `width` in cycles per input sample (Kaiser's estimate).
fn kaiser_taps(width: f64) -> usize {
    let taps = (STOPBAND_DB - 8.0) / (2.285 * 2.0 * PI * width);
    (taps.ceil() as usize + 1).next_multiple_of(TAPS_STEP)
}

/// The Kaiser window over -1 to 1, zero outside.
fn kaiser(x: f64) -> f64 {
    let beta = 0.1102 * (STOPBAND_DB - 8.7);
    let inside = (1.0 - x * x).max(0.0);
    if x.abs() > 1.0 { 0.0 } else { bessel_i0(beta * inside.sqrt()) / bessel_i0(beta) }
}

/// The modified Bessel function of order zero, by its series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    // 40 terms are exact to the last bit for every argument below 10.
    for n in 1..40 {
        let factor = x / 2.0 / f64::from(n);
        term *= factor * factor;
        sum += term;
    }
    sum
}

fn rate_index(rate: SampleRate) -> usize {
    SampleRate::SUPPORTED_HZ
        .iter()
        .position(|hz| *hz == rate.hz())
        .expect("a SampleRate is one of SUPPORTED_HZ by construction")
}

fn greatest_common_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
#[path = "tests/resampler.rs"]
mod tests;
