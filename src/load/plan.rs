//! What a run is to be: where to, which calls, how they talk, and when the run is no
//! measurement. A plan that was built can be carried out.

use reqwest::Url;
use serde::{Deserialize, Serialize};

use super::caller::CallerSettings;
use super::pattern::TalkPattern;
use super::schedule::Schedule;
use super::talker::Speech;

/// The carrier protocol that callers speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// `ws://host:port`: JSON with hex audio, whole sentences back.
    Simulator,
    /// `ws://host:port/v1/stream`: raw audio both ways.
    Stream,
    /// `http://host:port/v1/calls`: media posts, answered with reply audio.
    HttpCallback,
}

impl Carrier {
    /// The name used in reports.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Simulator => "simulator",
            Self::Stream => "stream",
            Self::HttpCallback => "http-callback",
        }
    }

    /// The audio in one message that clients of this protocol send, in milliseconds.
    #[must_use]
    pub const fn usual_chunk_ms(self) -> u32 {
        match self {
            Self::Stream => 20,
            Self::Simulator => 100,
            Self::HttpCallback => 200,
        }
    }
}

/// Where calls are placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The address, without what belongs to a single call.
    pub url: Url,
    /// The protocol.
    pub carrier: Carrier,
}

/// The address is none that calls can be placed to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address for calls: use ws://host:port (simulator), \
     ws://host:port/v1/stream or http://host:port/v1/calls; wss or https for TLS"
)]
pub struct TargetError(String);

impl Target {
    /// Tells the protocol from the address.
    ///
    /// # Errors
    /// [`TargetError`] for an address of another kind.
    pub fn parse(text: &str) -> Result<Self, TargetError> {
        let wrong = || TargetError(text.to_owned());
        let mut url = Url::parse(text).map_err(|_| wrong())?;
        let path = url.path().trim_end_matches('/').to_owned();
        let carrier = match (url.scheme(), path.as_str()) {
            _ if !url.has_host() => return Err(wrong()),
            ("ws" | "wss", path) if path.ends_with("/v1/stream") => Carrier::Stream,
            ("ws" | "wss", _) => Carrier::Simulator,
            ("http" | "https", "" | "/v1/calls") => Carrier::HttpCallback,
            _ => return Err(wrong()),
        };
        if carrier == Carrier::HttpCallback {
            url.set_path("/v1/calls");
        }
        Ok(Self { url, carrier })
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Where calls are placed.
    pub target: Target,
    /// Which calls.
    pub schedule: Schedule,
    /// The technical side of callers.
    pub caller: CallerSettings,
    /// How they talk.
    pub pattern: TalkPattern,
    /// What they say.
    pub speech: Speech,
    /// Whether every answer has to carry its number: one that does not is flawed. Otherwise
    /// it is only where another answer of the run does, for not every engine speaks so.
    pub must_verify: bool,
    /// Decides all that is left to chance.
    pub seed: u64,
    /// Threads that drive the calls, each with its part of them.
    pub threads: usize,
    /// How often a refused call is tried again; after the last time it is given up.
    pub retries_max: u32,
    /// When the run says nothing about the engine.
    pub limits: ValidityLimits,
}

/// What the generator must keep to for its figures to be the engine's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ValidityLimits {
    /// Latest that 99 % of the messages go out after their time, in milliseconds.
    pub send_late_ms_max: f64,
    /// Share of its core that a thread of the generator uses, 0 to 1.
    pub cpu_share_max: f64,
}

impl Default for ValidityLimits {
    fn default() -> Self {
        Self { send_late_ms_max: 20.0, cpu_share_max: 0.9 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_is_told_from_the_address() {
        let carrier = |url: &str| Target::parse(url).map(|target| target.carrier).ok();
        assert_eq!(carrier("ws://127.0.0.1:8765"), Some(Carrier::Simulator));
        assert_eq!(carrier("ws://127.0.0.1:8080/v1/stream?rate=8000"), Some(Carrier::Stream));
        assert_eq!(carrier("http://127.0.0.1:8080"), Some(Carrier::HttpCallback));
        assert_eq!(carrier("http://127.0.0.1:8080/v1/calls"), Some(Carrier::HttpCallback));
        assert_eq!(carrier("wss://host/v1/stream"), Some(Carrier::Stream));
        assert_eq!(carrier("https://host/v1/calls"), Some(Carrier::HttpCallback));
        for wrong in ["", "127.0.0.1:8080", "http://host/live", "ftp://a"] {
            assert_eq!(carrier(wrong), None, "{wrong}");
        }
    }
}
