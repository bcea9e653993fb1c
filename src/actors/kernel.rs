//! The supervision kernel: an actor's life, watched from outside.
//!
//! `actix::Supervisor` does not restart after a panic and keeps the old value,
//! so it is not used. Here the actor's context future is polled under
//! `catch_unwind`. When it ends, however it ends, the actor is dropped outside
//! the unwind (a panic in its `stopped` or in a `Drop` is survived), and the exit
//! is reported exactly once. Whether to start a new one is the parent's decision.
//!
//! What it cannot do: survive a panic inside another unwinding, an abort, or a
//! thread that is blocked for ever.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{Context as TaskContext, Poll};

use actix::dev::ContextFut;
use actix::dev::channel::channel;
use actix::{Actor, Addr, Context};

use crate::types::ExitReason;

/// Starts an actor on the current thread. `on_exit` is called exactly once, when
/// its life is over: after a panic anywhere in it, a stop, or the end of the thread's
/// runtime. `build` may panic as well.
pub fn spawn_watched<A>(
    mailbox_max: usize,
    build: impl FnOnce(&Addr<A>) -> A,
    on_exit: impl FnOnce(ExitReason) + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel(mailbox_max);
    let address = Addr::new(sender);
    let context = Context::with_receiver(receiver);
    let built = catch_unwind(AssertUnwindSafe(|| build(&address)));
    let mut guard = ExitGuard { on_exit: Some(Box::new(on_exit)) };
    match built {
        Ok(actor) => {
            let life = Some(context.into_future(actor));
            actix_rt::spawn(Watched { life, guard });
        }
        Err(_) => guard.report(panicked()),
    }
    address
}

/// The actor's future and what is told when it ends.
struct Watched<A: Actor<Context = Context<A>>> {
    life: Option<ContextFut<A, Context<A>>>,
    guard: ExitGuard,
}

impl<A: Actor<Context = Context<A>>> Unpin for Watched<A> {}

impl<A: Actor<Context = Context<A>>> Future for Watched<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        let Some(life) = self.life.as_mut() else { return Poll::Ready(()) };
        let reason = match catch_unwind(AssertUnwindSafe(|| Pin::new(life).poll(task))) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => ExitReason::Completed,
            Err(_) => panicked(),
        };
        self.bury();
        self.guard.report(reason);
        Poll::Ready(())
    }
}

impl<A: Actor<Context = Context<A>>> Watched<A> {
    /// Drops the actor. Not during an unwind, so its `Drop` may panic too.
    fn bury(&mut self) {
        let life = self.life.take();
        if catch_unwind(AssertUnwindSafe(|| drop(life))).is_err() {
            tracing::warn!(at = %last_panic(), "an actor panicked while it was dropped");
        }
    }
}

/// Reports the exit; if nobody did so before it is dropped, the runtime ended.
struct ExitGuard {
    on_exit: Option<Box<dyn FnOnce(ExitReason)>>,
}

impl ExitGuard {
    fn report(&mut self, reason: ExitReason) {
        if let Some(on_exit) = self.on_exit.take() {
            on_exit(reason);
        }
    }
}

impl Drop for ExitGuard {
    fn drop(&mut self) {
        self.report(ExitReason::Cancelled);
    }
}

// === Where a panic came from ===

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

fn last_panic() -> String {
    LAST_PANIC.with(|last| last.borrow().clone())
}

fn panicked() -> ExitReason {
    ExitReason::Panicked { at: last_panic() }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::rc::Rc;

    use actix::{AsyncContext, Handler, Message, WrapFuture};

    use super::*;

    #[derive(Clone, Copy, PartialEq)]
    enum Misbehave {
        InHandler,
        InSpawnedFuture,
        InStarted,
        InBuild,
        InHandlerAndDrop,
        InHandlerAndStopped,
        StopAndPanicInStopped,
        Stop,
    }

    struct Child(Misbehave);

    impl Actor for Child {
        type Context = Context<Self>;
        fn started(&mut self, _: &mut Context<Self>) {
            assert!(self.0 != Misbehave::InStarted);
        }
        fn stopped(&mut self, _: &mut Context<Self>) {
            let bad = [Misbehave::InHandlerAndStopped, Misbehave::StopAndPanicInStopped];
            assert!(std::thread::panicking() || !bad.contains(&self.0));
        }
    }

    impl Drop for Child {
        fn drop(&mut self) {
            assert!(self.0 != Misbehave::InHandlerAndDrop);
        }
    }

    #[derive(Message)]
    #[rtype(result = "()")]
    struct Go;

    impl Handler<Go> for Child {
        type Result = ();
        fn handle(&mut self, _: Go, ctx: &mut Context<Self>) {
            use actix::ActorContext;
            match self.0 {
                Misbehave::Stop | Misbehave::StopAndPanicInStopped => ctx.stop(),
                Misbehave::InSpawnedFuture => {
                    ctx.spawn(async { panic!("planted") }.into_actor(self));
                }
                _ => panic!("planted"),
            }
        }
    }

    fn exits_of(how: Misbehave) -> Vec<ExitReason> {
        install_panic_hook();
        let exits = Rc::new(RefCell::new(Vec::new()));
        let told = Rc::clone(&exits);
        actix_rt::System::new().block_on(async move {
            let address = spawn_watched(
                4,
                |_| {
                    assert!(how != Misbehave::InBuild);
                    Child(how)
                },
                move |reason| told.borrow_mut().push(reason),
            );
            let _closed = address.send(Go).await;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        });
        exits.take()
    }

    #[test]
    fn every_way_to_die_is_reported_exactly_once() {
        for how in [
            Misbehave::InHandler,
            Misbehave::InSpawnedFuture,
            Misbehave::InStarted,
            Misbehave::InBuild,
            Misbehave::InHandlerAndDrop,
            Misbehave::InHandlerAndStopped,
            Misbehave::StopAndPanicInStopped,
        ] {
            let exits = exits_of(how);
            assert_eq!(exits.len(), 1);
            assert!(
                matches!(&exits[0], ExitReason::Panicked { at } if at.contains("kernel.rs")),
                "{exits:?}"
            );
        }
        assert_eq!(exits_of(Misbehave::Stop), [ExitReason::Completed]);
    }

    #[test]
    fn the_end_of_the_runtime_is_an_exit_too() {
        let exits = Rc::new(Cell::new(None));
        let told = Rc::clone(&exits);
        let system = actix_rt::System::new();
        system.block_on(async move {
            // The address keeps the actor alive; the runtime goes first.
            let address = spawn_watched(4, |_| Child(Misbehave::Stop), move |r| told.set(Some(r)));
            tokio::task::yield_now().await;
            std::mem::forget(address);
        });
        drop(system);
        assert_eq!(exits.take(), Some(ExitReason::Cancelled));
    }

    #[test]
    fn this_build_unwinds() {
        const { assert!(cfg!(panic = "unwind"), "supervision depends on unwinding") };
    }
}
