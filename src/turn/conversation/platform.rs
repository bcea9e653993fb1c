//! The platform's side: a reply becomes sentences, a failure an apology.

use super::{Conversation, Stage, Turn};
use crate::turn::{Purpose, sentences};
use crate::types::{
    CallEventKind, CallerText, DialogFailure, DialogReply, EndCause, Now, ReplyOutput, TurnId,
    TurnTimings,
};

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
            Ok(reply) => {
                turn.timings.dialog_wait_ms = reply.waited_ms.min(dialog_ms);
                turn.stage = Stage::Answering { since: now };
                turn.intent.clone_from(&reply.intent);
                turn.confidence = reply.confidence;
                let kind = replied(&reply, &turn.timings);
                self.tell(Some(id), kind);
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

    pub(super) fn speak_reply(&mut self, turn: TurnId, reply: DialogReply) {
        let is_unwanted = self.is_unwanted(turn, &reply);
        self.session = reply.session;
        if is_unwanted {
            self.failures_in_a_row = 0;
            return self.abandon_questions(|asked| asked.id == turn);
        }
        for output in &reply.outputs {
            let interruptible = output.interruptible.unwrap_or(self.route.turns.interruptible);
            for text in sentences(output.text.expose()) {
                self.say(text, Some(turn), reply.intent.clone(), interruptible, Purpose::Reply);
            }
        }
        if reply.end_call {
            self.ending = Some(EndCause::DialogEnded);
            self.abandon_questions(|turn| matches!(turn.stage, Stage::Collecting));
        }
        let waits = self.unheard.iter().any(|sentence| sentence.turn == Some(turn));
        if !self.speech.answers(turn) && !waits {
            // A reply without words is an answer as well.
            self.failures_in_a_row = 0;
            self.close_turn(turn);
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
