//! Recognises utterances with pocketsphinx and a grammar.
//!
//! Up to two listeners hear an utterance: one as it came and, unless that one is sure,
//! one with the noise taken down. It refuses to guess: in doubt it is no match.

use std::collections::BTreeMap;
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
use crate::services::speech::verdict::{self, Candidate, Doubt, Heard, SURE_LEAD_MIN};
use crate::types::CallerText;

pub(super) struct Recogniser {
    /// Hears what came, with the library's own noise removal.
    plain: Decoder,
    /// Hears what [`enhance::reduce_noise`] left of it.
    quieted: Decoder,
    words_count: usize,
    score_min: f32,
}

impl Recogniser {
    /// Loads the library, the model, the words and the grammar.
    pub(super) fn load(options: &RecogniserOptions) -> Result<Self, WorkerFailure> {
        let jsgf = match &options.grammar {
            Some(path) => read_grammar(path)?,
            None => DEMO_GRAMMAR.to_owned(),
        };
        let vocabulary = Vocabulary::read(&jsgf, &options.dictionary)?;
        let listener =
            |remove_noise| vocabulary.listener(&jsgf, &options.model_dir, Tuning { remove_noise });
        Ok(Self {
            plain: listener(true)?,
            quieted: listener(false)?,
            words_count: vocabulary.words_count,
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
        let audio = prepared(samples, is_narrow);
        let utterance = Utterance { ms, loud_frames: enhance::loud_frames(samples) };
        let mut plain = Testimony::take(&mut self.plain, &audio, utterance)?;
        if let Ok(heard) = plain.heard.clone()
            && verdict::is_sure(&heard, self.score_min)
            && plain.leads(SURE_LEAD_MIN)?
        {
            if !plain.is_borne_out(self.score_min)? {
                return Ok(Err(Doubt::OtherSounds));
            }
            let confidence = verdict::confidence(&heard, self.score_min);
            return Ok(Ok((heard.text, confidence)));
        }
        let audio = prepared(&enhance::reduce_noise(samples, NOISE_FLOOR), is_narrow);
        let mut quieted = Testimony::take(&mut self.quieted, &audio, utterance)?;
        let weighed = verdict::weigh(plain.heard(), quieted.heard(), self.score_min);
        let Candidate { text, confidence, is_agreed, lead_min } = match weighed {
            Ok(candidate) => candidate,
            Err(doubt) => return Ok(Err(doubt)),
        };
        let is_command = (is_agreed && plain.leads(lead_min)?) || quieted.leads(lead_min)?;
        if !is_command {
            return Ok(Err(Doubt::OtherWord));
        }
        let is_borne_out = (is_agreed && plain.is_borne_out(self.score_min)?)
            || quieted.is_borne_out(self.score_min)?;
        Ok(if is_borne_out { Ok((text, confidence)) } else { Err(Doubt::OtherSounds) })
    }
}

/// What one listener has to say of an utterance.
struct Testimony<'a> {
    listener: &'a mut Decoder,
    audio: &'a [i16],
    heard: Result<Heard, Doubt>,
    /// Over the best decoy, once it is known.
    lead: Option<i32>,
}

impl<'a> Testimony<'a> {
    fn take(
        listener: &'a mut Decoder,
        audio: &'a [i16],
        Utterance { ms, loud_frames }: Utterance,
    ) -> Result<Self, WorkerFailure> {
        let path = listener.decode(COMMANDS, audio)?;
        let heard = verdict::credible(path.map(|path| heard(path, loud_frames)), ms);
        Ok(Self { listener, audio, heard, lead: None })
    }

    fn heard(&self) -> Result<&Heard, Doubt> {
        self.heard.as_ref().map_err(|doubt| *doubt)
    }

    /// Whether what was heard leads the best decoy by more than `lead_min`.
    fn leads(&mut self, lead_min: i32) -> Result<bool, WorkerFailure> {
        let Ok(heard) = &self.heard else { return Ok(false) };
        if self.lead.is_none() {
            let decoy = self.listener.decode(DECOYS, self.audio)?;
            let lead = decoy.map_or(i32::MAX, |decoy| heard.path_score.saturating_sub(decoy.score));
            self.lead = Some(lead);
        }
        Ok(self.lead.is_some_and(|lead| lead > lead_min))
    }

    /// Whether what was heard holds its own against sounds in any order.
    fn is_borne_out(&mut self, score_min: f32) -> Result<bool, WorkerFailure> {
        let Ok(heard) = &self.heard else { return Ok(false) };
        let sounds = self.listener.decode(SOUNDS, self.audio)?;
        Ok(sounds.is_none_or(|sounds| verdict::is_borne_out(heard, sounds.score, score_min)))
    }
}

/// What is known of an utterance before anybody listens to it.
#[derive(Clone, Copy)]
struct Utterance {
    ms: u64,
    /// See [`enhance::loud_frames`].
    loud_frames: u32,
}

/// Text and confidence, or why not.
type Outcome = Result<(String, f32), Doubt>;

impl Engine for Recogniser {
    fn ready(&self) -> Ready {
        Ready {
            protocol: PROTOCOL_VERSION,
            engine: format!("pocketsphinx ({} words)", self.words_count),
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

/// The words of a grammar and of its decoys, and how they are said.
struct Vocabulary {
    words_count: usize,
    said: BTreeMap<String, String>,
    decoys: String,
}

impl Vocabulary {
    fn read(jsgf: &str, dictionary: &Path) -> Result<Self, WorkerFailure> {
        let words = grammar::words(jsgf);
        let decoys = grammar::decoys();
        let wanted = words.union(&decoys).cloned().collect();
        let said = File::open(dictionary)
            .and_then(|file| grammar::pronunciations(BufReader::new(file), &wanted))
            .map_err(|error| missing("dictionary", dictionary, &error))?;
        let unknown = grammar::unknown(&words, &said);
        if !unknown.is_empty() {
            let message = format!(
                "these words of the grammar are not in the dictionary {}: {}",
                dictionary.display(),
                unknown.join(", ")
            );
            return Err(WorkerFailure::new("unknown_words", message));
        }
        let decoys = grammar::of_single_words(&grammar::distinct(&decoys, &words, &said));
        Ok(Self { words_count: words.len(), said, decoys })
    }

    fn listener(
        &self,
        jsgf: &str,
        model_dir: &Path,
        tuning: Tuning,
    ) -> Result<Decoder, WorkerFailure> {
        let mut decoder = Decoder::open(model_dir, tuning)?;
        for (word, phones) in &self.said {
            decoder.add_word(word, phones)?;
        }
        decoder.add_grammar(COMMANDS, jsgf).map_err(|_| {
            WorkerFailure::new("bad_grammar", "the grammar is no JSGF with a public rule")
        })?;
        decoder.add_grammar(DECOYS, &self.decoys)?;
        let sounds = grammar::sounds(&self.said);
        for sound in &sounds {
            decoder.add_word(&grammar::sound_word(sound), sound)?;
        }
        decoder.add_grammar(SOUNDS, &grammar::of_any_sounds(&sounds))?;
        Ok(decoder)
    }
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

fn heard(path: BestPath, loud_frames: u32) -> Heard {
    let BestPath { text, score: path_score, frames, word_frames } = path;
    let score = path_score as f32 / frames.max(1) as f32;
    Heard { text, score, path_score, word_frames, loud_frames }
}

/// As the model expects it: with something above 4 kHz, and with silence around it.
fn prepared(samples: &[i16], is_narrow: bool) -> Vec<i16> {
    let mut prepared = vec![0; SILENCE_BEFORE];
    if is_narrow {
        prepared.extend(enhance::widen(samples));
    } else {
        prepared.extend_from_slice(samples);
    }
    prepared.extend([0; SILENCE_BEHIND]);
    prepared
}

/// The search through the grammar.
const COMMANDS: &CStr = c"commands";
/// The search through everyday words that are no commands.
const DECOYS: &CStr = c"decoys";
/// The search through sounds in any order.
const SOUNDS: &CStr = c"sounds";
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
