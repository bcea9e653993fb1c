//! The caller's side: utterances become a question, the question is recognised and asked.
//!
//! What the caller says until a question is sent belongs to that question: each utterance
//! is recognised by itself, and the texts are joined in the order in which they were
//! spoken. So there is at most one question that was not sent, and it is the last.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::{Conversation, Stage, Turn, TurnOutput, UtteranceFacts};
use crate::turn::Purpose;
use crate::turn::listener_words::is_listeners;
use crate::turn::speech::Passage;
use crate::types::{
    CallEventKind, CallerText, IgnoredReason, Now, Route, SttFailure, Transcript, TurnId,
    TurnTimings, UtteranceEnd, UtteranceId,
};

use super::floor::OpenSpeech;

/// Bytes of a millisecond at the inner rate, for `audio_bytes` in events.
const BYTES_PER_MS: u64 = 32;

/// Longest transcript that is believed, in characters: an utterance lasts half a minute,
/// and nobody says a hundred characters in a second.
const TRANSCRIPT_CHARS_MAX: usize = 4_000;

/// An utterance of a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Part {
    facts: UtteranceFacts,
    /// When the utterance was complete.
    decided_at: Now,
    /// What the bot was saying meanwhile.
    over: Option<Passage>,
    /// It was still saying that when the utterance was over.
    still_over: bool,
    heard: HeardPart,
}

/// What the recogniser made of a part.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum HeardPart {
    Pending,
    Words(CallerText),
    /// Words with which a listener shows that they listen, while the bot speaks.
    Listening(CallerText),
    /// No words.
    Nothing,
    Failed,
}

impl Turn {
    /// Whether the recogniser has answered for each part.
    pub(super) fn is_recognised(&self) -> bool {
        self.parts.iter().all(|part| !matches!(part.heard, HeardPart::Pending))
    }

    fn has_failed(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.heard, HeardPart::Failed))
    }

    /// Whether the caller wants something of the bot.
    fn is_meant(&self) -> bool {
        self.parts.iter().any(|part| matches!(part.heard, HeardPart::Words(_)))
    }

    /// The words of all parts, in the order in which they were spoken.
    fn text(&self) -> CallerText {
        let words = self.parts.iter().filter_map(|part| match &part.heard {
            HeardPart::Words(text) | HeardPart::Listening(text) => Some(text.expose().as_str()),
            HeardPart::Pending | HeardPart::Nothing | HeardPart::Failed => None,
        });
        CallerText::new(words.collect::<Vec<_>>().join(" "))
    }
}

impl Part {
    /// Whether it was no more than a noise while the bot spoke.
    fn is_noise_over_bot(&self) -> bool {
        self.over.is_some() && (self.still_over || !self.facts.sustained)
    }
}

// === Utterances ===

impl Conversation {
    pub(super) fn handle_utterance(&mut self, now: Now, facts: UtteranceFacts) {
        let utterance = facts.utterance;
        let open = self.close_speech(facts.end == UtteranceEnd::MaxLength);
        if let Some(reason) = self.falls_into(open) {
            self.outputs.push_back(TurnOutput::Discard { utterance });
            self.tell(None, CallEventKind::UtteranceIgnored { utterance, reason });
            return;
        }
        let current = self.speech.current_passage();
        let part = Part {
            facts,
            decided_at: now,
            over: open.over,
            still_over: open.over.is_some() && open.over == current,
            heard: HeardPart::Pending,
        };
        self.add_part(part);
        self.outputs.push_back(TurnOutput::Transcribe { utterance });
    }

    /// What goes on although the caller speaks: what may not be interrupted, the goodbye.
    fn falls_into(&self, open: OpenSpeech) -> Option<IgnoredReason> {
        if self.ending.is_some() {
            return Some(IgnoredReason::CallEnding);
        }
        // Who began before it has not spoken over it.
        let current = self.speech.current().filter(|sentence| !sentence.interruptible)?;
        let spoken_over = open.protected && open.over == Some(current.passage());
        spoken_over.then_some(IgnoredReason::Protected)
    }

    fn add_part(&mut self, part: Part) {
        if self.collecting().is_none() {
            self.turn_last = self.turn_last.next();
            self.turns.push_back(Turn {
                id: self.turn_last,
                parts: Vec::new(),
                decided_at: part.decided_at,
                stage: Stage::Collecting,
                timings: TurnTimings::default(),
                is_unwanted: false,
                intent: None,
                confidence: None,
            });
        }
        self.make_room();
        if let Some(turn) = self.turns.back_mut() {
            turn.decided_at = part.decided_at;
            turn.timings.end_of_speech_ms = part.facts.end_of_speech_ms;
            turn.parts.push(part);
        }
    }

    /// Gives up the oldest part of the question when too many wait to be asked.
    fn make_room(&mut self) {
        let parts_max = self.route.turns.utterances_joined_max as usize;
        let Some(turn) = self.turns.back_mut().filter(|turn| turn.parts.len() >= parts_max) else {
            return;
        };
        let part = turn.parts.remove(0);
        self.ignore(&part, IgnoredReason::TooMany);
    }

    fn ignore(&mut self, part: &Part, reason: IgnoredReason) {
        let utterance = part.facts.utterance;
        if matches!(part.heard, HeardPart::Pending) {
            self.outputs.push_back(TurnOutput::Discard { utterance });
        }
        self.tell(None, CallEventKind::UtteranceIgnored { utterance, reason });
    }

    /// The question that was not sent, if there is one.
    pub(super) fn collecting(&self) -> Option<&Turn> {
        self.turns.back().filter(|turn| matches!(turn.stage, Stage::Collecting))
    }
}

// === Transcripts ===

impl Conversation {
    pub(super) fn handle_transcript(
        &mut self,
        now: Now,
        utterance: UtteranceId,
        result: Result<Transcript, SttFailure>,
    ) {
        let Some(part) = self.pending_part(utterance).cloned() else { return };
        let stt_ms = now.ms_since(part.decided_at);
        let audio_bytes = part.facts.audio_ms * BYTES_PER_MS;
        let (heard, kind) = match result.and_then(believed) {
            Ok(Transcript::Final { text, confidence }) => (
                self.words_of(&part, text.clone()),
                CallEventKind::Transcribed { text, confidence, stt_ms, audio_bytes },
            ),
            Ok(Transcript::NoMatch) => {
                (HeardPart::Nothing, CallEventKind::NotUnderstood { stt_ms, audio_bytes })
            }
            // A cough that nobody could recognise is a cough.
            Err(failure) if part.over.is_some() && !part.facts.sustained => {
                (HeardPart::Nothing, CallEventKind::SttFailed { failure, stt_ms })
            }
            Err(failure) => (HeardPart::Failed, CallEventKind::SttFailed { failure, stt_ms }),
        };
        let is_meant = matches!(heard, HeardPart::Words(_));
        if let Some(part) = self.pending_part(utterance) {
            part.heard = heard;
        }
        let Some(turn) = self.turns.back_mut() else { return };
        turn.timings.stt_ms = now.ms_since(turn.decided_at);
        let id = turn.id;
        self.tell(Some(id), kind);
        match part.over.filter(|_| is_meant) {
            Some(passage) => self.confirm_interruption(passage),
            None if is_meant => self.drop_held_answers(),
            None => {}
        }
    }

    fn pending_part(&mut self, utterance: UtteranceId) -> Option<&mut Part> {
        let turn = self.turns.back_mut()?;
        turn.parts.iter_mut().find(|part| {
            part.facts.utterance == utterance && matches!(part.heard, HeardPart::Pending)
        })
    }

    /// What a part's words are. Who is cut off at the very end of a question has an answer
    /// to it, and so has who speaks after it.
    fn words_of(&self, part: &Part, text: CallerText) -> HeardPart {
        let Route { language, turns, .. } = &*self.route;
        let is_listening = part.still_over
            && !self.was_cut_at_its_end()
            && is_listeners(text.expose(), language, &turns.listener_words);
        if is_listening { HeardPart::Listening(text) } else { HeardPart::Words(text) }
    }

    /// Decides about the question once the caller has said it all and all is recognised. One
    /// of which a part failed is lost: whoever goes on asking is told, and does not wait for
    /// the recogniser to fail anew at each part.
    pub(super) fn settle(&mut self) {
        let is_decided = |turn: &&Turn| turn.is_recognised() || turn.has_failed();
        let Some(turn) = self.collecting().filter(is_decided) else { return };
        if self.caller_speaks() {
            return;
        }
        let id = turn.id;
        if turn.has_failed() {
            self.discard_pending(id);
            self.close_turn(id);
            self.drop_paused();
            self.apologise(Purpose::TurnFailed, id);
        } else if !turn.is_meant() {
            self.leave_unasked(id);
        }
    }

    /// The question holds no words, or only those of a listener.
    fn leave_unasked(&mut self, id: TurnId) {
        let Some(turn) = self.turns.pop_back() else { return };
        if self.pause.is_some() {
            self.take_back();
        } else if turn.parts.iter().all(Part::is_noise_over_bot) {
            for part in &turn.parts {
                let is_silent = matches!(part.heard, HeardPart::Nothing);
                let reason =
                    if is_silent { IgnoredReason::NoWords } else { IgnoredReason::Listener };
                self.ignore(part, reason);
            }
        } else if self.turns.is_empty() && self.speech.is_silent() && self.unheard.is_empty() {
            self.apologise(Purpose::NoMatch, id);
        }
    }

    /// Asks the platform the question once it is understood and no other is being asked.
    pub(super) fn ask_next(&mut self, now: Now) {
        let is_asking = |turn: &Turn| matches!(turn.stage, Stage::Thinking { .. });
        if self.ending.is_some() || self.caller_speaks() || self.turns.iter().any(is_asking) {
            return;
        }
        if !self.collecting().is_some_and(Turn::is_recognised) {
            return;
        }
        let session = self.session.clone();
        let Some(turn) = self.turns.back_mut() else { return };
        turn.stage = Stage::Thinking { since: now };
        let (turn, text) = (turn.id, turn.text());
        self.outputs.push_back(TurnOutput::Ask { turn, text, session });
    }

    /// Forgets what of a question is not recognised yet.
    fn discard_pending(&mut self, id: TurnId) {
        let parts = self.turns.iter().filter(|turn| turn.id == id).flat_map(|turn| &turn.parts);
        let pending = parts.filter(|part| matches!(part.heard, HeardPart::Pending));
        let discarded = pending.map(|part| TurnOutput::Discard { utterance: part.facts.utterance });
        self.outputs.extend(discarded);
    }

    pub(super) fn close_turn(&mut self, id: TurnId) {
        self.turns.retain(|turn| turn.id != id);
    }

    /// Gives up questions, and answers that nobody will hear.
    pub(super) fn abandon_questions(&mut self, is_given_up: impl Fn(&Turn) -> bool) {
        let turns = std::mem::take(&mut self.turns);
        let (given_up, kept): (VecDeque<Turn>, _) = turns.into_iter().partition(is_given_up);
        self.turns = kept;
        for turn in given_up {
            for part in turn.parts.iter().filter(|part| matches!(part.heard, HeardPart::Pending)) {
                let utterance = part.facts.utterance;
                self.outputs.push_back(TurnOutput::Discard { utterance });
            }
            self.tell(Some(turn.id), CallEventKind::TurnAbandoned { turn: turn.id });
        }
    }
}

/// Refuses a transcript that cannot be what was said.
fn believed(transcript: Transcript) -> Result<Transcript, SttFailure> {
    match &transcript {
        Transcript::Final { text, .. } if is_longer(text.expose(), TRANSCRIPT_CHARS_MAX) => {
            let message = format!("the transcript has more than {TRANSCRIPT_CHARS_MAX} characters");
            Err(SttFailure::Failed { message })
        }
        _ => Ok(transcript),
    }
}

fn is_longer(text: &str, chars_max: usize) -> bool {
    text.chars().nth(chars_max).is_some()
}
