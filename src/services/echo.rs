//! A dialog backend that says again what the caller said. With speech that carries
//! numbers, a caller can tell whether its own words came back; what was recognised
//! is seen to be heard without any platform. It remembers nothing.

use super::fixed::saying;
use super::{DialogBackend, Health, ServiceFuture};
use crate::types::{DialogFailure, DialogReply, DialogRequest};

/// The `echo` dialog backend.
pub(super) struct EchoDialog;

impl DialogBackend for EchoDialog {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(std::future::ready(Ok(saying(request.text))))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        let found = "answers every turn with what was recognised".to_owned();
        Box::pin(std::future::ready(Health::Ready(found)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::tests::turn;

    #[tokio::test]
    async fn a_turn_is_answered_with_its_own_words() {
        let backend = EchoDialog;
        let reply = backend.ask(turn("a")).await.expect("a reply");
        assert_eq!(reply.outputs[0].text, turn("a").text);
    }
}
