//! The simulator protocol: JSON text messages over a WebSocket on a port of its
//! own, any path, one connection one call. Made for tests and for clients that
//! know nothing else; it plays whole sentences and leaves pacing to the client.
//!
//! In:
//!
//! ```json
//! {"type":"audio_chunk","pcm":"0100ff7f","timestamp":12.34,"seq":7}
//! ```
//!
//! `pcm` is hex of signed 16-bit little-endian mono samples, 16 kHz unless the
//! URL says `?rate=8000`, of any length within the message limit. `timestamp` (in
//! seconds) is informative and may be missing. `seq` may be missing too.
//!
//! Out, one message a sentence (one of more than fifteen seconds comes in several
//! with the same `sentence`):
//!
//! ```json
//! {"type":"tts_audio","pcm":"…","intent":"book_room","sentence":3,"epoch":0,"sample_rate":16000}
//! ```
//!
//! What the engine says by itself has `greeting`, `no_match`, `turn_failed` or
//! `fallback` as its `intent`; it is empty where the platform named none. A client that sent
//! something wrong gets `{"type":"error","code":…,"message":…}`, with the `seq` of
//! the chunk where it had one; after twenty in a row, or more than twenty at once or five a
//! second with good ones between them, the connection is closed (1008), after a message
//! over `limits.message_bytes_max` at once (1009). Pings and frames have the limits of
//! [`super::stream`].
//!
//! **`seq`.** The connection already keeps order, so audio is taken in the order
//! of its arrival, whatever the numbers say: they may begin anywhere, stay 0, skip
//! or fall back. Only a chunk that repeats the number (above 0) of the chunk taken
//! just before is refused as a duplicate. A refused chunk does not use up its
//! number: it may be sent again, corrected.
//!
//! With `?events=1` the client also gets `{"type":"started","call_id":…}`, every
//! event of the call as `{"type":"event","sequence":…,"kind":{"event":…}}`,
//! `{"type":"flush","epoch":…}` when the caller interrupted, and
//! `{"type":"end","cause":…}`. Without it, nothing but sentences and errors.
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
//! stands. It is a name among the calls of this port: other transports know other calls by it.
//!
//! Further parameters, the header `X-User-Id` and subprotocols are those of
//! [`super::stream`]. Without `route` and `called` the path is the `route`.

mod codec;
mod connection;

pub use connection::{SimulatorState, listen};
