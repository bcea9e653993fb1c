//! The watch over the pace: arrivals in, suspicions out. Senders of every kind, honest and
//! not, with jitter, stalls, and a door that lets nobody get further ahead than two bursts.

use std::collections::VecDeque;

use super::*;
use crate::media::{Arrival, Backlog, audio_ring};

/// Sends pieces of `samples` every `every_ms` from `from_ms` on, for `for_ms`, each
/// moved by up to `jitter_ms` in a fixed pattern.
struct Sender {
    samples: usize,
    every_ms: u64,
    jitter_ms: u64,
}

impl Sender {
    fn arrivals(&self, from_ms: u64, for_ms: u64) -> Vec<(u64, usize)> {
        (0..for_ms / self.every_ms)
            .map(|n| {
                let jitter = n * 7 % 11 * self.jitter_ms / 10;
                (from_ms + n * self.every_ms + jitter, self.samples)
            })
            .collect()
    }
}

fn sender(samples: usize, every_ms: u64) -> Sender {
    Sender { samples, every_ms, jitter_ms: 0 }
}

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

/// What a watch of an 8 kHz stream reports, and when.
fn watch(arrivals: impl IntoIterator<Item = (u64, usize)>) -> Vec<(u64, u32)> {
    let mut sorted: Vec<_> = arrivals.into_iter().collect();
    sorted.sort_by_key(|(ms, _)| *ms);
    let mut watch = PaceWatch::new(rate(8_000), Now(0));
    sorted
        .into_iter()
        .filter_map(|(ms, samples)| {
            let suspected = watch.handle_arrival(Now(ms * 1_000_000), samples)?;
            assert_eq!(suspected.declared_hz, 8_000);
            Some((ms, suspected.measured_hz))
        })
        .collect()
}

fn measured(arrivals: Vec<(u64, usize)>) -> Option<u32> {
    let reports = watch(arrivals);
    assert!(reports.len() <= 1, "reported more than once: {reports:?}");
    reports.first().map(|(_, hz)| *hz)
}

#[test]
fn double_pace_is_reported_once_at_a_growth_of_three_seconds_and_half_after_five() {
    assert_eq!(watch(sender(320, 20).arrivals(0, 60_000)), [(3_180, 16_000)]);
    assert_eq!(watch(sender(80, 20).arrivals(0, 60_000)), [(5_000, 4_000)]);
}

#[test]
fn chunks_of_two_seconds_are_measured_too() {
    assert_eq!(measured(sender(32_000, 2_000).arrivals(0, 30_000)), Some(16_000));
    assert_eq!(measured(sender(8_000, 2_000).arrivals(0, 30_000)), Some(4_000));
}

#[test]
fn jitter_does_not_hide_a_wrong_rate() {
    let jittery = Sender { samples: 320, every_ms: 20, jitter_ms: 60 };
    assert!(measured(jittery.arrivals(0, 30_000)).is_some());
}

#[test]
fn the_declared_pace_is_never_reported() {
    for (samples, every_ms) in [(8, 1), (160, 20), (1_600, 200), (16_000, 2_000)] {
        for jitter_ms in [0, 10, 100] {
            let honest = Sender { samples, every_ms, jitter_ms };
            assert_eq!(measured(honest.arrivals(0, 120_000)), None, "{samples}, {jitter_ms}");
        }
    }
}

#[test]
fn a_caller_whose_silence_is_not_sent_is_not_reported() {
    let talk =
        (0..40).flat_map(|turn| sender(160, 20).arrivals(turn * 3_000, 1_000 + turn * 37 % 900));
    assert_eq!(watch(talk), []);
}

#[test]
fn catching_up_after_a_stall_is_not_reported_at_whatever_pace() {
    for stall_ms in [1_000, 4_000, 12_000, 30_000] {
        for every_ms in [1, 5, 7, 10, 14] {
            let before = sender(160, 20).arrivals(0, 10_000);
            let held_back_ms = stall_ms * 20 / (20 - every_ms);
            let resumes = 10_000 + stall_ms;
            let behind = sender(160, every_ms).arrivals(resumes, held_back_ms * every_ms / 20);
            let after = sender(160, 20).arrivals(10_000 + held_back_ms, 20_000);
            assert_eq!(watch([before, behind, after].concat()), [], "{stall_ms}, {every_ms}");
        }
    }
}

#[test]
fn a_connection_that_is_slow_to_begin_with_and_catches_up_is_not_reported() {
    // 4 s until the first audio comes, then all of it at double pace.
    let behind = sender(160, 10).arrivals(4_000, 4_000);
    let after = sender(160, 20).arrivals(8_000, 20_000);
    assert_eq!(watch([behind, after].concat()), []);
}

#[test]
fn a_file_sent_as_fast_as_the_line_takes_it_is_not_reported() {
    assert_eq!(watch(sender(160, 1).arrivals(0, 60_000)), []);
    assert_eq!(watch((0..500).map(|_| (0, 16_000))), []);
}

#[test]
fn a_start_that_was_buffered_is_not_reported() {
    for buffered in [50, 125, 200, 300, 500] {
        let burst = vec![(0, 160); buffered];
        let after = sender(160, 20).arrivals(20, 60_000);
        assert_eq!(watch([burst, after].concat()), [], "{buffered} frames");
    }
}

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn up_to(&mut self, max: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % (max + 1)
    }

    fn pick(&mut self, from: &[u64]) -> u64 {
        from[self.up_to(from.len() as u64 - 1) as usize]
    }
}

/// A sender behind a network, in front of an engine that reads now and then.
#[derive(Clone, Copy, Debug)]
struct Peer {
    declared_hz: u32,
    sent_hz: u32,
    /// Length of a piece, in milliseconds of real time.
    piece_ms: u64,
    /// The network delays each piece by up to so much, in order.
    jitter_ms: u64,
    /// It stands still now and then, for up to so long.
    stall_ms: u64,
    /// The engine reads once in so many milliseconds.
    visit_ms: u64,
    /// Sent at once at the beginning, in milliseconds of audio.
    buffered_ms: u64,
    /// How long it waits before it sends.
    idle_ms: u64,
}

impl Peer {
    /// When each piece reaches the engine's socket, with its samples.
    fn arrivals(&self, dice: &mut Dice, for_ms: u64) -> Vec<(u64, usize)> {
        let samples = |ms: u64| (u64::from(self.sent_hz) * ms / 1_000) as usize;
        let mut arrivals = Vec::new();
        let mut clear_from = 0;
        for _ in 0..self.buffered_ms / self.piece_ms {
            arrivals.push((self.idle_ms, samples(self.piece_ms)));
        }
        for n in 1..for_ms / self.piece_ms {
            let sent = self.idle_ms + n * self.piece_ms;
            if self.stall_ms > 0 && dice.up_to(2_000 / self.piece_ms) == 0 {
                clear_from = sent + dice.up_to(self.stall_ms);
            }
            clear_from = clear_from.max(sent + dice.up_to(self.jitter_ms));
            arrivals.push((clear_from, samples(self.piece_ms)));
        }
        arrivals
    }

    /// What the watch of its connection reports: the time and the rate.
    fn reported(&self, seed: u64, for_ms: u64) -> Option<(u64, u32)> {
        let mut dice = Dice::new(seed);
        let mut waiting = VecDeque::from(self.arrivals(&mut dice, for_ms));
        let declared = rate(self.declared_hz);
        let (mut ring, mut heard_of) = audio_ring::<Arrival>(declared.samples_in_ms(320), 64);
        let mut backlog = Backlog::new(declared, 2_500, Now(0), 0);
        let mut watch = PaceWatch::new(declared, Now(0));
        let offset = dice.up_to(self.visit_ms);
        let mut refused = false;
        let mut samples = Vec::new();
        for ms in (0..for_ms + 5_000).step_by(10) {
            let now = Now(ms * 1_000_000);
            backlog.refill(now, &mut ring);
            while heard_of.pop(usize::MAX, &mut samples).is_some() {
                samples.clear();
                backlog.refill(now, &mut ring);
            }
            // Whoever waits for room looks for it every 20 ms.
            let looks = if refused { ms % 20 == 0 } else { (ms + offset) % self.visit_ms < 10 };
            while looks
                && let Some(&(at, count)) = waiting.front()
                && at <= ms
            {
                let has_room = backlog.make_room(now, count, 0);
                if !std::mem::replace(&mut refused, !has_room)
                    && let Some(suspected) = watch.handle_arrival(now, count)
                {
                    return Some((ms, suspected.measured_hz));
                }
                if !has_room {
                    break;
                }
                waiting.pop_front();
                backlog.offer(now, now, &vec![0; count], &mut ring);
            }
        }
        None
    }
}

const PEER: Peer = Peer {
    declared_hz: 16_000,
    sent_hz: 16_000,
    piece_ms: 20,
    jitter_ms: 0,
    stall_ms: 0,
    visit_ms: 100,
    buffered_ms: 0,
    idle_ms: 0,
};

#[test]
fn every_wrong_rate_is_reported_in_every_call_whatever_the_network_does() {
    let pairs = [
        (16_000, 24_000),
        (16_000, 32_000),
        (16_000, 44_100),
        (16_000, 48_000),
        (8_000, 16_000),
        (8_000, 24_000),
        (8_000, 44_100),
        (8_000, 48_000),
        (24_000, 44_100),
        (24_000, 48_000),
    ];
    for (declared_hz, sent_hz) in pairs {
        for seed in 0..60 {
            let mut dice = Dice::new(seed ^ 0xabcd);
            let peer = Peer {
                declared_hz,
                sent_hz,
                piece_ms: dice.pick(&[10, 20, 40, 100]),
                jitter_ms: dice.pick(&[0, 20, 60, 150]),
                stall_ms: dice.pick(&[0, 0, 200, 400]),
                visit_ms: dice.pick(&[10, 100]),
                idle_ms: dice.pick(&[0, 0, 300, 4_000, 20_000]),
                ..PEER
            };
            let reported = peer.reported(seed, 90_000);
            let (_, hz) = reported.unwrap_or_else(|| panic!("not reported: {peer:?}, seed {seed}"));
            let ratio = f64::from(hz) / f64::from(sent_hz);
            assert!((0.7..=1.4).contains(&ratio), "{hz}: {peer:?}");
        }
    }
}

#[test]
fn an_honest_sender_is_never_reported_whatever_the_network_does() {
    for declared_hz in [8_000, 16_000, 48_000] {
        for seed in 0..150 {
            let mut dice = Dice::new(seed ^ 0x1234);
            let peer = Peer {
                declared_hz,
                sent_hz: declared_hz,
                piece_ms: dice.pick(&[10, 20, 100, 500, 2_000]),
                jitter_ms: dice.pick(&[0, 60, 200, 800]),
                stall_ms: dice.pick(&[0, 400, 2_000, 8_000, 15_000]),
                visit_ms: dice.pick(&[10, 100]),
                buffered_ms: dice.pick(&[0, 0, 1_000, 2_500, 4_000, 6_000, 15_000]),
                idle_ms: dice.pick(&[0, 300, 4_000]),
            };
            assert_eq!(peer.reported(seed, 60_000), None, "{peer:?}, seed {seed}");
        }
    }
}
