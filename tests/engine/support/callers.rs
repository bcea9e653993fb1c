//! Callers of the load generator, who notice every piece of audio that is lost, repeated,
//! moved or crossed.

use antiphon::load::{
    self, CallerSettings, LoadPlan, Report, Schedule, SpanMs, Speech, Stage, TalkPattern, Target,
    ValidityLimits,
};
use antiphon::types::INNER_RATE;

use super::{Engine, Setup, eventually};

/// An engine whose recogniser and voice speak in numbers.
pub fn coded() -> Setup {
    Setup::bare()
        .key("ROUTE__STT", "coded")
        .key("ROUTE__DIALOG", "echo")
        .key("ROUTE__TTS", "coded")
        .key("TTS__CODED__WORDS", "3")
        .key("ROUTE__LISTENING__SILENCE_MS_END", "900")
        .key("ROUTE__LISTENING__BURST_MS_MAX", "30000")
        .key("ROUTE__TURNS__INTERRUPTIBLE", "false")
}

/// So many callers over the carrier at `url`, who speak in numbers and verify what they hear.
pub fn plan(url: &str, calls: u32, hold_s: f64) -> LoadPlan {
    let target = Target::parse(url).expect("an address");
    let span = |min, max| SpanMs::new(min, max).expect("a span");
    LoadPlan {
        schedule: Schedule::Held(vec![Stage { calls, ramp_s: 1.0, hold_s }]),
        caller: CallerSettings {
            chunk_ms: target.carrier.usual_chunk_ms(),
            has_line_noise: true,
            answer_ms_max: 60_000,
            ..CallerSettings::new(INNER_RATE)
        },
        target,
        pattern: TalkPattern {
            speech_ms: span(700, 1_100),
            pause_ms: span(300, 600),
            ..TalkPattern::default()
        },
        speech: Speech::Coded,
        must_verify: true,
        seed: 1,
        threads: 1,
        retries_max: 0,
        limits: ValidityLimits::default(),
    }
}

/// Runs a plan to its end.
pub async fn run(plan: LoadPlan) -> Report {
    let running = load::start(plan).expect("the run starts");
    eventually("the run is over", async || running.is_over().then_some(())).await;
    running.report().expect("a report")
}

/// The engine's audio stream.
pub fn stream(engine: &Engine) -> String {
    format!("{}/v1/stream", engine.http.replace("http", "ws"))
}
