//! WAV files as they come, in whatever pieces and however many.

use proptest::prelude::*;

use super::*;
use crate::media::wav::{write_mono, write_stereo};
use crate::types::{INNER_RATE, SampleRate};

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn file(samples: &[i16]) -> Vec<u8> {
    write_mono(INNER_RATE, samples)
}

fn with_size(samples: &[i16], bytes: u32) -> Vec<u8> {
    let mut file = file(samples);
    file[40..44].copy_from_slice(&bytes.to_le_bytes());
    file
}

fn heard(body: &[u8]) -> Result<Vec<i16>, WavError> {
    heard_in_parts([body])
}

fn heard_in_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<i16>, WavError> {
    let (mut stream, mut samples) = (WavStream::default(), Vec::new());
    for part in parts {
        stream.read(part, &mut samples)?;
    }
    stream.end(&mut samples).map(|()| samples)
}

fn tone(hz: f64, rate: SampleRate, ms: u32) -> Vec<i16> {
    let step = std::f64::consts::TAU * hz / f64::from(rate.hz());
    (0..rate.samples_in_ms(ms)).map(|at| (8_000.0 * (step * at as f64).sin()) as i16).collect()
}

fn pitch(samples: &[i16]) -> usize {
    samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count()
}

#[test]
fn several_files_are_one_sound_whatever_size_they_declare() {
    let parts: [&[i16]; 3] = [&[1, 2, 3], &[4, 5], &[6]];
    let bodies = [
        parts.map(file).concat(),
        parts.map(|part| with_size(part, u32::MAX)).concat(),
        parts.map(|part| with_size(part, 0)).concat(),
        parts.map(|part| with_size(part, 1_000)).concat(),
    ];
    for body in bodies {
        assert_eq!(heard(&body), Ok(vec![1, 2, 3, 4, 5, 6]));
    }
}

#[test]
fn half_a_sample_at_the_end_of_a_file_costs_nothing() {
    let odd = [with_size(&[1, 2], u32::MAX), vec![9], file(&[3]), vec![9]].concat();
    assert_eq!(heard(&odd), Ok(vec![1, 2, 3]));
    assert_eq!(heard(&with_size(&[1, 2], 3)), Ok(vec![1]));
    let stereo = write_stereo(INNER_RATE, &[100, 200], &[300, 400]);
    assert_eq!(heard(&stereo[..stereo.len() - 1]), Ok(vec![200]));
}

#[test]
fn what_stands_around_the_audio_is_not_heard() {
    let mut body = file(&[1, 2]);
    body.splice(36..36, *b"LIST\x03\0\0\0abc");
    body.extend_from_slice(b"LIST\x03\0\0\0abcid3 \x02\0\0\0ab");
    body.extend(file(&[3]));
    assert_eq!(heard(&body), Ok(vec![1, 2, 3]));
    let mut empty_first = file(&[1, 2]);
    empty_first.splice(36..36, *b"data\0\0\0\0LIST\x02\0\0\0ab");
    assert_eq!(heard(&empty_first), Ok(vec![1, 2]));
    assert_eq!(heard(&file(&[])), Ok(vec![]), "nothing is heard of an empty file");
}

#[test]
fn another_rate_is_converted_at_its_right_pitch_and_may_change_from_file_to_file() {
    for hz in [8_000, 11_025, 22_050, 24_000, 32_000, 44_100, 48_000] {
        let converted = heard(&write_mono(rate(hz), &tone(440.0, rate(hz), 500))).unwrap();
        assert!(converted.len().abs_diff(8_000) <= 1, "{hz}: {}", converted.len());
        assert!(pitch(&converted).abs_diff(220) <= 1, "{hz}: {}", pitch(&converted));
    }
    let two = [8_000, 22_050].map(|hz| write_mono(rate(hz), &tone(440.0, rate(hz), 500)));
    assert!(heard(&two.concat()).unwrap().len().abs_diff(16_000) <= 2);
}

/// A file of floats, with so many bytes more in it.
fn floats(samples: &[i16], more: usize) -> Vec<u8> {
    let mut file = file(&[]);
    file[20..22].copy_from_slice(&3_u16.to_le_bytes());
    file[34..36].copy_from_slice(&32_u16.to_le_bytes());
    file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
    file.extend(samples.iter().flat_map(|it| (f32::from(*it) / 32_768.0).to_le_bytes()));
    file.extend(vec![9; more]);
    file
}

#[test]
fn floats_are_heard_wherever_they_are_cut_and_may_be_followed_by_other_files() {
    let body = [floats(&[1, -2, 300], 3), floats(&[4], 0), file(&[5]), floats(&[6], 1)].concat();
    for cut in [1, 2, 3, 7, 1_000] {
        assert_eq!(heard_in_parts(body.chunks(cut)), Ok(vec![1, -2, 300, 4, 5, 6]), "{cut}");
    }
}

#[test]
fn a_further_file_that_cannot_be_read_fails_and_one_that_is_only_begun_does_not() {
    let mut unread = file(&[1]);
    unread[20..22].copy_from_slice(&3_u16.to_le_bytes());
    let broken = heard(&[file(&[1]), unread].concat());
    assert_eq!(broken, Err(WavError::Codec { tag: 3, bits: 16 }));
    assert_eq!(heard(&[&file(&[1])[..], b"RIFF....WAVEfmt "].concat()), Ok(vec![1]));
    assert_eq!(heard(b"RIFF....WAVE"), Err(WavError::NoFormat));
    assert_eq!(heard(b"RIFF"), Err(WavError::NotWav));
}

#[test]
fn what_stands_before_the_audio_has_a_limit() {
    let mut body = file(&[1]);
    body.splice(36..36, [&b"LIST\0\0\x20\0"[..], &vec![0; HEAD_BYTES_MAX]].concat());
    assert_eq!(heard(&body), Err(WavError::HeadTooLong { bytes_max: HEAD_BYTES_MAX }));
}

proptest! {
    #[test]
    fn a_body_may_be_cut_anywhere(
        files in prop::collection::vec(
            (prop::collection::vec(any::<i16>(), 0..20), prop_oneof![
                Just(None), Just(Some(0)), Just(Some(u32::MAX)), (0_u32..90).prop_map(Some)
            ], prop::collection::vec(any::<u8>(), 0..4)),
            1..4,
        ),
        cuts in prop::collection::vec(1_usize..9, 1..60),
    ) {
        let body: Vec<u8> = files
            .iter()
            .flat_map(|(samples, size, more)| {
                let file = size.map_or_else(|| file(samples), |size| with_size(samples, size));
                [file, more.clone()].concat()
            })
            .collect();
        let (mut parts, mut rest) = (Vec::new(), body.as_slice());
        for &cut in cuts.iter().cycle() {
            let (part, behind) = rest.split_at(cut.min(rest.len()));
            parts.push(part);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(heard_in_parts(parts), heard(&body));
    }

    #[test]
    fn no_body_gives_more_samples_than_it_has(
        size in any::<u32>(),
        name in prop_oneof![Just(*b"LIST"), Just(*b"data"), Just(*b"fmt ")],
        at in 0_usize..60,
        cut in 0_usize..100,
    ) {
        let mut body = file(&[7; 20]);
        body.splice(at..at, [name, size.to_le_bytes()].concat());
        body.truncate(cut);
        prop_assert!(heard(&body).map_or(0, |samples| samples.len()) <= cut / 2 + 1);
    }
}
