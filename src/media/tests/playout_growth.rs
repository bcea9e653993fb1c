//! Sentences that grow while they are played: what came and when it was looked at in,
//! what was done and told out. One millisecond is 16 samples.

use proptest::prelude::*;

use super::*;

const NO_LIMIT: usize = usize::MAX / 2;
const ONE: SentenceId = SentenceId(1);
const TWO: SentenceId = SentenceId(2);

fn ms(ms: u32) -> Now {
    Now::default().plus_ms(ms)
}

fn speech(ms: u32) -> SpeechAudio {
    SpeechAudio::new(vec![1i16; INNER_RATE.samples_in_ms(ms)])
}

/// A playout, and how many milliseconds of each sentence it handed over.
struct Bench {
    playout: Playout,
    handed: [usize; 3],
}

impl Bench {
    fn paced(frame_ms: u32, lead_ms: u32) -> Self {
        Self { playout: Playout::paced(frame_ms, lead_ms), handed: [0; 3] }
    }

    /// The sentence grows by `piece_ms`.
    fn grow(&mut self, at: u32, sentence: SentenceId, piece_ms: u32) {
        self.playout.grow(ms(at), sentence, speech(piece_ms));
    }

    /// Everything that is done at `at`.
    fn at(&mut self, at: u32) -> Vec<String> {
        let mut steps = Vec::new();
        while let Some(step) = self.playout.poll(ms(at), NO_LIMIT) {
            steps.push(match step {
                PlayoutStep::Started(id) => format!("start {id}"),
                PlayoutStep::Due { sentence, from, to, .. } => {
                    let handed = &mut self.handed[sentence.0 as usize];
                    let before = *handed;
                    *handed += to - from;
                    format!("{sentence}: {}..{} ms", before / 16, *handed / 16)
                }
                PlayoutStep::Finished(id) => format!("end {id}"),
                PlayoutStep::BrokenOff(heard) => {
                    format!("broken {}: {} ms", heard.sentence, heard.heard / 16)
                }
            });
        }
        steps
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_growing_sentence_is_heard_from_its_first_piece_on() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    assert_eq!(bench.at(0), NOTHING);
    bench.grow(50, ONE, 200);
    assert_eq!(bench.at(50), ["start 1", "1: 0..40 ms"]);
    bench.grow(150, ONE, 100);
    assert_eq!(bench.at(150), ["1: 40..140 ms"]);
    bench.playout.complete(ms(200), ONE);
    assert_eq!(bench.at(350), ["1: 140..200 ms", "1: 200..300 ms", "end 1"]);
    assert_eq!(bench.playout.take_gaps(), 0);
}

#[test]
fn where_a_sentence_runs_out_the_clock_stands_still_and_the_gap_is_counted() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    bench.grow(0, ONE, 100);
    assert_eq!(bench.at(0), ["start 1", "1: 0..40 ms"]);
    assert_eq!(bench.at(300), ["1: 40..100 ms"]);
    bench.playout.take_late();
    bench.grow(500, ONE, 200);
    assert_eq!(bench.at(500), ["1: 100..140 ms"], "real time plus lead from here on");
    assert_eq!(bench.at(550), ["1: 140..190 ms"]);
    bench.playout.complete(ms(560), ONE);
    assert_eq!(bench.at(699), ["1: 190..300 ms"]);
    assert_eq!(bench.at(700), ["end 1"]);
    assert_eq!(bench.playout.take_gaps(), 1);
}

#[test]
fn a_slow_synthesiser_makes_no_piece_late() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    for nth in 0..5 {
        bench.grow(nth * 400, ONE, 100);
        bench.at(nth * 400);
        bench.at(nth * 400 + 40);
        bench.at(nth * 400 + 70);
    }
    assert_eq!((bench.playout.take_late(), bench.playout.take_gaps()), (0, 4));
}

#[test]
fn a_media_thread_that_is_behind_is_late_also_with_a_growing_sentence() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    bench.grow(0, ONE, 500);
    bench.at(0);
    bench.at(90);
    assert_eq!((bench.playout.take_late(), bench.playout.take_gaps()), (1, 0));
}

#[test]
fn the_next_sentence_waits_for_the_end_and_follows_without_a_gap() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    bench.playout.enqueue(TWO, speech(50));
    bench.grow(0, ONE, 100);
    assert_eq!(bench.at(0), ["start 1", "1: 0..40 ms"]);
    assert_eq!(bench.at(90), ["1: 40..100 ms"]);
    bench.playout.complete(ms(95), ONE);
    assert_eq!(bench.at(95), ["start 2", "2: 0..35 ms"]);
    assert_eq!(bench.at(150), ["end 1", "2: 35..50 ms", "end 2"]);
}

#[test]
fn a_sentence_behind_a_whole_one_may_grow_meanwhile() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue(ONE, speech(100));
    bench.playout.enqueue_growing(TWO);
    assert_eq!(bench.at(80), ["start 1", "1: 0..40 ms"]);
    bench.grow(120, TWO, 60);
    assert_eq!(bench.at(150), ["1: 40..100 ms", "start 2", "2: 0..10 ms"]);
    assert_eq!(bench.at(200), ["end 1", "2: 10..60 ms"]);
    bench.playout.complete(ms(500), TWO);
    assert_eq!(bench.at(500), ["end 2"]);
    assert_eq!(bench.playout.take_gaps(), 0, "nothing was missing in the middle");
}

#[test]
fn a_growing_sentence_wants_to_be_polled_only_for_what_is_there() {
    let mut bench = Bench::paced(100, 160);
    bench.playout.enqueue_growing(ONE);
    bench.at(0);
    assert_eq!(bench.playout.poll_timeout(), None);
    bench.grow(10, ONE, 300);
    bench.at(10);
    assert_eq!(bench.playout.poll_timeout(), Some(ms(110)));
    assert_eq!(bench.at(110), ["1: 160..260 ms"]);
    assert_eq!(bench.playout.poll_timeout(), Some(ms(150)), "the rest of what is there");
    bench.at(150);
    assert_eq!(bench.playout.poll_timeout(), None);
    bench.playout.complete(ms(400), ONE);
    assert_eq!(bench.playout.poll_timeout(), Some(ms(400)));
}

#[test]
fn what_was_heard_of_a_growing_sentence_is_known_to_the_sample() {
    let cut_at = |at: u32| {
        let mut bench = Bench::paced(10, 40);
        bench.playout.enqueue_growing(ONE);
        bench.grow(0, ONE, 100);
        bench.at(0);
        bench.at(70);
        bench.playout.rewind(ms(at), Epoch(1), ResumeFrom::Sentence)[0]
    };
    let heard = |ms: usize| Heard { sentence: ONE, heard: 16 * ms, samples: 1_600, open: true };
    assert_eq!([80, 5_000].map(cut_at), [heard(80), heard(100)]);
}

#[test]
fn a_sentence_that_breaks_off_ends_where_it_is_and_the_next_one_follows() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    bench.playout.enqueue(TWO, speech(50));
    bench.grow(0, ONE, 100);
    bench.at(0);
    assert!(bench.playout.break_off(ms(20), ONE));
    assert_eq!(bench.at(100), ["1: 40..100 ms", "broken 1: 100 ms", "start 2", "2: 0..40 ms"]);
    assert_eq!(bench.at(150), ["2: 40..50 ms", "end 2"]);
}

#[test]
fn a_sentence_that_breaks_off_before_it_was_begun_is_forgotten() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue(ONE, speech(100));
    bench.playout.enqueue_growing(TWO);
    bench.at(0);
    bench.grow(10, TWO, 50);
    assert!(!bench.playout.break_off(ms(20), TWO));
    assert_eq!(bench.at(100), ["1: 40..100 ms", "end 1"]);
    assert!(bench.playout.is_idle());
}

#[test]
fn whole_sentences_wait_for_the_end_of_the_growth() {
    let mut bench = Bench { playout: Playout::whole_sentences(100), handed: [0; 3] };
    bench.playout.enqueue_growing(ONE);
    bench.playout.enqueue(TWO, speech(200));
    bench.grow(0, ONE, 300);
    bench.grow(400, ONE, 200);
    assert_eq!(bench.at(400), NOTHING);
    assert_eq!(bench.playout.poll_timeout(), None);
    bench.playout.complete(ms(1_000), ONE);
    assert_eq!(bench.at(1_000), ["start 1", "1: 0..500 ms"]);
    assert_eq!(bench.at(1_400), ["start 2", "2: 0..200 ms"]);
    assert_eq!(bench.at(1_700), ["end 1", "end 2"]);
    assert_eq!((bench.playout.take_late(), bench.playout.take_gaps()), (0, 0));
}

#[test]
fn a_growing_sentence_without_a_sample_ends_when_it_is_complete() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue_growing(ONE);
    bench.grow(0, ONE, 0);
    assert_eq!(bench.at(0), NOTHING);
    bench.playout.complete(ms(70), ONE);
    assert_eq!(bench.at(70), ["start 1", "end 1"]);
}

#[test]
fn what_comes_for_a_sentence_that_is_not_growing_is_refused() {
    let mut bench = Bench::paced(10, 40);
    bench.playout.enqueue(ONE, speech(10));
    bench.grow(0, ONE, 100);
    bench.grow(0, TWO, 100);
    assert!(!bench.playout.break_off(ms(0), ONE));
    assert_eq!(bench.at(0), ["start 1", "1: 0..10 ms"]);
}

/// One thing that happens: so many samples come for a sentence, or time passes.
#[derive(Clone, Debug)]
enum Happening {
    Piece(usize, usize),
    Wait(u32),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        (0_usize..3, 1_usize..4_000)
            .prop_map(|(sentence, samples)| { Happening::Piece(sentence, samples) }),
        (0_u32..400).prop_map(Happening::Wait),
    ];
    proptest::collection::vec(one, 1..60)
}

/// Three sentences that grow; what was handed over of each, and how often each ended.
struct Growth {
    playout: Playout,
    now: Now,
    lead: usize,
    came: [usize; 3],
    handed: [Vec<i16>; 3],
    ended: Vec<u32>,
    /// Samples handed over, and since when and from where on they may have been.
    total: usize,
    allowed: (Now, usize),
}

impl Growth {
    fn new(frame_ms: u32, lead_ms: u32) -> Self {
        let mut playout = Playout::paced(frame_ms, lead_ms);
        (0..3).for_each(|sentence| playout.enqueue_growing(SentenceId(sentence)));
        Self {
            playout,
            now: Now::default(),
            lead: INNER_RATE.samples_in_ms(lead_ms),
            came: [0; 3],
            handed: Default::default(),
            ended: Vec::new(),
            total: 0,
            allowed: (Now::default(), 0),
        }
    }

    fn happens(&mut self, happening: &Happening) {
        match *happening {
            Happening::Wait(ms) => self.now = self.now.plus_ms(ms),
            Happening::Piece(sentence, samples) => {
                let came = self.came[sentence];
                self.came[sentence] += samples;
                let piece: Vec<i16> = (came..came + samples).map(|at| at as i16).collect();
                let id = SentenceId(sentence as u32);
                self.playout.grow(self.now, id, SpeechAudio::new(piece));
            }
        }
        self.play();
    }

    fn play(&mut self) {
        while let Some(step) = self.playout.poll(self.now, NO_LIMIT) {
            match step {
                PlayoutStep::Started(_) => {}
                PlayoutStep::Due { sentence, audio, from, to, .. } => {
                    self.handed[sentence.0 as usize].extend(&audio.samples()[from..to]);
                    self.total += to - from;
                }
                PlayoutStep::Finished(sentence) => self.ended.push(sentence.0),
                PlayoutStep::BrokenOff(_) => unreachable!("nothing breaks off"),
            }
        }
        self.check_pace();
    }

    /// Of any stretch of time no more is handed over than lasts so long, plus the lead.
    fn check_pace(&mut self) {
        let (since, before) = self.allowed;
        let passed = INNER_RATE.samples_in_ms(self.now.ms_since(since) as u32);
        assert!(self.total <= before + passed + self.lead, "{} at {:?}", self.total, self.now);
        // Time in which there was nothing to be heard is not saved up.
        if self.playout.poll_timeout().is_none() && self.total < before + passed {
            self.allowed = (self.now, self.total);
        }
    }
}

proptest! {
    #[test]
    fn however_the_audio_comes_it_is_handed_over_once_in_order_and_no_faster_than_real_time(
        happenings in happenings(),
        frame_ms in 5_u32..120,
        lead_ms in prop_oneof![Just(0_u32), 20_u32..200],
    ) {
        let mut growth = Growth::new(frame_ms, lead_ms);
        happenings.iter().for_each(|happening| growth.happens(happening));
        for sentence in 0..3 {
            growth.playout.complete(growth.now, SentenceId(sentence));
        }
        // Longer than everything that can have come.
        for _ in 0..4_000 {
            growth.happens(&Happening::Wait(5));
        }
        for (handed, came) in growth.handed.iter().zip(growth.came) {
            let expected: Vec<i16> = (0..came).map(|at| at as i16).collect();
            prop_assert!(*handed == expected, "{} of {came} samples", handed.len());
        }
        prop_assert_eq!(growth.ended, [0, 1, 2]);
        prop_assert!(growth.playout.is_idle());
    }
}
