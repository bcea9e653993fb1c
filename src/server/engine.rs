//! Starting and stopping the engine.
//!
//! Everything that can be wrong with a configuration or a key is found out before
//! a port is bound. Stopping goes from the top: no new calls, the running ones end,
//! the last events reach the disk, the threads are joined.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use actix_web::dev::ServerHandle;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep};

use super::chance;
use super::doors;
use super::handles;
use super::health::{Finding, HealthBoard, Watch, check_dialogs};
use super::planner::Planner;
use super::routes::EngineState;
use crate::actors::link::Switchboard;
use crate::actors::{
    CallRegistry, Clock, MediaThreads, MetricsThread, RegistryParts, ServiceRuntime,
};
use crate::config::{Config, EventSettings, ServerSettings};
use crate::services::{
    Health, PromptCache, ProviderError, Providers, TraceExport, Unbuilt, process_environment,
};
use crate::telemetry::{
    EngineEvent, EventFileError, EventQueue, Prometheus, PrometheusError, QueueLimits, Service,
    SpanQueue, Telemetry, Upkeep, check_event_file, install_panic_hook,
};
use crate::transports::{CertificateError, CertificateFiles, Tls};
use crate::turn::all_sentences;
use crate::types::Route;

/// Longest time for calls to say goodbye after they were told to end.
const GOODBYE_WITHIN: Duration = Duration::from_secs(5);

/// The last second whose year has four digits: no answer can be dated later.
const DATES_END_S: u64 = 253_402_300_799;

/// How often a drain looks whether calls are left.
const DRAIN_LOOK_EVERY: Duration = Duration::from_millis(50);

/// Starts engines.
pub struct Engine;

/// Why the engine cannot start. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Providers cannot be built from their settings.
    #[error(transparent)]
    Providers(#[from] Unbuilt),
    /// The traces' collector cannot be asked.
    #[error(transparent)]
    Traces(#[from] ProviderError),
    /// The dialog platform does not accept the key.
    #[error("dialog {provider}: {message}")]
    DialogRefused {
        /// The backend's name in the configuration.
        provider: String,
        /// What the platform said and what to do.
        message: String,
    },
    /// A port cannot be bound.
    #[error("cannot listen on {address} ({key}): {source}; is another engine running there?")]
    Port {
        /// The address.
        address: SocketAddr,
        /// Its key in the configuration.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// The process may not hold enough files and sockets.
    #[error(
        "this process may hold {limit} files and sockets at once and needs {needed} at least: \
         raise the limit (ulimit -n, LimitNOFILE of systemd), or take fewer threads"
    )]
    Handles {
        /// How many it may hold.
        limit: u64,
        /// How many it needs.
        needed: u64,
    },
    /// The wall clock is not set.
    #[error("the clock of this computer says a time before 1970 or after 9999: set it")]
    WallClock,
    /// The TLS certificate cannot be used.
    #[error("server.tls_certificate_file, server.tls_key_file: {0}")]
    Certificate(#[from] CertificateError),
    /// A bound port cannot be served.
    #[error("cannot serve a port that is bound: {0}")]
    Serve(std::io::Error),
    /// Events would be lost.
    #[error(transparent)]
    Events(#[from] EventFileError),
    /// Metrics cannot be collected.
    #[error(transparent)]
    Metrics(#[from] PrometheusError),
    /// The threads for the providers cannot be made.
    #[error("cannot start the service threads: {0}")]
    Threads(std::io::Error),
}

/// An engine that takes calls.
pub struct RunningEngine {
    /// Where HTTP is served.
    pub http: SocketAddr,
    /// Where the simulator protocol is served.
    pub simulator: SocketAddr,
    /// Whether both are under TLS.
    pub is_tls: bool,
    switchboard: Switchboard,
    servers: [ServerHandle; 2],
    metrics: MetricsThread,
    traces: Option<TraceExport>,
    telemetry: Telemetry,
    draining: Arc<AtomicBool>,
    drain_ms_max: u32,
    _services: ServiceThreads,
    _upkeep: Upkeep,
}

impl Engine {
    /// Starts an engine within the current actix system.
    ///
    /// # Errors
    /// [`StartError`], before any port is bound where possible.
    pub async fn start(config: Config) -> Result<RunningEngine, StartError> {
        install_panic_hook();
        check_event_file(&config.events.path)?;
        let handles = check_system(&config.server)?;
        let prometheus = prometheus()?;
        let (telemetry, queue, spans) = telemetry(&config);
        let clock = Clock::start();
        let services = ServiceThreads::start(config.server.service_threads)?;
        let traces = export(&config, spans, &telemetry)?;
        let tls = tls(&config.server, &telemetry)?;
        let table = config.routes();
        let routes: Vec<Arc<Route>> = table.all().cloned().collect();
        let providers = providers(&config, &routes, services.handle(), &telemetry)?;
        let board = HealthBoard::default();
        let prompts = Arc::new(PromptCache::new(routes.iter().map(Arc::as_ref), all_sentences));
        let watch = Watch {
            providers: providers.clone(),
            prompts: Arc::clone(&prompts),
            board: board.clone(),
            telemetry: telemetry.clone(),
        };
        prepare(services.handle(), watch).await?;

        let http_port = doors::listen("server.http", config.server.http)?;
        let simulator_port = doors::listen("server.simulator", config.server.simulator)?;
        let (http, simulator) =
            (doors::address_of(&http_port)?, doors::address_of(&simulator_port)?);

        let planner = Planner {
            clock,
            routes: table,
            providers,
            prompts,
            runtime: ServiceRuntime::new(services.handle().clone()),
            telemetry: telemetry.clone(),
        };
        let switchboard = start_registry(&config, clock, planner, &telemetry);
        let draining = Arc::new(AtomicBool::new(false));
        let state = EngineState {
            board,
            draining: Arc::clone(&draining),
            switchboard: switchboard.clone(),
            prometheus: prometheus.clone(),
            telemetry: telemetry.clone(),
        };
        let is_tls = tls.is_some();
        let ports = doors::ports(&config, tls, handles, [http_port, simulator_port]);
        let servers = match doors::open(&config, &switchboard, state, ports).await {
            Ok(servers) => servers,
            Err(error) => {
                switchboard.stop().await;
                return Err(error);
            }
        };
        let metrics = MetricsThread::start(queue, config.events.clone(), telemetry.clone(), clock);
        telemetry.engine_event(&EngineEvent::EngineStarted { version: env!("CARGO_PKG_VERSION") });
        Ok(RunningEngine {
            http,
            simulator,
            is_tls,
            switchboard,
            servers,
            metrics,
            traces,
            _upkeep: prometheus.start_upkeep(telemetry.clone()),
            telemetry,
            draining,
            drain_ms_max: config.server.drain_ms_max,
            _services: services,
        })
    }
}

/// Starts who takes the calls, and the threads that carry them.
fn start_registry(
    config: &Config,
    clock: Clock,
    planner: Planner,
    telemetry: &Telemetry,
) -> Switchboard {
    CallRegistry::start(RegistryParts {
        clock,
        planner: Box::new(planner),
        threads: MediaThreads::start(
            threads(config.server.media_threads),
            clock,
            config.server.tick_ms,
            &config.limits,
            telemetry,
        ),
        telemetry: telemetry.clone(),
        limits: config.limits.clone(),
        draw: Box::new(chance::draw),
        cores: threads(0),
    })
}

/// Whether the engine can live here; how many files and sockets it may hold.
fn check_system(settings: &ServerSettings) -> Result<u64, StartError> {
    let (limit, needed) = (handles::raise_limit(), handles::needed(settings, threads));
    if limit < needed {
        return Err(StartError::Handles { limit, needed });
    }
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    if !(1..=DATES_END_S).contains(&since_1970) {
        return Err(StartError::WallClock);
    }
    Ok(limit)
}

/// Telemetry, and the spans to be exported where traces are wanted.
fn telemetry(config: &Config) -> (Telemetry, EventQueue, Option<SpanQueue>) {
    let EventSettings { queue_max, batch_max, .. } = config.events;
    let routes = config.routes().all().map(|route| route.name.clone()).collect();
    let (telemetry, queue) = Telemetry::new(QueueLimits { queue_max, batch_max }, routes);
    telemetry.calls_limit(config.limits.calls_max);
    if config.telemetry.otlp.endpoint.is_empty() {
        return (telemetry, queue, None);
    }
    let (telemetry, spans) = telemetry.with_traces();
    (telemetry, queue, Some(spans))
}

fn tls(settings: &ServerSettings, telemetry: &Telemetry) -> Result<Option<Tls>, CertificateError> {
    certificate_files(settings).map(|files| Tls::new(files, telemetry.clone())).transpose()
}

/// What both ports show, where TLS is wanted.
#[must_use]
pub fn certificate_files(settings: &ServerSettings) -> Option<CertificateFiles> {
    let (certificate, key) = (&settings.tls_certificate_file, &settings.tls_key_file);
    let is_wanted = !certificate.as_os_str().is_empty();
    is_wanted.then(|| CertificateFiles { certificate: certificate.clone(), key: key.clone() })
}

fn providers(
    config: &Config,
    routes: &[Arc<Route>],
    services: &Handle,
    telemetry: &Telemetry,
) -> Result<Providers, Unbuilt> {
    // Providers may start tasks; those belong to the service runtime.
    let _inside = services.enter();
    let routes = routes.iter().map(Arc::as_ref);
    Providers::build(config, routes, &process_environment, Some(telemetry))
}

fn export(
    config: &Config,
    spans: Option<SpanQueue>,
    telemetry: &Telemetry,
) -> Result<Option<TraceExport>, ProviderError> {
    let endpoint = &config.telemetry.otlp.endpoint;
    let start = |spans| TraceExport::start(endpoint, spans, telemetry.clone());
    spans.map(start).transpose()
}

/// Looks for keys that are refused; then checks the providers and renders the prompts, and goes
/// on doing both. A synthesiser that hangs does not keep the ports closed.
async fn prepare(services: &Handle, watch: Watch) -> Result<(), StartError> {
    let providers = watch.providers.clone();
    let findings = services.spawn(async move { check_dialogs(&providers).await }).await;
    refuse_wrong_keys(&findings.unwrap_or_default())?;
    watch.begin(services).await;
    Ok(())
}

fn refuse_wrong_keys(findings: &[Finding]) -> Result<(), StartError> {
    for finding in findings.iter().filter(|finding| finding.service == Service::Dialog) {
        if let Health::Refused(message) = &finding.health {
            return Err(StartError::DialogRefused {
                provider: finding.provider.clone(),
                message: message.clone(),
            });
        }
    }
    Ok(())
}

/// The process has one recorder, however many engines a test starts in it.
fn prometheus() -> Result<Prometheus, PrometheusError> {
    static INSTALLED: OnceLock<Prometheus> = OnceLock::new();
    if let Some(prometheus) = INSTALLED.get() {
        return Ok(prometheus.clone());
    }
    let prometheus = Prometheus::install()?;
    Ok(INSTALLED.get_or_init(|| prometheus).clone())
}

/// The threads that run the providers' requests. Ends them without waiting, wherever
/// it is dropped: requests that still run have nobody left to answer.
struct ServiceThreads(Option<Runtime>);

impl ServiceThreads {
    fn start(count: usize) -> Result<Self, StartError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(count.max(1))
            .thread_name("services")
            .enable_all()
            .build()
            .map_err(StartError::Threads)?;
        Ok(Self(Some(runtime)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("taken by drop only").handle()
    }
}

impl Drop for ServiceThreads {
    fn drop(&mut self) {
        // Dropping a runtime inside another one panics.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// 0 means one per core.
pub(super) fn threads(configured: usize) -> usize {
    if configured > 0 {
        return configured;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

// === impl RunningEngine ===

impl RunningEngine {
    /// Opens the event file anew, after it was renamed.
    pub fn reopen_events(&self) {
        self.metrics.reopen();
    }

    /// Takes no new calls, gives the running ones the configured time to end, then
    /// stops. Dropping the future in between leaves the engine draining.
    pub async fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        let calls = self.switchboard.drain(false).await;
        let calls = u32::try_from(calls).unwrap_or(u32::MAX);
        self.telemetry.engine_event(&EngineEvent::DrainStarted { calls });
        self.wait_until_empty(Duration::from_millis(u64::from(self.drain_ms_max))).await;
    }

    /// Ends all calls and stops. Returns when the last event is on disk.
    pub async fn stop(self) {
        self.draining.store(true, Ordering::Relaxed);
        self.switchboard.drain(true).await;
        self.wait_until_empty(GOODBYE_WITHIN).await;
        for server in &self.servers {
            server.stop(true).await;
        }
        self.switchboard.stop().await;
        self.telemetry.tell_refusals();
        self.telemetry.engine_event(&EngineEvent::EngineStopped);
        if let Some(traces) = self.traces {
            traces.stop().await;
        }
        let flushed = self.metrics.stop().await;
        if flushed.dropped + flushed.waiting > 0 {
            tracing::error!(?flushed, "events did not reach the disk");
        }
    }

    async fn wait_until_empty(&self, within: Duration) {
        let until = Instant::now() + within;
        while Instant::now() < until {
            // A registry that does not answer does not mean that there are no calls.
            let load = self.switchboard.load().await;
            if load.map_or_else(|| self.telemetry.calls_active(), |load| load.calls) == 0 {
                return;
            }
            sleep(DRAIN_LOOK_EVERY).await;
        }
    }
}
