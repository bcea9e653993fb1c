//! The bot's voice on one connection: the sentences that are ready or still growing, the
//! playout ledger, and the way to the transport. Kept by the parent, lent to Tts.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use bytes::Bytes;

use super::leg::{CommandSender, LegShared};
use super::link::{Delivery, LegCommand};
use super::messages::Report;
use super::played::PlayedWriter;
use crate::media::{Encoder, Heard, Playout, PlayoutStep, Resampler, RingProducer};
use crate::services::{Speech, SpeechStream};
use crate::turn::CutShort;
use crate::types::{Epoch, INNER_RATE, Now, ResumeFrom, SentenceId, TtsFailure};

/// How long before the end of a sentence the next one is handed over whole.
const WHOLE_SENTENCE_LEAD_MS: u32 = 100;

/// Samples the resampler may add to what it was given.
const RESAMPLER_SLACK: usize = 64;

/// A sentence whose audio is there, or the beginning of it.
pub struct ReadySentence {
    /// The audio.
    pub speech: Speech,
    /// What it answers.
    pub intent: Option<String>,
    /// When it was there.
    pub at: Now,
    /// How long that took.
    pub tts_ms: u64,
}

/// The voice of one connection.
pub struct Voice {
    playout: Playout,
    /// Sentences that are ready but wait for one before them. What is still to come of
    /// them waits at the provider.
    ready: BTreeMap<SentenceId, ReadySentence>,
    /// What is still to come of sentences that are queued.
    growing: BTreeMap<SentenceId, Growing>,
    /// Why the rest of a sentence that is played will not come, and after how long.
    broken: BTreeMap<SentenceId, (u64, TtsFailure)>,
    intents: BTreeMap<SentenceId, Option<String>>,
    /// What is heard of it, for whoever listens to the caller.
    played: PlayedWriter,
    way_out: WayOut,
}

struct Growing {
    stream: SpeechStream,
    since: Now,
    tts_ms: u64,
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
        played: PlayedWriter,
        epoch: Epoch,
    ) -> Self {
        let mut playout = match shared.delivery() {
            Delivery::Paced { frame_ms, lead_ms } => Playout::paced(frame_ms, lead_ms),
            Delivery::WholeSentences => Playout::whole_sentences(WHOLE_SENTENCE_LEAD_MS),
        };
        let _nothing = playout.rewind(Now::default(), epoch, ResumeFrom::Sentence);
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
        Self {
            playout,
            ready: BTreeMap::new(),
            growing: BTreeMap::new(),
            broken: BTreeMap::new(),
            intents: BTreeMap::new(),
            played,
            way_out,
        }
    }

    /// Takes a sentence that is ready.
    pub fn add_ready(&mut self, sentence: SentenceId, ready: ReadySentence) {
        self.ready.insert(sentence, ready);
    }

    /// Sentences of which something is still to come.
    #[must_use]
    pub fn growing(&self) -> usize {
        let is_growing = |ready: &&ReadySentence| matches!(ready.speech, Speech::Growing(_));
        self.growing.len() + self.ready.values().filter(is_growing).count()
    }

    /// Queues every ready sentence that no missing one comes before.
    pub fn queue_ready_before(&mut self, oldest_missing: Option<SentenceId>) {
        while let Some((&sentence, _)) = self.ready.first_key_value() {
            if oldest_missing.is_some_and(|missing| missing < sentence) {
                return;
            }
            if let Some(ready) = self.ready.remove(&sentence) {
                self.queue(sentence, ready);
            }
        }
    }

    fn queue(&mut self, sentence: SentenceId, ready: ReadySentence) {
        let ReadySentence { speech, intent, at: since, tts_ms } = ready;
        self.intents.insert(sentence, intent);
        match speech {
            Speech::Whole(audio) => self.playout.enqueue(sentence, audio),
            Speech::Growing(stream) => {
                self.growing.insert(sentence, Growing { stream, since, tts_ms });
                self.playout.enqueue_growing(sentence);
            }
        }
    }

    /// Takes the next thing that came of a queued sentence, and has `task` woken for the
    /// one after the last. Returns whether there was any.
    pub fn grow(
        &mut self,
        task: &mut TaskContext<'_>,
        now: Now,
        mut tell: impl FnMut(Report),
    ) -> bool {
        let came = self.growing.iter_mut().find_map(|(&sentence, growing)| {
            match growing.stream.poll_piece(task) {
                Poll::Ready(came) => Some((sentence, came)),
                Poll::Pending => None,
            }
        });
        let Some((sentence, came)) = came else { return false };
        match came {
            Some(Ok(piece)) => self.playout.grow(now, sentence, piece),
            Some(Err(failure)) => self.break_off(now, sentence, failure, &mut tell),
            None => {
                self.growing.remove(&sentence);
                self.playout.complete(now, sentence);
            }
        }
        true
    }

    /// What was begun is played as far as it came, and then told.
    fn break_off(
        &mut self,
        now: Now,
        sentence: SentenceId,
        failure: TtsFailure,
        tell: &mut impl FnMut(Report),
    ) {
        let Some(growing) = self.growing.remove(&sentence) else { return };
        let tts_ms = growing.tts_ms + now.ms_since(growing.since);
        if self.playout.break_off(now, sentence) {
            self.broken.insert(sentence, (tts_ms, failure));
        } else {
            self.intents.remove(&sentence);
            tell(Report::SentenceFailed { sentence, tts_ms, failure });
        }
    }

    /// Does everything that is due.
    pub fn play(&mut self, now: Now, mut tell: impl FnMut(Report)) {
        while let Some(step) = self.playout.poll(now, self.way_out.room()) {
            self.carry_out(step, &mut tell);
        }
        if self.playout.is_silent() {
            self.way_out.flush(self.playout.epoch());
        }
        let waiting_ms = if self.playout.is_idle() { 0 } else { self.way_out.waiting_ms() };
        let gauges = self.way_out.shared.gauges();
        gauges.played(waiting_ms, self.playout.take_late());
        gauges.waited_for_speech(self.playout.take_gaps());
    }

    /// Tells of the sentences that were heard to their end, and plays nothing.
    pub fn finish_heard(&mut self, now: Now, mut tell: impl FnMut(Report)) {
        while let Some(step) = self.playout.poll_heard(now) {
            self.carry_out(step, &mut tell);
        }
    }

    fn carry_out(&mut self, step: PlayoutStep, tell: &mut impl FnMut(Report)) {
        match step {
            PlayoutStep::Started(sentence) => tell(Report::SentenceStarted(sentence)),
            PlayoutStep::Due { sentence, audio, from, to, heard_from } => {
                let intent = self.intents.get(&sentence).cloned().flatten();
                let piece = &audio.samples()[from..to];
                self.way_out.hand_over(self.playout.epoch(), sentence, piece, intent);
                self.played.hand_over(heard_from, &audio, from, to);
            }
            PlayoutStep::Finished(sentence) => {
                self.intents.remove(&sentence);
                tell(Report::SentenceFinished(sentence));
            }
            PlayoutStep::BrokenOff(heard) => {
                self.intents.remove(&heard.sentence);
                if let Some((tts_ms, failure)) = self.broken.remove(&heard.sentence) {
                    tell(Report::SentenceBroken { cut: cut_short(heard), tts_ms, failure });
                }
            }
        }
    }

    /// When [`Voice::play`] has something to do next.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        self.playout.poll_timeout()
    }

    /// Falls silent and opens `epoch`. What is queued is kept and begins anew: a sentence that
    /// was cut, as `from` says. Returns how far each sentence got.
    pub fn silence(&mut self, now: Now, epoch: Epoch, from: ResumeFrom) -> Vec<CutShort> {
        self.way_out.open_epoch(epoch);
        self.played.stop(now);
        self.playout.rewind(now, epoch, from).into_iter().map(cut_short).collect()
    }

    /// Begins nothing from this sentence on; `None`: goes on.
    pub fn hold_from(&mut self, now: Now, from: Option<SentenceId>) {
        self.playout.hold_from(now, from);
    }

    /// Forgets a sentence; nothing more is made of it. Of one that is played what was handed
    /// over is heard.
    pub fn forget(&mut self, now: Now, sentence: SentenceId) {
        self.ready.remove(&sentence);
        self.growing.remove(&sentence);
        self.broken.remove(&sentence);
        self.intents.remove(&sentence);
        self.playout.forget(now, sentence);
    }
}

fn cut_short(heard: Heard) -> CutShort {
    let Heard { sentence, heard, samples, open } = heard;
    CutShort { sentence, heard_samples: heard, samples, open }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::clock::Clock;
    use crate::actors::leg::{LegEnds, connect};
    use crate::actors::link::Seat;
    use crate::actors::played::PlayedRecord;
    use crate::actors::tests::stage::request;
    use crate::types::{CallId, LegId, ListeningSettings, Route, SpeechAudio};

    #[tokio::test(start_paused = true)]
    async fn of_a_sentence_that_is_forgotten_before_it_begins_nothing_is_kept() {
        let request = request("a", Delivery::Paced { frame_ms: 20, lead_ms: 100 });
        let (call_id, leg, seat) = (CallId::of_test("a"), LegId(1), Seat::here());
        let listening = ListeningSettings::default();
        let (_leg, ends) = connect(call_id, leg, &seat, &request, &listening, Clock::start());
        let LegEnds { shared, playout, commands, .. } = ends;
        let played = PlayedRecord::new(&Arc::new(Route::default())).begin(leg);
        let mut voice = Voice::new(shared, playout, commands, played, Epoch(0));
        let sentence = SentenceId(1);
        let speech = Speech::Whole(SpeechAudio::new(vec![1; 1_600]));
        let intent = Some("book_room".to_owned());
        voice.add_ready(sentence, ReadySentence { speech, intent, at: Now(0), tts_ms: 1 });
        voice.queue_ready_before(None);
        voice.forget(Now(0), sentence);
        assert!(voice.intents.is_empty(), "{:?}", voice.intents);
        assert!(voice.playout.is_silent());
    }
}
