//! What the engine itself says, rendered before the first call.
//!
//! A prompt that is here needs no provider when it is said. The fallback is always
//! here: when no synthesiser could render it, three tones stand in for its words.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::RwLock;

use super::{TextToSpeech, TtsRequest};
use crate::types::{INNER_RATE, Prompt, Route, SpeechAudio, TtsFailure};

/// Longest time for rendering one sentence.
const RENDER_MS_MAX: u32 = 20_000;

/// The rendered prompts of all routes.
#[derive(Default)]
pub struct PromptCache {
    rendered: RwLock<HashMap<Key, SpeechAudio>>,
    wanted: Vec<Key>,
    fallbacks: Vec<Key>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
        split: fn(&str) -> Vec<&str>,
    ) -> Self {
        let mut cache = Self::default();
        for route in routes {
            let keys = |prompt: &Prompt| keys(route, &split(&prompt.text));
            let prompts = &route.prompts;
            cache.fallbacks.extend(keys(&prompts.fallback));
            cache.wanted.extend(keys(&prompts.fallback));
            cache.wanted.extend(keys(&prompts.no_match));
            cache.wanted.extend(keys(&prompts.turn_failed));
            cache.wanted.extend(prompts.greeting.iter().flat_map(keys));
        }
        cache
    }

    /// The audio of a sentence, if it belongs to a prompt and is rendered.
    #[must_use]
    pub fn get(&self, provider: &str, request: &TtsRequest) -> Option<SpeechAudio> {
        let key = Key {
            provider: provider.to_owned(),
            voice: request.voice.clone(),
            language: request.language.clone(),
            text: request.text.expose().clone(),
        };
        let rendered = self.rendered.read().get(&key).cloned();
        rendered.or_else(|| self.fallbacks.contains(&key).then(attention_tones))
    }

    /// Renders what is missing. Returns the failures, one per synthesiser at most;
    /// call it again later to try once more.
    pub async fn render(
        &self,
        synthesisers: &BTreeMap<String, Arc<dyn TextToSpeech>>,
    ) -> Vec<(String, TtsFailure)> {
        let mut failures: Vec<(String, TtsFailure)> = Vec::new();
        for key in self.missing() {
            if failures.iter().any(|(provider, _)| *provider == key.provider) {
                continue;
            }
            let Some(synthesiser) = synthesisers.get(&key.provider) else { continue };
            match synthesiser.synthesize(key.request()).await {
                Ok(audio) => {
                    self.rendered.write().insert(key, audio);
                }
                Err(failure) => failures.push((key.provider, failure)),
            }
        }
        failures
    }

    fn missing(&self) -> Vec<Key> {
        let rendered = self.rendered.read();
        self.wanted.iter().filter(|key| !rendered.contains_key(key)).cloned().collect()
    }
}

impl Key {
    fn request(&self) -> TtsRequest {
        TtsRequest {
            text: self.text.as_str().into(),
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
