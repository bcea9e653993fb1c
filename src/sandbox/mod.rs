//! Local stand-ins for the platforms, over real HTTP: the dialog platform (a small
//! hotel behind both of its contracts), a synthesiser, and a recogniser for whole utterances
//! and for speech as it is spoken.
//!
//! They speak wire formats of their own making, written from the contracts and not
//! shared with the engine's clients, so that a client's mistake shows. Faults are
//! set at the start or over `POST /_sandbox/faults`; `GET /_sandbox/stats` tells
//! what the platform's side saw. Loopback only: nothing here is authenticated
//! beyond a key that is printed in the documentation.

mod admin;
mod body;
mod cognigy;
mod door;
mod faults;
pub mod hotel;
mod live;
mod multipart;
mod problem;
mod recent;
mod speech;

use std::io;
use std::net::SocketAddr;

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpServer, web};
use parking_lot::Mutex;
use rustls::ServerConfig;

use crate::types::Secret;

use self::door::Door;
use self::hotel::{HotelReply, HotelState, answer};
use self::recent::RecentMap;

pub use self::cognigy::{BOT_ID, SESSIONS_MAX};
pub use self::faults::{Fault, FaultProfile, FaultProfileError, FaultProfiles};
pub use self::speech::{SpeechFuture, SpeechOrder, Synthesiser};

/// The key that every stand-in takes unless told otherwise.
pub const DEFAULT_KEY: &str = "sandbox-key";
/// A key that the dialog platform knows and that may do nothing: 403.
pub const FORBIDDEN_KEY: &str = "sandbox-key-without-permission";
/// URL token of the REST endpoint unless told otherwise.
pub const DEFAULT_URL_TOKEN: &str =
    "5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5a4db0c5";

/// What a sandbox is started with.
#[derive(Clone)]
pub struct SandboxSettings {
    /// Where it listens; loopback, port 0 for a free one.
    pub addr: SocketAddr,
    /// The key it takes.
    pub key: Secret,
    /// What the recogniser hears.
    pub phrase: String,
    /// What goes wrong from the start.
    pub faults: FaultProfiles,
    /// Speaks for the synthesiser; without it words are tones.
    pub synthesiser: Option<Synthesiser>,
    /// How many times as fast as it is spoken speech is streamed; 0: as fast as it is taken.
    pub speech_pace: u32,
    /// What it shows, to be asked over `https` only.
    pub tls: Option<ServerConfig>,
}

impl Default for SandboxSettings {
    fn default() -> Self {
        Self {
            addr: SocketAddr::from(([127, 0, 0, 1], 8090)),
            key: Secret::new(DEFAULT_KEY),
            phrase: "what time is breakfast".to_owned(),
            faults: FaultProfiles::default(),
            synthesiser: None,
            speech_pace: 0,
            tls: None,
        }
    }
}

/// Why a sandbox does not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// It would be reachable from outside.
    #[error("the sandbox listens on loopback only, not on {0}: use 127.0.0.1")]
    NotLoopback(SocketAddr),
    /// Somebody listens there.
    #[error("{0} is in use: stop what listens there or choose another port")]
    AddressInUse(SocketAddr),
    /// The system does not let it listen.
    #[error("cannot listen on {addr}")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A fault profile is out of range.
    #[error("fault profile: {0}")]
    Faults(#[from] FaultProfileError),
}

/// A sandbox that answers until it is stopped.
#[derive(Debug)]
pub struct RunningSandbox {
    /// Where it listens.
    pub addr: SocketAddr,
    is_tls: bool,
    server: ServerHandle,
}

impl RunningSandbox {
    /// Where everything is.
    #[must_use]
    pub fn base_url(&self) -> String {
        let scheme = if self.is_tls { "https" } else { "http" };
        format!("{scheme}://{}", self.addr)
    }

    /// Base URL of the dialogs contract.
    #[must_use]
    pub fn dialogs_base_url(&self) -> String {
        format!("{}/api/v2", self.base_url())
    }

    /// URL of the REST endpoint.
    #[must_use]
    pub fn endpoint_url(&self) -> String {
        format!("{}/{DEFAULT_URL_TOKEN}", self.base_url())
    }

    /// Stops at once; requests that are being answered are cut off.
    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

/// Starts a sandbox on threads of its own, inside a running actix or tokio runtime.
///
/// # Errors
/// An address that is not loopback or cannot be listened on, or a fault profile
/// out of range.
pub fn start(mut settings: SandboxSettings) -> Result<RunningSandbox, SandboxError> {
    let addr = settings.addr;
    if !addr.ip().is_loopback() {
        return Err(SandboxError::NotLoopback(addr));
    }
    settings.faults.check()?;
    let tls = settings.tls.take();
    let is_tls = tls.is_some();
    let stand = web::Data::new(Stand::new(settings));
    let app = move || {
        App::new()
            .app_data(stand.clone())
            .app_data(web::PayloadConfig::new(cognigy::BODY_BYTES_MAX))
            .configure(admin::routes)
            .configure(speech::routes)
            .configure(live::routes)
            .configure(cognigy::routes)
            .default_service(web::to(admin::nothing_here))
    };
    let server = HttpServer::new(app).workers(WORKERS).disable_signals();
    let server = match tls {
        None => server.bind(addr),
        Some(tls) => server.bind_rustls_0_23(addr, tls),
    };
    let server = server.map_err(|source| bind_error(addr, source))?;
    let addr = server.addrs().first().copied().unwrap_or(addr);
    let server = server.run();
    let handle = server.handle();
    tokio::spawn(server);
    Ok(RunningSandbox { addr, is_tls, server: handle })
}

/// Threads that answer. Answers are short, and hanging ones cost no thread.
const WORKERS: usize = 1;

fn bind_error(addr: SocketAddr, source: io::Error) -> SandboxError {
    match source.kind() {
        io::ErrorKind::AddrInUse => SandboxError::AddressInUse(addr),
        _ => SandboxError::Bind { addr, source },
    }
}

/// What the stand-ins share.
struct Stand {
    key: Secret,
    url_token: Secret,
    phrase: String,
    synthesiser: Option<Synthesiser>,
    speech_pace: u32,
    dialog: Door,
    tts: Door,
    stt: Door,
    /// Turns that really ran, by dialog or session.
    turns: Mutex<RecentMap<u64>>,
    /// State of the REST endpoint's sessions.
    sessions: Mutex<RecentMap<HotelState>>,
}

impl Stand {
    fn new(settings: SandboxSettings) -> Self {
        Self {
            key: settings.key,
            url_token: Secret::new(DEFAULT_URL_TOKEN),
            phrase: settings.phrase,
            synthesiser: settings.synthesiser,
            speech_pace: settings.speech_pace,
            dialog: Door::with_profile(settings.faults.dialog),
            tts: Door::with_profile(settings.faults.tts),
            stt: Door::with_profile(settings.faults.stt),
            turns: Mutex::new(RecentMap::new(SESSIONS_MAX)),
            sessions: Mutex::new(RecentMap::new(SESSIONS_MAX)),
        }
    }

    fn turn_ran(&self, session: &str) {
        *self.turns.lock().entry(session) += 1;
    }

    fn answer_in_session(&self, session: &str, text: &str) -> HotelReply {
        let mut sessions = self.sessions.lock();
        let state = sessions.entry(session);
        let reply = answer(std::mem::take(state), text);
        *state = reply.state.clone();
        reply
    }
}

#[cfg(test)]
mod tests;
