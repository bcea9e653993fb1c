//! One sentence in the queue of the playout: what is there of it, and how much of that
//! was handed over. It knows no time. It keeps its audio until it was heard to its end: a
//! caller who interrupts may turn out to have said nothing, and then it is heard again.

use std::collections::VecDeque;

use super::{Heard, PlayoutStep};
use crate::types::{Now, ResumeFrom, SentenceId, SpeechAudio};

/// How a playout hands sentences over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handing {
    /// So many samples at once, or what is left of what is there.
    Frames(usize),
    /// Each sentence whole, once it is.
    Whole,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Growth {
    Growing,
    Complete,
    /// It ends before its time.
    BrokenOff,
}

/// A sentence that is not heard to its end.
#[derive(Debug)]
pub(super) struct Queued {
    pub sentence: SentenceId,
    /// What is there.
    pieces: VecDeque<SpeechAudio>,
    /// The first piece that was not handed over to its end.
    piece: usize,
    /// Samples of that one that were handed over.
    piece_handed: usize,
    /// Samples that were heard before it was silenced, and are not played again.
    skipped: usize,
    /// Samples that came, but for those.
    pub samples: usize,
    /// Samples handed over.
    pub handed: usize,
    /// Samples that were due by the clock: what the caller heard, roughly.
    pub heard: usize,
    /// `Started` was told.
    pub announced: bool,
    growth: Growth,
    /// All that was there was heard, and more was to come.
    starved: bool,
}

impl Queued {
    /// A sentence of which nothing is there yet.
    pub fn growing(sentence: SentenceId) -> Self {
        Self {
            sentence,
            pieces: VecDeque::new(),
            piece: 0,
            piece_handed: 0,
            skipped: 0,
            samples: 0,
            handed: 0,
            heard: 0,
            announced: false,
            growth: Growth::Growing,
            starved: false,
        }
    }

    /// A sentence that is there.
    pub fn whole(sentence: SentenceId, audio: SpeechAudio) -> Self {
        let mut queued = Self { growth: Growth::Complete, ..Self::growing(sentence) };
        queued.push(audio);
        queued
    }

    /// Appends what came. Returns whether that ends a gap which the caller heard.
    pub fn push(&mut self, piece: SpeechAudio) -> bool {
        let samples = piece.samples().len();
        if samples == 0 {
            return false;
        }
        self.samples += samples;
        self.pieces.push_back(piece);
        std::mem::take(&mut self.starved)
    }

    /// Nothing comes any more.
    pub fn complete(&mut self, handing: Handing) {
        self.growth = Growth::Complete;
        if handing == Handing::Whole && self.pieces.len() > 1 {
            let pieces = self.pieces.drain(..);
            let mut samples = Vec::with_capacity(self.samples);
            pieces.for_each(|piece| samples.extend_from_slice(piece.samples()));
            self.pieces.push_back(SpeechAudio::new(samples));
        }
    }

    /// Nothing comes any more, though more was to come.
    pub fn break_off(&mut self) {
        self.growth = Growth::BrokenOff;
    }

    /// Nothing comes any more, and what was not handed over is not wanted.
    pub fn end_here(&mut self) {
        self.growth = Growth::Complete;
        self.samples = self.handed;
    }

    /// Has it begin anew: from its beginning, or behind what was heard of it.
    pub fn rewind(&mut self, from: ResumeFrom) {
        if from == ResumeFrom::Position {
            self.skip_heard();
        }
        (self.piece, self.piece_handed) = (0, 0);
        (self.handed, self.heard) = (0, 0);
        (self.announced, self.starved) = (false, false);
    }

    fn skip_heard(&mut self) {
        self.skipped += self.heard;
        self.samples -= self.heard;
        let mut left = self.heard;
        while let Some(first) = self.pieces.pop_front() {
            let samples = first.samples();
            if samples.len() > left {
                self.pieces.push_front(SpeechAudio::new(&samples[left..]));
                return;
            }
            left -= samples.len();
        }
    }

    /// Whether it may not begin, where nothing may from a sentence on.
    pub fn is_held(&self, from: Option<SentenceId>) -> bool {
        !self.announced && from.is_some_and(|from| self.sentence >= from)
    }

    /// The clock stands still at the end of what is there.
    pub fn starve(&mut self) {
        self.starved = self.announced && self.handed == self.samples;
    }

    pub fn is_growing(&self) -> bool {
        self.growth == Growth::Growing
    }

    /// Whether every sample it will ever have was handed over.
    pub fn is_handed(&self) -> bool {
        !self.is_growing() && self.handed == self.samples
    }

    /// Whether something of it can be heard now.
    pub fn is_playable(&self, handing: Handing) -> bool {
        !self.is_growing() || handing != Handing::Whole && self.samples > 0
    }

    /// Samples that can be heard now.
    pub fn playable(&self, handing: Handing) -> usize {
        if self.is_playable(handing) { self.samples } else { 0 }
    }

    /// Whether it was heard to its end.
    pub fn is_over(&self) -> bool {
        !self.is_growing() && self.announced && self.heard >= self.samples
    }

    /// What is told when it is over.
    pub fn last_step(&self) -> PlayoutStep {
        if self.growth == Growth::BrokenOff {
            PlayoutStep::BrokenOff(self.heard_so_far())
        } else {
            PlayoutStep::Finished(self.sentence)
        }
    }

    pub fn heard_so_far(&self) -> Heard {
        Heard {
            sentence: self.sentence,
            heard: self.skipped + self.heard,
            samples: self.skipped + self.samples,
            open: self.growth != Growth::Complete,
        }
    }

    /// Where the next frame ends, if there is something left.
    pub fn frame_end(&self, handing: Handing) -> Option<usize> {
        let end = match handing {
            Handing::Frames(frame) => self.handed.saturating_add(frame).min(self.samples),
            Handing::Whole => self.samples,
        };
        (self.handed < self.samples).then_some(end)
    }

    /// What is to be done of its first `due` samples, at most `room` of them at once. What is
    /// handed over is heard from `heard_from` on.
    pub fn step(
        &mut self,
        due: usize,
        room: usize,
        handing: Handing,
        heard_from: Now,
    ) -> Option<PlayoutStep> {
        if !self.is_playable(handing) {
            return None;
        }
        if !self.announced {
            self.announced = true;
            return Some(PlayoutStep::Started(self.sentence));
        }
        let to = due.min(self.samples).min(self.handed.saturating_add(room));
        if self.frame_end(handing).is_none_or(|end| to < end) {
            return None;
        }
        self.hand_over(to - self.handed, heard_from)
    }

    /// At most `samples`, and no more than the first piece has.
    fn hand_over(&mut self, samples: usize, heard_from: Now) -> Option<PlayoutStep> {
        let audio = self.pieces.get(self.piece)?.clone();
        let from = self.piece_handed;
        let to = audio.samples().len().min(from + samples);
        self.handed += to - from;
        self.piece_handed = to;
        if to == audio.samples().len() {
            self.piece += 1;
            self.piece_handed = 0;
        }
        Some(PlayoutStep::Due { sentence: self.sentence, audio, from, to, heard_from })
    }
}
