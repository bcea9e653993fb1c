//! Where providers' requests run: threads of their own, so that no TLS handshake
//! and no large answer makes a call's audio late, and one runtime, because an HTTP
//! client's connections belong to the runtime that opened them.

use std::future::Future;

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

/// A handle on the service runtime.
#[derive(Clone, Debug)]
pub struct ServiceRuntime(Handle);

impl ServiceRuntime {
    /// Wraps the runtime that the providers were made for.
    #[must_use]
    pub fn new(handle: Handle) -> Self {
        Self(handle)
    }

    /// Runs a request that has an effect. The receiver yields its answer, `too_late` after
    /// `within_ms`, or an error if the request panicked. Dropping the receiver cancels
    /// nothing: what was asked may have had its effect already.
    pub fn ask<A, F>(
        &self,
        within_ms: u32,
        too_late: F,
        request: impl Future<Output = Result<A, F>> + Send + 'static,
    ) -> oneshot::Receiver<Result<A, F>>
    where
        A: Send + 'static,
        F: Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        self.0.spawn(async move {
            let outcome = in_time(within_ms, too_late, request).await;
            // Nobody waits any more: the call ended or gave the request up.
            let _nobody = answer.send(outcome);
        });
        receiver
    }

    /// Runs a request without effect. As above, but dropping the receiver cancels it and
    /// frees what it holds at the provider: its permit, its connection.
    pub fn ask_while_wanted<A, F>(
        &self,
        within_ms: u32,
        too_late: F,
        request: impl Future<Output = Result<A, F>> + Send + 'static,
    ) -> oneshot::Receiver<Result<A, F>>
    where
        A: Send + 'static,
        F: Send + 'static,
    {
        let (mut answer, receiver) = oneshot::channel();
        self.0.spawn(async move {
            let outcome = tokio::select! {
                outcome = in_time(within_ms, too_late, request) => outcome,
                () = answer.closed() => return,
            };
            let _nobody = answer.send(outcome);
        });
        receiver
    }
}

async fn in_time<A, F>(
    within_ms: u32,
    too_late: F,
    request: impl Future<Output = Result<A, F>>,
) -> Result<A, F> {
    let within = Duration::from_millis(u64::from(within_ms));
    timeout(within, request).await.unwrap_or(Err(too_late))
}
