//! The calls of the callback: posts come over many connections, so what belongs
//! to a call is found here by its name. Each leg has one task that carries out its
//! commands and notices when the posts stop.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::call::{CallbackCall, Presence};
use crate::actors::link::{Leg, LegCommand, LegInput, LegOutput, Switchboard};
use crate::transports::refusal::Refusal;
use crate::types::{CarrierCallId, RefusalReason};

/// Who looks so much too late whether posts came, could not see them.
const UNWATCHED: Duration = Duration::from_millis(200);

/// How long the reply audio of a call is kept after its leg ended.
const KEPT_MS: u64 = 30_000;

/// Ids of ended calls that are remembered, so that a late post learns that its
/// call has ended. The oldest is forgotten first.
const ENDED_MAX: usize = 4_096;

/// All calls of the callback, for all connections.
#[derive(Default)]
pub(super) struct Calls {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    calls: HashMap<CarrierCallId, Arc<CallbackCall>>,
    ended: Ended,
}

/// Names of ended calls, in the order in which they ended.
#[derive(Default)]
struct Ended {
    order: VecDeque<(u64, CarrierCallId)>,
    /// The number of each one's newest end: whoever asks does not look through all.
    newest: HashMap<CarrierCallId, u64>,
    count: u64,
}

impl Ended {
    fn contains(&self, id: &CarrierCallId) -> bool {
        self.newest.contains_key(id)
    }

    fn add(&mut self, id: CarrierCallId) {
        self.count += 1;
        self.newest.insert(id.clone(), self.count);
        self.order.push_back((self.count, id));
        while self.order.len() > ENDED_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((number, id)) = self.order.pop_front()
            && self.newest.get(&id) == Some(&number)
        {
            self.newest.remove(&id);
        }
    }
}

/// What is known of a name.
pub(super) enum Lookup {
    /// Its call.
    Call(Arc<CallbackCall>),
    /// That it had one.
    Ended,
    /// Nothing.
    Unknown,
}

impl Calls {
    /// Finds a call.
    pub(super) fn find(&self, id: &CarrierCallId) -> Lookup {
        let table = self.table.lock();
        match table.calls.get(id) {
            Some(call) => Lookup::Call(Arc::clone(call)),
            None if table.ended.contains(id) => Lookup::Ended,
            None => Lookup::Unknown,
        }
    }

    /// Finds a call or makes one that is not connected yet.
    pub(super) fn find_or_add(
        &self,
        id: &CarrierCallId,
        new: impl FnOnce() -> CallbackCall,
    ) -> Arc<CallbackCall> {
        let mut table = self.table.lock();
        let call = table.calls.entry(id.clone()).or_insert_with(|| Arc::new(new()));
        Arc::clone(call)
    }

    /// Adds a call in place of what had its id.
    pub(super) fn add(&self, id: CarrierCallId, call: Arc<CallbackCall>) {
        let replaced = self.table.lock().calls.insert(id, call);
        if let Some(replaced) = replaced {
            replaced.close();
        }
    }

    /// Forgets `call`, unless its id means another one by now.
    fn remove(&self, id: &CarrierCallId, call: &Arc<CallbackCall>, has_ended: bool) {
        let mut table = self.table.lock();
        if let Entry::Occupied(entry) = table.calls.entry(id.clone())
            && Arc::ptr_eq(entry.get(), call)
        {
            entry.remove();
            if has_ended {
                table.ended.add(id.clone());
            }
        }
        drop(table);
        call.close();
    }
}

/// Connects `call` if it is not, and gives its way in.
pub(super) async fn connected(
    calls: &Arc<Calls>,
    call: &Arc<CallbackCall>,
    switchboard: &Switchboard,
    idle_ms_max: u32,
) -> Result<LegInput, Refusal> {
    if call.presence() == Presence::Connected
        && let Some(input) = call.input()
    {
        return Ok(input);
    }
    let (calls, call, switchboard) = (Arc::clone(calls), Arc::clone(call), switchboard.clone());
    // A task of its own: a client that goes away in the meantime must not leave a
    // call behind that nobody looks after.
    let connecting = async move { connect(&calls, &call, &switchboard, idle_ms_max).await };
    match actix_web::rt::spawn(connecting).await {
        Ok(outcome) => outcome.map_err(Refusal::from),
        Err(_) => Err(RefusalReason::Internal.into()),
    }
}

async fn connect(
    calls: &Arc<Calls>,
    call: &Arc<CallbackCall>,
    switchboard: &Switchboard,
    idle_ms_max: u32,
) -> Result<LegInput, RefusalReason> {
    let _one_at_a_time = call.connecting.lock().await;
    let last_input = call.input();
    match (call.presence(), &last_input) {
        (Presence::Connected, Some(input)) => return Ok(input.clone()),
        (Presence::Ended(_), _) => return Err(RefusalReason::Ended),
        (Presence::Connected | Presence::Away, _) => {}
    }
    match switchboard.connect(call.next_request()).await {
        Ok(leg) => Ok(attach(calls, call, leg, idle_ms_max)),
        Err(reason) => {
            if let (None, Some(id)) = (last_input, &call.request().carrier_call_id) {
                calls.remove(id, call, false);
            }
            Err(reason)
        }
    }
}

/// Makes `leg` the call's connection and looks after it.
pub(super) fn attach(
    calls: &Arc<Calls>,
    call: &Arc<CallbackCall>,
    leg: Leg,
    idle_ms_max: u32,
) -> LegInput {
    let Leg { call_id, input, output, .. } = leg;
    let name = call.request().carrier_call_id.clone();
    let watch = LegWatch {
        name: name.unwrap_or_else(|| call_id.into()),
        calls: Arc::clone(calls),
        call: Arc::clone(call),
        leg: call.attach(call_id, &input),
        input: input.clone(),
        idle: Duration::from_millis(u64::from(idle_ms_max)),
    };
    actix_web::rt::spawn(watch.run(output));
    input
}

/// The task of one leg.
struct LegWatch {
    /// By which posts find the call.
    name: CarrierCallId,
    calls: Arc<Calls>,
    call: Arc<CallbackCall>,
    input: LegInput,
    idle: Duration,
    leg: u32,
}

impl LegWatch {
    async fn run(self, output: LegOutput) {
        // A panic is the end of this connection and must not leave the call's name taken.
        let carried = AssertUnwindSafe(self.carry(output)).catch_unwind().await;
        let presence = carried.unwrap_or(Presence::Away);
        self.call.leave(self.leg, presence);
        let has_ended = presence != Presence::Away;
        if has_ended {
            self.call.close();
        }
        sleep(Duration::from_millis(KEPT_MS)).await;
        if self.call.is_newest(self.leg) {
            self.calls.remove(&self.name, &self.call, has_ended);
        }
    }

    /// Carries out the leg's commands to the last. When the posts stop, the media
    /// is lost, but the reply may still be heard: the engine says when it is over.
    async fn carry(&self, mut output: LegOutput) -> Presence {
        let mut is_lost = false;
        loop {
            let idle_at = self.call.heard_at() + self.idle;
            tokio::select! {
                command = output.next() => match command {
                    Some(LegCommand::End { cause }) => return Presence::Ended(cause),
                    Some(LegCommand::Superseded) | None => return Presence::Away,
                    Some(command) => {
                        sabotage!("callback.command");
                        self.call.carry_out(command);
                    }
                },
                () = sleep_until(idle_at), if !is_lost => {
                    let now = Instant::now();
                    if now > idle_at + UNWATCHED {
                        // The process stood still: posts that came meanwhile wait unread.
                        self.call.heard();
                    } else if self.call.heard_at() + self.idle <= now {
                        is_lost = true;
                        self.input.lost();
                        self.call.leave(self.leg, Presence::Away);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::tests::call;
    use super::*;

    fn id(text: &str) -> CarrierCallId {
        CarrierCallId::new(text).expect("valid")
    }

    #[tokio::test]
    async fn an_ended_call_is_remembered_but_not_for_ever() {
        let calls = Calls::default();
        assert!(matches!(calls.find(&id("first")), Lookup::Unknown));
        for number in 0..=ENDED_MAX {
            let name = if number == 0 { "first".to_owned() } else { format!("c{number}") };
            let call = call(&name);
            calls.add(id(&name), Arc::clone(&call));
            assert!(matches!(calls.find(&id(&name)), Lookup::Call(_)));
            calls.remove(&id(&name), &call, true);
            assert!(matches!(calls.find(&id(&name)), Lookup::Ended));
        }
        assert!(matches!(calls.find(&id("first")), Lookup::Unknown));
    }

    #[test]
    fn a_name_that_ended_twice_is_remembered_from_its_second_end_on_and_nothing_is_left() {
        let mut ended = Ended::default();
        let others = |from: usize, ended: &mut Ended| {
            (from..from + ENDED_MAX - 1).for_each(|number| ended.add(id(&format!("c{number}"))));
        };
        ended.add(id("twice"));
        others(0, &mut ended);
        ended.add(id("twice"));
        others(ENDED_MAX, &mut ended);
        assert!(ended.contains(&id("twice")));
        ended.add(id("last"));
        assert!(!ended.contains(&id("twice")));
        assert_eq!((ended.newest.len(), ended.order.len()), (ENDED_MAX, ENDED_MAX));
    }

    #[tokio::test]
    async fn a_call_that_was_replaced_does_not_take_its_successor_along() {
        let calls = Calls::default();
        let (old, new) = (call("a"), call("a"));
        calls.add(id("a"), Arc::clone(&old));
        calls.add(id("a"), new);
        calls.remove(&id("a"), &old, true);
        assert!(matches!(calls.find(&id("a")), Lookup::Call(_)));
    }
}
