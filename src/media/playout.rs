//! The playout ledger: what was queued, what is due, and what the caller heard.
//!
//! Sentences are played in order. Time decides what is due, never a count of
//! ticks; the position that was reached decides what was heard. A sentence may still
//! grow: what is not there is not due, and where it runs out the clock stands still
//! until more comes. It knows no sentence's text and makes no decision about turns.

mod queued;

use std::collections::VecDeque;

use self::queued::{Handing, Queued};
use crate::types::{Epoch, INNER_RATE, Now, SentenceId, SpeechAudio};

/// The queue of sentences and the play position in it.
#[derive(Debug)]
pub struct Playout {
    epoch: Epoch,
    queue: VecDeque<Queued>,
    /// When playing began, and the samples handed over since; `None` while idle.
    running: Option<Run>,
    lead: u64,
    handing: Handing,
    /// Pieces handed over after they should have been heard.
    late: u32,
    /// Times a sentence went on that had run out.
    gaps: u32,
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// Put off by as long as the clock stood still.
    since: Now,
    /// Samples finished before the front of the queue, in this run.
    finished: u64,
}

/// What the driver of the playout is to do or to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum PlayoutStep {
    /// The sentence's first sample goes out now.
    Started(SentenceId),
    /// Samples `from..to` of `audio`, the next ones of the sentence, are due.
    Due { sentence: SentenceId, audio: SpeechAudio, from: usize, to: usize },
    /// The sentence was heard to its end.
    Finished(SentenceId),
    /// What there was of a sentence that broke off was heard.
    BrokenOff(Heard),
}

/// How much of a sentence was heard when it was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Which sentence.
    pub sentence: SentenceId,
    /// Samples heard.
    pub heard: usize,
    /// Samples that came.
    pub samples: usize,
    /// More was to come: its length is not known.
    pub open: bool,
}

impl Playout {
    /// A playout that hands over audio in frames of `frame_ms`, each at most `lead_ms`
    /// before it is due. The last frame of a sentence, and of what is there of one that
    /// grows, may be shorter, and what is late is handed over together.
    #[must_use]
    pub fn paced(frame_ms: u32, lead_ms: u32) -> Self {
        Self::new(Handing::Frames(INNER_RATE.samples_in_ms(frame_ms)), lead_ms)
    }

    /// A playout that hands over each sentence whole, at most `lead_ms` before
    /// the one before it was heard, and not before it is whole.
    #[must_use]
    pub fn whole_sentences(lead_ms: u32) -> Self {
        Self::new(Handing::Whole, lead_ms)
    }

    fn new(handing: Handing, lead_ms: u32) -> Self {
        Self {
            epoch: Epoch::default(),
            queue: VecDeque::new(),
            running: None,
            lead: INNER_RATE.samples_in_ms(lead_ms) as u64,
            handing,
            late: 0,
            gaps: 0,
        }
    }

    /// The current epoch.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whether nothing is left to play.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// Pieces handed over after they should have been heard, since this was asked
    /// last: the lead was used up, and the caller heard a gap. A sentence that did not
    /// grow in time is none of them.
    pub fn take_late(&mut self) -> u32 {
        std::mem::take(&mut self.late)
    }

    /// Times since this was asked last that the caller heard a gap because a sentence
    /// did not grow in time.
    pub fn take_gaps(&mut self) -> u32 {
        std::mem::take(&mut self.gaps)
    }
}

// === What comes ===

impl Playout {
    /// Appends a sentence.
    pub fn enqueue(&mut self, sentence: SentenceId, audio: SpeechAudio) {
        self.queue.push_back(Queued::whole(sentence, audio));
    }

    /// Appends a sentence that is still to come, piece by piece.
    pub fn enqueue_growing(&mut self, sentence: SentenceId) {
        self.queue.push_back(Queued::growing(sentence));
    }

    /// The next piece of a growing sentence came.
    pub fn grow(&mut self, now: Now, sentence: SentenceId, piece: SpeechAudio) {
        self.hold_clock(now);
        if let Some(queued) = self.growing(sentence) {
            let was_gap = queued.push(piece);
            self.gaps = self.gaps.saturating_add(u32::from(was_gap));
        }
    }

    /// The growing sentence has all its pieces.
    pub fn complete(&mut self, now: Now, sentence: SentenceId) {
        self.hold_clock(now);
        let handing = self.handing;
        if let Some(queued) = self.growing(sentence) {
            queued.complete(handing);
        }
    }

    /// No more comes of the growing sentence. If it was begun, it ends where it is, and
    /// that is told when it is reached; otherwise it is forgotten. Returns whether it
    /// was begun.
    pub fn break_off(&mut self, now: Now, sentence: SentenceId) -> bool {
        self.hold_clock(now);
        let Some(queued) = self.growing(sentence) else { return false };
        let begun = queued.announced;
        queued.break_off();
        if !begun {
            self.queue.retain(|queued| queued.sentence != sentence);
        }
        begun
    }

    /// Opens `epoch` and forgets everything that was not heard. Returns how far
    /// each forgotten sentence got.
    pub fn stop(&mut self, now: Now, epoch: Epoch) -> Vec<Heard> {
        self.hold_clock(now);
        if let Some(run) = self.running.take() {
            self.mark_heard(run.played(now), run.finished);
        }
        self.epoch = epoch;
        self.queue.drain(..).map(|queued| queued.heard_so_far()).collect()
    }

    fn growing(&mut self, sentence: SentenceId) -> Option<&mut Queued> {
        self.queue.iter_mut().find(|queued| queued.sentence == sentence && queued.is_growing())
    }

    /// Puts the clock off for as long as there was nothing more to be heard. Asked before
    /// anything comes, so that what comes is heard later, and not faster.
    fn hold_clock(&mut self, now: Now) {
        let Some(run) = &mut self.running else { return };
        let mut heard_until = run.finished;
        for queued in &mut self.queue {
            heard_until += queued.playable(self.handing) as u64;
            if queued.is_growing() {
                if run.played(now) > heard_until {
                    run.since = Now(now.0 - nanos_of(heard_until));
                    queued.starve();
                }
                return;
            }
        }
    }
}

// === What is due ===

impl Playout {
    /// The next thing to do at `now`, until there is none. At most `room`
    /// samples are due at once; a paced playout passes the room of its ring.
    pub fn poll(&mut self, now: Now, room: usize) -> Option<PlayoutStep> {
        if self.queue.is_empty() {
            self.running = None;
            return None;
        }
        self.hold_clock(now);
        let run = *self.running.get_or_insert(Run { since: now, finished: 0 });
        let played = run.played(now);
        self.mark_heard(played, run.finished);
        self.finish_front().or_else(|| self.due_step(played, run.finished, room))
    }

    /// When [`Playout::poll`] has something to do next. In the past while there is no
    /// room for what is due; `None` while it waits for a sentence to grow.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        let run = self.running?;
        let front = self.queue.front()?;
        let heard_at = (!front.is_growing()).then(|| run.finished + front.samples as u64);
        let handed_at = self.next_frame(run.finished).map(|at| at.saturating_sub(self.lead));
        let at = heard_at.into_iter().chain(handed_at).min()?;
        Some(Now(run.since.0 + nanos_of(at)))
    }

    /// The horizon (samples of this run) that the next frame waits for.
    fn next_frame(&self, finished: u64) -> Option<u64> {
        let mut begins = finished;
        for queued in &self.queue {
            if !queued.is_playable(self.handing) {
                return None;
            }
            if !queued.announced || self.handing == Handing::Whole && !queued.is_handed() {
                return Some(begins);
            }
            if !queued.is_handed() {
                return queued.frame_end(self.handing).map(|end| begins + end as u64);
            }
            begins += queued.samples as u64;
        }
        None
    }

    fn mark_heard(&mut self, played: u64, finished: u64) {
        if let Some(front) = self.queue.front_mut() {
            let due = usize::try_from(played.saturating_sub(finished)).unwrap_or(usize::MAX);
            // What could not be handed over cannot have been heard.
            front.heard = front.heard.max(due.min(front.handed));
        }
    }

    fn finish_front(&mut self) -> Option<PlayoutStep> {
        let over = self.queue.front().is_some_and(Queued::is_over);
        let over = over.then(|| self.queue.pop_front()).flatten()?;
        if let Some(run) = &mut self.running {
            run.finished += over.samples as u64;
        }
        Some(over.last_step())
    }

    /// Walks the queue as far as the lead allows beyond what was `played` (samples of
    /// this run).
    fn due_step(&mut self, played: u64, finished: u64, room: usize) -> Option<PlayoutStep> {
        let horizon = played + self.lead;
        let whole = self.handing == Handing::Whole;
        let mut begins = finished;
        for queued in &mut self.queue {
            if begins > horizon {
                return None;
            }
            if !queued.is_handed() || !queued.announced {
                let due = if whole { u64::MAX } else { horizon - begins };
                let due = usize::try_from(due).unwrap_or(usize::MAX);
                let heard_from = begins + queued.handed as u64;
                let step = queued.step(due, if whole { usize::MAX } else { room }, self.handing);
                if matches!(step, Some(PlayoutStep::Due { .. })) && heard_from < played {
                    self.late = self.late.saturating_add(1);
                }
                return step;
            }
            begins += queued.samples as u64;
        }
        None
    }
}

impl Run {
    /// Samples of this run that should have been heard at `now`.
    fn played(self, now: Now) -> u64 {
        samples_in(now.0.saturating_sub(self.since.0))
    }
}

fn samples_in(nanos: u64) -> u64 {
    (u128::from(nanos) * u128::from(INNER_RATE.hz()) / 1_000_000_000) as u64
}

fn nanos_of(samples: u64) -> u64 {
    (u128::from(samples) * 1_000_000_000).div_ceil(u128::from(INNER_RATE.hz())) as u64
}

#[cfg(test)]
#[path = "tests/playout_growth.rs"]
mod growth_tests;

#[cfg(test)]
mod tests {
    use super::*;

    const NO_LIMIT: usize = usize::MAX / 2;

    fn ms(ms: u32) -> Now {
        Now::default().plus_ms(ms)
    }

    fn speech(ms: u32) -> SpeechAudio {
        SpeechAudio::new(vec![1i16; INNER_RATE.samples_in_ms(ms)])
    }

    fn drain(playout: &mut Playout, now: Now) -> Vec<String> {
        std::iter::from_fn(|| playout.poll(now, NO_LIMIT))
            .map(|step| match step {
                PlayoutStep::Started(id) => format!("start {id}"),
                PlayoutStep::Due { sentence, from, to, .. } => {
                    format!("{sentence}: {}..{} ms", from / 16, to / 16)
                }
                PlayoutStep::Finished(id) => format!("end {id}"),
                PlayoutStep::BrokenOff(heard) => format!("{heard:?}"),
            })
            .collect()
    }

    #[test]
    fn paced_audio_is_handed_over_as_it_becomes_due_plus_the_lead() {
        let mut playout = Playout::paced(10, 40);
        playout.enqueue(SentenceId(1), speech(100));
        assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..40 ms"]);
        assert_eq!(drain(&mut playout, ms(20)), ["1: 40..60 ms"]);
        assert_eq!(drain(&mut playout, ms(20)), Vec::<String>::new());
        assert_eq!(drain(&mut playout, ms(90)), ["1: 60..100 ms"]);
        assert_eq!(drain(&mut playout, ms(100)), ["end 1"]);
        assert!(playout.is_idle());
    }

    #[test]
    fn a_late_poll_catches_up_without_drifting() {
        let mut playout = Playout::paced(10, 0);
        playout.enqueue(SentenceId(1), speech(1_000));
        drain(&mut playout, ms(0));
        assert_eq!(drain(&mut playout, ms(730)), ["1: 0..730 ms"]);
        assert_eq!(drain(&mut playout, ms(740)), ["1: 730..740 ms"]);
    }

    #[test]
    fn sentences_follow_each_other_without_a_gap() {
        let mut playout = Playout::paced(10, 20);
        playout.enqueue(SentenceId(1), speech(30));
        playout.enqueue(SentenceId(2), speech(30));
        assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..20 ms"]);
        assert_eq!(drain(&mut playout, ms(20)), ["1: 20..30 ms", "start 2", "2: 0..10 ms"]);
        assert_eq!(drain(&mut playout, ms(60)), ["end 1", "2: 10..30 ms", "end 2"]);
    }

    #[test]
    fn whole_sentences_go_out_one_by_one_when_their_turn_comes() {
        let mut playout = Playout::whole_sentences(100);
        playout.enqueue(SentenceId(1), speech(1_000));
        playout.enqueue(SentenceId(2), speech(500));
        assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..1000 ms"]);
        assert_eq!(drain(&mut playout, ms(800)), Vec::<String>::new());
        assert_eq!(drain(&mut playout, ms(900)), ["start 2", "2: 0..500 ms"]);
        assert_eq!(drain(&mut playout, ms(1_500)), ["end 1", "end 2"]);
    }

    #[test]
    fn what_was_cut_off_is_known_to_the_sample() {
        let mut playout = Playout::paced(10, 40);
        playout.enqueue(SentenceId(1), speech(100));
        playout.enqueue(SentenceId(2), speech(100));
        drain(&mut playout, ms(0));
        drain(&mut playout, ms(50));
        let heard = playout.stop(ms(60), Epoch(1));
        assert_eq!(
            heard,
            [
                Heard { sentence: SentenceId(1), heard: 60 * 16, samples: 1600, open: false },
                Heard { sentence: SentenceId(2), heard: 0, samples: 1600, open: false },
            ]
        );
        assert!(playout.is_idle());
        assert_eq!(playout.epoch(), Epoch(1));
    }

    #[test]
    fn audio_that_the_transport_does_not_take_was_not_heard() {
        let mut playout = Playout::paced(10, 0);
        playout.enqueue(SentenceId(1), speech(100));
        while playout.poll(ms(0), 0).is_some() {}
        while playout.poll(ms(50), 160).is_some_and(|step| matches!(step, PlayoutStep::Started(_)))
        {
        }
        let heard = playout.stop(ms(90), Epoch(1));
        assert_eq!(heard[0].heard, 160);
    }

    #[test]
    fn it_says_when_it_wants_to_be_polled_next() {
        let mut playout = Playout::whole_sentences(0);
        assert_eq!(playout.poll_timeout(), None);
        playout.enqueue(SentenceId(1), speech(250));
        drain(&mut playout, ms(1_000));
        assert_eq!(playout.poll_timeout(), Some(ms(1_250)));
    }

    #[test]
    fn frames_are_handed_over_whole_and_it_says_when_the_next_one_is_due() {
        let mut playout = Playout::paced(100, 160);
        playout.enqueue(SentenceId(1), speech(300));
        playout.enqueue(SentenceId(2), speech(50));
        assert_eq!(drain(&mut playout, ms(0)), ["start 1", "1: 0..160 ms"]);
        assert_eq!(playout.poll_timeout(), Some(ms(100)));
        assert_eq!(drain(&mut playout, ms(99)), Vec::<String>::new());
        assert_eq!(drain(&mut playout, ms(100)), ["1: 160..260 ms"]);
        assert_eq!(playout.poll_timeout(), Some(ms(140)), "the rest of the sentence");
        assert_eq!(drain(&mut playout, ms(140)), ["1: 260..300 ms", "start 2"]);
        assert_eq!(playout.poll_timeout(), Some(ms(190)));
        assert_eq!(drain(&mut playout, ms(190)), ["2: 0..50 ms"]);
        assert_eq!(playout.poll_timeout(), Some(ms(300)));
        assert_eq!(drain(&mut playout, ms(350)), ["end 1", "end 2"]);
    }

    #[test]
    fn an_empty_sentence_ends_at_once() {
        let mut playout = Playout::paced(10, 20);
        playout.enqueue(SentenceId(1), speech(0));
        assert_eq!(drain(&mut playout, ms(0)), ["start 1", "end 1"]);
    }

    #[test]
    fn a_piece_is_late_once_the_lead_is_used_up() {
        let mut playout = Playout::paced(10, 40);
        playout.enqueue(SentenceId(1), speech(500));
        drain(&mut playout, ms(0));
        drain(&mut playout, ms(40));
        assert_eq!(playout.take_late(), 0, "what was handed over lasted until now");
        drain(&mut playout, ms(90));
        assert_eq!(playout.take_late(), 1, "10 ms of silence were heard");
        drain(&mut playout, ms(100));
        assert_eq!(playout.take_late(), 0);
    }

    #[test]
    fn a_sentence_that_was_not_there_yet_is_not_late() {
        let mut playout = Playout::whole_sentences(100);
        playout.enqueue(SentenceId(1), speech(100));
        drain(&mut playout, ms(0));
        drain(&mut playout, ms(100));
        playout.enqueue(SentenceId(2), speech(100));
        drain(&mut playout, ms(900));
        assert_eq!(playout.take_late(), 0);
    }
}
