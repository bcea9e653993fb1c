//! Finds words in a stream of samples. A word begins where sound begins after silence;
//! eight symbols are read from there, and only what agrees with its check is a word. It
//! keeps one word's samples at most and does not know what is expected.

use std::f32::consts::TAU;
use std::sync::OnceLock;

use super::{CodeWord, FORMANTS, PERIOD_MS, SYMBOL_MS, SYMBOLS};
use crate::types::SampleRate;

/// A word, and where in the stream it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeardWord {
    /// What it says.
    pub word: CodeWord,
    /// Samples of the stream before its first symbol.
    pub at: u64,
}

/// Loudest sample of silence: louder than noise on a line, quieter than any period of a
/// symbol somewhere in it.
const QUIET_MAX: u16 = 500;
/// Shortest silence before a word. No symbol is silent for longer than a period.
const QUIET_MS_MIN: u32 = PERIOD_MS + 1;
/// A word is read that much before its end: its beginning is found a little late.
const EARLY_MS: u32 = 1;
/// How much of a symbol's energy its waves must have in common. A telephone leaves more
/// than 0.98; a few milliseconds of another symbol take it under 0.9.
const LIKENESS_MIN: f32 = 0.96;
/// How much more energy than the next best the formant of a band must have.
const MARGIN_MIN: f32 = 1.6;
/// How much further into its wave one symbol of a word may begin than the first, in waves.
/// A frame that was cut out, put in or moved shifts what follows by half a wave.
const SHIFT_MAX: f32 = 0.2;
/// Sine and cosine of each formant.
const TERMS: usize = 24;

/// Reads one stream.
#[derive(Clone, Debug)]
pub struct CodeReader {
    rate: SampleRate,
    /// Samples seen.
    seen: u64,
    /// Silent samples up to here.
    quiet: usize,
    /// What was heard since the beginning of what may be a word; empty in between.
    sound: Vec<i16>,
    /// Where that began.
    began: u64,
    /// Sine and cosine of every formant over one period.
    waves: &'static [[f32; TERMS]],
}

impl CodeReader {
    /// A reader of a stream at `rate`.
    #[must_use]
    pub fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            seen: 0,
            quiet: rate.samples_in_ms(QUIET_MS_MIN),
            sound: Vec::new(),
            began: 0,
            waves: waves(rate),
        }
    }

    /// Forgets the word that has begun: the stream was cut here.
    pub fn cut(&mut self) {
        self.sound.clear();
        self.quiet = 0;
    }

    /// Samples of the stream so far.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes the next samples of the stream, any number, and tells `heard` every word.
    pub fn hear(&mut self, samples: &[i16], heard: &mut impl FnMut(HeardWord)) {
        let mut rest = samples;
        while !rest.is_empty() {
            rest = if self.sound.is_empty() { self.wait(rest) } else { self.collect(rest, heard) };
        }
    }

    /// Looks for the beginning of a word; what is left begins with it.
    fn wait<'a>(&mut self, samples: &'a [i16]) -> &'a [i16] {
        let quiet_min = self.rate.samples_in_ms(QUIET_MS_MIN);
        for (at, sample) in samples.iter().enumerate() {
            if sample.unsigned_abs() <= QUIET_MAX {
                self.quiet += 1;
                continue;
            }
            let begins = self.quiet >= quiet_min;
            self.quiet = 0;
            if begins {
                self.seen += at as u64;
                self.began = self.seen;
                self.sound.push(*sample);
                self.seen += 1;
                return &samples[at + 1..];
            }
        }
        self.seen += samples.len() as u64;
        &[]
    }

    /// Fills up the word, and reads it when it is whole.
    fn collect<'a>(&mut self, samples: &'a [i16], heard: &mut impl FnMut(HeardWord)) -> &'a [i16] {
        let whole = self.rate.samples_in_ms(SYMBOLS as u32 * SYMBOL_MS - EARLY_MS);
        let (taken, rest) = samples.split_at(samples.len().min(whole - self.sound.len()));
        self.sound.extend_from_slice(taken);
        self.seen += taken.len() as u64;
        if self.sound.len() == whole {
            let sound = std::mem::take(&mut self.sound);
            self.quiet = 0;
            if let Some(word) = self.read(&sound) {
                heard(HeardWord { word, at: self.began });
                self.quiet = trailing_quiet(&sound);
                self.sound = sound;
                self.sound.clear();
            } else {
                // Another word may have begun meanwhile.
                self.seen -= (sound.len() - 1) as u64;
                self.hear(&sound[1..], heard);
            }
        }
        rest
    }

    fn read(&self, sound: &[i16]) -> Option<CodeWord> {
        let length = self.rate.samples_in_ms(SYMBOL_MS);
        let mut symbols = [0; SYMBOLS];
        let mut shift_of_first = None;
        for (place, symbol) in symbols.iter_mut().enumerate() {
            let rest = &sound[place * length..];
            // Of the last symbol the whole waves that are there.
            let whole = rest.len().min(length) / self.waves.len() * self.waves.len();
            let heard = self.symbol(&rest[..whole])?;
            let further = heard.shift - *shift_of_first.get_or_insert(heard.shift);
            if (further - further.round()).abs() > SHIFT_MAX {
                return None;
            }
            *symbol = heard.value;
        }
        CodeWord::from_symbols(symbols)
    }

    /// The symbol that sounds, if one does. Its waves are all alike: added up, they are
    /// looked at once, and where they are not alike something came in between.
    fn symbol(&self, sound: &[i16]) -> Option<Symbol> {
        let mut terms = [0.0_f32; TERMS];
        let (mut energy, mut energy_of_sums) = (0.0_f32, 0.0_f32);
        for (at, wave) in self.waves.iter().enumerate() {
            let mut sum = 0.0;
            for sample in sound.iter().skip(at).step_by(self.waves.len()).copied().map(f32::from) {
                sum += sample;
                energy += sample * sample;
            }
            energy_of_sums += sum * sum;
            for (term, wave) in terms.iter_mut().zip(wave) {
                *term += sum * wave;
            }
        }
        let waves = (sound.len() / self.waves.len()) as f32;
        if energy_of_sums < LIKENESS_MIN * waves * energy {
            return None;
        }
        let energy = |place: usize| terms[2 * place].powi(2) + terms[2 * place + 1].powi(2);
        let mut value = 0;
        for band in 0..FORMANTS.len() {
            let energies: [f32; 4] = std::array::from_fn(|choice| energy(4 * band + choice));
            value = value << 2 | loudest(energies)?;
        }
        Some(Symbol { value, shift: shift(&terms) })
    }
}

/// What a symbol says and where in its wave it began.
struct Symbol {
    value: u8,
    /// In waves, -0.5 to 0.5.
    shift: f32,
}

/// By how much of a wave the sound is shifted: the harmonics of the lowest band are
/// neighbours, and their phases drift apart with the shift.
fn shift(terms: &[f32; TERMS]) -> f32 {
    let (mut along, mut across) = (0.0, 0.0);
    for pair in terms[..8].windows(4).step_by(2) {
        let (sine, cosine, next_sine, next_cosine) = (pair[0], pair[1], pair[2], pair[3]);
        along += sine * next_sine + cosine * next_cosine;
        across += sine * next_cosine - cosine * next_sine;
    }
    across.atan2(along) / TAU
}

/// The one that is clearly louder than the others.
fn loudest(energies: [f32; 4]) -> Option<u8> {
    let by_energy = |a: &usize, b: &usize| energies[*a].total_cmp(&energies[*b]);
    let best = (0..4).max_by(by_energy)?;
    let second = (0..4).filter(|choice| *choice != best).max_by(by_energy)?;
    (energies[best] > MARGIN_MIN * energies[second]).then_some(best as u8)
}

fn trailing_quiet(sound: &[i16]) -> usize {
    sound.iter().rev().take_while(|sample| sample.unsigned_abs() <= QUIET_MAX).count()
}

fn waves(rate: SampleRate) -> &'static [[f32; TERMS]] {
    const RATES: usize = SampleRate::SUPPORTED_HZ.len();
    static TABLES: [OnceLock<Vec<[f32; TERMS]>>; RATES] = [const { OnceLock::new() }; RATES];
    let place = SampleRate::SUPPORTED_HZ.iter().position(|hz| *hz == rate.hz()).unwrap_or(0);
    TABLES[place].get_or_init(|| {
        let period = rate.samples_in_ms(PERIOD_MS);
        (0..period).map(|at| wave(at, period)).collect()
    })
}

fn wave(at: usize, period: usize) -> [f32; TERMS] {
    let mut terms = [0.0; TERMS];
    for (place, formant) in FORMANTS.iter().flatten().enumerate() {
        let phase = TAU * (formant * at) as f32 / period as f32;
        (terms[2 * place], terms[2 * place + 1]) = phase.sin_cos();
    }
    terms
}
