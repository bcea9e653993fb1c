//! Where panics come from, and tasks that go on after one.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Once;
use std::task::Poll;
use std::time::Duration;

use super::{EngineEvent, Telemetry};
use crate::types::ExitReason;

/// How long a task that panicked rests before it begins anew.
const REST: Duration = Duration::from_secs(1);

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// Remembers and logs the place of each panic. Its message is not kept: it may
/// quote what a caller said.
pub fn install_panic_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        #[cfg(test)]
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A failing test is to say why.
            #[cfg(test)]
            default_hook(info);
            let place = info
                .location()
                .map_or_else(String::new, |at| format!("{}:{}", at.file(), at.line()));
            tracing::error!(at = %place, "panic");
            LAST_PANIC.with(|last| {
                if let Ok(mut last) = last.try_borrow_mut() {
                    *last = place;
                }
            });
        }));
    });
}

/// The end of whatever panicked last on this thread.
#[must_use]
pub fn panicked() -> ExitReason {
    ExitReason::Panicked { at: LAST_PANIC.with(|last| last.borrow().clone()) }
}

/// Runs a task that is to last as long as the engine. One that panics is told, and begins
/// anew after a rest.
pub async fn keep_running<T: Future<Output = ()>>(
    telemetry: Telemetry,
    name: &'static str,
    mut begin: impl FnMut() -> T,
) {
    while let Err(reason) = run_to_panic(begin()).await {
        telemetry.engine_event(&EngineEvent::ActorRestarted { actor: name, reason });
        tokio::time::sleep(REST).await;
    }
}

async fn run_to_panic(task: impl Future<Output = ()>) -> Result<(), ExitReason> {
    let mut task = pin!(task);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(context))) {
        Ok(polled) => polled.map(Ok),
        Err(_) => Poll::Ready(Err(panicked())),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::QueueLimits;

    #[tokio::test(start_paused = true)]
    async fn a_task_that_panics_begins_anew_after_a_rest_until_it_ends() {
        install_panic_hook();
        let limits = QueueLimits { queue_max: 10, batch_max: 10 };
        let (telemetry, _queue) = Telemetry::new(limits, Vec::new());
        let (begun, mut lives) = (tokio::time::Instant::now(), 0);
        keep_running(telemetry, "test", || {
            lives += 1;
            let life = lives;
            async move {
                tokio::task::yield_now().await;
                assert!(life == 3, "planted panic");
            }
        })
        .await;
        assert_eq!((lives, begun.elapsed()), (3, 2 * REST));
    }
}
