//! Every provider against a real HTTP server on the loopback.

mod cognigy_dialogs;
mod cognigy_rest;
mod scripted_server;
mod speech;
mod streamed_speech;

pub(super) use self::scripted_server::ReservedPort;
use crate::types::{CallId, DialogReply, DialogRequest, Private, TurnId, UserId};

/// A caller turn of the call `call`, to be answered within 20 s.
pub(super) fn turn(call: &str) -> DialogRequest {
    DialogRequest {
        call_id: CallId::new(call).unwrap(),
        user_id: UserId::from("+4930123456"),
        turn: TurnId(3),
        text: "a room please".into(),
        session: Private::default(),
        answer_ms_max: 20_000,
        trace: None,
    }
}

fn words(reply: &DialogReply) -> Vec<&str> {
    reply.outputs.iter().map(|output| output.text.expose().as_str()).collect()
}
