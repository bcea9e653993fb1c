//! The engine's two ports: bound first, so that a second engine finds out before it serves
//! anything, and served when there is somebody to take the calls. Both or none.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web;

use super::engine::{StartError, threads};
use super::handles;
use super::routes::{self, EngineState};
use crate::actors::link::Switchboard;
use crate::config::Config;
use crate::transports::http_callback::{self, HttpCallback};
use crate::transports::simulator::{self, SimulatorState};
use crate::transports::stream::{self, StreamState};
use crate::transports::{Access, Places, Port, Tls};

/// Takes the port.
pub(super) fn listen(key: &'static str, address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Port { address, key, source })
}

/// Where it is, when any free one was wanted.
pub(super) fn address_of(port: &TcpListener) -> Result<SocketAddr, StartError> {
    port.local_addr().map_err(StartError::Serve)
}

/// What both ports are served with.
pub(super) fn ports(
    config: &Config,
    tls: Option<Tls>,
    handles: u64,
    listeners: [TcpListener; 2],
) -> [Port; 2] {
    let per_source_max = config.limits.connections_per_source_max as usize;
    let places = Places::new(handles::connections_max(config, handles), per_source_max);
    let access = Access::new(&config.server);
    listeners.map(|listener| Port {
        listener,
        workers: threads(config.server.http_threads),
        tls: tls.clone(),
        places: places.clone(),
        access: access.clone(),
    })
}

/// Serves both ports. When one cannot be served, neither is.
pub(super) async fn open(
    config: &Config,
    switchboard: &Switchboard,
    state: EngineState,
    [http, simulator]: [Port; 2],
) -> Result<[ServerHandle; 2], StartError> {
    let http = start(serve_http(config, switchboard, state, http)).await?;
    match start(serve_simulator(config, switchboard, simulator)).await {
        Ok(simulator) => Ok([http, simulator]),
        Err(error) => {
            http.stop(false).await;
            Err(error)
        }
    }
}

fn serve_http(
    config: &Config,
    switchboard: &Switchboard,
    state: EngineState,
    port: Port,
) -> io::Result<Server> {
    let callback = HttpCallback::new(switchboard.clone(), &config.http_callback);
    let stream_state =
        StreamState::new(switchboard.clone(), &config.limits, config.server.user_id_in_query);
    let routes = move |app: &mut web::ServiceConfig| {
        routes::routes(app, state.clone());
        http_callback::routes(app, callback.clone());
        app.default_service(web::to(routes::not_found));
    };
    stream::listen(port, routes, stream_state)
}

fn serve_simulator(config: &Config, switchboard: &Switchboard, port: Port) -> io::Result<Server> {
    let state =
        SimulatorState::new(switchboard.clone(), &config.limits, config.server.user_id_in_query);
    simulator::listen(port, state)
}

/// Starts a server. It starts its threads when it is polled first, and that may fail although
/// its port is bound: what would be left is an engine without this door.
async fn start(server: io::Result<Server>) -> Result<ServerHandle, StartError> {
    let mut server = server.map_err(StartError::Serve)?;
    let handle = server.handle();
    let begun = poll_fn(|context| {
        let begin = AssertUnwindSafe(|| Pin::new(&mut server).poll(context));
        Poll::Ready(catch_unwind(begin))
    })
    .await;
    match begun {
        Ok(Poll::Pending) => {}
        Ok(Poll::Ready(Err(error))) => return Err(StartError::Serve(error)),
        Ok(Poll::Ready(Ok(()))) => {
            return Err(StartError::Serve(io::Error::other("its server ended at once")));
        }
        Err(_) => {
            return Err(StartError::Serve(io::Error::other("its threads could not be started")));
        }
    }
    actix_web::rt::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "a port is not served any more");
        }
    });
    Ok(handle)
}

#[cfg(test)]
mod tests {
    use actix_service::fn_factory;
    use actix_web::rt::net::TcpStream;

    use super::*;

    /// A server on a free port; what its workers serve cannot be made.
    fn server(workers_fail: bool) -> io::Result<Server> {
        let port = TcpListener::bind("127.0.0.1:0")?;
        let builder = Server::build().workers(1).disable_signals();
        let builder = builder.listen("test", port, move || {
            fn_factory(move || async move {
                let serve = |_: TcpStream| async { Ok::<(), ()>(()) };
                if workers_fail { Err(()) } else { Ok(actix_service::fn_service(serve)) }
            })
        })?;
        Ok(builder.run())
    }

    #[actix_web::test]
    async fn a_server_whose_threads_do_not_start_is_told_and_not_left_out() {
        let refused = start(server(true)).await.err();
        assert!(matches!(refused, Some(StartError::Serve(_))), "{refused:?}");
        let works = start(server(false)).await.expect("it serves");
        works.stop(false).await;
    }
}
