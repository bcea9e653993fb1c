//! Streams that wait for the next utterance of their call.
//!
//! A stream belongs to one call for good: what a server remembers of one caller must not
//! come out in another one's transcript. Each waits in a task of its own that keeps it
//! alive, until its call takes it back, ends, or is silent for too long.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::stream::Stream;
use crate::types::CallId;

/// How often a stream says that it is still wanted; a server waits for 10 s.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(4);
/// Longest wait for the next utterance.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// The way back to a stream: whoever sends through it gets the stream.
type Claim<S> = oneshot::Sender<oneshot::Sender<Stream<S>>>;

/// The waiting streams of all calls. Clones are the same.
pub(super) struct IdleStreams<S>(Arc<Mutex<HashMap<CallId, Claim<S>>>>);

impl<S> Clone for IdleStreams<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S> Default for IdleStreams<S> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<S> IdleStreams<S> {
    /// The call's stream, if there is one and it still stands.
    pub(super) async fn take(&self, call_id: &CallId) -> Option<Stream<S>> {
        let claim = self.0.lock().remove(call_id)?;
        let (way_back, stream) = oneshot::channel();
        claim.send(way_back).ok()?;
        stream.await.ok()
    }

    /// Closes the call's stream.
    pub(super) fn drop_of(&self, call_id: &CallId) {
        self.0.lock().remove(call_id);
    }

    /// Streams that wait.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.0.lock().len()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> IdleStreams<S> {
    /// Lets a stream wait. One that the call has already is closed.
    pub(super) fn put(&self, call_id: CallId, stream: Stream<S>) {
        let (claim, claimed) = oneshot::channel();
        self.0.lock().insert(call_id, claim);
        let streams = self.clone();
        tokio::spawn(async move {
            wait(stream, claimed).await;
            streams.tidy(&call_id);
        });
    }

    /// Forgets a stream that ended by itself.
    fn tidy(&self, call_id: &CallId) {
        let mut streams = self.0.lock();
        if streams.get(call_id).is_some_and(oneshot::Sender::is_closed) {
            streams.remove(call_id);
        }
    }
}

async fn wait<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: Stream<S>,
    mut claimed: oneshot::Receiver<oneshot::Sender<Stream<S>>>,
) {
    let until = Instant::now() + IDLE_MAX;
    loop {
        tokio::select! {
            way_back = &mut claimed => return match way_back {
                // Whoever wanted it may be gone; so is the stream then.
                Ok(way_back) => drop(way_back.send(stream)),
                Err(_) => stream.close().await,
            },
            () = stream.ended() => return,
            () = sleep(KEEP_ALIVE_EVERY) => {
                if stream.keep_alive().await.is_err() {
                    return;
                }
            }
            () = sleep_until(until) => return stream.close().await,
        }
    }
}
