//! A port that serves HTTP and lets WebSockets through its [`Door`].
//!
//! A WebSocket leaves the HTTP server with its connection: from then on nobody stands
//! between the socket and the call, and nobody buffers for a peer that does not read.

use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_service::{ServiceFactoryExt as _, fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::rt::net::TcpStream;
use actix_web::{App, web};

use super::tls::{Stream, Tls};
use super::websocket::{Door, upgrade};

/// Seconds that connections get to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 2;

/// A port to be served.
pub struct Port {
    /// It, bound.
    pub listener: TcpListener,
    /// Threads that serve it.
    pub workers: usize,
    /// `https` and `wss` instead of `http` and `ws`.
    pub tls: Option<Tls>,
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
    let Port { listener, workers, tls } = port;
    let builder =
        Server::build().workers(workers).disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("antiphon", listener, move || {
        let (door, stopping, tls) = (door.clone(), stopping.clone(), tls.clone());
        let http = HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .upgrade(fn_service(move |(request, connection)| {
                upgrade(door.clone(), request, connection)
            }))
            .h1(map_config(App::new().configure(routes.clone()), |()| AppConfig::default()));
        fn_service(move |tcp: TcpStream| accept(tcp, tls.clone())).and_then(http)
    })?;
    Ok(server.run())
}

/// A connection after its handshake, and who is at its other end.
pub(super) async fn accept(
    tcp: TcpStream,
    tls: Option<Tls>,
) -> Result<(Stream, Option<SocketAddr>), DispatchError> {
    let peer = tcp.peer_addr().ok();
    Ok((Stream::accept(tcp, tls).await.map_err(DispatchError::Io)?, peer))
}
