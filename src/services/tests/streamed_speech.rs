//! `generic-http` with a server that streams its speech.

use std::future::poll_fn;
use std::time::Duration;

use super::scripted_server::{ScriptedServer, Step};
use super::speech::{sentence, synthesiser, synthesiser_at};
use crate::media::wav;
use crate::services::{Speech, SpeechStream, TextToSpeech};
use crate::types::{INNER_RATE, SampleRate, SpeechAudio, TtsFailure};

fn samples(count: usize) -> Vec<i16> {
    (0..count).map(|at| (at * 31) as i16).collect()
}

fn raw(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

fn chunks(body: &[u8], size: usize) -> Vec<Vec<u8>> {
    body.chunks(size).map(<[u8]>::to_vec).collect()
}

fn stream(speech: Speech) -> SpeechStream {
    match speech {
        Speech::Growing(stream) => stream,
        Speech::Whole(audio) => panic!("it is whole: {audio:?}"),
    }
}

async fn next(stream: &mut SpeechStream) -> Option<Result<SpeechAudio, TtsFailure>> {
    poll_fn(|task| stream.poll_piece(task)).await
}

/// What comes of a stream, and of asking for it whole.
async fn synthesize(chunks: Vec<Vec<u8>>) -> Result<Vec<i16>, TtsFailure> {
    let server =
        ScriptedServer::start(vec![Step::Stream { every_ms: 0, chunks, ends: Some(true) }]);
    let whole = synthesiser(&server).synthesize(sentence()).await;
    let grown = match synthesiser(&server).speak(sentence()).await {
        Ok(speech) => speech.whole().await,
        Err(failure) => Err(failure),
    };
    assert_eq!(whole, grown);
    whole.map(|audio| audio.samples().to_vec())
}

#[tokio::test]
async fn what_came_is_heard_although_the_end_is_yet_to_come() {
    let expected = samples(16_000);
    let step = Step::Stream { every_ms: 5, chunks: chunks(&raw(&expected), 8_000), ends: None };
    let server = ScriptedServer::start(vec![step]);
    let mut stream = stream(synthesiser(&server).speak(sentence()).await.unwrap());
    let mut heard = Vec::new();
    while heard.len() < expected.len() {
        let piece = next(&mut stream).await.expect("it goes on").expect("nothing breaks");
        heard.extend_from_slice(piece.samples());
    }
    assert_eq!(heard, expected);
}

#[tokio::test]
async fn a_stream_may_be_cut_anywhere() {
    let expected = samples(5_000);
    assert_eq!(synthesize(chunks(&raw(&expected), 1)).await.as_ref(), Ok(&expected));
    for size in [0, u32::MAX, 10_000] {
        let mut file = wav::write_mono(INNER_RATE, &expected);
        file[40..44].copy_from_slice(&size.to_le_bytes());
        for cut in [1, 3, 4_099] {
            assert_eq!(synthesize(chunks(&file, cut)).await.as_ref(), Ok(&expected));
        }
    }
}

#[tokio::test]
async fn several_files_and_half_a_sample_more_are_heard_to_the_end() {
    let expected = samples(12_000);
    let files: Vec<Vec<u8>> = expected
        .chunks(4_000)
        .flat_map(|part| {
            let mut file = wav::write_mono(INNER_RATE, part);
            file[40..44].copy_from_slice(&u32::MAX.to_le_bytes());
            [file, vec![7]]
        })
        .collect();
    assert_eq!(synthesize(files).await.as_ref(), Ok(&expected));
    let odd = [raw(&expected), vec![7]].concat();
    assert_eq!(synthesize(chunks(&odd, 999)).await.as_ref(), Ok(&expected));
}

#[tokio::test]
async fn another_rate_is_converted() {
    let rate = SampleRate::new(22_050).unwrap();
    let heard = synthesize(chunks(&wav::write_mono(rate, &samples(22_050)), 999)).await;
    assert_eq!(heard.map(|heard| heard.len()), Ok(16_000));
}

#[tokio::test]
async fn a_stream_that_is_no_speech_fails_as_a_whole_answer_does() {
    let mut other_rate = wav::write_mono(INNER_RATE, &samples(8_000));
    other_rate[24..28].copy_from_slice(&12_345_u32.to_le_bytes());
    let too_long = vec![vec![16; 0x10_0000]; 13];
    for body in [Vec::new(), chunks(&other_rate, 7), too_long] {
        let outcome = synthesize(body).await;
        assert!(matches!(outcome, Err(TtsFailure::Failed { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_sentence_fails_behind_what_came() {
    let chunks = chunks(&raw(&samples(16_000)), 8_000);
    let step = Step::Stream { every_ms: 10, chunks, ends: Some(false) };
    let server = ScriptedServer::start(vec![step]);
    let mut stream = stream(synthesiser(&server).speak(sentence()).await.unwrap());
    let mut heard = 0;
    let failure = loop {
        match next(&mut stream).await {
            Some(Ok(piece)) => heard += piece.samples().len(),
            other => break other,
        }
    };
    assert!(matches!(failure, Some(Err(TtsFailure::Unavailable { .. }))), "{failure:?}");
    assert_eq!(heard, 16_000);
}

#[tokio::test]
async fn a_stream_that_brings_nothing_at_first_is_a_timeout() {
    let step = Step::Stream { every_ms: 0, chunks: vec![raw(&[1])], ends: None };
    let server = ScriptedServer::start(vec![step]);
    let outcome = synthesiser_at(server.url(""), 200).speak(sentence()).await;
    assert!(matches!(outcome, Err(TtsFailure::Timeout)), "{outcome:?}");
}

#[tokio::test]
async fn letting_go_of_the_stream_closes_the_connection() {
    let step = Step::Stream { every_ms: 0, chunks: vec![raw(&samples(8_000))], ends: None };
    let server = ScriptedServer::start(vec![step]);
    let mut stream = stream(synthesiser(&server).speak(sentence()).await.unwrap());
    assert!(next(&mut stream).await.is_some());
    assert_eq!(server.left(), 0);
    drop(stream);
    let closed = async {
        while server.left() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), closed).await.expect("the reader goes");
}
