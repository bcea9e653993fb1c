//! The stream's door. What is wrong with a request it refuses before the upgrade,
//! so that the client sees an HTTP status.

use std::io;

use actix_http::RequestHead;
use actix_http::ws::HandshakeError;
use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};

use super::codec::{StreamDecoder, StreamEncoder};
use crate::actors::link::{CallRequest, Delivery, Switchboard};
use crate::config::LimitSettings;
use crate::transports::listener::{self, Port};
use crate::transports::query;
use crate::transports::refusal::Refusal;
use crate::transports::websocket::{Door, Opened, SocketLimits, not_a_websocket};
use crate::types::MediaFormat;

/// Where the stream is.
const PATH: &str = "/v1/stream";

/// Length of an outgoing frame: each costs the engine and the network about the same,
/// whatever its length.
const FRAME_MS: u32 = 100;

/// How far the engine may be ahead of real time: a frame, and enough for one that comes
/// late; little enough that an interruption is heard at once even by a client that does
/// not obey `flush`.
const LEAD_MS: u32 = 160;

/// What the stream's connections share.
#[derive(Clone)]
pub struct StreamState {
    switchboard: Switchboard,
    limits: SocketLimits,
    user_id_in_query: bool,
}

impl StreamState {
    /// Connects calls through `switchboard`; takes the message size and the idle
    /// time from `limits`.
    #[must_use]
    pub fn new(switchboard: Switchboard, limits: &LimitSettings, user_id_in_query: bool) -> Self {
        Self { switchboard, limits: SocketLimits::from(limits), user_id_in_query }
    }
}

/// Serves the stream on `port`, beside `routes` for everything that is no WebSocket.
///
/// # Errors
/// What the system says of the port.
pub fn listen(
    port: Port,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    state: StreamState,
) -> io::Result<Server> {
    let routes = move |config: &mut web::ServiceConfig| {
        config.service(web::resource(PATH).get(no_upgrade));
        routes(config);
    };
    listener::listen(port, routes, state)
}

async fn no_upgrade() -> Result<HttpResponse, Refusal> {
    Err(not_a_websocket(HandshakeError::NoWebsocketUpgrade))
}

impl Door for StreamState {
    type Decoder = StreamDecoder;
    type Encoder = StreamEncoder;

    fn limits(&self) -> SocketLimits {
        self.limits
    }

    async fn open(
        &self,
        request: &RequestHead,
    ) -> Result<Opened<StreamDecoder, StreamEncoder>, Refusal> {
        if request.uri.path() != PATH {
            return Err(Refusal::new(
                StatusCode::NOT_FOUND,
                "not_found",
                format_args!("there is no WebSocket here; see {PATH}"),
            ));
        }
        let query = query::parse(request, self.user_id_in_query)?;
        let format = MediaFormat::pcm16(query.rate);
        let call = CallRequest {
            carrier_call_id: query.carrier_call_id,
            takes_over: true,
            user_id: query.user_id,
            target: query.target,
            source: request.peer_addr.map(|peer| peer.ip()),
            transport: "stream",
            format_in: format,
            format_out: format,
            delivery: Delivery::Paced { frame_ms: FRAME_MS, lead_ms: LEAD_MS },
            first_sequence: 0,
            sequence_ahead_max: 0,
        };
        let leg = self.switchboard.connect(call).await?;
        let first = vec![StreamEncoder::started(leg.call_id, leg.resumed, query.rate)];
        let encoder = StreamEncoder::new(query.events.unwrap_or(false));
        Ok(Opened { leg, decoder: StreamDecoder, encoder, first })
    }
}
