//! Cuts a call's audio into utterances, given how probable speech is.
//!
//! Windows of any length come in with their probability; speech edges and whole
//! utterances come out. Only the pre-roll is held while the caller is quiet, and
//! no more than the longest utterance otherwise.
//!
//! Where speech ends is the detector's to say, to a window. Loudness places it within
//! that window where nothing at all is left to hear, and ends the wait for more speech to
//! the sample where silence is as quiet as it was.
//!
//! It runs no detector and no clock: an input that stays away is told to it by
//! [`Segmenter::end_input`].

use std::collections::VecDeque;
use std::fmt;

use super::loudness::Silence;
use crate::types::{INNER_RATE, ListeningSettings, MediaTime, SpeechAudio, UtteranceEnd};

/// The buffer of an utterance grows by this much at a time (0.5 s): doubling would
/// hold up to twice the memory that a long utterance needs.
const GROWTH_SAMPLES: usize = 8_000;

/// Silence at the end of what was sent that shows a sender who does not send all of it
/// (64 ms): phones send 0.15 s and more of it before they stop.
const SILENCE_BEFORE_PAUSE: u64 = 1_024;

/// Whoever sends so much silence (1.5 s), sends all of it.
const SILENCE_SENT: usize = 24_000;

/// How long before a window without a sound the voice may have ended (32 ms).
const ENDED_EARLIER_MAX: usize = 512;

/// What the segmenter takes the caller to be doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum VadState {
    /// Nothing that could be speech.
    #[default]
    Quiet,
    /// It sounds like speech, but not for long enough yet.
    Starting,
    /// The caller speaks.
    Speaking,
    /// The caller spoke and is silent, but not for long enough yet.
    Stopping,
}

/// What the segmenter found. Every utterance begins with one `SpeechStarted` and
/// ends with one `UtteranceReady`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmenterEvent {
    /// The caller speaks, and has since `at`.
    SpeechStarted {
        /// Where speech was first heard.
        at: MediaTime,
    },
    /// The speech of this utterance, pauses not counted, has become long enough to
    /// interrupt the bot. At most once in an utterance.
    SpeechSustained {
        /// Where it became long enough.
        at: MediaTime,
    },
    /// The caller stopped, or has to be cut.
    UtteranceReady {
        /// Pre-roll, speech, and trailing silence up to the configured end of speech.
        audio: SpeechAudio,
        /// Where speech was first heard.
        started_at: MediaTime,
        /// Where speech was last heard.
        ended_at: MediaTime,
        /// What closed it.
        end: UtteranceEnd,
    },
}

/// The segmenter of one call.
#[derive(Debug)]
pub struct Segmenter {
    rules: Rules,
    parts: SegmenterParts,
}

/// All that a segmenter knows of its call, as a plain value: what the next
/// generation continues with when a detector crashed in mid-utterance.
#[derive(Clone, Default)]
pub struct SegmenterParts {
    state: VadState,
    /// All audio taken so far ends here.
    heard: MediaTime,
    /// The audio before `heard` that may still be needed.
    held: VecDeque<i16>,
    /// Audio before this belongs to an earlier utterance.
    floor: MediaTime,
    /// Where speech was first heard. Of no meaning when quiet.
    started_at: MediaTime,
    /// Where speech was last heard. Of no meaning when quiet.
    voiced_until: MediaTime,
    /// What counts as silence after it. `None` where loudness does not tell.
    silence: Option<Silence>,
    /// Speech in this utterance, pauses not counted.
    voiced_samples: usize,
    /// `SpeechSustained` was told.
    sustained: bool,
    /// Silence that was sent in one piece, outside of utterances; kept at
    /// [`SILENCE_SENT`] once it came so far.
    silence_sent: usize,
    /// Found, but not polled yet.
    events: VecDeque<SegmenterEvent>,
}

/// The settings of a call in samples.
#[derive(Clone, Copy, Debug)]
struct Rules {
    start_probability: f32,
    stop_probability: f32,
    speech_min: usize,
    silence_end: usize,
    pre_roll: usize,
    utterance_max: usize,
    sustain: usize,
}

impl Segmenter {
    /// A segmenter at the beginning of a call. `sustain_ms` of speech in one
    /// utterance are reported as [`SegmenterEvent::SpeechSustained`].
    #[must_use]
    pub fn new(settings: &ListeningSettings, sustain_ms: u32) -> Self {
        Self::resume(settings, sustain_ms, SegmenterParts::default())
    }

    /// A segmenter that goes on where another one ended.
    #[must_use]
    pub fn resume(settings: &ListeningSettings, sustain_ms: u32, parts: SegmenterParts) -> Self {
        Self { rules: Rules::new(settings, sustain_ms), parts }
    }

    /// What another segmenter needs to go on. This one is back at the beginning.
    #[must_use]
    pub fn take_parts(&mut self) -> SegmenterParts {
        std::mem::take(&mut self.parts)
    }

    /// The end of the audio taken so far.
    #[must_use]
    pub fn position(&self) -> MediaTime {
        self.parts.heard
    }

    /// Takes the next samples of the call and how probable speech is in them.
    pub fn handle_window(&mut self, window: &[i16], probability: f32) {
        self.handle_beginning(window);
        let mut rest = window;
        // Every round takes a sample at least; more than one only at the length limit.
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(rest.len().min(self.room()));
            self.hold(piece);
            self.advance(piece.len(), probability);
            rest = behind;
        }
    }

    /// Looks at the first samples of a window that is not complete yet, any number of
    /// times: an utterance is over when it has been silent for long enough.
    pub fn handle_beginning(&mut self, samples: &[i16]) {
        let parts = &self.parts;
        let (VadState::Stopping, Some(silence)) = (parts.state, parts.silence) else { return };
        let due = parts.voiced_until.plus_samples(self.rules.silence_end as u64);
        let missing = due.samples_since(parts.heard) as usize;
        let fits = parts.held.len() + missing <= self.rules.utterance_max;
        if missing <= samples.len() && fits && silence.covers(&samples[..missing]) {
            self.close_with(UtteranceEnd::Silence, &samples[..missing]);
        }
    }

    /// Closes the utterance in progress, if there is one: the caller stopped sending
    /// or the media ended. Speech too short to have started is dropped.
    pub fn end_input(&mut self, end: UtteranceEnd) {
        match self.parts.state {
            VadState::Speaking | VadState::Stopping => self.close(end),
            VadState::Starting => self.parts.state = VadState::Quiet,
            VadState::Quiet => {}
        }
        // If it was a stall and not silence, the next silence will show it again.
        self.parts.silence_sent = 0;
        self.trim_pre_roll();
    }

    /// Whether the caller is silent when nothing comes of him: what came last was silence,
    /// and he was never heard to send a long one. Of others it is a stall of the network
    /// that may end in the middle of a word.
    #[must_use]
    pub fn is_silent_in_pauses(&self) -> bool {
        let silent = self.parts.heard.samples_since(self.parts.voiced_until);
        self.parts.state == VadState::Stopping
            && silent >= SILENCE_BEFORE_PAUSE
            && self.parts.silence_sent < SILENCE_SENT
    }

    /// The next event. Ask until there is none.
    pub fn poll_event(&mut self) -> Option<SegmenterEvent> {
        self.parts.events.pop_front()
    }

    /// Whether an utterance is in progress.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.parts.state, VadState::Speaking | VadState::Stopping)
    }

    /// The utterance in progress as far as it is certain, from its first sample on, in two
    /// pieces. `None` before [`SegmenterEvent::SpeechStarted`] and after the utterance.
    #[must_use]
    pub fn open_utterance(&self) -> Option<[&[i16]; 2]> {
        if !self.is_open() {
            return None;
        }
        let certain = self.parts.held.len().saturating_sub(self.surplus());
        let (first, second) = self.parts.held.as_slices();
        let (first, rest) =
            (&first[..certain.min(first.len())], certain.saturating_sub(first.len()));
        Some([first, &second[..rest]])
    }

    /// Whether with the next `samples` the utterance in progress may end, or become long
    /// enough to interrupt the bot.
    #[must_use]
    pub fn turns_within(&self, samples: usize) -> bool {
        let parts = &self.parts;
        match parts.state {
            VadState::Quiet => false,
            VadState::Starting | VadState::Speaking => {
                !parts.sustained && parts.voiced_samples + samples >= self.rules.sustain
            }
            VadState::Stopping => {
                let silence = parts.heard.samples_since(parts.voiced_until) as usize;
                silence + samples >= self.rules.silence_end
            }
        }
    }

    /// Samples held beyond the configured end of speech.
    fn surplus(&self) -> usize {
        let silence = self.parts.heard.samples_since(self.parts.voiced_until) as usize;
        silence.saturating_sub(self.rules.silence_end)
    }

    /// Samples that may come before an utterance has to be cut.
    fn room(&self) -> usize {
        self.rules.utterance_max.saturating_sub(self.parts.held.len()).max(1)
    }

    fn hold(&mut self, samples: &[i16]) {
        let held = &mut self.parts.held;
        if held.capacity() - held.len() < samples.len() {
            held.reserve_exact(samples.len().max(GROWTH_SAMPLES));
        }
        held.extend(samples);
        self.parts.heard = self.parts.heard.plus_samples(samples.len() as u64);
    }

    /// Moves the state on by samples that are held already.
    fn advance(&mut self, samples: usize, probability: f32) {
        match self.parts.state {
            VadState::Quiet if probability >= self.rules.start_probability => {
                self.parts.started_at = self.parts.heard.minus_samples(samples as u64);
                self.begin();
                self.count_voiced(samples);
            }
            VadState::Starting | VadState::Speaking
                if probability >= self.rules.stop_probability =>
            {
                self.count_voiced(samples);
            }
            VadState::Stopping if probability >= self.rules.start_probability => {
                self.parts.state = VadState::Speaking;
                self.count_voiced(samples);
            }
            VadState::Starting => self.parts.state = VadState::Quiet,
            VadState::Speaking => self.stop(samples),
            VadState::Quiet | VadState::Stopping => {}
        }
        self.close_if_due();
        let parts = &mut self.parts;
        match parts.state {
            VadState::Quiet if parts.silence_sent < SILENCE_SENT => parts.silence_sent += samples,
            VadState::Quiet => {}
            _ if parts.silence_sent < SILENCE_SENT => parts.silence_sent = 0,
            _ => {}
        }
        if self.parts.state == VadState::Quiet {
            self.trim_pre_roll();
        }
    }

    fn begin(&mut self) {
        self.parts.state = VadState::Starting;
        self.parts.voiced_samples = 0;
        self.parts.sustained = false;
    }

    /// The last `samples` were without speech. Looks where it ended.
    fn stop(&mut self, samples: usize) {
        let parts = &mut self.parts;
        parts.state = VadState::Stopping;
        let spoken = parts.heard.samples_since(parts.started_at) as usize - samples;
        let held = parts.held.make_contiguous();
        let (before, window) = held.split_at(held.len() - samples);
        let last = &before[before.len() - spoken.min(ENDED_EARLIER_MAX)..];
        let silence = Silence::like(window);
        parts.silence = silence.at_end_of(last).map(|_| silence);
        if Silence::COMPLETE.covers(window)
            && let Some(silent) = Silence::COMPLETE.at_end_of(last)
        {
            let silent = silent.min(spoken.saturating_sub(self.rules.speech_min));
            parts.voiced_until = parts.voiced_until.minus_samples(silent as u64);
        }
    }

    fn count_voiced(&mut self, samples: usize) {
        self.parts.voiced_samples += samples;
        self.parts.voiced_until = self.parts.heard;
        let voiced = self.parts.voiced_samples;
        if self.parts.state == VadState::Starting && voiced >= self.rules.speech_min {
            self.parts.state = VadState::Speaking;
            let at = self.parts.started_at;
            self.parts.events.push_back(SegmenterEvent::SpeechStarted { at });
        }
        let started = self.parts.state == VadState::Speaking;
        if started && !self.parts.sustained && voiced >= self.rules.sustain {
            self.parts.sustained = true;
            let at = self.parts.heard;
            self.parts.events.push_back(SegmenterEvent::SpeechSustained { at });
        }
    }

    fn close_if_due(&mut self) {
        let silence = self.parts.heard.samples_since(self.parts.voiced_until);
        let silent = silence >= self.rules.silence_end as u64;
        let full = self.parts.held.len() >= self.rules.utterance_max;
        match self.parts.state {
            VadState::Stopping if silent => self.close(UtteranceEnd::Silence),
            VadState::Stopping if full => self.close(UtteranceEnd::MaxLength),
            VadState::Speaking if full => {
                self.close(UtteranceEnd::MaxLength);
                // The caller speaks on: what follows begins right here. A rest that is
                // too short to be speech is dropped like any other.
                self.parts.started_at = self.parts.heard;
                self.parts.voiced_until = self.parts.heard;
                self.begin();
            }
            _ => {}
        }
    }

    /// Gives out what is held as an utterance and keeps what may be the pre-roll
    /// of the next one: nothing that was speech.
    fn close(&mut self, end: UtteranceEnd) {
        self.close_with(end, &[]);
    }

    /// The same, with `tail` behind what is held.
    fn close_with(&mut self, end: UtteranceEnd, tail: &[i16]) {
        let held = self.parts.held.len();
        // Not more: every call would hold twice its utterance at the end of it.
        self.parts.held.reserve_exact(tail.len());
        self.parts.held.extend(tail);
        let kept = self.parts.held.len().saturating_sub(self.surplus());
        let audio = SpeechAudio::new(&self.parts.held.make_contiguous()[..kept]);
        self.parts.events.push_back(SegmenterEvent::UtteranceReady {
            audio,
            started_at: self.parts.started_at,
            ended_at: self.parts.voiced_until,
            end,
        });
        self.parts.held.truncate(held);
        self.parts.state = VadState::Quiet;
        self.parts.floor = match end {
            UtteranceEnd::MaxLength => self.parts.heard,
            _ => self.parts.voiced_until,
        };
        self.trim_pre_roll();
        self.parts.held.shrink_to(GROWTH_SAMPLES);
    }

    /// Holds no more than the pre-roll, and nothing of an earlier utterance.
    fn trim_pre_roll(&mut self) {
        let parts = &mut self.parts;
        let kept = parts.heard.samples_since(parts.floor).min(self.rules.pre_roll as u64);
        let surplus = parts.held.len().saturating_sub(kept as usize);
        parts.held.drain(..surplus);
    }
}

impl Rules {
    fn new(settings: &ListeningSettings, sustain_ms: u32) -> Self {
        let thresholds = settings.thresholds();
        let speech_min = INNER_RATE.samples_in_ms(settings.speech_ms_min);
        let pre_roll = INNER_RATE.samples_in_ms(settings.pre_roll_ms);
        Self {
            start_probability: thresholds.start,
            stop_probability: thresholds.stop,
            speech_min,
            silence_end: INNER_RATE.samples_in_ms(settings.silence_ms_end),
            pre_roll,
            // Room for what an utterance begins with, and one sample more.
            utterance_max: INNER_RATE
                .samples_in_ms(settings.utterance_ms_max)
                .max(pre_roll + speech_min + 1),
            sustain: INNER_RATE.samples_in_ms(sustain_ms),
        }
    }
}

impl fmt::Debug for SegmenterParts {
    /// Without the audio.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SegmenterParts")
            .field("state", &self.state)
            .field("heard", &self.heard)
            .field("held_samples", &self.held.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "tests/segmenter.rs"]
mod tests;
