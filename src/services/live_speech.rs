//! Speech that a recogniser may follow while it is being spoken.
//!
//! One side feeds, on the call's media thread; the other one follows at its own pace, and
//! from the first sample again when its connection broke. An utterance that is complete is
//! the same thing, ended from the beginning. It knows nothing of utterances and turns, and
//! the feeding side never waits.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::types::{INNER_RATE, SpeechAudio};

/// Room is made for so many samples at a time (1 s): a call in the middle of an utterance
/// should not hold twice of it.
const GROWTH_SAMPLES: usize = INNER_RATE.hz() as usize;

/// An utterance that may still be growing. Clones are the same utterance.
#[derive(Clone)]
pub struct LiveSpeech(Arc<Shared>);

/// The side of a [`LiveSpeech`] that feeds it. Dropping it ends the utterance where it is.
#[derive(Debug)]
pub struct SpeechFeed {
    speech: LiveSpeech,
    fed: usize,
}

#[derive(Default)]
struct Shared {
    spoken: Mutex<Spoken>,
    grown: Notify,
}

#[derive(Default)]
struct Spoken {
    so_far: Vec<i16>,
    /// All of it, once it has ended.
    whole: Option<SpeechAudio>,
    /// It ended because its feed was lost.
    cut_off: bool,
}

impl SpeechFeed {
    /// An utterance of which nothing was said yet.
    #[must_use]
    pub fn begin() -> Self {
        Self { speech: LiveSpeech(Arc::default()), fed: 0 }
    }

    /// What is fed.
    #[must_use]
    pub fn speech(&self) -> LiveSpeech {
        self.speech.clone()
    }

    /// Samples fed so far.
    #[must_use]
    pub const fn fed(&self) -> usize {
        self.fed
    }

    /// Adds what was said next.
    pub fn append(&mut self, pieces: [&[i16]; 2]) {
        let samples = pieces[0].len() + pieces[1].len();
        let mut spoken = self.speech.0.spoken.lock();
        if spoken.so_far.capacity() - spoken.so_far.len() < samples {
            spoken.so_far.reserve_exact(samples.max(GROWTH_SAMPLES));
        }
        pieces.iter().for_each(|piece| spoken.so_far.extend_from_slice(piece));
        drop(spoken);
        self.fed += samples;
        self.speech.0.grown.notify_waiters();
    }

    /// Ends it: this is all that was said, what was fed included.
    pub fn end(self, whole: SpeechAudio) {
        self.speech.0.end(false, |_| whole);
    }
}

impl Drop for SpeechFeed {
    fn drop(&mut self) {
        self.speech.0.end(true, SpeechAudio::new);
    }
}

impl Shared {
    /// The first end counts.
    fn end(&self, cut_off: bool, whole: impl FnOnce(Vec<i16>) -> SpeechAudio) {
        let mut spoken = self.spoken.lock();
        if spoken.whole.is_none() {
            let so_far = std::mem::take(&mut spoken.so_far);
            spoken.whole = Some(whole(so_far));
            spoken.cut_off = cut_off;
        }
        drop(spoken);
        self.grown.notify_waiters();
    }
}

impl LiveSpeech {
    /// An utterance that is complete.
    #[must_use]
    pub fn spoken(audio: SpeechAudio) -> Self {
        let spoken = Spoken { whole: Some(audio), ..Spoken::default() };
        Self(Arc::new(Shared { spoken: Mutex::new(spoken), grown: Notify::new() }))
    }

    /// Waits for samples beyond the first `from`, or for the end, and appends them to
    /// `samples`. Returns whether that was the end.
    pub async fn follow(&self, from: usize, samples: &mut Vec<i16>) -> bool {
        loop {
            let grown = self.0.grown.notified();
            if let Some(ended) = self.take_from(from, samples) {
                return ended;
            }
            grown.await;
        }
    }

    /// Waits for the end.
    pub async fn whole(&self) -> SpeechAudio {
        loop {
            let grown = self.0.grown.notified();
            if let Some(whole) = &self.0.spoken.lock().whole {
                return whole.clone();
            }
            grown.await;
        }
    }

    /// Whether nothing is added any more.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.spoken.lock().whole.is_some()
    }

    /// Whether it ended because the call did: nobody wants to know what was said.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        self.0.spoken.lock().cut_off
    }

    fn take_from(&self, from: usize, samples: &mut Vec<i16>) -> Option<bool> {
        let spoken = self.0.spoken.lock();
        let so_far = spoken.whole.as_ref().map_or(&spoken.so_far[..], SpeechAudio::samples);
        let beyond = so_far.get(from..).unwrap_or_default();
        samples.extend_from_slice(beyond);
        match spoken.whole {
            Some(_) => Some(true),
            None => (!beyond.is_empty()).then_some(false),
        }
    }
}

impl From<SpeechAudio> for LiveSpeech {
    fn from(audio: SpeechAudio) -> Self {
        Self::spoken(audio)
    }
}

impl fmt::Debug for LiveSpeech {
    /// Without the audio.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveSpeech").field("ended", &self.has_ended()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn followed(speech: &LiveSpeech, from: usize) -> (Vec<i16>, bool) {
        let mut samples = Vec::new();
        let ended = speech.follow(from, &mut samples).await;
        (samples, ended)
    }

    #[tokio::test]
    async fn what_is_fed_is_followed_piece_by_piece_and_the_end_brings_the_rest() {
        let mut feed = SpeechFeed::begin();
        let speech = feed.speech();
        feed.append([&[1, 2], &[3]]);
        assert_eq!(followed(&speech, 0).await, (vec![1, 2, 3], false));
        feed.append([&[4], &[]]);
        assert_eq!((feed.fed(), followed(&speech, 3).await), (4, (vec![4], false)));
        feed.end(SpeechAudio::new(vec![1, 2, 3, 4, 5]));
        assert_eq!(followed(&speech, 4).await, (vec![5], true));
        assert_eq!(followed(&speech, 0).await, (vec![1, 2, 3, 4, 5], true), "from the beginning");
    }

    #[tokio::test]
    async fn whoever_follows_is_woken_by_more_and_by_the_end() {
        let mut feed = SpeechFeed::begin();
        let speech = feed.speech();
        let (first, ()) = tokio::join!(followed(&speech, 0), async {
            tokio::task::yield_now().await;
            feed.append([&[7], &[]]);
        });
        assert_eq!(first, (vec![7], false));
        let (whole, ()) = tokio::join!(speech.whole(), async {
            tokio::task::yield_now().await;
            feed.end(SpeechAudio::new(vec![7, 8]));
        });
        assert_eq!(whole.samples(), [7, 8]);
    }

    #[tokio::test]
    async fn a_feed_that_is_lost_ends_the_utterance_where_it_is() {
        let mut feed = SpeechFeed::begin();
        feed.append([&[1], &[2]]);
        let speech = feed.speech();
        drop(feed);
        assert!(speech.has_ended() && speech.is_cut_off());
        assert_eq!(speech.whole().await.samples(), [1, 2]);
    }

    #[tokio::test]
    async fn a_complete_utterance_has_ended_already() {
        let speech = LiveSpeech::from(SpeechAudio::new(vec![5, 6]));
        assert_eq!(followed(&speech, 1).await, (vec![6], true));
        assert!(!speech.is_cut_off());
    }

    #[test]
    fn nothing_that_was_said_is_printed() {
        let mut feed = SpeechFeed::begin();
        feed.append([&[12_345], &[]]);
        assert_eq!(format!("{:?}", feed.speech()), "LiveSpeech { ended: false }");
    }
}
