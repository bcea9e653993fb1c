//! The reply audio of one call, kept until the client has fetched it. Pure:
//! audio in, parts out, counted in samples.
//!
//! Positions only rise. A flush throws everything away that is kept, so that all
//! kept audio is of one epoch. Audio that was handed out is kept a little longer,
//! for a client whose connection broke; audio that nobody fetches is dropped from
//! the front when there is too much of it, and counted.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::types::{Epoch, MediaFormat};

/// How much audio is kept after it was handed out.
const RESUME_MS: u32 = 10_000;

/// A stretch of reply audio without a gap. May be empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ReplyPart {
    /// What it belongs to.
    pub epoch: Epoch,
    /// Its first sample.
    pub position: u64,
    /// The position behind its last sample.
    pub next: u64,
    /// The samples.
    pub bytes: Vec<u8>,
}

/// See the module's text.
#[derive(Debug)]
pub(super) struct ReplyBuffer {
    pieces: VecDeque<Piece>,
    bytes_per_sample: usize,
    samples_max: u64,
    resume_samples: u64,
    epoch: Epoch,
    end: u64,
    handed_out: u64,
    dropped_samples: u64,
    last_answer: Option<LastAnswer>,
}

#[derive(Debug)]
struct Piece {
    position: u64,
    bytes: Bytes,
}

/// The answer to the newest media post.
#[derive(Clone, Copy, Debug)]
struct LastAnswer {
    sequence: u64,
    from: u64,
    next: u64,
}

impl ReplyBuffer {
    /// Keeps up to `ms_max` of mono audio in `format`.
    pub(super) fn new(format: MediaFormat, ms_max: u32) -> Self {
        Self {
            pieces: VecDeque::new(),
            bytes_per_sample: format.codec.bytes_per_sample(),
            samples_max: format.rate.samples_in_ms(ms_max) as u64,
            resume_samples: format.rate.samples_in_ms(RESUME_MS) as u64,
            epoch: Epoch(0),
            end: 0,
            handed_out: 0,
            dropped_samples: 0,
            last_answer: None,
        }
    }

    /// Adds whole samples. Audio of an epoch that is over is ignored; audio of a
    /// later one begins it.
    pub(super) fn push(&mut self, epoch: Epoch, bytes: Bytes) {
        if epoch < self.epoch {
            return;
        }
        self.flush(epoch);
        let position = self.end;
        self.end += self.samples_in(&bytes);
        self.pieces.push_back(Piece { position, bytes });
        while self.end - self.start() > self.samples_max {
            let Some(piece) = self.pieces.pop_front() else { break };
            let piece_end = piece.position + self.samples_in(&piece.bytes);
            self.dropped_samples += piece_end.saturating_sub(self.handed_out.max(piece.position));
        }
    }

    /// Throws away what is kept: `epoch` begins.
    pub(super) fn flush(&mut self, epoch: Epoch) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.pieces.clear();
        }
    }

    /// The current epoch.
    pub(super) const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// The position behind the newest sample.
    pub(super) const fn end(&self) -> u64 {
        self.end
    }

    /// Samples that were dropped before anybody fetched them.
    pub(super) const fn dropped_samples(&self) -> u64 {
        self.dropped_samples
    }

    /// Where reading from `from` really begins: at the oldest audio kept when that
    /// is later, at the newest when `from` lies ahead of it.
    pub(super) fn position_at(&self, from: u64) -> u64 {
        from.clamp(self.start(), self.end)
    }

    /// Hands out up to `bytes_max` bytes from `from` on.
    pub(super) fn read(&mut self, from: u64, bytes_max: usize) -> ReplyPart {
        let position = self.position_at(from);
        let mut bytes = Vec::new();
        for piece in &self.pieces {
            let skipped_samples = position.saturating_sub(piece.position) as usize;
            let skipped = skipped_samples.saturating_mul(self.bytes_per_sample);
            let Some(rest) = piece.bytes.get(skipped..) else { continue };
            let room = (bytes_max - bytes.len()) / self.bytes_per_sample * self.bytes_per_sample;
            bytes.extend_from_slice(&rest[..room.min(rest.len())]);
            if room <= rest.len() {
                break;
            }
        }
        let next = position + self.samples_in(&bytes);
        self.hand_out(next);
        ReplyPart { epoch: self.epoch, position, next, bytes }
    }

    /// Hands out what is due to the media post `sequence`: what came after the last
    /// answer, or the last answer's audio again if that was for the same post.
    pub(super) fn answer(&mut self, sequence: u64, bytes_max: usize) -> ReplyPart {
        let from = match self.last_answer {
            Some(last) if last.sequence == sequence => last.from,
            Some(last) => last.next,
            None => 0,
        };
        let part = self.read(from, bytes_max);
        self.last_answer = Some(LastAnswer { sequence, from, next: part.next });
        part
    }

    fn hand_out(&mut self, to: u64) {
        self.handed_out = self.handed_out.max(to);
        let keep_from = self.handed_out.saturating_sub(self.resume_samples);
        while self
            .pieces
            .front()
            .is_some_and(|piece| piece.position + self.samples_in(&piece.bytes) <= keep_from)
        {
            self.pieces.pop_front();
        }
    }

    fn start(&self) -> u64 {
        self.pieces.front().map_or(self.end, |piece| piece.position)
    }

    fn samples_in(&self, bytes: &[u8]) -> u64 {
        (bytes.len() / self.bytes_per_sample) as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::{Codec, SampleRate};

    const SECOND: u64 = 8_000;

    fn buffer(ms_max: u32) -> ReplyBuffer {
        ReplyBuffer::new(MediaFormat::pcm16(SampleRate::new(8_000).expect("supported")), ms_max)
    }

    fn audio(first: u8, samples: u64) -> Bytes {
        (0..samples * 2).map(|i| first.wrapping_add(i as u8)).collect()
    }

    fn read(buffer: &mut ReplyBuffer, from: u64, bytes_max: usize) -> (u64, u64, usize) {
        let part = buffer.read(from, bytes_max);
        (part.position, part.next, part.bytes.len())
    }

    #[test]
    fn audio_is_read_on_from_any_position() {
        let mut buffer = buffer(1_000);
        buffer.push(Epoch(0), audio(0, 4));
        buffer.push(Epoch(0), audio(8, 4));
        let part = buffer.read(3, 6);
        assert_eq!((part.position, part.next), (3, 6));
        assert_eq!(part.bytes, [6, 7, 8, 9, 10, 11]);
        assert_eq!(read(&mut buffer, 6, 100), (6, 8, 4));
        assert_eq!(read(&mut buffer, 99, 100), (8, 8, 0));
    }

    #[test]
    fn half_a_sample_is_never_handed_out() {
        let mut buffer = buffer(1_000);
        buffer.push(Epoch(0), audio(0, 4));
        assert_eq!(read(&mut buffer, 0, 5), (0, 2, 4));
    }

    #[test]
    fn a_flush_throws_away_and_positions_go_on() {
        let mut buffer = buffer(1_000);
        buffer.push(Epoch(0), audio(0, 4));
        buffer.flush(Epoch(1));
        buffer.push(Epoch(0), audio(0, 4));
        assert_eq!(buffer.epoch(), Epoch(1));
        buffer.push(Epoch(1), audio(0, 2));
        assert_eq!(read(&mut buffer, 0, 100), (4, 6, 4));
    }

    #[test]
    fn what_nobody_fetches_is_dropped_from_the_front_and_counted() {
        let mut buffer = buffer(2_000);
        for _ in 0..5 {
            buffer.push(Epoch(0), audio(0, SECOND));
        }
        assert_eq!(buffer.dropped_samples(), 3 * SECOND);
        assert_eq!(buffer.position_at(0), 3 * SECOND);
    }

    #[test]
    fn what_was_handed_out_is_kept_for_ten_seconds_of_audio() {
        let mut buffer = buffer(60_000);
        for second in 0..20 {
            buffer.push(Epoch(0), audio(0, SECOND));
            read(&mut buffer, second * SECOND, usize::MAX);
        }
        assert_eq!(buffer.position_at(0), 10 * SECOND);
        assert_eq!(buffer.dropped_samples(), 0);
    }

    #[test]
    fn each_post_gets_what_came_since_the_last_and_a_repeated_post_the_same_again() {
        let mut buffer = buffer(1_000);
        buffer.push(Epoch(0), audio(0, 4));
        let first = buffer.answer(1, 100);
        assert_eq!((first.position, first.next), (0, 4));
        assert_eq!(buffer.answer(1, 100), first);
        buffer.push(Epoch(0), audio(0, 2));
        let second = buffer.answer(2, 100);
        assert_eq!((second.position, second.next), (4, 6));
    }

    proptest! {
        #[test]
        fn a_reader_that_keeps_up_hears_every_sample_once(
            pieces in prop::collection::vec(1u64..300, 1..30), bytes_max in 2usize..2_000,
        ) {
            let mut buffer = buffer(1_000);
            let (mut heard, mut sent, mut at) = (Vec::new(), Vec::new(), 0);
            for samples in pieces {
                let bytes = audio(sent.len() as u8, samples);
                sent.extend_from_slice(&bytes);
                buffer.push(Epoch(0), bytes);
                loop {
                    let part = buffer.read(at, bytes_max);
                    prop_assert_eq!(part.position, at);
                    if part.bytes.is_empty() {
                        break;
                    }
                    at = part.next;
                    heard.extend(part.bytes);
                }
            }
            prop_assert_eq!(heard, sent);
        }

        #[test]
        fn no_more_is_kept_than_allowed(pieces in prop::collection::vec(0u64..3_000, 0..30)) {
            let format = MediaFormat::new(Codec::Mulaw, 8_000, 1).expect("supported");
            let mut buffer = ReplyBuffer::new(format, 1_000);
            for samples in pieces {
                buffer.push(Epoch(0), audio(0, samples));
                prop_assert!(buffer.end() - buffer.position_at(0) <= SECOND);
            }
        }
    }
}
