//! The transports with whole calls behind them: scripted services, real actors.

mod channel;
mod http_callback;
mod overview;
mod sockets;
