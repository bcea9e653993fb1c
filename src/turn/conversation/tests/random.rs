//! Any order of things: the caller, the services and the player do what they like, and what
//! they tell takes its time. The rules hold all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::{Story, cut, facts, says};
use crate::turn::{TurnInput, TurnOutput, UtteranceFacts};
use crate::types::{
    CallEventKind, Epoch, HeldAnswer, Prompt, ReplyOutput, SentenceId, SttFailure, Transcript,
    TtsFailure, TurnId, UtteranceEnd, UtteranceId,
};

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Step {
    SpeechBegins,
    SpeechIsSustained,
    SpeechEnds {
        is_cut: bool,
    },
    /// Behind an utterance that was cut.
    NothingFollows,
    Transcript(u8),
    Reply {
        protects: bool,
        sentences: u8,
        end_call: bool,
    },
    Audio {
        fails: bool,
    },
    Play {
        heard_ms: u16,
    },
    /// The conversation hears of what happened first and was not told yet.
    Deliver,
    HoldExpires,
    MediaLost,
    MediaResumed,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::SpeechBegins),
        3 => Just(Step::SpeechIsSustained),
        4 => proptest::bool::weighted(0.1).prop_map(|is_cut| Step::SpeechEnds { is_cut }),
        2 => Just(Step::NothingFollows),
        5 => (0u8..8).prop_map(Step::Transcript),
        5 => (any::<bool>(), 0u8..4, proptest::bool::weighted(0.02)).prop_map(
            |(protects, sentences, end_call)| Step::Reply { protects, sentences, end_call }
        ),
        6 => proptest::bool::weighted(0.05).prop_map(|fails| Step::Audio { fails }),
        10 => (0u16..1_000).prop_map(|heard_ms| Step::Play { heard_ms }),
        14 => Just(Step::Deliver),
        1 => Just(Step::HoldExpires),
        1 => Just(Step::MediaLost),
        1 => Just(Step::MediaResumed),
    ]
}

/// A sentence at the player.
struct Queued {
    id: SentenceId,
    is_ready: bool,
    /// The utterance over which it began, or none.
    began: Option<Option<u32>>,
}

/// Caller, services and player around a conversation.
struct World {
    story: Story,
    /// Told and not heard of yet.
    mail: VecDeque<TurnInput>,
    /// The utterance in progress, and the last one.
    speaking: bool,
    utterance: u32,
    /// The last one was cut.
    may_go_on: bool,
    transcribing: Vec<UtteranceId>,
    asking: Vec<TurnId>,
    asked: BTreeSet<TurnId>,
    player: VecDeque<Queued>,
    /// Which sentences may not be interrupted.
    protected: BTreeSet<SentenceId>,
    /// What the player is to do before anything else.
    stop: Option<Epoch>,
    dropped: Vec<SentenceId>,
    held_from: Option<SentenceId>,
    /// How often each sentence came to an end.
    fates: BTreeMap<SentenceId, u32>,
    /// Sentences were dropped for another reason than a lost connection.
    has_dropped: bool,
    was_told_of_drops: bool,
    is_lost: bool,
    is_over: bool,
    is_noise: bool,
}

impl World {
    fn new(held_answer: HeldAnswer) -> Self {
        let story = Story::with(|route| {
            route.turns.failures_max = 10_000;
            route.turns.held_answer = held_answer;
            route.prompts.greeting =
                Some(Prompt { text: "Welcome. Speak.".to_owned(), interruptible: None });
        });
        let mut world = Self {
            story,
            mail: VecDeque::from([TurnInput::CallBegan]),
            speaking: false,
            utterance: 0,
            may_go_on: false,
            transcribing: Vec::new(),
            asking: Vec::new(),
            asked: BTreeSet::new(),
            player: VecDeque::new(),
            protected: BTreeSet::new(),
            stop: None,
            dropped: Vec::new(),
            held_from: None,
            fates: BTreeMap::new(),
            has_dropped: false,
            was_told_of_drops: false,
            is_lost: false,
            is_over: false,
            is_noise: false,
        };
        world.deliver();
        world
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::SpeechBegins if !self.speaking && !self.is_lost => {
                (self.speaking, self.utterance) = (true, self.utterance + 1);
                self.may_go_on = false;
                self.mail.push_back(TurnInput::SpeechStarted);
            }
            Step::SpeechIsSustained if self.speaking => {
                self.mail.push_back(TurnInput::SpeechSustained);
            }
            Step::SpeechEnds { is_cut: true } => {
                self.may_go_on |= self.speaking;
                self.end_speech(UtteranceEnd::MaxLength);
            }
            // Nobody can know before they have heard of the cut.
            Step::NothingFollows if self.may_go_on && self.mail.is_empty() => {
                self.may_go_on = false;
                self.is_noise = false;
                if self.story.conversation.expects_more_speech() {
                    self.feed(TurnInput::SpeechEnded);
                }
            }
            Step::SpeechEnds { is_cut: false } => self.end_speech(UtteranceEnd::Silence),
            Step::Transcript(what) => self.transcribe(what),
            Step::Reply { protects, sentences, end_call } => {
                self.reply(protects, sentences, end_call);
            }
            Step::Audio { fails } => self.synthesise(fails),
            Step::Play { heard_ms } => self.play(heard_ms),
            Step::Deliver => self.deliver(),
            Step::HoldExpires if self.story.conversation.holds() => {
                self.is_noise = true;
                self.feed(TurnInput::HoldExpired);
            }
            Step::MediaLost if !self.is_lost => {
                self.is_lost = true;
                self.mail.push_back(TurnInput::MediaLost { can_hear: false });
                self.end_speech(UtteranceEnd::MediaEnded);
            }
            Step::MediaResumed if self.is_lost => {
                self.is_lost = false;
                self.mail.push_back(TurnInput::MediaResumed);
            }
            _ => {}
        }
    }

    fn end_speech(&mut self, end: UtteranceEnd) {
        if std::mem::take(&mut self.speaking) {
            let facts = UtteranceFacts { end, ..facts(self.utterance, false) };
            self.mail.push_back(TurnInput::Utterance(facts));
        }
    }

    fn transcribe(&mut self, what: u8) {
        if self.transcribing.is_empty() {
            return;
        }
        let utterance = self.transcribing.remove(usize::from(what) % self.transcribing.len());
        let words = |text: &str| Ok(Transcript::Final { text: text.into(), confidence: None });
        let result = match what {
            0 | 1 => Ok(Transcript::NoMatch),
            2 => words("yeah"),
            3 => Err(SttFailure::Timeout),
            _ => words("a room"),
        };
        self.mail.push_back(TurnInput::Transcribed { utterance, result });
    }

    fn reply(&mut self, protects: bool, sentences: u8, end_call: bool) {
        let Some(turn) = self.asking.pop() else { return };
        let mut reply = says("One.");
        let output = |nth| ReplyOutput {
            text: "One.".into(),
            markup: None,
            interruptible: (protects && nth % 2 == 0).then_some(false),
        };
        reply.outputs = (0..sentences).map(output).collect();
        reply.end_call = end_call;
        self.mail.push_back(TurnInput::Replied { turn, result: Ok(reply) });
    }

    fn synthesise(&mut self, fails: bool) {
        let Some(at) = self.player.iter().position(|queued| !queued.is_ready) else { return };
        let sentence = self.player[at].id;
        if fails {
            self.player.remove(at);
            let failure = TtsFailure::Timeout;
            self.mail.push_back(TurnInput::SentenceFailed { sentence, tts_ms: 5, failure });
        } else {
            self.player[at].is_ready = true;
            self.mail.push_back(TurnInput::SentenceReady { sentence, tts_ms: 5, audio_ms: None });
        }
    }

    fn play(&mut self, heard_ms: u16) {
        self.follow_orders(heard_ms);
        let ends = self.ends();
        let Some(front) = self.player.front_mut() else { return };
        if front.began.is_some() {
            self.mail.push_back(TurnInput::SentenceFinished { sentence: front.id });
            self.player.pop_front();
        } else if front.is_ready && self.held_from.is_none_or(|from| front.id < from) {
            let is_protected = self.protected.contains(&front.id);
            assert!(
                is_protected || ends || !self.story.conversation.caller_speaks(),
                "{} begins while the caller is known to speak",
                front.id
            );
            front.began = Some(self.speaking.then_some(self.utterance));
            self.mail.push_back(TurnInput::SentenceStarted { sentence: front.id });
        }
    }

    /// Whether the bot says its last words, which wait for nobody.
    fn ends(&self) -> bool {
        self.story.conversation.ending().is_some()
    }

    fn follow_orders(&mut self, heard_ms: u16) {
        if let Some(epoch) = self.stop.take() {
            let mut cuts = Vec::new();
            for queued in &mut self.player {
                let heard = if queued.began.take().is_some() { heard_ms } else { 0 };
                cuts.push(cut(queued.id.0, heard.into()));
            }
            self.mail.push_back(TurnInput::SpeakingStopped { epoch, cuts });
        }
        let dropped = std::mem::take(&mut self.dropped);
        self.player.retain(|queued| !dropped.contains(&queued.id));
    }

    fn deliver(&mut self) {
        if let Some(input) = self.mail.pop_front() {
            self.feed(input);
        }
        let bot_waits = !self.is_noise && !self.ends();
        if self.mail.is_empty() && bot_waits && self.speaking && !self.is_lost {
            // Everybody knows everything.
            self.follow_orders(10);
            for queued in &self.player {
                let is_spoken_over = queued.began == Some(Some(self.utterance));
                assert!(
                    !is_spoken_over || self.protected.contains(&queued.id),
                    "{} began on top of the caller and goes on",
                    queued.id
                );
            }
        }
    }

    fn feed(&mut self, input: TurnInput) {
        if self.is_over {
            return;
        }
        match &input {
            TurnInput::SentenceFinished { sentence }
            | TurnInput::SentenceFailed { sentence, .. } => {
                *self.fates.entry(*sentence).or_default() += 1;
            }
            TurnInput::Utterance(facts) if facts.end != UtteranceEnd::MaxLength => {
                self.is_noise = false;
            }
            _ => {}
        }
        let is_loss = matches!(input, TurnInput::MediaLost { .. });
        let outputs = self.story.feed(input);
        let drops = |output: &TurnOutput| matches!(output, TurnOutput::Drop { .. });
        self.has_dropped |= !is_loss && outputs.iter().any(drops);
        self.is_over = self.story.conversation.ended;
        for output in outputs {
            self.carry_out(output);
        }
    }

    fn carry_out(&mut self, output: TurnOutput) {
        match output {
            TurnOutput::Transcribe { utterance } => self.transcribing.push(utterance),
            TurnOutput::Discard { utterance } => self.transcribing.retain(|it| *it != utterance),
            TurnOutput::Ask { turn, .. } => {
                assert!(self.asked.insert(turn), "turn {turn} is asked twice");
                assert!(self.asking.is_empty(), "two turns are asked at once");
                self.asking.push(turn);
            }
            TurnOutput::Speak { sentence, .. } => {
                let conversation = &self.story.conversation;
                let said = conversation.speech.get(sentence).expect("it is queued");
                if !said.interruptible {
                    self.protected.insert(sentence);
                }
                self.fates.insert(sentence, 0);
                self.player.push_back(Queued { id: sentence, is_ready: false, began: None });
            }
            TurnOutput::StopSpeaking { epoch } => self.stop = Some(epoch),
            TurnOutput::Drop { sentence } => {
                self.dropped.push(sentence);
                *self.fates.entry(sentence).or_default() += 1;
            }
            TurnOutput::Hold { from } => self.held_from = from,
            TurnOutput::Tell { kind, .. } => {
                let tells = matches!(
                    kind,
                    CallEventKind::Interruption { .. } | CallEventKind::TurnAbandoned { .. }
                );
                self.was_told_of_drops |= tells;
            }
            TurnOutput::End { .. } => {}
        }
    }

    /// The caller falls silent and comes back; everybody does their work.
    fn come_to_rest(&mut self) {
        self.step(Step::MediaResumed);
        self.step(Step::SpeechEnds { is_cut: false });
        for _ in 0..2_000 {
            if self.is_at_rest() {
                return;
            }
            for step in [
                Step::Deliver,
                Step::NothingFollows,
                Step::Transcript(4),
                Step::Reply { protects: false, sentences: 1, end_call: false },
                Step::Audio { fails: false },
                Step::Play { heard_ms: 100 },
            ] {
                self.step(step);
            }
        }
    }
}

impl World {
    fn is_at_rest(&self) -> bool {
        self.mail.is_empty()
            && !self.may_go_on
            && self.player.is_empty()
            && self.transcribing.is_empty()
            && self.asking.is_empty()
            && self.stop.is_none()
    }
}

fn run(held_answer: HeldAnswer, steps: Vec<Step>) -> World {
    let mut world = World::new(held_answer);
    steps.into_iter().for_each(|step| world.step(step));
    world.come_to_rest();
    world
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_bot_begins_on_top_of_nobody_and_everything_comes_to_an_end(
        steps in proptest::collection::vec(any_step(), 1..150),
        drops in any::<bool>(),
    ) {
        let held_answer = if drops { HeldAnswer::Drop } else { HeldAnswer::Speak };
        let world = run(held_answer, steps);
        prop_assert!(world.mail.is_empty() || world.is_over);
        if !world.is_over {
            let conversation = &world.story.conversation;
            prop_assert!(!conversation.holds(), "something is held for ever");
            prop_assert_eq!(conversation.turns_open(), 0);
            prop_assert_eq!(conversation.sentences_queued(), 0);
            prop_assert_eq!(world.held_from, None);
            prop_assert!(world.player.is_empty());
            prop_assert!(world.was_told_of_drops || !world.has_dropped);
            for (sentence, ends) in &world.fates {
                prop_assert!(*ends > 0, "nobody knows what became of sentence {}", sentence);
            }
        }
    }
}
