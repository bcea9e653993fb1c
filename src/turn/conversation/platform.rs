//! The platform's side: a reply becomes sentences, a failure an apology.
//!
//! What waits to be heard is bounded, whatever the platform sends: each sentence costs
//! this thread work, and nobody listens for an hour.

use std::sync::Arc;

use super::{Conversation, Stage, Turn};
use crate::turn::marked::pieces;
use crate::turn::{Purpose, sentences};
use crate::types::{
    CallEventKind, CallerText, DialogFailure, DialogReply, EndCause, Now, Private, ReplyFlaw,
    ReplyOutput, TurnId, TurnTimings,
};

/// Most sentences that wait to be heard. What a reply holds beyond that is not said.
const SENTENCES_WAITING_MAX: usize = 200;

/// Longest reply that is said, in characters: about twenty minutes of speech.
const REPLY_CHARS_MAX: usize = 20_000;

impl Conversation {
    pub(super) fn handle_reply(
        &mut self,
        now: Now,
        id: TurnId,
        result: Result<DialogReply, DialogFailure>,
    ) {
        let Some(turn) = self.turns.iter_mut().find(|turn| turn.id == id) else { return };
        let Stage::Thinking { since } = turn.stage else { return };
        let dialog_ms = now.ms_since(since);
        turn.timings.dialog_ms = dialog_ms;
        match result {
            Ok(mut reply) => {
                turn.timings.dialog_wait_ms = reply.waited_ms.min(dialog_ms);
                turn.stage = Stage::Answering { since: now };
                turn.intent.clone_from(&reply.intent);
                turn.confidence = reply.confidence;
                let timings = turn.timings;
                if !has_words(&reply) && !reply.end_call {
                    reply.flaws.push(ReplyFlaw::WithoutWords);
                }
                self.shorten(&mut reply);
                self.tell(Some(id), replied(&reply, &timings));
                for flaw in reply.flaws.iter().cloned() {
                    self.tell(Some(id), CallEventKind::ReplyFlawed { flaw });
                }
                self.speak_reply(id, reply);
            }
            Err(failure) => {
                let fatal = failure.ends_dialog();
                self.close_turn(id);
                self.tell(Some(id), CallEventKind::DialogFailed { failure, dialog_ms });
                if fatal {
                    self.give_up(EndCause::DialogUnauthorized);
                } else {
                    self.apologise(Purpose::TurnFailed, id);
                }
            }
        }
    }

    /// Takes off a reply what is not said of it.
    fn shorten(&self, reply: &mut DialogReply) {
        let waiting = self.speech.len() + self.unheard.len();
        let mut sentences_max = SENTENCES_WAITING_MAX.saturating_sub(waiting);
        let mut chars_max = REPLY_CHARS_MAX;
        let mut unsaid_chars = 0;
        for output in &mut reply.outputs {
            let text = output.text.expose();
            let said = said_of(text, &self.route.language, &mut sentences_max, &mut chars_max);
            let unsaid = &text[said..];
            if !unsaid.trim_start().is_empty() {
                unsaid_chars += unsaid.chars().count() as u64;
                output.text = text[..said].into();
            }
        }
        if unsaid_chars > 0 {
            reply.flaws.push(ReplyFlaw::TooLong { unsaid_chars });
        }
    }

    pub(super) fn speak_reply(&mut self, turn: TurnId, reply: DialogReply) {
        let is_unwanted = self.is_unwanted(turn, &reply);
        let route = Arc::clone(&self.route);
        self.session = reply.session;
        if is_unwanted {
            self.failures_in_a_row = 0;
            return self.abandon_questions(|asked| asked.id == turn);
        }
        for output in &reply.outputs {
            let interruptible = output.interruptible.unwrap_or(self.route.turns.interruptible);
            let markup = output.markup.as_ref().map(Private::expose);
            for piece in pieces(output.text.expose(), markup, &route.language) {
                self.say(piece, Some(turn), reply.intent.clone(), interruptible, Purpose::Reply);
            }
        }
        if reply.end_call {
            self.ending = Some(EndCause::DialogEnded);
            self.abandon_questions(|turn| matches!(turn.stage, Stage::Collecting));
        }
        let waits = self.unheard.iter().any(|sentence| sentence.turn == Some(turn));
        if self.speech.answers(turn) || waits {
            return;
        }
        self.close_turn(turn);
        if reply.flaws.contains(&ReplyFlaw::WithoutWords) {
            // Silence would tell the caller nothing, for as long as the call lasts.
            self.apologise(Purpose::TurnFailed, turn);
        } else {
            self.failures_in_a_row = 0;
        }
    }
}

impl Conversation {
    /// Whether the caller has gone on, so that the answer's words are not to be spoken.
    fn is_unwanted(&self, turn: TurnId, reply: &DialogReply) -> bool {
        let is_unwanted = |asked: &Turn| asked.id == turn && asked.is_unwanted;
        let by_route = self.route.turns.interruptible;
        let may_be_dropped = |output: &ReplyOutput| output.interruptible.unwrap_or(by_route);
        !reply.end_call
            && !reply.outputs.is_empty()
            && reply.outputs.iter().all(may_be_dropped)
            && self.turns.iter().any(is_unwanted)
    }
}

fn has_words(reply: &DialogReply) -> bool {
    let mut texts = reply.outputs.iter().map(|output| output.text.expose());
    texts.any(|text| text.chars().take(REPLY_CHARS_MAX).any(char::is_alphanumeric))
}

/// How many bytes of `text` are said, and takes them off what may be said.
fn said_of(text: &str, language: &str, sentences_max: &mut usize, chars_max: &mut usize) -> usize {
    let end = text.char_indices().nth(*chars_max).map_or(text.len(), |(at, _)| at);
    let mut pieces = sentences(&text[..end], language);
    *sentences_max -= pieces.by_ref().take(*sentences_max).count();
    let said = end - pieces.rest().len();
    *chars_max -= text[..said].chars().count();
    said
}

fn replied(reply: &DialogReply, timings: &TurnTimings) -> CallEventKind {
    let texts: Vec<&str> =
        reply.outputs.iter().map(|output| output.text.expose().as_str()).collect();
    CallEventKind::DialogReplied {
        text: CallerText::new(texts.join(" ")),
        intent: reply.intent.clone(),
        confidence: reply.confidence,
        next_state: reply.next_state.clone(),
        dialog_ms: timings.dialog_ms,
        dialog_wait_ms: timings.dialog_wait_ms,
    }
}
