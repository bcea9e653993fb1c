//! The running calls: by the engine's id, and by the carriers' names for them.
//!
//! A call that is about to end keeps its id to its end and gives its name away: a caller
//! who hangs up and dials again at once wants another call.

use std::collections::HashMap;
use std::sync::Arc;

use super::leg::LegShared;
use super::placement::Seat;
use crate::resilience::ResumeRate;
use crate::telemetry::Timestamp;
use crate::types::{CallId, CallKey, LegId, Now, Route};

/// See the module's text.
#[derive(Default)]
pub(super) struct CallTable {
    calls: HashMap<CallId, Entry>,
    /// The newest call of each name.
    names: HashMap<CallKey, CallId>,
}

/// What is known of a running call.
pub(super) struct Entry {
    /// Counts the calls of this process from 1.
    pub number: u64,
    /// Its name.
    pub key: CallKey,
    /// When it began, by both clocks.
    pub started: Timestamp,
    pub started_at: Now,
    pub route: Arc<Route>,
    /// Its newest connection.
    pub leg: LegId,
    pub shared: Arc<LegShared>,
    /// Where it runs.
    pub seat: Seat,
    /// How often it may get another connection.
    pub resumes: ResumeRate,
}

impl CallTable {
    /// Adds a call. It takes over the name of one that is about to end.
    pub fn insert(&mut self, call_id: CallId, entry: Entry) {
        self.names.insert(entry.key.clone(), call_id);
        self.calls.insert(call_id, entry);
    }

    /// Forgets a call, and its name unless another call has it by now.
    pub fn remove(&mut self, call_id: CallId) {
        let Some(entry) = self.calls.remove(&call_id) else { return };
        if self.names.get(&entry.key) == Some(&call_id) {
            self.names.remove(&entry.key);
        }
    }

    /// Forgets what a panic may have left: calls that are over, and names of no call.
    pub fn mend(&mut self) {
        self.calls.retain(|_, entry| !entry.shared.is_over());
        self.names.retain(|_, call_id| self.calls.contains_key(call_id));
    }

    /// The call with this id.
    pub fn get(&self, call_id: CallId) -> Option<&Entry> {
        self.calls.get(&call_id)
    }

    /// The call with this name, unless it is about to end.
    pub fn named(&mut self, key: &CallKey) -> Option<(CallId, &mut Entry)> {
        let call_id = *self.names.get(key)?;
        let entry = self.calls.get_mut(&call_id)?;
        (!entry.shared.is_ending()).then_some((call_id, entry))
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (CallId, &Entry)> {
        self.calls.iter().map(|(&call_id, entry)| (call_id, entry))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.calls.len()
    }
}
