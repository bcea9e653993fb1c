//! The callback's HTTP handlers: read the request, ask the call, answer. What
//! requests mean is in the pure files beside this one.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION};
use actix_web::web::{self, Bytes, Data, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;
use tokio::time::{sleep, timeout};

use super::call::{CallbackCall, Presence, REQUESTS_PER_SECOND_MAX, ReplyReader, ReplyStep};
use super::calls::{Calls, Lookup, attach, connected};
use super::format::{FormatError, check_whole, content_type};
use super::messages::{
    AUDIO_POSITION, BUFFERED_MS, CALL_STATE, DUPLICATE, EPOCH, HeadError, MediaAnswer, MediaHead,
    NEXT_SEQUENCE, Start, StartAnswer, StartError,
};
use super::overview;
use super::playback::{self, Playback, PlaybackUrlError};
use super::reply::ReplyPart;
use crate::actors::link::{CallRequest, ChunkOutcome, Delivery, LegInput, Switchboard};
use crate::config::HttpCallbackSettings;
use crate::transports::query::anonymous;
use crate::transports::refusal::Refusal;
use crate::types::{CarrierCallId, MediaFormat, RefusalReason};

/// Length of a piece of reply audio.
const FRAME_MS: u32 = 20;

/// How far reply audio may be ahead of real time: a poller gets it in lumps, and
/// has to bridge the time to its next request.
const LEAD_MS: u32 = 200;

/// Largest body of a call start.
const START_BYTES_MAX: usize = 16 * 1024;

/// How late the answer is to a request that is one too many: a connection sends one after the
/// other, and so no more than one of them in this time.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// Longest time for a body to arrive.
const BODY_MS_MAX: u64 = 5_000;

/// Largest piece of reply audio in one answer, or in one write of a stream.
const REPLY_BYTES_MAX: usize = 64 * 1024;

/// What the callback's connections share. Clones share the same calls.
#[derive(Clone)]
pub struct HttpCallback {
    switchboard: Switchboard,
    settings: Arc<HttpCallbackSettings>,
    calls: Arc<Calls>,
}

impl HttpCallback {
    /// Connects calls through `switchboard`.
    #[must_use]
    pub fn new(switchboard: Switchboard, settings: &HttpCallbackSettings) -> Self {
        Self { switchboard, settings: Arc::new(settings.clone()), calls: Arc::default() }
    }
}

/// Mounts everything under `/v1/calls`. Called once in each worker, with clones
/// of one state.
pub fn routes(config: &mut web::ServiceConfig, state: HttpCallback) {
    config.app_data(Data::new(Worker { state, client: OnceCell::new() })).service(
        web::scope("/v1/calls")
            .service(web::resource("").get(overview::list).head(overview::list).post(start))
            .service(
                web::resource("/{id}")
                    .get(overview::look)
                    .head(overview::look)
                    .delete(overview::hang_up),
            )
            .service(web::resource("/{id}/media").post(media))
            .service(web::resource("/{id}/audio").get(audio)),
    );
}

/// One worker's view: its HTTP client stays on its thread.
pub(super) struct Worker {
    state: HttpCallback,
    client: OnceCell<reqwest::Client>,
}

pub(super) type Answer = Result<HttpResponse, Refusal>;

async fn start(http: HttpRequest, payload: Payload, worker: Data<Worker>) -> Answer {
    let state = &worker.state;
    check_coding(http.headers())?;
    let body = read_body(payload, START_BYTES_MAX).await?;
    let start = Start::parse(&body)?;
    let playback_url = match &start.playback_url {
        Some(url) => Some(playback::check_url(url, &state.settings.playback_hosts)?),
        None => None,
    };
    let playback = match playback_url {
        Some(url) => Some((url, worker.client()?)),
        None => None,
    };
    let request = CallRequest {
        carrier_call_id: start.carrier_call_id,
        user_id: start.user_id,
        target: start.target,
        ..state.request(&http, start.format)
    };
    let format_out = request.format_out;
    if let Some(name) = &request.carrier_call_id
        && let Lookup::Call(call) = state.calls.find(name)
        && call.presence() == Presence::Connected
    {
        return Err(RefusalReason::AlreadyConnected.into());
    }
    let leg = state.switchboard.connect(request.clone()).await?;
    let (call_id, resumed) = (leg.call_id, leg.resumed);
    let name = request.carrier_call_id.clone().unwrap_or_else(|| call_id.into());
    let request = CallRequest { carrier_call_id: Some(name.clone()), ..request };
    let call = Arc::new(CallbackCall::new(request, &state.settings));
    let input = attach(&state.calls, &call, leg, state.settings.idle_ms_max);
    if let Some((url, client)) = playback {
        let playback = Playback { call_id, url, format: format_out, client };
        actix_web::rt::spawn(playback.run(call.playback_reader()));
    }
    let url = format!("/v1/calls/{}", name.expose());
    state.calls.add(name, call);
    Ok(HttpResponse::Created().insert_header((LOCATION, url.as_str())).json(StartAnswer {
        call_id,
        resumed,
        first_sequence: input.state().next_sequence,
        reply_content_type: content_type(format_out).into_owned(),
        media_url: format!("{url}/media"),
        audio_url: format!("{url}/audio"),
    }))
}

async fn media(
    request: HttpRequest,
    id: Path<String>,
    payload: Payload,
    worker: Data<Worker>,
) -> Answer {
    let state = &worker.state;
    let id = name_of(&id)?;
    let known = match state.calls.find(&id) {
        Lookup::Call(call) => Some(call),
        Lookup::Unknown if state.settings.auto_start => None,
        Lookup::Unknown => return Err(unknown_call()),
        Lookup::Ended => return Err(RefusalReason::Ended.into()),
    };
    if let Some(call) = &known {
        call.heard();
        check_pace(call).await?;
        // Whatever else may be wrong with the post: nobody needs to correct it.
        if matches!(call.presence(), Presence::Ended(_)) {
            return Err(RefusalReason::Ended.into());
        }
    }
    let chunk = match Chunk::read(&request, payload, known.as_deref(), &state.settings).await {
        Ok(chunk) => chunk,
        Err(refusal) => return Err(told(refusal, known.as_deref())),
    };
    let call = known.unwrap_or_else(|| {
        let request = chunk.first_request(&request, &id, state);
        state.calls.find_or_add(&id, || CallbackCall::new(request, &state.settings))
    });
    let idle_ms_max = state.settings.idle_ms_max;
    let input = connected(&state.calls, &call, &state.switchboard, idle_ms_max).await?;
    let duplicate = chunk.hand_over(&input)?;
    Ok(media_answer(&input, &call, &chunk.head, duplicate))
}

/// Whether the call's client may ask something now. Each request costs the engine's threads
/// something, however little it brings.
async fn check_pace(call: &CallbackCall) -> Result<(), Refusal> {
    if call.takes_request() {
        return Ok(());
    }
    sleep(REFUSED_AFTER).await;
    let refusal = Refusal::new(
        StatusCode::TOO_MANY_REQUESTS,
        "too_many_requests",
        format_args!(
            "this call sends more than {REQUESTS_PER_SECOND_MAX} requests a second: send longer \
             pieces, and read the reply as a stream"
        ),
    );
    Err(told(refusal.retry_later(), Some(call)))
}

/// A media post that was read and checked.
struct Chunk {
    head: MediaHead,
    format: MediaFormat,
    samples: Bytes,
}

impl Chunk {
    async fn read(
        request: &HttpRequest,
        payload: Payload,
        call: Option<&CallbackCall>,
        settings: &HttpCallbackSettings,
    ) -> Result<Self, Refusal> {
        check_coding(request.headers())?;
        let head = MediaHead::parse(request.headers(), request.query_string())?;
        let body = read_body(payload, settings.chunk_bytes_max).await?;
        let format = match call {
            Some(call) => call.request().format_in,
            None => head.format.format_of_new_call(&body)?,
        };
        let samples = head.format.samples(&body, format)?;
        check_whole(&samples, format)
            .map_err(|error| Refusal::bad_request("odd_byte_count", error))?;
        Ok(Self { head, format, samples })
    }
}

impl HttpCallback {
    /// A call of nobody in particular, with audio in `format_in`, begun by `http`.
    fn request(&self, http: &HttpRequest, format_in: MediaFormat) -> CallRequest {
        CallRequest {
            carrier_call_id: None,
            takes_over: false,
            user_id: anonymous(),
            target: None,
            source: http.peer_addr().map(|peer| peer.ip()),
            transport: "http_callback",
            format_in,
            format_out: MediaFormat { channels: 1, ..format_in },
            delivery: Delivery::Paced { frame_ms: FRAME_MS, lead_ms: LEAD_MS },
            first_sequence: self.settings.first_sequence,
            sequence_ahead_max: self.settings.sequence_ahead_max,
        }
    }
}

impl Chunk {
    /// The call that this chunk starts by itself. It counts from this chunk on when
    /// that is further from the configured beginning than the window allows.
    fn first_request(
        &self,
        http: &HttpRequest,
        id: &CarrierCallId,
        state: &HttpCallback,
    ) -> CallRequest {
        let request = state.request(http, self.format);
        let ahead = self.head.sequence.saturating_sub(request.first_sequence);
        let is_within = ahead <= request.sequence_ahead_max;
        CallRequest {
            carrier_call_id: Some(id.clone()),
            first_sequence: if is_within { request.first_sequence } else { self.head.sequence },
            ..request
        }
    }

    /// Gives the chunk to the call; whether it was a duplicate.
    fn hand_over(&self, input: &LegInput) -> Result<bool, Refusal> {
        let sequence = self.head.sequence;
        let refusal = match input.chunk(sequence, &self.samples) {
            ChunkOutcome::Accepted => return Ok(false),
            ChunkOutcome::Duplicate => return Ok(true),
            ChunkOutcome::Ended => return Err(RefusalReason::Ended.into()),
            ChunkOutcome::TooFarAhead => Refusal::new(
                StatusCode::CONFLICT,
                "sequence_too_far_ahead",
                format_args!(
                    "sequence {sequence} is too far ahead: {} is expected next",
                    input.state().next_sequence
                ),
            ),
            ChunkOutcome::Full => Refusal::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_fast",
                "more audio is waiting than a burst may hold: send the same post again later",
            )
            .retry_later(),
            ChunkOutcome::TooLong { ms_max } => Refusal::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "chunk_too_long",
                format_args!("a post holds at most {ms_max} ms of audio: send shorter ones"),
            ),
        };
        input.refused(refusal.code());
        Err(refusal)
    }
}

/// Has the call's record say that a post was refused.
fn told(refusal: Refusal, call: Option<&CallbackCall>) -> Refusal {
    if let Some(input) = call.and_then(CallbackCall::input) {
        input.refused(refusal.code());
    }
    refusal
}

fn media_answer(
    input: &LegInput,
    call: &CallbackCall,
    head: &MediaHead,
    duplicate: bool,
) -> HttpResponse {
    let intake = input.state();
    let answer = MediaAnswer {
        next_expected_seq: intake.next_sequence,
        buffered_ms: intake.buffered_ms,
        state: if intake.running { "running" } else { "ended" },
        epoch: intake.epoch,
        duplicate,
    };
    if head.wants_audio {
        let part = call.with_reply(|reply| reply.answer(head.sequence, REPLY_BYTES_MAX));
        return audio_answer(&answer, part, call.request().format_out);
    }
    let status = if duplicate { StatusCode::OK } else { StatusCode::ACCEPTED };
    HttpResponse::build(status).json(answer)
}

fn audio_answer(answer: &MediaAnswer, part: ReplyPart, format: MediaFormat) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type(format).into_owned()))
        .insert_header((AUDIO_POSITION, part.position))
        .insert_header((EPOCH, part.epoch.0))
        .insert_header((NEXT_SEQUENCE, answer.next_expected_seq))
        .insert_header((BUFFERED_MS, answer.buffered_ms))
        .insert_header((CALL_STATE, answer.state))
        .insert_header((DUPLICATE, answer.duplicate.to_string()))
        .body(part.bytes)
}

#[derive(Deserialize)]
struct AudioQuery {
    #[serde(default)]
    from: u64,
}

async fn audio(id: Path<String>, request: HttpRequest, worker: Data<Worker>) -> Answer {
    let id = name_of(&id)?;
    let from = Query::<AudioQuery>::from_query(request.query_string())
        .map_err(|_| Refusal::bad_request("bad_position", "from is not a whole number of samples"))?
        .from;
    let call = worker.state.find(&id)?;
    check_pace(&call).await?;
    if matches!(call.presence(), Presence::Ended(_))
        && call.with_reply(|reply| reply.position_at(from) >= reply.end())
    {
        return Err(RefusalReason::Ended.into());
    }
    let reader = call.reader(from);
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, content_type(call.request().format_out).into_owned()))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((AUDIO_POSITION, reader.position()))
        .insert_header((EPOCH, reader.epoch().0))
        .streaming(futures_util::stream::unfold(reader, next_bytes)))
}

/// The stream ends at a flush, so that the client learns of it.
async fn next_bytes(
    mut reader: ReplyReader,
) -> Option<(Result<Bytes, actix_web::Error>, ReplyReader)> {
    match reader.next(REPLY_BYTES_MAX).await {
        ReplyStep::Audio(part) => Some((Ok(part.bytes.into()), reader)),
        ReplyStep::Flushed { .. } | ReplyStep::Ended => None,
    }
}

impl HttpCallback {
    /// The way to all calls.
    pub(super) const fn switchboard(&self) -> &Switchboard {
        &self.switchboard
    }

    /// What the callback knows of a name.
    pub(super) fn lookup(&self, id: &CarrierCallId) -> Lookup {
        self.calls.find(id)
    }

    fn find(&self, id: &CarrierCallId) -> Result<Arc<CallbackCall>, Refusal> {
        match self.calls.find(id) {
            Lookup::Call(call) => Ok(call),
            Lookup::Ended => Err(RefusalReason::Ended.into()),
            Lookup::Unknown => Err(unknown_call()),
        }
    }
}

impl Worker {
    /// What all workers share.
    pub(super) const fn state(&self) -> &HttpCallback {
        &self.state
    }

    fn client(&self) -> Result<reqwest::Client, Refusal> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let client = playback::client().map_err(|_| RefusalReason::Internal)?;
        Ok(self.client.get_or_init(|| client).clone())
    }
}

/// What a path calls a call: its client's name for it, or the engine's.
pub(super) fn name_of(text: &str) -> Result<CarrierCallId, Refusal> {
    CarrierCallId::new(text).map_err(|error| Refusal::bad_request("bad_call_id", error))
}

pub(super) fn unknown_call() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "unknown_call", "no call with this id: start it first")
}

/// Refuses a body that is compressed: it would be taken for audio.
fn check_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let codings = headers.get_all(CONTENT_ENCODING).map(|it| it.to_str().unwrap_or("?"));
    let coded = codings.flat_map(|list| list.split(',')).map(str::trim);
    let mut coded = coded.filter(|it| !it.is_empty() && !it.eq_ignore_ascii_case("identity"));
    match coded.next() {
        None => Ok(()),
        Some(_) => Err(Refusal::unsupported_coding()),
    }
}

/// Reads a body that is neither too large nor too slow.
async fn read_body(payload: Payload, bytes_max: usize) -> Result<Bytes, Refusal> {
    match timeout(Duration::from_millis(BODY_MS_MAX), payload.to_bytes_limited(bytes_max)).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(_))) => Err(Refusal::bad_request("bad_body", "the body did not arrive whole")),
        Ok(Err(_)) => Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format_args!("the body is larger than {bytes_max} bytes: send smaller chunks"),
        )),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_too_slow",
            "the body did not arrive in time",
        )),
    }
}

impl From<StartError> for Refusal {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Json(_) => Self::bad_request("bad_json", error),
            StartError::TooLong { .. } => Self::bad_request("too_long", error),
            StartError::Target(_) => Self::bad_request("two_targets", error),
            StartError::Format(error) => error.into(),
        }
    }
}

impl From<HeadError> for Refusal {
    fn from(error: HeadError) -> Self {
        match error {
            HeadError::Sequence => Self::bad_request("bad_sequence", error),
            HeadError::Format(error) => error.into(),
        }
    }
}

impl From<FormatError> for Refusal {
    fn from(error: FormatError) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format", error)
    }
}

impl From<PlaybackUrlError> for Refusal {
    fn from(error: PlaybackUrlError) -> Self {
        Self::bad_request("bad_playback_url", error)
    }
}
