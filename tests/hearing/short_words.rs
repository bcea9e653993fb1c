//! Short answers are found whatever was heard before them: silence of any length, half a
//! minute of noise, nothing at all.

use std::ops::Range;

use crate::track::score::probabilities;
use crate::track::words::{Word, noises, words};
use crate::track::{Random, over_the_telephone};
use antiphon::media::SegmenterEvent;
use antiphon::media::finder::SpeechFinder;
use antiphon::types::{Detector, ListeningSettings, UtteranceEnd};

/// A call in which words are at known places.
#[derive(Default)]
struct Call {
    samples: Vec<i16>,
    words: Vec<Range<usize>>,
}

impl Call {
    fn silence(&mut self, samples: usize) {
        self.samples.resize(self.samples.len() + samples, 0);
    }

    fn word(&mut self, word: &Word) {
        let start = self.samples.len();
        self.samples.extend(&word.samples);
        self.words.push(start..self.samples.len());
    }

    /// The words that no utterance touches, by number.
    fn missed(&self) -> Vec<usize> {
        let found = utterances(&self.samples);
        let is_missed = |number: &usize| {
            let word = &self.words[*number];
            !found.iter().any(|it| it.start < word.end && it.end > word.start)
        };
        (0..self.words.len()).filter(is_missed).collect()
    }
}

fn utterances(samples: &[i16]) -> Vec<Range<usize>> {
    let mut finder = SpeechFinder::new(&ListeningSettings::default(), 200);
    finder.handle_samples(samples);
    finder.end_input(UtteranceEnd::MediaEnded);
    found_by(&mut finder)
}

fn found_by(finder: &mut SpeechFinder) -> Vec<Range<usize>> {
    std::iter::from_fn(|| finder.poll_event())
        .filter_map(|event| match event {
            SegmenterEvent::UtteranceReady { started_at, ended_at, .. } => {
                Some(started_at.0 as usize..ended_at.0 as usize)
            }
            _ => None,
        })
        .collect()
}

/// Speech to the detector when they are by themselves, for as many windows. Some pieces of a
/// word, cut out of it, are no speech to anybody.
const SURELY: f32 = 0.9;
const SURE_WINDOWS_MIN: usize = 3;

fn short_words() -> Vec<Word> {
    let is_speech = |word: &Word| {
        let call = [vec![0; 16_000], word.samples.clone()].concat();
        let sure = |probability: &&f32| **probability > SURELY;
        let (heard, _) = probabilities(Detector::Silero, &call);
        heard.iter().filter(sure).count() >= SURE_WINDOWS_MIN
    };
    let words: Vec<Word> = words().into_iter().filter(is_speech).collect();
    assert!(words.len() >= 60, "{}", words.len());
    words
}

#[test]
fn a_short_word_is_found_after_a_silence_of_any_length() {
    let (words, mut random, mut call) = (short_words(), Random(6), Call::default());
    for word in words.iter().cycle().take(600) {
        // 0.7 to 6 s: the detector is left alone after some of it.
        call.silence(11_200 + (random.positive() * 84_800.0) as usize);
        call.word(word);
    }
    call.silence(16_000);
    let name = |number: &usize| words[number % words.len()].name.clone();
    let missed = call.missed();
    assert!(missed.is_empty(), "{:?}", missed.iter().map(name).collect::<Vec<_>>());
    call.samples = over_the_telephone(&call.samples);
    let missed = call.missed();
    assert!(missed.is_empty(), "µ-law: {:?}", missed.iter().map(name).collect::<Vec<_>>());
}

#[test]
fn a_short_word_is_found_at_the_very_beginning_of_a_call_and_behind_a_stall() {
    for word in short_words() {
        let mut finder = SpeechFinder::new(&ListeningSettings::default(), 200);
        for life in ["the call begins", "audio comes again"] {
            finder.handle_samples(&word.samples);
            finder.end_input(UtteranceEnd::Stalled);
            assert_eq!(found_by(&mut finder).len(), 1, "{} when {life}", word.name);
        }
    }
}

/// Half a minute and more, in samples at the inner rate.
const LONG_NOISE: Range<usize> = 500_000..700_000;
const WORDS_IN_NOISE: usize = 25;
/// Who hears only so much of the noise (3 s), and that a little louder, finds what noise
/// does not hide.
const SHORT_NOISE: usize = 48_000;
const RATIO_DB: f64 = 10.0;
const LOUDER_DB: f64 = 5.0;
const NOT_HIDDEN_MIN: usize = 20;
/// Of a hundred. They are missed as well when the detector forgets everything.
const MISSED_MAX: usize = 2;

#[test]
fn a_short_word_is_found_after_half_a_minute_of_noise_as_after_three_seconds_of_it() {
    let words = short_words();
    let (mut random, mut all_missed) = (Random(7), Vec::new());
    for (name, noise) in noises(WORDS_IN_NOISE * LONG_NOISE.end) {
        let mut call = Call::default();
        for word in words.iter().step_by(words.len() / WORDS_IN_NOISE).take(WORDS_IN_NOISE) {
            call.silence(LONG_NOISE.start + (random.positive() * LONG_NOISE.len() as f64) as usize);
            call.word(word);
        }
        call.silence(16_000);
        let louder =
            crate::track::mixed_at_speech_level(&call.samples, &noise, RATIO_DB - LOUDER_DB);
        let hidden = |word: &Range<usize>| {
            let near = word.start - SHORT_NOISE..word.end + 16_000;
            utterances(&louder[near]).iter().all(|it| it.end <= SHORT_NOISE)
        };
        let hidden: Vec<usize> =
            (0..call.words.len()).filter(|number| hidden(&call.words[*number])).collect();
        assert!(hidden.len() + NOT_HIDDEN_MIN <= WORDS_IN_NOISE, "{name}: {hidden:?}");
        call.samples = crate::track::mixed_at_speech_level(&call.samples, &noise, RATIO_DB);
        let mut missed = call.missed();
        missed.retain(|number| !hidden.contains(number));
        all_missed.extend(missed.into_iter().map(|number| (name, number)));
    }
    assert!(all_missed.len() <= MISSED_MAX, "{all_missed:?}");
}

/// Segments in ten minutes of noise without a word. Music is taken for speech when it is
/// new, so some of it is, where the detector forgets it.
const FALSE_MAX: [(&str, usize); 4] = [("white", 0), ("pink", 0), ("music", 5), ("dishes", 0)];

#[test]
fn noise_does_not_become_speech_because_the_detector_forgets_it() {
    let silence = vec![0; 600 * 16_000];
    for ((name, noise), (_, false_max)) in noises(silence.len()).iter().zip(FALSE_MAX) {
        let found = utterances(&crate::track::mixed_at_speech_level(&silence, noise, 10.0));
        assert!(found.len() <= false_max, "{name}: {found:?}");
    }
}
