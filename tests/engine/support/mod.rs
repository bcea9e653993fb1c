//! What the tests of the whole engine share: the engine as a process of its own,
//! callers of the simulator protocol, and what speech they play.
//!
//! Everything listens on free loopback ports and lives in a folder of its own.
//! Waiting is bounded by [`HANG_GUARD`]; no test depends on how fast a machine is.

pub mod callers;
pub mod certificates;
mod engine;
mod folder;
mod phone;
pub mod prometheus;
pub mod raw;
pub mod schema;

use std::time::Duration;

use antiphon::sandbox::{self, RunningSandbox, SandboxSettings};
pub use engine::{Ended, Engine, Setup, client, run_to_end};
pub use folder::Folder;
pub use phone::{Message, Phone, brief, chunk};

/// Nothing that a test waits for takes this long, even on a busy machine.
pub const HANG_GUARD: Duration = Duration::from_secs(60);

/// How often something is looked at that nobody announces.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` finds something; fails with `what` when it never does.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    tokio::time::timeout(HANG_GUARD, found).await.unwrap_or_else(|_| panic!("never: {what}"))
}

/// The stand-ins for the platforms, on a free port.
pub fn sandbox() -> RunningSandbox {
    sandbox_at("127.0.0.1:0")
}

/// The stand-ins at an address that was free a moment ago.
pub fn sandbox_at(addr: &str) -> RunningSandbox {
    let addr = addr.parse().expect("an address");
    sandbox_with(SandboxSettings { addr, ..SandboxSettings::default() })
}

/// Other stand-ins.
pub fn sandbox_with(settings: SandboxSettings) -> RunningSandbox {
    sandbox::start(settings).expect("the sandbox starts")
}

/// An address where nobody listens, as of a moment ago.
pub fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound").to_string()
}

/// A human voice, 16 kHz: one short utterance of about a second.
pub fn speech() -> Vec<i16> {
    recording(include_bytes!("../../audio/cards_001.wav"))
}

/// A human voice, 16 kHz: one utterance of three and a half seconds.
pub fn long_speech() -> Vec<i16> {
    recording(include_bytes!("../../audio/cards_005.wav"))
}

fn recording(bytes: &[u8]) -> Vec<i16> {
    let mut wav = antiphon::media::wav::read(bytes).expect("a recording");
    wav.channels.remove(0)
}
