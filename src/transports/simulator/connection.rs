//! The simulator's WebSocket server: every path is a call. It refuses before the
//! upgrade what can be known by then, so that the client sees an HTTP status.

use actix_web::{HttpRequest, HttpResponse, web};

use super::codec::{SimulatorDecoder, SimulatorEncoder};
use crate::actors::link::{CallRequest, Delivery, Switchboard};
use crate::config::LimitSettings;
use crate::transports::query::{self, NAME_BYTES_MAX};
use crate::transports::refusal::Refusal;
use crate::transports::websocket::{SocketLimits, accept, carry};
use crate::types::MediaFormat;

/// What the connections of the simulator port share.
#[derive(Clone)]
pub struct SimulatorState {
    switchboard: Switchboard,
    limits: SocketLimits,
}

impl SimulatorState {
    /// Connects calls through `switchboard`; takes the message size and the idle
    /// time from `limits`.
    #[must_use]
    pub fn new(switchboard: Switchboard, limits: &LimitSettings) -> Self {
        Self { switchboard, limits: SocketLimits::from(limits) }
    }
}

/// Mounts the protocol as the only thing on its server.
pub fn routes(config: &mut web::ServiceConfig, state: SimulatorState) {
    config.app_data(web::Data::new(state)).default_service(web::get().to(connect));
}

async fn connect(
    request: HttpRequest,
    payload: web::Payload,
    state: web::Data<SimulatorState>,
) -> Result<HttpResponse, Refusal> {
    let query = query::parse(request.query_string())?;
    let (response, socket) = accept(&request, payload, state.limits)?;
    let format = MediaFormat::pcm16(query.rate);
    let leg = state
        .switchboard
        .connect(CallRequest {
            call_id: query.call_id,
            user_id: query.user_id,
            called: query.route.or_else(|| route_of_path(request.path())),
            transport: "simulator",
            format_in: format,
            format_out: format,
            delivery: Delivery::WholeSentences,
            first_sequence: 0,
            sequence_ahead_max: 0,
        })
        .await?;
    let encoder = SimulatorEncoder::new(query.rate, query.events.unwrap_or(false));
    let first = encoder.started(&leg.call_id, leg.resumed);
    actix_web::rt::spawn(carry(leg, socket, SimulatorDecoder::default(), encoder, first));
    Ok(response)
}

/// A path without its slash selects the route, when it can be a name at all.
fn route_of_path(path: &str) -> Option<String> {
    let name = path.trim_matches('/');
    (!name.is_empty() && name.len() <= NAME_BYTES_MAX).then(|| name.to_owned())
}
