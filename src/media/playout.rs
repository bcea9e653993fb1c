//! The playout ledger: what was queued, what is due, and what the caller heard.
//!
//! Sentences are played in order. Time decides what is due, never a count of
//! ticks; the position that was reached decides what was heard. A sentence may still
//! grow: what is not there is not due, and where it runs out the clock stands still
//! until more comes. It knows no sentence's text and makes no decision about turns.

mod queued;

use std::collections::VecDeque;

use self::queued::{Handing, Queued};
use crate::types::{Epoch, INNER_RATE, Now, ResumeFrom, SentenceId, SpeechAudio};

/// The queue of sentences and the play position in it.
#[derive(Debug)]
pub struct Playout {
    epoch: Epoch,
    queue: VecDeque<Queued>,
    /// Nothing begins from this sentence on.
    held_from: Option<SentenceId>,
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
    /// Samples `from..to` of `audio`, the next ones of the sentence, are due; they are heard
    /// from `heard_from` on.
    Due { sentence: SentenceId, audio: SpeechAudio, from: usize, to: usize, heard_from: Now },
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
            held_from: None,
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

    /// Whether nothing is heard before something comes or may begin.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.queue.front().is_none_or(|front| front.is_held(self.held_from))
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

    /// Opens `epoch`; what is queued begins anew, and what was handed over and not heard is
    /// handed over again. Returns how far each sentence got.
    pub fn rewind(&mut self, now: Now, epoch: Epoch, from: ResumeFrom) -> Vec<Heard> {
        self.hold_clock(now);
        if let Some(run) = self.running.take() {
            self.mark_heard(run.played(now), run.finished);
        }
        self.epoch = epoch;
        let rewind = |queued: &mut Queued| {
            let heard = queued.heard_so_far();
            queued.rewind(from);
            heard
        };
        self.queue.iter_mut().map(rewind).collect()
    }

    /// Begins nothing from this sentence on, and ends what it has begun; `None`: goes on.
    pub fn hold_from(&mut self, now: Now, from: Option<SentenceId>) {
        self.hold_clock(now);
        self.held_from = from;
    }

    /// Forgets a sentence. One that was begun ends with what was handed over.
    pub fn forget(&mut self, now: Now, sentence: SentenceId) {
        self.hold_clock(now);
        if let Some(queued) = self.queue.iter_mut().find(|queued| queued.sentence == sentence) {
            queued.end_here();
        }
        self.queue.retain(|queued| queued.sentence != sentence || queued.announced);
    }

    fn growing(&mut self, sentence: SentenceId) -> Option<&mut Queued> {
        self.queue.iter_mut().find(|queued| queued.sentence == sentence && queued.is_growing())
    }

    /// Puts the clock off for as long as there was nothing more to be heard, or nothing that
    /// may begin. Asked before
    /// anything comes, so that what comes is heard later, and not faster.
    fn hold_clock(&mut self, now: Now) {
        let Some(run) = &mut self.running else { return };
        let mut heard_until = run.finished;
        for queued in &mut self.queue {
            let is_held = queued.is_held(self.held_from);
            if !is_held {
                heard_until += queued.playable(self.handing) as u64;
            }
            if is_held || queued.is_growing() {
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
        self.finish_front().or_else(|| self.due_step(run, played, room))
    }

    /// The next sentence that was heard to its end at `now`, until there is none.
    pub fn poll_heard(&mut self, now: Now) -> Option<PlayoutStep> {
        self.hold_clock(now);
        let run = self.running?;
        self.mark_heard(run.played(now), run.finished);
        self.finish_front()
    }

    /// When [`Playout::poll`] has something to do next. In the past while there is no
    /// room for what is due; `None` while it waits for a sentence to grow, or
    /// for leave to begin one.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Now> {
        let run = self.running?;
        let front = self.queue.front()?;
        let ends = front.announced && !front.is_growing();
        let heard_at = ends.then(|| run.finished + front.samples as u64);
        let handed_at = self.next_frame(run.finished).map(|at| at.saturating_sub(self.lead));
        let at = heard_at.into_iter().chain(handed_at).min()?;
        Some(Now(run.since.0 + nanos_of(at)))
    }

    /// The horizon (samples of this run) that the next frame waits for.
    fn next_frame(&self, finished: u64) -> Option<u64> {
        let mut begins = finished;
        for queued in &self.queue {
            if !queued.is_playable(self.handing) || queued.is_held(self.held_from) {
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
    fn due_step(&mut self, run: Run, played: u64, room: usize) -> Option<PlayoutStep> {
        let horizon = played + self.lead;
        let whole = self.handing == Handing::Whole;
        let mut begins = run.finished;
        for queued in &mut self.queue {
            if begins > horizon || queued.is_held(self.held_from) {
                return None;
            }
            if !queued.is_handed() || !queued.announced {
                let due = if whole { u64::MAX } else { horizon - begins };
                let due = usize::try_from(due).unwrap_or(usize::MAX);
                let heard_from = begins + queued.handed as u64;
                let room = if whole { usize::MAX } else { room };
                let step = queued.step(due, room, self.handing, run.at(heard_from));
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

    /// When a sample of this run should be heard.
    fn at(self, sample: u64) -> Now {
        Now(self.since.0 + nanos_of(sample))
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
#[path = "tests/playout.rs"]
mod tests;
