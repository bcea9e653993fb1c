//! From an HTTP request to a WebSocket with a call behind it, or to a refusal that the
//! client gets to see as an HTTP status.

use std::convert::Infallible;
use std::io;

use actix_codec::{Framed, FramedParts};
use actix_http::body::MessageBody as _;
use actix_http::h1::{Codec, SendResponse};
use actix_http::{ConnectionType, Error, Request, RequestHead, Response, ws};
use actix_web::ResponseError as _;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, BytesMut};
use rustls::ServerConnection;
use tokio::sync::oneshot;

use super::connection::Connection;
use super::{Decoder, Encoder, Outbound, Socket, SocketLimits, carry};
use crate::actors::link::{Leg, Visits};
use crate::transports::refusal::Refusal;
use crate::transports::tls::Stream;

/// A connection as the HTTP server hands it over.
pub(super) type HttpConnection = Framed<Stream, Codec>;

/// Decides who may come in by WebSocket, and what is spoken then.
pub(in crate::transports) trait Door: Clone + Send + 'static {
    /// Reads the protocol.
    type Decoder: Decoder + Send;
    /// Writes it.
    type Encoder: Encoder + Send;

    /// The limits of its connections.
    fn limits(&self) -> SocketLimits;

    /// Connects a call for a request that is fit to become a WebSocket.
    fn open(
        &self,
        request: &RequestHead,
    ) -> impl Future<Output = Result<Opened<Self::Decoder, Self::Encoder>, Refusal>>;
}

/// A call, and how to speak of it.
pub(in crate::transports) struct Opened<D, E> {
    pub leg: Leg,
    pub decoder: D,
    pub encoder: E,
    /// Sent before anything else.
    pub first: Vec<Outbound>,
}

/// Carries a call over the connection, or refuses the request. Returns when the
/// connection is to be closed.
pub(in crate::transports) async fn upgrade<D: Door>(
    door: D,
    request: Request,
    connection: HttpConnection,
) -> Result<(), Infallible> {
    let answer = match ws::verify_handshake(request.head()) {
        Ok(()) => door.open(request.head()).await,
        Err(error) => Err(not_a_websocket(error)),
    };
    match answer {
        Ok(opened) => {
            // A client that is gone by now leaves the leg dropped: it counts as lost.
            if let Ok(accepted) = accept(&request, connection).await {
                move_to_seat(opened, accepted, door.limits()).await;
            }
        }
        Err(refusal) => {
            let response: Response<_> = refusal.error_response().into();
            let mut response =
                response.map_body(|_, body| body.try_into_bytes().unwrap_or_default());
            response.head_mut().set_connection_type(ConnectionType::Close);
            // Nobody is left to be told that this did not arrive.
            let _sent = send(connection, response).await;
        }
    }
    Ok(())
}

/// Carries the call on its own thread; returns when that is done, so that the server
/// knows of the connection as long as it lives.
async fn move_to_seat<D, E>(opened: Opened<D, E>, accepted: Accepted, limits: SocketLimits)
where
    D: Decoder + Send + 'static,
    E: Encoder + Send + 'static,
{
    let (over, is_over) = oneshot::channel::<Infallible>();
    opened.leg.seat.clone().spawn(move || async move {
        let _dropped_at_the_end = over;
        let Opened { leg, decoder, encoder, first } = opened;
        // A seat is always on a media thread.
        let Some(visits) = Visits::here() else {
            return tracing::error!("a connection has come to a thread without rounds");
        };
        match accepted.into_socket(visits, limits).await {
            Ok(socket) => carry(leg, socket, decoder, encoder, first).await,
            Err(error) => tracing::error!(%error, "a connection cannot change its thread"),
        }
    });
    // Never a value: the end is all there is to learn.
    let _closed = is_over.await;
}

/// A connection that was upgraded and belongs to no thread.
pub(super) struct Accepted {
    connection: std::net::TcpStream,
    session: Option<ServerConnection>,
    /// Came with the request.
    read: BytesMut,
}

impl Accepted {
    /// The WebSocket, for the current thread.
    pub(super) async fn into_socket(
        self,
        visits: Visits,
        limits: SocketLimits,
    ) -> io::Result<Socket> {
        let connection = Connection::new(self.connection, self.session, visits)?;
        Ok(Socket::new(connection, &self.read, limits).await)
    }
}

/// Upgrades a connection whose request is fit for it.
pub(super) async fn accept(request: &Request, connection: HttpConnection) -> io::Result<Accepted> {
    let response = ws::handshake_response(request.head()).finish().set_body(Bytes::new());
    let sent = send(connection, response).await.map_err(|_| io::ErrorKind::ConnectionAborted)?;
    let FramedParts { io, read_buf: read, .. } = sent.into_parts();
    let (connection, session) = io.into_parts()?;
    Ok(Accepted { connection, session, read })
}

async fn send(
    connection: HttpConnection,
    response: Response<Bytes>,
) -> Result<HttpConnection, Error> {
    SendResponse::new(connection, response).await
}

/// The answer to a request that does not ask for a WebSocket as it should.
pub(in crate::transports) fn not_a_websocket(error: ws::HandshakeError) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "not_a_websocket",
        format_args!("this address speaks WebSocket: {error}"),
    )
}
