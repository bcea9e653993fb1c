//! The facts of the engine that belong to no call.

use tracing::Level;

use super::metrics::{Metric, Metrics, set_provider_ready};
use super::record::{Columns, Details, Facts};
use crate::types::{ExitReason, RefusalReason};

/// One fact of the engine.
#[derive(Clone, Debug)]
pub enum EngineEvent {
    /// All ports are bound and calls are taken.
    EngineStarted {
        /// Version of the engine.
        version: &'static str,
    },
    /// No new calls are taken; the running ones may end.
    DrainStarted {
        /// Calls still running.
        calls: u32,
    },
    /// All calls are over. The last event of a process.
    EngineStopped,
    /// A media thread takes no new calls. Told again only after it was open for a while.
    ThreadClosed {
        /// Which one, from 0.
        thread: usize,
        /// What was measured, and the limit.
        message: String,
    },
    /// It has taken calls again for a while.
    ThreadOpened {
        /// Which one, from 0.
        thread: usize,
    },
    /// A call was not taken.
    CallRefused {
        /// Name of the transport.
        transport: &'static str,
        /// Why.
        reason: RefusalReason,
    },
    /// More calls were not taken than are told one by one. Their metric counted each.
    RefusalsLeftOut {
        /// Name of the transport.
        transport: &'static str,
        /// Why.
        reason: &'static str,
        /// How many.
        count: u64,
    },
    /// A provider came up, went down, or refused.
    ProviderHealthChanged {
        /// Which service it provides.
        service: Service,
        /// Its name in the configuration.
        provider: String,
        /// How it is now.
        health: ProviderHealth,
        /// What was found and what to do; holds no credential and no caller data.
        message: String,
    },
    /// Another number of the engine's own sentences is rendered than before.
    PromptsRendered {
        /// How many are not.
        missing: usize,
        /// By whom and why; holds no credential.
        message: String,
    },
    /// A dialog platform asked the engine to slow down; all requests to it wait.
    DialogThrottled {
        /// Which one, as routes name it.
        provider: String,
        /// How long.
        wait_ms: u64,
    },
    /// A provider failed so often in a row that it is not asked for a while. Told once,
    /// however many probes fail after it.
    BreakerOpened {
        /// Which service it provides.
        service: Service,
        /// Its name in the configuration.
        provider: String,
        /// How many failures there were in a row.
        failures: u32,
        /// How long nothing is asked before one request tries, again and again.
        open_ms: u32,
        /// What came of the last request; holds no caller data and no address.
        message: String,
    },
    /// A single request was answered: everything is asked again.
    BreakerClosed {
        /// Which service it provides.
        service: Service,
        /// Its name in the configuration.
        provider: String,
        /// How long ago the breaker opened.
        away_ms: u64,
    },
    /// A recogniser found no words in anything that callers of several calls said. Told once,
    /// until it finds some again.
    NothingRecognised {
        /// Its name in the configuration.
        provider: String,
        /// How many utterances there were in a row.
        utterances: u32,
    },
    /// A speech worker process ended and is replaced.
    WorkerRestarted {
        /// Which service it provides.
        service: Service,
        /// Its provider's name in the configuration.
        provider: String,
        /// How it ended; holds no caller data.
        message: String,
    },
    /// An actor that belongs to no call ended and is replaced.
    ActorRestarted {
        /// Name of the actor.
        actor: &'static str,
        /// How it ended.
        reason: ExitReason,
    },
    /// The certificate's files changed; connections are shown the new one from now on.
    CertificateTaken,
    /// The certificate's files cannot be used any more; the last good one is still shown.
    CertificateRefused {
        /// What was found.
        message: String,
    },
    /// Events are missing from the event file. Covers the gaps in `sequence` of
    /// the calls they belonged to.
    EventsDropped {
        /// How many.
        count: u64,
    },
}

/// One of the three services that calls ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Speech to text.
    Stt,
    /// Dialog.
    Dialog,
    /// Text to speech.
    Tts,
}

/// How a provider is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderHealth {
    /// It works.
    Ready,
    /// It may come up by itself.
    Unavailable,
    /// It never will with these settings.
    Refused,
}

impl EngineEvent {
    /// The name in records: the variant in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EngineStarted { .. } => "engine_started",
            Self::DrainStarted { .. } => "drain_started",
            Self::EngineStopped => "engine_stopped",
            Self::ThreadClosed { .. } => "thread_closed",
            Self::ThreadOpened { .. } => "thread_opened",
            Self::CallRefused { .. } => "call_refused",
            Self::RefusalsLeftOut { .. } => "refusals_left_out",
            Self::ProviderHealthChanged { .. } => "provider_health_changed",
            Self::PromptsRendered { .. } => "prompts_rendered",
            Self::DialogThrottled { .. } => "dialog_throttled",
            Self::BreakerOpened { .. } => "breaker_opened",
            Self::BreakerClosed { .. } => "breaker_closed",
            Self::NothingRecognised { .. } => "nothing_recognised",
            Self::WorkerRestarted { .. } => "worker_restarted",
            Self::ActorRestarted { .. } => "actor_restarted",
            Self::CertificateTaken => "certificate_taken",
            Self::CertificateRefused { .. } => "certificate_refused",
            Self::EventsDropped { .. } => "events_dropped",
        }
    }

    /// Describes the event for the log and the event file.
    pub(super) fn facts(&self) -> Facts<'_> {
        let (name, level, columns) = (self.name(), self.level(), Columns::default());
        Facts { name, level, columns, details: self.details() }
    }

    fn level(&self) -> Level {
        match self {
            Self::EngineStarted { .. }
            | Self::DrainStarted { .. }
            | Self::EngineStopped
            | Self::ThreadOpened { .. }
            | Self::BreakerClosed { .. }
            | Self::CertificateTaken => Level::INFO,
            Self::ThreadClosed { .. }
            | Self::CallRefused { .. }
            | Self::RefusalsLeftOut { .. }
            | Self::DialogThrottled { .. }
            | Self::BreakerOpened { .. }
            | Self::NothingRecognised { .. }
            | Self::WorkerRestarted { .. }
            | Self::ActorRestarted { .. } => Level::WARN,
            Self::PromptsRendered { missing, .. } => match missing {
                0 => Level::INFO,
                _ => Level::WARN,
            },
            Self::ProviderHealthChanged { health, .. } => match health {
                ProviderHealth::Ready => Level::INFO,
                ProviderHealth::Unavailable => Level::WARN,
                ProviderHealth::Refused => Level::ERROR,
            },
            Self::CertificateRefused { .. } | Self::EventsDropped { .. } => Level::ERROR,
        }
    }

    fn details(&self) -> Details<'_> {
        let none = Details::none();
        match self {
            Self::EngineStarted { version } => none.text("version", *version),
            Self::DrainStarted { calls } => none.number("calls", *calls),
            Self::EngineStopped | Self::CertificateTaken => none,
            Self::CertificateRefused { message } => none.text("message", message),
            Self::ThreadClosed { thread, message } => {
                none.number("thread", *thread as u64).text("message", message)
            }
            Self::ThreadOpened { thread } => none.number("thread", *thread as u64),
            Self::CallRefused { transport, reason } => none
                .text("transport", *transport)
                .text("reason", reason.as_str())
                .text("message", reason.to_string()),
            Self::RefusalsLeftOut { transport, reason, count } => {
                none.text("transport", *transport).text("reason", *reason).number("count", *count)
            }
            Self::ProviderHealthChanged { service, provider, health, message } => none
                .text("service", service.as_str())
                .text("provider", provider)
                .text("health", health.as_str())
                .text("message", message),
            Self::PromptsRendered { missing, message } => {
                none.number("missing", *missing as u64).text("message", message)
            }
            Self::DialogThrottled { provider, wait_ms } => {
                none.text("provider", provider).number("wait_ms", *wait_ms)
            }
            Self::BreakerOpened { service, provider, failures, open_ms, message } => none
                .text("service", service.as_str())
                .text("provider", provider)
                .number("failures", *failures)
                .number("open_ms", *open_ms)
                .text("message", message),
            Self::BreakerClosed { service, provider, away_ms } => none
                .text("service", service.as_str())
                .text("provider", provider)
                .number("away_ms", *away_ms),
            Self::NothingRecognised { provider, utterances } => {
                none.text("provider", provider).number("utterances", *utterances)
            }
            Self::WorkerRestarted { service, provider, message } => none
                .text("service", service.as_str())
                .text("provider", provider)
                .text("message", message),
            Self::ActorRestarted { actor, reason } => none.text("actor", *actor).exit(reason),
            Self::EventsDropped { count } => none.number("count", *count),
        }
    }

    /// Counts the event. Dropped events were counted when they were dropped, and utterances
    /// without words by their calls; a breaker and a dialog platform's governor count by their
    /// own meters.
    pub(super) fn measure(&self, metrics: &Metrics) {
        match self {
            Self::EngineStarted { .. } => metrics.set(Metric::Draining, &[], 0.0),
            Self::DrainStarted { .. } => metrics.set(Metric::Draining, &[], 1.0),
            Self::EngineStopped
            | Self::ThreadClosed { .. }
            | Self::ThreadOpened { .. }
            | Self::CertificateTaken
            | Self::CertificateRefused { .. }
            | Self::RefusalsLeftOut { .. }
            | Self::DialogThrottled { .. }
            | Self::BreakerOpened { .. }
            | Self::BreakerClosed { .. }
            | Self::NothingRecognised { .. }
            | Self::EventsDropped { .. } => {}
            Self::CallRefused { reason, .. } => {
                metrics.count(Metric::CallsRefused, &[reason.as_str()], 1);
            }
            Self::ProviderHealthChanged { service, provider, health, .. } => {
                let labels = [service.as_str(), health.as_str()];
                metrics.count(Metric::ProviderChanges, &labels, 1);
                set_provider_ready(
                    service.as_str(),
                    provider,
                    matches!(health, ProviderHealth::Ready),
                );
            }
            Self::PromptsRendered { missing, .. } => {
                metrics.set(Metric::PromptsMissing, &[], *missing as f64);
            }
            Self::WorkerRestarted { service, .. } => {
                metrics.count(Metric::WorkerRestarts, &[service.as_str()], 1);
            }
            Self::ActorRestarted { reason, .. } => {
                metrics.count(Metric::ActorRestarts, &[reason.as_str()], 1);
            }
        }
    }
}

impl Service {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stt => "stt",
            Self::Dialog => "dialog",
            Self::Tts => "tts",
        }
    }
}

impl ProviderHealth {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
        }
    }
}
