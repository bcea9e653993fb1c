//! The resampler, measured with tones.

use std::f64::consts::TAU;

use proptest::prelude::*;

use super::*;

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

/// Every pair of an outer and the inner rate, both ways.
fn pairs() -> impl Iterator<Item = (SampleRate, SampleRate)> {
    SampleRate::SUPPORTED_HZ
        .into_iter()
        .filter(|hz| *hz != INNER_RATE.hz())
        .flat_map(|hz| [(rate(hz), INNER_RATE), (INNER_RATE, rate(hz))])
}

fn converted(from: SampleRate, to: SampleRate, input: &[i16]) -> Vec<i16> {
    let mut resampler = Resampler::new(from, to);
    let mut output = Vec::new();
    resampler.process(input, &mut output);
    resampler.flush(&mut output);
    output
}

/// Half a second of a tone.
fn tone(at: SampleRate, hz: f64, amplitude: f64) -> Vec<i16> {
    let step = TAU * hz / f64::from(at.hz());
    (0..at.hz() / 2).map(|n| ((f64::from(n) * step).sin() * amplitude).round() as i16).collect()
}

/// Power left after the tone itself was subtracted, and the tone's own power.
struct Measured {
    tone: f64,
    rest: f64,
    /// How far the tone lies behind where it should, in seconds.
    delay: f64,
}

/// Fits the tone to the middle of `samples`, away from the edges.
fn measure(at: SampleRate, hz: f64, samples: &[i16]) -> Measured {
    let step = TAU * hz / f64::from(at.hz());
    let edge = samples.len() / 5;
    let middle = || (edge..samples.len() - edge).map(|n| (n as f64 * step, f64::from(samples[n])));
    let count = middle().count() as f64;
    let sine = 2.0 * middle().map(|(angle, sample)| angle.sin() * sample).sum::<f64>() / count;
    let cosine = 2.0 * middle().map(|(angle, sample)| angle.cos() * sample).sum::<f64>() / count;
    let left =
        |(angle, sample): (f64, f64)| (sample - sine * angle.sin() - cosine * angle.cos()).powi(2);
    Measured {
        tone: (sine * sine + cosine * cosine) / 2.0,
        rest: middle().map(left).sum::<f64>() / count,
        delay: -cosine.atan2(sine) / (TAU * hz),
    }
}

fn db(ratio: f64) -> f64 {
    10.0 * ratio.max(1e-12).log10()
}

#[test]
fn equal_rates_pass_through_untouched() {
    let input = tone(rate(8_000), 440.0, 9_000.0);
    assert_eq!(converted(rate(8_000), rate(8_000), &input), input);
}

#[test]
fn tones_in_the_passband_keep_their_level_and_their_place() {
    let amplitude = 16_000.0;
    for (from, to) in pairs() {
        let half = f64::from(from.hz().min(to.hz())) / 2.0;
        for share in [0.05, 0.2, 0.4, 0.6, 0.8, 0.85] {
            let hz = (half * share / 10.0).round() * 10.0;
            let output = converted(from, to, &tone(from, hz, amplitude));
            let measured = measure(to, hz, &output);
            let ripple = db(measured.tone / (amplitude * amplitude / 2.0));
            assert!(ripple.abs() < 0.1, "{from:?} to {to:?}, {hz} Hz: {ripple:.3} dB");
            assert!(measured.delay.abs() < 1e-6, "{from:?} to {to:?}, {hz} Hz is displaced");
        }
    }
}

#[test]
fn what_is_added_to_a_tone_stays_50_db_below_it() {
    for (from, to) in pairs() {
        let half = f64::from(from.hz().min(to.hz())) / 2.0;
        for share in [0.1, 0.35, 0.6, 0.85] {
            let hz = (half * share / 10.0).round() * 10.0;
            let measured = measure(to, hz, &converted(from, to, &tone(from, hz, 16_000.0)));
            let added = db(measured.rest / measured.tone);
            assert!(added < -50.0, "{from:?} to {to:?}, {hz} Hz: {added:.1} dB");
        }
    }
}

#[test]
fn tones_that_the_lower_rate_cannot_carry_fall_by_50_db() {
    let amplitude = 16_000.0;
    for (from, to) in pairs().filter(|(from, to)| from > to) {
        let (half, top) = (f64::from(to.hz()) / 2.0, f64::from(from.hz()) / 2.0);
        for share in [0.0, 0.02, 0.1, 0.3, 0.6, 0.95] {
            let hz = half + (top - half) * share + 5.0;
            let output = converted(from, to, &tone(from, hz, amplitude));
            let edge = output.len() / 5;
            let middle = &output[edge..output.len() - edge];
            let power = middle.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>();
            let left = db(power / middle.len() as f64 / (amplitude * amplitude / 2.0));
            assert!(left < -50.0, "{from:?} to {to:?}, {hz} Hz: {left:.1} dB");
        }
    }
}

#[test]
fn constant_input_stays_constant_at_every_phase() {
    for (from, to) in pairs() {
        let output = converted(from, to, &vec![10_000; from.hz() as usize / 4]);
        let edge = to.hz() as usize / 50;
        let middle = &output[edge..output.len() - edge];
        assert!(middle.iter().all(|s| *s == 10_000), "{from:?} to {to:?}");
    }
}

#[test]
fn the_loudest_input_saturates_instead_of_wrapping() {
    for (from, to) in pairs() {
        let input: Vec<i16> =
            (0..2_000).map(|n| if n / 40 % 2 == 0 { i16::MAX } else { i16::MIN }).collect();
        let output = converted(from, to, &input);
        // The middle of a half period: a wrapped overshoot would have the wrong sign.
        for cycle in 10..40 {
            let middle = (cycle * 40 + 20) * to.hz() as usize / from.hz() as usize;
            let positive = cycle % 2 == 0;
            assert_eq!(output[middle] > 16_000, positive, "{from:?} to {to:?} at {middle}");
            assert_eq!(output[middle] < -16_000, !positive, "{from:?} to {to:?} at {middle}");
        }
    }
}

#[test]
fn no_input_can_overflow_the_sum() {
    for (from, to) in pairs() {
        let filter = Filter::shared(from, to);
        for phase in 0..filter.phases {
            let weights = filter.phase(phase).iter().map(|c| i32::from(c.abs())).sum::<i32>();
            assert!(weights < 4 << COEFFICIENT_BITS, "{from:?} to {to:?}, phase {phase}");
        }
    }
}

#[test]
fn calls_share_one_table() {
    let first = Filter::shared(rate(44_100), INNER_RATE);
    assert!(std::ptr::eq(first, Filter::shared(rate(44_100), INNER_RATE)));
}

#[test]
fn a_flushed_resampler_begins_a_new_stream() {
    let input = tone(rate(8_000), 300.0, 9_000.0);
    let mut resampler = Resampler::to_inner(rate(8_000));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for output in [&mut first, &mut second] {
        resampler.process(&input, output);
        resampler.flush(output);
    }
    assert_eq!(first, second);
    assert_eq!(first.len(), input.len() * 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_output_is_the_same_however_the_input_is_cut(
        input in prop::collection::vec(any::<i16>(), 0..3_000),
        cuts in prop::collection::vec(0_usize..700, 0..12),
        hz in prop::sample::select(SampleRate::SUPPORTED_HZ.to_vec()),
        inward: bool,
    ) {
        let (from, to) = if inward { (rate(hz), INNER_RATE) } else { (INNER_RATE, rate(hz)) };
        let mut resampler = Resampler::new(from, to);
        let (mut output, mut rest) = (Vec::new(), &input[..]);
        for cut in cuts {
            let (piece, behind) = rest.split_at(cut.min(rest.len()));
            resampler.process(piece, &mut output);
            rest = behind;
        }
        resampler.process(rest, &mut output);
        resampler.flush(&mut output);
        prop_assert_eq!(output, converted(from, to, &input));
    }

    #[test]
    fn duration_is_kept(
        samples in 0_usize..5_000,
        hz in prop::sample::select(SampleRate::SUPPORTED_HZ.to_vec()),
        inward: bool,
    ) {
        let (from, to) = if inward { (rate(hz), INNER_RATE) } else { (INNER_RATE, rate(hz)) };
        let expected = (samples * to.hz() as usize).div_ceil(from.hz() as usize);
        prop_assert_eq!(converted(from, to, &vec![0; samples]).len(), expected);
    }
}
