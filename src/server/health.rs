//! Whether the providers work: found out at the start, watched from then on.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt, join_all};
use parking_lot::RwLock;
use tokio::time::timeout;

use crate::services::{Health, PromptCache, Providers};
use crate::telemetry::{EngineEvent, ProviderHealth, Service, Telemetry};

/// Longest time for one check.
const CHECK_WITHIN: Duration = Duration::from_secs(4);

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

/// Asks every provider how it is, all at once.
pub async fn check_providers(providers: &Providers) -> Vec<Finding> {
    let mut checks: Vec<BoxFuture<'_, Finding>> = Vec::new();
    for (name, backend) in &providers.dialog {
        checks.push(check(Service::Dialog, name, backend.check()).boxed());
    }
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
    let health = timeout(CHECK_WITHIN, answer)
        .await
        .unwrap_or_else(|_| Health::Unavailable("it does not answer in time".to_owned()));
    Finding { service, provider: name.to_owned(), health }
}

/// The latest findings, for the readiness route.
#[derive(Clone, Default)]
pub struct HealthBoard(Arc<RwLock<Findings>>);

#[derive(Default)]
struct Findings {
    providers: Vec<Finding>,
    /// Prompts that are not rendered, and what is to be said of them.
    prompts_missing: usize,
    prompts: Vec<String>,
}

impl HealthBoard {
    /// Takes over a round of checks and tells what changed.
    pub fn update(&self, findings: Vec<Finding>, telemetry: &Telemetry) {
        let before = std::mem::replace(&mut self.0.write().providers, findings.clone());
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
        let providers = findings.providers.iter().filter(unwell).map(line);
        let prompts = findings.prompts.iter().map(|line| without_reason(line));
        providers.chain(prompts).collect()
    }
}

/// Checks again and again, and renders the prompts that could not be rendered yet.
pub async fn watch(
    providers: Providers,
    prompts: Arc<PromptCache>,
    board: HealthBoard,
    telemetry: Telemetry,
) {
    loop {
        tokio::time::sleep(CHECK_EVERY).await;
        board.update(check_providers(&providers).await, &telemetry);
        prompts.render(&providers.tts).await;
        board.update_prompts(&prompts, &telemetry);
    }
}

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
