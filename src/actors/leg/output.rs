//! The transport's end of the way out: commands and reply audio in the order in which
//! they are to be carried out. It decides nothing about either.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::BytesMut;
use tokio::sync::mpsc;

use super::LegShared;
use crate::actors::link::{Delivery, LegCommand};
use crate::actors::scratch::{Scratch, with_scratch};
use crate::media::{Encoder, RingConsumer};
use crate::types::{CallEventKind, Epoch};

/// Where a transport takes its commands. Dropping it reports the leg as lost.
pub struct LegOutput {
    shared: Arc<LegShared>,
    commands: mpsc::Receiver<LegCommand>,
    playout: RingConsumer<Epoch>,
    encoder: Encoder,
    frame_samples: usize,
    /// Samples handed over so far, at the outgoing rate.
    position: u64,
    /// Where frames are handed over from: its memory is used again as soon as the
    /// transport has dropped the frames before.
    frames: BytesMut,
    /// Received and not handed over yet.
    queued: Option<LegCommand>,
    finished: bool,
}

impl LegOutput {
    pub(super) fn new(
        shared: Arc<LegShared>,
        commands: mpsc::Receiver<LegCommand>,
        playout: RingConsumer<Epoch>,
    ) -> Self {
        let frame_samples = match shared.delivery {
            Delivery::Paced { frame_ms, .. } => {
                shared.format_out.rate.samples_in_ms(frame_ms.max(1))
            }
            Delivery::WholeSentences => 1,
        };
        Self {
            encoder: Encoder::new(shared.format_out),
            shared,
            commands,
            playout,
            frame_samples,
            position: 0,
            frames: BytesMut::new(),
            queued: None,
            finished: false,
        }
    }

    /// The next command. `None` after the last one: the call is over, or its
    /// supervisor is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<LegCommand> {
        loop {
            if let Some(command) = self.next_ready() {
                return Some(command);
            }
            if self.finished {
                return None;
            }
            self.wait().await;
        }
    }

    /// Commands overtake audio, but for the last one: what was to be heard before
    /// it is handed over first.
    fn next_ready(&mut self) -> Option<LegCommand> {
        if self.queued.is_none() {
            self.queued = self.commands.try_recv().ok();
        }
        if self.queued.as_ref().is_some_and(|command| !command.is_last()) {
            return self.queued.take();
        }
        if let Some(audio) = self.next_audio() {
            return Some(audio);
        }
        let last = self.queued.take()?;
        self.finished = true;
        Some(last)
    }

    async fn wait(&mut self) {
        tokio::select! {
            biased;
            () = self.shared.playout_ready.notified() => {}
            command = self.commands.recv() => {
                // There may have been no room for the last one.
                let end = || self.shared.end.get().map(|&cause| LegCommand::End { cause });
                self.queued = command.or_else(end);
                self.finished = self.queued.is_none();
            }
        }
    }

    fn next_audio(&mut self) -> Option<LegCommand> {
        let current = Epoch(self.shared.epoch.load(Ordering::Acquire));
        loop {
            let (epoch, _) = self.playout.peek()?;
            if epoch != current {
                self.drop_stale();
                continue;
            }
            return with_scratch(|scratch| {
                self.playout.pop(self.frame_samples, &mut scratch.samples)?;
                Some(self.audio_command(epoch, scratch))
            });
        }
    }

    fn drop_stale(&mut self) {
        if let Some((_, samples)) = self.playout.skip_span() {
            let samples = self.shared.format_out.rate.at_inner_rate(samples as u64);
            self.shared.note(CallEventKind::StaleAudioDropped { samples });
        }
    }

    fn audio_command(&mut self, epoch: Epoch, scratch: &mut Scratch) -> LegCommand {
        self.encoder.encode(&scratch.samples, &mut scratch.bytes);
        self.frames.extend_from_slice(&scratch.bytes);
        let bytes = self.frames.split().freeze();
        let position = self.position;
        self.position += scratch.samples.len() as u64;
        LegCommand::Audio { epoch, position, bytes }
    }
}

impl Drop for LegOutput {
    fn drop(&mut self) {
        let mut signals = self.shared.signals.lock();
        signals.lost = true;
        signals.output_gone = true;
        drop(signals);
        self.shared.signal.store(true, Ordering::Release);
    }
}

impl LegCommand {
    fn is_last(&self) -> bool {
        matches!(self, Self::End { .. } | Self::Superseded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::clock::Clock;
    use crate::actors::leg::{FIRST_LEG, LegEnds, connect};
    use crate::actors::link::{CallRequest, Seat};
    use crate::actors::tests::stage::request;
    use crate::types::{CallId, ListeningSettings, MediaFormat, SampleRate};

    #[tokio::test(start_paused = true)]
    async fn stale_audio_is_counted_at_16_khz_whatever_the_carrier_hears() {
        for (hz, samples) in [(8_000, 80), (16_000, 160), (48_000, 480)] {
            let rate = SampleRate::new(hz).expect("supported");
            let delivery = Delivery::Paced { frame_ms: 20, lead_ms: 100 };
            let request =
                CallRequest { format_out: MediaFormat::pcm16(rate), ..request("a", delivery) };
            let (call_id, listening) = (CallId::of_test("a"), ListeningSettings::default());
            let (mut leg, ends) =
                connect(call_id, FIRST_LEG, &Seat::here(), &request, &listening, Clock::start());
            let LegEnds { shared, mut playout, .. } = ends;
            assert_eq!(playout.push(&vec![0; samples], Epoch(0)), samples);
            shared.open_epoch(Epoch(1));
            assert!(leg.output.next_ready().is_none(), "nothing else is to be heard");
            let told = shared.take_signals().notes;
            assert_eq!(told, [CallEventKind::StaleAudioDropped { samples: 160 }], "{hz} Hz");
        }
    }
}
