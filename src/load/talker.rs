//! One caller of a load: a [`Caller`] who finds things to say by itself, and an ear that
//! measures what comes back. Pure: time and audio are passed in, findings go to the tally.
//!
//! The response time runs from the last frame with speech in it to the first audio that
//! comes back, so the silence that the engine waits for is part of it.

use std::sync::Arc;

use super::caller::{Caller, CallerSettings, CallerTurn, Chunk};
use super::pattern::{Dice, TalkPattern};
use super::playback::Playback;
use super::tally::{Tally, TurnEnd};
use crate::media::coded::{
    CodeReader, CodeWord, Flaw, HeardWord, Kind, Passage, WORD_MS, write_lead_in, write_passage,
};
use crate::types::{Now, SampleRate};

/// What callers say.
#[derive(Clone, Debug)]
pub enum Speech {
    /// Numbers, so that what comes back can be verified.
    Coded,
    /// Recordings at the rate of the call, one of them each turn.
    Recorded(Arc<[Arc<[i16]>]>),
}

/// How one caller behaves.
#[derive(Clone, Debug)]
pub(super) struct TalkerSettings {
    pub(super) caller: CallerSettings,
    pub(super) pattern: TalkPattern,
    pub(super) speech: Speech,
    pub(super) seed: u64,
}

/// One caller of a load.
#[derive(Clone, Debug)]
pub(super) struct Talker {
    /// The number in its words. No two calls of the same time have the same.
    number: u16,
    caller: Caller,
    rate: SampleRate,
    speech: Speech,
    pattern: TalkPattern,
    dice: Dice,
    /// Turns given to the caller.
    planned: usize,
    /// The turn that is running; nothing before the first.
    watch: Option<Watch>,
    /// The caller hung up: what still comes is heard by nobody.
    is_over: bool,
    ear: Ear,
}

/// What is known of the turn that is running.
#[derive(Clone, Copy, Debug)]
struct Watch {
    turn: usize,
    /// When its last speech frame went out.
    said_at: Option<Now>,
    is_answered: bool,
    /// A number came back, and with it this turn's.
    is_own: bool,
    is_prompt: bool,
    is_flawed: bool,
}

/// Hears the numbers in what comes.
#[derive(Clone, Debug)]
struct Ear {
    reader: CodeReader,
    passage: Option<Passage>,
    /// The caller interrupts it: its end is not missed.
    is_cut: bool,
    playback: Playback,
}

/// The numbers of turns begin anew.
fn turn_number(turn: usize) -> u8 {
    (turn % usize::from(CodeWord::TURNS)) as u8
}

impl Talker {
    /// Caller `number`, whose first sample is recorded at `started`.
    pub(super) fn new(number: u16, settings: &TalkerSettings, started: Now) -> Self {
        let rate = settings.caller.rate;
        let mut talker = Self {
            number,
            caller: Caller::silent(settings.caller, started),
            rate,
            speech: settings.speech.clone(),
            pattern: settings.pattern,
            dice: Dice::new(settings.seed, u64::from(number)),
            planned: 0,
            watch: None,
            is_over: false,
            ear: Ear {
                reader: CodeReader::new(rate),
                passage: None,
                is_cut: false,
                playback: Playback::default(),
            },
        };
        talker.plan_turn();
        talker
    }

    /// When the next message is due.
    pub(super) fn poll_timeout(&self) -> Now {
        self.caller.poll_timeout()
    }

    /// The next message, if it is due; its samples replace what `samples` held.
    pub(super) fn poll_chunk(
        &mut self,
        now: Now,
        samples: &mut Vec<i16>,
        tally: &mut Tally,
    ) -> Option<Chunk> {
        let chunk = self.caller.poll_chunk(now, samples)?;
        if self.watch.is_some_and(|watch| watch.turn < self.caller.turn()) {
            self.end_turn(now, tally);
        }
        if let Some(turn) = chunk.begins {
            self.watch = Some(Watch {
                turn,
                said_at: None,
                is_answered: false,
                is_own: false,
                is_prompt: false,
                is_flawed: false,
            });
            self.plan_turn();
        }
        if chunk.ends_speech
            && let Some(watch) = &mut self.watch
        {
            tally.turns.said += 1;
            watch.said_at = Some(now);
            self.ear.playback.rest();
        }
        Some(chunk)
    }

    /// Reply audio came, one frame or a whole sentence.
    pub(super) fn handle_audio(&mut self, now: Now, samples: &[i16], tally: &mut Tally) {
        if self.is_over {
            return;
        }
        self.caller.handle_reply(now, samples.len());
        let audio_us = samples.len() as u64 * 1_000_000 / u64::from(self.rate.hz());
        tally.heard(now, self.ear.playback.take(now, audio_us));
        if let Some(watch) = &mut self.watch
            && let Some(said_at) = watch.said_at
            && !watch.is_answered
        {
            watch.is_answered = true;
            tally.answered(now, now.0.saturating_sub(said_at.0) / 1_000);
        }
        let Self { ear: Ear { reader, passage, is_cut, .. }, watch, number, rate, .. } = self;
        let mut hearing = Hearing { number: *number, rate: *rate, watch, passage, is_cut, tally };
        reader.hear(samples, &mut |heard| hearing.word(heard));
    }

    /// What was not heard yet is not to be heard.
    pub(super) fn handle_flush(&mut self, now: Now, tally: &mut Tally) {
        self.caller.handle_flush(now);
        self.ear.playback.rest();
        self.ear.reader.cut();
        self.ear.is_cut = true;
        self.end_passage(tally);
    }

    /// The engine finished its answer.
    pub(super) const fn handle_bot_finished(&mut self) {
        self.caller.handle_bot_finished();
        self.ear.playback.rest();
    }

    /// The call is over. A turn that is still running is nobody's fault and not counted.
    pub(super) fn end(&mut self, tally: &mut Tally) {
        self.ear.is_cut = true;
        self.end_passage(tally);
        if self.watch.is_some_and(|watch| watch.said_at.is_some()) {
            tally.turns.said -= 1;
        }
        self.watch = None;
        self.is_over = true;
    }

    /// Gives the caller one more turn, so that there is always one after the present.
    fn plan_turn(&mut self) {
        let turn = self.planned;
        self.planned += 1;
        let interrupts = turn > 0 && self.dice.happens(self.pattern.interrupt);
        let after_ms = self.dice.within(self.pattern.interrupt_after_ms);
        let pause_ms = self.dice.within(self.pattern.pause_ms);
        let speech = self.utterance(turn);
        let interrupts_after_ms = interrupts.then_some(after_ms);
        self.caller.say(CallerTurn { speech, pause_ms, interrupts_after_ms });
    }

    fn utterance(&mut self, turn: usize) -> Arc<[i16]> {
        let speech_ms = self.dice.within(self.pattern.speech_ms);
        match &self.speech {
            Speech::Recorded(recordings) => {
                let choice = self.dice.roll() % recordings.len().max(1) as u64;
                recordings.get(choice as usize).cloned().unwrap_or_default()
            }
            Speech::Coded => {
                let words = (speech_ms / WORD_MS).clamp(1, CodeWord::WORDS_MAX.into());
                let first = CodeWord {
                    kind: Kind::Speech,
                    call: self.number,
                    turn: turn_number(turn),
                    index: 0,
                    of: words as u8,
                };
                let mut speech = Vec::new();
                write_lead_in(self.rate, &mut speech);
                speech.extend(write_passage(first, self.rate));
                speech.into()
            }
        }
    }

    fn end_turn(&mut self, now: Now, tally: &mut Tally) {
        let interrupts = self.caller.hears_bot();
        if interrupts {
            // Whoever interrupts hears a little more, and does not hear the end.
            tally.turns.interruptions += 1;
            self.ear.is_cut = true;
        } else {
            self.end_passage(tally);
        }
        let Some(mut watch) = self.watch.take() else { return };
        // The first word may not have been over yet.
        watch.is_own |= interrupts;
        tally.turn_ended(now, watch.end());
    }

    fn end_passage(&mut self, tally: &mut Tally) {
        let Self { ear: Ear { passage, is_cut, .. }, watch, number, rate, .. } = self;
        Hearing { number: *number, rate: *rate, watch, passage, is_cut, tally }.end();
    }
}

impl Watch {
    const fn end(self) -> TurnEnd {
        match self {
            Self { is_answered: false, .. } => TurnEnd::Unanswered,
            Self { is_flawed: true, .. } => TurnEnd::Flawed,
            Self { is_own: true, .. } => TurnEnd::Intact,
            Self { is_prompt: true, .. } => TurnEnd::NotUnderstood,
            _ => TurnEnd::Uncoded,
        }
    }
}

const fn flaw_on_the_way_up(kind: Kind) -> Option<Flaw> {
    match kind {
        Kind::Reply(flaw) => flaw,
        Kind::Speech => None,
    }
}

/// The parts of a talker that a word touches.
struct Hearing<'a> {
    number: u16,
    rate: SampleRate,
    watch: &'a mut Option<Watch>,
    passage: &'a mut Option<Passage>,
    is_cut: &'a mut bool,
    tally: &'a mut Tally,
}

impl Hearing<'_> {
    fn word(&mut self, heard: HeardWord) {
        let codes = &mut self.tally.codes;
        match heard.word {
            CodeWord { kind: Kind::Speech, .. } => {
                codes.echoed_words += 1;
                self.is_flawed();
            }
            CodeWord { call: CodeWord::NOBODY, .. } => {
                if let Some(watch) = &mut self.watch {
                    watch.is_prompt = true;
                }
            }
            CodeWord { call, .. } if call != self.number => {
                codes.foreign_words += 1;
                self.is_flawed();
            }
            word => self.own_word(word, heard),
        }
    }

    fn own_word(&mut self, word: CodeWord, heard: HeardWord) {
        match self.passage {
            // An answer is not said twice: what begins again was repeated on its way.
            Some(passage) if passage.holds(word) => passage.hear(heard),
            _ => self.begin(heard),
        }
    }

    fn begin(&mut self, heard: HeardWord) {
        let was_cut = *self.is_cut;
        self.end();
        *self.passage = Some(Passage::new(heard, self.rate));
        match &mut self.watch {
            Some(watch) if turn_number(watch.turn) == heard.word.turn => watch.is_own = true,
            // An answer that was interrupted before its first word was over.
            _ if was_cut => *self.is_cut = true,
            _ => self.tally.codes.stale_replies += 1,
        }
    }

    /// The answer is over, or cut off.
    fn end(&mut self) {
        let is_cut = std::mem::take(self.is_cut);
        let Some(passage) = self.passage.take() else { return };
        let flaws = if is_cut { passage.flaws_if_cut() } else { passage.flaws() };
        let up = flaw_on_the_way_up(passage.first().kind);
        self.tally.codes.reply(flaws, up);
        if flaws.worst().is_some() || up.is_some() {
            self.is_flawed();
        }
    }

    fn is_flawed(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.is_flawed = true;
        }
    }
}
