//! The sound of a word. Symbols are made once for each rate; writing a word copies them.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use super::{CodeWord, FORMANTS, GAP_MS, PERIOD_MS, SYMBOL_MS, SYMBOLS, WORD_MS};
use crate::types::SampleRate;

/// Harmonics of a voice: up to 3.375 kHz, within the telephone band.
const HARMONICS: usize = 27;
/// Loudness of the formants, the lowest first.
const FORMANT_LEVELS: [f64; 3] = [1.0, 0.7, 0.5];
/// How loud a harmonic beside a formant is, for each step away from it. With 0 a symbol
/// is three tones, which a neural detector does not take for speech; with more than 0.5
/// it is hard to tell from its neighbours.
const SKIRT: f64 = 0.35;
/// How far a formant reaches.
const SKIRT_STEPS: usize = 3;
/// How loud the first harmonic is where no formant is; the others fall with their number.
const HUM: f64 = 0.1;
/// How a voice falls with height: the power of a harmonic's number that divides it.
const TILT: f64 = 0.6;
/// Loudness of the symbols of a word in percent: it swells, as a syllable does. Words that
/// are as loud from the first to the last are a machine's hum to a neural detector, which
/// gets used to them after a few.
const STRESS: [i32; SYMBOLS] = [54, 75, 91, 99, 99, 91, 75, 54];
/// Highest sample of the loudest symbol, before stress.
const AMPLITUDE: f64 = 16_000.0;
/// Loudest sample of the breath before a word: a reader takes up to 500 for silence, and
/// a telephone adds something to it.
const BREATH: i16 = 300;

/// Appends the sound of `word` at `rate`.
pub fn write_word(word: CodeWord, rate: SampleRate, samples: &mut Vec<i16>) {
    samples.extend(BREATH_NOISE.iter().cycle().take(rate.samples_in_ms(GAP_MS)));
    let length = rate.samples_in_ms(SYMBOL_MS);
    let table = symbols(rate);
    for (symbol, stress) in word.symbols().into_iter().zip(STRESS) {
        let begin = usize::from(symbol) * length;
        let stressed = |sample: &i16| (i32::from(*sample) * stress / 100) as i16;
        samples.extend(table[begin..begin + length].iter().map(stressed));
    }
}

/// Appends what a caller says before its first word: a vowel that detectors notice at once,
/// so that the word itself is heard from its beginning. It is no word.
pub fn write_lead_in(rate: SampleRate, samples: &mut Vec<i16>) {
    let length = rate.samples_in_ms(SYMBOL_MS);
    let vowel = &symbols(rate)[LEAD_IN * length..][..length];
    for _ in 0..LEAD_IN_SYMBOLS {
        samples.extend_from_slice(vowel);
    }
}

/// Formants of 375, 1,750 and 3,000 Hz, as in "see".
const LEAD_IN: usize = 0b00_11_11;
const LEAD_IN_SYMBOLS: usize = 5;

/// Noise before a word: nobody speaks without a breath, and a detector that hears the line
/// go dead between words takes them for no speech.
static BREATH_NOISE: [i16; 512] = {
    let (mut noise, mut state, mut at) = ([0; 512], 1_u32, 0);
    while at < noise.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise[at] = (state >> 16) as i16 % (BREATH + 1);
        at += 1;
    }
    noise
};

/// The sound of a whole passage: `first` with its index counted up to its `of`.
#[must_use]
pub fn write_passage(first: CodeWord, rate: SampleRate) -> Vec<i16> {
    let mut samples = Vec::with_capacity(usize::from(first.of) * rate.samples_in_ms(WORD_MS));
    for index in 0..first.of {
        write_word(CodeWord { index, ..first }, rate, &mut samples);
    }
    samples
}

/// All symbols at `rate`, one after the other.
fn symbols(rate: SampleRate) -> &'static [i16] {
    const RATES: usize = SampleRate::SUPPORTED_HZ.len();
    static TABLES: [OnceLock<Vec<i16>>; RATES] = [const { OnceLock::new() }; RATES];
    let place = SampleRate::SUPPORTED_HZ.iter().position(|hz| *hz == rate.hz()).unwrap_or(0);
    TABLES[place].get_or_init(|| {
        let periods = (SYMBOL_MS / PERIOD_MS) as usize;
        let period = rate.samples_in_ms(PERIOD_MS);
        let waves: Vec<Vec<f64>> = (0..64).map(|symbol| wave(symbol, period)).collect();
        let loudest = waves.iter().flatten().fold(1.0_f64, |most, value| most.max(value.abs()));
        let scale = AMPLITUDE / loudest;
        let whole = |wave: &Vec<f64>| wave.repeat(periods);
        waves.iter().flat_map(whole).map(|value| (value * scale).round() as i16).collect()
    })
}

/// One wave of a symbol. All harmonics begin at zero, so that symbols join without a click.
fn wave(symbol: u8, samples: usize) -> Vec<f64> {
    let levels = levels(symbol);
    let value = |at: usize| {
        let phase = TAU * at as f64 / samples as f64;
        (1..).zip(levels).map(|(n, level)| level * (phase * f64::from(n)).sin()).sum()
    };
    (0..samples).map(value).collect()
}

fn levels(symbol: u8) -> [f64; HARMONICS] {
    let mut levels: [f64; HARMONICS] = std::array::from_fn(|at| HUM / (at + 1) as f64);
    for (band, loudness) in FORMANT_LEVELS.into_iter().enumerate() {
        let formant = FORMANTS[band][usize::from(symbol >> (4 - 2 * band) & 3)];
        for (number, level) in (1..).zip(&mut levels) {
            let steps = formant.abs_diff(number);
            if steps <= SKIRT_STEPS {
                *level += loudness * SKIRT.powi(steps as i32);
            }
        }
    }
    for (number, level) in (1_u32..).zip(&mut levels) {
        *level /= f64::from(number).powf(TILT);
    }
    levels
}
