//! From an HTTP request to a WebSocket with a call behind it, or to a refusal: what is
//! wrong with a request the client gets to see as an HTTP status, a lack of room as the
//! configuration says.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::time::Duration;

use actix_codec::{Framed, FramedParts};
use actix_http::body::MessageBody as _;
use actix_http::h1::{Codec, SendResponse};
use actix_http::{ConnectionType, Request, RequestHead, Response, ws};
use actix_web::ResponseError as _;
use actix_web::http::header::{
    CONTENT_LENGTH, HeaderValue, SEC_WEBSOCKET_PROTOCOL, TRANSFER_ENCODING,
};
use actix_web::http::{StatusCode, Version};
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
use crate::transports::access::Access;
use crate::transports::http_stream::HttpStream;
use crate::transports::refusal::Refusal;
use crate::transports::visitors::Place;

/// What is read at once of a client for whom there is no room.
const REFUSED_BUFFER_BYTES: usize = 4 * 1024;

/// Its largest message: whoever sends more is not waited for.
const REFUSED_MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// Most that is read until it says goodbye: seconds of what a caller sends in real time.
const REFUSED_BYTES_MAX: usize = 256 * 1024;

/// Longest name of a subprotocol.
const SUBPROTOCOL_BYTES_MAX: usize = 64;

/// What a message counts for beside its bytes: it costs work, whatever its length.
const REFUSED_MESSAGE_BYTES: usize = 128;

/// A connection as the HTTP server hands it over.
pub(super) type HttpConnection = Framed<HttpStream, Codec>;

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
    access: Access,
    request: Request,
    mut connection: HttpConnection,
) -> Result<(), Infallible> {
    let stream = connection.io_mut();
    stream.leave_http();
    if let Err(refusal) = check(&access, request.head()).and_then(|()| place_of(stream)) {
        // Whatever is configured: its place is none of those that WebSockets may hold, so
        // nobody waits for a goodbye there. A client that is gone has nothing to be told.
        let _gone = answer_status(connection, &refusal).await;
        return Ok(());
    }
    match door.open(request.head()).await {
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

/// Whether a request is fit to become a WebSocket, and may.
fn check(access: &Access, head: &RequestHead) -> Result<(), Refusal> {
    access.check(head)?;
    if head.version < Version::HTTP_11 {
        return Err(unfit("a WebSocket needs HTTP/1.1 at least"));
    }
    let has_body = head.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0")
        || head.headers.contains_key(TRANSFER_ENCODING);
    if has_body {
        return Err(unfit("a request for a WebSocket has no body"));
    }
    ws::verify_handshake(head).map_err(not_a_websocket)
}

/// Keeps the connection's place for as long as it lives.
fn place_of(stream: &HttpStream) -> Result<(), Refusal> {
    if stream.place().keep_for_websocket() {
        return Ok(());
    }
    let message = "as many connections are held as there are places for; see \
                   limits.connections_max";
    Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "connections", message).retry_later())
}

/// The subprotocol that is spoken: of those that the client offers the first. They are
/// names for what a door speaks anyway; a browser that offers one and gets none gives up.
fn subprotocol(head: &RequestHead) -> Option<HeaderValue> {
    let offered = head.headers.get_all(SEC_WEBSOCKET_PROTOCOL).filter_map(|it| it.to_str().ok());
    let mut names = offered.flat_map(|list| list.split(',')).map(str::trim);
    let name = names.find(|name| {
        let is_token =
            |byte: u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(&byte);
        (1..=SUBPROTOCOL_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_token)
    })?;
    HeaderValue::from_str(name).ok()
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
        left = left.saturating_sub(REFUSED_MESSAGE_BYTES + message.len());
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
            Ok((socket, _place)) => carry(leg, socket, decoder, encoder, first).await,
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
    /// Free again when the connection is closed.
    place: Place,
    /// Came with the request.
    read: BytesMut,
}

impl Accepted {
    /// The WebSocket, for the current thread.
    pub(super) async fn into_socket(
        self,
        visits: Visits,
        limits: SocketLimits,
    ) -> io::Result<(Socket, Place)> {
        let connection = Connection::new(self.connection, self.session, self.read, visits)?;
        Ok((Socket::new(connection, limits).await, self.place))
    }
}

/// Upgrades a connection whose request is fit for it.
pub(super) async fn accept(request: &Request, connection: HttpConnection) -> io::Result<Accepted> {
    let (stream, read) = respond(request, connection).await?;
    let (connection, session, place) = stream.into_parts()?;
    Ok(Accepted { connection, session, place, read })
}

/// Says that a WebSocket begins; the connection, and what came with the request.
async fn respond(
    request: &Request,
    connection: HttpConnection,
) -> io::Result<(HttpStream, BytesMut)> {
    let mut response = ws::handshake_response(request.head()).finish().set_body(Bytes::new());
    if let Some(name) = subprotocol(request.head()) {
        response.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, name);
    }
    let FramedParts { io, read_buf, .. } = send(connection, response).await?.into_parts();
    Ok((io, read_buf))
}

async fn send(connection: HttpConnection, response: Response<Bytes>) -> io::Result<HttpConnection> {
    let sent = SendResponse::new(connection, response).await;
    sent.map_err(|_| io::ErrorKind::ConnectionAborted.into())
}

/// The answer to a request that does not ask for a WebSocket as it should.
pub(in crate::transports) fn not_a_websocket(error: ws::HandshakeError) -> Refusal {
    unfit(format_args!("this address speaks WebSocket: {error}"))
}

fn unfit(message: impl fmt::Display) -> Refusal {
    Refusal::bad_request("not_a_websocket", message)
}
