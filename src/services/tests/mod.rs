//! Every provider against a real HTTP server on the loopback.

mod breaker;
mod cognigy_dialogs;
mod cognigy_rest;
mod registration;
mod scripted_server;
mod speech;
mod streamed_speech;

use std::sync::Arc;

pub(super) use self::scripted_server::ReservedPort;
use super::breaker::ProviderBreaker;
use crate::config::BreakerSettings;
use crate::types::{CallId, DialogReply, DialogRequest, Private, SessionId, TurnId, UserId};

/// A caller turn of the call `call`, to be answered within 20 s.
pub(super) fn turn(call: &str) -> DialogRequest {
    DialogRequest {
        call_id: CallId::of_test(call),
        session_id: SessionId::of_test(call),
        user_id: UserId::from("+4930123456"),
        turn: TurnId(3),
        text: "a room please".into(),
        session: Private::default(),
        answer_ms_max: 20_000,
        trace: None,
    }
}

/// A breaker as it is configured by default, which tells nobody.
pub(super) fn breaker() -> Arc<ProviderBreaker> {
    ProviderBreaker::new(&BreakerSettings::default(), None)
}

fn words(reply: &DialogReply) -> Vec<&str> {
    reply.outputs.iter().map(|output| output.text.expose().as_str()).collect()
}
