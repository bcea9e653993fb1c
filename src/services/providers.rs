//! Builds the providers that the routes of a configuration name, and no others: a
//! provider that nobody uses needs no key and no package.
//!
//! To add a provider, write its file and give it an arm here.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::breaker::ProviderBreaker;
use super::coded::{CodedStt, CodedTts};
use super::cognigy_dialogs::CognigyDialogs;
use super::cognigy_rest::CognigyRest;
use super::credentials::{CredentialError, Environment};
use super::deepgram::DeepgramStt;
use super::echo::EchoDialog;
use super::fixed::{FixedDialog, FixedStt};
use super::generic_http::GenericTts;
use super::governor::Governor;
use super::http::HttpSetupError;
use super::isolated::Isolated;
use super::jitter;
use super::openai_http::OpenAiStt;
use super::speech::{WorkerStt, WorkerTts};
use super::tone::ToneTts;
use super::watched::{WatchedDialog, WatchedStt, WatchedTts};
use super::{DialogBackend, SpeechToText, TextToSpeech};
use crate::config::{BreakerSettings, Config, DialogSettings, SttSettings, TtsSettings};
use crate::telemetry::{Service, Telemetry};
use crate::types::Route;

/// Providers by the name that routes use.
#[derive(Clone, Default)]
pub struct Providers {
    /// Dialog platforms.
    pub dialog: BTreeMap<String, Arc<dyn DialogBackend>>,
    /// Recognisers.
    pub stt: BTreeMap<String, Arc<dyn SpeechToText>>,
    /// Synthesisers.
    pub tts: BTreeMap<String, Arc<dyn TextToSpeech>>,
}

/// Why a provider cannot be built from its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// A route names something that does not exist.
    #[error("there is no {kind} called {name:?}")]
    Unknown {
        /// `dialog backend`, `recogniser` or `synthesiser`.
        kind: &'static str,
        /// The name in the route.
        name: String,
    },
    /// Its key or address is missing or unusable.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// Its HTTP settings are unusable.
    #[error(transparent)]
    Http(#[from] HttpSetupError),
    /// The system gives it no thread.
    #[error("{name} gets no thread of its own: {reason}")]
    Thread {
        /// The provider.
        name: &'static str,
        /// What the system says.
        reason: String,
    },
    /// Two things are missing or wrong.
    #[error("{0}\n{1}")]
    Two(Box<Self>, Box<Self>),
}

/// Every provider that cannot be built, by its name, with the reason.
#[derive(Debug, PartialEq, Eq)]
pub struct Unbuilt(Vec<(String, ProviderError)>);

/// One line for each reason.
impl fmt::Display for Unbuilt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons: Vec<String> = self.0.iter().map(|(_, error)| error.to_string()).collect();
        f.write_str(&reasons.join("\n"))
    }
}

impl std::error::Error for Unbuilt {}

/// Both, or what is wrong with either: who sets one of them right does not find the other
/// wrong after that.
pub(super) fn both<A, B>(
    first: Result<A, impl Into<ProviderError>>,
    second: Result<B, impl Into<ProviderError>>,
) -> Result<(A, B), ProviderError> {
    match (first, second) {
        (Ok(first), Ok(second)) => Ok((first, second)),
        (Err(error), Ok(_)) => Err(error.into()),
        (Ok(_), Err(error)) => Err(error.into()),
        (Err(first), Err(second)) => {
            Err(ProviderError::Two(Box::new(first.into()), Box::new(second.into())))
        }
    }
}

impl Providers {
    /// Builds what `routes` name. Reads credential files; makes no connection.
    ///
    /// # Errors
    /// [`Unbuilt`] with every provider that cannot be built.
    pub fn build<'a>(
        config: &Config,
        routes: impl IntoIterator<Item = &'a Route>,
        environment: Environment<'_>,
        telemetry: Option<&Telemetry>,
    ) -> Result<Self, Unbuilt> {
        let (built, unbuilt) = Self::build_each(config, routes, environment, telemetry);
        if unbuilt.is_empty() { Ok(built) } else { Err(Unbuilt(unbuilt)) }
    }

    /// Builds what `routes` name, each by itself: beside what was built, the names of
    /// what cannot be, with the reason.
    pub fn build_each<'a>(
        config: &Config,
        routes: impl IntoIterator<Item = &'a Route>,
        environment: Environment<'_>,
        telemetry: Option<&Telemetry>,
    ) -> (Self, Vec<(String, ProviderError)>) {
        let mut names = ProviderNames::default();
        routes.into_iter().for_each(|route| names.add(route));
        let breakers = Breakers { settings: &config.breaker, telemetry };
        let (mut built, mut unbuilt) = (Self::default(), Vec::new());
        for name in names.dialog {
            let backend = dialog_backend(name, &config.dialog, environment, breakers);
            let backend = backend
                .map(|backend| Arc::new(WatchedDialog::new(backend)) as Arc<dyn DialogBackend>);
            place(&mut built.dialog, &mut unbuilt, name, backend);
        }
        for name in names.stt {
            let recogniser = recogniser(name, &config.stt, environment, breakers);
            let recogniser = recogniser.map(|recogniser| watched(name, recogniser, telemetry));
            place(&mut built.stt, &mut unbuilt, name, recogniser);
        }
        for name in names.tts {
            let synthesiser =
                synthesiser(name, &config.tts, &config.breaker, environment, telemetry);
            let synthesiser = synthesiser
                .map(|synthesiser| Arc::new(WatchedTts::new(synthesiser)) as Arc<dyn TextToSpeech>);
            place(&mut built.tts, &mut unbuilt, name, synthesiser);
        }
        (built, unbuilt)
    }
}

fn watched(
    name: &str,
    recogniser: Arc<dyn SpeechToText>,
    telemetry: Option<&Telemetry>,
) -> Arc<dyn SpeechToText> {
    let watched = WatchedStt::new(recogniser);
    Arc::new(match telemetry {
        Some(telemetry) => watched.telling(name, telemetry),
        None => watched,
    })
}

fn place<P>(
    built: &mut BTreeMap<String, P>,
    unbuilt: &mut Vec<(String, ProviderError)>,
    name: &str,
    provider: Result<P, ProviderError>,
) {
    match provider {
        Ok(provider) => drop(built.insert(name.to_owned(), provider)),
        Err(error) => unbuilt.push((name.to_owned(), error)),
    }
}

/// Each name once.
#[derive(Default)]
struct ProviderNames<'a> {
    dialog: BTreeSet<&'a str>,
    stt: BTreeSet<&'a str>,
    tts: BTreeSet<&'a str>,
}

impl<'a> ProviderNames<'a> {
    fn add(&mut self, route: &'a Route) {
        self.dialog.insert(&route.dialog);
        self.stt.insert(&route.stt);
        self.tts.insert(&route.tts);
    }
}

/// Makes the breakers of providers that are asked over a network.
#[derive(Clone, Copy)]
struct Breakers<'a> {
    settings: &'a BreakerSettings,
    telemetry: Option<&'a Telemetry>,
}

impl Breakers<'_> {
    fn before(self, service: Service, provider: &'static str) -> Arc<ProviderBreaker> {
        let meter = self.telemetry.map(|telemetry| telemetry.breaker_meter(service, provider));
        match service {
            Service::Dialog => ProviderBreaker::new(self.settings, meter),
            Service::Stt | Service::Tts => ProviderBreaker::of_speech(self.settings, meter),
        }
    }
}

fn dialog_backend(
    name: &str,
    settings: &DialogSettings,
    environment: Environment<'_>,
    breakers: Breakers<'_>,
) -> Result<Arc<dyn DialogBackend>, ProviderError> {
    let governor = |provider| {
        let meter = breakers.telemetry.map(|telemetry| telemetry.dialog_meter(provider));
        Governor::new(settings.in_flight_max, settings.waiting_max, meter)
    };
    Ok(match name {
        "cognigy-dialogs" => isolated(
            "cognigy-dialogs",
            CognigyDialogs::new(
                &settings.cognigy_dialogs,
                environment,
                governor("cognigy-dialogs"),
                breakers.before(Service::Dialog, "cognigy-dialogs"),
                jitter::by_chance,
            )?,
        )?,
        "cognigy-rest" => isolated(
            "cognigy-rest",
            CognigyRest::new(
                &settings.cognigy_rest,
                environment,
                governor("cognigy-rest"),
                breakers.before(Service::Dialog, "cognigy-rest"),
                jitter::by_chance,
            )?,
        )?,
        "fixed" => Arc::new(FixedDialog::new(&settings.fixed)),
        "echo" => Arc::new(EchoDialog),
        _ => return Err(unknown("dialog backend", name)),
    })
}

fn recogniser(
    name: &str,
    settings: &SttSettings,
    environment: Environment<'_>,
    breakers: Breakers<'_>,
) -> Result<Arc<dyn SpeechToText>, ProviderError> {
    let telemetry = breakers.telemetry;
    Ok(match name {
        "openai-http" => {
            let breaker = breakers.before(Service::Stt, "openai-http");
            isolated("openai-http", OpenAiStt::new(&settings.openai_http, environment, breaker)?)?
        }
        "deepgram" => {
            let breaker = breakers.before(Service::Stt, "deepgram");
            let settings = &settings.deepgram;
            isolated(
                "deepgram",
                DeepgramStt::new(settings, environment, jitter::by_chance, breaker)?,
            )?
        }
        "fixed" => Arc::new(FixedStt::new(&settings.fixed)),
        "coded" => Arc::new(CodedStt),
        "pocketsphinx" => {
            isolated("pocketsphinx", WorkerStt::pocketsphinx(&settings.pocketsphinx, telemetry))?
        }
        "worker" => isolated("stt-worker", WorkerStt::external(&settings.worker, telemetry))?,
        _ => return Err(unknown("recogniser", name)),
    })
}

/// The synthesiser that routes call `name`.
///
/// # Errors
/// A name that does not exist, or settings it cannot be built from.
pub fn synthesiser(
    name: &str,
    settings: &TtsSettings,
    breaker: &BreakerSettings,
    environment: Environment<'_>,
    telemetry: Option<&Telemetry>,
) -> Result<Arc<dyn TextToSpeech>, ProviderError> {
    let breakers = Breakers { settings: breaker, telemetry };
    Ok(match name {
        "generic-http" => {
            let breaker = breakers.before(Service::Tts, "generic-http");
            isolated(
                "generic-http",
                GenericTts::new(&settings.generic_http, environment, breaker)?,
            )?
        }
        "flite" => isolated("flite", WorkerTts::flite(&settings.flite, telemetry))?,
        "tone" => Arc::new(ToneTts::new(&settings.tone)),
        "coded" => Arc::new(CodedTts::new(&settings.coded)),
        "worker" => isolated("tts-worker", WorkerTts::external(&settings.worker, telemetry))?,
        _ => return Err(unknown("synthesiser", name)),
    })
}

/// A provider that asks something outside of this process, on a thread of its own.
fn isolated<P: Send + Sync + 'static>(
    name: &'static str,
    provider: P,
) -> Result<Arc<Isolated<P>>, ProviderError> {
    let thread = Isolated::start(name, provider);
    thread.map(Arc::new).map_err(|error| ProviderError::Thread { name, reason: error.to_string() })
}

fn unknown(kind: &'static str, name: &str) -> ProviderError {
    ProviderError::Unknown { kind, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(dialog: &str, stt: &str, tts: &str) -> Route {
        Route {
            dialog: dialog.to_owned(),
            stt: stt.to_owned(),
            tts: tts.to_owned(),
            ..Route::default()
        }
    }

    fn build(routes: &[Route]) -> Result<Providers, Unbuilt> {
        let environment = |variable: &str| {
            let value = match variable {
                "COGNIGY_TENANT" => "acme",
                "COGNIGY_API_KEY" | "ANTIPHON_TTS_API_KEY" => "key-0123456789abcdef",
                _ => return None,
            };
            Some(value.to_owned())
        };
        Providers::build(&Config::default(), routes, &environment, None)
    }

    #[test]
    fn exactly_the_providers_that_the_routes_name_are_built() {
        let routes = [
            route("cognigy-dialogs", "fixed", "generic-http"),
            route("cognigy-dialogs", "openai-http", "generic-http"),
        ];
        let providers = build(&routes).unwrap();
        assert!(providers.dialog.keys().eq(["cognigy-dialogs"]));
        assert!(providers.stt.keys().eq(["fixed", "openai-http"]));
        assert!(providers.tts.keys().eq(["generic-http"]));
    }

    #[test]
    fn a_provider_that_cannot_be_built_does_not_hide_the_others() {
        let routes = [route("cognigy-rest", "fixed", "parrot")];
        let (built, unbuilt) = Providers::build_each(&Config::default(), &routes, &|_| None, None);
        assert!(built.stt.contains_key("fixed"));
        let names: Vec<&str> = unbuilt.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["cognigy-rest", "parrot"]);
    }

    #[test]
    fn a_provider_without_its_credential_is_an_error_that_names_the_variable() {
        let error = build(&[route("cognigy-rest", "fixed", "generic-http")]).err().unwrap();
        assert!(error.to_string().contains("COGNIGY_ENDPOINT_URL"), "{error}");
    }

    #[test]
    fn everything_that_is_missing_is_told_at_once() {
        let routes = [route("cognigy-dialogs", "deepgram", "parrot")];
        let built = Providers::build(&Config::default(), &routes, &|_| None, None);
        let told = built.err().expect("nothing is there").to_string();
        let missing = ["COGNIGY_TENANT", "COGNIGY_API_KEY", "DEEPGRAM_API_KEY", "parrot"];
        assert!(missing.iter().all(|it| told.contains(it)), "{told}");
        assert_eq!(told.lines().count(), 4, "{told}");
    }

    #[test]
    fn a_name_that_does_not_exist_is_an_error() {
        let error = build(&[route("cognigy-dialogs", "parrot", "generic-http")]).err().unwrap();
        assert_eq!(error.to_string(), "there is no recogniser called \"parrot\"");
    }
}
