//! Counts what calls in steady state ask of the heap, and fails when it is more than
//! stated: an audio path that allocates for a frame is late when others allocate too.
//!
//! Ten calls at once go through the real actors, from the bytes of a carrier to the
//! bytes for it, in virtual time, so that every run counts the same. Sockets are not
//! part of it: what a WebSocket message costs its library is not counted here.

#![allow(unsafe_code, reason = "an allocator is unsafe by its nature")]
#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod stage;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use antiphon::telemetry::Prometheus;
use antiphon::types::{Codec, INNER_RATE, MediaFormat, SampleRate};
use stage::{Audio, Caller, FRAME_MS, Stage, peers, speech, virtual_time};
use tokio::time::sleep;

const CALLS: u64 = 10;

/// How long each state is counted.
const COUNTED_MS: u32 = 10_000;

/// What comes before it, so that the state is a steady one.
const SETTLING_MS: u32 = 1_000;

/// The buffer of an utterance grows by half a second at a time, of which whole windows of
/// the detector are used.
const GROWTH_MS: u32 = 480;

/// The metrics' recorder keeps the values of a histogram in blocks of so many. One value
/// comes of each tick of a media thread, and one for either ring of each look at a call,
/// once a second: none of a frame.
const METRICS_BLOCK: u64 = 64;

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn main() -> ExitCode {
    let _recorder = Prometheus::install().expect("the only one of this process");
    let rate = SampleRate::new(8_000).expect("a supported rate");
    let formats = [
        ("16 kHz PCM", MediaFormat::pcm16(INNER_RATE)),
        ("8 kHz µ-law", MediaFormat { codec: Codec::Mulaw, rate, channels: 1 }),
    ];
    println!("{CALLS} calls, {} s of each state\n", COUNTED_MS / 1_000);
    println!("{:<12} {:<10} frames in  frames out  allocations  allowed", "", "");
    let mut kept = true;
    for (name, format) in formats {
        for count in virtual_time().block_on(count(format)) {
            kept &= count.allocations <= count.allowed;
            println!("{name:<12} {count}");
        }
    }
    if kept {
        ExitCode::SUCCESS
    } else {
        println!("\nmore than allowed: something allocates for every frame");
        ExitCode::FAILURE
    }
}

/// What was counted in one state.
struct Count {
    state: &'static str,
    frames_in: u64,
    frames_out: u64,
    allocations: u64,
    allowed: u64,
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { state, frames_in, frames_out, allocations, allowed } = self;
        write!(f, "{state:<10} {frames_in:>9}  {frames_out:>10}  {allocations:>11}  {allowed:>7}")
    }
}

async fn count(format: MediaFormat) -> [Count; 3] {
    let mut config = peers();
    // Longer than it is counted.
    config.tts.tone.audio_ms = 3 * SETTLING_MS + COUNTED_MS;
    let stage = Stage::new(&config);
    let mut callers = Vec::new();
    for nth in 0..CALLS {
        callers.push(stage.call(&format!("call-{nth}"), format).await);
    }
    let speech = at_rate(&speech(), format);
    let (speech, silence) =
        (Audio::new(&speech, format), Audio::new(&vec![0; speech.len()], format));

    // One turn, so that every buffer has the size that it needs.
    send(&callers, &speech, 2 * SETTLING_MS).await;
    send(&callers, &silence, config.tts.tone.audio_ms + 2 * SETTLING_MS).await;

    let metrics = metrics(config.server.tick_ms);
    let quiet = counted("quiet", &callers, &silence, metrics).await;
    send(&callers, &speech, SETTLING_MS).await;
    let growths = CALLS * u64::from(COUNTED_MS.div_ceil(GROWTH_MS));
    let speaking = counted("speaking", &callers, &speech, metrics + growths).await;
    send(&callers, &silence, 2 * SETTLING_MS).await;
    let answered = counted("answered", &callers, &silence, metrics).await;
    assert!(speaking.frames_out == 0 && answered.frames_out > 0, "they say what they are");
    [quiet, speaking, answered]
}

/// Blocks that the metrics may need meanwhile.
fn metrics(tick_ms: u32) -> u64 {
    let blocks = |values: u64| values.div_ceil(METRICS_BLOCK) + 1;
    let looks = CALLS * u64::from(COUNTED_MS / 1_000);
    blocks(u64::from(COUNTED_MS / tick_ms)) + 2 * blocks(looks)
}

/// The same at the rate of a carrier, well enough to be heard as speech.
fn at_rate(samples: &[i16], format: MediaFormat) -> Vec<i16> {
    let step = (INNER_RATE.hz() / format.rate.hz()) as usize;
    samples.iter().copied().step_by(step).collect()
}

async fn counted(state: &'static str, callers: &[Caller], audio: &Audio, allowed: u64) -> Count {
    let heard = || callers.iter().map(|caller| caller.heard().frames.get()).sum::<u64>();
    let (frames_before, before) = (heard(), ALLOCATIONS.load(Ordering::Relaxed));
    let frames_in = send(callers, audio, COUNTED_MS).await;
    let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
    Count { state, frames_in, frames_out: heard() - frames_before, allocations, allowed }
}

/// Every caller sends the audio, again and again. Returns how many frames were sent.
async fn send(callers: &[Caller], audio: &Audio, ms: u32) -> u64 {
    let frames = audio.frames().cycle().take((ms / FRAME_MS) as usize);
    let mut sent = 0;
    for frame in frames {
        callers.iter().for_each(|caller| caller.send(frame));
        sent += callers.len() as u64;
        sleep(Duration::from_millis(u64::from(FRAME_MS))).await;
    }
    sent
}
