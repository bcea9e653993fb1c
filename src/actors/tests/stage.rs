//! The stage: one engine thread under a paused clock, scripted services, a caller.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::ear::listen;
use crate::actors::link::{CallRequest, Delivery, Leg, LegInput, Switchboard};
use crate::actors::{
    CallKit, CallPlanner, CallRegistry, Clock, MediaThreads, RegistryParts, ServiceRuntime,
};
use crate::config::LimitSettings;
use crate::services::{
    DialogBackend, Health, LiveSpeech, PromptCache, ServiceFuture, Speech, SpeechSource,
    SpeechToText, SttRequest, TextToSpeech, TtsRequest,
};
use crate::telemetry::{QueueLimits, Telemetry};
use crate::types::{
    CallEventKind, CallId, CallTarget, CarrierCallId, DialogFailure, DialogReply, DialogRequest,
    INNER_RATE, Mark, MarkKind, Markup, MediaFormat, Private, ReplyOutput, Route, SampleRate,
    SessionId, SpeechAudio, SttFailure, Transcript, TtsFailure,
};

/// Runs a test under a paused clock.
pub fn act<F: Future<Output = ()> + 'static>(test: impl FnOnce() -> F) {
    crate::telemetry::install_panic_hook();
    let system = paused_system();
    // Of one type, so that the runtime is compiled once and not for each test.
    let test: Pin<Box<dyn Future<Output = ()>>> = Box::pin(test());
    system.block_on(test);
}

fn paused_system() -> actix_rt::SystemRunner {
    actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime can be built")
    })
}

/// What the services answer.
pub struct Script {
    /// What the caller is taken to say, utterance by utterance; then nothing known.
    pub words: Vec<&'static str>,
    /// Whether utterances are recognised while they are spoken.
    pub follows_speech: bool,
    /// Milliseconds each service takes; a sentence with "Never" in it takes an hour.
    pub stt_ms: u64,
    pub dialog_ms: u64,
    pub tts_ms: u64,
    /// Milliseconds a spoken sentence lasts.
    pub sentence_ms: u32,
    /// What every sentence sounds like when it is no steady tone of that length.
    pub sentence: Option<fn() -> Vec<i16>>,
    /// How sentences come when they grow.
    pub streaming: Option<Streaming>,
    /// What is wrong with the recogniser and with the synthesiser.
    pub stt_trouble: Option<Trouble>,
    pub tts_trouble: Option<Trouble>,
    /// What the platform says to each text.
    pub reply: fn(&str) -> Result<&'static str, DialogFailure>,
}

impl Default for Script {
    fn default() -> Self {
        Self {
            words: vec!["one", "two", "three"],
            follows_speech: false,
            stt_ms: 30,
            dialog_ms: 50,
            tts_ms: 20,
            sentence_ms: 400,
            sentence: None,
            streaming: None,
            stt_trouble: None,
            tts_trouble: None,
            reply: |text| match text {
                "one" => Ok("First answer. It goes on."),
                "two" => Ok("Second answer."),
                _ => Ok("Third answer."),
            },
        }
    }
}

/// What a service does instead of its work, each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It fails at once.
    Fails,
    /// It never answers.
    Hangs,
}

impl Trouble {
    /// Fails, or never comes to an end, where there is trouble.
    async fn meet<E>(trouble: Option<Self>, failure: impl FnOnce(String) -> E) -> Result<(), E> {
        match trouble {
            None => Ok(()),
            Some(Self::Fails) => Err(failure("the answer has status 404".to_owned())),
            Some(Self::Hangs) => std::future::pending().await,
        }
    }
}

/// A synthesiser that streams: so much audio every so many milliseconds.
#[derive(Clone, Copy)]
pub struct Streaming {
    pub piece_ms: u32,
    pub every_ms: u64,
    /// Behind so much audio, it waits for so long.
    pub stalls: Option<(u32, u64)>,
    /// Every sentence breaks off behind so much audio.
    pub breaks_at_ms: Option<u32>,
}

/// Ten times as fast as it is spoken.
impl Default for Streaming {
    fn default() -> Self {
        Self { piece_ms: 100, every_ms: 10, stalls: None, breaks_at_ms: None }
    }
}

/// One sentence on its way.
struct Spoken {
    streaming: Streaming,
    sent: usize,
    samples: usize,
    _alive: Arc<()>,
}

impl SpeechSource for Spoken {
    async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
        let Streaming { piece_ms, every_ms, stalls, breaks_at_ms } = self.streaming;
        let is_at = |ms: u32| self.sent == INNER_RATE.samples_in_ms(ms);
        if breaks_at_ms.is_some_and(is_at) {
            return Err(TtsFailure::Unavailable { message: "it broke".to_owned() });
        }
        let stalled_ms = stalls.filter(|&(at_ms, _)| is_at(at_ms)).map_or(0, |(_, ms)| ms);
        tokio::time::sleep(Duration::from_millis(every_ms + stalled_ms)).await;
        let to = self.samples.min(self.sent + INNER_RATE.samples_in_ms(piece_ms));
        samples.extend((self.sent..to).map(sound_at));
        self.sent = to;
        Ok(to < self.samples)
    }
}

/// A sound of which no stretch is like another one near it.
pub fn sound_at(sample: usize) -> i16 {
    ((sample * 31 + 7) % 20_011) as i16
}

/// The scripted services; they count what they were asked.
pub struct Services {
    script: Script,
    heard: AtomicU32,
    /// The pieces in which each utterance was followed, in samples.
    pub followed: Mutex<Vec<Vec<usize>>>,
    /// The audio of each utterance.
    pub utterances: Mutex<Vec<SpeechAudio>>,
    /// Calls that are of no interest any more.
    pub forgotten: Mutex<Vec<CallId>>,
    /// Sentences that were asked for.
    pub sentences: AtomicU32,
    /// Those of them that had markup, as documents.
    pub documents: Mutex<Vec<String>>,
    /// Held once by this and once by every sentence that is on its way.
    pub streams: Arc<()>,
    /// Likewise by every utterance that is being recognised.
    pub transcribing: Arc<()>,
    /// Likewise by every sentence of which nothing is there yet.
    pub synthesizing: Arc<()>,
    pub asked: Mutex<Vec<String>>,
    pub sessions: Mutex<Vec<serde_json::Value>>,
    pub session_ids: Mutex<Vec<SessionId>>,
}

impl SpeechToText for Services {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        let nth = self.heard.fetch_add(1, Ordering::Relaxed) as usize;
        let open = Arc::clone(&self.transcribing);
        Box::pin(async move {
            let _open = open;
            self.follow(&request.speech).await;
            tokio::time::sleep(Duration::from_millis(self.script.stt_ms)).await;
            Trouble::meet(self.script.stt_trouble, |message| SttFailure::Failed { message })
                .await?;
            Ok(self.script.words.get(nth).map_or(Transcript::NoMatch, |text| Transcript::Final {
                text: (*text).into(),
                confidence: Some(0.9),
            }))
        })
    }

    fn follows_speech(&self) -> bool {
        self.script.follows_speech
    }

    fn forget(&self, call_id: &CallId) {
        self.forgotten.lock().push(*call_id);
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(async { Health::Ready(String::new()) })
    }
}

impl Services {
    /// Follows an utterance to its end.
    async fn follow(&self, speech: &LiveSpeech) {
        let (mut heard, mut pieces, mut ended) = (Vec::new(), Vec::new(), false);
        while !ended {
            let before = heard.len();
            ended = speech.follow(before, &mut heard).await;
            pieces.push(heard.len() - before);
        }
        let whole = speech.whole().await;
        assert_eq!(heard, whole.samples());
        self.utterances.lock().push(whole);
        self.followed.lock().push(pieces);
    }
}

impl DialogBackend for Services {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        let text = request.text.expose().clone();
        self.asked.lock().push(text.clone());
        self.sessions.lock().push(request.session.expose().clone());
        self.session_ids.lock().push(request.session_id);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.script.dialog_ms)).await;
            let said = (self.script.reply)(&text)?;
            Ok(DialogReply {
                outputs: vec![ReplyOutput {
                    text: said.into(),
                    markup: pause_before_slowly(said),
                    interruptible: None,
                }],
                intent: Some(format!("intent_{text}")),
                session: Private::new(serde_json::json!({ "last": text })),
                end_call: said.contains("Goodbye"),
                ..DialogReply::default()
            })
        })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(async { Health::Ready(String::new()) })
    }
}

/// What the platform wants where it says "slowly".
fn pause_before_slowly(text: &str) -> Option<Private<Markup>> {
    let kind = MarkKind::Whole { element: "<break/>".to_owned(), bytes: 0 };
    let mark = Mark { at: text.find("slowly")?, kind };
    Some(Private::new(Markup { root: "<speak>".to_owned(), marks: vec![mark] }))
}

impl TextToSpeech for Services {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        let open = Arc::clone(&self.synthesizing);
        let never = request.text.expose().contains("Never");
        Box::pin(async move {
            let _open = open;
            let tts_ms = if never { 3_600_000 } else { self.script.tts_ms };
            tokio::time::sleep(Duration::from_millis(tts_ms)).await;
            Trouble::meet(self.script.tts_trouble, |message| TtsFailure::Failed { message })
                .await?;
            let tone = || vec![1_000; INNER_RATE.samples_in_ms(self.script.sentence_ms)];
            Ok(SpeechAudio::new(self.script.sentence.map_or_else(tone, |sentence| sentence())))
        })
    }

    fn speak(&self, request: TtsRequest) -> ServiceFuture<'_, Result<Speech, TtsFailure>> {
        self.sentences.fetch_add(1, Ordering::Relaxed);
        self.documents.lock().extend(request.ssml.iter().map(|ssml| ssml.expose().clone()));
        let Some(streaming) = self.script.streaming else {
            return Box::pin(async { self.synthesize(request).await.map(Speech::from) });
        };
        let samples = INNER_RATE.samples_in_ms(self.script.sentence_ms);
        let alive = Arc::clone(&self.streams);
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(self.script.tts_ms)).await;
            Speech::begin(Spoken { streaming, sent: 0, samples, _alive: alive }).await
        })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(async { Health::Ready(String::new()) })
    }
}

struct Planner {
    route: Arc<Route>,
    kit: CallKit,
}

impl CallPlanner for Planner {
    fn route(&self, _: Option<&CallTarget>) -> Option<Arc<Route>> {
        Some(Arc::clone(&self.route))
    }

    fn kit(&self, _: &Route) -> Option<CallKit> {
        Some(self.kit.clone())
    }
}

/// An engine on the current thread.
pub struct Stage {
    pub switchboard: Switchboard,
    pub telemetry: Telemetry,
    pub services: Arc<Services>,
}

impl Stage {
    pub fn new(script: Script, route: Route) -> Self {
        Self::on(script, route, |clock, limits, telemetry| {
            MediaThreads::here(clock, 10, limits, telemetry)
        })
    }

    /// The same, on other threads.
    pub fn on(
        script: Script,
        route: Route,
        threads: impl FnOnce(Clock, &LimitSettings, &Telemetry) -> MediaThreads,
    ) -> Self {
        let services = Arc::new(Services {
            script,
            heard: AtomicU32::new(0),
            followed: Mutex::default(),
            utterances: Mutex::default(),
            forgotten: Mutex::default(),
            sentences: AtomicU32::new(0),
            documents: Mutex::default(),
            streams: Arc::default(),
            transcribing: Arc::default(),
            synthesizing: Arc::default(),
            asked: Mutex::default(),
            sessions: Mutex::default(),
            session_ids: Mutex::default(),
        });
        let clock = Clock::start();
        let (telemetry, _) = Telemetry::new(
            QueueLimits { queue_max: 10_000, batch_max: 50 },
            vec![route.name.clone()],
        );
        let kit = CallKit {
            clock,
            runtime: ServiceRuntime::new(tokio::runtime::Handle::current()),
            stt: Arc::clone(&services) as _,
            dialog: Arc::clone(&services) as _,
            tts: Arc::clone(&services) as _,
            prompts: Arc::new(PromptCache::new([&route], crate::turn::all_sentences)),
            telemetry: telemetry.clone(),
        };
        let limits = LimitSettings { calls_max: 10, ..LimitSettings::default() };
        let switchboard = CallRegistry::start(RegistryParts {
            clock,
            planner: Box::new(Planner { route: Arc::new(route), kit }),
            threads: threads(clock, &limits, &telemetry),
            telemetry: telemetry.clone(),
            limits,
            draw: Box::new(counted()),
            cores: 1,
        });
        Self { switchboard, telemetry, services }
    }

    /// A caller whose carrier has this name for the call.
    pub async fn call(&self, name: &str, delivery: Delivery) -> Caller {
        let request = request(name, delivery);
        Caller::new(self.switchboard.connect(request).await.expect("the call is admitted"))
    }
}

/// Ids that are the same in each run.
fn counted() -> impl FnMut() -> Option<u128> + Send {
    let mut last = 0;
    move || {
        last += 1;
        Some(last)
    }
}

/// A caller with 16 kHz both ways.
pub fn request(name: &str, delivery: Delivery) -> CallRequest {
    CallRequest {
        carrier_call_id: Some(CarrierCallId::new(name).expect("a valid name")),
        takes_over: true,
        user_id: "user".into(),
        target: None,
        source: None,
        transport: "stage",
        format_in: MediaFormat::pcm16(INNER_RATE),
        format_out: MediaFormat::pcm16(INNER_RATE),
        delivery,
        first_sequence: 0,
        sequence_ahead_max: 256,
    }
}

/// What a caller came to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// A sentence was played: its intent.
    Sentence(String),
    /// Samples were played.
    Audio(usize),
    /// Stop playing.
    Flush,
    /// An event happened: its name.
    Event(String),
    /// The call is over.
    End(String),
}

/// A caller in real time.
pub struct Caller {
    pub call_id: CallId,
    pub input: LegInput,
    pub told: Arc<Mutex<Vec<Told>>>,
    pub events: Arc<Mutex<Vec<CallEventKind>>>,
    /// Every sample that was played.
    pub audio: Arc<Mutex<Vec<i16>>>,
    pub resumed: bool,
    listening: tokio::task::JoinHandle<()>,
}

impl Caller {
    pub fn new(leg: Leg) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let events = Arc::new(Mutex::new(Vec::new()));
        let audio = Arc::new(Mutex::new(Vec::new()));
        let hearing =
            listen(leg.output, Arc::clone(&told), Arc::clone(&events), Arc::clone(&audio));
        let listening = actix_rt::spawn(hearing);
        let call_id = leg.call_id;
        Self { call_id, input: leg.input, told, events, audio, resumed: leg.resumed, listening }
    }

    /// Sends audio in pieces of `piece_ms`, at real-time pace.
    pub async fn send(&self, samples: &[i16], piece_ms: u32) {
        let piece = SampleRate::new(16_000).expect("a rate").samples_in_ms(piece_ms);
        for samples in samples.chunks(piece) {
            let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
            let _outcome = self.input.stream(&bytes);
            tokio::time::sleep(Duration::from_millis(u64::from(piece_ms))).await;
        }
    }

    /// Says something and is silent afterwards.
    pub async fn say(&self) {
        self.send(&speech(), 20).await;
        self.pause(1_000).await;
    }

    /// Is silent.
    pub async fn pause(&self, ms: u32) {
        self.send(&vec![0; INNER_RATE.samples_in_ms(ms)], 20).await;
    }

    /// The connection breaks.
    pub fn vanish(&self) {
        self.listening.abort();
    }

    /// The intents of the sentences heard, in order.
    pub fn sentences(&self) -> Vec<String> {
        let told = self.told.lock();
        told.iter()
            .filter_map(|told| match told {
                Told::Sentence(intent) => Some(intent.clone()),
                _ => None,
            })
            .collect()
    }

    /// How often an event happened.
    pub fn count(&self, name: &str) -> usize {
        self.events.lock().iter().filter(|kind| kind.name() == name).count()
    }
}

/// A human voice: "go forward ten meters", one utterance.
pub fn speech() -> Vec<i16> {
    const RECORDING: &[u8] = include_bytes!("../../../tests/audio/goforward.raw");
    RECORDING.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}
