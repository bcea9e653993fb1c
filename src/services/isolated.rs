//! A thread of its own for each provider that asks something outside of this process, and for
//! the export of traces.
//!
//! Whatever comes back, and however much of it, costs those who asked the same provider and
//! nobody else: an answer that is announced without end (HTTP's 1xx), a sentence that comes byte
//! by byte or a WebSocket that never stops talking keeps its reader busy, however small each
//! piece is.
//!
//! Knows nothing of what is asked. A request that is let go is cancelled here too.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{
    DialogBackend, Health, ServiceFuture, Speech, SpeechToText, SttRequest, TextToSpeech,
    TtsRequest,
};
use crate::types::{
    CallId, DialogFailure, DialogReply, DialogRequest, SpeechAudio, SttFailure, Transcript,
    TtsFailure,
};

/// A thread that runs requests until this is dropped.
pub(super) struct OwnThread {
    handle: Handle,
    _running: oneshot::Sender<Infallible>,
}

impl OwnThread {
    /// Starts it. Its name is shown by the system, up to 15 bytes.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (running, ended) = oneshot::channel();
        thread::Builder::new().name(name.to_owned()).spawn(move || {
            let _dropped = runtime.block_on(ended);
        })?;
        Ok(Self { handle, _running: running })
    }

    /// Runs a task on it.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(task)
    }
}

/// A provider on its thread, which ends with it.
pub(super) struct Isolated<P> {
    provider: Arc<P>,
    thread: OwnThread,
}

impl<P: Send + Sync + 'static> Isolated<P> {
    /// Starts the thread, which has the provider's name.
    pub(super) fn start(name: &str, provider: P) -> io::Result<Self> {
        Ok(Self { provider: Arc::new(provider), thread: OwnThread::start(name)? })
    }

    fn run<'a, T, F>(&self, request: impl FnOnce(Arc<P>) -> F) -> ServiceFuture<'a, T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mut task = Wanted(self.thread.spawn(request(Arc::clone(&self.provider))));
        Box::pin(async move {
            match (&mut task.0).await {
                Ok(answer) => answer,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // The thread has ended with the engine: nobody waits for this any more.
                Err(_) => pending().await,
            }
        })
    }
}

/// A request for as long as somebody wants its answer.
struct Wanted<T>(JoinHandle<T>);

impl<T> Drop for Wanted<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<P: DialogBackend> DialogBackend for Isolated<P> {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        self.run(|provider| async move { provider.ask(request).await })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.run(|provider| async move { provider.check().await })
    }
}

impl<P: SpeechToText> SpeechToText for Isolated<P> {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        self.run(|provider| async move { provider.transcribe(request).await })
    }

    fn follows_speech(&self) -> bool {
        self.provider.follows_speech()
    }

    fn knows_any_words(&self) -> bool {
        self.provider.knows_any_words()
    }

    fn forget(&self, call_id: &CallId) {
        // What it closes belongs to its own thread.
        let _there = self.thread.handle.enter();
        self.provider.forget(call_id);
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.run(|provider| async move { provider.check().await })
    }
}

impl<P: TextToSpeech> TextToSpeech for Isolated<P> {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        self.run(|provider| async move { provider.synthesize(request).await })
    }

    fn speak(&self, request: TtsRequest) -> ServiceFuture<'_, Result<Speech, TtsFailure>> {
        self.run(|provider| async move { provider.speak(request).await })
    }

    fn speaks_words(&self) -> bool {
        self.provider.speaks_words()
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.run(|provider| async move { provider.check().await })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Asks a platform whose answer keeps its thread busy.
    struct Busy(std::sync::mpsc::Receiver<()>);

    fn name_of_this_thread() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn what_keeps_one_provider_busy_keeps_nobody_else_waiting() {
        let (goes_on, busy) = std::sync::mpsc::channel();
        let busy = Isolated::start("busy", parking_lot::Mutex::new(Busy(busy))).expect("a thread");
        let waiting = busy.run(|provider| async move {
            let _until_told = provider.lock().0.recv();
            name_of_this_thread()
        });
        let free = Isolated::start("free", ()).expect("a thread");
        let answer = free.run(|_| async { name_of_this_thread() }).await;
        assert_eq!(answer.as_deref(), Some("free"));
        goes_on.send(()).expect("it waits for this");
        assert_eq!(waiting.await.as_deref(), Some("busy"));
    }

    #[tokio::test]
    async fn a_request_that_is_let_go_is_cancelled() {
        let isolated = Isolated::start("let go", ()).expect("a thread");
        let (held, released) = oneshot::channel::<()>();
        let request = isolated.run(|_| async move {
            let _held = held;
            pending::<()>().await;
        });
        drop(request);
        let released = tokio::time::timeout(Duration::from_secs(60), released).await;
        assert!(released.expect("what the request held is dropped").is_err());
    }

    #[tokio::test]
    #[should_panic(expected = "planted")]
    async fn a_request_that_panics_does_so_for_whoever_asked() {
        let isolated = Isolated::start("panics", ()).expect("a thread");
        isolated.run::<(), _>(|_| async { panic!("planted") }).await;
    }
}
