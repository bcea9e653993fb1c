//! What the code must survive, and what it must show.

use proptest::prelude::*;

use super::*;
use crate::media::detector::new_detector;
use crate::media::{Resampler, g711};
use crate::types::{Detector, INNER_RATE, SampleRate};

const MS: usize = 16;

fn word(call: u16, of: u8) -> CodeWord {
    CodeWord { kind: Kind::Speech, call, turn: 12, index: 0, of }
}

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn heard(samples: &[i16], rate: SampleRate) -> Vec<HeardWord> {
    let mut words = Vec::new();
    CodeReader::new(rate).hear(samples, &mut |word| words.push(word));
    words
}

fn flaws(samples: &[i16]) -> Flaws {
    let mut words = heard(samples, INNER_RATE).into_iter();
    let mut passage = Passage::new(words.next().expect("one word at least"), INNER_RATE);
    words.for_each(|word| passage.hear(word));
    passage.flaws()
}

/// Through a telephone and back.
fn telephoned(samples: &[i16]) -> Vec<i16> {
    let (mut narrow, mut wide) = (Vec::new(), Vec::new());
    let mut down = Resampler::from_inner(rate(8_000));
    down.process(samples, &mut narrow);
    down.flush(&mut narrow);
    for sample in &mut narrow {
        *sample = g711::mulaw_decode(g711::mulaw_encode(*sample));
    }
    Resampler::to_inner(rate(8_000)).process(&narrow, &mut wide);
    wide
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_word_comes_through_a_telephone_in_any_chunks_and_at_its_place(
        call: u16,
        turn in 0..CodeWord::TURNS,
        of in 1_u8..5,
        kind in 0_usize..6,
        silence in 0_usize..2_000,
        chunk in 1_usize..700,
    ) {
        let flaw = kind.checked_sub(1).map(|place| Flaw::ALL[place]);
        let kinds = [Kind::Speech, Kind::Reply(flaw)];
        let first = CodeWord { kind: kinds[usize::from(call) % 2], call, turn, index: 0, of };
        let mut samples = vec![0; silence];
        samples.extend(write_passage(first, INNER_RATE));
        samples.resize(samples.len() + 40 * MS, 0);
        let mut reader = CodeReader::new(INNER_RATE);
        let mut words = Vec::new();
        for chunk in telephoned(&samples).chunks(chunk) {
            reader.hear(chunk, &mut |word| words.push(word));
        }
        prop_assert_eq!(words.len(), usize::from(of));
        for (index, heard) in words.iter().enumerate() {
            prop_assert_eq!(heard.word, CodeWord { index: index as u8, ..first });
            let due = silence + (index * WORD_MS as usize + GAP_MS as usize) * MS;
            prop_assert!(heard.at.abs_diff(due as u64) <= 2 * MS as u64);
        }
    }

    #[test]
    fn a_lost_frame_anywhere_between_the_first_and_the_last_word_shows(
        at in 0_usize..2 * WORD_MS as usize,
    ) {
        let samples = write_passage(word(7, 4), INNER_RATE);
        let begin = (WORD_MS as usize + at) * MS;
        let lost = [&samples[..begin], &samples[begin + 20 * MS..]].concat();
        let flaws = flaws(&lost);
        // What is lost on both sides of a word's beginning is counted from two words.
        prop_assert!((12..=21).contains(&flaws.lost_ms), "{flaws:?}");
        prop_assert_eq!(flaws.worst(), Some(Flaw::Lost));
    }

    #[test]
    fn a_repeated_frame_shows(at in 0_usize..2 * WORD_MS as usize - 20) {
        let samples = write_passage(word(7, 4), INNER_RATE);
        let begin = (WORD_MS as usize + at) * MS;
        let twice = [&samples[..begin + 20 * MS], &samples[begin..]].concat();
        prop_assert_eq!(flaws(&twice).worst(), Some(Flaw::Repeated));
    }

    #[test]
    fn noise_is_no_word(seed: u32) {
        let mut state = seed | 1;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as i16 / 4
        };
        let samples: Vec<i16> = (0..16_000).map(|at| if at % 5_000 < 600 { 0 } else { next() }).collect();
        prop_assert_eq!(heard(&samples, INNER_RATE), []);
    }
}

#[test]
fn what_is_sent_at_8_khz_is_read_at_8_khz() {
    let samples = write_passage(word(40_000, 3), rate(8_000));
    assert_eq!(heard(&samples, rate(8_000)).len(), 3);
}

#[test]
fn a_whole_passage_has_no_flaw() {
    assert_eq!(flaws(&write_passage(word(7, 5), INNER_RATE)).worst(), None);
}

#[test]
fn frames_in_another_order_are_damage_and_words_in_another_order_are_told() {
    let mut samples = write_passage(word(7, 4), INNER_RATE);
    let whole = samples.clone();
    let begin = (WORD_MS as usize + 100) * MS;
    samples[begin..begin + 40 * MS].rotate_left(20 * MS);
    assert_eq!(flaws(&samples).worst(), Some(Flaw::Damaged));
    let length = WORD_MS as usize * MS;
    let swapped = [
        &whole[..length],
        &whole[2 * length..3 * length],
        &whole[length..2 * length],
        &whole[3 * length..],
    ];
    assert_eq!(flaws(&swapped.concat()).worst(), Some(Flaw::Reordered));
}

#[test]
fn words_of_another_call_are_foreign_and_a_frame_of_another_call_is_damage() {
    let (mine, other) =
        (write_passage(word(7, 4), INNER_RATE), write_passage(word(8, 4), INNER_RATE));
    let length = WORD_MS as usize * MS;
    let crossed = [&mine[..length], &other[length..2 * length], &mine[2 * length..]].concat();
    assert_eq!(flaws(&crossed).worst(), Some(Flaw::Foreign));
}

#[test]
fn one_frame_of_another_call_shows_nearly_everywhere() {
    let (mine, other) =
        (write_passage(word(7, 4), INNER_RATE), write_passage(word(8, 4), INNER_RATE));
    let shows = |at: &usize| {
        let frame = (WORD_MS as usize + at) * MS..(WORD_MS as usize + at + 20) * MS;
        let mut crossed = mine.clone();
        crossed[frame.clone()].copy_from_slice(&other[frame]);
        flaws(&crossed).worst().is_some()
    };
    // Silence of the one is silence of the other, and a few milliseconds at the edge of a
    // symbol may fit by chance.
    let spoken = GAP_MS as usize..(WORD_MS - 20) as usize;
    let shown = spoken.clone().filter(shows).count();
    assert!(shown * 100 >= spoken.len() * 95, "{shown} of {} places", spoken.len());
}

#[test]
fn two_frames_that_change_places_show_nearly_everywhere() {
    let whole = write_passage(word(7, 4), INNER_RATE);
    let shows = |at: &usize| {
        let mut samples = whole.clone();
        let begin = (WORD_MS as usize + at) * MS;
        samples[begin..begin + 40 * MS].rotate_left(20 * MS);
        flaws(&samples).worst().is_some()
    };
    let spoken = GAP_MS as usize..(WORD_MS - 40) as usize;
    let shown = spoken.clone().filter(shows).count();
    assert!(shown * 100 >= spoken.len() * 95, "{shown} of {} places", spoken.len());
}

#[test]
fn a_cut_off_passage_does_not_miss_what_was_never_said() {
    let samples = write_passage(word(7, 4), INNER_RATE);
    let mut words = heard(&samples[..2 * WORD_MS as usize * MS], INNER_RATE).into_iter();
    let mut passage = Passage::new(words.next().unwrap(), INNER_RATE);
    words.for_each(|word| passage.hear(word));
    assert_eq!(passage.flaws().missing_words, 2);
    assert_eq!(passage.flaws_if_cut().worst(), None);
    assert!(!passage.is_over());
}

#[test]
fn an_utterance_becomes_text_and_the_text_a_reply_that_says_how_it_arrived() {
    let mut samples = write_passage(word(4_711, 4), INNER_RATE);
    let text = CodedText::read(&samples).expect("words");
    assert_eq!(text.to_string(), "4711 12 0");
    samples.drain(WORD_MS as usize * MS..(WORD_MS as usize + 20) * MS);
    let text = CodedText::read(&samples).expect("words");
    assert_eq!(text.to_string(), "4711 12 2");
    let reply = text.to_string().parse::<CodedText>().unwrap().speak(3);
    let words = heard(&reply, INNER_RATE);
    let expected =
        CodeWord { kind: Kind::Reply(Some(Flaw::Lost)), call: 4_711, turn: 12, index: 2, of: 3 };
    assert_eq!(words.last().map(|heard| heard.word), Some(expected));
}

#[test]
fn text_that_is_not_coded_is_refused() {
    for text in ["", "1 2", "1 2 3 4", "1 2 6", "70000 1 0", "1 128 0", "what time is breakfast"] {
        assert_eq!(text.parse::<CodedText>().ok(), None, "{text}");
    }
    assert_eq!(CodedText::read(&[0; 16_000]), None);
}

/// As on a telephone line, where silence is not quite silent.
fn line(ms: usize) -> Vec<i16> {
    (0..ms * MS).map(|at| (at * 7_919 % 41) as i16 - 20).collect()
}

/// How long `heard` of a detector is under `threshold` at most, in windows.
fn longest_under(threshold: f32, heard: &[f32]) -> usize {
    let dips = heard.split(|probability| *probability >= threshold);
    dips.map(<[f32]>::len).max().unwrap_or_default()
}

/// What `call` says in turn `turn`, its lead-in with it.
fn utterance(call: u16, turn: u8) -> Vec<i16> {
    let mut speech = Vec::new();
    write_lead_in(INNER_RATE, &mut speech);
    speech.extend(write_passage(CodeWord { turn, ..word(call, 9) }, INNER_RATE));
    speech
}

/// A detector may get used to a voice, so a call is heard for several turns.
#[test]
fn every_detector_takes_it_for_speech_from_its_beginning_to_its_end_in_every_turn() {
    for kind in [Detector::Earshot, Detector::Silero] {
        let limits = kind.thresholds();
        let calls = [7, 1_499, 4_711, 40_000];
        for (call, is_telephone) in calls.into_iter().flat_map(|it| [(it, true), (it, false)]) {
            let mut detector = new_detector(kind);
            let window = detector.window_samples();
            let mut hear = |samples: &[i16]| -> Vec<f32> {
                let windows = samples.chunks_exact(window);
                windows.map(|window| detector.speech_probability(window)).collect()
            };
            for turn in 0..8 {
                hear(&line(1_024 + 256 * usize::from(turn)));
                let speech = utterance(call, turn);
                let heard = hear(&if is_telephone { telephoned(&speech) } else { speech });
                let ms = |windows: usize| windows * window / MS;
                let who = format!("{kind:?}, call {call}, turn {turn}");
                let onset = heard.iter().position(|probability| *probability >= limits.start);
                let onset = onset.expect("speech");
                assert!(ms(onset) <= 32, "{who}: heard after {} ms", ms(onset));
                let dip = ms(longest_under(limits.stop, &heard[onset..]));
                assert!(dip <= 32, "{who}: lost for {dip} ms");
            }
        }
    }
}

#[test]
fn the_lead_in_is_no_word_and_hides_none() {
    let mut samples = vec![0; 1_000];
    write_lead_in(INNER_RATE, &mut samples);
    samples.extend(write_passage(word(7, 2), INNER_RATE));
    let indices: Vec<u8> = heard(&samples, INNER_RATE).iter().map(|it| it.word.index).collect();
    assert_eq!(indices, [0, 1]);
}

#[test]
fn a_word_that_is_cut_off_does_not_run_into_the_next_one() {
    let samples = write_passage(word(7, 2), INNER_RATE);
    // All but the last few milliseconds of a word, then another one.
    let (first, second) = samples.split_at((WORD_MS as usize - 3) * MS);
    let mut reader = CodeReader::new(INNER_RATE);
    let mut words = Vec::new();
    reader.hear(first, &mut |word| words.push(word));
    reader.cut();
    reader.hear(second, &mut |word| words.push(word));
    let indices: Vec<u8> = words.iter().map(|heard| heard.word.index).collect();
    assert_eq!(indices, [1]);
}
