//! Providers as calls ask them: what becomes of each request is kept, and says more than any
//! check whether the next caller would be served.
//!
//! All of them pass through here, whatever they are. So does every transcript, which loses
//! what is no word, and every sentence, which fails when it is nothing but silence.
//!
//! A check that fails although a request was carried out since is wrong, and says nothing until
//! it is well again: what counts then is requests.
//!
//! Where requests fail, or a check does, and nobody calls, recognisers and synthesisers are asked
//! for something now and then. A dialog platform is only where it declines what it is asked, as
//! one does that refuses the key: nothing runs then, and the first turn that does ends it. Every
//! other turn has effects.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::{Instant, timeout};

use super::growing_speech::{is_audible, silent};
use super::http::CHECK_MS_MAX;
use super::wordless::Wordless;
use super::{
    DialogBackend, Health, ServiceFuture, Speech, SpeechToText, SttRequest, TextToSpeech,
    TtsRequest, words,
};
use crate::resilience::Standing;
use crate::telemetry::{EngineEvent, Telemetry};
use crate::types::{
    CallId, CallerText, DialogFailure, DialogReply, DialogRequest, INNER_RATE, Now, SessionData,
    SessionId, SpeechAudio, SttFailure, Transcript, TtsFailure, TurnId, UserId,
};

/// A request that was carried out so lately is better than any check. So is one that failed,
/// where none is made just to find out: whoever sends no callers to an engine that is not
/// ready would wait for ever for the next one.
const FRESH_MS: u64 = 15_000;
/// Longest time for a request of the engine's own.
const TRIAL_MS_MAX: u32 = 10_000;
/// What is spoken, or asked, when it has to be found out whether anything is.
const TRIAL_WORDS: &str = "Hello.";
/// Who asks it.
const TRIAL_USER: &str = "antiphon-check";
/// No call is drawn this id.
const NO_CALL: CallId = CallId::from_bits(0);
/// Nor is a session this one: whatever is tried is one session for the platform.
const TRIAL_SESSION: SessionId = SessionId::from_bits(0);
/// How long the sound is that is to be recognised then.
const TRIAL_SPEECH_MS: u32 = 500;

/// What became of the requests to one provider.
struct Record {
    kept: Mutex<Kept>,
    started: Instant,
    /// No request to it has an effect: one may be made whenever there is doubt.
    has_no_effects: bool,
}

#[derive(Default)]
struct Kept {
    standing: Standing,
    /// The latest failure; holds no caller data.
    failure: String,
    /// A request may be made just to find out: it has no effect, or none as long as it fails
    /// like the latest one.
    may_try: bool,
    /// The latest check did.
    check_fails: bool,
    /// A request was carried out although the check fails.
    check_is_wrong: bool,
    /// A request that was made just to find out is not answered yet.
    is_trying: bool,
}

impl Kept {
    /// What a check that began at `begun` and ended at `now` says beside the requests.
    fn weigh(&mut self, checked: Health, begun: Now, now: Now) -> Health {
        let (Health::Unavailable(why) | Health::Refused(why)) = &checked else {
            (self.check_fails, self.check_is_wrong) = (false, false);
            return checked;
        };
        self.check_fails = true;
        self.check_is_wrong |= self.standing.worked_within(now, now.ms_since(begun));
        if self.check_is_wrong || self.standing.worked_within(now, FRESH_MS) {
            return Health::Ready(format!("answers calls, although a check of it fails: {why}"));
        }
        checked
    }
}

/// Why a request was not carried out.
trait Failure: ToString {
    /// There was no answer in time.
    const TOO_LATE: Self;

    /// Whether the provider had the request. What the engine itself held back says nothing
    /// about it.
    fn was_sent(&self) -> bool;

    /// Whether a request that fails like this has no effect.
    fn has_no_effect(&self) -> bool {
        true
    }
}

impl Failure for DialogFailure {
    const TOO_LATE: Self = Self::Timeout;

    fn was_sent(&self) -> bool {
        !matches!(self, Self::Saturated | Self::BreakerOpen { .. })
    }

    /// What is declined is not run, and is declined until somebody changes something. A 408
    /// may come after the turn was taken, a 409 because of it.
    fn has_no_effect(&self) -> bool {
        match self {
            Self::Unauthorized | Self::Forbidden => true,
            Self::Status { status } => matches!(status, 300..=407 | 410..=428 | 430..=499),
            _ => false,
        }
    }
}

impl Failure for SttFailure {
    const TOO_LATE: Self = Self::Timeout;

    fn was_sent(&self) -> bool {
        !matches!(self, Self::Saturated | Self::BreakerOpen { .. })
    }
}

impl Failure for TtsFailure {
    const TOO_LATE: Self = Self::Timeout;

    fn was_sent(&self) -> bool {
        !matches!(self, Self::Saturated | Self::BreakerOpen { .. })
    }
}

impl Record {
    fn new(has_no_effects: bool) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), started: Instant::now(), has_no_effects })
    }

    fn note<F: Failure>(&self, outcome: Result<(), &F>) {
        let now = self.now();
        let mut kept = self.kept.lock();
        match outcome {
            Ok(()) => {
                kept.standing.worked(now);
                kept.check_is_wrong = kept.check_fails;
            }
            Err(failure) if failure.was_sent() => {
                kept.standing.failed(now);
                kept.failure = failure.to_string();
                kept.may_try = failure.has_no_effect();
                kept.check_is_wrong &= kept.standing.failing().is_none();
            }
            Err(_) => {}
        }
    }

    /// What real requests say; where they all fail, no check says better. Nor does one that
    /// hangs, of a provider that answers calls meanwhile.
    async fn overrule(&self, check: impl Future<Output = Health>) -> Health {
        if let Some(failing) = self.failing() {
            return failing;
        }
        let begun = self.now();
        let checked = timeout(Duration::from_millis(CHECK_MS_MAX.into()), check).await;
        let checked = checked.unwrap_or_else(|_| {
            let seconds = CHECK_MS_MAX / 1_000;
            Health::Unavailable(format!("a check of it is not answered within {seconds} s"))
        });
        let now = self.now();
        self.failing().unwrap_or_else(|| {
            let mut kept = self.kept.lock();
            let found = kept.weigh(checked, begun, now);
            if !kept.check_fails {
                kept.standing.trusted();
            } else if self.has_no_effects && !kept.check_is_wrong {
                kept.standing.doubted(now);
            }
            found
        })
    }

    fn failing(&self) -> Option<Health> {
        let now = self.now();
        let kept = self.kept.lock();
        let failures = kept.standing.failing()?;
        let hope = if kept.may_try {
            "it is ready as soon as one does not, and is asked for that from time to time"
        } else if kept.standing.failed_within(now, FRESH_MS) {
            "it is ready as soon as one does not, or when none was made for a while"
        } else {
            return None;
        };
        let failure = &kept.failure;
        Some(Health::Unavailable(format!(
            "the last {failures} requests failed ({failure}); {hope}"
        )))
    }

    /// Makes the `request` of the engine's own if one is due, in the background, and only one
    /// at a time.
    fn try_out<T, F, R>(self: &Arc<Self>, request: impl FnOnce() -> R)
    where
        F: Failure,
        R: Future<Output = Result<T, F>> + Send + 'static,
    {
        let Some(trial) = self.take_trial() else { return };
        let answer = timeout(Duration::from_millis(TRIAL_MS_MAX.into()), request());
        tokio::spawn(async move {
            let outcome = answer.await.unwrap_or(Err(F::TOO_LATE));
            trial.end(outcome.as_ref().map(drop));
        });
    }

    fn take_trial(self: &Arc<Self>) -> Option<Trial> {
        let now = self.now();
        let mut kept = self.kept.lock();
        let may_try = (self.has_no_effects || kept.may_try) && !kept.is_trying;
        kept.is_trying |= may_try && kept.standing.take_trial(now);
        (may_try && kept.is_trying).then(|| Trial(Arc::clone(self)))
    }

    fn now(&self) -> Now {
        Now(u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }
}

/// A request of the engine's own. It is over when this is dropped.
struct Trial(Arc<Record>);

impl Trial {
    /// Keeps what became of it. Where only a check fails, it may be right, and says by itself
    /// when it is well again: that the request failed as well is nothing new.
    fn end<F: Failure>(self, outcome: Result<(), &F>) {
        if outcome.is_ok() || self.0.kept.lock().standing.is_in_doubt() {
            self.0.note(outcome);
        }
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.0.kept.lock().is_trying = false;
    }
}

/// A dialog platform that is watched.
pub(super) struct WatchedDialog {
    backend: Arc<dyn DialogBackend>,
    record: Arc<Record>,
}

impl WatchedDialog {
    pub(super) fn new(backend: Arc<dyn DialogBackend>) -> Self {
        Self { backend, record: Record::new(false) }
    }
}

/// A turn of nobody's.
fn trial_turn() -> DialogRequest {
    DialogRequest {
        call_id: NO_CALL,
        session_id: TRIAL_SESSION,
        user_id: UserId::from(TRIAL_USER),
        turn: TurnId(1),
        text: CallerText::from(TRIAL_WORDS),
        session: SessionData::default(),
        answer_ms_max: TRIAL_MS_MAX,
        trace: None,
    }
}

impl DialogBackend for WatchedDialog {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(async move {
            let outcome = self.backend.ask(request).await;
            self.record.note(outcome.as_ref().map(drop));
            outcome
        })
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.record.try_out(|| {
            let backend = Arc::clone(&self.backend);
            async move { backend.ask(trial_turn()).await }
        });
        Box::pin(self.record.overrule(self.backend.check()))
    }
}

/// A recogniser that is watched.
pub(super) struct WatchedStt {
    recogniser: Arc<dyn SpeechToText>,
    record: Arc<Record>,
    wordless: Mutex<Wordless>,
    /// Its name, and who is told.
    told_as: Option<(String, Telemetry)>,
}

impl WatchedStt {
    pub(super) fn new(recogniser: Arc<dyn SpeechToText>) -> Self {
        let (record, wordless) = (Record::new(true), Mutex::default());
        Self { recogniser, record, wordless, told_as: None }
    }

    /// The same, which tells by `telemetry` as `provider` when nothing is recognised any more.
    pub(super) fn telling(self, provider: &str, telemetry: &Telemetry) -> Self {
        Self { told_as: Some((provider.to_owned(), telemetry.clone())), ..self }
    }

    /// Looks whether there were words in `speech_ms` of what a caller of `call_id` said.
    fn look_for_words(&self, call_id: CallId, speech_ms: u64, has_words: bool) {
        let run = self.wordless.lock().heard(call_id, speech_ms, has_words);
        if let (Some(utterances), Some((provider, telemetry))) = (run, &self.told_as) {
            let provider = provider.clone();
            telemetry.engine_event(&EngineEvent::NothingRecognised { provider, utterances });
        }
    }
}

impl SpeechToText for WatchedStt {
    fn transcribe(&self, request: SttRequest) -> ServiceFuture<'_, Result<Transcript, SttFailure>> {
        Box::pin(async move {
            let (call_id, speech) = (request.call_id, request.speech.clone());
            let outcome = self.recogniser.transcribe(request).await;
            // Nobody was there any more to be served.
            if outcome.is_ok() || !speech.is_cut_off() {
                self.record.note(outcome.as_ref().map(drop));
            }
            let transcript = words::only(outcome?);
            if speech.has_ended() && !speech.is_cut_off() {
                let has_words = matches!(transcript, Transcript::Final { .. });
                self.look_for_words(call_id, speech.whole().await.ms(), has_words);
            }
            Ok(transcript)
        })
    }

    fn follows_speech(&self) -> bool {
        self.recogniser.follows_speech()
    }

    fn knows_any_words(&self) -> bool {
        self.recogniser.knows_any_words()
    }

    fn forget(&self, call_id: &CallId) {
        self.recogniser.forget(call_id);
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.record.try_out(|| {
            let recogniser = Arc::clone(&self.recogniser);
            async move {
                let outcome = recogniser.transcribe(trial_utterance()).await;
                recogniser.forget(&NO_CALL);
                outcome
            }
        });
        Box::pin(self.record.overrule(self.recogniser.check()))
    }
}

/// Half a second of a quiet tone: it is no word, but it is recognised as that.
fn trial_utterance() -> SttRequest {
    let wave = |at: usize| if (at / 40).is_multiple_of(2) { 500 } else { -500 };
    let samples: Vec<i16> = (0..INNER_RATE.samples_in_ms(TRIAL_SPEECH_MS)).map(wave).collect();
    SttRequest {
        call_id: NO_CALL,
        speech: SpeechAudio::new(samples).into(),
        language: "en-US".to_owned(),
        answer_ms_max: TRIAL_MS_MAX,
        trace: None,
    }
}

/// A synthesiser that is watched.
pub(super) struct WatchedTts {
    synthesiser: Arc<dyn TextToSpeech>,
    record: Arc<Record>,
    /// Voice and language of the latest sentence: others may work where they do not.
    asked_for: Mutex<(String, String)>,
}

impl WatchedTts {
    pub(super) fn new(synthesiser: Arc<dyn TextToSpeech>) -> Self {
        let asked_for = Mutex::new((String::new(), "en-US".to_owned()));
        Self { synthesiser, record: Record::new(true), asked_for }
    }

    fn trial_sentence(&self) -> TtsRequest {
        let (voice, language) = self.asked_for.lock().clone();
        let text = TRIAL_WORDS.into();
        TtsRequest { text, ssml: None, voice, language, answer_ms_max: TRIAL_MS_MAX, trace: None }
    }
}

/// Has a sentence spoken, and takes no silence for speech.
async fn audible(
    synthesiser: &dyn TextToSpeech,
    request: TtsRequest,
) -> Result<Speech, TtsFailure> {
    match synthesiser.speak(request).await {
        Ok(Speech::Whole(audio)) if !is_audible(audio.samples()) => Err(silent()),
        outcome => outcome,
    }
}

impl TextToSpeech for WatchedTts {
    fn synthesize(
        &self,
        request: TtsRequest,
    ) -> ServiceFuture<'_, Result<SpeechAudio, TtsFailure>> {
        Box::pin(async move { self.speak(request).await?.whole().await })
    }

    fn speak(&self, request: TtsRequest) -> ServiceFuture<'_, Result<Speech, TtsFailure>> {
        Box::pin(async move {
            *self.asked_for.lock() = (request.voice.clone(), request.language.clone());
            match audible(&*self.synthesiser, request).await {
                Ok(speech) => {
                    let record = Arc::clone(&self.record);
                    Ok(speech.when_ended(move |ended| record.note(ended)))
                }
                Err(failure) => {
                    self.record.note(Err(&failure));
                    Err(failure)
                }
            }
        })
    }

    fn speaks_words(&self) -> bool {
        self.synthesiser.speaks_words()
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        self.record.try_out(|| {
            let (synthesiser, sentence) = (Arc::clone(&self.synthesiser), self.trial_sentence());
            async move { audible(&*synthesiser, sentence).await?.whole().await }
        });
        Box::pin(self.record.overrule(self.synthesiser.check()))
    }
}

#[cfg(test)]
#[path = "tests/watched.rs"]
mod tests;
