//! The lock-free ring that carries samples from one thread to another.
//!
//! Samples travel in spans: each push is one span with a mark (when it arrived,
//! which epoch it belongs to). A span's samples are written before the span
//! itself, so whoever sees the span finds all of them. Nothing here blocks,
//! allocates after construction, or drops: a full ring takes less than it was
//! offered and says so, and what happens then is the caller's policy.

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// Makes a ring of `samples_max` samples in at most `spans_max` spans.
#[must_use]
pub fn audio_ring<M: Copy>(
    samples_max: usize,
    spans_max: usize,
) -> (RingProducer<M>, RingConsumer<M>) {
    let (samples_in, samples_out) = HeapRb::<i16>::new(samples_max).split();
    let (spans_in, spans_out) = HeapRb::<Span<M>>::new(spans_max).split();
    let producer = RingProducer { samples: samples_in, spans: spans_in };
    let consumer = RingConsumer { samples: samples_out, spans: spans_out, current: None };
    (producer, consumer)
}

#[derive(Clone, Copy)]
struct Span<M> {
    samples: usize,
    mark: M,
}

/// The writing end. Not cloneable: one producer at a time.
pub struct RingProducer<M: Copy> {
    samples: HeapProd<i16>,
    spans: HeapProd<Span<M>>,
}

impl<M: Copy> RingProducer<M> {
    /// Writes as much of `samples` as fits and returns how many were taken.
    pub fn push(&mut self, samples: &[i16], mark: M) -> usize {
        let count = samples.len().min(self.vacant_samples());
        if count == 0 {
            return 0;
        }
        self.samples.push_slice(&samples[..count]);
        self.push_span(count, mark);
        count
    }

    /// Writes a mark without samples. `false` when there is no room for it.
    pub fn push_mark(&mut self, mark: M) -> bool {
        let room = !self.spans.is_full();
        if room {
            self.push_span(0, mark);
        }
        room
    }

    /// Samples that a push would take now.
    #[must_use]
    pub fn vacant_samples(&self) -> usize {
        if self.spans.is_full() { 0 } else { self.samples.vacant_len() }
    }

    /// Samples written and not yet read.
    #[must_use]
    pub fn occupied_samples(&self) -> usize {
        self.samples.occupied_len()
    }

    fn push_span(&mut self, samples: usize, mark: M) {
        let written = self.spans.try_push(Span { samples, mark }).is_ok();
        debug_assert!(written, "room was checked, and this is the only producer");
    }
}

/// The reading end.
pub struct RingConsumer<M: Copy> {
    samples: HeapCons<i16>,
    spans: HeapCons<Span<M>>,
    /// The span that was read in part.
    current: Option<Span<M>>,
}

impl<M: Copy> RingConsumer<M> {
    /// The mark of the next span and how many of its samples are left.
    pub fn peek(&mut self) -> Option<(M, usize)> {
        if self.current.is_none() {
            self.current = self.spans.try_pop();
        }
        self.current.map(|span| (span.mark, span.samples))
    }

    /// Appends up to `samples_max` samples of the next span to `out`. Returns the
    /// span's mark and the count; a pure mark gives a count of zero.
    pub fn pop(&mut self, samples_max: usize, out: &mut Vec<i16>) -> Option<(M, usize)> {
        let (mark, left) = self.peek()?;
        let count = left.min(samples_max);
        let start = out.len();
        out.resize(start + count, 0);
        let read = self.samples.pop_slice(&mut out[start..]);
        debug_assert_eq!(read, count, "a span is published after its samples");
        self.advance(left, count, mark);
        Some((mark, count))
    }

    /// Drops the rest of the next span. Returns its mark and what was dropped.
    pub fn skip_span(&mut self) -> Option<(M, usize)> {
        let (mark, left) = self.peek()?;
        self.samples.skip(left);
        self.current = None;
        Some((mark, left))
    }

    /// Samples written and not yet read.
    #[must_use]
    pub fn occupied_samples(&self) -> usize {
        self.samples.occupied_len()
    }

    fn advance(&mut self, left: usize, count: usize, mark: M) {
        self.current = (count < left).then_some(Span { samples: left - count, mark });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_come_out_in_order_with_their_marks() {
        let (mut producer, mut consumer) = audio_ring::<char>(8, 4);
        assert_eq!(producer.push(&[1, 2, 3], 'a'), 3);
        assert!(producer.push_mark('-'));
        assert_eq!(producer.push(&[4], 'b'), 1);
        let mut out = Vec::new();
        assert_eq!(consumer.pop(2, &mut out), Some(('a', 2)));
        assert_eq!(consumer.pop(9, &mut out), Some(('a', 1)));
        assert_eq!(consumer.pop(9, &mut out), Some(('-', 0)));
        assert_eq!(consumer.pop(9, &mut out), Some(('b', 1)));
        assert_eq!(consumer.pop(9, &mut out), None);
        assert_eq!(out, [1, 2, 3, 4]);
    }

    #[test]
    fn a_full_ring_takes_what_fits_and_loses_nothing() {
        let (mut producer, mut consumer) = audio_ring::<u8>(4, 2);
        assert_eq!(producer.push(&[1, 2, 3, 4, 5], 0), 4);
        assert_eq!(producer.push(&[5], 0), 0);
        let mut out = Vec::new();
        consumer.pop(3, &mut out);
        assert_eq!(producer.push(&[5, 6, 7, 8], 1), 3);
        assert_eq!(producer.push(&[8], 2), 0, "the spans are full as well");
        while consumer.pop(9, &mut out).is_some() {}
        assert_eq!(out, [1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_skipped_span_leaves_the_next_one_whole() {
        let (mut producer, mut consumer) = audio_ring::<u8>(8, 4);
        producer.push(&[1, 2, 3], 7);
        producer.push(&[4, 5], 8);
        let mut out = Vec::new();
        consumer.pop(1, &mut out);
        assert_eq!(consumer.skip_span(), Some((7, 2)));
        assert_eq!(consumer.pop(9, &mut out), Some((8, 2)));
        assert_eq!(out, [1, 4, 5]);
    }

    #[test]
    fn two_threads_see_every_sample_once() {
        let (mut producer, mut consumer) = audio_ring::<()>(64, 8);
        let writer = std::thread::spawn(move || {
            let all: Vec<i16> = (0..10_000).collect();
            let mut sent = 0;
            while sent < all.len() {
                let end = (sent + 37).min(all.len());
                let taken = producer.push(&all[sent..end], ());
                sent += taken;
                if taken == 0 {
                    std::thread::yield_now();
                }
            }
        });
        let mut out = Vec::new();
        while out.len() < 10_000 {
            if consumer.pop(50, &mut out).is_none() {
                std::thread::yield_now();
            }
        }
        writer.join().expect("the writer does not panic");
        assert!(out.iter().copied().eq(0..10_000));
    }
}
