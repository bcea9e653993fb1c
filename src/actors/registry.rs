//! CallRegistry: admits calls, finds them again by their key, and lets them end.
//!
//! It knows which connection a call has, not what is said on it. A call is found
//! by its key, never by its socket: a socket may die and the call goes on.

use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, MessageResult, Supervised,
};

use super::admission::{Admission, overloaded};
use super::call_table::{CallTable, Entry};
use super::clock::Clock;
use super::inspection::CallView;
use super::kit::{CallKit, CallSpec};
use super::leg::{FIRST_LEG, Leg, LegEnds, LegShared, connect};
use super::link::CallRequest;
use super::placement::{MediaThreads, NoPlace, Place, Seat};
use super::supervisor::CallSupervisor;
use crate::config::LimitSettings;
use crate::resilience::{LOOK_MS, ResumeRate};
use crate::telemetry::{EngineEvent, Telemetry};
use crate::types::{
    CallId, CallKey, CallTarget, EndCause, ExitReason, Now, RefusalReason, Route, SessionId,
};

/// Requests of transports waiting for the registry. More wait in their own tasks.
const MAILBOX_MAX: usize = 1_024;

/// How often it looks how busy the process is.
const LOOK_EVERY: Duration = Duration::from_millis(LOOK_MS as u64);

/// How often the registry is told to drain: an order that it panics at must not be lost.
const DRAINS_MAX: u32 = 3;

/// Longest wait of a transport for the registry's answer.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Decides what a call gets: its route and the providers that go with it.
pub trait CallPlanner: Send {
    /// The route that a carrier asks for. `None`: there is none of that name.
    fn route(&self, target: Option<&CallTarget>) -> Option<Arc<Route>>;

    /// What a call of this route works with. `None` when a provider is missing.
    fn kit(&self, route: &Route) -> Option<CallKit>;
}

/// The actor.
pub struct CallRegistry {
    clock: Clock,
    calls: CallTable,
    planner: Box<dyn CallPlanner>,
    threads: MediaThreads,
    telemetry: Telemetry,
    admission: Admission,
    draining: bool,
    draw: DrawBits,
    calls_begun: u64,
    address: Addr<Self>,
}

/// Draws 128 bits by chance: ids that nobody can guess and no other engine gives out.
/// `None`: there is no chance to be had.
pub type DrawBits = Box<dyn FnMut() -> Option<u128> + Send>;

/// What the registry is made of.
pub struct RegistryParts {
    /// Time.
    pub clock: Clock,
    /// Routes and providers.
    pub planner: Box<dyn CallPlanner>,
    /// Where calls run.
    pub threads: MediaThreads,
    /// Where facts are told.
    pub telemetry: Telemetry,
    /// What is refused.
    pub limits: LimitSettings,
    /// Cores that the process may use.
    pub cores: usize,
    /// Where ids come from.
    pub draw: DrawBits,
}

impl CallRegistry {
    /// Starts the registry on the current thread.
    #[must_use]
    pub fn start(parts: RegistryParts) -> Switchboard {
        let telemetry = parts.telemetry.clone();
        let on_panic = move |reason| {
            telemetry.engine_event(&EngineEvent::ActorRestarted { actor: "registry", reason });
        };
        let on_exit = |reason: ExitReason| {
            if !matches!(reason, ExitReason::Completed | ExitReason::Cancelled) {
                tracing::error!(reason = reason.as_str(), "the call registry ended");
            }
        };
        let registry = super::kernel::spawn_revived(
            MAILBOX_MAX,
            |address| Self::new(parts, address.clone()),
            on_panic,
            on_exit,
        );
        Switchboard { registry }
    }

    fn new(parts: RegistryParts, address: Addr<Self>) -> Self {
        Self {
            clock: parts.clock,
            calls: CallTable::default(),
            planner: parts.planner,
            threads: parts.threads,
            telemetry: parts.telemetry,
            admission: Admission::new(parts.limits, parts.cores),
            draining: false,
            draw: parts.draw,
            calls_begun: 0,
            address,
        }
    }

    fn connect(&mut self, request: &CallRequest) -> Result<Leg, RefusalReason> {
        match self.resume(request) {
            Some(outcome) => outcome,
            None => self.admit(request),
        }
    }

    /// Gives the running call of this name a new connection, if there is one. The newest one
    /// wins, unless it may not: an old socket that died is often noticed later than its
    /// caller is back.
    fn resume(&mut self, request: &CallRequest) -> Option<Result<Leg, RefusalReason>> {
        let carrier_call_id = request.carrier_call_id.clone()?;
        let key = CallKey { transport: request.transport, carrier_call_id };
        let (call_id, entry) = self.calls.named(&key)?;
        if !request.takes_over && !entry.shared.is_lost() {
            return Some(Err(RefusalReason::AlreadyConnected));
        }
        let now = self.clock.now();
        // Its own budget first: one that is dialled without end costs its neighbours nothing.
        if entry.resumes.is_spent(now) {
            return Some(Err(RefusalReason::ResumeRate));
        }
        let thread = entry.seat.thread();
        if let Err(reason) = self.admission.check_resume(now, request.source, thread) {
            return Some(Err(reason));
        }
        entry.resumes.take(now);
        entry.leg = entry.leg.next();
        let (mut leg, ends) =
            connect(call_id, entry.leg, &entry.seat, request, &entry.route.listening, self.clock);
        let shared = Arc::clone(&ends.shared);
        std::mem::replace(&mut entry.shared, shared).succeed(ends);
        leg.resumed = true;
        Some(Ok(leg))
    }

    fn admit(&mut self, request: &CallRequest) -> Result<Leg, RefusalReason> {
        if self.draining {
            return Err(RefusalReason::Draining);
        }
        let now = self.clock.now();
        self.admission.check(now, self.calls.len(), request.source)?;
        let route = self.planner.route(request.target.as_ref());
        let route = route.ok_or(RefusalReason::UnknownRoute)?;
        let kit = self.planner.kit(&route).ok_or(RefusalReason::Internal)?;
        let spec = self.spec(request, &route)?;
        let (call_id, leg_id) = (spec.call_id, FIRST_LEG);
        let (seat, place) = self.take_place(now)?;
        let (leg, ends) = connect(call_id, leg_id, &seat, request, &route.listening, self.clock);
        let shared = Arc::clone(&ends.shared);
        if !self.start_call(&seat, place, (spec, kit, ends)) {
            return Err(RefusalReason::Internal);
        }
        self.calls_begun += 1;
        let name = request.carrier_call_id.clone();
        let entry = Entry {
            number: self.calls_begun,
            key: CallKey {
                transport: request.transport,
                carrier_call_id: name.unwrap_or_else(|| call_id.into()),
            },
            started: self.telemetry.wall_time(),
            started_at: self.clock.now(),
            route,
            leg: leg_id,
            shared,
            seat,
            resumes: ResumeRate::default(),
        };
        self.calls.insert(call_id, entry);
        Ok(leg)
    }

    fn spec(
        &mut self,
        request: &CallRequest,
        route: &Arc<Route>,
    ) -> Result<CallSpec, RefusalReason> {
        let mut draw = || (self.draw)().ok_or(RefusalReason::Internal);
        Ok(CallSpec {
            call_id: CallId::from_bits(draw()?),
            carrier_call_id: request.carrier_call_id.clone(),
            session_id: SessionId::from_bits(draw()?),
            user_id: request.user_id.clone(),
            route: Arc::clone(route),
        })
    }

    fn take_place(&mut self, now: Now) -> Result<(Seat, Place), RefusalReason> {
        self.threads.take_place(now).map_err(|no_place| match no_place {
            NoPlace::Stopped => RefusalReason::Internal,
            NoPlace::Overloaded(thread) => overloaded(thread.to_string()),
        })
    }

    /// Why the next call would be refused. Empty: it would not, as far as is known.
    fn complaints(&mut self) -> Vec<String> {
        let now = self.clock.now();
        let room = self.admission.room(now, self.calls.len());
        let closed = self.threads.closed(now);
        let threads = closed.iter().map(ToString::to_string);
        room.err().iter().map(ToString::to_string).chain(threads).collect()
    }

    /// The running calls, in no order.
    pub(super) fn calls(&self) -> impl Iterator<Item = (CallId, &Entry)> {
        self.calls.iter()
    }

    /// A running call as far as the registry knows it, and its connection.
    pub(super) fn view(&self, call_id: CallId) -> Option<(CallView, Arc<LegShared>)> {
        let entry = self.calls.get(call_id)?;
        let name = &entry.key.carrier_call_id;
        let view = CallView {
            number: entry.number,
            call_id,
            carrier_call_id: (*name != call_id.into()).then(|| name.clone()),
            transport: entry.shared.transport(),
            started: entry.started,
            age_ms: self.clock.now().ms_since(entry.started_at),
            snapshot: None,
        };
        Some((view, Arc::clone(&entry.shared)))
    }

    fn start_call(
        &self,
        seat: &Seat,
        place: Place,
        (spec, kit, ends): (CallSpec, CallKit, LegEnds),
    ) -> bool {
        let over = CallOver(spec.call_id);
        let registry = self.address.clone();
        seat.start(move |driver| {
            CallSupervisor::start(spec, kit, ends, driver, move |reason| {
                drop(place);
                tell_over(&registry, over, &reason);
            });
        })
    }
}

impl Actor for CallRegistry {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // In virtual time processor time means nothing.
        if self.threads.are_threads() {
            ctx.run_interval(LOOK_EVERY, |registry, _| {
                registry.admission.look(registry.clock.now(), registry.calls.len());
            });
        }
    }
}

/// After a panic: the calls go on, and so does whoever finds them.
impl Supervised for CallRegistry {
    fn restarting(&mut self, _: &mut Context<Self>) {
        self.calls.mend();
        self.admission = self.admission.anew();
    }
}

/// From a transport: start a call, or go on with one.
#[derive(Message)]
#[rtype(result = "Result<Leg, RefusalReason>")]
struct Connect(CallRequest);

impl Handler<Connect> for CallRegistry {
    type Result = MessageResult<Connect>;

    fn handle(&mut self, Connect(request): Connect, _: &mut Context<Self>) -> Self::Result {
        sabotage!("registry.connect");
        let transport = request.transport;
        let mut outcome = self.connect(&request);
        if let Err(reason) = &mut outcome {
            self.admission.ask_back(self.clock.now(), reason);
            let reason = reason.clone();
            self.telemetry.engine_event(&EngineEvent::CallRefused { transport, reason });
        }
        MessageResult(outcome)
    }
}

/// From the kernel: a call's supervisor is gone.
#[derive(Message)]
#[rtype(result = "()")]
struct CallOver(CallId);

#[expect(clippy::disallowed_methods, reason = "must arrive, and is sent once per call")]
fn tell_over(registry: &Addr<CallRegistry>, over: CallOver, reason: &ExitReason) {
    if let ExitReason::Panicked { at } = reason {
        tracing::error!(call_id = %over.0, %at, "a call's supervisor panicked; the call ends");
    }
    registry.do_send(over);
}

impl Handler<CallOver> for CallRegistry {
    type Result = ();

    fn handle(&mut self, CallOver(call_id): CallOver, _: &mut Context<Self>) {
        sabotage!("registry.over");
        self.calls.remove(call_id);
    }
}

/// From the server: take no new calls. Answers how many run.
#[derive(Message)]
#[rtype(result = "usize")]
struct Drain {
    /// End the running ones, too.
    hang_up: bool,
}

impl Handler<Drain> for CallRegistry {
    type Result = usize;

    fn handle(&mut self, Drain { hang_up }: Drain, _: &mut Context<Self>) -> usize {
        sabotage!("registry.drain");
        self.draining = true;
        if hang_up {
            self.calls.iter().for_each(|(_, call)| call.shared.hang_up(EndCause::Drained));
        }
        self.calls.len()
    }
}

/// From the server: how things stand.
#[derive(Message)]
#[rtype(result = "Load")]
struct TakeLoad;

impl Handler<TakeLoad> for CallRegistry {
    type Result = MessageResult<TakeLoad>;

    fn handle(&mut self, _: TakeLoad, _: &mut Context<Self>) -> Self::Result {
        let complaints = self.complaints();
        MessageResult(Load { calls: self.calls.len(), draining: self.draining, complaints })
    }
}

/// From the server: stop the media threads. Nothing is placed afterwards.
#[derive(Message)]
#[rtype(result = "()")]
struct StopThreads;

impl Handler<StopThreads> for CallRegistry {
    type Result = ();

    fn handle(&mut self, _: StopThreads, ctx: &mut Context<Self>) {
        self.draining = true;
        self.threads.stop();
        ctx.stop();
    }
}

/// How things stand in the registry.
#[derive(Clone, Debug, Default)]
pub struct Load {
    /// Calls running.
    pub calls: usize,
    /// No new calls are taken.
    pub draining: bool,
    /// Which limits refuse new calls, with their figures.
    pub complaints: Vec<String>,
}

/// The transports' and the server's handle on the registry.
#[derive(Clone)]
pub struct Switchboard {
    registry: Addr<CallRegistry>,
}

impl Switchboard {
    pub(super) fn registry(&self) -> &Addr<CallRegistry> {
        &self.registry
    }

    /// Starts a call, or gives the running one of the same key a new connection.
    pub async fn connect(&self, request: CallRequest) -> Result<Leg, RefusalReason> {
        let answer = self.registry.send(Connect(request)).timeout(ANSWER_WITHIN).await;
        answer.unwrap_or(Err(RefusalReason::Internal))
    }

    /// Takes no new calls from now on; with `hang_up`, ends the running ones.
    /// Returns how many run.
    pub async fn drain(&self, hang_up: bool) -> usize {
        for _ in 0..DRAINS_MAX {
            let drain = self.registry.send(Drain { hang_up }).timeout(ANSWER_WITHIN);
            if let Ok(calls) = drain.await {
                return calls;
            }
        }
        0
    }

    /// How things stand. `None` when the registry does not answer.
    pub async fn load(&self) -> Option<Load> {
        self.registry.send(TakeLoad).timeout(ANSWER_WITHIN).await.ok()
    }

    /// Stops the media threads and waits for them; for the end of the process.
    pub async fn stop(&self) {
        if self.registry.send(StopThreads).await.is_err() {
            tracing::warn!("the call registry was gone before the media threads were stopped");
        }
    }
}
