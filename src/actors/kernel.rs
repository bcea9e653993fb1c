//! The supervision kernel: an actor's life, watched from outside.
//!
//! `actix::Supervisor` does not restart after a panic and keeps the old value,
//! so it is not used. Here the actor's context future is polled under
//! `catch_unwind`. When it ends, however it ends, the actor is dropped outside
//! the unwind (a panic in its `stopped` or in a `Drop` is survived), and the exit
//! is reported exactly once. Whether to start a new one is the parent's decision.
//!
//! An actor whose address everybody has goes on instead, at the same address and with the
//! messages that wait; its `restarting` sees to it that nothing is left half done.
//!
//! What it cannot do: survive a panic inside another unwinding, an abort, or a
//! thread that is blocked for ever.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use actix::dev::ContextFut;
use actix::dev::channel::channel;
use actix::{Actor, Addr, Context, Supervised};

use crate::telemetry::panicked;
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
    spawn(mailbox_max, build, on_exit, None)
}

/// Starts an actor that goes on after a panic, without the message that it panicked at.
/// `on_panic` is called each time, `on_exit` when its life is over for good.
pub fn spawn_revived<A>(
    mailbox_max: usize,
    build: impl FnOnce(&Addr<A>) -> A,
    on_panic: impl Fn(ExitReason) + 'static,
    on_exit: impl FnOnce(ExitReason) + 'static,
) -> Addr<A>
where
    A: Actor<Context = Context<A>> + Supervised,
{
    let revive = move |life: &mut ContextFut<A, Context<A>>| {
        on_panic(panicked());
        survive(|| life.restart()).unwrap_or(false)
    };
    spawn(mailbox_max, build, on_exit, Some(Box::new(revive)))
}

/// Does something; if it panics, that is all there is of it.
pub(super) fn survive<T>(act: impl FnOnce() -> T) -> Result<T, ExitReason> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|_| panicked())
}

fn spawn<A>(
    mailbox_max: usize,
    build: impl FnOnce(&Addr<A>) -> A,
    on_exit: impl FnOnce(ExitReason) + 'static,
    revive: Option<Revive<A>>,
) -> Addr<A>
where
    A: Actor<Context = Context<A>>,
{
    let (sender, receiver) = channel(mailbox_max);
    let address = Addr::new(sender);
    let context = Context::with_receiver(receiver);
    let built = survive(|| build(&address));
    let mut guard = ExitGuard { on_exit: Some(Box::new(on_exit)) };
    match built {
        Ok(actor) => {
            let life = Some(context.into_future(actor));
            actix_rt::spawn(Watched { life, guard, revive });
        }
        Err(reason) => guard.report(reason),
    }
    address
}

/// Has an actor go on after a panic; whether it does.
type Revive<A> = Box<dyn FnMut(&mut ContextFut<A, Context<A>>) -> bool>;

/// The actor's future and what is told when it ends.
struct Watched<A: Actor<Context = Context<A>>> {
    life: Option<ContextFut<A, Context<A>>>,
    guard: ExitGuard,
    revive: Option<Revive<A>>,
}

impl<A: Actor<Context = Context<A>>> Unpin for Watched<A> {}

impl<A: Actor<Context = Context<A>>> Future for Watched<A> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut TaskContext<'_>) -> Poll<()> {
        let Self { life: Some(life), revive, .. } = &mut *self else { return Poll::Ready(()) };
        let reason = match survive(|| Pin::new(&mut *life).poll(task)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(())) => ExitReason::Completed,
            Err(reason) => {
                if revive.as_mut().is_some_and(|revive| revive(life)) {
                    // What else is due on this thread goes first.
                    task.waker().wake_by_ref();
                    return Poll::Pending;
                }
                reason
            }
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
        if survive(|| drop(life)).is_err() {
            // The hook has told where.
            tracing::warn!("an actor panicked while it was dropped");
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

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use actix::{AsyncContext, Handler, Message, WrapFuture};

    use super::*;
    use crate::telemetry::install_panic_hook;

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

    /// Counts what it is told, and panics at each odd number.
    struct Counter {
        sum: u32,
        revived: u32,
    }

    impl Actor for Counter {
        type Context = Context<Self>;
    }

    impl Supervised for Counter {
        fn restarting(&mut self, _: &mut Context<Self>) {
            self.revived += 1;
        }
    }

    #[derive(Message)]
    #[rtype(result = "(u32, u32)")]
    struct Add(u32);

    impl Handler<Add> for Counter {
        type Result = actix::MessageResult<Add>;
        fn handle(&mut self, Add(number): Add, _: &mut Context<Self>) -> Self::Result {
            assert!(number % 2 == 0, "planted panic");
            self.sum += number;
            actix::MessageResult((self.sum, self.revived))
        }
    }

    #[test]
    fn an_actor_that_is_revived_loses_the_message_it_panicked_at_and_no_other() {
        install_panic_hook();
        let panics = Rc::new(Cell::new(0));
        let told = Rc::clone(&panics);
        actix_rt::System::new().block_on(async move {
            let address = spawn_revived(
                16,
                |_| Counter { sum: 0, revived: 0 },
                move |reason| {
                    assert!(matches!(reason, ExitReason::Panicked { .. }));
                    told.set(told.get() + 1);
                },
                |reason| assert_eq!(reason, ExitReason::Cancelled, "with its runtime"),
            );
            let answers = (1..=6).map(|number| address.send(Add(number)));
            let answers = futures_util::future::join_all(answers).await;
            let answers: Vec<_> = answers.into_iter().map(Result::ok).collect();
            assert_eq!(answers, [None, Some((2, 1)), None, Some((6, 2)), None, Some((12, 3))]);
            std::mem::forget(address);
            assert_eq!(panics.get(), 3);
        });
    }

    #[test]
    fn this_build_unwinds() {
        const { assert!(cfg!(panic = "unwind"), "supervision depends on unwinding") };
    }
}
