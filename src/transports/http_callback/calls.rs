//! The calls of the callback: posts come over many connections, so what belongs
//! to a call is found here by its id. Each connected leg has one task that carries
//! out its commands and notices when the posts stop. It owns no audio of the
//! caller and decides nothing about the conversation.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

use super::reply::{ReplyBuffer, ReplyPart};
use crate::actors::link::{CallRequest, Leg, LegCommand, LegInput, LegOutput, Switchboard};
use crate::config::HttpCallbackSettings;
use crate::transports::refusal::Refusal;
use crate::types::{CallId, EndCause, Epoch, RefusalReason};

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
    calls: HashMap<CallId, Arc<CallbackCall>>,
    ended: VecDeque<CallId>,
}

/// What is known of an id.
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
    pub(super) fn find(&self, id: &CallId) -> Lookup {
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
        id: &CallId,
        new: impl FnOnce() -> CallbackCall,
    ) -> Arc<CallbackCall> {
        let mut table = self.table.lock();
        let call = table.calls.entry(id.clone()).or_insert_with(|| Arc::new(new()));
        Arc::clone(call)
    }

    /// Adds a call in place of what had its id.
    pub(super) fn add(&self, id: CallId, call: Arc<CallbackCall>) {
        let replaced = self.table.lock().calls.insert(id, call);
        if let Some(replaced) = replaced {
            replaced.close();
        }
    }

    /// Forgets `call`, unless its id means another one by now.
    fn remove(&self, id: &CallId, call: &Arc<CallbackCall>, has_ended: bool) {
        let mut table = self.table.lock();
        if let Entry::Occupied(entry) = table.calls.entry(id.clone())
            && Arc::ptr_eq(entry.get(), call)
        {
            entry.remove();
            if has_ended {
                table.ended.push_back(id.clone());
            }
        }
        while table.ended.len() > ENDED_MAX {
            table.ended.pop_front();
        }
        drop(table);
        call.close();
    }
}

/// One call.
pub(super) struct CallbackCall {
    request: CallRequest,
    leg: Mutex<LegSlot>,
    /// Held while the call is being connected, so that two posts connect it once.
    connecting: tokio::sync::Mutex<()>,
    /// Number that the next leg begins with.
    next_sequence: AtomicU64,
    heard_at: Mutex<Instant>,
    reply: Mutex<ReplyBuffer>,
    changed: watch::Sender<Change>,
    newest_reader: AtomicU64,
}

/// The call's connection to the engine.
struct LegSlot {
    state: LegState,
    /// Counts connections: tells an old leg's task that it is not concerned.
    legs: u32,
}

/// Whether the call can take audio.
#[derive(Clone)]
pub(super) enum LegState {
    /// Not connected: not yet, or because its media was lost.
    Away,
    /// Connected.
    Connected(LegInput),
    /// Over.
    Ended(EndCause),
}

/// What readers of the reply wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    /// More audio or another epoch.
    Reply,
    /// No more audio will come.
    Closed,
}

impl CallbackCall {
    /// A call that is not connected.
    pub(super) fn new(request: CallRequest, settings: &HttpCallbackSettings) -> Self {
        let reply = ReplyBuffer::new(request.format_out, settings.reply_ms_max);
        Self {
            next_sequence: AtomicU64::new(request.first_sequence),
            request,
            leg: Mutex::new(LegSlot { state: LegState::Away, legs: 0 }),
            connecting: tokio::sync::Mutex::new(()),
            heard_at: Mutex::new(Instant::now()),
            reply: Mutex::new(reply),
            changed: watch::Sender::new(Change::Reply),
            newest_reader: AtomicU64::new(0),
        }
    }

    /// What the call was started with.
    pub(super) const fn request(&self) -> &CallRequest {
        &self.request
    }

    /// Whether it can take audio.
    pub(super) fn state(&self) -> LegState {
        self.leg.lock().state.clone()
    }

    /// A media post arrived, taken or not.
    pub(super) fn heard(&self) {
        *self.heard_at.lock() = Instant::now();
    }

    /// Looks at or reads from the reply.
    pub(super) fn with_reply<T>(&self, look: impl FnOnce(&mut ReplyBuffer) -> T) -> T {
        look(&mut self.reply.lock())
    }

    /// Reads the reply from `from` on as it comes. A newer reader ends this one.
    pub(super) fn reader(self: &Arc<Self>, from: u64) -> ReplyReader {
        let number = self.newest_reader.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed.send_modify(|_| ());
        let (position, epoch) = self.with_reply(|reply| (reply.position_at(from), reply.epoch()));
        ReplyReader {
            changed: self.changed.subscribe(),
            call: Arc::clone(self),
            number: Some(number),
            position,
            epoch,
        }
    }

    /// Reads the whole reply; other readers do not matter.
    pub(super) fn playback_reader(self: &Arc<Self>) -> ReplyReader {
        let epoch = self.with_reply(|reply| reply.epoch());
        ReplyReader {
            changed: self.changed.subscribe(),
            call: Arc::clone(self),
            number: None,
            position: 0,
            epoch,
        }
    }

    fn carry_out(&self, command: LegCommand) {
        match command {
            LegCommand::Audio { epoch, bytes, .. } | LegCommand::Sentence { epoch, bytes, .. } => {
                self.reply.lock().push(epoch, bytes);
            }
            LegCommand::Flush { epoch } => self.reply.lock().flush(epoch),
            // The callback has no channel for events.
            LegCommand::Event(_) | LegCommand::Superseded | LegCommand::End { .. } => return,
        }
        self.changed.send_replace(Change::Reply);
    }

    fn close(&self) {
        self.changed.send_replace(Change::Closed);
    }
}

/// Connects `call` if it is not, and gives its way in.
pub(super) async fn connected(
    calls: &Arc<Calls>,
    call: &Arc<CallbackCall>,
    switchboard: &Switchboard,
    idle_ms_max: u32,
) -> Result<LegInput, Refusal> {
    if let LegState::Connected(input) = call.state() {
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
    match call.state() {
        LegState::Connected(input) => return Ok(input),
        LegState::Ended(_) => return Err(RefusalReason::Ended),
        LegState::Away => {}
    }
    let first_sequence = call.next_sequence.load(Ordering::Relaxed);
    let request = CallRequest { first_sequence, ..call.request.clone() };
    match switchboard.connect(request).await {
        Ok(leg) => Ok(attach(calls, call, leg, idle_ms_max)),
        Err(reason) => {
            let has_ended = reason == RefusalReason::Ended;
            let was_never_connected = call.leg.lock().legs == 0;
            if let Some(id) = &call.request.call_id
                && (has_ended || was_never_connected)
            {
                calls.remove(id, call, has_ended);
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
    call.heard();
    call.with_reply(|reply| reply.flush(input.state().epoch));
    let legs = {
        let mut slot = call.leg.lock();
        slot.state = LegState::Connected(input.clone());
        slot.legs += 1;
        slot.legs
    };
    let watch = LegWatch {
        call_id,
        calls: Arc::clone(calls),
        call: Arc::clone(call),
        input: input.clone(),
        idle: Duration::from_millis(u64::from(idle_ms_max)),
        legs,
    };
    actix_web::rt::spawn(watch.run(output));
    input
}

/// The task of one leg.
struct LegWatch {
    call_id: CallId,
    calls: Arc<Calls>,
    call: Arc<CallbackCall>,
    input: LegInput,
    idle: Duration,
    legs: u32,
}

impl LegWatch {
    async fn run(self, output: LegOutput) {
        let left = self.carry(output).await;
        let has_ended = matches!(left, LegState::Ended(_));
        let next_sequence = self.input.state().next_sequence;
        self.call.next_sequence.store(next_sequence, Ordering::Relaxed);
        self.call.leg.lock().state = left;
        if has_ended {
            self.call.close();
        }
        sleep(Duration::from_millis(KEPT_MS)).await;
        let is_last = self.call.leg.lock().legs == self.legs;
        if is_last {
            self.calls.remove(&self.call_id, &self.call, has_ended);
        }
    }

    /// Carries out the leg's commands until it ends or the posts stop.
    async fn carry(&self, mut output: LegOutput) -> LegState {
        loop {
            let idle_at = *self.call.heard_at.lock() + self.idle;
            tokio::select! {
                command = output.next() => match command {
                    Some(LegCommand::End { cause }) => return LegState::Ended(cause),
                    Some(command) => self.call.carry_out(command),
                    None => return LegState::Away,
                },
                () = sleep_until(idle_at) => {
                    if *self.call.heard_at.lock() + self.idle <= Instant::now() {
                        self.input.lost();
                        return LegState::Away;
                    }
                }
            }
        }
    }
}

/// Follows a call's reply.
pub(super) struct ReplyReader {
    call: Arc<CallbackCall>,
    changed: watch::Receiver<Change>,
    number: Option<u64>,
    position: u64,
    epoch: Epoch,
}

/// What a reader finds next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyStep {
    /// Audio of the current epoch.
    Audio(ReplyPart),
    /// The caller interrupted: what was read is out of date.
    Flushed {
        /// The epoch that begins.
        epoch: Epoch,
    },
    /// Nothing more will come to this reader.
    Ended,
}

impl ReplyReader {
    /// Where the next audio begins, in samples.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The epoch of the next audio.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether audio of `epoch` is not wanted any more.
    pub(super) fn is_out_of_date(&self, epoch: Epoch) -> bool {
        self.call.with_reply(|reply| reply.epoch()) > epoch
    }

    /// Waits for audio, at most `bytes_max` of it, or for the end.
    pub(super) async fn next(&mut self, bytes_max: usize) -> ReplyStep {
        loop {
            let change = *self.changed.borrow_and_update();
            if self.number.is_some_and(|n| n != self.call.newest_reader.load(Ordering::Relaxed)) {
                return ReplyStep::Ended;
            }
            let (epoch, position) = (self.epoch, self.position);
            let part = self.call.with_reply(|reply| {
                if reply.epoch() == epoch {
                    Ok(reply.read(position, bytes_max))
                } else {
                    Err((reply.epoch(), reply.position_at(position)))
                }
            });
            match part {
                Err((epoch, position)) => {
                    (self.epoch, self.position) = (epoch, position);
                    return ReplyStep::Flushed { epoch };
                }
                Ok(part) if !part.bytes.is_empty() => {
                    self.position = part.next;
                    return ReplyStep::Audio(part);
                }
                Ok(_) => {}
            }
            if change == Change::Closed || self.changed.changed().await.is_err() {
                return ReplyStep::Ended;
            }
        }
    }
}
