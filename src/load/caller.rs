//! What a caller sends and when, and where in the call a reply is heard. Pure:
//! time is passed in, and everything is decided in sample positions.
//!
//! A caller never stops sending: between utterances there is silence, as on a
//! telephone line. It says the next thing when the bot has finished, or when no
//! answer came for too long, or, where its turn says so, while the bot speaks. It
//! holds no audio but the turns not yet over, and callers may share that.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::types::{Now, SampleRate};

/// How a caller behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallerSettings {
    /// Samples a second of everything said and heard.
    pub rate: SampleRate,
    /// Audio in one message; [`Self::CHUNK_MS_MIN`] to [`Self::CHUNK_MS_MAX`].
    pub chunk_ms: u32,
    /// Silence before the first utterance, and after the bot has finished.
    pub pause_ms: u32,
    /// Nothing more is expected of a bot that has been silent for this long and
    /// did not say that it finished.
    pub settle_ms: u32,
    /// Longest wait for an answer to begin.
    pub answer_ms_max: u32,
    /// Whether silence is that of a telephone line, not quite silent; it is digital
    /// silence otherwise.
    pub has_line_noise: bool,
}

impl CallerSettings {
    /// Shortest chunk.
    pub const CHUNK_MS_MIN: u32 = 1;
    /// Longest chunk.
    pub const CHUNK_MS_MAX: u32 = 2_000;

    /// A caller at `rate` who sends 20 ms at a time.
    #[must_use]
    pub const fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            chunk_ms: 20,
            pause_ms: 300,
            settle_ms: 1_500,
            answer_ms_max: 12_000,
            has_line_noise: false,
        }
    }

    const fn samples(&self, ms: u32) -> u64 {
        self.rate.samples_in_ms(ms) as u64
    }
}

/// Something to say, and when.
#[derive(Clone, Debug)]
pub struct CallerTurn {
    /// The utterance.
    pub speech: Arc<[i16]>,
    /// Silence before it, from the start of the call or from the end of the answer.
    pub pause_ms: u32,
    /// Says it when so much of the answer to the turn before has been heard, instead of
    /// waiting for its end.
    pub interrupts_after_ms: Option<u32>,
}

/// A message that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Counts the caller's messages from 1.
    pub sequence: u64,
    /// Position of its first sample.
    pub at: u64,
    /// The utterance that begins with it.
    pub begins: Option<usize>,
    /// It holds the last sample of the utterance.
    pub ends_speech: bool,
}

/// What the caller is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Says the next utterance at `until`.
    Pausing { until: u64 },
    /// Says it; it began at `from`.
    Speaking { from: u64 },
    /// Listens; it stopped speaking at `since`.
    Listening { since: u64 },
    /// Has said everything and heard the last answer.
    Done,
}

/// The silence of a line: noise 66 dB below the loudest. Calls share it.
static LINE_NOISE: [i16; 8_000] = line_noise();

const fn line_noise() -> [i16; 8_000] {
    let (mut noise, mut state, mut at) = ([0; 8_000], 1_u32, 0);
    while at < noise.len() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise[at] = (state >> 16) as i16 % 21;
        at += 1;
    }
    noise
}

/// Longest turn. A bot that talks on without an end is left.
const TURN_MS_MAX: u32 = 120_000;

/// One caller in one call.
#[derive(Clone, Debug)]
pub struct Caller {
    settings: CallerSettings,
    started: Now,
    phase: Phase,
    /// The turn being said or answered, or said next, and those after it.
    turns: VecDeque<CallerTurn>,
    /// Turns that are over.
    turn: usize,
    sequence: u64,
    /// Samples sent.
    sent: u64,
    /// Where the answer to the current utterance begins, once it does.
    reply_from: u64,
    /// Where the last reply ends.
    bot_until: u64,
    /// A reply came to the current utterance.
    replied: bool,
    /// The bot said that it finished.
    bot_finished: bool,
    /// The bot spoke before it was asked anything.
    greeted: bool,
    /// Utterances that no reply came to in time.
    given_up: usize,
}

impl Caller {
    /// A caller who says `utterances`, with the pause of the settings before each. Its
    /// first sample is recorded at `started`.
    #[must_use]
    pub fn new(
        settings: CallerSettings,
        utterances: impl Into<Arc<[Arc<[i16]>]>>,
        started: Now,
    ) -> Self {
        let mut caller = Self::silent(settings, started);
        for speech in utterances.into().iter() {
            let speech = Arc::clone(speech);
            let pause_ms = settings.pause_ms;
            caller.say(CallerTurn { speech, pause_ms, interrupts_after_ms: None });
        }
        caller
    }

    /// A caller who has nothing to say yet: without a turn the call is done.
    #[must_use]
    pub const fn silent(settings: CallerSettings, started: Now) -> Self {
        Self {
            phase: Phase::Done,
            settings,
            started,
            turns: VecDeque::new(),
            turn: 0,
            sequence: 0,
            sent: 0,
            reply_from: 0,
            bot_until: 0,
            replied: false,
            bot_finished: false,
            greeted: false,
            given_up: 0,
        }
    }

    /// Adds a turn after all others.
    pub fn say(&mut self, turn: CallerTurn) {
        if self.turns.is_empty() {
            let until = self.sent + self.settings.samples(turn.pause_ms);
            self.phase = Phase::Pausing { until };
        }
        self.turns.push_back(turn);
    }

    /// The utterance being said or answered, or said next.
    #[must_use]
    pub const fn turn(&self) -> usize {
        self.turn
    }

    /// Utterances that no reply came to, those not yet said included.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        let left = self.turns.len();
        self.given_up + left - usize::from(self.replied && left > 0)
    }

    /// Everything was said and answered, or given up.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Whether the bot is being heard now, or was a moment ago.
    #[must_use]
    pub const fn hears_bot(&self) -> bool {
        self.sent < self.bot_until + self.settings.samples(60)
    }

    /// When the next chunk is due: a channel sends audio when it has recorded it.
    #[must_use]
    pub fn poll_timeout(&self) -> Now {
        let until = self.sent + self.chunk_samples();
        let ns = u128::from(until) * 1_000_000_000 / u128::from(self.settings.rate.hz());
        Now(self.started.0.saturating_add(u64::try_from(ns).unwrap_or(u64::MAX)))
    }

    /// The next chunk, if it is due; its samples replace what `samples` held. Ask
    /// again until there is none: after a stall several are due.
    pub fn poll_chunk(&mut self, now: Now, samples: &mut Vec<i16>) -> Option<Chunk> {
        if now < self.poll_timeout() || self.is_done() {
            return None;
        }
        let begins = self.advance();
        if self.is_done() {
            return None;
        }
        let at = self.sent;
        let ends_speech = self.fill(samples);
        self.sequence += 1;
        self.sent += self.chunk_samples();
        Some(Chunk { sequence: self.sequence, at, begins, ends_speech })
    }

    /// A reply of `samples` came. Says where it is heard: now, or after what is
    /// being heard. What comes before the caller said anything is a greeting.
    pub fn handle_reply(&mut self, now: Now, samples: usize) -> u64 {
        let at = self.handle_greeting(now, samples);
        if matches!(self.phase, Phase::Pausing { .. }) {
            return at;
        }
        if !self.replied {
            self.reply_from = at;
        }
        self.replied = true;
        at
    }

    /// The bot says `samples` that are no answer: its greeting. Says where they are heard.
    pub fn handle_greeting(&mut self, now: Now, samples: usize) -> u64 {
        let at = self.position(now).max(self.bot_until);
        self.bot_until = at + samples as u64;
        self.bot_finished = false;
        self.greeted |= matches!(self.phase, Phase::Pausing { .. });
        at
    }

    /// The bot was interrupted. Says where it fell silent.
    pub fn handle_flush(&mut self, now: Now) -> u64 {
        self.bot_until = self.bot_until.min(self.position(now));
        self.bot_until
    }

    /// The bot said that it finished.
    pub const fn handle_bot_finished(&mut self) {
        self.bot_finished = true;
    }

    fn chunk_samples(&self) -> u64 {
        self.settings.samples(self.settings.chunk_ms)
    }

    fn position(&self, now: Now) -> u64 {
        let ns = u128::from(now.0.saturating_sub(self.started.0));
        u64::try_from(ns * u128::from(self.settings.rate.hz()) / 1_000_000_000).unwrap_or(u64::MAX)
    }

    /// Decides what the next chunk belongs to; an utterance begins with a chunk.
    fn advance(&mut self) -> Option<usize> {
        if let Phase::Speaking { from } = self.phase {
            let until = from + self.utterance().len() as u64;
            if self.sent >= until {
                self.phase = Phase::Listening { since: until };
            }
        }
        if let Phase::Listening { since } = self.phase
            && self.sent >= self.listens_until(since)
        {
            self.end_turn();
        }
        match self.phase {
            Phase::Pausing { until } if self.sent >= until.max(self.greeted_until()) => {
                self.phase = Phase::Speaking { from: self.sent };
                self.greeted = false;
                self.bot_finished = false;
                Some(self.turn)
            }
            _ => None,
        }
    }

    /// Until when the caller listens to a greeting, as far as that is known now.
    fn greeted_until(&self) -> u64 {
        if !self.greeted {
            return 0;
        }
        self.silent_until(0, self.settings.pause_ms).min(self.settings.samples(TURN_MS_MAX))
    }

    /// Until when the bot has to be silent, from `since` on, to have finished; the pause
    /// before the caller speaks is part of it.
    fn silent_until(&self, since: u64, pause_ms: u32) -> u64 {
        let settle_ms = self.settings.settle_ms.max(pause_ms);
        let silent_ms = if self.bot_finished { pause_ms } else { settle_ms };
        self.bot_until.max(since) + self.settings.samples(silent_ms)
    }

    /// Until when the caller listens, as far as that is known now.
    fn listens_until(&self, since: u64) -> u64 {
        let settings = &self.settings;
        let longest = since + settings.samples(TURN_MS_MAX);
        if !self.replied {
            // Nobody answers before the greeting is over.
            let asked = since.max(self.bot_until);
            return longest.min(asked + settings.samples(settings.answer_ms_max));
        }
        let next = self.turns.get(1);
        let pause_ms = next.map_or(settings.pause_ms, |turn| turn.pause_ms);
        let until = longest.min(self.silent_until(since, pause_ms));
        match next.and_then(|turn| turn.interrupts_after_ms) {
            Some(ms) => until.min(self.reply_from.max(since) + settings.samples(ms)),
            None => until,
        }
    }

    fn end_turn(&mut self) {
        self.given_up += usize::from(!self.replied);
        self.turn += 1;
        self.turns.pop_front();
        self.replied = false;
        self.bot_finished = false;
        self.phase =
            if self.turns.is_empty() { Phase::Done } else { Phase::Pausing { until: self.sent } };
    }

    fn utterance(&self) -> &[i16] {
        self.turns.front().map_or(&[], |turn| &turn.speech)
    }

    /// Fills in what is said; whether that ends the utterance.
    fn fill(&self, samples: &mut Vec<i16>) -> bool {
        samples.clear();
        let length = self.settings.rate.samples_in_ms(self.settings.chunk_ms);
        let mut ends = false;
        if let Phase::Speaking { from } = self.phase {
            // An utterance is in memory: its positions fit into usize.
            let begin = (self.sent - from) as usize;
            let rest = self.utterance().get(begin..).unwrap_or_default();
            samples.extend_from_slice(&rest[..rest.len().min(length)]);
            ends = rest.len() <= length;
        }
        let spoken = samples.len();
        samples.resize(length, 0);
        if self.settings.has_line_noise {
            let begin = (self.sent % LINE_NOISE.len() as u64) as usize + spoken;
            let noise = LINE_NOISE.iter().cycle().skip(begin % LINE_NOISE.len());
            samples[spoken..].iter_mut().zip(noise).for_each(|(sample, noise)| *sample = *noise);
        }
        ends
    }
}

#[cfg(test)]
mod tests;
