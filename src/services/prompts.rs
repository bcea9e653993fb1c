//! What the engine itself says, rendered before the first call.
//!
//! A prompt that is here needs no provider when it is said. One that could not be rendered
//! is rendered again and again until it can. The fallback is always here: where its own
//! synthesiser could not speak it, another one at hand does, and where none can, three
//! tones stand in for its words.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use futures_util::future::join_all;
use parking_lot::RwLock;
use tokio::time::{Duration, Instant};

use super::{TextToSpeech, TtsRequest};
use crate::resilience::Backoff;
use crate::types::{INNER_RATE, Prompt, Route, SpeechAudio, TtsFailure};

/// Longest time for rendering one sentence.
const RENDER_MS_MAX: u32 = 20_000;
/// Waits before a synthesiser that could not render is asked again.
const BACKOFF: Backoff = Backoff::new(5_000, 30_000);

/// Synthesisers by the name that routes use.
type Synthesisers = BTreeMap<String, Arc<dyn TextToSpeech>>;

/// The rendered prompts of all routes.
#[derive(Default)]
pub struct PromptCache {
    kept: RwLock<Kept>,
    wanted: BTreeSet<Key>,
    fallbacks: BTreeSet<Key>,
    /// Held by whoever renders: nothing is rendered twice.
    rendering: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Kept {
    rendered: HashMap<Key, SpeechAudio>,
    /// Fallbacks as another synthesiser speaks them.
    stand_ins: HashMap<Key, SpeechAudio>,
    /// Why what is missing could not be rendered.
    troubles: Troubles,
    /// Why nobody stands in, as whoever should was asked for it.
    stand_in_troubles: Troubles,
}

#[derive(Default)]
struct Troubles(BTreeMap<Key, Trouble>);

struct Trouble {
    tries: u32,
    /// In how many of them it was asked for itself.
    asked: u32,
    failure: TtsFailure,
    again_at: Instant,
}

/// Why a sentence has no audio.
struct Unspoken {
    failure: TtsFailure,
    /// It was asked for, and not left out because of another one.
    was_asked: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    provider: String,
    voice: String,
    language: String,
    text: String,
}

impl PromptCache {
    /// A cache for the prompts of `routes`, with nothing rendered yet. `split` cuts
    /// a prompt into the sentences that calls will ask for.
    #[must_use]
    pub fn new<'a>(
        routes: impl IntoIterator<Item = &'a Route>,
        split: for<'t> fn(&'t str, &str) -> Vec<&'t str>,
    ) -> Self {
        let mut cache = Self::default();
        for route in routes {
            let keys = |prompt: &Prompt| keys(route, &split(&prompt.text, &route.language));
            let prompts = &route.prompts;
            cache.fallbacks.extend(keys(&prompts.fallback));
            cache.wanted.extend(keys(&prompts.fallback));
            cache.wanted.extend(keys(&prompts.no_match));
            cache.wanted.extend(keys(&prompts.turn_failed));
            cache.wanted.extend(prompts.greeting.iter().flat_map(keys));
        }
        cache
    }

    /// The audio of a sentence, if it belongs to a prompt and there is any. One that its
    /// synthesiser could not render a moment ago fails at once: whoever says it because
    /// something failed does not wait for a second failure.
    #[must_use]
    pub fn get(
        &self,
        provider: &str,
        request: &TtsRequest,
    ) -> Option<Result<SpeechAudio, TtsFailure>> {
        let key = Key {
            provider: provider.to_owned(),
            voice: request.voice.clone(),
            language: request.language.clone(),
            text: request.text.expose().clone(),
        };
        if !self.wanted.contains(&key) {
            return None;
        }
        let kept = self.kept.read();
        if let Some(audio) = kept.rendered.get(&key) {
            return Some(Ok(audio.clone()));
        }
        if self.fallbacks.contains(&key) {
            return Some(Ok(kept.stand_ins.get(&key).cloned().unwrap_or_else(attention_tones)));
        }
        kept.troubles.0.get(&key).map(|trouble| Err(trouble.failure.clone()))
    }

    /// Renders what is missing and may be tried now. Call it again and again.
    pub async fn render(&self, synthesisers: &Synthesisers) {
        let Ok(_alone) = self.rendering.try_lock() else { return };
        join_all(synthesisers.iter().map(|(name, own)| self.render_by(name, &**own))).await;
        self.find_stand_ins(synthesisers).await;
    }

    async fn render_by(&self, name: &str, synthesiser: &dyn TextToSpeech) {
        let missing = self.missing().into_iter().filter(|key| key.provider == name);
        let due = self.kept.read().troubles.due(missing);
        let mut down = None;
        for key in due {
            match key.spoken_by(synthesiser, &mut down).await {
                Ok(audio) => self.keep(key, audio),
                Err(unspoken) => self.kept.write().troubles.note(key, unspoken),
            }
        }
    }

    /// How many sentences of prompts are not rendered.
    #[must_use]
    pub fn missing_count(&self) -> usize {
        self.missing().len()
    }

    /// What is missing and why, a line for each synthesiser. Empty: nothing.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let kept = self.kept.read();
        let mut missing: BTreeMap<&str, (usize, Option<&Trouble>)> = BTreeMap::new();
        for key in self.wanted.iter().filter(|key| !kept.rendered.contains_key(key)) {
            let (count, trouble) = missing.entry(&key.provider).or_default();
            *count += 1;
            *trouble = trouble.or_else(|| kept.troubles.0.get(key));
        }
        let line = |(provider, (count, trouble)): (&str, (usize, Option<&Trouble>))| {
            let why = match trouble {
                Some(trouble) => format!("{}; it is asked again and again", trouble.failure),
                None => "it is being asked".to_owned(),
            };
            let sentences = if count == 1 { "sentence is" } else { "sentences are" };
            format!("prompts: {count} {sentences} not rendered by tts {provider}: {why}")
        };
        missing.into_iter().map(line).collect()
    }

    fn missing(&self) -> Vec<Key> {
        let kept = self.kept.read();
        self.wanted.iter().filter(|key| !kept.rendered.contains_key(key)).cloned().collect()
    }

    fn keep(&self, key: Key, audio: SpeechAudio) {
        let mut kept = self.kept.write();
        kept.troubles.0.remove(&key);
        kept.stand_ins.remove(&key);
        kept.rendered.insert(key, audio);
    }

    /// Whether a synthesiser could not render something of its own.
    fn is_in_trouble(&self, provider: &str) -> bool {
        self.kept.read().troubles.0.keys().any(|key| key.provider == provider)
    }

    /// Has fallbacks that are missing spoken by another synthesiser, in its own voice.
    async fn find_stand_ins(&self, synthesisers: &Synthesisers) {
        for (name, synthesiser) in synthesisers {
            if self.is_in_trouble(name) || !synthesiser.speaks_words() {
                continue;
            }
            self.stand_in(name, &**synthesiser).await;
        }
    }

    async fn stand_in(&self, name: &str, synthesiser: &dyn TextToSpeech) {
        let mut wanted: BTreeMap<Key, Vec<Key>> = BTreeMap::new();
        for key in self.without_voice().into_iter().filter(|key| key.provider != name) {
            wanted.entry(key.as_of(name)).or_default().push(key);
        }
        let due = self.kept.read().stand_in_troubles.due(wanted.keys().cloned());
        let mut down = None;
        for key in due {
            match key.spoken_by(synthesiser, &mut down).await {
                Ok(audio) => {
                    let mut kept = self.kept.write();
                    kept.stand_in_troubles.0.remove(&key);
                    let replaced = wanted[&key].iter().map(|of| (of.clone(), audio.clone()));
                    kept.stand_ins.extend(replaced);
                }
                Err(unspoken) => self.kept.write().stand_in_troubles.note(key, unspoken),
            }
        }
    }

    /// Fallbacks that nobody speaks.
    fn without_voice(&self) -> Vec<Key> {
        let kept = self.kept.read();
        let has_voice =
            |key: &Key| kept.rendered.contains_key(key) || kept.stand_ins.contains_key(key);
        self.fallbacks.iter().filter(|key| !has_voice(key)).cloned().collect()
    }
}

impl Troubles {
    /// Which of `keys` may be tried now. The least asked for comes first: a text at which a
    /// synthesiser breaks down does not keep it from the others.
    fn due(&self, keys: impl Iterator<Item = Key>) -> Vec<Key> {
        let now = Instant::now();
        let rests = |key: &Key| self.0.get(key).is_some_and(|trouble| now < trouble.again_at);
        let mut due: Vec<Key> = keys.filter(|key| !rests(key)).collect();
        due.sort_by_key(|key| self.0.get(key).map_or(0, |trouble| trouble.asked));
        due
    }

    fn note(&mut self, key: Key, Unspoken { failure, was_asked }: Unspoken) {
        let before = self.0.get(&key).map_or((0, 0), |trouble| (trouble.tries, trouble.asked));
        let (tries, asked) = (before.0 + 1, before.1 + u32::from(was_asked));
        let wait_ms = BACKOFF.wait_ms(tries, None, 1.0);
        let again_at = Instant::now() + Duration::from_millis(wait_ms.into());
        self.0.insert(key, Trouble { tries, asked, failure, again_at });
    }
}

impl Key {
    /// The same in the own voice of the synthesiser `name`.
    fn as_of(&self, name: &str) -> Self {
        Self { provider: name.to_owned(), voice: String::new(), ..self.clone() }
    }

    /// Has it spoken, unless `synthesiser` is found to be `down`.
    async fn spoken_by(
        &self,
        synthesiser: &dyn TextToSpeech,
        down: &mut Option<TtsFailure>,
    ) -> Result<SpeechAudio, Unspoken> {
        if let Some(failure) = down.clone() {
            return Err(Unspoken { failure, was_asked: false });
        }
        synthesiser.synthesize(self.request()).await.map_err(|failure| {
            // Whoever answers may refuse one voice or one text only.
            if !matches!(failure, TtsFailure::Failed { .. }) {
                *down = Some(failure.clone());
            }
            Unspoken { failure, was_asked: true }
        })
    }

    fn request(&self) -> TtsRequest {
        TtsRequest {
            text: self.text.as_str().into(),
            ssml: None,
            voice: self.voice.clone(),
            language: self.language.clone(),
            answer_ms_max: RENDER_MS_MAX,
            trace: None,
        }
    }
}

fn keys(route: &Route, sentences: &[&str]) -> Vec<Key> {
    let key = |text: &&str| Key {
        provider: route.tts.clone(),
        voice: route.voice.clone(),
        language: route.language.clone(),
        text: (*text).to_owned(),
    };
    sentences.iter().map(key).collect()
}

/// Three rising tones, the sign of an interrupted connection on telephone networks.
fn attention_tones() -> SpeechAudio {
    const TONES_HZ: [f32; 3] = [950.0, 1_400.0, 1_800.0];
    const TONE_MS: u32 = 330;
    const AMPLITUDE: f32 = 6_000.0;
    let rate = INNER_RATE.hz() as f32;
    let samples: Vec<i16> = TONES_HZ
        .into_iter()
        .flat_map(|hz| {
            (0..INNER_RATE.samples_in_ms(TONE_MS)).map(move |at| {
                (AMPLITUDE * (std::f32::consts::TAU * hz * at as f32 / rate).sin()) as i16
            })
        })
        .collect();
    SpeechAudio::new(samples)
}

#[cfg(test)]
#[path = "tests/prompts.rs"]
mod tests;
