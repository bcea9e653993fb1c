//! A port that serves HTTP and lets WebSockets through its [`Door`].
//!
//! A WebSocket leaves the HTTP server with its connection: from then on nobody stands
//! between the socket and the call, and nobody buffers for a peer that does not read.
//!
//! How long a connection is waited for is decided here ([`HttpStream`]), not by the HTTP
//! server: that knows of the first request only, and reads the time for it off a clock that
//! stands still for ever when the wall clock was once beyond what a date can say.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{Extensions, HttpService, KeepAlive};
use actix_service::{ServiceFactoryExt as _, apply_fn_factory, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};
use socket2::SockRef;
use tokio::time::Instant;

use super::access::Access;
use super::answer::answer;
use super::http_stream::HttpStream;
use super::patience::Patience;
use super::tls::{Stream, Tls};
use super::visitors::Places;
use super::websocket::{Door, SEND_BUFFER_BYTES, upgrade};

/// Seconds that connections get to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 2;

/// What a newcomer gets for whom there is no place.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n\
    Retry-After: 1\r\nContent-Length: 0\r\n\r\n";

/// A port to be served.
pub struct Port {
    /// It, bound.
    pub listener: TcpListener,
    /// Threads that serve it.
    pub workers: usize,
    /// `https` and `wss` instead of `http` and `ws`.
    pub tls: Option<Tls>,
    /// Places for its connections.
    pub places: Places,
    /// Whom browsers may speak for.
    pub access: Access,
}

/// Serves `routes` on `port`; WebSocket requests, whatever their path, are the `door`'s.
///
/// # Errors
/// What the system says of the port.
pub(super) fn listen<D: Door>(
    port: Port,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    door: D,
) -> io::Result<Server> {
    let Port { listener, workers, tls, places, access } = port;
    let builder =
        Server::build().workers(workers).disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("antiphon", listener, move || {
        let (door, stopping, tls) = (door.clone(), stopping.clone(), tls.clone());
        let (places, upgrading, access) = (places.clone(), access.clone(), access.clone());
        let app = map_config(App::new().configure(routes.clone()), |()| AppConfig::default());
        let http = HttpService::build()
            .keep_alive(KeepAlive::Os)
            .client_request_timeout(Duration::ZERO)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|stream: &HttpStream, known: &mut Extensions| {
                known.insert(Rc::clone(stream.visitor()));
            })
            .upgrade(fn_service(move |(request, connection)| {
                upgrade(door.clone(), upgrading.clone(), request, connection)
            }))
            .h1(apply_fn_factory(app, move |request, app| answer(&access, request, app)));
        fn_service(move |tcp: TcpStream| accept(tcp, tls.clone(), places.clone())).and_then(http)
    })?;
    Ok(server.run())
}

/// A connection after its handshake, and who is at its other end.
pub(super) async fn accept(
    tcp: TcpStream,
    tls: Option<Tls>,
    places: Places,
) -> Result<(HttpStream, Option<SocketAddr>), DispatchError> {
    let peer = tcp.peer_addr().ok();
    let Some(admitted) = places.admit(peer.map(|peer| peer.ip()), Instant::now()) else {
        if tls.is_none() {
            // Whoever does not get to read it was sent away all the same.
            let _told = tcp.try_write(NO_PLACE);
        }
        return Err(DispatchError::Io(io::ErrorKind::QuotaExceeded.into()));
    };
    // An answer that is not read is kept by the system as well.
    SockRef::from(&tcp).set_send_buffer_size(SEND_BUFFER_BYTES).map_err(DispatchError::Io)?;
    let visitor = &admitted.visitor;
    let stream = tokio::select! {
        biased;
        stream = Stream::accept(tcp, tls) => stream,
        () = poll_fn(|context| visitor.poll_sent_away(context)) => {
            Err(io::ErrorKind::QuotaExceeded.into())
        }
    };
    let stream = stream.map_err(DispatchError::Io)?;
    // The handshake had a time of its own.
    visitor.with_patience(|patience| *patience = Patience::new(Instant::now()));
    Ok((HttpStream::new(stream, admitted), peer))
}
