//! Speech that is heard while it is still being made: the provider's side appends to it,
//! the call's side takes it out piece by piece.
//!
//! What a provider has to do is in [`SpeechSource`]; the limits are kept here, the same
//! ones for all. Dropping the call's side drops the source and with it the provider's
//! connection. Nothing is asked again and nothing kept: what was taken out is gone, and
//! a call that does not take makes the provider wait.
//!
//! Silence is no speech: a sentence begins with something that can be heard, or fails.

use std::fmt;
use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio::time::{Duration, timeout};

use crate::types::{INNER_RATE, SpeechAudio, TtsFailure};

/// What must be there before a sentence is begun: it bridges the ordinary jitter of a
/// network without being felt.
const START_MS: u32 = 200;
/// Least audio in a later piece: each one wakes a media thread.
const PIECE_MS_MIN: u32 = 100;
/// Most audio in one piece.
const PIECE_MS_MAX: u32 = 1_000;
/// Pieces that wait for the call: 8 s of audio at most. One more makes the provider wait.
const PIECES_MAX: usize = 8;
/// Longest audio of one sentence.
const AUDIO_MS_MAX: u32 = 120_000;
/// Longest time for the next piece.
const STALL_MS_MAX: u64 = 3_000;
/// A sample of speech is somewhere louder than this, about -60 dB: what is below is silence.
const AUDIBLE: u16 = 32;
/// Longest time for all of it: in real time, and a while longer.
const STREAM_MS_MAX: u64 = 150_000;

/// A sentence as a provider speaks it.
#[derive(Debug)]
pub enum Speech {
    /// All of it is there.
    Whole(SpeechAudio),
    /// Its beginning is there.
    Growing(SpeechStream),
}

/// What is still to come of a sentence, its beginning included. Dropping it ends the
/// making.
#[derive(Debug)]
pub struct SpeechStream {
    growth: mpsc::Receiver<Growth>,
    /// Is told how it ended, unless it is let go before.
    ended: Option<Ended>,
}

type Tell = Box<dyn FnOnce(Result<(), &TtsFailure>) + Send>;

struct Ended(Tell);

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ended")
    }
}

#[derive(Debug)]
enum Growth {
    Piece(SpeechAudio),
    Complete,
    Failed(TtsFailure),
}

/// Where a provider's speech comes from, as fast as it comes. Dropping it ends that.
pub trait SpeechSource: Send + 'static {
    /// Waits for more and appends it to `samples`, 16 kHz mono. `false`: that was all.
    fn more(
        &mut self,
        samples: &mut Vec<i16>,
    ) -> impl Future<Output = Result<bool, TtsFailure>> + Send;
}

impl From<SpeechAudio> for Speech {
    fn from(audio: SpeechAudio) -> Self {
        Self::Whole(audio)
    }
}

impl Speech {
    /// Waits until enough of `source` is there to be heard, or all of it; what is still
    /// to come is taken from it in a task of its own.
    pub async fn begin(source: impl SpeechSource) -> Result<Self, TtsFailure> {
        let mut pieces = Pieces { source, held: Vec::new(), samples: 0, is_complete: false };
        pieces.become_audible().await?;
        let first = pieces.next(START_MS).await?;
        if pieces.is_over() {
            return Ok(Self::Whole(first));
        }
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        let _room = sender.try_send(Growth::Piece(first));
        tokio::spawn(async move {
            tokio::select! {
                () = sender.closed() => {}
                () = pour(pieces, &sender) => {}
            }
        });
        Ok(Self::Growing(SpeechStream { growth: receiver, ended: None }))
    }

    /// Has `tell` called with how it ended: at once where it is whole, and never where it
    /// is let go before its end.
    pub(super) fn when_ended(
        self,
        tell: impl FnOnce(Result<(), &TtsFailure>) + Send + 'static,
    ) -> Self {
        match self {
            Self::Whole(audio) => {
                tell(Ok(()));
                Self::Whole(audio)
            }
            Self::Growing(stream) => {
                Self::Growing(SpeechStream { ended: Some(Ended(Box::new(tell))), ..stream })
            }
        }
    }

    /// How long it is, where that is known.
    #[must_use]
    pub fn ms(&self) -> Option<u64> {
        match self {
            Self::Whole(audio) => Some(audio.ms()),
            Self::Growing(_) => None,
        }
    }

    /// Waits for its end.
    pub async fn whole(self) -> Result<SpeechAudio, TtsFailure> {
        let mut stream = match self {
            Self::Whole(audio) => return Ok(audio),
            Self::Growing(stream) => stream,
        };
        let mut samples = Vec::new();
        while let Some(piece) = poll_fn(|task| stream.poll_piece(task)).await {
            samples.extend_from_slice(piece?.samples());
        }
        Ok(SpeechAudio::new(samples))
    }
}

impl SpeechStream {
    /// The next piece; `None` at the end. Not to be asked again after that, or after a
    /// failure.
    pub fn poll_piece(
        &mut self,
        task: &mut Context<'_>,
    ) -> Poll<Option<Result<SpeechAudio, TtsFailure>>> {
        self.growth.poll_recv(task).map(|growth| {
            let ended = match growth {
                Some(Growth::Piece(piece)) => return Some(Ok(piece)),
                Some(Growth::Complete) => Ok(()),
                Some(Growth::Failed(failure)) => Err(failure),
                None => {
                    let message = "the speech stream was lost".to_owned();
                    Err(TtsFailure::Failed { message })
                }
            };
            if let Some(Ended(tell)) = self.ended.take() {
                tell(ended.as_ref().copied());
            }
            ended.err().map(Err)
        })
    }
}

/// Whether anything can be heard.
pub(super) fn is_audible(samples: &[i16]) -> bool {
    samples.iter().any(|sample| sample.unsigned_abs() > AUDIBLE)
}

/// Why silence is no speech.
pub(super) fn silent() -> TtsFailure {
    TtsFailure::Failed { message: "the audio is nothing but silence".to_owned() }
}

/// Sends every piece, then how it ended.
async fn pour(pieces: Pieces<impl SpeechSource>, sender: &mpsc::Sender<Growth>) {
    let within = Duration::from_millis(STREAM_MS_MAX);
    let ended = match timeout(within, pour_pieces(pieces, sender)).await {
        Ok(Ok(())) => Growth::Complete,
        Ok(Err(failure)) => Growth::Failed(failure),
        Err(_) => Growth::Failed(TtsFailure::Timeout),
    };
    let _nobody_hears = sender.send(ended).await;
}

async fn pour_pieces(
    mut pieces: Pieces<impl SpeechSource>,
    sender: &mpsc::Sender<Growth>,
) -> Result<(), TtsFailure> {
    let within = Duration::from_millis(STALL_MS_MAX);
    while !pieces.is_over() {
        let next = timeout(within, pieces.next(PIECE_MS_MIN)).await;
        let piece = next.unwrap_or(Err(TtsFailure::Timeout))?;
        let _nobody_hears = sender.send(Growth::Piece(piece)).await;
    }
    Ok(())
}

/// A source cut into pieces that are worth waking somebody for.
struct Pieces<S> {
    source: S,
    /// What came and is in no piece yet.
    held: Vec<i16>,
    /// Samples that came.
    samples: usize,
    is_complete: bool,
}

impl<S: SpeechSource> Pieces<S> {
    /// Waits for the first sample that can be heard. Whoever speaks a sentence as nothing
    /// but silence has not spoken it.
    async fn become_audible(&mut self) -> Result<(), TtsFailure> {
        let mut listened = 0;
        while !is_audible(&self.held[listened..]) {
            if self.is_complete {
                return Err(silent());
            }
            listened = self.held.len();
            self.take_more().await?;
        }
        Ok(())
    }

    /// At least `ms_min` of audio, or the rest, which may be nothing.
    async fn next(&mut self, ms_min: u32) -> Result<SpeechAudio, TtsFailure> {
        while !self.is_complete && self.held.len() < INNER_RATE.samples_in_ms(ms_min) {
            self.take_more().await?;
        }
        let samples = self.held.len().min(INNER_RATE.samples_in_ms(PIECE_MS_MAX));
        Ok(SpeechAudio::new(self.held.drain(..samples).collect::<Vec<i16>>()))
    }

    async fn take_more(&mut self) -> Result<(), TtsFailure> {
        let before = self.held.len();
        self.is_complete = !self.source.more(&mut self.held).await?;
        self.samples += self.held.len() - before;
        if self.samples > INNER_RATE.samples_in_ms(AUDIO_MS_MAX) {
            let message = format!("the audio is longer than {} s", AUDIO_MS_MAX / 1_000);
            return Err(TtsFailure::Failed { message });
        }
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.is_complete && self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use tokio::time::{Instant, sleep};

    use super::*;

    /// What a scripted source does next: waits so long, then brings so many samples.
    struct Script {
        steps: VecDeque<(u64, usize)>,
        sent: i16,
        /// Held as long as the source lives.
        _alive: Arc<()>,
    }

    impl SpeechSource for Script {
        async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
            let Some((ms, count)) = self.steps.pop_front() else { return Ok(false) };
            sleep(Duration::from_millis(ms)).await;
            for _ in 0..count {
                self.sent = self.sent.wrapping_add(1);
                samples.push(self.sent);
            }
            Ok(true)
        }
    }

    fn script(steps: impl IntoIterator<Item = (u64, usize)>) -> (Script, Arc<()>) {
        let alive = Arc::new(());
        let steps = steps.into_iter().collect();
        (Script { steps, sent: 100, _alive: Arc::clone(&alive) }, alive)
    }

    async fn begin(steps: impl IntoIterator<Item = (u64, usize)>) -> Result<Speech, TtsFailure> {
        Speech::begin(script(steps).0).await
    }

    fn stream(speech: Speech) -> SpeechStream {
        match speech {
            Speech::Growing(stream) => stream,
            Speech::Whole(audio) => panic!("it is whole: {audio:?}"),
        }
    }

    async fn next(stream: &mut SpeechStream) -> Option<Result<SpeechAudio, TtsFailure>> {
        poll_fn(|task| stream.poll_piece(task)).await
    }

    #[tokio::test(start_paused = true)]
    async fn short_speech_is_whole_at_once() {
        let speech = begin([(5, 1_000), (5, 1_000)]).await.expect("it speaks");
        assert_eq!(speech.ms(), Some(125));
        assert_eq!(speech.whole().await.expect("all of it").samples().len(), 2_000);
    }

    #[tokio::test(start_paused = true)]
    async fn speech_is_there_with_its_first_200_ms_and_grows_by_100_ms_or_more() {
        let begun = Instant::now();
        // 10 ms of audio every 10 ms.
        let mut stream = stream(begin(vec![(10, 160); 55]).await.expect("it speaks"));
        assert_eq!(begun.elapsed().as_millis(), 200);
        let mut lengths = Vec::new();
        while let Some(piece) = next(&mut stream).await {
            lengths.push(piece.expect("a piece").ms());
        }
        assert_eq!(lengths, [200, 100, 100, 100, 50]);
    }

    /// Brings so many silent samples at a time, and a sound after so many times.
    struct Silent {
        steps: usize,
        sound: bool,
    }

    impl SpeechSource for Silent {
        async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
            if self.steps == 0 && self.sound {
                samples.extend([1_000; 1_600]);
                return Ok(false);
            }
            samples.extend([AUDIBLE as i16; 1_600]);
            self.steps = self.steps.saturating_sub(1);
            Ok(self.steps > 0 || self.sound)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_no_speech_and_before_speech_it_is_part_of_it() {
        let outcome = Speech::begin(Silent { steps: 50, sound: false }).await;
        assert!(matches!(outcome, Err(TtsFailure::Failed { .. })), "{outcome:?}");
        let speech = Speech::begin(Silent { steps: 50, sound: true }).await.expect("it speaks");
        assert_eq!(speech.whole().await.expect("all of it").ms(), 5_100);
    }

    #[tokio::test(start_paused = true)]
    async fn how_speech_ended_is_told_once_unless_it_was_let_go() {
        let (sender, mut told) = mpsc::channel(8);
        let begun = async |steps| {
            let sender = sender.clone();
            let speech = begin(steps).await.expect("it speaks");
            speech.when_ended(move |ended| {
                sender.try_send(ended.is_ok()).expect("there is room");
            })
        };
        assert!(begun(vec![(0, 1_000)]).await.whole().await.is_ok());
        assert!(begun(vec![(0, 16_000); 3]).await.whole().await.is_ok());
        assert!(begun(vec![(0, 16_000), (600_000, 1)]).await.whole().await.is_err());
        drop(begun(vec![(0, 16_000), (600_000, 1)]).await);
        let told: Vec<bool> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(told, [true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_at_once_is_cut_into_pieces_and_nothing_of_it_is_lost() {
        let audio = begin([(0, 100_000)]).await.expect("it speaks").whole().await;
        let expected: Vec<i16> = (101..=100_100_u32).map(|sample| sample as i16).collect();
        assert_eq!(audio.expect("all of it").samples(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_stalls_fails_in_time_also_when_it_trickles() {
        for steps in [vec![(600_000, 1)], vec![(100, 1); 100_000]] {
            let steps = [(0, 16_000)].into_iter().chain(steps);
            let begun = Instant::now();
            let mut stream = stream(begin(steps).await.expect("it speaks"));
            assert!(next(&mut stream).await.is_some_and(|piece| piece.is_ok()));
            assert_eq!(next(&mut stream).await, Some(Err(TtsFailure::Timeout)));
            assert_eq!(begun.elapsed().as_millis() as u64, STALL_MS_MAX);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_never_ends_fails_after_two_minutes_of_audio() {
        let begun = Instant::now();
        let endless = std::iter::repeat_n((0, 16_000), 1_000);
        let outcome = begin(endless).await.expect("it speaks").whole().await;
        assert!(matches!(outcome, Err(TtsFailure::Failed { .. })), "{outcome:?}");
        let slow = std::iter::repeat_n((2_000, 1_600), 1_000);
        let outcome = begin(slow).await.expect("it speaks").whole().await;
        assert_eq!(outcome, Err(TtsFailure::Timeout));
        assert!(begun.elapsed().as_millis() as u64 <= STREAM_MS_MAX + 4_000);
    }

    #[tokio::test(start_paused = true)]
    async fn the_source_ends_with_its_listener_and_waits_for_one_who_is_slow() {
        let (source, alive) = script(std::iter::repeat_n((0, 16_000), 100));
        let stream = stream(Speech::begin(source).await.expect("it speaks"));
        sleep(Duration::from_secs(60)).await;
        assert_eq!(Arc::strong_count(&alive), 2, "it waits");
        assert_eq!(stream.growth.len(), PIECES_MAX);
        drop(stream);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&alive), 1, "it is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_let_go_as_soon_as_it_has_ended() {
        let (source, alive) = script([(0, 16_000)]);
        let _stream = stream(Speech::begin(source).await.expect("it speaks"));
        sleep(Duration::from_millis(1)).await;
        assert_eq!(Arc::strong_count(&alive), 1);
    }

    struct Faulty;

    impl SpeechSource for Faulty {
        async fn more(&mut self, samples: &mut Vec<i16>) -> Result<bool, TtsFailure> {
            assert!(samples.is_empty(), "planted panic");
            samples.extend([1_000; 16_001]);
            Ok(true)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_panics_fails_the_sentence_instead_of_ending_it() {
        let outcome = Speech::begin(Faulty).await.expect("it speaks").whole().await;
        assert!(matches!(outcome, Err(TtsFailure::Failed { .. })), "{outcome:?}");
    }
}
