//! The recognisers `pocketsphinx` and `worker` and the synthesisers `flite` and
//! `worker`: the service traits on top of a worker pool.

use std::ffi::OsString;
use std::path::PathBuf;

use super::pool::{PoolError, PoolSettings, RESTARTS, WorkerPool};
use super::process::WorkerCommand;
use super::protocol::{Capability, Pcm, Reply, Request, WIRE_RATE_HZ};
use crate::config::{FliteSettings, PocketsphinxSettings, WorkerSettings};
use crate::services::{Health, ServiceFuture, SpeechToText, SttRequest, TextToSpeech, TtsRequest};
use crate::telemetry::Telemetry;
use crate::types::{SpeechAudio, SttFailure, Transcript, TtsFailure};

/// A recogniser in worker processes.
pub(in crate::services) struct WorkerStt(WorkerPool);

impl WorkerStt {
    /// `pocketsphinx`: this program's own worker.
    pub(in crate::services) fn pocketsphinx(
        settings: &PocketsphinxSettings,
        telemetry: Option<&Telemetry>,
    ) -> Self {
        let mut arguments: Vec<OsString> = vec!["--model-dir".into(), (&settings.model_dir).into()];
        arguments.extend(["--dictionary".into(), (&settings.dictionary).into()]);
        if !settings.grammar.as_os_str().is_empty() {
            arguments.extend(["--grammar".into(), (&settings.grammar).into()]);
        }
        arguments.push(format!("--score-min={}", settings.score_min).into());
        Self(WorkerPool::new(PoolSettings {
            name: "pocketsphinx",
            command: own_worker("pocketsphinx", arguments),
            wanted: Capability::Transcribe,
            workers: settings.workers,
            waiting_max: settings.waiting_max,
            restarts: RESTARTS,
            telemetry: telemetry.cloned(),
        }))
    }

    /// `worker`: a program of the user's own.
    pub(in crate::services) fn external(
        settings: &WorkerSettings,
        telemetry: Option<&Telemetry>,
    ) -> Self {
        Self(external("stt worker", settings, Capability::Transcribe, telemetry))
    }

    async fn recognise(&self, request: SttRequest) -> Result<Transcript, SttFailure> {
        let SttRequest { speech, language, answer_ms_max, .. } = request;
        let pcm = Pcm(speech.whole().await);
        let build = |id| Request::Transcribe { id, sample_rate: WIRE_RATE_HZ, pcm, language };
        match self.0.ask(build, answer_ms_max).await? {
            Reply::Recognised { text, .. } if text.expose().trim().is_empty() => {
                Ok(Transcript::NoMatch)
            }
            Reply::Recognised { text, confidence, .. } => {
                Ok(Transcript::Final { text, confidence })
            }
            Reply::NoMatch { .. } => Ok(Transcript::NoMatch),
            _ => Err(SttFailure::Failed { message: NO_ANSWER.to_owned() }),
        }
    }
}

impl SpeechToText for WorkerStt {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(self.recognise(request))
    }

    /// `pocketsphinx` has a grammar, and a program of the user's own may have one.
    fn knows_any_words(&self) -> bool {
        false
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.0.check())
    }
}

/// A synthesiser in worker processes.
pub(in crate::services) struct WorkerTts(WorkerPool);

impl WorkerTts {
    /// `flite`: this program's own worker.
    pub(in crate::services) fn flite(
        settings: &FliteSettings,
        telemetry: Option<&Telemetry>,
    ) -> Self {
        Self(WorkerPool::new(PoolSettings {
            name: "flite",
            command: own_worker("flite", Vec::new()),
            wanted: Capability::Synthesize,
            workers: settings.workers,
            waiting_max: settings.waiting_max,
            restarts: RESTARTS,
            telemetry: telemetry.cloned(),
        }))
    }

    /// `worker`: a program of the user's own.
    pub(in crate::services) fn external(
        settings: &WorkerSettings,
        telemetry: Option<&Telemetry>,
    ) -> Self {
        Self(external("tts worker", settings, Capability::Synthesize, telemetry))
    }

    async fn speak(&self, request: TtsRequest) -> Result<SpeechAudio, TtsFailure> {
        let TtsRequest { text, voice, language, answer_ms_max, .. } = request;
        let sample_rate = WIRE_RATE_HZ;
        let build = |id| Request::Synthesize { id, sample_rate, text, voice, language };
        match self.0.ask(build, answer_ms_max).await? {
            Reply::Spoken { sample_rate: WIRE_RATE_HZ, audio: Pcm(audio), .. } => Ok(audio),
            Reply::Spoken { sample_rate, .. } => Err(TtsFailure::Failed {
                message: format!("the worker spoke at {sample_rate} Hz and not {WIRE_RATE_HZ}"),
            }),
            _ => Err(TtsFailure::Failed { message: NO_ANSWER.to_owned() }),
        }
    }
}

impl TextToSpeech for WorkerTts {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(self.speak(request))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.0.check())
    }
}

/// This very program as a worker.
fn own_worker(engine: &str, more: Vec<OsString>) -> WorkerCommand {
    let mut arguments: Vec<OsString> =
        vec!["speech-worker".into(), "--engine".into(), engine.into()];
    arguments.extend(more);
    WorkerCommand { program: own_program(), arguments }
}

/// Where the kernel knows this program even when its file was replaced by a newer one.
fn own_program() -> PathBuf {
    let kept = PathBuf::from("/proc/self/exe");
    if kept.exists() {
        return kept;
    }
    // A program that cannot find itself is found, or missed, by its name.
    std::env::current_exe().unwrap_or_else(|_| PathBuf::from("antiphon"))
}

fn external(
    name: &'static str,
    settings: &WorkerSettings,
    wanted: Capability,
    telemetry: Option<&Telemetry>,
) -> WorkerPool {
    let mut words = settings.command.iter();
    // An empty program cannot be run, and the pool says so.
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    let arguments = words.map(OsString::from).collect();
    WorkerPool::new(PoolSettings {
        name,
        command: WorkerCommand { program, arguments },
        wanted,
        workers: settings.workers,
        waiting_max: settings.waiting_max,
        restarts: RESTARTS,
        telemetry: telemetry.cloned(),
    })
}

const NO_ANSWER: &str = "the worker answered something else than was asked";

impl From<PoolError> for SttFailure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout => Self::Timeout,
            PoolError::Saturated => Self::Saturated,
            PoolError::Unavailable(message) => Self::Unavailable { message },
            PoolError::Refused(failure) => Self::Failed { message: failure.to_string() },
        }
    }
}

impl From<PoolError> for TtsFailure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout => Self::Timeout,
            PoolError::Saturated => Self::Saturated,
            PoolError::Unavailable(message) => Self::Unavailable { message },
            PoolError::Refused(failure) => Self::Failed { message: failure.to_string() },
        }
    }
}
