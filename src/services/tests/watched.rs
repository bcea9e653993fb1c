//! What real requests say of a provider, in virtual time.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::sleep;

use super::*;
use crate::services::fixed::saying;
use crate::services::tests::turn;
use crate::telemetry::{EventFileSettings, EventWriter, LockedFile, QueueLimits};

/// Answers its requests one by one as the script says, the last one again and again; its
/// check says the same until it is changed.
struct Scripted<T> {
    answers: Mutex<VecDeque<T>>,
    asked: Mutex<usize>,
    checked: Mutex<Health>,
}

impl<T: Clone> Scripted<T> {
    fn new(checked: &Health, answers: impl IntoIterator<Item = T>) -> Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        Arc::new(Self { answers, asked: Mutex::default(), checked: Mutex::new(checked.clone()) })
    }

    fn answer(&self) -> T {
        *self.asked.lock() += 1;
        let mut answers = self.answers.lock();
        let next = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        next.expect("there is an answer")
    }
}

impl SpeechToText for Scripted<Result<Transcript, SttFailure>> {
    fn transcribe(&self, _: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(std::future::ready(self.answer()))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(self.checked.lock().clone()))
    }
}

impl TextToSpeech for Scripted<Result<SpeechAudio, TtsFailure>> {
    fn synthesize(&self, _: TtsRequest) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(std::future::ready(self.answer()))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(self.checked.lock().clone()))
    }
}

impl DialogBackend for Scripted<Result<DialogReply, DialogFailure>> {
    fn ask(&self, _: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(std::future::ready(self.answer()))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(self.checked.lock().clone()))
    }
}

fn ready() -> Health {
    Health::Ready("fine".to_owned())
}

fn not_found() -> TtsFailure {
    TtsFailure::Failed { message: "the answer has status 404".to_owned() }
}

fn sound() -> SpeechAudio {
    SpeechAudio::new(vec![1_000; 1_600])
}

fn sentence() -> TtsRequest {
    WatchedTts::new(Scripted::new(&ready(), [Ok(sound())])).trial_sentence()
}

fn heard(text: &str) -> Result<Transcript, SttFailure> {
    Ok(Transcript::Final { text: text.into(), confidence: None })
}

#[tokio::test(start_paused = true)]
async fn a_synthesiser_whose_address_is_well_and_whose_sentences_fail_is_not_ready() {
    let scripted = Scripted::new(&ready(), [Err(not_found())]);
    let watched = WatchedTts::new(scripted);
    assert_eq!(watched.check().await, ready());
    for _ in 0..2 {
        assert_eq!(watched.synthesize(sentence()).await, Err(not_found()));
    }
    let Health::Unavailable(found) = watched.check().await else { panic!("it is not ready") };
    assert!(found.contains("status 404"), "{found}");
}

#[tokio::test(start_paused = true)]
async fn it_is_ready_again_by_itself_when_nobody_calls_and_is_asked_rarely_until_then() {
    let answers = std::iter::repeat_n(Err(not_found()), 6).chain([Ok(sound())]);
    let scripted = Scripted::new(&ready(), answers);
    let watched = WatchedTts::new(Arc::clone(&scripted) as Arc<dyn TextToSpeech>);
    let _failed = watched.synthesize(sentence()).await;
    let mut told = Vec::new();
    for _ in 0..40 {
        sleep(Duration::from_secs(5)).await;
        told.push(watched.check().await == ready());
    }
    let well_from = told.iter().rposition(|well| !well).map_or(0, |last| last + 1);
    assert!(told[..2].contains(&false), "one failure is looked into: {told:?}");
    assert!((10..39).contains(&well_from), "{told:?}");
    assert_eq!(*scripted.asked.lock(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_recogniser_whose_requests_are_refused_is_not_ready_and_one_that_understands_nothing_is()
{
    let refused = SttFailure::Failed { message: "the answer has status 415".to_owned() };
    for (answer, is_ready) in [(Err(refused), false), (Ok(Transcript::NoMatch), true)] {
        let watched = WatchedStt::new(Scripted::new(&ready(), [answer]));
        for _ in 0..3 {
            let _outcome = watched.transcribe(trial_utterance()).await;
        }
        assert_eq!(watched.check().await == ready(), is_ready);
    }
}

/// A check that fails, and how it is told where a call was served.
fn unreachable() -> (Health, Health) {
    let told = "answers calls, although a check of it fails: no list of models";
    (Health::Unavailable("no list of models".to_owned()), Health::Ready(told.to_owned()))
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_while_calls_are_served_is_wrong_until_requests_fail() {
    let (unreachable, overruled) = unreachable();
    let lost = || DialogFailure::Unreachable;
    let answers = [Ok(saying("Hm.".into())), Err(lost()), Ok(saying("Hm.".into())), Err(lost())];
    for fails in [unreachable, Health::Refused("no list of models".to_owned())] {
        let watched = WatchedDialog::new(Scripted::new(&fails, answers.clone()));
        assert_eq!(watched.check().await, fails, "nobody has called");
        for is_served in [true, false, true] {
            assert_eq!(watched.ask(turn("a")).await.is_ok(), is_served);
            for _ in 0..20 {
                assert_eq!(watched.check().await, overruled, "one failure is doubt");
                sleep(Duration::from_secs(5)).await;
            }
        }
        for _ in 0..2 {
            let _failed = watched.ask(turn("a")).await;
        }
        assert_ne!(watched.check().await, overruled, "requests fail");
        sleep(Duration::from_millis(FRESH_MS + 1)).await;
        assert_eq!(watched.check().await, fails, "the check may be right");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_was_well_when_calls_were_served_and_fails_then_is_believed_soon() {
    let scripted = Scripted::new(&ready(), [Ok(saying("Hm.".into()))]);
    let watched = WatchedDialog::new(Arc::clone(&scripted) as Arc<dyn DialogBackend>);
    assert_eq!(watched.check().await, ready());
    let _answered = watched.ask(turn("a")).await;
    let (unreachable, overruled) = unreachable();
    *scripted.checked.lock() = unreachable.clone();
    sleep(Duration::from_secs(5)).await;
    assert_eq!(watched.check().await, overruled, "it answered a moment ago");
    sleep(Duration::from_millis(FRESH_MS)).await;
    assert_eq!(watched.check().await, unreachable);
    let _answered = watched.ask(turn("a")).await;
    *scripted.checked.lock() = ready();
    assert_eq!(watched.check().await, ready());
    *scripted.checked.lock() = unreachable.clone();
    sleep(Duration::from_millis(FRESH_MS + 1)).await;
    assert_eq!(watched.check().await, unreachable, "it was well meanwhile");
}

#[tokio::test(start_paused = true)]
async fn a_recogniser_whose_check_fails_is_asked_what_calls_ask_and_that_decides() {
    let (unreachable, overruled) = unreachable();
    let lost = || Err(SttFailure::Timeout);
    let scripted = Scripted::new(&unreachable, [lost(), lost(), heard("yes")]);
    let watched = WatchedStt::new(Arc::clone(&scripted) as Arc<dyn SpeechToText>);
    let mut told = Vec::new();
    for _ in 0..100 {
        told.push(watched.check().await);
        sleep(Duration::from_secs(5)).await;
    }
    let well_from = told.iter().position(|found| *found == overruled).expect("it is well");
    assert!((2..10).contains(&well_from), "{told:?}");
    assert!(told[..well_from].iter().all(|found| *found == unreachable), "{told:?}");
    assert!(told[well_from..].iter().all(|found| *found == overruled), "{told:?}");
    assert_eq!(*scripted.asked.lock(), 3, "and then it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_synthesiser_that_is_gone_for_hours_is_ready_as_soon_as_its_check_is_well() {
    let (unreachable, _) = unreachable();
    let scripted = Scripted::new(&unreachable, [Err(not_found())]);
    let watched = WatchedTts::new(Arc::clone(&scripted) as Arc<dyn TextToSpeech>);
    for _ in 0..1_000 {
        assert_eq!(watched.check().await, unreachable);
        sleep(Duration::from_secs(5)).await;
    }
    assert!((50..100).contains(&*scripted.asked.lock()), "{}", scripted.asked.lock());
    *scripted.checked.lock() = ready();
    assert_eq!(watched.check().await, ready());
}

#[tokio::test(start_paused = true)]
async fn a_dialog_platform_whose_check_fails_is_asked_nothing() {
    let (unreachable, _) = unreachable();
    let scripted = Scripted::new(&unreachable, [Ok(saying("Hm.".into()))]);
    let watched = WatchedDialog::new(Arc::clone(&scripted) as Arc<dyn DialogBackend>);
    for _ in 0..100 {
        assert_eq!(watched.check().await, unreachable);
        sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(*scripted.asked.lock(), 0);
}

/// Answers nothing that it is asked, and counts what it is asked at the same time.
#[derive(Default)]
struct Mute {
    asked: Mutex<usize>,
    in_flight: Arc<Mutex<usize>>,
    in_flight_max: Mutex<usize>,
}

/// Until the request ends.
struct InFlight(Arc<Mutex<usize>>);

impl Drop for InFlight {
    fn drop(&mut self) {
        *self.0.lock() -= 1;
    }
}

impl TextToSpeech for Mute {
    fn synthesize(&self, _: TtsRequest) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        *self.asked.lock() += 1;
        *self.in_flight.lock() += 1;
        let in_flight = InFlight(Arc::clone(&self.in_flight));
        let mut most = self.in_flight_max.lock();
        *most = (*most).max(*in_flight.0.lock());
        Box::pin(async move {
            let _in_flight = in_flight;
            std::future::pending().await
        })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::ready(ready()))
    }
}

#[tokio::test(start_paused = true)]
async fn one_request_of_the_engines_own_is_made_at_a_time_and_each_one_ends() {
    let mute = Arc::new(Mute::default());
    let watched = WatchedTts::new(Arc::clone(&mute) as Arc<dyn TextToSpeech>);
    for _ in 0..2 {
        watched.record.note(Err(&TtsFailure::Timeout));
    }
    for _ in 0..600 {
        assert_ne!(watched.check().await, ready());
        sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(*mute.in_flight_max.lock(), 1);
    assert!((8..20).contains(&*mute.asked.lock()), "{}", mute.asked.lock());
}

/// Its check hangs; what it is asked is answered.
struct Hangs;

impl DialogBackend for Hangs {
    fn ask(&self, _: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(std::future::ready(Ok(saying("Hm.".into()))))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(std::future::pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_is_overruled_by_a_call_that_was_served_meanwhile() {
    let watched = WatchedDialog::new(Arc::new(Hangs));
    let begun = Instant::now();
    assert!(matches!(watched.check().await, Health::Unavailable(_)));
    assert_eq!(begun.elapsed(), Duration::from_millis(CHECK_MS_MAX.into()));
    let watched = WatchedDialog::new(Arc::new(Hangs));
    let (found, _) = tokio::join!(watched.check(), async {
        sleep(Duration::from_secs(1)).await;
        watched.ask(turn("a")).await
    });
    assert!(matches!(found, Health::Ready(_)), "{found:?}");
    sleep(Duration::from_secs(60)).await;
    let found = watched.check().await;
    assert!(matches!(found, Health::Ready(_)), "and it stays so: {found:?}");
}

#[tokio::test(start_paused = true)]
async fn turns_that_fail_overrule_a_check_of_the_dialog_platform_and_are_never_made_to_find_out() {
    let broken = DialogFailure::Status { status: 500 };
    let scripted = Scripted::new(&ready(), [Err(broken.clone())]);
    let watched = WatchedDialog::new(Arc::clone(&scripted) as Arc<dyn DialogBackend>);
    assert_eq!(watched.check().await, ready());
    assert_eq!(watched.ask(turn("a")).await, Err(broken));
    assert_eq!(watched.check().await, ready(), "one failure is doubt");
    let _failed = watched.ask(turn("a")).await;
    let Health::Unavailable(found) = watched.check().await else { panic!("it is not ready") };
    assert!(found.contains("status 500"), "{found}");
    sleep(Duration::from_millis(FRESH_MS)).await;
    assert_ne!(watched.check().await, ready());
    // Otherwise nobody would ever ask again.
    sleep(Duration::from_millis(1)).await;
    assert_eq!(watched.check().await, ready());
    let _failed = watched.ask(turn("a")).await;
    assert_ne!(watched.check().await, ready(), "it fails as before");
    assert_eq!(*scripted.asked.lock(), 3);
}

/// How a platform stands at each of `checks`, 5 s apart, after two turns failed by `failure`;
/// and how many turns it was asked.
async fn declined(
    failure: &DialogFailure,
    mends_after: usize,
    checks: usize,
) -> (Vec<bool>, usize) {
    let answers = std::iter::repeat_n(Err(failure.clone()), mends_after);
    let scripted = Scripted::new(&ready(), answers.chain([Ok(saying("Hm.".into()))]));
    let watched = WatchedDialog::new(Arc::clone(&scripted) as Arc<dyn DialogBackend>);
    for _ in 0..2 {
        let _failed = watched.ask(turn("a")).await;
    }
    let mut told = Vec::new();
    for _ in 0..checks {
        told.push(watched.check().await == ready());
        sleep(Duration::from_secs(5)).await;
    }
    let asked = *scripted.asked.lock();
    (told, asked)
}

#[tokio::test(start_paused = true)]
async fn a_platform_that_declines_turns_is_not_ready_until_one_is_carried_out() {
    let declines = [
        DialogFailure::Unauthorized,
        DialogFailure::Forbidden,
        DialogFailure::Status { status: 404 },
        DialogFailure::Status { status: 308 },
    ];
    for failure in declines {
        let (told, asked) = declined(&failure, 1_000, 120).await;
        assert!(!told.contains(&true), "{failure}: nothing has changed: {told:?}");
        assert!((10..20).contains(&asked), "{failure}: asked ever more rarely: {asked}");
        let (told, asked) = declined(&failure, 6, 60).await;
        assert_eq!(told.last(), Some(&true), "{failure}: it is well by itself");
        assert_eq!(asked, 7, "{failure}: and then it is left alone");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_may_have_run_is_not_repeated_to_find_out() {
    for failure in [
        DialogFailure::Timeout,
        DialogFailure::Unreachable,
        DialogFailure::RateLimited,
        DialogFailure::Status { status: 502 },
        DialogFailure::Status { status: 409 },
        DialogFailure::Malformed { message: "is no JSON".to_owned() },
    ] {
        assert_eq!(declined(&failure, 1_000, 120).await.1, 2, "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_was_answered_overrules_a_check_that_fails_and_turns_that_failed() {
    let unreachable = Health::Unavailable("no such host".to_owned());
    let answers =
        [Err(DialogFailure::Timeout), Err(DialogFailure::Timeout), Ok(saying("Hm.".into()))];
    let watched = WatchedDialog::new(Scripted::new(&unreachable, answers));
    assert_eq!(watched.check().await, unreachable);
    for _ in 0..3 {
        let _outcome = watched.ask(turn("a")).await;
    }
    assert!(matches!(watched.check().await, Health::Ready(_)));
    sleep(Duration::from_secs(3_600)).await;
    assert!(matches!(watched.check().await, Health::Ready(_)), "it answers calls");
}

#[tokio::test(start_paused = true)]
async fn every_transcript_loses_what_is_no_word() {
    let watched =
        WatchedStt::new(Scripted::new(&ready(), ["[laughs] yes", "[BLANK_AUDIO]"].map(heard)));
    assert_eq!(watched.transcribe(trial_utterance()).await, heard("yes"));
    assert_eq!(watched.transcribe(trial_utterance()).await, Ok(Transcript::NoMatch));
}

#[tokio::test(start_paused = true)]
async fn a_recogniser_that_hears_no_words_in_anything_is_told() {
    let limits = QueueLimits { queue_max: 100, batch_max: 10 };
    let (telemetry, queue) = Telemetry::new(limits, Vec::new());
    let scripted = Scripted::new(&ready(), [Ok(Transcript::NoMatch)]);
    let watched = WatchedStt::new(scripted).telling("worker", &telemetry);
    for nth in 0..40 {
        let speech = SpeechAudio::new(vec![0; INNER_RATE.samples_in_ms(1_500)]).into();
        let request =
            SttRequest { call_id: CallId::from_bits(nth % 4), speech, ..trial_utterance() };
        assert_eq!(watched.transcribe(request).await, Ok(Transcript::NoMatch));
    }
    let path = std::env::temp_dir().join(format!("antiphon-wordless-{}", std::process::id()));
    let settings = EventFileSettings { path: path.clone(), rotate_bytes: 0, rotated_files_max: 0 };
    queue.drain(&mut EventWriter::<LockedFile>::new(settings));
    let told = std::fs::read_to_string(&path).expect("events");
    std::fs::remove_file(&path).expect("it is there");
    assert_eq!(told.matches("nothing_recognised").count(), 1, "told once: {told}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_a_failure_of_any_synthesiser() {
    let silence = SpeechAudio::new(vec![0; 16_000]);
    let watched = WatchedTts::new(Scripted::new(&ready(), [Ok(silence)]));
    for _ in 0..2 {
        assert_eq!(watched.synthesize(sentence()).await, Err(silent()));
    }
    assert!(matches!(watched.check().await, Health::Unavailable(_)));
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_itself_holds_back_says_nothing_of_the_provider() {
    let message = String::new;
    for failure in [TtsFailure::Saturated, TtsFailure::BreakerOpen { message: message() }] {
        let answers = [Err(not_found()), Err(failure.clone())];
        let watched = WatchedTts::new(Scripted::new(&ready(), answers));
        for _ in 0..3 {
            let _failed = watched.synthesize(sentence()).await;
        }
        assert_eq!(watched.check().await, ready(), "{failure}: one was sent");
    }
    for failure in [SttFailure::Saturated, SttFailure::BreakerOpen { message: message() }] {
        let watched = WatchedStt::new(Scripted::new(&ready(), [Err(failure.clone())]));
        for _ in 0..3 {
            let _failed = watched.transcribe(trial_utterance()).await;
        }
        assert_eq!(watched.check().await, ready(), "{failure}");
    }
    for failure in [DialogFailure::Saturated, DialogFailure::BreakerOpen { message: message() }] {
        let watched = WatchedDialog::new(Scripted::new(&ready(), [Err(failure.clone())]));
        for _ in 0..3 {
            let _failed = watched.ask(turn("a")).await;
        }
        assert_eq!(watched.check().await, ready(), "{failure}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_failed_before_it_was_left_alone_is_not_called_well_meanwhile() {
    let refused = TtsFailure::BreakerOpen { message: String::new() };
    let answers = [Err(not_found()), Err(not_found()), Err(refused)];
    let watched = WatchedTts::new(Scripted::new(&ready(), answers));
    for _ in 0..9 {
        let _failed = watched.synthesize(sentence()).await;
    }
    let Health::Unavailable(found) = watched.check().await else { panic!("it is not ready") };
    assert!(found.contains("last 2 requests") && found.contains("status 404"), "{found}");
}
