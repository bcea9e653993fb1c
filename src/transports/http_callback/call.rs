//! One call of the callback: what its posts, its readers and the task of its leg
//! share. It owns no audio of the caller and decides nothing about the
//! conversation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::reply::{ReplyBuffer, ReplyPart};
use crate::actors::link::{CallRequest, LegCommand, LegInput};
use crate::config::HttpCallbackSettings;
use crate::transports::allowance::Allowance;
use crate::types::{CallId, EndCause, Epoch};

/// Posts and polls of one call in a second: posts of 2 ms each, or of 10 ms and a poll for
/// each piece of the reply, and as much again.
pub(super) const REQUESTS_PER_SECOND_MAX: u32 = 500;

/// At once: what a network held back for ten seconds may come together.
const REQUESTS_AT_ONCE_MAX: u32 = 1_000;

/// See the module's text.
pub(super) struct CallbackCall {
    request: CallRequest,
    leg: Mutex<LegSlot>,
    heard_at: Mutex<Instant>,
    requests: Mutex<Allowance>,
    reply: Mutex<ReplyBuffer>,
    changed: watch::Sender<Change>,
    newest_reader: AtomicU64,
    /// Held while the call is being connected, so that two posts connect it once.
    pub connecting: tokio::sync::Mutex<()>,
}

/// The call's newest connection to the engine.
struct LegSlot {
    presence: Presence,
    input: Option<LegInput>,
    /// The engine's id of the call, once it was connected.
    call_id: Option<CallId>,
    /// Counts connections: tells an old leg's task that it is not concerned.
    legs: u32,
}

/// Whether the call can take audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// Not connected yet, or its media is lost.
    Away,
    /// Connected.
    Connected,
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
            request,
            leg: Mutex::new(LegSlot {
                presence: Presence::Away,
                input: None,
                call_id: None,
                legs: 0,
            }),
            heard_at: Mutex::new(Instant::now()),
            requests: Mutex::new(Allowance::new(
                REQUESTS_PER_SECOND_MAX,
                REQUESTS_AT_ONCE_MAX,
                Instant::now(),
            )),
            reply: Mutex::new(reply),
            changed: watch::Sender::new(Change::Reply),
            newest_reader: AtomicU64::new(0),
            connecting: tokio::sync::Mutex::new(()),
        }
    }

    /// What the call was started with.
    pub(super) const fn request(&self) -> &CallRequest {
        &self.request
    }

    /// What to connect the next leg with: numbers go on where the last one stopped.
    pub(super) fn next_request(&self) -> CallRequest {
        let last = self.input().map(|input| input.state().next_sequence);
        let first_sequence = last.unwrap_or(self.request.first_sequence);
        CallRequest { first_sequence, ..self.request.clone() }
    }

    /// Whether it can take audio.
    pub(super) fn presence(&self) -> Presence {
        self.leg.lock().presence
    }

    /// The way into the newest leg, also when its media is lost. `None` before
    /// the first.
    pub(super) fn input(&self) -> Option<LegInput> {
        self.leg.lock().input.clone()
    }

    /// The engine's id of the call. `None` before the first leg.
    pub(super) fn call_id(&self) -> Option<CallId> {
        self.leg.lock().call_id
    }

    /// Takes a new leg; returns its number.
    pub(super) fn attach(&self, call_id: CallId, input: &LegInput) -> u32 {
        self.heard();
        self.with_reply(|reply| reply.flush(input.state().epoch));
        let mut slot = self.leg.lock();
        let legs = slot.legs + 1;
        *slot = LegSlot {
            presence: Presence::Connected,
            input: Some(input.clone()),
            call_id: Some(call_id),
            legs,
        };
        legs
    }

    /// Notes what became of the leg with this number, unless there is a newer one.
    pub(super) fn leave(&self, leg: u32, presence: Presence) {
        let mut slot = self.leg.lock();
        if slot.legs == leg {
            slot.presence = presence;
        }
    }

    /// Whether the leg with this number is the newest.
    pub(super) fn is_newest(&self, leg: u32) -> bool {
        self.leg.lock().legs == leg
    }

    /// A media post arrived, taken or not.
    pub(super) fn heard(&self) {
        *self.heard_at.lock() = Instant::now();
    }

    /// Whether one more post or poll may be answered now. What is refused costs nothing.
    pub(super) fn takes_request(&self) -> bool {
        let (now, mut requests) = (Instant::now(), self.requests.lock());
        !requests.is_spent(now) && requests.spend(1, now)
    }

    /// When the last media post arrived.
    pub(super) fn heard_at(&self) -> Instant {
        *self.heard_at.lock()
    }

    /// Looks at or reads from the reply.
    pub(super) fn with_reply<T>(&self, look: impl FnOnce(&mut ReplyBuffer) -> T) -> T {
        look(&mut self.reply.lock())
    }

    /// Reads the reply from `from` on as it comes. A newer reader ends this one.
    pub(super) fn reader(self: &Arc<Self>, from: u64) -> ReplyReader {
        let number = self.newest_reader.fetch_add(1, Ordering::Relaxed) + 1;
        self.changed.send_modify(|_| ());
        self.read_on(from, Some(number))
    }

    /// Reads the whole reply; other readers do not matter.
    pub(super) fn playback_reader(self: &Arc<Self>) -> ReplyReader {
        self.read_on(0, None)
    }

    fn read_on(self: &Arc<Self>, from: u64, number: Option<u64>) -> ReplyReader {
        let (position, epoch) = self.with_reply(|reply| (reply.position_at(from), reply.epoch()));
        let changed = self.changed.subscribe();
        ReplyReader { call: Arc::clone(self), changed, number, position, epoch }
    }

    /// Keeps what the leg has for the client.
    pub(super) fn carry_out(&self, command: LegCommand) {
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

    /// Ends the readers once they have read everything.
    pub(super) fn close(&self) {
        self.changed.send_replace(Change::Closed);
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

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::time::timeout;

    use super::*;
    use crate::actors::link::Delivery;
    use crate::transports::query::anonymous;
    use crate::types::{CarrierCallId, MediaFormat, SampleRate};

    /// A call that was never connected.
    pub fn call(name: &str) -> Arc<CallbackCall> {
        let format = MediaFormat::pcm16(SampleRate::new(8_000).expect("supported"));
        let request = CallRequest {
            carrier_call_id: CarrierCallId::new(name).ok(),
            takes_over: false,
            user_id: anonymous(),
            target: None,
            source: None,
            transport: "http_callback",
            format_in: format,
            format_out: format,
            delivery: Delivery::WholeSentences,
            first_sequence: 0,
            sequence_ahead_max: 256,
        };
        Arc::new(CallbackCall::new(request, &HttpCallbackSettings::default()))
    }

    /// A piece of reply.
    pub fn audio(epoch: u32, samples: usize) -> LegCommand {
        let bytes = Bytes::from(vec![0; samples * 2]);
        LegCommand::Audio { epoch: Epoch(epoch), position: 0, bytes }
    }

    /// Reads until nothing more comes at once.
    async fn steps(reader: &mut ReplyReader) -> Vec<String> {
        let mut steps = Vec::new();
        while let Ok(step) = timeout(Duration::from_secs(1), reader.next(8_000)).await {
            match step {
                ReplyStep::Audio(part) => steps.push(format!("{}-{}", part.position, part.next)),
                ReplyStep::Flushed { epoch } => steps.push(format!("epoch {epoch}")),
                ReplyStep::Ended => {
                    steps.push("ended".to_owned());
                    break;
                }
            }
        }
        steps
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_hears_of_audio_flushes_and_the_end_in_order() {
        let call = call("a");
        let mut reader = call.reader(0);
        call.carry_out(audio(0, 10));
        assert_eq!(steps(&mut reader).await, ["0-10"]);
        call.carry_out(audio(0, 5));
        call.carry_out(LegCommand::Flush { epoch: Epoch(1) });
        call.carry_out(audio(1, 7));
        call.close();
        assert_eq!(steps(&mut reader).await, ["epoch 1", "15-22", "ended"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newer_reader_goes_on_where_it_asks_and_ends_the_older() {
        let call = call("a");
        call.carry_out(audio(0, 10));
        let mut older = call.reader(0);
        assert_eq!(steps(&mut older).await, ["0-10"]);
        let mut newer = call.reader(4);
        assert_eq!(steps(&mut older).await, ["ended"]);
        assert_eq!(steps(&mut newer).await, ["4-10"]);
    }

    #[tokio::test(start_paused = true)]
    async fn playback_is_not_ended_by_other_readers() {
        let call = call("a");
        let mut playback = call.playback_reader();
        let _newer = call.reader(0);
        call.carry_out(audio(0, 10));
        assert_eq!(steps(&mut playback).await, ["0-10"]);
    }
}
