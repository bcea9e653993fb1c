//! The stream's WebSocket handler. It refuses before the upgrade what can be
//! known by then, so that the client sees an HTTP status.

use actix_web::{HttpRequest, HttpResponse, web};

use super::codec::{StreamDecoder, StreamEncoder};
use crate::actors::link::{CallRequest, Delivery, Switchboard};
use crate::config::LimitSettings;
use crate::transports::query;
use crate::transports::refusal::Refusal;
use crate::transports::websocket::{SocketLimits, accept, carry};
use crate::types::MediaFormat;

/// Length of an outgoing frame.
const FRAME_MS: u32 = 20;

/// How far the engine may be ahead of real time: enough for a frame or two that
/// come late, little enough that an interruption is heard at once.
const LEAD_MS: u32 = 60;

/// What the stream's connections share.
#[derive(Clone)]
pub struct StreamState {
    switchboard: Switchboard,
    limits: SocketLimits,
}

impl StreamState {
    /// Connects calls through `switchboard`; takes the message size and the idle
    /// time from `limits`.
    #[must_use]
    pub fn new(switchboard: Switchboard, limits: &LimitSettings) -> Self {
        Self { switchboard, limits: SocketLimits::from(limits) }
    }
}

/// Mounts `GET /v1/stream`.
pub fn routes(config: &mut web::ServiceConfig, state: StreamState) {
    config.app_data(web::Data::new(state)).service(web::resource("/v1/stream").get(connect));
}

async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<StreamState>,
) -> Result<HttpResponse, Refusal> {
    let query = query::parse(request.query_string())?;
    let (response, socket) = accept(&request, payload, state.limits)?;
    let format = MediaFormat::pcm16(query.rate);
    let leg = state
        .switchboard
        .connect(CallRequest {
            call_id: query.call_id,
            user_id: query.user_id,
            called: query.route,
            transport: "stream",
            format_in: format,
            format_out: format,
            delivery: Delivery::Paced { frame_ms: FRAME_MS, lead_ms: LEAD_MS },
            first_sequence: 0,
            sequence_ahead_max: 0,
        })
        .await?;
    let first = vec![StreamEncoder::started(&leg.call_id, leg.resumed, query.rate)];
    let encoder = StreamEncoder::new(query.events.unwrap_or(true));
    actix_web::rt::spawn(carry(leg, socket, StreamDecoder, encoder, first));
    Ok(response)
}
