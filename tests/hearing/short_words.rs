//! Short answers are found whatever was heard before them: silence of any length, half a
//! minute of noise, nothing at all.

use crate::track::answers::{Call, after_long_noise, conditions, found_by, utterances};
use crate::track::words::{Word, noises, short_words};
use antiphon::media::finder::SpeechFinder;
use antiphon::types::{ListeningSettings, UtteranceEnd};

#[test]
fn a_short_word_is_found_after_a_silence_of_any_length() {
    let words = short_words();
    // 0.7 to 6 s: the detector is left alone after some of it.
    let call = Call::of(words.iter().cycle().take(600), 11_200..96_000, 6);
    let name = |number: &usize| words[number % words.len()].name.clone();
    for (line, call) in [("plain", &call), ("µ-law", &call.over_the_telephone())] {
        let missed = call.missed();
        assert!(missed.is_empty(), "{line}: {:?}", missed.iter().map(name).collect::<Vec<_>>());
    }
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

/// Of some four hundred: a word cut out of a sentence, in pink noise 10 dB below it.
const MISSED_MAX: usize = 1;

#[test]
fn a_short_answer_is_found_whole_on_any_line() {
    let (words, mut all_missed) = (short_words(), Vec::new());
    for (line, call) in conditions(&Call::of(words.iter(), 16_000..32_000, 8)) {
        let names = |numbers: Vec<usize>| -> Vec<String> {
            numbers.into_iter().map(|number| words[number].name.clone()).collect()
        };
        let clipped = names(call.clipped());
        assert!(clipped.is_empty(), "{line}: {clipped:?}");
        all_missed.extend(names(call.missed()).into_iter().map(|name| (line, name)));
    }
    assert!(all_missed.len() <= MISSED_MAX, "{all_missed:?}");
}

const WORDS_IN_NOISE: usize = 12;
const HIDDEN_MAX: usize = 5;

#[test]
fn a_short_word_is_found_after_half_a_minute_of_noise_as_after_three_seconds_of_it() {
    let words = short_words();
    let some = words.iter().step_by(words.len() / WORDS_IN_NOISE).take(WORDS_IN_NOISE);
    let found = after_long_noise(&some.collect::<Vec<&Word>>(), 7);
    assert!(found.hidden.len() <= HIDDEN_MAX, "{found:?}");
    assert!(found.missed.is_empty(), "{found:?}");
}

/// Segments in ten minutes of noise without a word. Music is taken for speech when it is
/// new, so some of it is, where the detector forgets it.
const FALSE_MAX: [(&str, usize); 4] = [("white", 0), ("pink", 0), ("music", 5), ("dishes", 0)];

#[test]
fn noise_does_not_become_speech_because_the_detector_forgets_it() {
    let silence = Call { samples: vec![0; 600 * 16_000], words: Vec::new() };
    for ((name, noise), (_, false_max)) in noises(silence.samples.len()).iter().zip(FALSE_MAX) {
        let found = utterances(&silence.in_noise(noise, 10.0).samples);
        assert!(found.len() <= false_max, "{name}: {found:?}");
    }
}
