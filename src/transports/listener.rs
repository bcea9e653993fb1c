//! A port that serves HTTP and lets WebSockets through its [`Door`].
//!
//! A WebSocket leaves the HTTP server with its connection: from then on nobody stands
//! between the socket and the call, and nobody buffers for a peer that does not read.

use std::io;
use std::net::TcpListener;

use actix_http::HttpService;
use actix_service::{fn_service, map_config};
use actix_web::dev::{AppConfig, Server};
use actix_web::{App, web};

use super::websocket::{Door, upgrade};

/// Seconds that connections get to finish when the server stops.
const SHUTDOWN_SECONDS: u64 = 2;

/// Serves `routes` on `port` with so many `workers` (threads); WebSocket requests,
/// whatever their path, are the `door`'s.
///
/// # Errors
/// What the system says of the port.
pub(super) fn listen<D: Door>(
    port: TcpListener,
    workers: usize,
    routes: impl Fn(&mut web::ServiceConfig) + Clone + Send + 'static,
    door: D,
) -> io::Result<Server> {
    let builder =
        Server::build().workers(workers).disable_signals().shutdown_timeout(SHUTDOWN_SECONDS);
    let stopping = builder.graceful_shutdown_signal();
    let server = builder.listen("antiphon", port, move || {
        let (door, stopping) = (door.clone(), stopping.clone());
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .upgrade(fn_service(move |(request, connection)| {
                upgrade(door.clone(), request, connection)
            }))
            .h1(map_config(App::new().configure(routes.clone()), |()| AppConfig::default()))
            .tcp()
    })?;
    Ok(server.run())
}
