//! Every setting with its default. The text of `config.toml` mirrors this file.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::stand_ins::{CodedTtsSettings, FixedDialogSettings, FixedSettings, ToneSettings};
use super::traces::TelemetrySettings;
use crate::types::{BudgetSettings, ListeningSettings, Prompts, RetryOn, TurnSettings};

/// The whole configuration. A value of this type that [`super::load()`] returned
/// has been checked and cannot be wrong.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Ports, threads, shutdown.
    pub server: ServerSettings,
    /// What the engine refuses to exceed.
    pub limits: LimitSettings,
    /// The route of calls that match none of `routes`.
    pub route: RouteSettings,
    /// Routes by called number, path or key; each fills what it leaves out from `route`.
    pub routes: Vec<NamedRoute>,
    /// The HTTP media callback.
    pub http_callback: HttpCallbackSettings,
    /// When a provider behind HTTP is not asked for a while.
    pub breaker: BreakerSettings,
    /// Dialog platforms.
    pub dialog: DialogSettings,
    /// Recognisers.
    pub stt: SttSettings,
    /// Synthesisers.
    pub tts: TtsSettings,
    /// The event file.
    pub events: EventSettings,
    /// The log.
    pub log: LogSettings,
    /// Traces.
    pub telemetry: TelemetrySettings,
}

/// `[server]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerSettings {
    /// HTTP: media callback, stream, metrics, health. Loopback only for now.
    pub http: SocketAddr,
    /// Simulator WebSocket. Loopback only for now.
    pub simulator: SocketAddr,
    /// Names of this engine beside those of the loopback, `host` or `host:port`.
    pub allowed_hosts: Vec<String>,
    /// Origins of web pages that may use it from a browser.
    pub allowed_origins: Vec<String>,
    /// Who calls may stand in the URL of a WebSocket.
    pub user_id_in_query: bool,
    /// PEM file of the certificate chain with which both ports speak TLS. Empty: they do not.
    pub tls_certificate_file: PathBuf,
    /// PEM file of its private key.
    pub tls_key_file: PathBuf,
    /// Media threads (arbiters) that calls are spread over. 0: one per core.
    pub media_threads: usize,
    /// Threads that serve HTTP and WebSocket connections. 0: one per core.
    pub http_threads: usize,
    /// Threads that run the providers' requests.
    pub service_threads: usize,
    /// How often a media thread looks after its calls, 5 to 40.
    pub tick_ms: u32,
    /// How long running calls may go on after SIGTERM.
    pub drain_ms_max: u32,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Simultaneous calls.
    pub calls_max: u32,
    /// Lateness that 99.9 % of what is due must keep for new calls to be taken. 0: any.
    pub late_ms_max: u32,
    /// Share of the time in which a media thread may be busy, with a new call. 0: any.
    pub busy_percent_max: u32,
    /// Memory with which new calls are taken, in megabytes of 2^20 bytes. 0: any.
    pub memory_mb_max: u64,
    /// Calls that one remote address may begin in a second. 0: any number.
    pub calls_per_second_per_source_max: u32,
    /// Connections of both ports together. 0: as many as there are handles for.
    pub connections_max: u32,
    /// Connections of one remote address. 0: any number.
    pub connections_per_source_max: u32,
    /// How a WebSocket client learns that there is no room.
    pub websocket_refusal: WebSocketRefusal,
    /// Largest WebSocket message or hex chunk message.
    pub message_bytes_max: usize,
    /// A connection that has sent nothing for this long is closed as lost.
    pub idle_ms_max: u32,
}

/// `[route]`: see [`crate::types::Route`] for what each part means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RouteSettings {
    /// `cognigy-dialogs`, `cognigy-rest`, `fixed`, `echo`.
    pub dialog: String,
    /// `pocketsphinx`, `deepgram`, `openai-http`, `fixed`, `coded`, `worker`.
    pub stt: String,
    /// `flite`, `generic-http`, `tone`, `coded`, `worker`.
    pub tts: String,
    /// Voice of the synthesiser. Empty: the provider's own default.
    pub voice: String,
    /// BCP 47 tag.
    pub language: String,
    /// What the engine itself says.
    pub prompts: Prompts,
    /// How speech is told from silence.
    pub listening: ListeningSettings,
    /// How turns are taken.
    pub turns: TurnSettings,
    /// Restart budget of each child.
    pub restarts: BudgetSettings,
}

/// `[[routes]]`: a partial `[route]` with a name and what it matches.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedRoute {
    /// Name in events.
    pub name: String,
    /// Called numbers, paths or keys (`?route=` of a stream, `route` of a call start).
    pub called: Vec<String>,
    /// All its settings: what the file leaves out is filled in from `[route]`.
    pub settings: RouteSettings,
}

/// `[http_callback]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpCallbackSettings {
    /// A media chunk for an unknown call starts it.
    pub auto_start: bool,
    /// Largest body of one media post.
    pub chunk_bytes_max: usize,
    /// Sequence number of a call's first chunk.
    pub first_sequence: u64,
    /// Media posts that may be ahead of the next expected one.
    pub sequence_ahead_max: u64,
    /// Reply audio kept for `GET …/audio`.
    pub reply_ms_max: u32,
    /// Hosts (`host` or `host:port`) that a playback URL may name. Empty: none.
    pub playback_hosts: Vec<String>,
    /// No media post for this long: the media is lost.
    pub idle_ms_max: u32,
}

/// `[breaker]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerSettings {
    /// Failures in a row after which a provider is not asked. 0: it always is.
    pub failures_max: u32,
    /// How long nothing is asked before one request tries.
    pub open_ms: u32,
}

/// `[dialog]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DialogSettings {
    /// Dialog requests in flight at each platform.
    pub in_flight_max: usize,
    /// Dialog requests waiting for a permit of each platform.
    pub waiting_max: usize,
    /// `[dialog.cognigy-dialogs]`
    #[serde(rename = "cognigy-dialogs")]
    pub cognigy_dialogs: CognigyDialogsSettings,
    /// `[dialog.cognigy-rest]`
    #[serde(rename = "cognigy-rest")]
    pub cognigy_rest: CognigyRestSettings,
    /// `[dialog.fixed]`
    pub fixed: FixedDialogSettings,
}

/// `[dialog.cognigy-dialogs]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CognigyDialogsSettings {
    /// Base URL. Empty: `https://{tenant}.cognigy.ai/api/v2` of `COGNIGY_TENANT`.
    pub base_url: String,
    /// The bot to talk to.
    pub bot_id: String,
    /// File that holds the API key. Empty: `COGNIGY_API_KEY`.
    pub api_key_file: PathBuf,
    /// Longest time for one attempt.
    pub timeout_ms: u32,
    /// Attempts in all.
    pub attempts_max: u32,
    /// What is tried again.
    pub retry_on: Vec<RetryOn>,
}

/// `[dialog.cognigy-rest]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CognigyRestSettings {
    /// File that holds the endpoint URL, which is the credential. Empty: `COGNIGY_ENDPOINT_URL`.
    pub endpoint_url_file: PathBuf,
    /// Longest time for one attempt.
    pub timeout_ms: u32,
    /// Attempts in all.
    pub attempts_max: u32,
    /// What is tried again. A turn must not run twice.
    pub retry_on: Vec<RetryOn>,
    /// JSON pointer to the intent in the reply's `data`. Empty: none.
    pub intent_pointer: String,
    /// JSON pointer to the confidence in the reply's `data`. Empty: none.
    pub confidence_pointer: String,
}

/// `[stt]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SttSettings {
    /// `[stt.pocketsphinx]`
    pub pocketsphinx: PocketsphinxSettings,
    /// `[stt.deepgram]`
    pub deepgram: DeepgramSettings,
    /// `[stt.openai-http]`
    #[serde(rename = "openai-http")]
    pub openai_http: OpenAiHttpSettings,
    /// `[stt.fixed]`
    pub fixed: FixedSettings,
    /// `[stt.worker]`
    pub worker: WorkerSettings,
}

/// `[stt.pocketsphinx]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PocketsphinxSettings {
    /// Worker processes.
    pub workers: usize,
    /// Utterances waiting for a worker.
    pub waiting_max: usize,
    /// Acoustic model folder.
    pub model_dir: PathBuf,
    /// Pronouncing dictionary.
    pub dictionary: PathBuf,
    /// JSGF grammar. Empty: the demo bot's.
    pub grammar: PathBuf,
    /// Path score per 10 ms frame under which an utterance is no match.
    pub score_min: f32,
}

/// `[stt.deepgram]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeepgramSettings {
    /// Base URL, `https` or `http`; `/v1/listen` is appended.
    pub base_url: String,
    /// The server's name of the model.
    pub model: String,
    /// File that holds the API key. Empty: `DEEPGRAM_API_KEY`.
    pub api_key_file: PathBuf,
    /// Longest time from the end of an utterance to its transcript.
    pub timeout_ms: u32,
}

/// `[stt.openai-http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OpenAiHttpSettings {
    /// Base URL; `/v1/audio/transcriptions` is appended.
    pub base_url: String,
    /// The server's name of the model.
    pub model: String,
    /// File that holds the key. Empty: `OPENAI_API_KEY`, and none if that is unset.
    pub api_key_file: PathBuf,
    /// Longest time for one request.
    pub timeout_ms: u32,
}

/// A speech worker of the user's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerSettings {
    /// Program and arguments.
    pub command: Vec<String>,
    /// Worker processes.
    pub workers: usize,
    /// Requests waiting for a worker.
    pub waiting_max: usize,
}

/// `[tts]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TtsSettings {
    /// `[tts.flite]`
    pub flite: FliteSettings,
    /// `[tts.generic-http]`
    #[serde(rename = "generic-http")]
    pub generic_http: GenericHttpSettings,
    /// `[tts.tone]`
    pub tone: ToneSettings,
    /// `[tts.coded]`
    pub coded: CodedTtsSettings,
    /// `[tts.worker]`
    pub worker: WorkerSettings,
}

/// `[tts.flite]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FliteSettings {
    /// Worker processes.
    pub workers: usize,
    /// Sentences waiting for a worker.
    pub waiting_max: usize,
}

/// `[tts.generic-http]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GenericHttpSettings {
    /// `{endpoint}/tts/synthesize` is posted to.
    pub endpoint: String,
    /// File that holds the key. Empty: `ANTIPHON_TTS_API_KEY`.
    pub api_key_file: PathBuf,
    /// Whether it takes SSML.
    pub ssml: bool,
    /// Longest time for one request.
    pub timeout_ms: u32,
}

/// `[events]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventSettings {
    /// The event file; JSON lines.
    pub path: PathBuf,
    /// Events written at once.
    pub batch_max: usize,
    /// Longest wait before a smaller batch is written.
    pub batch_ms_max: u32,
    /// Events waiting to be written; one more is counted and dropped.
    pub queue_max: usize,
    /// Size at which the file is rotated. 0: never.
    pub rotate_bytes: u64,
    /// Rotated files kept.
    pub rotated_files_max: u32,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogSettings {
    /// Filter, for example `info` or `antiphon=debug`.
    pub filter: String,
    /// `text` or `json`.
    pub format: LogFormat,
}

/// How a WebSocket client learns that there is no room for its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WebSocketRefusal {
    /// The connection becomes a WebSocket and is closed with code 1013.
    Close,
    /// It does not become one: the request is answered with 503 or 429.
    Status,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
