//! Calls of short answers: after silences, after long noise, at once. Which of them a finder
//! misses, and which it clips.

use std::ops::Range;

use antiphon::media::SegmenterEvent;
use antiphon::media::finder::SpeechFinder;
use antiphon::types::{INNER_RATE, ListeningSettings, UtteranceEnd};

use super::words::{Word, noises};
use super::{Random, mixed_at_speech_level, over_the_telephone};

/// A call in which words are at known places.
#[derive(Clone, Default)]
pub struct Call {
    pub samples: Vec<i16>,
    pub words: Vec<Range<usize>>,
}

impl Call {
    pub fn silence(&mut self, samples: usize) {
        self.samples.resize(self.samples.len() + samples, 0);
    }

    pub fn word(&mut self, word: &Word) {
        let start = self.samples.len();
        self.samples.extend(&word.samples);
        self.words.push(start..self.samples.len());
    }

    /// Words with a silence of a random length (samples) before each.
    pub fn of<'a>(words: impl Iterator<Item = &'a Word>, silence: Range<usize>, seed: u32) -> Self {
        let (mut call, mut random) = (Self::default(), Random(seed));
        for word in words {
            call.silence(silence.start + (random.positive() * silence.len() as f64) as usize);
            call.word(word);
        }
        call.silence(16_000);
        call
    }

    pub fn over_the_telephone(&self) -> Self {
        Self { samples: over_the_telephone(&self.samples), words: self.words.clone() }
    }

    pub fn in_noise(&self, noise: &[f64], db: f64) -> Self {
        let samples = mixed_at_speech_level(&self.samples, noise, db);
        Self { samples, words: self.words.clone() }
    }

    /// The words that no utterance touches, by number.
    pub fn missed(&self) -> Vec<usize> {
        let found = utterances(&self.samples);
        let is_found = |word: &Range<usize>| found.iter().any(|it| overlaps(&it.speech, word));
        self.numbers_of(|word| !is_found(word))
    }

    /// The words that are found and not in the audio of utterances from end to end, by number.
    pub fn clipped(&self) -> Vec<usize> {
        let found = utterances(&self.samples);
        self.numbers_of(|word| {
            let of_word: Vec<&Found> =
                found.iter().filter(|it| overlaps(&it.speech, word)).collect();
            let (Some(first), Some(last)) = (of_word.first(), of_word.last()) else { return false };
            first.audio.start > word.start || last.audio.end < word.end
        })
    }

    fn numbers_of(&self, is_so: impl Fn(&Range<usize>) -> bool) -> Vec<usize> {
        (0..self.words.len()).filter(|number| is_so(&self.words[*number])).collect()
    }
}

fn overlaps(one: &Range<usize>, other: &Range<usize>) -> bool {
    one.start < other.end && one.end > other.start
}

/// An utterance in a call, in samples.
#[derive(Debug)]
pub struct Found {
    pub speech: Range<usize>,
    pub audio: Range<usize>,
}

/// What a finder finds in a call.
pub fn utterances(samples: &[i16]) -> Vec<Found> {
    let mut finder = SpeechFinder::new(&ListeningSettings::default(), 200);
    finder.handle_samples(samples);
    finder.end_input(UtteranceEnd::MediaEnded);
    found_by(&mut finder)
}

/// What was found since this was asked last.
pub fn found_by(finder: &mut SpeechFinder) -> Vec<Found> {
    let silence = INNER_RATE.samples_in_ms(ListeningSettings::default().silence_ms_end);
    let until = finder.position().0 as usize;
    std::iter::from_fn(|| finder.poll_event())
        .filter_map(|event| match event {
            SegmenterEvent::UtteranceReady { audio, started_at, ended_at, .. } => {
                let speech = started_at.0 as usize..ended_at.0 as usize;
                let end = until.min(speech.end + silence);
                Some(Found { audio: end - audio.samples().len()..end, speech })
            }
            _ => None,
        })
        .collect()
}

/// Half a minute and more, in samples at the inner rate.
const LONG_NOISE: Range<usize> = 500_000..600_000;
/// Who hears only so much of the noise (3 s), and that a little louder, finds what noise
/// does not hide.
const SHORT_NOISE: usize = 48_000;
const RATIO_DB: f64 = 10.0;
const LOUDER_DB: f64 = 5.0;

/// What becomes of words after noise that went on for more than half a minute.
#[derive(Debug, Default)]
pub struct AfterNoise {
    pub words: usize,
    /// Not even found when only the last three seconds are heard.
    pub hidden: Vec<(&'static str, usize)>,
    pub missed: Vec<(&'static str, usize)>,
}

/// Each of `words` in each noise.
pub fn after_long_noise(words: &[&Word], seed: u32) -> AfterNoise {
    let mut all = AfterNoise::default();
    for (name, noise) in noises(words.len() * (LONG_NOISE.end + 16_000) + 16_000) {
        let call = Call::of(words.iter().copied(), LONG_NOISE, seed);
        let louder = call.in_noise(&noise, RATIO_DB - LOUDER_DB);
        let is_hidden = |number: &usize| {
            let word = &call.words[*number];
            let near = word.start - SHORT_NOISE..word.end + 16_000;
            utterances(&louder.samples[near]).iter().all(|it| it.speech.end <= SHORT_NOISE)
        };
        let hidden: Vec<usize> = (0..words.len()).filter(is_hidden).collect();
        let mut missed = call.in_noise(&noise, RATIO_DB).missed();
        missed.retain(|number| !hidden.contains(number));
        all.words += words.len();
        all.hidden.extend(hidden.into_iter().map(|number| (name, number)));
        all.missed.extend(missed.into_iter().map(|number| (name, number)));
    }
    all
}

/// The lines on which short answers are heard.
pub fn conditions(call: &Call) -> Vec<(&'static str, Call)> {
    let noises = noises(call.samples.len());
    let (white, pink) = (&noises[0].1, &noises[1].1);
    vec![
        ("clean", call.clone()),
        ("clean, µ-law", call.over_the_telephone()),
        ("white noise, 20 dB", call.in_noise(white, 20.0)),
        ("white noise, 10 dB", call.in_noise(white, 10.0)),
        ("pink noise, 10 dB", call.in_noise(pink, 10.0)),
        ("pink noise, 5 dB, µ-law", call.in_noise(pink, 5.0).over_the_telephone()),
    ]
}
