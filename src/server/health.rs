//! Whether the providers work: found out at the start, watched from then on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use parking_lot::RwLock;
use tokio::runtime::Handle;
use tokio::time::timeout;

use crate::services::{Health, PromptCache, Providers};
use crate::telemetry::{EngineEvent, ProviderHealth, Service, Telemetry, keep_running};

/// Longest time for the providers to say how they are, and for the prompts to be rendered,
/// before calls are taken. What is missing then comes later, and `/ready` says so.
const BEGIN_WITHIN: Duration = Duration::from_secs(2);

/// Time between two rounds of checks.
const CHECK_EVERY: Duration = Duration::from_secs(5);

/// What is known of one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which service it provides.
    pub service: Service,
    /// Its name in the configuration.
    pub provider: String,
    /// How it is, in words as well.
    pub health: Health,
}

/// Asks every dialog platform how it is, all at once.
pub(super) async fn check_dialogs(providers: &Providers) -> Vec<Finding> {
    let checks = providers.dialog.iter().map(|(name, backend)| {
        let answer = backend.check();
        check(Service::Dialog, name, answer)
    });
    join_all(checks).await
}

/// Asks every provider how it is, all at once.
pub async fn check_providers(providers: &Providers) -> Vec<Finding> {
    let (mut findings, speech) = tokio::join!(check_dialogs(providers), check_speech(providers));
    findings.extend(speech);
    findings
}

async fn check_speech(providers: &Providers) -> Vec<Finding> {
    let mut checks: Vec<BoxFuture<'_, Finding>> = Vec::new();
    for (name, recogniser) in &providers.stt {
        checks.push(check(Service::Stt, name, recogniser.check()).boxed());
    }
    for (name, synthesiser) in &providers.tts {
        checks.push(check(Service::Tts, name, synthesiser.check()).boxed());
    }
    join_all(checks).await
}

async fn check(
    service: Service,
    name: &str,
    answer: impl Future<Output = Health> + Send,
) -> Finding {
    let health = answer.await;
    Finding { service, provider: name.to_owned(), health }
}

/// The latest findings, for the readiness route.
#[derive(Clone, Default)]
pub struct HealthBoard(Arc<RwLock<Findings>>);

#[derive(Default)]
struct Findings {
    /// None before the first round.
    providers: Option<Vec<Finding>>,
    /// Prompts that are not rendered, and what is to be said of them.
    prompts_missing: usize,
    prompts: Vec<String>,
}

impl HealthBoard {
    /// Takes over a round of checks and tells what changed.
    pub fn update(&self, findings: Vec<Finding>, telemetry: &Telemetry) {
        let before = self.0.write().providers.replace(findings.clone()).unwrap_or_default();
        let was = |finding: &Finding| {
            let same =
                |old: &&Finding| old.service == finding.service && old.provider == finding.provider;
            before.iter().find(same).map(|old| kind(&old.health))
        };
        for finding in findings.iter().filter(|finding| was(finding) != Some(kind(&finding.health)))
        {
            telemetry.engine_event(&EngineEvent::ProviderHealthChanged {
                service: finding.service,
                provider: finding.provider.clone(),
                health: kind(&finding.health),
                message: words(&finding.health).to_owned(),
            });
        }
    }

    /// Takes over how the prompts stand and tells what changed.
    pub fn update_prompts(&self, prompts: &PromptCache, telemetry: &Telemetry) {
        let (missing, complaints) = (prompts.missing_count(), prompts.complaints());
        let before = {
            let mut findings = self.0.write();
            findings.prompts.clone_from(&complaints);
            std::mem::replace(&mut findings.prompts_missing, missing)
        };
        if missing != before {
            let message = complaints.join("; ");
            telemetry.engine_event(&EngineEvent::PromptsRendered { missing, message });
        }
    }

    /// Why calls would fail now, one line a provider. Empty: ready. Whoever asks may be a
    /// stranger: what exactly is wrong, with addresses and keys, stands in the log.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let unwell = |finding: &&Finding| !matches!(finding.health, Health::Ready(_));
        let line = |finding: &Finding| {
            let health = kind(&finding.health).as_str();
            format!("{} {}: {health}; the log says why", finding.service.as_str(), finding.provider)
        };
        let findings = self.0.read();
        let unknown = findings.providers.is_none().then(|| NOT_ASKED.to_owned());
        let providers = findings.providers.iter().flatten().filter(unwell).map(line);
        let prompts = findings.prompts.iter().map(|line| without_reason(line));
        unknown.into_iter().chain(providers).chain(prompts).collect()
    }
}

/// What is watched, and where it is told.
#[derive(Clone)]
pub struct Watch {
    /// Who is asked how they are.
    pub providers: Providers,
    /// What is rendered as soon as it can be.
    pub prompts: Arc<PromptCache>,
    /// Who answers whether calls would be served.
    pub board: HealthBoard,
    /// Where it is told.
    pub telemetry: Telemetry,
}

impl Watch {
    /// Checks the providers and renders the prompts, and goes on doing both. Waits a moment
    /// for the first look, and not for somebody who hangs.
    pub async fn begin(self, services: &Handle) {
        let first_look = services.spawn(self.clone().look());
        if timeout(BEGIN_WITHIN, first_look).await.is_err() {
            tracing::warn!("not all providers answer yet; calls may begin without the prompts");
            self.board.update_prompts(&self.prompts, &self.telemetry);
        }
        self.start(services);
    }

    /// Checks the providers again and again, and renders the prompts that could not be
    /// rendered yet. Each is a task of its own: who hangs over a prompt does not keep the
    /// findings from being fresh.
    fn start(self, services: &Handle) {
        let (checking, rendering) = (self.clone(), self.clone());
        let checks = move || checking.clone().check();
        services.spawn(keep_running(self.telemetry.clone(), "health", checks));
        let renders = move || rendering.clone().render();
        services.spawn(keep_running(self.telemetry, "prompts", renders));
    }

    /// Checks the providers once and renders what can be rendered.
    async fn look(self) {
        let check = async {
            self.board.update(check_providers(&self.providers).await, &self.telemetry);
        };
        let render = async {
            self.prompts.render(&self.providers.tts).await;
            self.board.update_prompts(&self.prompts, &self.telemetry);
        };
        tokio::join!(check, render);
    }

    async fn check(self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            self.board.update(check_providers(&self.providers).await, &self.telemetry);
        }
    }

    async fn render(self) {
        loop {
            tokio::time::sleep(CHECK_EVERY).await;
            self.prompts.render(&self.providers.tts).await;
            self.board.update_prompts(&self.prompts, &self.telemetry);
        }
    }
}

/// What is said before anything is known.
const NOT_ASKED: &str = "providers: they have not said yet how they are";

/// What is missing, without what the synthesiser says of it.
fn without_reason(line: &str) -> String {
    let parts: Vec<&str> = line.splitn(3, ": ").take(2).collect();
    format!("{}; the log says why", parts.join(": "))
}

fn kind(health: &Health) -> ProviderHealth {
    match health {
        Health::Ready(_) => ProviderHealth::Ready,
        Health::Unavailable(_) => ProviderHealth::Unavailable,
        Health::Refused(_) => ProviderHealth::Refused,
    }
}

fn words(health: &Health) -> &str {
    match health {
        Health::Ready(text) | Health::Unavailable(text) | Health::Refused(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::services::{ServiceFuture, TextToSpeech, TtsRequest};
    use crate::telemetry::QueueLimits;
    use crate::turn::all_sentences;
    use crate::types::{Route, SpeechAudio, TtsFailure};

    /// Answers no request, and says of itself that it is well or that it is not.
    #[derive(Default)]
    struct Hung {
        is_unwell: AtomicBool,
    }

    impl TextToSpeech for Hung {
        fn synthesize(&self, _: TtsRequest) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
            Box::pin(std::future::pending())
        }

        fn check(&self) -> ServiceFuture<'_, Health> {
            let is_unwell = self.is_unwell.load(Ordering::SeqCst);
            let health = if is_unwell { Health::Unavailable } else { Health::Ready };
            Box::pin(std::future::ready(health(String::new())))
        }
    }

    fn watch(hung: &Arc<Hung>) -> Watch {
        let limits = QueueLimits { queue_max: 100, batch_max: 10 };
        let (telemetry, _queue) = Telemetry::new(limits, Vec::new());
        let mut providers = Providers::default();
        providers.tts.insert("hung".to_owned(), Arc::clone(hung) as Arc<dyn TextToSpeech>);
        let route = Route { tts: "hung".to_owned(), ..Route::default() };
        let prompts = Arc::new(PromptCache::new([&route], all_sentences));
        Watch { providers, prompts, board: HealthBoard::default(), telemetry }
    }

    #[tokio::test(start_paused = true)]
    async fn a_synthesiser_that_hangs_keeps_the_ports_closed_for_a_moment_only() {
        let watch = watch(&Arc::new(Hung::default()));
        let board = watch.board.clone();
        assert_eq!(board.complaints(), [NOT_ASKED], "nothing is ready before it was asked");
        let begun = tokio::time::Instant::now();
        watch.begin(&Handle::current()).await;
        assert_eq!(begun.elapsed(), BEGIN_WITHIN);
        let complaints = board.complaints();
        assert!(complaints[0].starts_with("prompts: "), "{complaints:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_findings_stay_fresh_while_a_synthesiser_hangs_over_a_prompt() {
        let hung = Arc::new(Hung::default());
        let watch = watch(&hung);
        let board = watch.board.clone();
        watch.start(&Handle::current());
        tokio::time::sleep(2 * CHECK_EVERY).await;
        assert!(board.complaints().is_empty(), "{:?}", board.complaints());
        hung.is_unwell.store(true, Ordering::SeqCst);
        tokio::time::sleep(2 * CHECK_EVERY).await;
        assert_eq!(board.complaints(), ["tts hung: unavailable; the log says why"]);
    }
}
