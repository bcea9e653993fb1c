//! What every provider behind HTTP needs: a client with limits, one bounded
//! exchange, an answer that is read as it comes, and errors that say whether the
//! request may have been seen.
//!
//! It never follows a redirect, never uses the system's proxy, never retries by
//! itself, and its errors carry neither addresses nor what the other side wrote.

use std::error::Error;
use std::io;
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER,
};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, StatusCode, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::json;
use super::media_type::MediaType;
use crate::types::{SttFailure, TlsFault, TraceParent, TtsFailure};

/// Longest time to make a connection, TLS included.
const CONNECT_MS_MAX: u64 = 3_000;
/// An idle connection is closed after this: sooner than common servers do (5 s and
/// more), so that a request rarely meets a connection that is just being closed
/// and counts as sent.
const IDLE_CONNECTION_MS_MAX: u64 = 4_000;
/// Idle connections kept for each host.
const IDLE_CONNECTIONS_MAX: usize = 16;
/// As much of an answer to a health check is read: what it is shows at its beginning.
const CHECK_BYTES_MAX: usize = 64 * 1024;
/// Longest time for a health check, whatever it asks: as long as calls wait by default.
pub(super) const CHECK_MS_MAX: u32 = 10_000;
/// Longest time for a request of a health check that no call would make, and that costs
/// nothing to answer.
const PROBE_MS_MAX: u32 = 4_000;
/// Longest JSON answer that is read.
pub(super) const JSON_BYTES_MAX: usize = 1024 * 1024;

/// Why a provider's HTTP settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpSetupError {
    /// The address cannot be used.
    #[error("{setting} {problem}")]
    Address {
        /// The setting, or the variable, that holds it.
        setting: &'static str,
        /// What is wrong; never the address itself, which may be a credential.
        problem: &'static str,
    },
    /// No client could be made for it.
    #[error(
        "no TLS client could be made for {setting}: install the system's root certificates \
         (Debian package ca-certificates)"
    )]
    Tls {
        /// The setting, or the variable, that holds the address.
        setting: &'static str,
    },
}

/// Why an exchange brought no usable answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ExchangeError {
    /// The other side has seen nothing of the request.
    #[error("no connection could be made")]
    NotSent,
    /// Likewise, because of what it showed.
    #[error("{0}")]
    NotSecure(TlsFault),
    /// The request may have been seen and run.
    #[error("the connection broke before the answer was complete")]
    Broken,
    /// The request may have been seen and run.
    #[error("there was no complete answer in time")]
    TimedOut,
    /// Not 2xx.
    #[error("the answer has status {status}")]
    Status { status: u16, retry_after_ms: Option<u64> },
    /// Longer than the reader allows.
    #[error("the answer is longer than {bytes_max} bytes")]
    TooLong { bytes_max: usize },
    /// Complete, and not what the contract says.
    #[error("the answer {0}")]
    Malformed(&'static str),
}

const COMPRESSED: ExchangeError = ExchangeError::Malformed(
    "is compressed (Content-Encoding), although it was asked for as it is: switch compression off \
     there",
);

/// A complete 2xx answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) media_type: MediaType,
    pub(super) body: Bytes,
}

/// A 2xx answer whose body is still coming. Dropping it ends the exchange.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) media_type: MediaType,
    response: Response,
    bytes_max: usize,
    bytes_left: usize,
}

/// Reads the address in `setting`: `http` or `https`, a host, and no user name or
/// password, which belong into a key. A slash at the end makes no difference.
pub(super) fn address(setting: &'static str, text: &str) -> Result<Url, HttpSetupError> {
    let refused = |problem| HttpSetupError::Address { setting, problem };
    if text.is_empty() {
        return Err(refused("is empty: give the address, for example https://host/path"));
    }
    let url = Url::parse(text.trim_end_matches('/'))
        .map_err(|_| refused("is no address: use the form https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(refused("must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("must not hold a user name or password"));
    }
    Ok(url)
}

/// `base` with `path` (which begins with a slash) appended, unless it ends with that
/// already: some documents give the whole address.
pub(super) fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let above = base.path().trim_end_matches('/');
    let above = above.strip_suffix(path).unwrap_or(above);
    url.set_path(&format!("{above}{path}"));
    url
}

/// `base` with `/v1` and `path` appended. Some documents give the base with its version,
/// others without: `/v1` does not come twice.
pub(super) fn below_v1(base: &Url, path: &str) -> Url {
    if base.path().trim_end_matches('/').ends_with("/v1") {
        below(base, path)
    } else {
        below(base, &format!("/v1{path}"))
    }
}

/// A client for the host in `url`, to be used on one runtime only: its connections
/// belong to the runtime that opened them.
pub(super) fn client(setting: &'static str, url: &Url) -> Result<Client, HttpSetupError> {
    built(setting, builder(url).pool_max_idle_per_host(IDLE_CONNECTIONS_MAX))
}

/// The same, with a new connection for each request.
pub(super) fn fresh_client(setting: &'static str, url: &Url) -> Result<Client, HttpSetupError> {
    built(setting, builder(url).pool_max_idle_per_host(0))
}

fn built(setting: &'static str, builder: ClientBuilder) -> Result<Client, HttpSetupError> {
    builder.build().map_err(|_| HttpSetupError::Tls { setting })
}

fn builder(url: &Url) -> ClientBuilder {
    // Fails when another client installed it before, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    // Nothing is decompressed here.
    let headers = [(ACCEPT_ENCODING, HeaderValue::from_static("identity"))];
    let builder = Client::builder()
        .default_headers(headers.into_iter().collect())
        .user_agent(concat!("antiphon/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .connect_timeout(Duration::from_millis(CONNECT_MS_MAX))
        .pool_idle_timeout(Duration::from_millis(IDLE_CONNECTION_MS_MAX));
    if url.scheme() == "http" {
        // No TLS is spoken, so a machine without root certificates will do.
        return builder.tls_certs_only([]);
    }
    builder
}

/// `value` as the JSON body of a request. The same bytes can be sent again.
pub(super) fn json_body(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("our requests have text keys and finite numbers").into()
}

/// `request` with its place in the call's trace, where there is one.
pub(super) fn traced(request: RequestBuilder, trace: Option<TraceParent>) -> RequestBuilder {
    match trace {
        Some(place) => request.header("traceparent", place.to_string()),
        None => request,
    }
}

/// Sends `request` and reads a 2xx answer of at most `bytes_max` bytes, all within
/// `ms_max`. Dropping the future ends the exchange.
pub(super) async fn exchange(
    request: RequestBuilder,
    bytes_max: usize,
    ms_max: u32,
) -> Result<Answer, ExchangeError> {
    within(ms_max, async {
        let mut incoming = open(request, bytes_max).await?;
        let body = incoming.rest().await?;
        Ok(Answer { media_type: incoming.media_type, body })
    })
    .await
}

/// Sends a `request` to speak another protocol on its connection, and returns the answer
/// that agrees (101), within `ms_max`.
pub(super) async fn switch_protocol(
    request: RequestBuilder,
    ms_max: u32,
) -> Result<Response, ExchangeError> {
    let response = within(ms_max, send(request)).await?;
    match response.status() {
        StatusCode::SWITCHING_PROTOCOLS => Ok(response),
        status if status.is_success() => {
            Err(ExchangeError::Malformed("does not switch the protocol"))
        }
        _ => Err(status_of(&response)),
    }
}

/// Sends `request` and reads the head of a 2xx answer, whose body has at most `bytes_max`
/// bytes. How long that and each part of the body may take is for the caller to say, by
/// [`within`].
pub(super) async fn open(
    request: RequestBuilder,
    bytes_max: usize,
) -> Result<Incoming, ExchangeError> {
    let response = send(request).await?;
    if !response.status().is_success() {
        return Err(status_of(&response));
    }
    if response.status() == StatusCode::PARTIAL_CONTENT && !is_whole(response.headers()) {
        return Err(ExchangeError::Malformed("is only a part of what was asked for (status 206)"));
    }
    Incoming::new(response, bytes_max)
}

impl Incoming {
    fn new(response: Response, bytes_max: usize) -> Result<Self, ExchangeError> {
        if response.content_length().is_some_and(|length| length > bytes_max as u64) {
            return Err(ExchangeError::TooLong { bytes_max });
        }
        if is_coded(response.headers()) {
            return Err(COMPRESSED);
        }
        let media_type = media_type(response.headers());
        Ok(Self { media_type, response, bytes_max, bytes_left: bytes_max })
    }

    /// The next part of the body, of any size; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        let chunk = self.response.chunk().await.map_err(|_| ExchangeError::Broken)?;
        let length = chunk.as_ref().map_or(0, Bytes::len);
        let left = self.bytes_left.checked_sub(length);
        self.bytes_left = left.ok_or(ExchangeError::TooLong { bytes_max: self.bytes_max })?;
        Ok(chunk)
    }

    async fn rest(&mut self) -> Result<Bytes, ExchangeError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// The body of an answer to a health check.
#[derive(Debug)]
pub(super) struct Found {
    /// As far as it was read.
    bytes: Bytes,
    /// Why no further.
    fault: Option<ExchangeError>,
}

impl Found {
    /// Reads a body as it comes, as far as a health check needs it.
    async fn read(mut response: Response) -> Self {
        if is_coded(response.headers()) {
            return Self { bytes: Bytes::new(), fault: Some(COMPRESSED) };
        }
        let mut bytes = BytesMut::new();
        let fault = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) => break None,
                Err(_) => break Some(ExchangeError::Broken),
            }
            if bytes.len() > CHECK_BYTES_MAX {
                bytes.truncate(CHECK_BYTES_MAX);
                break Some(ExchangeError::TooLong { bytes_max: CHECK_BYTES_MAX });
            }
        };
        Self { bytes: bytes.freeze(), fault }
    }

    /// As text, without what may stand in front of it.
    pub(super) fn text(&self) -> String {
        json::text(&self.bytes).trim_start().to_owned()
    }

    /// Whether it is JSON by its beginning.
    pub(super) fn is_json(&self) -> bool {
        self.is_readable() && self.text().starts_with(['{', '['])
    }

    /// Whether it is a list, or an object that has one, as lists come that are cut into pages.
    /// Of a long one the beginning decides.
    pub(super) fn holds_a_list(&self) -> bool {
        if self.fault.is_some() {
            return self.is_json() && self.text().contains('[');
        }
        match json::read(&self.bytes) {
            Ok(Value::Object(page)) => page.values().any(Value::is_array),
            Ok(body) => body.is_array(),
            Err(_) => false,
        }
    }

    const fn is_readable(&self) -> bool {
        matches!(self.fault, None | Some(ExchangeError::TooLong { .. }))
    }

    /// What to say of it where it is not what was asked for.
    pub(super) fn flaw(&self) -> String {
        match &self.fault {
            Some(fault) if !self.is_readable() => format!(" ({fault})"),
            _ => String::new(),
        }
    }
}

/// Sends the `request` of a health check, once more when its connection breaks. Every
/// status is an answer.
pub(super) async fn probe(request: RequestBuilder) -> Result<(u16, Found), ExchangeError> {
    within(PROBE_MS_MAX, async {
        let again = request.try_clone();
        let response = match (send(request).await, again) {
            (Err(ExchangeError::Broken), Some(again)) => send(again).await?,
            (response, _) => response?,
        };
        Ok((response.status().as_u16(), Found::read(response).await))
    })
    .await
}

/// Whether a status says that calls would fail, whatever was asked for: somebody in front
/// leads elsewhere, or does not reach the provider.
pub(super) const fn is_away(status: u16) -> bool {
    matches!(status, 300..=399 | 502..=504)
}

impl Answer {
    /// The body as a JSON object: every contract has one, and a list of values would pass for
    /// its fields in order. A media type that says otherwise is believed; none is not held
    /// against it, nor is a byte order mark.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ExchangeError> {
        if !self.media_type.may_be_json() {
            return Err(ExchangeError::Malformed("is declared as something else than JSON"));
        }
        let other = |_| ExchangeError::Malformed("is no JSON object of the expected form");
        let object: Map<String, Value> = json::read(&self.body).map_err(other)?;
        T::deserialize(Value::Object(object)).map_err(other)
    }
}

macro_rules! speech_failure_from_exchange {
    ($($failure:ident),*) => {$(
        impl From<ExchangeError> for $failure {
            fn from(error: ExchangeError) -> Self {
                let message = error.to_string();
                match error {
                    ExchangeError::TimedOut => Self::Timeout,
                    ExchangeError::Status { status: 429, .. } => Self::RateLimited,
                    ExchangeError::NotSent
                    | ExchangeError::NotSecure(_)
                    | ExchangeError::Broken
                    // It may work again by itself.
                    | ExchangeError::Status { status: 500..=599, .. } => {
                        Self::Unavailable { message }
                    }
                    ExchangeError::Status { status: status @ (401 | 403), .. } => Self::Failed {
                        message: format!("the key is refused (status {status}): check the key"),
                    },
                    ExchangeError::Status { .. }
                    | ExchangeError::TooLong { .. }
                    | ExchangeError::Malformed(_) => Self::Failed { message },
                }
            }
        }
    )*};
}

speech_failure_from_exchange!(SttFailure, TtsFailure);

/// What comes of `exchange` within `ms_max`; its future is dropped then.
pub(super) async fn within<T, F: From<ExchangeError>>(
    ms_max: u32,
    exchange: impl Future<Output = Result<T, F>>,
) -> Result<T, F> {
    let limit = Duration::from_millis(u64::from(ms_max));
    let outcome = tokio::time::timeout(limit, exchange).await;
    outcome.unwrap_or_else(|_| Err(ExchangeError::TimedOut.into()))
}

fn status_of(response: &Response) -> ExchangeError {
    ExchangeError::Status {
        status: response.status().as_u16(),
        retry_after_ms: retry_after_ms(response.headers(), SystemTime::now()),
    }
}

async fn send(request: RequestBuilder) -> Result<Response, ExchangeError> {
    request.send().await.map_err(|error| {
        if !error.is_connect() {
            return ExchangeError::Broken;
        }
        tls_fault(&error).map_or(ExchangeError::NotSent, ExchangeError::NotSecure)
    })
}

/// Why there is no TLS, where that is what `error` comes of.
fn tls_fault(error: &(dyn Error + 'static)) -> Option<TlsFault> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(error.into());
    }
    // An IO error is not its content's outside, but its source's.
    let within = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
    within.and_then(|within| tls_fault(within)).or_else(|| error.source().and_then(tls_fault))
}

fn media_type(headers: &HeaderMap) -> MediaType {
    MediaType::parse(text_of(headers, &CONTENT_TYPE))
}

fn is_coded(headers: &HeaderMap) -> bool {
    !matches!(text_of(headers, &CONTENT_ENCODING).to_ascii_lowercase().as_str(), "" | "identity")
}

/// Whether a part is all there is, such as `bytes 0-99/100`, or does not say what it is.
fn is_whole(headers: &HeaderMap) -> bool {
    let range = text_of(headers, &CONTENT_RANGE);
    let numbers = range.strip_prefix("bytes ").and_then(|range| {
        let (range, length) = range.split_once('/')?;
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?, length.parse::<u64>().ok()?))
    });
    match numbers {
        Some((first, last, length)) => first == 0 && last.checked_add(1) == Some(length),
        None => range.is_empty(),
    }
}

/// A header as text; empty where there is none, or none that is text.
fn text_of<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

/// What `Retry-After` asks for: seconds, or a date that is compared with the
/// answer's own `Date` where it has one, so that a clock that is wrong here does
/// not matter. `None` when there is none or it is neither.
fn retry_after_ms(headers: &HeaderMap, wall_clock: SystemTime) -> Option<u64> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(seconds.saturating_mul(1_000));
    }
    let date_of = |text: &str| httpdate::parse_http_date(text).ok();
    let told = headers.get(DATE).and_then(|value| value.to_str().ok()).and_then(date_of);
    let wait = date_of(text)?.duration_since(told.unwrap_or(wall_clock)).unwrap_or_default();
    u64::try_from(wait.as_millis()).ok()
}

#[cfg(test)]
mod tests;
