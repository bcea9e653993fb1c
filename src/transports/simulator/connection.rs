//! The simulator's door: every path is a call. What is wrong with a
//! request it refuses before the upgrade, so that the client sees an HTTP status.

use std::io;

use actix_http::RequestHead;
use actix_http::ws::HandshakeError;
use actix_web::dev::Server;
use actix_web::{HttpResponse, web};

use super::codec::{SimulatorDecoder, SimulatorEncoder};
use crate::actors::link::{CallRequest, Delivery, Switchboard};
use crate::config::LimitSettings;
use crate::transports::listener::{self, Port};
use crate::transports::query::{self, NAME_BYTES_MAX};
use crate::transports::refusal::Refusal;
use crate::transports::websocket::{Door, Opened, SocketLimits, not_a_websocket};
use crate::types::{CallTarget, MediaFormat};

/// What the connections of the simulator port share.
#[derive(Clone)]
pub struct SimulatorState {
    switchboard: Switchboard,
    limits: SocketLimits,
    user_id_in_query: bool,
}

impl SimulatorState {
    /// Connects calls through `switchboard`; takes the message size and the idle
    /// time from `limits`.
    #[must_use]
    pub fn new(switchboard: Switchboard, limits: &LimitSettings, user_id_in_query: bool) -> Self {
        Self { switchboard, limits: SocketLimits::from(limits), user_id_in_query }
    }
}

/// Serves the protocol on `port`, and nothing else.
///
/// # Errors
/// What the system says of the port.
pub fn listen(port: Port, state: SimulatorState) -> io::Result<Server> {
    let routes = |config: &mut web::ServiceConfig| {
        config.default_service(web::get().to(no_upgrade));
    };
    listener::listen(port, routes, state)
}

async fn no_upgrade() -> Result<HttpResponse, Refusal> {
    Err(not_a_websocket(HandshakeError::NoWebsocketUpgrade))
}

impl Door for SimulatorState {
    type Decoder = SimulatorDecoder;
    type Encoder = SimulatorEncoder;

    fn limits(&self) -> SocketLimits {
        self.limits
    }

    async fn open(
        &self,
        request: &RequestHead,
    ) -> Result<Opened<SimulatorDecoder, SimulatorEncoder>, Refusal> {
        let query = query::parse(request, self.user_id_in_query)?;
        let format = MediaFormat::pcm16(query.rate);
        let call = CallRequest {
            carrier_call_id: query.carrier_call_id,
            takes_over: true,
            user_id: query.user_id,
            target: query
                .target
                .or_else(|| route_of_path(request.uri.path()).map(CallTarget::Route)),
            source: request.peer_addr.map(|peer| peer.ip()),
            transport: "simulator",
            format_in: format,
            format_out: format,
            delivery: Delivery::WholeSentences,
            first_sequence: 0,
            sequence_ahead_max: 0,
        };
        let leg = self.switchboard.connect(call).await?;
        let encoder = SimulatorEncoder::new(query.rate, query.events.unwrap_or(false));
        let first = encoder.started(leg.call_id, leg.resumed);
        Ok(Opened { leg, decoder: SimulatorDecoder::default(), encoder, first })
    }
}

/// A path without its slash selects the route. What is too long to be a name of one is none,
/// and not the default one either.
fn route_of_path(path: &str) -> Option<String> {
    let name = path.trim_matches('/');
    let route = || if name.len() <= NAME_BYTES_MAX { name } else { "/" };
    (!name.is_empty()).then(|| route().to_owned())
}
