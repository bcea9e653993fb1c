//! Asks the providers of every route, once, what a call asks of them: a sentence of the
//! synthesiser, an utterance of the recogniser, a turn of the dialog platform. What becomes
//! of those no check without effect can know.

use tokio::time::Instant;

use super::chance::draw;
use super::health::Finding;
use crate::services::{Health, Providers, SttRequest, TtsRequest};
use crate::telemetry::Service;
use crate::turn::all_sentences;
use crate::types::{
    CallId, CallerText, DialogFailure, DialogReply, DialogRequest, INNER_RATE, Route, SessionData,
    SessionId, SpeechAudio, SttFailure, Transcript, TtsFailure, TurnId, UserId,
};

/// What the turn says, and the sentence where a route has none of its own.
const WORDS: &str = "Hello.";
/// Who says it.
const USER_ID: &str = "antiphon-check";
/// How much silence a recogniser gets where nothing was spoken.
const SILENCE_MS: u32 = 500;

/// How each provider of `route` carries out what a call asks. One that could not be built is
/// not among them.
pub async fn ask_providers(providers: &Providers, route: &Route) -> Vec<Finding> {
    let trial = Trial { providers, route };
    let (spoken, utterance) = trial.speak().await;
    let (heard, answered) = tokio::join!(trial.hear(utterance), trial.ask());
    [spoken, heard, answered].into_iter().flatten().collect()
}

struct Trial<'a> {
    providers: &'a Providers,
    route: &'a Route,
}

/// What the recogniser is to hear.
struct Utterance {
    speech: SpeechAudio,
    has_words: bool,
}

impl Trial<'_> {
    /// Has a sentence of the route's own spoken, to its end.
    async fn speak(&self) -> (Option<Finding>, Utterance) {
        let silence = SpeechAudio::new(vec![0; INNER_RATE.samples_in_ms(SILENCE_MS)]);
        let nothing = Utterance { speech: silence, has_words: false };
        let Some(synthesiser) = self.providers.tts.get(&self.route.tts) else {
            return (None, nothing);
        };
        let begun = Instant::now();
        let begins = synthesiser.speak(self.sentence()).await;
        let first_ms = begun.elapsed().as_millis();
        let speech = match begins {
            Ok(speech) => speech.whole().await,
            Err(failure) => Err(failure),
        };
        let (health, utterance) = match speech {
            Ok(speech) => {
                let ms = speech.ms();
                let found = format!("speaks: {ms} ms of audio, the first after {first_ms} ms");
                let has_words = synthesiser.speaks_words();
                (Health::Ready(found), Utterance { speech, has_words })
            }
            Err(failure) => (self.of_tts(&failure), nothing),
        };
        (Some(self.finding(Service::Tts, health)), utterance)
    }

    fn sentence(&self) -> TtsRequest {
        let Route { language, voice, prompts, turns, .. } = self.route;
        let sentence = all_sentences(&prompts.fallback.text, language).first().copied();
        TtsRequest {
            text: sentence.unwrap_or(WORDS).into(),
            ssml: None,
            voice: voice.clone(),
            language: language.clone(),
            answer_ms_max: turns.tts_ms_max,
            trace: None,
        }
    }

    /// Has what was spoken recognised.
    async fn hear(&self, Utterance { speech, has_words }: Utterance) -> Option<Finding> {
        let recogniser = self.providers.stt.get(&self.route.stt)?;
        let Some(call_id) = draw().map(CallId::from_bits) else {
            return Some(self.finding(Service::Stt, no_chance()));
        };
        let request = SttRequest {
            call_id,
            speech: speech.into(),
            language: self.route.language.clone(),
            answer_ms_max: self.route.turns.stt_ms_max,
            trace: None,
        };
        let begun = Instant::now();
        let outcome = recogniser.transcribe(request).await;
        let ms = begun.elapsed().as_millis();
        recogniser.forget(&call_id);
        let health = match outcome {
            Ok(Transcript::Final { text, .. }) => {
                let words = counted(text.expose().split_whitespace().count(), "word");
                Health::Ready(format!("recognises speech: {words} after {ms} ms"))
            }
            Ok(Transcript::NoMatch) if !has_words => {
                Health::Ready(format!("answers after {ms} ms; there were no words to be heard"))
            }
            Ok(Transcript::NoMatch) if !recogniser.knows_any_words() => Health::Ready(format!(
                "answers after {ms} ms; it may have a small vocabulary, in which the words that \
                 {} spoke are not",
                self.route.tts
            )),
            Ok(Transcript::NoMatch) => Health::Unavailable(format!(
                "answers after {ms} ms, and heard no words in what {} spoke: check the model in \
                 [stt.{}], the language of the route ({}), and its voice",
                self.route.tts, self.route.stt, self.route.language
            )),
            Err(failure) => self.of_stt(&failure),
        };
        Some(self.finding(Service::Stt, health))
    }

    /// Begins a conversation of one turn.
    async fn ask(&self) -> Option<Finding> {
        let backend = self.providers.dialog.get(&self.route.dialog)?;
        let (Some(call), Some(session)) = (draw(), draw()) else {
            return Some(self.finding(Service::Dialog, no_chance()));
        };
        let request = DialogRequest {
            call_id: CallId::from_bits(call),
            session_id: SessionId::from_bits(session),
            user_id: UserId::from(USER_ID),
            turn: TurnId(1),
            text: CallerText::from(WORDS),
            session: SessionData::default(),
            answer_ms_max: self.route.turns.dialog_ms_max,
            trace: None,
        };
        let begun = Instant::now();
        let outcome = backend.ask(request).await;
        let ms = begun.elapsed().as_millis();
        let health = match outcome {
            Ok(reply) if is_silent(&reply) => Health::Unavailable(format!(
                "answers after {ms} ms without words, so that a caller would hear an apology: let \
                 the flow say something when it is told {WORDS:?}"
            )),
            Ok(reply) => {
                let outputs = counted(reply.outputs.len(), "output");
                Health::Ready(format!("answers after {ms} ms: {outputs}"))
            }
            Err(failure) => self.of_dialog(&failure),
        };
        Some(self.finding(Service::Dialog, health))
    }

    fn finding(&self, service: Service, health: Health) -> Finding {
        Finding { service, provider: self.provider(service).to_owned(), health }
    }

    fn provider(&self, service: Service) -> &str {
        match service {
            Service::Dialog => &self.route.dialog,
            Service::Stt => &self.route.stt,
            Service::Tts => &self.route.tts,
        }
    }

    fn of_tts(&self, failure: &TtsFailure) -> Health {
        let advice = match failure {
            TtsFailure::Timeout => Advice::Time,
            TtsFailure::RateLimited | TtsFailure::Saturated => Advice::Room,
            TtsFailure::BreakerOpen { .. } | TtsFailure::Unavailable { .. } => Advice::Reach,
            TtsFailure::Failed { .. } => Advice::Settings,
        };
        self.of_failure(Service::Tts, failure, advice)
    }

    fn of_stt(&self, failure: &SttFailure) -> Health {
        let advice = match failure {
            SttFailure::Timeout => Advice::Time,
            SttFailure::RateLimited | SttFailure::Saturated => Advice::Room,
            SttFailure::BreakerOpen { .. } | SttFailure::Unavailable { .. } => Advice::Reach,
            SttFailure::Failed { .. } => Advice::Settings,
        };
        self.of_failure(Service::Stt, failure, advice)
    }

    fn of_dialog(&self, failure: &DialogFailure) -> Health {
        let advice = match failure {
            DialogFailure::Timeout => Advice::Time,
            DialogFailure::RateLimited | DialogFailure::Saturated => Advice::Room,
            DialogFailure::Unreachable
            | DialogFailure::BreakerOpen { .. }
            | DialogFailure::Lost
            | DialogFailure::Status { status: 500.. } => Advice::Reach,
            DialogFailure::Unauthorized
            | DialogFailure::Forbidden
            | DialogFailure::Malformed { .. }
            | DialogFailure::Status { .. } => Advice::Settings,
        };
        self.of_failure(Service::Dialog, failure, advice)
    }

    /// What was found, and what to do.
    fn of_failure(&self, service: Service, failure: &impl ToString, advice: Advice) -> Health {
        let (name, settings) =
            (service.as_str(), format!("[{}.{}]", service.as_str(), self.provider(service)));
        let todo = match advice {
            Advice::Time => format!("see why it is slow, or raise route.turns.{name}_ms_max"),
            Advice::Room => "try again later, or have its limit raised".to_owned(),
            Advice::Reach => format!("see whether it works, and check its address in {settings}"),
            Advice::Settings => {
                format!("check address, key, names and voices in {settings} and in the route")
            }
        };
        let text = format!("{}: {todo}", failure.to_string());
        match advice {
            Advice::Settings => Health::Refused(text),
            Advice::Time | Advice::Room | Advice::Reach => Health::Unavailable(text),
        }
    }
}

/// Where to look after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Advice {
    /// At how long it takes.
    Time,
    /// At how much it is asked.
    Room,
    /// At whether it is there.
    Reach,
    /// At what it is asked for. It does not pass by itself.
    Settings,
}

fn counted(count: usize, thing: &str) -> String {
    if count == 1 { format!("1 {thing}") } else { format!("{count} {thing}s") }
}

fn no_chance() -> Health {
    Health::Refused("not asked: the system gives no random numbers".to_owned())
}

fn is_silent(reply: &DialogReply) -> bool {
    reply.outputs.is_empty() && !reply.end_call
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;
    use crate::config::Config;
    use crate::services::{DialogBackend, ServiceFuture, SpeechToText, TextToSpeech};
    use crate::types::ReplyOutput;

    /// Every service in one; remembers what was asked of it.
    #[derive(Clone)]
    struct Scripted {
        dialog: Result<DialogReply, DialogFailure>,
        stt: Result<Transcript, SttFailure>,
        tts: Result<SpeechAudio, TtsFailure>,
        small_vocabulary: bool,
        asked: Arc<Mutex<Vec<String>>>,
    }

    impl Scripted {
        fn check() -> ServiceFuture<'static, Health> {
            Box::pin(std::future::ready(Health::Ready("fine".to_owned())))
        }
    }

    impl DialogBackend for Scripted {
        fn ask(
            &self,
            request: DialogRequest,
        ) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
            self.asked.lock().push(format!("turn {}", request.text.expose()));
            Box::pin(std::future::ready(self.dialog.clone()))
        }

        fn check(&self) -> ServiceFuture<'_, Health> {
            Self::check()
        }
    }

    impl SpeechToText for Scripted {
        fn transcribe(
            &self,
            request: SttRequest,
        ) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
            Box::pin(async move {
                let ms = request.speech.whole().await.ms();
                self.asked.lock().push(format!("utterance of {ms} ms in {}", request.language));
                self.stt.clone()
            })
        }

        fn knows_any_words(&self) -> bool {
            !self.small_vocabulary
        }

        fn check(&self) -> ServiceFuture<'_, Health> {
            Self::check()
        }
    }

    impl TextToSpeech for Scripted {
        fn synthesize(
            &self,
            request: TtsRequest,
        ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
            self.asked.lock().push(format!(
                "sentence {} by {}",
                request.text.expose(),
                request.voice
            ));
            Box::pin(std::future::ready(self.tts.clone()))
        }

        fn check(&self) -> ServiceFuture<'_, Health> {
            Self::check()
        }
    }

    fn reply(end_call: bool) -> DialogReply {
        DialogReply { end_call, ..DialogReply::default() }
    }

    fn well() -> Scripted {
        Scripted {
            dialog: Ok(reply(true)),
            stt: Ok(Transcript::Final { text: "hello you".into(), confidence: None }),
            tts: Ok(SpeechAudio::new(vec![1_000; 16_000])),
            small_vocabulary: false,
            asked: Arc::default(),
        }
    }

    fn route() -> Route {
        let name = || "p".to_owned();
        let mut route = Route {
            name: "hotel".to_owned(),
            dialog: name(),
            stt: name(),
            tts: name(),
            voice: "anna".to_owned(),
            language: "de-DE".to_owned(),
            ..Route::default()
        };
        route.prompts.fallback.text = "Bitte warten. Danke sehr.".to_owned();
        route
    }

    async fn asked(scripted: &Scripted) -> Vec<Health> {
        let mut providers = Providers::default();
        providers.dialog.insert("p".to_owned(), Arc::new(scripted.clone()));
        providers.stt.insert("p".to_owned(), Arc::new(scripted.clone()));
        providers.tts.insert("p".to_owned(), Arc::new(scripted.clone()));
        let found = ask_providers(&providers, &route()).await;
        let services: Vec<Service> = found.iter().map(|finding| finding.service).collect();
        assert_eq!(services, [Service::Tts, Service::Stt, Service::Dialog]);
        found.into_iter().map(|finding| finding.health).collect()
    }

    fn is_ready(health: &Health) -> bool {
        matches!(health, Health::Ready(_))
    }

    #[tokio::test(start_paused = true)]
    async fn each_provider_of_a_route_is_asked_once_as_a_call_asks_it() {
        let scripted = well();
        let found = asked(&scripted).await;
        assert!(found.iter().all(is_ready), "{found:?}");
        let asked = scripted.asked.lock().clone();
        let [sentence, others @ ..] = &asked[..] else { panic!("{asked:?}") };
        assert_eq!(sentence, "sentence Bitte warten. by anna");
        assert_eq!(others.len(), 2);
        for other in ["utterance of 1000 ms in de-DE", "turn Hello."] {
            assert!(others.iter().any(|asked| asked == other), "{asked:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_by_itself_is_told_apart_from_what_will_not() {
        let not_found = || "the answer has status 404".to_owned();
        let failing = Scripted {
            dialog: Err(DialogFailure::Status { status: 308 }),
            stt: Err(SttFailure::Failed { message: not_found() }),
            tts: Err(TtsFailure::Failed { message: not_found() }),
            ..well()
        };
        let found = asked(&failing).await;
        assert!(found.iter().all(|it| matches!(it, Health::Refused(_))), "{found:?}");
        let passing = Scripted {
            dialog: Err(DialogFailure::Status { status: 503 }),
            stt: Err(SttFailure::Unavailable { message: "the answer has status 502".to_owned() }),
            tts: Err(TtsFailure::RateLimited),
            ..well()
        };
        let found = asked(&passing).await;
        assert!(found.iter().all(|it| matches!(it, Health::Unavailable(_))), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_words_is_not_ready_where_there_were_words() {
        let scripted =
            Scripted { dialog: Ok(reply(false)), stt: Ok(Transcript::NoMatch), ..well() };
        let ready: Vec<bool> = asked(&scripted).await.iter().map(is_ready).collect();
        assert_eq!(ready, [true, false, false]);
        let small = Scripted { small_vocabulary: true, ..scripted.clone() };
        let ready: Vec<bool> = asked(&small).await.iter().map(is_ready).collect();
        assert_eq!(ready, [true, true, false]);
        let unspoken = Scripted { tts: Err(TtsFailure::Timeout), ..scripted };
        let ready: Vec<bool> = asked(&unspoken).await.iter().map(is_ready).collect();
        assert_eq!(ready, [false, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn whatever_is_not_well_says_what_to_do() {
        let failing = Scripted {
            dialog: Err(DialogFailure::Unauthorized),
            stt: Err(SttFailure::Unavailable { message: "no connection".to_owned() }),
            tts: Err(TtsFailure::Timeout),
            ..well()
        };
        let told: Vec<String> = asked(&failing).await.iter().map(|it| format!("{it:?}")).collect();
        for (told, todo) in told.iter().zip([
            "raise route.turns.tts_ms_max",
            "check its address in [stt.p]",
            "check address, key, names and voices in [dialog.p]",
        ]) {
            assert!(told.contains(todo), "{told}");
        }
        let wordless =
            Scripted { dialog: Ok(reply(false)), stt: Ok(Transcript::NoMatch), ..well() };
        let told = format!("{:?}", asked(&wordless).await);
        assert!(told.contains("check the model in [stt.p], the language"), "{told}");
        assert!(told.contains("let the flow say something"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_no_plural() {
        let reply = DialogReply { outputs: saying(1), ..DialogReply::default() };
        let one = Scripted { dialog: Ok(reply), ..well() };
        let told = format!("{:?}", asked(&one).await);
        assert!(told.contains("1 output\"") && told.contains("2 words"), "{told}");
    }

    fn saying(outputs: usize) -> Vec<ReplyOutput> {
        let output = ReplyOutput { text: "Hm.".into(), markup: None, interruptible: None };
        vec![output; outputs]
    }

    #[tokio::test(start_paused = true)]
    async fn a_provider_that_could_not_be_built_is_not_among_them() {
        assert!(ask_providers(&Providers::default(), &route()).await.is_empty());
        let routes = [Route { dialog: "echo".to_owned(), ..route() }];
        let (built, _) = Providers::build_each(&Config::default(), &routes, &|_| None, None);
        assert_eq!(ask_providers(&built, &routes[0]).await.len(), 1);
    }
}
