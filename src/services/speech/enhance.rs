//! Makes telephone audio resemble what the acoustic model was trained on: steady noise
//! down, and something in the upper half of the spectrum where the telephone left
//! nothing.
//!
//! Pure. It refuses to touch what needs no help: clean wide-band audio comes out as it
//! went in, up to rounding.

mod fourier;

use fourier::{BINS, Fourier, SIZE};

/// Takes steady noise down and leaves at least `floor` (amplitude, 0 to 1) of each part.
///
/// A Wiener filter over short spectra: the quietest fifth of them is taken for the noise.
pub(super) fn reduce_noise(samples: &[i16], floor: f32) -> Vec<i16> {
    let mut fourier = Fourier::new();
    let frames = frames_of(samples);
    let mut spectra: Vec<[(f32, f32); BINS]> =
        frames.iter().map(|frame| fourier.forward(frame)).collect();
    let Some(noise) = quietest(&spectra) else { return samples.to_vec() };
    let mut earlier = [0.0; BINS];
    for spectrum in &mut spectra {
        for ((bin, noise), earlier) in spectrum.iter_mut().zip(&noise).zip(&mut earlier) {
            let over_noise = power(*bin) / noise;
            let signal = SMOOTHING * *earlier + (1.0 - SMOOTHING) * (over_noise - 1.0).max(0.0);
            let gain = (signal / (1.0 + signal)).max(floor);
            *earlier = gain * gain * over_noise;
            *bin = (bin.0 * gain, bin.1 * gain);
        }
    }
    let mut sum = vec![0.0; (frames.len() + OVERLAP) * STEP + SIZE];
    for (index, spectrum) in spectra.iter().enumerate() {
        let frame = fourier.backward(spectrum);
        for (sum, sample) in sum[index * STEP..].iter_mut().zip(frame) {
            *sum += sample / 2.0;
        }
    }
    sum[LEAD..].iter().take(samples.len()).map(|sample| to_sample(*sample)).collect()
}

/// Whether `samples` (16 kHz) have been through 8 kHz: hardly anything above 4 kHz.
pub(super) fn is_narrow_band(samples: &[i16]) -> bool {
    let mut fourier = Fourier::new();
    let (mut low, mut high) = (1.0_f32, 0.0_f32);
    for frame in frames_of(samples).iter().step_by(2) {
        let spectrum = fourier.forward(frame);
        low += spectrum[LOW].iter().copied().map(power).sum::<f32>();
        high += spectrum[HIGH].iter().copied().map(power).sum::<f32>();
    }
    high < low * NARROW_BAND_RATIO_MAX
}

/// How far the loud parts of `samples` are above the quiet ones, in decibels. 0 for
/// audio that is too short to tell.
pub(super) fn signal_to_noise_db(samples: &[i16]) -> f32 {
    levels(&energies_db(samples)).map_or(0.0, |(quiet, loud)| loud - quiet)
}

/// How many frames of 10 ms are about as loud as the speech in `samples`. 0 for audio
/// that is too short to tell.
pub(super) fn loud_frames(samples: &[i16]) -> u32 {
    let energies = energies_db(samples);
    let Some((quiet, loud)) = levels(&energies) else { return 0 };
    // Halfway in noise; where there is none, what is audible beside the speech.
    let least = f32::midpoint(quiet, loud).max(loud - AUDIBLE_DB);
    let count = energies.iter().filter(|energy| **energy > least).count();
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The energy of each frame of 10 ms, in decibels.
fn energies_db(samples: &[i16]) -> Vec<f32> {
    let energy = |frame: &[i16]| {
        let sum: f32 = frame.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
        10.0 * (sum / frame.len() as f32 + 1.0).log10()
    };
    samples.chunks_exact(ENERGY_FRAME).map(energy).collect()
}

/// How loud the quiet and the loud frames are; `None` if there are too few to tell.
fn levels(energies_db: &[f32]) -> Option<(f32, f32)> {
    if energies_db.len() < 2 * NOISE_FRAMES_MIN {
        return None;
    }
    let mut ranked = energies_db.to_vec();
    ranked.sort_by(f32::total_cmp);
    let power = |db: &f32| 10_f32.powf(db / 10.0);
    let mean = |part: &[f32]| {
        10.0 * (part.iter().map(power).sum::<f32>() / part.len().max(1) as f32).log10()
    };
    let quiet = mean(&ranked[..(ranked.len() / 5).max(NOISE_FRAMES_MIN)]);
    // The very loudest may be a click.
    let loud = mean(&ranked[ranked.len() * 7 / 10..ranked.len() * 19 / 20]);
    Some((quiet, loud))
}

/// Mirrors what lies below 4 kHz to above it. It is not what was said there, but a
/// hissing sound hisses again, which tells "six" from "ten".
pub(super) fn widen(samples: &[i16]) -> Vec<i16> {
    let kernel = high_pass();
    let half = kernel.len() / 2;
    let at = |index: usize| samples.get(index.wrapping_sub(half)).copied().map_or(0.0, f32::from);
    let mirrored = |index: usize| {
        let sum: f32 = kernel.iter().enumerate().map(|(tap, k)| k * at(index + tap)).sum();
        if index.is_multiple_of(2) { sum } else { -sum }
    };
    let widened = |(index, sample): (usize, &i16)| to_sample(f32::from(*sample) + mirrored(index));
    samples.iter().enumerate().map(widened).collect()
}

/// A windowed-sinc high-pass: only what hisses is mirrored, not the voice.
fn high_pass() -> Vec<f32> {
    use std::f32::consts::PI;
    let half = HIGH_PASS_TAPS / 2;
    let cut = 2.0 * HIGH_PASS_HZ / 16_000.0;
    let tap = |index: usize| {
        let window = 0.54 - 0.46 * (2.0 * PI * index as f32 / (HIGH_PASS_TAPS - 1) as f32).cos();
        let t = index as f32 - half as f32;
        let low = if index == half { cut } else { (PI * cut * t).sin() / (PI * t) };
        let all = if index == half { 1.0 } else { 0.0 };
        (all - low) * window
    };
    (0..HIGH_PASS_TAPS).map(tap).collect()
}

/// Overlapping frames, with silence before and behind so that each sample is in four.
fn frames_of(samples: &[i16]) -> Vec<[f32; SIZE]> {
    let count = samples.len().div_ceil(STEP) + OVERLAP;
    let at = |index: usize| samples.get(index.wrapping_sub(LEAD)).copied().map_or(0.0, f32::from);
    (0..count).map(|frame| std::array::from_fn(|offset| at(frame * STEP + offset))).collect()
}

/// The mean power of the quietest fifth of all spectra that lie wholly in the audio.
fn quietest(spectra: &[[(f32, f32); BINS]]) -> Option<[f32; BINS]> {
    let inside = spectra.get(OVERLAP..spectra.len().checked_sub(OVERLAP)?)?;
    let mut ranked: Vec<(f32, &[(f32, f32); BINS])> = inside
        .iter()
        .map(|spectrum| (spectrum.iter().copied().map(power).sum(), spectrum))
        .collect();
    ranked.sort_by(|(a, _), (b, _)| a.total_cmp(b));
    let count = (ranked.len() / 5).max(NOISE_FRAMES_MIN);
    let quiet = ranked.get(..count)?;
    let mean = |bin: usize| {
        let sum: f32 = quiet.iter().map(|(_, spectrum)| power(spectrum[bin])).sum();
        sum / count as f32 + POWER_MIN
    };
    Some(std::array::from_fn(mean))
}

fn power((re, im): (f32, f32)) -> f32 {
    re * re + im * im
}

fn to_sample(value: f32) -> i16 {
    // Saturates.
    value.round() as i16
}

/// Samples from one frame to the next.
const STEP: usize = SIZE / 4;
/// Frames at either end that lie only partly in the audio.
const OVERLAP: usize = 3;
/// Silence before the first sample.
const LEAD: usize = OVERLAP * STEP;
/// How much of the last frame's signal-to-noise ratio is kept.
const SMOOTHING: f32 = 0.95;
/// With fewer quiet frames nothing is known of the noise.
const NOISE_FRAMES_MIN: usize = 6;
/// Keeps digital silence from dividing by zero.
const POWER_MIN: f32 = 1e-3;
/// 10 ms.
const ENERGY_FRAME: usize = 160;
/// Soft sounds of speech are this much below its loud ones.
const AUDIBLE_DB: f32 = 15.0;
/// 1.0 to 3.4 kHz, in bins of 31.25 Hz.
const LOW: std::ops::Range<usize> = 32..109;
/// 5.0 to 6.8 kHz: no resampler leaves much of its own there.
const HIGH: std::ops::Range<usize> = 160..218;
/// Measured: below 5e-6 after 8 kHz, above 4e-5 otherwise.
const NARROW_BAND_RATIO_MAX: f32 = 1.5e-5;
const HIGH_PASS_HZ: f32 = 2_800.0;
const HIGH_PASS_TAPS: usize = 63;

#[cfg(test)]
mod tests {
    use std::f32::consts::PI;

    use super::*;

    /// White noise by a small generator, mean amplitude `level`.
    fn noise(count: usize, level: f32) -> Vec<f32> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / 8_388_608.0 - 1.0
        };
        (0..count).map(|_| 2.0 * level * next()).collect()
    }

    fn tone(count: usize, hz: f32, level: f32) -> Vec<f32> {
        (0..count).map(|at| level * (2.0 * PI * hz * at as f32 / 16_000.0).sin()).collect()
    }

    fn samples(parts: &[&[f32]]) -> Vec<i16> {
        let longest = parts.iter().map(|part| part.len()).max().unwrap_or(0);
        (0..longest)
            .map(|at| to_sample(parts.iter().filter_map(|part| part.get(at)).sum()))
            .collect()
    }

    fn level(samples: &[i16]) -> f32 {
        let sum: f32 = samples.iter().map(|s| f32::from(*s) * f32::from(*s)).sum();
        (sum / samples.len() as f32).sqrt()
    }

    #[test]
    fn steady_noise_is_taken_down_to_the_floor_and_the_tone_in_it_stays() {
        let quiet = vec![0.0; 16_000];
        let speech = [quiet.as_slice(), &tone(8_000, 440.0, 5_000.0), &quiet].concat();
        let noisy = samples(&[&speech, &noise(speech.len(), 100.0)]);
        let reduced = reduce_noise(&noisy, 0.3);
        assert_eq!(reduced.len(), noisy.len());
        let ratio = level(&reduced[2_000..14_000]) / level(&noisy[2_000..14_000]);
        assert!((0.25..0.45).contains(&ratio), "noise: {ratio}");
        let ratio = level(&reduced[17_000..23_000]) / level(&noisy[17_000..23_000]);
        assert!((0.97..1.03).contains(&ratio), "tone: {ratio}");
    }

    #[test]
    fn audio_too_short_to_know_its_noise_stays_as_it_is() {
        for count in [0, 1, 100, 512] {
            let short = samples(&[&tone(count, 440.0, 1_000.0)]);
            assert_eq!(reduce_noise(&short, 0.3), short);
        }
    }

    #[test]
    fn what_has_been_through_8_khz_is_told_from_what_has_not() {
        let wide = noise(16_000, 1_000.0);
        assert!(!is_narrow_band(&samples(&[&wide])));
        assert!(is_narrow_band(&samples(&[&tone(16_000, 1_500.0, 5_000.0)])));
        assert!(is_narrow_band(&[]));
    }

    #[test]
    fn widening_mirrors_a_hiss_and_leaves_a_voice() {
        let hiss = widen(&samples(&[&tone(16_000, 3_500.0, 1_000.0)]));
        assert!((level(&hiss) / 1_000.0 - 1.0).abs() < 0.05, "as much again: {}", level(&hiss));
        let voice = samples(&[&tone(16_000, 500.0, 1_000.0)]);
        let difference: i32 = widen(&voice)[100..15_900]
            .iter()
            .zip(&voice[100..15_900])
            .map(|(a, b)| i32::from((a - b).abs()))
            .max()
            .unwrap();
        assert!(difference < 20, "{difference}");
    }

    #[test]
    fn what_is_as_loud_as_the_speech_is_counted() {
        let quiet = vec![0.0; 16_000];
        let speech = [quiet.as_slice(), &tone(16_000, 440.0, 5_000.0), &quiet].concat();
        assert_eq!(loud_frames(&samples(&[&speech])), 100);
        assert_eq!(loud_frames(&samples(&[&speech, &noise(speech.len(), 300.0)])), 100);
        assert_eq!(loud_frames(&[0; 100]), 0);
    }

    #[test]
    fn the_ratio_of_signal_to_noise_is_about_right() {
        let quiet = vec![0.0; 16_000];
        let speech = [quiet.as_slice(), &tone(16_000, 440.0, 5_000.0), &quiet].concat();
        let ratio =
            |level: f32| signal_to_noise_db(&samples(&[&speech, &noise(speech.len(), level)]));
        // The level of the tone is 3,536; of uniform noise 1.15 of its mean amplitude.
        assert!((ratio(307.0) - 20.0).abs() < 1.5, "{}", ratio(307.0));
        assert!((ratio(970.0) - 10.0).abs() < 1.5, "{}", ratio(970.0));
        assert!(signal_to_noise_db(&[0; 100]).abs() < 1e-6);
    }
}
