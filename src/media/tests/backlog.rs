//! The backlog in front of a ring that is emptied every 10 ms: arrivals in, spans and
//! their times out. Every sample is its own position, so that what was heard tells what
//! is missing.

use proptest::prelude::*;

use super::*;
use crate::media::{RingConsumer, audio_ring};

const BURST_MS: u32 = 2_500;
const TICK_MS: u64 = 10;
/// 8 kHz.
const SAMPLES_A_MS: u64 = 8;

fn rate() -> SampleRate {
    SampleRate::new(8_000).unwrap()
}

fn at(ms: u64) -> Now {
    Now(ms * 1_000_000)
}

/// A span that was heard, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    /// What was sent from one position to another, heard at an instant so long after it
    /// could have been.
    Audio {
        from: u64,
        to: u64,
        at: u64,
        late: u64,
    },
    Missing(u64),
    Dropped(u64),
}

/// A caller's connection.
struct Line {
    backlog: Backlog,
    ring: RingProducer<Arrival>,
    heard_of: RingConsumer<Arrival>,
    now: u64,
    /// Samples sent, gaps included.
    sent: u64,
    heard: Vec<Heard>,
    /// The position of the next sample that is heard.
    position: u64,
}

impl Line {
    fn new() -> Self {
        let (ring, heard_of) = audio_ring(rate().samples_in_ms(320), 64);
        let backlog = Backlog::new(rate(), BURST_MS, at(0), 0);
        Self { backlog, ring, heard_of, now: 0, sent: 0, heard: Vec::new(), position: 0 }
    }

    /// Offers `ms` of audio. Whether it was taken.
    fn offer(&mut self, ms: u64) -> bool {
        self.offer_samples(ms * SAMPLES_A_MS)
    }

    fn offer_samples(&mut self, count: u64) -> bool {
        let samples: Vec<i16> = (self.sent..self.sent + count).map(sample_at).collect();
        let taken = self.backlog.make_room(at(self.now), samples.len(), 0);
        if taken {
            self.backlog.offer(at(self.now), at(self.now), &samples, &mut self.ring);
            self.sent += count;
        }
        taken
    }

    /// Offers `ms` of audio in pieces of 20 ms. Whether all of it was taken.
    fn offer_in_pieces(&mut self, ms: u64) -> bool {
        (0..ms / 20).all(|_| self.offer(20))
    }

    /// Sends in real time for `ms`, in pieces of 20 ms.
    fn talk(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            assert!(self.offer(20), "at {} ms", self.now);
            self.pass(20);
        }
    }

    /// The same, through a socket that holds what is refused until it is taken.
    fn talk_through_a_socket(&mut self, ms: u64) {
        let mut held = 0;
        for _ in 0..ms / 20 {
            held += 20;
            while held > 0 && self.offer(20) {
                held -= 20;
            }
            self.pass(20);
        }
        assert_eq!(held, 0, "ms are still held");
    }

    /// Sends as fast as it is taken for `ms`.
    fn push(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            while self.offer(20) {}
            self.pass(TICK_MS);
        }
    }

    fn gap(&mut self, ms: u64) {
        self.backlog.offer_gap(ms * SAMPLES_A_MS, &mut self.ring);
        self.sent += ms * SAMPLES_A_MS;
    }

    /// Time goes on, and what is in the ring is heard at each tick.
    fn pass(&mut self, ms: u64) {
        for _ in 0..ms / TICK_MS {
            self.now += TICK_MS;
            self.hear();
        }
    }

    /// The thread gets no turn for `ms`.
    fn stand_still(&mut self, ms: u64) {
        self.now += ms;
    }

    /// Takes what is in the ring. Every sample must be the one whose turn it is.
    fn hear(&mut self) {
        self.backlog.refill(at(self.now), &mut self.ring);
        let mut samples = Vec::new();
        while let Some((mark, count)) = self.heard_of.pop(usize::MAX, &mut samples) {
            let from = self.position;
            let heard = match mark {
                Arrival::Missing(missing) => {
                    self.position += missing;
                    Heard::Missing(missing / SAMPLES_A_MS)
                }
                Arrival::Dropped(dropped) => {
                    self.position += dropped;
                    Heard::Dropped(dropped / SAMPLES_A_MS)
                }
                Arrival::Audio(timing) => {
                    self.position += count as u64;
                    assert!(samples.drain(..).eq((from..self.position).map(sample_at)));
                    Heard::Audio {
                        from: from / SAMPLES_A_MS,
                        to: self.position / SAMPLES_A_MS,
                        at: self.now,
                        late: at(self.now).ms_since(timing.due),
                    }
                }
            };
            self.heard.push(heard);
        }
    }

    /// What was heard without times: stretches of audio in milliseconds, and marks.
    fn stretches(&self) -> Vec<Heard> {
        let mut stretches: Vec<Heard> = Vec::new();
        for heard in &self.heard {
            match (stretches.last_mut(), *heard) {
                (Some(Heard::Audio { to: end, .. }), Heard::Audio { from, to, .. })
                    if *end == from =>
                {
                    *end = to;
                }
                (_, Heard::Audio { from, to, .. }) => stretches.push(audio(from, to)),
                (_, mark) => stretches.push(mark),
            }
        }
        stretches
    }

    /// How much longer than its own time the last audio took to be heard: its lag behind
    /// a caller who is `ahead` ms ahead of real time.
    fn lag(&self, ahead: u64) -> u64 {
        let last = self.heard.iter().rev().find_map(|heard| match heard {
            Heard::Audio { to, at, .. } => Some((*to, *at)),
            _ => None,
        });
        let (to, at) = last.expect("something was heard");
        (at + ahead).saturating_sub(to)
    }

    fn dropped(&self) -> u64 {
        let dropped = |heard: &Heard| if let Heard::Dropped(ms) = heard { *ms } else { 0 };
        self.heard.iter().map(dropped).sum()
    }

    fn latest(&self) -> u64 {
        let late = |heard: &Heard| if let Heard::Audio { late, .. } = heard { *late } else { 0 };
        self.heard.iter().map(late).max().unwrap_or(0)
    }
}

fn sample_at(position: u64) -> i16 {
    (position % 65_521) as u16 as i16
}

fn audio(from: u64, to: u64) -> Heard {
    Heard::Audio { from, to, at: 0, late: 0 }
}

#[test]
fn who_keeps_real_time_pace_is_heard_at_once() {
    let mut line = Line::new();
    line.talk(60_000);
    assert_eq!(line.stretches(), [audio(0, 60_000)]);
    assert!(line.latest() <= TICK_MS);
}

#[test]
fn a_stall_within_the_credit_is_made_up_for_at_once_and_leaves_no_lag() {
    for stall in [1_200, 2_500, 6_000, 9_900] {
        let mut line = Line::new();
        line.talk(5_000);
        line.pass(stall);
        assert!(line.offer_in_pieces(stall));
        line.talk(1_000);
        assert!(line.lag(0) <= 40, "{stall}: {} ms", line.lag(0));
        line.talk(9_000);
        assert!(line.lag(0) <= 40, "{stall}: {} ms for the rest of the call", line.lag(0));
        assert_eq!(line.stretches(), [audio(0, 15_000 + stall)], "{stall}");
        assert!(line.latest() <= 300, "{stall}: nothing of it is late: {}", line.latest());
    }
}

#[test]
fn a_stall_after_a_pre_buffered_start_leaves_no_lag_either() {
    let mut line = Line::new();
    assert!(line.offer_in_pieces(2_500));
    line.talk(5_000);
    line.pass(6_000);
    assert!(line.offer_in_pieces(6_000));
    line.talk(5_000);
    assert!(line.lag(2_500) <= 40, "{}", line.lag(2_500));
    assert_eq!(line.stretches(), [audio(0, 18_500)]);
}

#[test]
fn a_start_buffered_beyond_a_burst_is_caught_up_with_while_the_caller_talks() {
    let mut line = Line::new();
    assert!(line.offer_in_pieces(4_500));
    line.talk(1_000);
    assert!(line.lag(4_500) <= 2_000, "never more than a burst: {}", line.lag(4_500));
    line.talk(6_000);
    assert!(line.lag(4_500) <= 40, "{}", line.lag(4_500));
    assert_eq!(line.stretches(), [audio(0, 11_500)]);
    assert!(line.latest() <= 2 * TICK_MS, "what is held back is not late: {}", line.latest());
}

#[test]
fn a_clock_that_runs_fast_never_makes_a_lag() {
    let mut line = Line::new();
    // 1 % too fast for two hours.
    for _ in 0..36_000 {
        assert!(line.offer(202));
        line.pass(200);
    }
    assert!(line.backlog.samples() <= 300 * SAMPLES_A_MS as usize, "{}", line.backlog.samples());
    assert_eq!(line.dropped(), 0);
}

#[test]
fn of_a_stall_beyond_the_credit_the_oldest_that_waits_is_dropped_and_told() {
    let mut line = Line::new();
    line.talk(2_000);
    line.pass(30_000);
    // What was held back, ten times as fast as it was said.
    for _ in 0..150 {
        assert!(line.offer_in_pieces(200), "at {} ms", line.now);
        line.pass(20);
    }
    line.talk(3_000);
    assert!(line.dropped() > 5_000, "{:?}", line.stretches());
    let said = 2_000 + 30_000 + 3_000;
    assert_eq!(line.sent / SAMPLES_A_MS, said);
    assert!(line.now - 3_000 - line.lag(0) <= line.now, "");
    // The three seconds that the burst took are the only lag that can be left.
    assert!(line.lag(0) <= 3_000 + 40, "{}", line.lag(0));
    assert!(matches!(line.stretches()[0], Heard::Audio { from: 0, to, .. } if to > 12_000));
    assert!(
        matches!(line.stretches().last(), Some(Heard::Audio { from, to, .. })
            if to - from > 3_000 && *to == said),
        "the newest is heard: {:?}",
        line.stretches()
    );
}

#[test]
fn who_pushes_is_slowed_down_to_about_real_time_and_loses_nothing() {
    let mut line = Line::new();
    line.push(20_000);
    assert_eq!(line.dropped(), 0);
    let Some(Heard::Audio { from: 0, to, .. }) = line.stretches().first().copied() else {
        panic!("{:?}", line.stretches());
    };
    assert_eq!(line.stretches().len(), 1);
    assert!((22_400..=24_600).contains(&to), "{to} ms were heard in 20 s");
    let waiting = line.backlog.samples() as u64 / SAMPLES_A_MS;
    assert!(waiting <= u64::from(BURST_MS) + 20, "{waiting} ms wait");
    assert!(line.latest() <= 2 * TICK_MS, "what is held back is not late: {}", line.latest());
}

#[test]
fn a_piece_longer_than_a_burst_is_taken_when_nothing_waits() {
    let mut line = Line::new();
    assert!(line.offer(8_000));
    assert!(!line.offer(8_000), "now something waits");
    line.pass(8_000);
    assert!(line.offer(8_000));
    line.pass(8_000);
    assert_eq!(line.stretches(), [audio(0, 16_000)]);
}

#[test]
fn gaps_stand_where_audio_is_missing_however_many_wait() {
    let mut line = Line::new();
    assert!(line.offer_in_pieces(2_500));
    for _ in 0..3 {
        assert!(line.offer_in_pieces(400));
        line.gap(100);
        line.gap(50);
    }
    assert!(line.offer_in_pieces(400));
    assert!(!line.backlog.is_empty());
    line.pass(5_000);
    let gaps = [Heard::Missing(100), Heard::Missing(50)];
    let mut expected = vec![audio(0, 2_900)];
    expected.extend(gaps);
    for from in [3_050, 3_600] {
        expected.push(audio(from, from + 400));
        expected.extend(gaps);
    }
    expected.push(audio(4_150, 4_550));
    assert_eq!(line.stretches(), expected);
}

#[test]
fn what_waits_because_the_engine_stands_still_is_late_from_its_true_arrival() {
    let mut line = Line::new();
    line.talk(1_000);
    assert!(line.offer_in_pieces(500), "the ring takes 320 ms of it");
    line.stand_still(700);
    line.hear();
    line.hear();
    assert!(line.latest() >= 600, "{}", line.latest());
}

#[test]
fn a_thread_that_stood_still_for_six_seconds_leaves_no_lag() {
    let mut line = Line::new();
    line.talk(3_000);
    line.stand_still(6_000);
    assert!(line.offer_in_pieces(6_000));
    line.pass(300);
    assert!(line.lag(0) <= 340, "{}", line.lag(0));
    line.talk(2_000);
    assert!(line.lag(0) <= 340);
    assert!(line.latest() <= 300, "what came at once is heard in time: {}", line.latest());
}

#[test]
fn a_caller_who_comes_back_may_bring_what_he_said_meanwhile() {
    let mut line = Line::new();
    line.backlog = Backlog::new(rate(), BURST_MS, at(0), CREDIT_MS_MAX);
    assert!(line.offer_in_pieces(6_000));
    line.pass(300);
    assert_eq!(line.stretches(), [audio(0, 6_000)]);
}

#[test]
fn no_size_of_pieces_makes_many_entries_and_memory_goes_back() {
    let mut line = Line::new();
    assert!(line.offer_in_pieces(2_500));
    while line.offer_samples(1) {}
    assert!(line.backlog.entries.len() <= 8, "{}", line.backlog.entries.len());
    for _ in 0..1_000 {
        line.pass(TICK_MS);
    }
    assert!(line.backlog.is_empty());
    assert_eq!(line.backlog.entries.capacity(), 0);
}

#[test]
fn rates_that_are_no_whole_number_of_samples_a_millisecond_are_counted_exactly() {
    let rate = SampleRate::new(44_100).unwrap();
    let (mut ring, mut heard_of) = audio_ring::<Arrival>(rate.samples_in_ms(320), 64);
    let mut backlog = Backlog::new(rate, BURST_MS, at(0), 0);
    let second = vec![0; 44_100 / 9];
    // An hour in pieces of a ninth of a second, at instants of any fraction.
    for n in 0..9 * 3_600_u64 {
        let now = Now(n * 1_000_000_000 / 9);
        assert!(backlog.make_room(now, second.len(), 0));
        backlog.offer(now, now, &second, &mut ring);
        assert!(backlog.is_empty(), "after {} s", n / 9);
        let mut out = Vec::new();
        while heard_of.pop(usize::MAX, &mut out).is_some() {}
    }
}

/// One thing that happens on a line.
#[derive(Clone, Debug)]
enum Step {
    Send { ms: u64 },
    Pass { ms: u64 },
    Gap { ms: u64 },
}

impl Step {
    fn happen(&self, line: &mut Line) {
        match *self {
            Self::Send { ms } => {
                line.offer(ms);
            }
            Self::Pass { ms } => line.pass(ms),
            Self::Gap { ms } => line.gap(ms),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1_u64..400).prop_map(|ms| Step::Send { ms }),
        4 => (0_u64..60).prop_map(|ticks| Step::Pass { ms: ticks * TICK_MS }),
        1 => (100_u64..2_500).prop_map(|ticks| Step::Pass { ms: ticks * TICK_MS }),
        1 => (1_u64..3_000).prop_map(|ms| Step::Gap { ms }),
        1 => (1_000_u64..8_000).prop_map(|ms| Step::Send { ms }),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #[test]
    fn everything_that_was_taken_is_heard_or_told_once_and_in_order(steps in steps()) {
        let mut line = Line::new();
        for step in steps {
            step.happen(&mut line);
            let waiting = line.backlog.samples() as u64 / SAMPLES_A_MS;
            prop_assert!(waiting <= u64::from(BURST_MS + CREDIT_MS_MAX), "{} ms wait", waiting);
        }
        line.pass(40_000);
        prop_assert!(line.backlog.is_empty());
        prop_assert_eq!(line.position, line.sent);
    }

    #[test]
    fn whatever_happened_a_caller_who_talks_on_is_heard_without_a_lag(steps in steps()) {
        let mut line = Line::new();
        steps.iter().for_each(|step| step.happen(&mut line));
        // Who pushes loses a tenth of a second of his lead in each second.
        let lead_ms = (line.sent / SAMPLES_A_MS).saturating_sub(line.now);
        line.talk_through_a_socket((10_000 + 10 * lead_ms).next_multiple_of(20));
        let last = line.heard.last().copied();
        prop_assert!(
            matches!(last, Some(Heard::Audio { to, at, late, .. })
                if to == line.sent / SAMPLES_A_MS && at + 20 >= line.now && late <= TICK_MS),
            "{:?}", last
        );
    }
}
