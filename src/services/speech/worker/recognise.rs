//! Recognises utterances with pocketsphinx and a grammar.
//!
//! Two listeners hear each utterance: one as it came, one with the noise taken down.
//! What they agree on is the answer. It refuses to guess: everything else is no match.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::fs::File;
use std::io::{self, BufReader, Read as _};
use std::path::Path;

use super::{Engine, RecogniserOptions};
use crate::services::speech::enhance;
use crate::services::speech::grammar::{self, DEMO_GRAMMAR};
use crate::services::speech::library::pocketsphinx::{BestPath, Decoder, Tuning};
use crate::services::speech::protocol::{
    Capability, PROTOCOL_VERSION, Ready, Reply, Request, WIRE_RATE_HZ, WorkerFailure,
};
use crate::services::speech::verdict::{self, Doubt, Heard};
use crate::types::CallerText;

pub(super) struct Recogniser {
    /// Hears what came, with the library's own noise removal.
    plain: Decoder,
    /// Hears what [`enhance::reduce_noise`] left of it.
    quieted: Decoder,
    grammar_words: BTreeSet<String>,
    score_min: f32,
}

impl Recogniser {
    /// Loads the library, the model, the words and the grammar.
    pub(super) fn load(options: &RecogniserOptions) -> Result<Self, WorkerFailure> {
        let jsgf = match &options.grammar {
            Some(path) => read_grammar(path)?,
            None => DEMO_GRAMMAR.to_owned(),
        };
        let listener = |remove_noise| listener(options, &jsgf, Tuning { remove_noise });
        Ok(Self {
            plain: listener(true)?,
            quieted: listener(false)?,
            grammar_words: grammar::words(&jsgf),
            score_min: options.score_min,
        })
    }

    /// The words of an utterance and how sure they are.
    fn recognise(&mut self, samples: &[i16]) -> Result<Outcome, WorkerFailure> {
        let ms = samples.len() as u64 * 1_000 / u64::from(WIRE_RATE_HZ);
        if let Err(doubt) = verdict::worth_hearing(ms, enhance::signal_to_noise_db(samples)) {
            return Ok(Err(doubt));
        }
        let is_narrow = enhance::is_narrow_band(samples);
        let bring_up = |samples: &[i16]| {
            if is_narrow { enhance::widen(samples) } else { samples.to_vec() }
        };
        let plain = self.plain.decode(GRAMMAR, &padded(&bring_up(samples)))?.map(heard);
        let plain = match self.check(plain.as_ref(), ms) {
            Ok(plain) => plain.clone(),
            Err(doubt) => return Ok(Err(doubt)),
        };
        let quiet = enhance::reduce_noise(samples, NOISE_FLOOR);
        let quieted = self.quieted.decode(GRAMMAR, &padded(&bring_up(&quiet)))?.map(heard);
        Ok(self.check(quieted.as_ref(), ms).and_then(|quieted| {
            let (text, confidence) = verdict::agreement(&plain, quieted, self.score_min)?;
            Ok((text.to_owned(), confidence))
        }))
    }

    fn check<'a>(&self, heard: Option<&'a Heard>, ms: u64) -> Result<&'a Heard, Doubt> {
        verdict::plausible(heard, self.score_min, &self.grammar_words, ms)
    }
}

/// Text and confidence, or why not.
type Outcome = Result<(String, f32), Doubt>;

impl Engine for Recogniser {
    fn ready(&self) -> Ready {
        Ready {
            protocol: PROTOCOL_VERSION,
            engine: format!("pocketsphinx ({} words)", self.grammar_words.len()),
            capabilities: vec![Capability::Transcribe],
        }
    }

    fn answer(&mut self, request: Request) -> Result<Reply, WorkerFailure> {
        let Request::Transcribe { id, sample_rate, pcm, .. } = request else {
            return Err(WorkerFailure::new("unsupported", "this worker only listens"));
        };
        if sample_rate != WIRE_RATE_HZ {
            let message = format!("audio is heard at {WIRE_RATE_HZ} Hz only");
            return Err(WorkerFailure::new("unsupported_rate", message));
        }
        Ok(match self.recognise(pcm.0.samples())? {
            Ok((text, confidence)) => {
                let text = CallerText::from(text);
                Reply::Recognised { id, text, confidence: Some(confidence) }
            }
            Err(_) => Reply::NoMatch { id },
        })
    }
}

fn listener(
    options: &RecogniserOptions,
    jsgf: &str,
    tuning: Tuning,
) -> Result<Decoder, WorkerFailure> {
    let mut decoder = Decoder::open(&options.model_dir, tuning)?;
    let words = grammar::words(jsgf);
    let file = File::open(&options.dictionary)
        .map_err(|error| missing("dictionary", &options.dictionary, &error))?;
    let said = grammar::pronunciations(BufReader::new(file), &words)
        .map_err(|error| missing("dictionary", &options.dictionary, &error))?;
    let unknown = grammar::unknown(&words, &said);
    if !unknown.is_empty() {
        let message = format!(
            "these words of the grammar are not in the dictionary {}: {}",
            options.dictionary.display(),
            unknown.join(", ")
        );
        return Err(WorkerFailure::new("unknown_words", message));
    }
    for (word, phones) in &said {
        decoder.add_word(word, phones)?;
    }
    decoder.add_grammar(GRAMMAR, jsgf).map_err(|_| {
        WorkerFailure::new("bad_grammar", "the grammar is no JSGF with a public rule")
    })?;
    Ok(decoder)
}

fn read_grammar(path: &Path) -> Result<String, WorkerFailure> {
    let mut jsgf = String::new();
    File::open(path)
        .and_then(|file| file.take(GRAMMAR_BYTES_MAX).read_to_string(&mut jsgf))
        .map_err(|error| missing("grammar", path, &error))?;
    Ok(jsgf)
}

fn missing(what: &str, path: &Path, error: &io::Error) -> WorkerFailure {
    let hint = match what {
        "dictionary" => "; the Debian package pocketsphinx-en-us brings one",
        _ => "",
    };
    let message = format!("cannot read the {what} {}: {error}{hint}", path.display());
    WorkerFailure::new("missing_file", message)
}

fn heard(path: BestPath) -> Heard {
    let score = path.score as f32 / path.frames.max(1) as f32;
    Heard { text: path.text, score, word_frames: path.word_frames }
}

/// With silence around it: the model expects a sentence to begin and to end with some.
fn padded(samples: &[i16]) -> Vec<i16> {
    let mut padded = vec![0; SILENCE_BEFORE];
    padded.extend_from_slice(samples);
    padded.extend([0; SILENCE_BEHIND]);
    padded
}

const GRAMMAR: &CStr = c"grammar";
/// What is left of a part of the spectrum that is noise: less of it, and speech suffers.
const NOISE_FLOOR: f32 = 0.3;
/// 200 ms.
const SILENCE_BEFORE: usize = 3_200;
/// 300 ms.
const SILENCE_BEHIND: usize = 4_800;
/// Largest grammar read.
const GRAMMAR_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
#[path = "recognise_tests.rs"]
mod tests;
