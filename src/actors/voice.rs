//! The bot's voice on one connection: the sentences that are ready, the playout
//! ledger, and the way to the transport. Kept by the parent, lent to Tts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::leg::{CommandSender, LegShared};
use super::link::{Delivery, LegCommand};
use super::messages::Report;
use crate::media::{Encoder, Heard, Playout, PlayoutStep, Resampler, RingProducer};
use crate::types::{Epoch, INNER_RATE, Now, SentenceId, SpeechAudio};

/// How long before the end of a sentence the next one is handed over whole.
const WHOLE_SENTENCE_LEAD_MS: u32 = 100;

/// Samples the resampler may add to what it was given.
const RESAMPLER_SLACK: usize = 64;

/// Sentences that are ready but wait for one before them, and what they answer.
type Ready = BTreeMap<SentenceId, (SpeechAudio, Option<String>)>;

/// The voice of one connection.
pub struct Voice {
    playout: Playout,
    ready: Ready,
    intents: BTreeMap<SentenceId, Option<String>>,
    way_out: WayOut,
}

struct WayOut {
    shared: Arc<LegShared>,
    ring: RingProducer<Epoch>,
    commands: CommandSender,
    resampler: Resampler,
    encoder: Encoder,
    scratch: Vec<i16>,
}

impl Voice {
    /// A silent voice that begins with `epoch`.
    #[must_use]
    pub fn new(
        shared: Arc<LegShared>,
        ring: RingProducer<Epoch>,
        commands: CommandSender,
        epoch: Epoch,
    ) -> Self {
        let mut playout = match shared.delivery() {
            Delivery::Paced { frame_ms, lead_ms } => Playout::paced(frame_ms, lead_ms),
            Delivery::WholeSentences => Playout::whole_sentences(WHOLE_SENTENCE_LEAD_MS),
        };
        playout.stop(Now::default(), epoch);
        shared.open_epoch(epoch);
        let format = shared.format_out();
        let way_out = WayOut {
            ring,
            commands,
            resampler: Resampler::from_inner(format.rate),
            encoder: Encoder::new(format),
            scratch: Vec::new(),
            shared,
        };
        Self { playout, ready: Ready::new(), intents: BTreeMap::new(), way_out }
    }

    /// Takes a sentence whose audio is there.
    pub fn add_ready(&mut self, sentence: SentenceId, audio: SpeechAudio, intent: Option<String>) {
        self.ready.insert(sentence, (audio, intent));
    }

    /// Queues every ready sentence that no missing one comes before.
    pub fn queue_ready_before(&mut self, oldest_missing: Option<SentenceId>) {
        while let Some((&sentence, _)) = self.ready.first_key_value() {
            if oldest_missing.is_some_and(|missing| missing < sentence) {
                return;
            }
            if let Some((audio, intent)) = self.ready.remove(&sentence) {
                self.intents.insert(sentence, intent);
                self.playout.enqueue(sentence, audio);
            }
        }
    }

    /// Does everything that is due.
    pub fn play(&mut self, now: Now, mut tell: impl FnMut(Report)) {
        while let Some(step) = self.playout.poll(now, self.way_out.room()) {
            match step {
                PlayoutStep::Started(sentence) => tell(Report::SentenceStarted(sentence)),
                PlayoutStep::Due { sentence, audio, from, to } => {
                    let intent = self.intents.get(&sentence).cloned().flatten();
                    let piece = &audio.samples()[from..to];
                    self.way_out.hand_over(self.playout.epoch(), sentence, piece, intent);
                }
                PlayoutStep::Finished(sentence) => {
                    self.intents.remove(&sentence);
                    tell(Report::SentenceFinished(sentence));
                }
                // Nothing grows yet.
                PlayoutStep::BrokenOff(heard) => {
                    self.intents.remove(&heard.sentence);
                }
            }
        }
        if self.playout.is_idle() {
            self.way_out.flush(self.playout.epoch());
        }
        let waiting_ms = if self.playout.is_idle() { 0 } else { self.way_out.waiting_ms() };
        self.way_out.shared.gauges().played(waiting_ms, self.playout.take_late());
    }

    /// When [`Voice::play`] has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        self.playout.poll_timeout()
    }

    /// Falls silent and opens `epoch`. Returns how far each sentence got.
    pub fn stop(&mut self, now: Now, epoch: Epoch) -> Vec<Heard> {
        self.ready.clear();
        self.intents.clear();
        self.way_out.open_epoch(epoch);
        self.playout.stop(now, epoch)
    }
}

impl WayOut {
    /// Samples at the inner rate that may be handed over now.
    fn room(&self) -> usize {
        let vacant = self.ring.vacant_samples().saturating_sub(RESAMPLER_SLACK) as u64;
        let rate = u64::from(self.shared.format_out().rate.hz());
        usize::try_from(vacant * u64::from(INNER_RATE.hz()) / rate).unwrap_or(0)
    }

    /// Reply audio that the transport has not taken.
    fn waiting_ms(&self) -> u64 {
        self.shared.format_out().rate.ms_of_samples(self.ring.occupied_samples() as u64)
    }

    fn hand_over(
        &mut self,
        epoch: Epoch,
        sentence: SentenceId,
        piece: &[i16],
        intent: Option<String>,
    ) {
        self.scratch.clear();
        self.resampler.process(piece, &mut self.scratch);
        match self.shared.delivery() {
            Delivery::Paced { .. } => self.write_ring(epoch),
            Delivery::WholeSentences => {
                self.resampler.flush(&mut self.scratch);
                let mut bytes = Vec::new();
                self.encoder.encode(&self.scratch, &mut bytes);
                self.shared.gauges().sent(bytes.len());
                let bytes = Bytes::from(bytes);
                self.commands.send(LegCommand::Sentence { epoch, sentence, intent, bytes });
            }
        }
    }

    /// Hands over what the resampler still holds when nothing follows.
    fn flush(&mut self, epoch: Epoch) {
        if matches!(self.shared.delivery(), Delivery::Paced { .. }) {
            self.scratch.clear();
            self.resampler.flush(&mut self.scratch);
            self.write_ring(epoch);
        }
    }

    fn write_ring(&mut self, epoch: Epoch) {
        let taken = self.ring.push(&self.scratch, epoch);
        if taken > 0 {
            self.shared.gauges().sent(self.shared.format_out().bytes_per_frame() * taken);
            self.shared.playout_written();
        }
    }

    fn open_epoch(&mut self, epoch: Epoch) {
        self.shared.open_epoch(epoch);
        self.resampler = Resampler::from_inner(self.shared.format_out().rate);
        self.commands.send(LegCommand::Flush { epoch });
    }
}
