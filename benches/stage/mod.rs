//! What the benches of whole calls share: an engine on the current thread with the
//! providers of `peers.toml`, which answer at once, and callers of it. Nothing waits
//! for real time: the clock is paused and runs on when there is nothing to do, so what
//! a bench measures is work. Its events go nowhere, and no socket is part of it.

#![allow(dead_code, reason = "every bench uses a part of this")]

use std::cell::Cell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_rt::{System, SystemRunner};
use antiphon::actors::link::{
    CallRequest, Delivery, LegCommand, LegInput, LegOutput, StreamOutcome, Switchboard,
};
use antiphon::actors::{
    CallKit, CallPlanner, CallRegistry, Clock, MediaThreads, RegistryParts, ServiceRuntime,
};
use antiphon::config::{self, Config, LimitSettings, RouteTable};
use antiphon::media::Encoder;
use antiphon::services::{PromptCache, Providers};
use antiphon::telemetry::{QueueLimits, Telemetry};
use antiphon::turn::all_sentences;
use antiphon::types::{CallTarget, CarrierCallId, EndCause, MediaFormat, Route};
use tokio::time::sleep;

/// What a caller sends at once.
pub const FRAME_MS: u32 = 20;

/// How the stream transport has replies handed over.
const DELIVERY: Delivery = Delivery::Paced { frame_ms: 100, lead_ms: 160 };

/// An actor system whose clock is paused.
pub fn virtual_time() -> SystemRunner {
    System::with_tokio_rt(|| {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().expect("a runtime can be built")
    })
}

/// The configuration of `peers.toml`.
pub fn peers() -> Config {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers.toml");
    config::load(Some(&file), []).expect("the configuration is right")
}

/// A human voice without a pause that would end the utterance, one second.
pub fn speech() -> Vec<i16> {
    goforward().into_iter().skip(8_000).take(16_000).collect()
}

/// A human voice: "go forward ten meters", one utterance within 2.8 seconds.
pub fn goforward() -> Vec<i16> {
    const RECORDING: &[u8] = include_bytes!("../../tests/audio/goforward.raw");
    RECORDING.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

/// Ids that are the same in each run.
fn counted() -> impl FnMut() -> Option<u128> + Send {
    let mut last = 0;
    move || {
        last += 1;
        Some(last)
    }
}

/// An engine on the current thread.
pub struct Stage {
    pub switchboard: Switchboard,
}

impl Stage {
    /// Starts one; within [`virtual_time`].
    pub fn new(config: &Config) -> Self {
        let (telemetry, _nobody_writes) = Telemetry::new(
            QueueLimits { queue_max: 1, batch_max: 1 },
            config.routes().all().map(|route| route.name.clone()).collect(),
        );
        let clock = Clock::start();
        let planner = Planner::new(config, clock, telemetry.clone());
        // How busy a thread is means nothing where time stands still.
        let limits = LimitSettings { late_ms_max: 0, busy_percent_max: 0, ..config.limits.clone() };
        let switchboard = CallRegistry::start(RegistryParts {
            clock,
            planner: Box::new(planner),
            threads: MediaThreads::here(clock, config.server.tick_ms, &limits, &telemetry),
            telemetry,
            limits,
            draw: Box::new(counted()),
            cores: 1,
        });
        Self { switchboard }
    }

    /// A caller whose carrier has this name for the call, with audio in `format` both ways.
    pub async fn call(&self, name: &str, format: MediaFormat) -> Caller {
        let request = CallRequest {
            carrier_call_id: Some(CarrierCallId::new(name).expect("a valid name")),
            takes_over: true,
            user_id: "bench".into(),
            target: None,
            source: None,
            transport: "bench",
            format_in: format,
            format_out: format,
            delivery: DELIVERY,
            first_sequence: 0,
            sequence_ahead_max: 0,
        };
        let leg = self.switchboard.connect(request).await.expect("the call is admitted");
        let heard = Rc::new(Heard::default());
        actix_rt::spawn(hear(leg.output, Rc::clone(&heard)));
        Caller { input: leg.input, heard }
    }

    /// Waits until the registry has forgotten every call.
    pub async fn is_empty(&self) {
        while self.switchboard.load().await.expect("it answers").calls > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
}

struct Planner {
    clock: Clock,
    routes: RouteTable,
    providers: Providers,
    prompts: Arc<PromptCache>,
    telemetry: Telemetry,
}

impl Planner {
    fn new(config: &Config, clock: Clock, telemetry: Telemetry) -> Self {
        let routes = config.routes();
        let all = || routes.all().map(Arc::as_ref);
        let providers = Providers::build(config, all(), &|_| None, None).expect("they need no key");
        let prompts = Arc::new(PromptCache::new(all(), all_sentences));
        Self { clock, providers, prompts, telemetry, routes }
    }
}

impl CallPlanner for Planner {
    fn route(&self, target: Option<&CallTarget>) -> Option<Arc<Route>> {
        self.routes.resolve(target)
    }

    fn kit(&self, route: &Route) -> Option<CallKit> {
        Some(CallKit {
            clock: self.clock,
            runtime: ServiceRuntime::new(tokio::runtime::Handle::current()),
            stt: Arc::clone(self.providers.stt.get(&route.stt)?),
            dialog: Arc::clone(self.providers.dialog.get(&route.dialog)?),
            tts: Arc::clone(self.providers.tts.get(&route.tts)?),
            prompts: Arc::clone(&self.prompts),
            telemetry: self.telemetry.clone(),
        })
    }
}

/// Who talks to the engine and listens to it.
pub struct Caller {
    input: LegInput,
    heard: Rc<Heard>,
}

/// What a caller was given.
#[derive(Default)]
pub struct Heard {
    /// Pieces of reply audio.
    pub frames: Cell<u64>,
    /// Their bytes.
    pub bytes: Cell<u64>,
}

impl Caller {
    /// Sends one frame.
    pub fn send(&self, frame: &[u8]) {
        assert_eq!(self.input.stream(frame), StreamOutcome::Accepted);
    }

    /// Sends audio frame by frame at its own pace.
    pub async fn say(&self, audio: &Audio) {
        for frame in audio.frames() {
            self.send(frame);
            sleep(Duration::from_millis(u64::from(FRAME_MS))).await;
        }
    }

    /// What it was given so far.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Ends the call.
    pub fn hang_up(&self) {
        self.input.hang_up(EndCause::CallerHungUp);
    }
}

async fn hear(mut output: LegOutput, heard: Rc<Heard>) {
    while let Some(command) = output.next().await {
        if let LegCommand::Audio { bytes, .. } = command {
            heard.frames.set(heard.frames.get() + 1);
            heard.bytes.set(heard.bytes.get() + bytes.len() as u64);
        }
    }
}

/// Audio as a carrier writes it.
pub struct Audio {
    bytes: Vec<u8>,
    frame_bytes: usize,
}

impl Audio {
    /// Writes samples that have the format's rate.
    pub fn new(samples: &[i16], format: MediaFormat) -> Self {
        let mut bytes = Vec::new();
        Encoder::new(format).encode(samples, &mut bytes);
        let frame_bytes = format.rate.samples_in_ms(FRAME_MS) * format.bytes_per_frame();
        Self { bytes, frame_bytes }
    }

    /// Frame by frame.
    pub fn frames(&self) -> impl Iterator<Item = &[u8]> + Clone {
        self.bytes.chunks_exact(self.frame_bytes)
    }
}
