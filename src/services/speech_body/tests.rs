//! What a synthesiser may answer, and what is heard of it.

use serde::Deserialize;

use super::*;
use crate::media::g711::{alaw_encode, mulaw_encode};
use crate::media::wav::write_mono;
use crate::types::SampleRate;

fn heard(media_type: &str, body: &[u8]) -> Result<Vec<i16>, SpeechBodyError> {
    heard_in_parts(media_type, body, body.len().max(1))
}

fn heard_in_parts(media_type: &str, body: &[u8], cut: usize) -> Result<Vec<i16>, SpeechBodyError> {
    let mut speech = SpeechBody::new(&MediaType::parse(media_type))?;
    let mut samples = Vec::new();
    for part in body.chunks(cut) {
        speech.read(part, &mut samples)?;
    }
    speech.end(&mut samples).map(|()| samples)
}

fn tone(rate_hz: u32, ms: u32) -> Vec<i16> {
    let rate = SampleRate::new(rate_hz).unwrap();
    let step = std::f64::consts::TAU * 440.0 / f64::from(rate_hz);
    (0..rate.samples_in_ms(ms)).map(|at| (8_000.0 * (step * at as f64).sin()) as i16).collect()
}

fn raw(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn wav(rate_hz: u32, ms: u32) -> Vec<u8> {
    write_mono(SampleRate::new(rate_hz).unwrap(), &tone(rate_hz, ms))
}

/// Waves of a second of the tone, and how long it lasts.
fn ms_and_pitch(samples: &[i16]) -> (usize, usize) {
    let waves = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    (samples.len() / 16, waves * 16_000 / samples.len())
}

/// A tone as it is to be heard, whatever way it came.
fn assert_tone(what: &str, ms: usize, samples: &Result<Vec<i16>, SpeechBodyError>) {
    let samples = samples.as_ref().unwrap_or_else(|error| panic!("{what}: {error}"));
    let (found_ms, hz) = ms_and_pitch(samples);
    assert!(found_ms.abs_diff(ms) <= 1, "{what}: {found_ms} ms");
    assert!(hz.abs_diff(440) <= 6, "{what}: {hz} Hz");
    assert!(samples.iter().all(|sample| sample.unsigned_abs() < 9_000), "{what}: a click");
}

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "type")]
    media_type: String,
    body: String,
    want: String,
    #[serde(default)]
    encoding: String,
    #[serde(default)]
    status: u16,
}

/// The bodies that the cases tell in words.
fn body_of(words: &str) -> Vec<u8> {
    let unsized_wav = |ms| {
        let mut file = wav(16_000, ms);
        file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
        file
    };
    match words {
        "one WAV file, 16 kHz, 16 bit" => wav(16_000, 900),
        "WAV header with size 0xFFFFFFFF, then samples until the end" => unsized_wav(900),
        "three WAV files of 300 ms, one after the other, sizes right" => wav(16_000, 300).repeat(3),
        "three WAV files of 300 ms, sizes 0xFFFFFFFF" => unsized_wav(300).repeat(3),
        "WAV of 22,050 Hz" => wav(22_050, 900),
        "samples" => raw(&tone(8_000, 900)),
        "samples and one byte more" => [raw(&tone(16_000, 900)), vec![7]].concat(),
        "MP3" => [&[0xff, 0xfb, 0x90, 0x64][..], &[0x55; 413]].concat().repeat(30),
        "MP3 with an ID3 tag" => [&b"ID3\x04\0\0\0\0\0\0"[..], &[0x55; 9_000]].concat(),
        "OggS…" => [&b"OggS\0\x02"[..], &[0x55; 9_000]].concat(),
        "µ-law, 8 kHz" => tone(8_000, 900).into_iter().map(mulaw_encode).collect(),
        text if text.starts_with('{') => text.as_bytes().to_vec(),
        unknown => panic!("no body is known for {unknown:?}"),
    }
}

#[test]
fn the_cases_come_out_as_they_should() {
    let cases = include_str!("../../../tests/cases/speech-bodies.jsonl");
    for line in cases.lines() {
        let case: Case = serde_json::from_str(line).expect("a case");
        // Another layer's: services/tests/speech.rs has these.
        if !case.encoding.is_empty() || case.status != 0 {
            continue;
        }
        let body = body_of(&case.body);
        for cut in [1, 13, body.len()] {
            let outcome = heard_in_parts(&case.media_type, &body, cut);
            if case.want.starts_with("refused") {
                let error = outcome.expect_err(&case.body).to_string();
                assert!(case.media_type.is_empty() || error.contains(&case.media_type), "{error}");
                assert!(!error.contains("quota"), "{error}");
            } else {
                assert_tone(&case.body, 900, &outcome);
            }
        }
    }
}

#[test]
fn every_way_to_say_which_samples_they_are_is_understood() {
    let samples = tone(16_000, 500);
    let big: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    let stereo: Vec<u8> = samples.iter().flat_map(|it| raw(&[*it, *it])).collect();
    let mulaw: Vec<u8> = tone(8_000, 500).into_iter().map(mulaw_encode).collect();
    let alaw: Vec<u8> = tone(8_000, 500).into_iter().map(alaw_encode).collect();
    let cases: [(&str, Vec<u8>); 16] = [
        ("", raw(&samples)),
        ("application/octet-stream", raw(&samples)),
        ("audio/pcm", raw(&samples)),
        ("AUDIO/PCM; Rate=\"24000\"", raw(&tone(24_000, 500))),
        ("audio/x-pcm;bit=16;rate=16000", raw(&samples)),
        ("audio/pcm;encoding=signed-int;bits=16;rate=16000;big-endian=false", raw(&samples)),
        ("audio/l16;rate=16000;channels=1", raw(&samples)),
        ("audio/L16;rate=16000", big.clone()),
        ("audio/l16;endianness=big-endian", big.clone()),
        ("audio/pcm;endian=big", big),
        ("audio/l16;rate=44100", raw(&tone(44_100, 500))),
        ("audio/pcm;channels=2", stereo),
        ("audio/x-wav; codecs=audio/pcm; samplerate=16000", wav(16_000, 500)),
        ("audio/basic", mulaw.clone()),
        ("audio/x-mulaw;rate=8000;channels=1", mulaw),
        ("audio/pcma", alaw),
    ];
    for (media_type, body) in cases {
        for cut in [1, 1_001] {
            assert_tone(media_type, 500, &heard_in_parts(media_type, &body, cut));
        }
    }
    assert_tone("a WAV file", 500, &heard("audio/pcm;rate=8000", &wav(24_000, 500)));
}

#[test]
fn what_is_declared_as_something_else_is_refused_with_its_name() {
    for media_type in [
        "audio/mpeg",
        "audio/ogg;codecs=opus",
        "audio/webm",
        "audio/aac",
        "audio/flac",
        "audio/l24;rate=16000",
        "video/mp4",
        "application/json",
        "application/problem+json",
        "application/xml",
        "text/html; charset=utf-8",
        "multipart/mixed",
    ] {
        let error = heard(media_type, &raw(&tone(16_000, 500))).unwrap_err().to_string();
        let name = media_type.split(';').next().unwrap();
        assert!(error.contains(name), "{error}");
    }
}

#[test]
fn a_coding_a_size_a_rate_and_channels_that_are_not_read_are_refused() {
    for (media_type, reason) in [
        ("audio/pcm;encoding=float", "coding"),
        ("audio/pcm;format=f32le", "coding"),
        ("audio/pcm;bits=24", "sample size"),
        ("audio/pcm;rate=fast", "rate"),
        ("audio/pcm;rate=7999", "7999"),
        ("audio/pcm;channels=6", "6 channels"),
        ("audio/basic;channels=-1", "number of channels"),
    ] {
        let error = heard(media_type, &raw(&tone(16_000, 500))).unwrap_err().to_string();
        assert!(error.contains(reason), "{media_type}: {error}");
    }
    let mut adpcm = wav(16_000, 500);
    adpcm[20..22].copy_from_slice(&17_u16.to_le_bytes());
    adpcm[34..36].copy_from_slice(&4_u16.to_le_bytes());
    let error = heard("audio/wav", &adpcm).unwrap_err().to_string();
    assert!(error.contains("WAV format 17 with 4 bits"), "{error}");
}

#[test]
fn bytes_that_are_no_such_samples_are_never_heard() {
    let samples = tone(16_000, 2_000);
    let floats: Vec<u8> =
        samples.iter().flat_map(|it| (f32::from(*it) / 32_768.0).to_le_bytes()).collect();
    let mulaw: Vec<u8> = samples.iter().map(|sample| mulaw_encode(*sample)).collect();
    let big: Vec<u8> = samples.iter().flat_map(|sample| sample.to_be_bytes()).collect();
    for (what, body) in [("floats", floats), ("µ-law", mulaw), ("big-endian", big)] {
        for media_type in ["", "application/octet-stream", "audio/pcm"] {
            let mut speech = SpeechBody::new(&MediaType::parse(media_type)).unwrap();
            let mut heard = Vec::new();
            let outcome = body.chunks(999).try_for_each(|part| speech.read(part, &mut heard));
            assert!(matches!(outcome, Err(SpeechBodyError::Noise(_))), "{what}, {media_type}");
            assert!(heard.is_empty(), "{what}, {media_type}");
        }
    }
}

#[test]
fn a_wav_file_that_is_none_and_nothing_at_all_are_refused() {
    let error = heard("audio/wav", &raw(&tone(16_000, 500))).unwrap_err();
    assert_eq!(error, SpeechBodyError::Wav(WavError::NotWav));
    for media_type in ["", "audio/wav", "audio/pcm"] {
        assert_eq!(heard(media_type, &[]), Err(SpeechBodyError::Empty));
    }
    assert_eq!(heard("audio/pcm", &[7]), Err(SpeechBodyError::Empty));
    assert_eq!(heard("audio/wav", &wav(16_000, 0)), Err(SpeechBodyError::Empty));
}
