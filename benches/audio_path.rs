//! What a call costs on the audio path, stage by stage: `cargo bench`.
//!
//! Each figure is for one second of a call's audio, so that stages can be added up.
//! Compare figures of one run only; the machine decides the rest.

use antiphon::media::detector::new_detector;
use antiphon::media::silero::{Level, Silero};
use antiphon::media::{
    Decoder, Encoder, Playout, PlayoutStep, Resampler, SpeechFinder, audio_ring,
};
use antiphon::types::{
    Codec, Detector, INNER_RATE, ListeningSettings, MediaFormat, Now, SampleRate, SentenceId,
    SpeechAudio,
};
use divan::{Bencher, black_box};

/// Frames of 20 ms in a second.
const FRAMES: usize = 50;

fn main() {
    divan::main();
}

/// A human voice, "go forward ten meters", repeated to fill a second.
fn speech() -> Vec<i16> {
    const RECORDING: &[u8] = include_bytes!("../tests/audio/goforward.raw");
    let samples = RECORDING.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]]));
    samples.skip(8_000).take(16_000).collect()
}

fn hertz(hz: u32) -> SampleRate {
    SampleRate::new(hz).expect("a supported rate")
}

#[divan::bench(args = [Codec::Pcm16, Codec::Mulaw])]
fn decode(bencher: Bencher, codec: Codec) {
    let format = MediaFormat::new(codec, 8_000, 1).expect("a supported format");
    let mut bytes = Vec::new();
    Encoder::new(format).encode(&speech()[..8_000], &mut bytes);
    let frame_bytes = bytes.len() / FRAMES;
    let (mut decoder, mut samples) = (Decoder::new(format), Vec::new());
    bencher.bench_local(|| {
        for frame in bytes.chunks(frame_bytes) {
            samples.clear();
            decoder.decode_stream(black_box(frame), &mut samples);
        }
    });
}

#[divan::bench(args = [8_000, 24_000, 48_000])]
fn resample_to_inner(bencher: Bencher, hz: u32) {
    let rate = hertz(hz);
    let second: Vec<i16> = speech().into_iter().cycle().take(hz as usize).collect();
    let (mut resampler, mut out) = (Resampler::to_inner(rate), Vec::new());
    bencher.bench_local(|| {
        for frame in second.chunks(rate.samples_in_ms(20)) {
            out.clear();
            resampler.process(black_box(frame), &mut out);
        }
    });
}

/// One window: 32 ms of silero, 16 ms of earshot.
#[divan::bench(args = [Detector::Silero, Detector::Earshot])]
fn detect_a_window(bencher: Bencher, kind: Detector) {
    let mut detector = new_detector(kind);
    let second = speech();
    let mut windows = second.chunks_exact(detector.window_samples()).cycle();
    bencher
        .bench_local(|| detector.speech_probability(black_box(windows.next().expect("endless"))));
}

/// One window of 32 ms on each kind of processor that this one is of.
#[divan::bench(args = Level::available())]
fn detect_a_window_with_silero(bencher: Bencher, level: Level) {
    let mut silero = Silero::at_level(level);
    let second = speech();
    let mut windows = second.as_chunks().0.iter().cycle();
    bencher.bench_local(|| silero.speech_probability(black_box(windows.next().expect("endless"))));
}

/// A thousand calls in turn, one window each: every call finds its own state cold.
#[divan::bench(args = [Detector::Silero, Detector::Earshot])]
fn detect_a_window_of_a_thousand_calls(bencher: Bencher, kind: Detector) {
    let mut detectors: Vec<_> = (0..1_000).map(|_| new_detector(kind)).collect();
    let second = speech();
    bencher.bench_local(|| {
        for detector in &mut detectors {
            let window = &second[..detector.window_samples()];
            black_box(detector.speech_probability(black_box(window)));
        }
    });
}

#[divan::bench(args = [Detector::Silero, Detector::Earshot])]
fn listen_to_speech(bencher: Bencher, kind: Detector) {
    listen(bencher, kind, &speech());
}

#[divan::bench(args = [Detector::Silero, Detector::Earshot])]
fn listen_to_silence(bencher: Bencher, kind: Detector) {
    listen(bencher, kind, &vec![0; 16_000]);
}

fn listen(bencher: Bencher, detector: Detector, second: &[i16]) {
    let settings = ListeningSettings { detector, ..ListeningSettings::default() };
    let mut finder = SpeechFinder::new(&settings, 200);
    bencher.bench_local(|| {
        for frame in second.chunks(INNER_RATE.samples_in_ms(20)) {
            finder.handle_samples(black_box(frame));
            while finder.poll_event().is_some() {}
        }
    });
}

#[divan::bench]
fn cross_a_ring(bencher: Bencher) {
    let second = speech();
    let (mut producer, mut consumer) = audio_ring::<Now>(5_120, 64);
    let mut out = Vec::with_capacity(320);
    bencher.bench_local(|| {
        for frame in second.chunks(320) {
            producer.push(black_box(frame), Now(0));
            out.clear();
            consumer.pop(320, &mut out);
        }
    });
}

#[divan::bench]
fn play_out(bencher: Bencher) {
    let audio = SpeechAudio::new(speech());
    bencher.bench_local(|| {
        let mut playout = Playout::paced(100, 160);
        playout.enqueue(SentenceId(1), audio.clone());
        let mut samples = 0;
        for tick in 0..=100 {
            let now = Now::default().plus_ms(tick * 10);
            while let Some(step) = playout.poll(now, 5_000) {
                if let PlayoutStep::Due { from, to, .. } = step {
                    samples += to - from;
                }
            }
        }
        assert_eq!(black_box(samples), 16_000);
    });
}
