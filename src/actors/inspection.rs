//! What can be asked of the running calls from outside: which there are, how one
//! of them stands, and that one is to end.
//!
//! The registry names the calls; each answers for itself at its next tick. A call
//! that does not answer in time is said to be so, and disturbs nobody.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Context, Handler, Message, MessageResult};
use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::gauges::look;
use super::leg::LegShared;
use super::registry::{ANSWER_WITHIN, CallRegistry, Switchboard};
use crate::telemetry::Timestamp;
use crate::types::{CallId, CallSnapshot, CarrierCallId, EndCause};

/// Longest wait for the snapshots of calls. A call answers at its next tick.
const LOOK_WITHIN: Duration = Duration::from_millis(500);

/// A running call, as it is seen from outside.
#[derive(Clone, Debug, Serialize)]
pub struct CallView {
    /// Counts the calls of this process from 1, in the order in which they began.
    pub number: u64,
    /// Its id.
    pub call_id: CallId,
    /// The carrier's name for it, where it gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier_call_id: Option<CarrierCallId>,
    /// Name of its transport.
    pub transport: &'static str,
    /// When it began.
    pub started: Timestamp,
    /// How long ago that was.
    pub age_ms: u64,
    /// How it stands. `None`: it did not answer in time.
    #[serde(skip)]
    pub snapshot: Option<CallSnapshot>,
}

/// Some of the running calls, in the order in which they began.
#[derive(Clone, Debug)]
pub struct CallPage {
    /// The calls.
    pub calls: Vec<CallView>,
    /// How many run in all.
    pub total: usize,
    /// Whether more follow.
    pub more: bool,
}

/// A call that was found, and its current connection.
struct Found {
    view: CallView,
    leg: Arc<LegShared>,
}

/// From a transport: the running calls that began after the call with this number.
#[derive(Message)]
#[rtype(result = "FoundCalls")]
struct ListCalls {
    after: u64,
    limit: usize,
}

struct FoundCalls {
    calls: Vec<Found>,
    total: usize,
    more: bool,
}

/// From a transport: the call with this id.
#[derive(Message)]
#[rtype(result = "Option<Found>")]
struct FindCall(CallId);

/// From a transport: end the call with this id. Answers whether there is one.
#[derive(Message)]
#[rtype(result = "bool")]
struct EndCall {
    call_id: CallId,
    cause: EndCause,
}

impl Handler<ListCalls> for CallRegistry {
    type Result = MessageResult<ListCalls>;

    fn handle(&mut self, list: ListCalls, _: &mut Context<Self>) -> Self::Result {
        // The oldest ones, without sorting all: there may be a hundred thousand.
        let mut oldest = BinaryHeap::with_capacity(list.limit + 1);
        let mut more = false;
        for (call_id, entry) in self.calls().filter(|(_, entry)| entry.number > list.after) {
            oldest.push((entry.number, call_id));
            if oldest.len() > list.limit {
                oldest.pop();
                more = true;
            }
        }
        let mut calls: Vec<Found> =
            oldest.into_iter().filter_map(|(_, call_id)| self.found(call_id)).collect();
        calls.sort_by_key(|found| found.view.number);
        MessageResult(FoundCalls { calls, total: self.calls().count(), more })
    }
}

impl Handler<FindCall> for CallRegistry {
    type Result = MessageResult<FindCall>;

    fn handle(&mut self, FindCall(call_id): FindCall, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.found(call_id))
    }
}

impl Handler<EndCall> for CallRegistry {
    type Result = bool;

    fn handle(&mut self, EndCall { call_id, cause }: EndCall, _: &mut Context<Self>) -> bool {
        let found = self.found(call_id);
        if let Some(Found { leg, .. }) = &found {
            leg.hang_up(cause);
        }
        found.is_some()
    }
}

impl CallRegistry {
    fn found(&self, call_id: CallId) -> Option<Found> {
        let (view, leg) = self.view(call_id)?;
        Some(Found { view, leg })
    }
}

impl Found {
    async fn ask(self, until: Instant) -> CallView {
        let snapshot = match look(&self.leg) {
            Some(answer) => timeout_at(until, answer).await.ok().and_then(Result::ok),
            None => None,
        };
        CallView { snapshot, ..self.view }
    }
}

impl Switchboard {
    /// At most `limit` of the running calls that began after the one with the number
    /// `after`. `None` when the registry does not answer.
    pub async fn calls(&self, after: u64, limit: usize) -> Option<CallPage> {
        let list = self.registry().send(ListCalls { after, limit });
        let FoundCalls { calls, total, more } = list.timeout(ANSWER_WITHIN).await.ok()?;
        let until = Instant::now() + LOOK_WITHIN;
        let calls = join_all(calls.into_iter().map(|found| found.ask(until))).await;
        Some(CallPage { calls, total, more })
    }

    /// How a running call stands. `None`: there is none with this id.
    pub async fn call(&self, call_id: CallId) -> Option<CallView> {
        let find = self.registry().send(FindCall(call_id));
        let found = find.timeout(ANSWER_WITHIN).await.ok()??;
        Some(found.ask(Instant::now() + LOOK_WITHIN).await)
    }

    /// Ends a running call. Returns whether there is one with this id.
    pub async fn end_call(&self, call_id: CallId, cause: EndCause) -> bool {
        let end = EndCall { call_id, cause };
        self.registry().send(end).timeout(ANSWER_WITHIN).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::clock::Clock;
    use crate::actors::leg::connect;
    use crate::actors::link::{Delivery, Seat};
    use crate::actors::tests::stage::request;
    use crate::types::{LegId, ListeningSettings};

    #[tokio::test(start_paused = true)]
    async fn a_call_that_does_not_answer_is_shown_without_a_snapshot_in_time() {
        let request = request("a", Delivery::WholeSentences);
        let call_id = CallId::of_test("a");
        let listening = ListeningSettings::default();
        // Nobody drives this leg.
        let (_leg, ends) =
            connect(call_id, LegId(1), &Seat::here(), &request, &listening, Clock::start());
        let asked = Instant::now();
        let views = join_all((0..100).map(|number| {
            let view = CallView {
                number,
                call_id,
                carrier_call_id: None,
                transport: "stage",
                started: crate::telemetry::Telemetry::new(limits(), Vec::new()).0.wall_time(),
                age_ms: 0,
                snapshot: None,
            };
            Found { view, leg: Arc::clone(&ends.shared) }.ask(asked + LOOK_WITHIN)
        }));
        assert!(views.await.iter().all(|view| view.snapshot.is_none()));
        assert_eq!(asked.elapsed(), LOOK_WITHIN);
    }

    fn limits() -> crate::telemetry::QueueLimits {
        crate::telemetry::QueueLimits { queue_max: 1, batch_max: 1 }
    }
}
