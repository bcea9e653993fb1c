//! The audio stream: `GET /v1/stream`, a WebSocket with raw audio both ways. Made
//! for media gateways; the engine paces what it sends, in real time.
//!
//! In: binary messages of signed 16-bit little-endian mono samples at `?rate=8000`
//! or `?rate=16000` (default), of any size. A sample may be cut in two by the end
//! of a message; the odd byte is carried over. Text message `{"type":"hangup"}`
//! ends the call, as closing the connection does. A text message that is not
//! understood is answered with `{"type":"error","code":…,"message":…}` and changes
//! nothing; after twenty bad messages in a row, without audio between them, the
//! connection is closed (1008). So it is when with audio between them more than twenty
//! come at once or five a second, and when more than a hundred pings and pongs come at once
//! or twenty a second. Of one connection 2,500 frames a second are taken; more wait.
//!
//! Out: binary messages of 100 ms at the same rate, at most 160 ms ahead of real
//! time, and text messages that a client may ignore:
//!
//! ```json
//! {"type":"started","call_id":"…","resumed":false,"sample_rate":16000}
//! {"type":"flush","epoch":1}
//! {"type":"end","cause":"dialog_ended"}
//! ```
//!
//! `flush` says that the caller interrupted: audio sent before it is out of date
//! and what a client still holds of it should be thrown away. Binary messages
//! after it belong to the new epoch.
//!
//! When there is no room for a call, or the engine drains, the connection is closed with
//! 1013 and a reason such as `{"code":"full","retry_after_s":1}`; with
//! `limits.websocket_refusal = "status"` the request is answered with 503 (429 for too many
//! from one address) and Retry-After instead, as it always is when there are too many
//! WebSockets.
//!
//! **Names.** `call_id` in `started` is the engine's own id of the call, which nobody can
//! guess. The parameter `call_id` is the carrier's own name for the call, if it has one. A
//! new connection with that name (or, where none was given, with the id that `started`
//! told) continues the call while it runs, and takes it over from a connection that still
//! stands. It is a name among the streams: other transports know other calls by it.
//!
//! Further parameters: `route` (there has to be one of this name) or `called` (a number;
//! without a route of its own it takes the default one), and `events=1` for the events of
//! the call: they hold what the caller said. The header `X-User-Id` says who calls; the
//! parameter `user_id` only with `[server] user_id_in_query`, as proxies log URLs.
//!
//! The first of the subprotocols that a client offers is answered: whatever its name,
//! what is spoken is this.

mod codec;
mod connection;

pub use connection::{StreamState, listen};
