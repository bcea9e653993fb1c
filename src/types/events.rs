//! The facts of a call that are worth telling: to the log, the metrics, the
//! event file, and the caller's side when it asked for events.

use serde::{Deserialize, Serialize};

use super::audio::UtteranceEnd;
use super::dialog::ReplyFlaw;
use super::failure::{ChildKind, DialogFailure, EndCause, ExitReason, SttFailure, TtsFailure};
use super::ids::{Epoch, Generation, LegId, SentenceId, TurnId, UtteranceId};
use super::private::CallerText;
use super::route::Detector;
use super::time::MediaTime;

/// One fact, with its place in the call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CallEvent {
    /// Counts the call's events from 1 without a gap.
    pub sequence: u64,
    /// The turn it belongs to, if any.
    pub turn: Option<TurnId>,
    /// Caller audio heard so far.
    pub audio_at: MediaTime,
    /// What happened.
    pub kind: CallEventKind,
}

/// How long the stages of an answered turn took, in milliseconds of real time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TurnTimings {
    /// From the last speech heard (by audio position) to the end-of-speech decision.
    pub end_of_speech_ms: u64,
    /// From that decision to the transcript.
    pub stt_ms: u64,
    /// From the transcript to the dialog reply.
    pub dialog_ms: u64,
    /// The part of it that the turn stood in line for a permit.
    #[serde(default)]
    pub dialog_wait_ms: u64,
    /// From the dialog reply to the first audio of the first sentence.
    pub tts_ms: u64,
    /// From the end-of-speech decision to the first reply audio handed to the carrier,
    /// without the time in which it was held back.
    pub response_ms: u64,
    /// For how long the answer was there and the caller spoke on.
    #[serde(default)]
    pub held_ms: u64,
}

impl TurnTimings {
    /// What the caller waited: from the last speech heard to the first reply audio.
    #[must_use]
    pub const fn total_ms(&self) -> u64 {
        self.end_of_speech_ms.saturating_add(self.response_ms)
    }

    /// Where [`Self::total_ms`] went, without gap or overlap.
    #[must_use]
    pub fn stages(&self) -> [(TurnStage, u64); TurnStage::ALL.len()] {
        let served_ms = self.stt_ms.saturating_add(self.dialog_ms).saturating_add(self.tts_ms);
        let permit_wait_ms = self.dialog_wait_ms.min(self.dialog_ms);
        TurnStage::ALL.map(|stage| {
            let ms = match stage {
                TurnStage::EndOfSpeech => self.end_of_speech_ms,
                TurnStage::Stt => self.stt_ms,
                TurnStage::TurnWait => self.response_ms.saturating_sub(served_ms),
                TurnStage::PermitWait => permit_wait_ms,
                TurnStage::Dialog => self.dialog_ms - permit_wait_ms,
                TurnStage::Tts => self.tts_ms,
            };
            (stage, ms)
        })
    }
}

/// A part of the time between a caller's last word and the first one of the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TurnStage {
    /// Silence, until it is long enough to end the utterance.
    EndOfSpeech,
    /// Recognition.
    Stt,
    /// The turn before this one is answered first.
    TurnWait,
    /// In line for a permit to ask the dialog platform.
    PermitWait,
    /// The dialog platform, back-off between attempts included.
    Dialog,
    /// Synthesis, and what the bot was still saying.
    Tts,
}

impl TurnStage {
    /// Every stage, in the order in which they pass.
    pub const ALL: [Self; 6] =
        [Self::EndOfSpeech, Self::Stt, Self::TurnWait, Self::PermitWait, Self::Dialog, Self::Tts];

    /// Whether a turn may pass without it: one that waits for nobody does not wait for
    /// 0 ms. Every answered turn goes through the others, however fast.
    #[must_use]
    pub const fn is_wait(self) -> bool {
        matches!(self, Self::TurnWait | Self::PermitWait)
    }

    /// The name used in metric labels and answers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EndOfSpeech => "end_of_speech",
            Self::Stt => "stt",
            Self::TurnWait => "turn_wait",
            Self::PermitWait => "permit_wait",
            Self::Dialog => "dialog",
            Self::Tts => "tts",
        }
    }
}

/// Why an utterance is left unanswered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoredReason {
    /// The bot says something that may not be interrupted.
    Protected,
    /// The bot speaks, and no words were recognised in the utterance.
    NoWords,
    /// The bot speaks, and the caller only showed that they listen.
    Listener,
    /// Too many utterances wait to be asked together.
    TooMany,
    /// The call says goodbye.
    CallEnding,
}

impl IgnoredReason {
    /// The name used in records and metric labels.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protected => "protected",
            Self::NoWords => "no_words",
            Self::Listener => "listener",
            Self::TooMany => "too_many",
            Self::CallEnding => "call_ending",
        }
    }
}

/// What happened in a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names of the fields say it")]
pub enum CallEventKind {
    /// The call was admitted.
    CallStarted { route: String, transport: String, detector: Detector },
    /// Its media connection was lost; the call waits for the caller.
    MediaLost { leg: LegId },
    /// The caller is back on another connection.
    MediaResumed { leg: LegId, away_ms: u64 },
    /// The call is over. The last event of every call.
    CallEnded { cause: EndCause, duration_ms: u64, audio_bytes: u64, turns: u32 },

    /// The detector hears speech.
    SpeechStarted { at: MediaTime },
    /// The caller's speech was cut into an utterance.
    UtteranceSegmented {
        utterance: UtteranceId,
        speech_ms: u64,
        end_of_speech_ms: u64,
        at: MediaTime,
        end: UtteranceEnd,
    },
    /// An utterance was left unanswered: it fell into something that goes on.
    UtteranceIgnored { utterance: UtteranceId, reason: IgnoredReason },
    /// A turn was given up: its answer was dropped before any of it was heard, or the call
    /// ends before it was asked.
    TurnAbandoned { turn: TurnId },
    /// The recogniser understood.
    Transcribed { text: CallerText, confidence: Option<f32>, stt_ms: u64, audio_bytes: u64 },
    /// The recogniser heard nothing it knows.
    NotUnderstood { stt_ms: u64, audio_bytes: u64 },
    /// The recogniser failed.
    SttFailed { failure: SttFailure, stt_ms: u64 },
    /// The dialog platform answered.
    DialogReplied {
        text: CallerText,
        intent: Option<String>,
        confidence: Option<f32>,
        next_state: Option<String>,
        dialog_ms: u64,
        /// The part of it that the turn stood in line for a permit.
        #[serde(default)]
        dialog_wait_ms: u64,
    },
    /// Something of the platform's reply is not done.
    ReplyFlawed { flaw: ReplyFlaw },
    /// The dialog platform failed.
    DialogFailed { failure: DialogFailure, dialog_ms: u64 },
    /// A sentence has its audio, or the beginning of it: then its length is not known.
    SentenceSynthesized { sentence: SentenceId, tts_ms: u64, audio_ms: Option<u64> },
    /// So many sentences of one reply will not be heard, or not to their end, all for the same
    /// reason: the first by itself, those that follow it together. `sentence` is the first.
    TtsFailed { sentence: SentenceId, sentences: u32, failure: TtsFailure, tts_ms: u64 },
    /// The first audio of a turn's answer went out: the turn is answered.
    TurnAnswered { intent: Option<String>, confidence: Option<f32>, timings: TurnTimings },
    /// Nothing of a turn's answer, or of what was to be said instead, could be spoken.
    TurnUnheard {},
    /// The bot finished speaking.
    BotTurnStopped { heard: CallerText },
    /// The caller interrupted the bot.
    Interruption { epoch: Epoch, heard: CallerText, unheard_ms: u64 },
    /// An interruption was none: the bot goes on with what it was saying.
    FalseInterruption { epoch: Epoch },
    /// The fallback sentence is played.
    FallbackPlayed {},

    /// Caller audio was dropped because it waited longer than the ceiling.
    AudioDropped { samples: u64 },
    /// Caller audio never arrived.
    AudioGap { samples: u64 },
    /// Audio arrives at a pace that contradicts its declared rate.
    RateSuspected { declared_hz: u32, measured_hz: u32 },
    /// So many pieces of input were refused. `code` is the error code the sender got.
    InputRefused { code: String, count: u32 },
    /// Audio of an old epoch was dropped instead of played.
    StaleAudioDropped { samples: u64 },
    /// So many events before this one were not sent to the carrier: it was behind.
    EventsLeftOut { count: u32 },

    /// A child ended and is replaced.
    ChildRestarted { child: ChildKind, generation: Generation, reason: ExitReason },
    /// A child ended too often; the call gives up.
    RestartLimitReached { child: ChildKind },
    /// A message of an old generation was dropped.
    StaleMessageDropped { child: ChildKind, generation: Generation },
}

impl CallEventKind {
    /// Takes in another fact, if the two say no more than their sum does; whether it did.
    pub fn absorb(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::AudioDropped { samples }, Self::AudioDropped { samples: more })
            | (Self::AudioGap { samples }, Self::AudioGap { samples: more })
            | (Self::StaleAudioDropped { samples }, Self::StaleAudioDropped { samples: more }) => {
                *samples = samples.saturating_add(*more);
                true
            }
            (
                Self::InputRefused { code, count },
                Self::InputRefused { code: other, count: more },
            ) if code == other => {
                *count = count.saturating_add(*more);
                true
            }
            (Self::EventsLeftOut { count }, Self::EventsLeftOut { count: more }) => {
                *count = count.saturating_add(*more);
                true
            }
            _ => false,
        }
    }

    /// The name in records: the variant in snake case.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::CallStarted { .. } => "call_started",
            Self::MediaLost { .. } => "media_lost",
            Self::MediaResumed { .. } => "media_resumed",
            Self::CallEnded { .. } => "call_ended",
            Self::SpeechStarted { .. } => "speech_started",
            Self::UtteranceSegmented { .. } => "utterance_segmented",
            Self::UtteranceIgnored { .. } => "utterance_ignored",
            Self::TurnAbandoned { .. } => "turn_abandoned",
            Self::Transcribed { .. } => "transcribed",
            Self::NotUnderstood { .. } => "not_understood",
            Self::SttFailed { .. } => "stt_failed",
            Self::DialogReplied { .. } => "dialog_replied",
            Self::ReplyFlawed { .. } => "reply_flawed",
            Self::DialogFailed { .. } => "dialog_failed",
            Self::SentenceSynthesized { .. } => "sentence_synthesized",
            Self::TtsFailed { .. } => "tts_failed",
            Self::TurnAnswered { .. } => "turn_answered",
            Self::TurnUnheard {} => "turn_unheard",
            Self::BotTurnStopped { .. } => "bot_turn_stopped",
            Self::Interruption { .. } => "interruption",
            Self::FalseInterruption { .. } => "false_interruption",
            Self::FallbackPlayed {} => "fallback_played",
            Self::AudioDropped { .. } => "audio_dropped",
            Self::AudioGap { .. } => "audio_gap",
            Self::RateSuspected { .. } => "rate_suspected",
            Self::InputRefused { .. } => "input_refused",
            Self::StaleAudioDropped { .. } => "stale_audio_dropped",
            Self::EventsLeftOut { .. } => "events_left_out",
            Self::ChildRestarted { .. } => "child_restarted",
            Self::RestartLimitReached { .. } => "restart_limit_reached",
            Self::StaleMessageDropped { .. } => "stale_message_dropped",
        }
    }
}
