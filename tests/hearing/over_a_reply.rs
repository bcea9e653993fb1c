//! Sounds of the caller while the bot speaks, from the samples to what the bot does about them:
//! a short word stops it, whatever its length; a cough and a listener's "mm-hm" cost nothing.

use std::sync::Arc;

use crate::track::line::replies;
use crate::track::words::{Word, short_words};
use crate::track::{Random, over_the_telephone};
use antiphon::media::echo::Played;
use antiphon::media::finder::SpeechFinder;
use antiphon::media::segmenter::SegmenterEvent;
use antiphon::turn::{Conversation, CutShort, TurnInput, TurnOutput, UtteranceFacts};
use antiphon::types::{
    CallEventKind, DialogReply, Epoch, INNER_RATE, ListeningSettings, Now, ReplyOutput, Route,
    SentenceId, SpeechAudio, Transcript, TurnId, UtteranceEnd, UtteranceId,
};

/// Samples of what a carrier sends at once (20 ms).
const PIECE: usize = 320;
/// What the bot says, in samples: long enough for all that is said over it.
const SENTENCE: usize = 80_000;
/// When somebody speaks over it, in milliseconds of it.
const ONSET_MS: std::ops::Range<u32> = 300..2_500;
/// Noise of a quiet line, at its loudest (-65 dB of full scale).
const LINE_NOISE: f64 = 18.0;

/// A call that is in the middle of its first answer.
struct Call {
    finder: SpeechFinder,
    played: Played,
    conversation: Conversation,
    random: Random,
    /// What the recogniser makes of whatever is said over the answer.
    words: Option<&'static str>,
    sustained: bool,
    utterances: u32,
    outcome: Outcome,
}

/// What came of a sound.
#[derive(Debug, Default, PartialEq)]
struct Outcome {
    utterances: usize,
    asked: Vec<String>,
    /// The bot was silenced, or the rest of what it had to say was dropped.
    stopped: usize,
    dropped: usize,
    taken_back: usize,
    /// It said something that nobody asked for.
    apologies: usize,
}

impl Call {
    /// The caller has asked something, and the bot answers with one long sentence.
    fn answered(settings: &ListeningSettings, words: Option<&'static str>) -> Self {
        let mut call = Self {
            finder: SpeechFinder::new(settings, Route::default().turns.interrupt_speech_ms_min),
            played: Played::default(),
            conversation: Conversation::new(Arc::new(Route::default())),
            random: Random(17),
            words,
            sustained: false,
            utterances: 1,
            outcome: Outcome::default(),
        };
        let text = "breakfast".into();
        let said = Ok(Transcript::Final { text, confidence: None });
        let text = "Breakfast is from six.".into();
        let outputs = vec![ReplyOutput { text, markup: None, interruptible: None }];
        let reply = Ok(DialogReply { outputs, ..DialogReply::default() });
        call.input(TurnInput::CallBegan);
        call.input(TurnInput::Utterance(call.facts(UtteranceId(1), UtteranceEnd::Silence)));
        call.input(TurnInput::Transcribed { utterance: UtteranceId(1), result: said });
        call.input(TurnInput::Replied { turn: TurnId(1), result: reply });
        call.input(TurnInput::SentenceStarted { sentence: SentenceId(1) });
        call.outcome = Outcome::default();
        call
    }

    fn facts(&self, utterance: UtteranceId, end: UtteranceEnd) -> UtteranceFacts {
        let sustained = self.sustained;
        UtteranceFacts { utterance, audio_ms: 1_000, end_of_speech_ms: 500, sustained, end }
    }

    fn now(&self) -> Now {
        Now(self.finder.position().as_nanos())
    }

    /// Hears the caller's side, and lets the bot do what it does about it.
    fn hear(&mut self, samples: &[i16]) {
        for piece in samples.chunks(PIECE) {
            let noise = |sample: &i16| {
                let noise = 2.0 * self.random.positive() - 1.0;
                sample.saturating_add((noise * LINE_NOISE) as i16)
            };
            let piece: Vec<i16> = piece.iter().map(noise).collect();
            let now = Now(self.finder.position().plus_samples(piece.len() as u64).as_nanos());
            self.finder.handle_samples_over(&piece, now, &mut self.played);
            while let Some(event) = self.finder.poll_event() {
                self.heard(event);
            }
        }
    }

    fn heard(&mut self, event: SegmenterEvent) {
        match event {
            SegmenterEvent::SpeechStarted { .. } => {
                self.sustained = false;
                self.input(TurnInput::SpeechStarted);
            }
            SegmenterEvent::SpeechSustained { .. } => {
                self.sustained = true;
                self.input(TurnInput::SpeechSustained);
            }
            SegmenterEvent::UtteranceReady { end, .. } => {
                self.utterances += 1;
                self.outcome.utterances += 1;
                let utterance = UtteranceId(self.utterances);
                self.input(TurnInput::Utterance(self.facts(utterance, end)));
            }
        }
    }

    fn input(&mut self, input: TurnInput) {
        self.conversation.handle_input(self.now(), input);
        while let Some(output) = self.conversation.poll_output() {
            self.obey(output);
        }
    }

    fn obey(&mut self, output: TurnOutput) {
        match output {
            TurnOutput::Transcribe { utterance } if utterance > UtteranceId(1) => {
                let heard = self.words.map_or(Transcript::NoMatch, |words| Transcript::Final {
                    text: words.into(),
                    confidence: None,
                });
                self.input(TurnInput::Transcribed { utterance, result: Ok(heard) });
            }
            TurnOutput::Ask { text, .. } => self.outcome.asked.push(text.expose().clone()),
            TurnOutput::StopSpeaking { epoch } => self.stop(epoch),
            TurnOutput::Drop { .. } => self.outcome.dropped += 1,
            TurnOutput::Speak { .. } => self.outcome.apologies += 1,
            TurnOutput::Tell { kind: CallEventKind::FalseInterruption { .. }, .. } => {
                self.outcome.taken_back += 1;
            }
            _ => {}
        }
    }

    fn stop(&mut self, epoch: Epoch) {
        self.outcome.stopped += 1;
        let now = self.now();
        self.played.stop(now);
        let cut = CutShort {
            sentence: SentenceId(1),
            heard_samples: SENTENCE / 2,
            samples: SENTENCE,
            open: false,
        };
        self.input(TurnInput::SpeakingStopped { epoch, cuts: vec![cut] });
    }
}

fn reply() -> SpeechAudio {
    let speech = replies().swap_remove(0);
    SpeechAudio::new(speech.into_iter().cycle().take(SENTENCE).collect::<Vec<_>>())
}

/// What comes of a sound that is made while the bot speaks.
fn over(reply: &SpeechAudio, sound: &[i16], onset_ms: u32, words: Option<&'static str>) -> Outcome {
    let mut call = Call::answered(&ListeningSettings::default(), words);
    // The line is heard for a second before the bot speaks.
    call.hear(&[0; 16_000]);
    call.played.hand_over(call.now(), reply, 0, SENTENCE);
    let onset = INNER_RATE.samples_in_ms(onset_ms);
    call.hear(&[&vec![0; onset][..], sound, &[0; 16_000]].concat());
    call.outcome
}

/// Each short word at another time of the reply, plain and over the telephone.
fn short_words_at_any_time() -> Vec<(String, Vec<i16>, u32)> {
    let mut random = Random(18);
    let mut onset = || {
        let span = f64::from(ONSET_MS.end - ONSET_MS.start);
        ONSET_MS.start + (random.positive() * span) as u32
    };
    let spoken = |Word { name, samples }: Word| {
        let telephone = over_the_telephone(&samples);
        [(name.clone(), samples), (format!("{name}, µ-law"), telephone)]
    };
    let words = short_words().into_iter().flat_map(spoken);
    words.map(|(name, samples)| (name, samples, onset())).collect()
}

#[test]
fn every_short_word_over_the_bot_is_an_utterance_and_stops_it() {
    let reply = reply();
    for (name, word, onset_ms) in short_words_at_any_time() {
        let found = over(&reply, &word, onset_ms, Some("four"));
        let asked = !found.asked.is_empty() && found.asked.iter().all(|text| text == "four");
        assert!(asked && found.stopped == 1 && found.dropped == 1, "{name}: {found:?}");
    }
}

#[test]
fn every_sound_that_is_no_word_or_only_a_listeners_is_taken_back() {
    let reply = reply();
    for (name, word, onset_ms) in short_words_at_any_time().into_iter().step_by(3) {
        for words in [Some("mm-hm"), None] {
            let found = over(&reply, &word, onset_ms, words);
            assert_costs_nothing(&name, &found);
            assert!(found.utterances > 0, "{name}: {found:?}");
        }
    }
}

#[test]
fn no_cough_costs_anything() {
    let reply = reply();
    for nth in 0..24 {
        let found = over(&reply, &cough(nth), 400 + 60 * nth, None);
        assert_costs_nothing(&format!("cough {nth}"), &found);
    }
}

fn assert_costs_nothing(name: &str, found: &Outcome) {
    let goes_on = found.dropped == 0 && found.stopped == found.taken_back;
    assert!(goes_on && found.asked.is_empty() && found.apologies == 0, "{name}: {found:?}");
}

/// A cough as a synthesiser makes one: a burst of noise (120 to 400 ms), and the voice that
/// comes with the second half of it.
fn cough(seed: u32) -> Vec<i16> {
    let mut random = Random(100 + seed);
    let length = 1_920 + (random.positive() * 4_480.0) as usize;
    let hz = 110.0 + 110.0 * random.positive();
    let voiced = random.positive();
    let (mut low, mut band) = (0.0, 0.0);
    (0..length)
        .map(|n| {
            let seconds = n as f64 / 16_000.0;
            let share = n as f64 / length as f64;
            // Noise around 1 kHz, as of a throat.
            let noise = 2.0 * random.positive() - 1.0;
            band += 0.35 * (noise - low - 0.6 * band);
            low += 0.35 * band;
            let pulse =
                (1..20).map(|k| (std::f64::consts::TAU * hz * f64::from(k) * seconds).sin());
            let voice = voiced * (share - 0.4).max(0.0) * pulse.sum::<f64>() / 5.0;
            let loudness = (1.0 - (-400.0 * seconds).exp()) * (-3.0 * share).exp();
            ((band + voice) * loudness * 16_000.0).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}
