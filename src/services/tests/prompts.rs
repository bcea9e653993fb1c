//! Prompts and what stands in for them, in virtual time.

use parking_lot::Mutex;

use super::*;
use crate::services::{Health, ServiceFuture};
use crate::turn::all_sentences;

/// Speaks at this level, or cannot be reached; refuses a voice called `bad`; remembers
/// what it was asked for.
struct Voice {
    level: Mutex<Option<i16>>,
    asked: Mutex<Vec<TtsRequest>>,
    words: bool,
}

impl Voice {
    fn new(level: Option<i16>) -> Arc<Self> {
        Arc::new(Self { level: Mutex::new(level), asked: Mutex::default(), words: true })
    }

    fn asked(&self) -> usize {
        self.asked.lock().len()
    }
}

fn refused() -> TtsFailure {
    TtsFailure::Failed { message: "the answer has status 404".to_owned() }
}

fn unreachable() -> TtsFailure {
    TtsFailure::Unavailable { message: "no connection could be made".to_owned() }
}

impl TextToSpeech for Voice {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        let level = *self.level.lock();
        let spoken = match level {
            None => Err(unreachable()),
            Some(_) if request.voice == "bad" => Err(refused()),
            Some(level) => Ok(SpeechAudio::new(vec![level; 160])),
        };
        self.asked.lock().push(request);
        Box::pin(std::future::ready(spoken))
    }

    fn speaks_words(&self) -> bool {
        self.words
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(Health::Ready(String::new())))
    }
}

fn route(tts: &str) -> Route {
    Route { tts: tts.to_owned(), voice: "anna".to_owned(), ..Route::default() }
}

fn request(prompt: &Prompt) -> TtsRequest {
    let first = all_sentences(&prompt.text, &Route::default().language)[0];
    let key = keys(&route("own"), &[first]).remove(0);
    TtsRequest { answer_ms_max: 1, ..key.request() }
}

fn at_hand(voices: &[(&str, &Arc<Voice>)]) -> Synthesisers {
    let entry = |(name, voice): &(&str, &Arc<Voice>)| {
        ((*name).to_owned(), Arc::clone(*voice) as Arc<dyn TextToSpeech>)
    };
    voices.iter().map(entry).collect()
}

fn level(found: Option<Result<SpeechAudio, TtsFailure>>) -> Option<i16> {
    found.map(|audio| audio.expect("it is there").samples()[0])
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_failed_is_rendered_again_until_it_is_well_ever_more_rarely() {
    let (own, route) = (Voice::new(None), route("own"));
    let cache = PromptCache::new([&route], all_sentences);
    let voices = at_hand(&[("own", &own)]);
    let mut asked = Vec::new();
    for _ in 0..20 {
        cache.render(&voices).await;
        asked.push(own.asked());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(asked[..8], [1, 2, 2, 3, 3, 3, 3, 4], "one request for all of them: {asked:?}");
    let complaints = cache.complaints();
    assert!(
        complaints[0].contains("tts own") && complaints[0].contains("no connection"),
        "{complaints:?}"
    );

    *own.level.lock() = Some(700);
    tokio::time::sleep(Duration::from_secs(30)).await;
    cache.render(&voices).await;
    assert_eq!((cache.missing_count(), cache.complaints()), (0, Vec::new()));
    assert_eq!(level(cache.get("own", &request(&route.prompts.turn_failed))), Some(700));
    let before = own.asked();
    cache.render(&voices).await;
    assert_eq!(own.asked(), before, "what is well is not rendered again");
}

#[tokio::test(start_paused = true)]
async fn the_fallback_is_always_there_spoken_by_whoever_can_or_as_tones() {
    let (own, tone, other) = (Voice::new(None), Voice::new(Some(600)), Voice::new(Some(500)));
    let tone = Arc::new(Voice { words: false, ..Arc::into_inner(tone).unwrap() });
    let route = route("own");
    let cache = PromptCache::new([&route], all_sentences);
    let fallback = request(&route.prompts.fallback);
    let tones = || cache.get("own", &fallback).unwrap().unwrap();
    assert!(tones().ms() > 900, "before anything is rendered");
    cache.render(&at_hand(&[("own", &own), ("a tone", &tone)])).await;
    assert!(tones().ms() > 900 && tone.asked() == 0, "nobody has words");
    cache.render(&at_hand(&[("own", &own), ("other", &other)])).await;
    assert_eq!(level(cache.get("own", &fallback)), Some(500));
    assert!(other.asked.lock().iter().all(|request| request.voice.is_empty()));
    assert!(cache.missing_count() > 0, "it is no more than a stand-in");
    *own.level.lock() = Some(700);
    tokio::time::sleep(Duration::from_secs(30)).await;
    cache.render(&at_hand(&[("own", &own), ("other", &other)])).await;
    assert_eq!(level(cache.get("own", &fallback)), Some(700));
}

#[tokio::test(start_paused = true)]
async fn a_prompt_that_cannot_be_rendered_fails_at_once_and_one_that_was_not_tried_is_asked_for() {
    let (own, route) = (Voice::new(None), route("own"));
    let cache = PromptCache::new([&route], all_sentences);
    let turn_failed = request(&route.prompts.turn_failed);
    assert_eq!(cache.get("own", &turn_failed), None);
    cache.render(&at_hand(&[("own", &own)])).await;
    assert_eq!(cache.get("own", &turn_failed), Some(Err(unreachable())));
    let reply = TtsRequest { text: "At seven.".into(), ..turn_failed };
    assert_eq!(cache.get("own", &reply), None, "what is no prompt is the synthesiser's");
}

#[tokio::test(start_paused = true)]
async fn a_voice_that_is_refused_costs_the_other_routes_nothing() {
    let (own, well) = (Voice::new(Some(700)), route("own"));
    let bad = Route { voice: "bad".to_owned(), ..route("own") };
    let cache = PromptCache::new([&bad, &well], all_sentences);
    cache.render(&at_hand(&[("own", &own)])).await;
    assert_eq!(level(cache.get("own", &request(&well.prompts.no_match))), Some(700));
    let refused_one = TtsRequest { voice: "bad".to_owned(), ..request(&bad.prompts.no_match) };
    assert_eq!(cache.get("own", &refused_one), Some(Err(refused())));
    assert!(cache.complaints()[0].contains("404"), "{:?}", cache.complaints());
}

/// Refuses one text as if it were down; never answers where it `hangs`.
struct Picky {
    refuses: String,
    hangs: bool,
}

impl TextToSpeech for Picky {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(async move {
            if self.hangs {
                tokio::time::sleep(Duration::from_millis(request.answer_ms_max.into())).await;
                return Err(TtsFailure::Timeout);
            }
            let is_refused = *request.text.expose() == self.refuses;
            if is_refused { Err(unreachable()) } else { Ok(SpeechAudio::new(vec![700; 160])) }
        })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(Health::Ready(String::new())))
    }
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_that_fails_is_asked_ever_more_rarely() {
    let (own, other, route) = (Voice::new(None), Voice::new(None), route("own"));
    let cache = PromptCache::new([&route], all_sentences);
    let voices = at_hand(&[("own", &own), ("other", &other)]);
    let mut asked = Vec::new();
    for _ in 0..8 {
        cache.render(&voices).await;
        asked.push(other.asked());
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(asked, [1, 2, 2, 3, 3, 3, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn a_text_at_which_a_synthesiser_breaks_down_keeps_it_from_no_other() {
    let route = route("own");
    let cache = PromptCache::new([&route], all_sentences);
    let first = cache.missing().remove(0);
    let own = Arc::new(Picky { refuses: first.text, hangs: false });
    let voices = Synthesisers::from([("own".to_owned(), own as Arc<dyn TextToSpeech>)]);
    cache.render(&voices).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    cache.render(&voices).await;
    assert_eq!(cache.missing_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_synthesiser_that_hangs_holds_up_nobody_elses_prompts() {
    let (stuck, well) = (route("a"), route("b"));
    let cache = PromptCache::new([&stuck, &well], all_sentences);
    let voice =
        |hangs| -> Arc<dyn TextToSpeech> { Arc::new(Picky { refuses: String::new(), hangs }) };
    let voices =
        Synthesisers::from([("a".to_owned(), voice(true)), ("b".to_owned(), voice(false))]);
    let rendering = tokio::time::timeout(Duration::from_secs(1), cache.render(&voices));
    assert!(rendering.await.is_err(), "one hangs");
    assert_eq!(level(cache.get("b", &request(&well.prompts.no_match))), Some(700));
}
