//! Cognigy behind its public REST endpoint: one address, which is the credential.
//!
//! The platform keeps the dialog's state by user and session; the call's id is the
//! session. Intent, confidence and next state are no part of this contract: a flow
//! puts them into `data` of the reply or of an output; where the first two are, the
//! settings say, and the state is its `nextState`. What ends the call is said in
//! [`super::cognigy_output`].
//!
//! A turn has no key by which the platform would notice a repetition, so nothing is
//! sent again that may have run.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::breaker::ProviderBreaker;
use super::cognigy_output::{END_STATE, confidence, name, read_outputs};
use super::credentials::{CredentialSource, Environment};
use super::dialog_attempts::{AttemptLimits, DialogAttempts};
use super::governor::Governor;
use super::http::{self, ExchangeError};
use super::jitter::Jitter;
use super::providers::ProviderError;
use super::{DialogBackend, Health, ServiceFuture};
use crate::config::CognigyRestSettings;
use crate::types::{DialogFailure, DialogReply, DialogRequest, Private, SessionData};

const ENDPOINT_URL: &str = "COGNIGY_ENDPOINT_URL";

/// The `cognigy-rest` backend.
pub(super) struct CognigyRest {
    client: Client,
    endpoint: Private<Url>,
    pointers: Pointers,
    attempts: DialogAttempts,
    /// It has answered a turn.
    is_known: AtomicBool,
}

/// Where in `data` a flow says what it understood; JSON pointers, empty for nowhere.
struct Pointers {
    intent: String,
    confidence: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TurnBody<'a> {
    user_id: &'a str,
    session_id: &'a str,
    text: &'a str,
    data: Map<String, Value>,
}

/// Every field may be missing or of another form: a transformer may replace the body.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReplyBody {
    text: Value,
    data: Value,
    output_stack: Value,
}

impl CognigyRest {
    /// Reads the endpoint's address as `settings` and `environment` say.
    pub(super) fn new(
        settings: &CognigyRestSettings,
        environment: Environment<'_>,
        governor: Arc<Governor>,
        breaker: Arc<ProviderBreaker>,
        jitter: Jitter,
    ) -> Result<Self, ProviderError> {
        let source = CredentialSource {
            what: "endpoint URL",
            variable: ENDPOINT_URL,
            setting: "dialog.cognigy-rest.endpoint_url_file",
            file: &settings.endpoint_url_file,
        };
        let endpoint = http::address(ENDPOINT_URL, source.read(environment)?.expose())?;
        let limits = AttemptLimits {
            attempt_ms_max: settings.timeout_ms,
            attempts_max: settings.attempts_max,
            retry_on: settings.retry_on.clone(),
        };
        Ok(Self {
            client: http::client(ENDPOINT_URL, &endpoint)?,
            endpoint: Private::new(endpoint),
            pointers: Pointers {
                intent: settings.intent_pointer.clone(),
                confidence: settings.confidence_pointer.clone(),
            },
            attempts: DialogAttempts::new(governor, breaker, limits, jitter),
            is_known: AtomicBool::new(false),
        })
    }

    async fn ask_turn(&self, request: DialogRequest) -> Result<DialogReply, DialogFailure> {
        let body = http::json_body(&TurnBody {
            user_id: request.user_id.expose(),
            session_id: &request.session_id.to_string(),
            text: request.text.expose(),
            data: Map::new(),
        });
        let reply = self
            .attempts
            .run(&request, async |ms_max| {
                let post = self
                    .client
                    .post(self.endpoint.expose().clone())
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone());
                let post = http::traced(post, request.trace);
                let answer = http::exchange(post, http::JSON_BYTES_MAX, ms_max).await?;
                read_reply(&answer.json()?, &self.pointers, &request.session)
            })
            .await;
        self.is_known.fetch_or(reply.is_ok(), Ordering::Relaxed);
        reply
    }

    /// Asks for the endpoint's head: whatever is posted there would be a turn. It shows that
    /// a connection, TLS included, can be made, and that nobody sends it elsewhere. The
    /// contract does not say how an endpoint answers; whether it takes turns shows only with
    /// the first one.
    async fn check_connection(&self) -> Health {
        let origin = self.endpoint.expose().origin().ascii_serialization();
        let unavailable = |found: &str| {
            Health::Unavailable(format!(
                "the dialog platform at {origin} {found}: check {ENDPOINT_URL} and the network"
            ))
        };
        match http::probe(self.client.head(self.endpoint.expose().clone())).await {
            Ok((status, _)) if http::is_away(status) => {
                unavailable(&format!("leads elsewhere or is not ready (status {status})"))
            }
            Ok(_) if self.is_known.load(Ordering::Relaxed) => {
                Health::Ready(format!("{origin} answers turns"))
            }
            Ok(_) => Health::Ready(format!(
                "{origin} answers; whether it takes turns at the endpoint URL is not verified \
                 until the first one (antiphon check --deep sends one)"
            )),
            Err(error) => unavailable(&format!("is not reachable ({error})")),
        }
    }
}

impl DialogBackend for CognigyRest {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(self.ask_turn(request))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.check_connection())
    }
}

fn read_reply(
    body: &ReplyBody,
    pointers: &Pointers,
    session: &SessionData,
) -> Result<DialogReply, ExchangeError> {
    let outputs = match (&body.output_stack, &body.text) {
        (Value::Array(outputs), _) => outputs.as_slice(),
        (_, Value::String(_) | Value::Number(_)) => &[],
        _ => return Err(ExchangeError::Malformed("holds neither outputs nor a text")),
    };
    let data: Vec<&Value> =
        std::iter::once(&body.data).chain(outputs.iter().map(|output| &output["data"])).collect();
    let mut read = read_outputs(outputs);
    if read.spoken.is_empty() {
        // `text` repeats the outputs in one piece; it counts where they have no words.
        read.spoken =
            read_outputs(&[serde_json::json!({"text": &body.text, "data": &body.data})]).spoken;
    }
    read.heed(&body.data);
    let next_state = first_at(&data, "/nextState", name);
    Ok(DialogReply {
        outputs: read.spoken,
        intent: first_at(&data, &pointers.intent, name),
        confidence: first_at(&data, &pointers.confidence, confidence),
        waited_ms: 0,
        end_call: read.end_call || next_state.as_deref() == Some(END_STATE),
        next_state,
        flaws: read.flaws,
        session: session.clone(),
    })
}

/// What `pointer` leads to in the first `data` where it leads to something readable.
fn first_at<T>(data: &[&Value], pointer: &str, read: fn(&Value) -> Option<T>) -> Option<T> {
    if pointer.is_empty() {
        return None;
    }
    data.iter().find_map(|data| data.pointer(pointer).and_then(read))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::services::json::read as read_json;
    use crate::types::ReplyFlaw;

    fn read(body: Value) -> Result<DialogReply, ExchangeError> {
        let pointers =
            Pointers { intent: "/nlu/intent".to_owned(), confidence: "/nlu/score".to_owned() };
        read_reply(&serde_json::from_value(body).unwrap(), &pointers, &SessionData::default())
    }

    fn words(body: Value) -> Vec<String> {
        read(body).unwrap().outputs.iter().map(|output| output.text.expose().clone()).collect()
    }

    #[test]
    fn the_outputs_are_said_and_not_the_text_that_repeats_them() {
        let body = json!({"text": "One. Two.", "outputStack": [{"text": "One."}, {"text": null}, {"text": "Two."}]});
        assert_eq!(words(body), ["One.", "Two."]);
    }

    #[test]
    fn a_body_with_a_text_only_is_said() {
        assert_eq!(words(json!({"text": "One."})), ["One."]);
    }

    #[test]
    fn a_body_with_neither_outputs_nor_text_is_malformed() {
        assert!(read(json!({"data": {}})).is_err());
        assert!(read(json!({"text": null})).is_err());
    }

    /// One line of `tests/cases/cognigy-replies.jsonl`.
    #[derive(Deserialize)]
    struct Case {
        name: String,
        reply: Option<Value>,
        reply_raw: Option<String>,
        said: Vec<String>,
        told: Option<String>,
        then: Option<String>,
    }

    #[test]
    fn the_known_replies_are_said_as_the_platforms_own_gateway_says_them() {
        for line in include_str!("../../tests/cases/cognigy-replies.jsonl").lines() {
            let case: Case = serde_json::from_str(line).unwrap();
            let body = match (case.reply, case.reply_raw) {
                (Some(reply), _) => serde_json::from_value(reply).unwrap(),
                (None, raw) => read_json(raw.unwrap().as_bytes()).unwrap(),
            };
            let pointers = Pointers { intent: String::new(), confidence: String::new() };
            let reply = read_reply(&body, &pointers, &SessionData::default()).unwrap();
            let said: Vec<&str> =
                reply.outputs.iter().map(|output| output.text.expose().as_str()).collect();
            assert_eq!(said, case.said, "{}", case.name);
            let not_possible =
                reply.flaws.iter().any(|flaw| matches!(flaw, ReplyFlaw::ActionNotPossible { .. }));
            assert_eq!(
                not_possible,
                case.told.as_deref() == Some("an action that cannot be done here"),
                "{}",
                case.name
            );
            assert_eq!(reply.end_call, case.then.is_some(), "{}", case.name);
        }
    }

    #[test]
    fn the_text_is_said_where_the_outputs_have_no_words() {
        assert_eq!(words(json!({"text": "One.", "outputStack": [{"text": null}]})), ["One."]);
        assert_eq!(words(json!({"text": 12})), ["12"]);
        let template = json!({"_cognigy": {"_default": {"_buttons": {"text": "Pick one."}}}});
        assert_eq!(words(json!({"text": "", "data": template})), ["Pick one."]);
    }

    #[test]
    fn intent_and_confidence_are_where_the_settings_say() {
        let of = |body| read(body).map(|reply| (reply.intent, reply.confidence)).unwrap();
        let nlu = json!({"nlu": {"intent": "cancel", "score": 0.5}});
        let expected = (Some("cancel".to_owned()), Some(0.5));
        assert_eq!(of(json!({"text": "x", "data": nlu})), expected);
        assert_eq!(of(json!({"outputStack": [{"text": "x"}, {"data": nlu}]})), expected);
        assert_eq!(of(json!({"text": "x", "data": {"intent": "cancel"}})), (None, None));
    }

    #[test]
    fn end_call_or_the_state_end_in_the_reply_or_in_an_output_ends_the_call() {
        let ends = |body| read(body).unwrap().end_call;
        assert!(ends(json!({"text": "x", "data": {"endCall": true}})));
        assert!(ends(json!({"outputStack": [{"data": {"endCall": true}}]})));
        assert!(ends(json!({"outputStack": [{"text": "x", "data": {"nextState": "end"}}]})));
        assert!(!ends(json!({"text": "x", "data": {"nextState": "open"}})));
    }
}
