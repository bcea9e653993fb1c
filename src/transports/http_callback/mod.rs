//! The HTTP media callback: a channel that cannot hold a socket open posts the
//! caller's audio in numbered chunks and gets the reply by HTTP too.
//!
//! | request | answer |
//! |---|---|
//! | `POST /v1/calls` | 201: the engine's id of the call, its first sequence number, its URLs |
//! | `POST /v1/calls/{id}/media` | 202 taken, 200 duplicate (or the reply audio) |
//! | `GET /v1/calls/{id}/audio?from=N` | 200: the reply audio as a stream |
//! | `GET /v1/calls/{id}` | 200: the call's state |
//! | `DELETE /v1/calls/{id}` | 200: the call is ending |
//! | `GET /v1/calls?after=NUMBER&limit=N` | 200: running calls, oldest first |
//!
//! **Names.** `{id}` is the name that the client gave its call, as `call_id` in the start
//! or in the path of the first media post; where it gave none, the engine's id (`call_id`
//! in the answers). A start with the name of a call that lost its media continues it; while
//! its media is connected it is refused with 409. The same name on another transport is
//! another call.
//!
//! The last three are about the calls of all transports, by the engine's id. `next` of a
//! list is the `after` of the next one. A call shows its state, the conversation's, its children's
//! generations, what waits in its rings and what its last answered turn took; 504
//! when it does not answer in half a second. Ended by somebody else than its carrier,
//! its cause is `ended_by_operator`.
//!
//! **Starting.** The JSON body may hold `call_id` (the client's name for the call),
//! `user_id`, `route` (there has to be one of this name) or `called` (a number; without a
//! route of its own it takes the default one), the audio's `format`
//! (`{"codec":"pcm16","rate":16000,"channels":1}`, or a
//! `content_type`), and a `playback_url`. An empty body is fine. With `[http_callback]
//! auto_start` a media post for an unknown call starts it, in the post's format.
//!
//! **Media.** `X-Sequence-Id` counts the posts of a call, from the `first_sequence`
//! that the start named; whatever is lower is a duplicate. A number that was taken
//! before is answered with 200 and taken once. Numbers may arrive out of order
//! within the latency ceiling; what has not come by then is a gap and counts as
//! lost. All posts of a call have the format of the call: `audio/l16` (here
//! little-endian; `rate` and `channels` as parameters), `audio/x-mulaw` or
//! `audio/basic`, `audio/x-alaw`, `audio/wav`, or `application/octet-stream`, which
//! stands for whatever the call's format is. A refused post (4xx) uses up no
//! number: correct it and send it again.
//!
//! **Reply audio** is mono, in the codec and at the rate of the call, and counted in
//! samples (`X-Audio-Position`). It comes in one of three ways:
//!
//! - in the answer to each media post, when that asks for it with `?reply=audio` or
//!   `Accept: audio/…`; what would be JSON is then in headers. A post that repeats the
//!   number of the last one gets the same audio again.
//! - as the stream `GET …/audio`. After a broken connection, `from` says where to go
//!   on; audio that was sent is kept for ten seconds. One stream a call: a newer one
//!   ends the older.
//! - by POST to the `playback_url`, about ten posts a second, with `X-Call-Id`,
//!   `X-Playback` (`audio`, `flush` or `end`), `X-Audio-Position` and `X-Epoch`. The host
//!   must be listed in `[http_callback] playback_hosts`; redirects are not followed.
//!
//! **Interruption.** Everything carries the epoch (`X-Epoch`, `epoch`). When it rises,
//! the caller interrupted: audio of older epochs is out of date. A stream ends at that
//! point; the next `GET` begins with the new epoch, at or after the position asked for.
//!
//! **Statuses**, with `{"error":{"code":…,"message":…}}`: 400 what is malformed (an odd
//! byte count too), 403 a web page of another origin, 404 unknown call or route, 405 another
//! method, 408 body or request too slow, 409 sequence too far ahead or call already connected, 410 ended, 413
//! too large or longer than 10 s, 415 format or `Content-Encoding`, 421 a foreign `Host`, 429 more audio than a
//! burst may hold, 503 no room for the call; the last two with `Retry-After`.
//!
//! A call without a media post for `idle_ms_max` has lost its media. The next post with
//! its name, or the next start, within the reconnect window continues it. A start counts
//! positions from 0 again, a media post goes on counting.

mod call;
mod calls;
mod format;
mod handlers;
mod messages;
mod overview;
mod playback;
mod reply;

pub use handlers::{HttpCallback, routes};
