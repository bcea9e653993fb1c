//! What the recogniser promises, with the libraries of this computer: flite speaks,
//! pocketsphinx listens. Without them a test says so and is skipped.

use std::path::PathBuf;

use super::*;
use crate::media::{Resampler, wav};
use crate::services::speech::library::flite::Flite;
use crate::services::speech::protocol::Pcm;
use crate::types::{INNER_RATE, SampleRate, SpeechAudio};

const VOICES: [&str; 4] = ["slt", "rms", "awb", "kal"];

fn options() -> RecogniserOptions {
    let settings = crate::config::PocketsphinxSettings::default();
    RecogniserOptions {
        model_dir: settings.model_dir,
        dictionary: settings.dictionary,
        grammar: None,
        score_min: settings.score_min,
    }
}

/// A recogniser and a voice, where this computer has both.
struct Bench {
    recogniser: Recogniser,
    flite: Flite,
}

impl Bench {
    fn find() -> Option<Self> {
        let recogniser = Recogniser::load(&options()).map_err(|error| error.to_string());
        let flite = Flite::load().map_err(|error| error.to_string());
        match (recogniser, flite) {
            (Ok(recogniser), Ok(flite)) => Some(Self { recogniser, flite }),
            (Err(reason), _) | (_, Err(reason)) => {
                println!("skipped: {reason}");
                None
            }
        }
    }

    /// `text` as the engine would cut it out of a call: with a pre-roll and a hangover.
    fn say(&mut self, text: &str, voice: &'static str) -> Vec<i16> {
        let speech = self.flite.speak(text, voice, WIRE_RATE_HZ).unwrap();
        let mut said = vec![0; 3_200];
        said.extend(speech);
        said.extend([0; 6_400]);
        said
    }

    fn hear(&mut self, samples: &[i16]) -> Option<String> {
        let pcm = Pcm(SpeechAudio::new(samples));
        let request =
            Request::Transcribe { id: 1, sample_rate: WIRE_RATE_HZ, pcm, language: String::new() };
        match self.recogniser.answer(request).unwrap() {
            Reply::Recognised { text, .. } => Some(text.expose().clone()),
            Reply::NoMatch { .. } => None,
            other => panic!("not an answer: {other:?}"),
        }
    }
}

fn through_8_khz(samples: &[i16]) -> Vec<i16> {
    let convert = |samples: &[i16], from, to| {
        let mut resampler = Resampler::new(from, to);
        let mut converted = Vec::new();
        resampler.process(samples, &mut converted);
        resampler.flush(&mut converted);
        converted
    };
    let eight = SampleRate::new(8_000).unwrap();
    convert(&convert(samples, INNER_RATE, eight), eight, INNER_RATE)
}

/// White noise, `db` below the speech in `samples` (the middle of what [`Bench::say`]
/// says).
fn with_noise(samples: &[i16], db: f32) -> Vec<i16> {
    let speech = &samples[3_200..samples.len() - 6_400];
    let power = |samples: &[i16]| {
        let sum: f32 = samples.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
        sum / samples.len() as f32
    };
    // Uniform noise of amplitude a has the power a²/3.
    let amplitude = (3.0 * power(speech) / 10_f32.powf(db / 10.0)).sqrt();
    let mut state = 7_u32;
    let mut noisy = |sample: &i16| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = amplitude * ((state >> 8) as f32 / 8_388_608.0 - 1.0);
        (f32::from(*sample) + noise).round() as i16
    };
    samples.iter().map(&mut noisy).collect()
}

/// How many of `sentences`, in each voice, are heard as they were said, and what was
/// heard wrong.
fn count_right(
    bench: &mut Bench,
    sentences: &[&str],
    change: impl Fn(&[i16]) -> Vec<i16>,
) -> (usize, Vec<String>) {
    let (mut right, mut wrong) = (0, Vec::new());
    for &text in sentences {
        for voice in VOICES {
            let said = bench.say(text, voice);
            match bench.hear(&change(&said)) {
                Some(heard) if heard == text => right += 1,
                Some(heard) => wrong.push(format!("{voice}: {text} -> {heard}")),
                None => println!("no match: {voice}: {text}"),
            }
        }
    }
    (right, wrong)
}

const SENTENCES: [&str; 14] = [
    "what time is breakfast",
    "when do you serve breakfast",
    "i would like to book a room",
    "i would like to book a room for two nights please",
    "can i make a reservation for tomorrow",
    "three nights",
    "two people",
    "yes please",
    "no thank you",
    "let me talk to a human",
    "i want to speak to an agent please",
    "cancel my reservation",
    "thank you goodbye",
    "goodbye",
];

const OTHER_SENTENCES: [&str; 14] = [
    "my hovercraft is full of eels",
    "where is the nearest train station",
    "please turn on the lights in the kitchen",
    "i lost my passport at the airport yesterday",
    "the committee will publish its report in october",
    "my internet connection is broken again",
    "book a flight to boston",
    "i would like to order a large pizza with mushrooms",
    "how much does a taxi cost from here",
    "the president gave a speech on television",
    "scientists discovered a new species of frog",
    "my credit card was stolen",
    "turn left at the traffic lights",
    "umbrella",
];

#[test]
fn commands_of_the_grammar_are_heard_word_for_word() {
    let Some(mut bench) = Bench::find() else { return };
    let all = SENTENCES.len() * VOICES.len();
    let (right, wrong) = count_right(&mut bench, &SENTENCES, <[i16]>::to_vec);
    assert!(wrong.len() <= 1 && right * 100 >= all * 90, "{right} of {all} right, {wrong:?}");
    let (right, wrong) = count_right(&mut bench, &SENTENCES, through_8_khz);
    assert!(wrong.len() <= 2 && right * 100 >= all * 85, "{right} of {all} right, {wrong:?}");
}

#[test]
fn commands_are_heard_in_noise_at_20_db_and_refused_at_5_db() {
    let Some(mut bench) = Bench::find() else { return };
    let sentences = &SENTENCES[..SENTENCES.len() / 2];
    let all = sentences.len() * VOICES.len();
    let (right, wrong) = count_right(&mut bench, sentences, |said| with_noise(said, 20.0));
    assert!(wrong.len() <= 2 && right * 100 >= all * 80, "{right} of {all} right, {wrong:?}");
    let (right, wrong) = count_right(&mut bench, sentences, |said| with_noise(said, 5.0));
    assert_eq!((right, wrong), (0, Vec::new()));
}

#[test]
fn other_sentences_are_no_match() {
    let Some(mut bench) = Bench::find() else { return };
    let mut heard = Vec::new();
    for (text, voice) in OTHER_SENTENCES.iter().zip(VOICES.iter().cycle()) {
        let said = bench.say(text, voice);
        heard.extend(bench.hear(&said).map(|command| format!("{voice}: {text} -> {command}")));
    }
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn noises_are_no_match() {
    let Some(mut bench) = Bench::find() else { return };
    let tone = |hz: f32| -> Vec<i16> {
        let turn = 2.0 * std::f32::consts::PI * hz / 16_000.0;
        (0..24_000).map(|at| (8_000.0 * (turn * at as f32).sin()) as i16).collect()
    };
    let mut click = vec![0; 16_000];
    click[8_000..8_020].fill(20_000);
    let hiss = with_noise(&[vec![0; 3_200], vec![2_000; 16_000], vec![0; 6_400]].concat(), 0.0);
    let noises = [Vec::new(), vec![1], vec![0; 32_000], tone(1_000.0), tone(150.0), click, hiss];
    for (index, noise) in noises.iter().enumerate() {
        assert_eq!(bench.hear(noise), None, "noise {index}");
    }
}

#[test]
fn people_who_say_something_else_are_no_match() {
    let Some(mut bench) = Bench::find() else { return };
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/audio");
    let mut recordings = 0;
    let mut heard = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // The telephone call has words of the grammar in it ("okay", "thank you"), and
        // card 4 is "five five", an answer to how many nights it shall be.
        let is_in_the_grammar = name.starts_with("genesys") || name == "cards_004.wav";
        if !name.ends_with(".wav") || is_in_the_grammar {
            continue;
        }
        let recording = wav::read(&std::fs::read(entry.path()).unwrap()).unwrap();
        recordings += 1;
        let command = bench.hear(&recording.channels[0]);
        heard.extend(command.map(|command| format!("{name} -> {command}")));
    }
    assert!(recordings > 0);
    assert!(heard.is_empty(), "{heard:?}");
}

#[test]
fn what_one_caller_said_does_not_change_what_the_next_one_is_heard_to_say() {
    let Some(mut bench) = Bench::find() else { return };
    let said = bench.say("what time is breakfast", "rms");
    let noisy = with_noise(&bench.say("goodbye", "awb"), 16.0);
    let samples = prepared(&said, false);
    let first = bench.recogniser.plain.decode(COMMANDS, &samples).unwrap();
    bench.recogniser.plain.decode(COMMANDS, &prepared(&noisy, false)).unwrap();
    let second = bench.recogniser.plain.decode(COMMANDS, &samples).unwrap();
    assert_eq!(first, second);
}

#[test]
fn a_file_that_is_missing_is_named_with_the_package_that_has_it() {
    let load = |change: fn(&mut RecogniserOptions)| {
        let mut options = options();
        change(&mut options);
        Recogniser::load(&options).err().map(|error| error.to_string())
    };
    if load(|_| ()).is_some_and(|error| error.contains("missing_library")) {
        println!("skipped: no pocketsphinx on this computer");
        return;
    }
    let no_model = load(|options| options.model_dir = "/no/model".into()).unwrap();
    assert!(no_model.contains("/no/model") && no_model.contains("pocketsphinx-en-us"));
    let no_words = load(|options| options.dictionary = "/no/words".into()).unwrap();
    assert!(no_words.contains("pocketsphinx-en-us"), "{no_words}");
    let no_grammar = load(|options| options.grammar = Some("/no/grammar".into())).unwrap();
    assert!(no_grammar.contains("/no/grammar"), "{no_grammar}");
}

#[test]
fn a_word_of_the_grammar_that_the_dictionary_lacks_is_named() {
    let path = std::env::temp_dir().join(format!("antiphon-{}.jsgf", std::process::id()));
    std::fs::write(&path, "#JSGF V1.0; grammar g; public <a> = yes | zyzzyva | quux;").unwrap();
    let options = RecogniserOptions { grammar: Some(path.clone()), ..options() };
    let error = Recogniser::load(&options).err().unwrap();
    std::fs::remove_file(path).unwrap();
    if error.code == "unknown_words" {
        assert!(error.message.contains("quux, zyzzyva"), "{error}");
    } else {
        println!("skipped: {error}");
    }
}
