//! From an HTTP request to a WebSocket with a call behind it, or to a refusal: what is
//! wrong with a request the client gets to see as an HTTP status, a lack of room as the
//! configuration says.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use actix_codec::{Framed, FramedParts};
use actix_http::body::MessageBody as _;
use actix_http::h1::{Codec, SendResponse};
use actix_http::{ConnectionType, Request, RequestHead, Response, ws};
use actix_web::ResponseError as _;
use actix_web::http::StatusCode;
use actix_web::web::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

use super::connection::Connection;
use super::socket::CLOSE_MS_MAX;
use super::{Decoder, Encoder, Outbound, Rejection, Socket, SocketLimits, carry};
use crate::actors::link::{Leg, Visits};
use crate::config::WebSocketRefusal;
use crate::transports::refusal::Refusal;
use crate::transports::tls::Stream;

/// What is read at once of a client for whom there is no room.
const REFUSED_BUFFER_BYTES: usize = 4 * 1024;

/// Its largest message: whoever sends more is not waited for.
const REFUSED_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Most that is read until it says goodbye: seconds of what a caller sends in real time.
const REFUSED_BYTES_MAX: usize = 256 * 1024;

/// What a short message has around it.
const FRAME_HEAD_BYTES: usize = 6;

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
            // A client that is gone by now has nothing to be told.
            let _gone = match (door.limits().refusal, refusal.close_reason()) {
                (WebSocketRefusal::Close, Some(reason)) => {
                    turn_away(&request, connection, &refusal, reason).await
                }
                _ => answer_status(connection, &refusal).await,
            };
        }
    }
    Ok(())
}

async fn answer_status(connection: HttpConnection, refusal: &Refusal) -> io::Result<()> {
    let response: Response<_> = refusal.error_response().into();
    let mut response = response.map_body(|_, body| body.try_into_bytes().unwrap_or_default());
    response.head_mut().set_connection_type(ConnectionType::Close);
    send(connection, response).await.map(drop)
}

/// Upgrades the connection only to say why it is closed with code 1013, and waits until the
/// client has closed it as well, or for a moment: the last words would be lost otherwise.
async fn turn_away(
    request: &Request,
    connection: HttpConnection,
    refusal: &Refusal,
    reason: String,
) -> io::Result<()> {
    let (stream, read) = respond(request, connection).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(REFUSED_BUFFER_BYTES)
        .max_message_size(Some(REFUSED_MESSAGE_BYTES_MAX));
    let (read, role) = (read.to_vec(), Role::Server);
    let frame = CloseFrame { code: CloseCode::Again, reason: reason.into() };
    let closing = async {
        let mut socket =
            WebSocketStream::from_partially_read(stream, read, role, Some(config)).await;
        socket.feed(Message::text(Rejection::from(refusal).to_json())).await?;
        socket.close(Some(frame)).await?;
        read_goodbye(&mut socket).await
    };
    // A client that does not close in time has had its time, and any error is an end.
    let _closed = timeout(Duration::from_millis(CLOSE_MS_MAX), closing).await;
    Ok(())
}

/// Reads on until the peer has closed, or has sent enough to do without its goodbye.
pub(super) async fn read_goodbye<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut WebSocketStream<S>,
) -> Result<(), tungstenite::Error> {
    let mut left = REFUSED_BYTES_MAX;
    while let Some(message) = socket.next().await.transpose()? {
        left = left.saturating_sub(FRAME_HEAD_BYTES + message.len());
        if left == 0 {
            break;
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
        visits.bring_to(&leg.input);
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
    let (stream, read) = respond(request, connection).await?;
    let (connection, session) = stream.into_parts()?;
    Ok(Accepted { connection, session, read })
}

/// Says that a WebSocket begins; the connection, and what came with the request.
async fn respond(request: &Request, connection: HttpConnection) -> io::Result<(Stream, BytesMut)> {
    let response = ws::handshake_response(request.head()).finish().set_body(Bytes::new());
    let FramedParts { io, read_buf, .. } = send(connection, response).await?.into_parts();
    Ok((io, read_buf))
}

async fn send(connection: HttpConnection, response: Response<Bytes>) -> io::Result<HttpConnection> {
    let sent = SendResponse::new(connection, response).await;
    sent.map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

/// The answer to a request that does not ask for a WebSocket as it should.
pub(in crate::transports) fn not_a_websocket(error: ws::HandshakeError) -> Refusal {
    Refusal::new(
        StatusCode::BAD_REQUEST,
        "not_a_websocket",
        format_args!("this address speaks WebSocket: {error}"),
    )
}
