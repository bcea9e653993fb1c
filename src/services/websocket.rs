//! A WebSocket to a provider, opened by the provider's own HTTP client: with its trust in
//! certificates, its limits and its errors. It knows nothing of what is said over it.

use reqwest::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::{RequestBuilder, Upgraded};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::http::{self, ExchangeError};

/// Longest message from a provider.
const MESSAGE_BYTES_MAX: usize = 256 * 1024;
/// Read at once. Messages are short, and there is such a buffer for every connection.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Asks for a WebSocket with a GET `request` and has it answered within `ms_max`.
pub(super) async fn open(
    request: RequestBuilder,
    ms_max: u32,
) -> Result<WebSocketStream<Upgraded>, ExchangeError> {
    let key = generate_key();
    let request = request
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "websocket")
        .header(SEC_WEBSOCKET_VERSION, "13")
        .header(SEC_WEBSOCKET_KEY, &key);
    let response = http::switch_protocol(request, ms_max).await?;
    let accepted = response.headers().get(SEC_WEBSOCKET_ACCEPT);
    if accepted.is_none_or(|accepted| accepted != derive_accept_key(key.as_bytes()).as_str()) {
        return Err(ExchangeError::Malformed("opens no WebSocket"));
    }
    let upgraded = response.upgrade().await.map_err(|_| ExchangeError::Broken)?;
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config())).await)
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES_MAX))
        .max_frame_size(Some(MESSAGE_BYTES_MAX))
}
