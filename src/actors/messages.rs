//! Every message between actors of a call, in one file.
//!
//! All of them go from child to parent: audio travels in rings, requests and answers lie on
//! boards, orders lie where the child looks at each drive (`orders`). A child's mailbox is
//! never written to, so nothing is lost with it.

use std::collections::VecDeque;

use actix::{Message, Recipient};

use super::lease::Lease;
use crate::media::SegmenterEvent;
use crate::services::LiveSpeech;
use crate::turn::CutShort;
use crate::types::{
    CallEventKind, ChildKind, Epoch, ExitReason, Generation, MediaTime, SentenceId, TtsFailure,
    TurnId, UtteranceId,
};

/// To the supervisor: what a child has to say.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildReport {
    /// Who says it.
    pub child: ChildKind,
    /// In which life. Reports of an earlier one are dropped and counted.
    pub generation: Generation,
    /// What.
    pub report: Report,
}

/// What a child has to say.
#[derive(Debug)]
pub enum Report {
    /// Ingest: a fact about the caller's audio.
    Noted(CallEventKind),
    /// Vad: a speech edge or an utterance, and the position reached.
    Speech { event: SegmenterEvent, position: MediaTime },
    /// Vad: the utterance that has just started can be followed.
    Spoken(LiveSpeech),
    /// Stt: the transcript is on the board.
    Transcribed(UtteranceId),
    /// Dialog: the reply is on the board.
    Replied(TurnId),
    /// Tts: a sentence has its audio, or the beginning of it, which has no length yet.
    SentenceReady { sentence: SentenceId, tts_ms: u64, audio_ms: Option<u64> },
    /// Tts: a sentence will have none.
    SentenceFailed { sentence: SentenceId, tts_ms: u64, failure: TtsFailure },
    /// Tts: a sentence ended before its time, and what there was of it was heard.
    SentenceBroken { cut: CutShort, tts_ms: u64, failure: TtsFailure },
    /// Tts: a sentence's first sample went out.
    SentenceStarted(SentenceId),
    /// Tts: a sentence was heard to its end.
    SentenceFinished(SentenceId),
    /// Tts: playing stopped as ordered.
    SpeakingStopped { epoch: Epoch, cuts: Vec<CutShort> },
}

/// To the supervisor: a child's life is over. Sent by the kernel, not by the child.
#[derive(Message)]
#[rtype(result = "()")]
pub struct ChildExited {
    /// Who.
    pub child: ChildKind,
    /// Which life.
    pub generation: Generation,
    /// How it ended.
    pub reason: ExitReason,
}

/// A child's way to its parent. What the parent's mailbox has no room for is kept,
/// in order, where it survives the child, and sent at the next occasion.
pub struct Reporter {
    child: ChildKind,
    generation: Generation,
    parent: Recipient<ChildReport>,
    unsent: Lease<VecDeque<Report>>,
}

impl Reporter {
    /// A way to `parent` for one generation of a child.
    pub fn new(
        child: ChildKind,
        generation: Generation,
        parent: Recipient<ChildReport>,
        unsent: Lease<VecDeque<Report>>,
    ) -> Self {
        Self { child, generation, parent, unsent }
    }

    /// Reports, now or as soon as there is room.
    pub fn tell(&mut self, report: Report) {
        self.unsent.push_back(report);
        self.flush();
    }

    /// Sends what was kept. Returns whether everything is sent.
    pub fn flush(&mut self) -> bool {
        while let Some(report) = self.unsent.pop_front() {
            let message = ChildReport { child: self.child, generation: self.generation, report };
            match self.parent.try_send(message) {
                Ok(()) => {}
                Err(actix::prelude::SendError::Full(message)) => {
                    self.unsent.push_front(message.report);
                    return false;
                }
                // The parent is gone, and this child will be in a moment.
                Err(actix::prelude::SendError::Closed(_)) => return true,
            }
        }
        true
    }
}
