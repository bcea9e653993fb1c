//! Cognigy behind `GET {base}/bots` and `POST {base}/dialogs` with an API key.
//!
//! The session's id is the dialog's id. The platform's session data goes back with the
//! next turn; a reply that holds none leaves it as it was. What ends the call is
//! said in [`super::cognigy_output`].
//!
//! It keeps nothing of a call, and writes nothing that a caller said anywhere but
//! into the request.

use std::sync::Arc;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, RequestBuilder, Url};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::breaker::ProviderBreaker;
use super::cognigy_output::{END_STATE, confidence, name, read_outputs};
use super::credentials::{CredentialError, CredentialSource, Environment};
use super::dialog_attempts::{AttemptLimits, DialogAttempts};
use super::governor::Governor;
use super::http::{self, ExchangeError, HttpSetupError};
use super::jitter::Jitter;
use super::providers::{ProviderError, both};
use super::{DialogBackend, Health, ServiceFuture};
use crate::config::CognigyDialogsSettings;
use crate::types::{
    DialogFailure, DialogReply, DialogRequest, Private, ReplyFlaw, Secret, SessionData,
};

const BASE_URL: &str = "dialog.cognigy-dialogs.base_url";
const TENANT: &str = "COGNIGY_TENANT";
/// What the key must be allowed to do.
const PERMISSIONS: [&str; 2] = ["dialog:execute", "dialog:read"];
/// Largest session data that is kept for a call and sent back. The platform's own
/// limit for an input is about as large.
const SESSION_BYTES_MAX: usize = 64 * 1024;

/// The `cognigy-dialogs` backend.
pub(super) struct CognigyDialogs {
    client: Client,
    bots: Url,
    dialogs: Url,
    bot_id: String,
    key: Secret,
    key_place: String,
    attempts: DialogAttempts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TurnBody<'a> {
    bot_id: &'a str,
    dialog_id: &'a str,
    user_id: &'a str,
    inputs: [TurnInput<'a>; 1],
    session_data: &'a Value,
}

#[derive(Serialize)]
struct TurnInput<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
}

/// Every field may be missing or of another form.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReplyBody {
    outputs: Value,
    next_state: Value,
    intent: Value,
    confidence: Value,
    session_data: Value,
}

impl CognigyDialogs {
    /// Reads address and key as `settings` and `environment` say.
    pub(super) fn new(
        settings: &CognigyDialogsSettings,
        environment: Environment<'_>,
        governor: Arc<Governor>,
        breaker: Arc<ProviderBreaker>,
        jitter: Jitter,
    ) -> Result<Self, ProviderError> {
        let source = CredentialSource {
            what: "API key",
            variable: "COGNIGY_API_KEY",
            setting: "dialog.cognigy-dialogs.api_key_file",
            file: &settings.api_key_file,
        };
        let (base, key) = both(base_url(settings, environment), source.read(environment))?;
        let limits = AttemptLimits {
            attempt_ms_max: settings.timeout_ms,
            attempts_max: settings.attempts_max,
            retry_on: settings.retry_on.clone(),
        };
        Ok(Self {
            client: http::client(BASE_URL, &base)?,
            bots: http::below(&base, "/bots"),
            dialogs: http::below(&base, "/dialogs"),
            bot_id: settings.bot_id.clone(),
            key,
            key_place: source.place(),
            attempts: DialogAttempts::new(governor, breaker, limits, jitter),
        })
    }

    async fn ask_turn(&self, request: DialogRequest) -> Result<DialogReply, DialogFailure> {
        let body = self.turn_body(&request);
        self.attempts
            .run(&request, async |ms_max| {
                let post = self
                    .authorized(self.client.post(self.dialogs.clone()))
                    .header(CONTENT_TYPE, "application/json")
                    .body(body.clone());
                let post = http::traced(post, request.trace);
                let answer = http::exchange(post, http::JSON_BYTES_MAX, ms_max).await?;
                read_reply(answer.json()?, &request.session)
            })
            .await
    }

    fn turn_body(&self, request: &DialogRequest) -> Bytes {
        let nothing = Value::Object(serde_json::Map::new());
        let session = request.session.expose();
        let session_id = request.session_id.to_string();
        let turn = TurnBody {
            bot_id: &self.bot_id,
            dialog_id: &session_id,
            user_id: request.user_id.expose(),
            inputs: [TurnInput { kind: "text", text: request.text.expose() }],
            session_data: if session.is_null() { &nothing } else { session },
        };
        http::json_body(&turn)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        let mut value = HeaderValue::from_str(&format!("ApiKey {}", self.key.expose()))
            .expect("a credential is printable ASCII: credentials.rs takes nothing else");
        value.set_sensitive(true);
        request.header(AUTHORIZATION, value)
    }

    async fn check_key(&self) -> Health {
        let (status, found) =
            match http::probe(self.authorized(self.client.get(self.bots.clone()))).await {
                Ok(answer) => answer,
                Err(error) => {
                    return Health::Unavailable(format!(
                        "the dialog platform at {} is not reachable ({error}): check {BASE_URL}, \
                     {TENANT} and the network",
                        self.bots
                    ));
                }
            };
        let (key, place) = (&self.key, &self.key_place);
        match status {
            200..=299 if !found.holds_a_list() => Health::Unavailable(format!(
                "what answers at {} is no dialog platform, which would give a list{}: check \
                 {BASE_URL}",
                self.bots,
                found.flaw()
            )),
            200..=299 => Health::Ready(format!("{} accepts the API key {key}", self.bots)),
            401 => Health::Refused(format!(
                "the dialog platform does not accept the API key {key} (401): put a key with the \
                 permissions {} into {place}",
                PERMISSIONS.join(" and ")
            )),
            403 => Health::Refused(format!(
                "the API key {key} lacks the permission {} (403): grant it, or put another key \
                 into {place}",
                missing_permission(&found.text())
            )),
            _ => Health::Unavailable(format!(
                "the dialog platform answers {} with status {status}: check {BASE_URL}",
                self.bots
            )),
        }
    }
}

impl DialogBackend for CognigyDialogs {
    fn ask(&self, request: DialogRequest) -> ServiceFuture<'_, Result<DialogReply, DialogFailure>> {
        Box::pin(self.ask_turn(request))
    }

    fn check(&self) -> ServiceFuture<'_, Health> {
        Box::pin(self.check_key())
    }
}

/// The configured address, or the tenant's.
fn base_url(
    settings: &CognigyDialogsSettings,
    environment: Environment<'_>,
) -> Result<Url, ProviderError> {
    if !settings.base_url.is_empty() {
        return Ok(http::address(BASE_URL, &settings.base_url)?);
    }
    let missing = CredentialError::Missing { what: "tenant", variable: TENANT, setting: BASE_URL };
    let tenant = environment(TENANT).unwrap_or_default();
    match tenant.trim() {
        "" => Err(missing.into()),
        // One label of a host name: nothing that could lead to another host.
        label if label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') => {
            Ok(http::address(TENANT, &format!("https://{label}.cognigy.ai/api/v2"))?)
        }
        _ => Err(HttpSetupError::Address {
            setting: TENANT,
            problem: "must be the tenant's name alone: letters, digits and -",
        }
        .into()),
    }
}

/// The permission that a 403 names, or both when it names none. Only these words are
/// taken from the answer.
fn missing_permission(body: &str) -> String {
    let named: Vec<&str> = PERMISSIONS.into_iter().filter(|name| body.contains(name)).collect();
    let missing = if named.is_empty() { PERMISSIONS.to_vec() } else { named };
    missing.join(" or ")
}

fn read_reply(body: ReplyBody, session: &SessionData) -> Result<DialogReply, ExchangeError> {
    let Value::Array(outputs) = &body.outputs else {
        return Err(ExchangeError::Malformed("holds no list of outputs"));
    };
    let mut outputs = read_outputs(outputs);
    // The intent is a name, or an object with a name and its confidence.
    let (intent, of_intent) = match &body.intent {
        Value::Object(intent) => (intent.get("name"), intent.get("confidence")),
        other => (Some(other), None),
    };
    let next_state = name(&body.next_state);
    Ok(DialogReply {
        outputs: outputs.spoken,
        intent: intent.and_then(name),
        confidence: confidence(&body.confidence).or_else(|| of_intent.and_then(confidence)),
        end_call: outputs.end_call || next_state.as_deref() == Some(END_STATE),
        waited_ms: 0,
        next_state,
        session: next_session(body.session_data, session).unwrap_or_else(|flaw| {
            outputs.flaws.push(flaw);
            session.clone()
        }),
        flaws: outputs.flaws,
    })
}

/// What goes back with the next turn; the platform ran this one whatever it returned.
fn next_session(returned: Value, sent: &SessionData) -> Result<SessionData, ReplyFlaw> {
    if returned.is_null() {
        return Ok(sent.clone());
    }
    let bytes = http::json_body(&returned).len();
    if bytes > SESSION_BYTES_MAX {
        return Err(ReplyFlaw::SessionDataTooLarge { bytes: bytes as u64 });
    }
    Ok(Private::new(returned))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<DialogReply, ExchangeError> {
        read_reply(serde_json::from_value(body).unwrap(), &Private::new(json!({"step": 1})))
    }

    fn understood(body: Value) -> (Option<String>, Option<f32>) {
        let reply = read(body).unwrap();
        (reply.intent, reply.confidence)
    }

    #[test]
    fn the_intent_is_a_name_or_an_object_with_a_confidence() {
        let intent = Some("cancel".to_owned());
        assert_eq!(
            understood(json!({"outputs": [], "intent": "cancel", "confidence": 0.5})),
            (intent.clone(), Some(0.5))
        );
        assert_eq!(
            understood(json!({"outputs": [], "intent": {"name": "cancel", "confidence": 0.75}})),
            (intent, Some(0.75))
        );
        assert_eq!(understood(json!({"outputs": [], "intent": null})), (None, None));
    }

    #[test]
    fn session_data_goes_back_and_is_kept_when_the_reply_holds_none() {
        let next = |body| read(body).unwrap().session;
        assert_eq!(
            next(json!({"outputs": [], "sessionData": {"step": 2}})).expose(),
            &json!({"step": 2})
        );
        assert_eq!(next(json!({"outputs": []})).expose(), &json!({"step": 1}));
    }

    #[test]
    fn session_data_that_would_fill_memory_is_told_and_costs_neither_answer_nor_session() {
        let big = "x".repeat(SESSION_BYTES_MAX);
        let reply = read(json!({"outputs": [{"text": "Yes."}], "sessionData": big})).unwrap();
        assert_eq!(reply.outputs[0].text.expose(), "Yes.");
        assert_eq!(reply.session.expose(), &json!({"step": 1}));
        let bytes = SESSION_BYTES_MAX as u64 + 2;
        assert_eq!(reply.flaws, [ReplyFlaw::SessionDataTooLarge { bytes }]);
    }

    #[test]
    fn the_state_end_ends_the_call() {
        let ends = |state| read(json!({"outputs": [], "nextState": state})).unwrap().end_call;
        assert!(ends("end"));
        assert!(!ends("endless"));
    }

    #[test]
    fn a_reply_without_a_list_of_outputs_is_malformed() {
        for body in [json!({}), json!({"outputs": "hello"}), json!({"error": "x"})] {
            assert!(read(body).is_err());
        }
    }

    #[test]
    fn the_address_is_the_tenants_unless_one_is_configured() {
        let tenant = |name: &'static str| {
            let settings = CognigyDialogsSettings::default();
            base_url(&settings, &move |_| Some(name.to_owned())).map(String::from)
        };
        assert_eq!(tenant("acme-1").unwrap(), "https://acme-1.cognigy.ai/api/v2");
        assert!(tenant("evil.example/x?").is_err());
        assert_eq!(
            tenant(" ").unwrap_err().to_string(),
            "no tenant: set the environment variable COGNIGY_TENANT, or set \
             dialog.cognigy-dialogs.base_url"
        );
    }

    #[test]
    fn a_refusal_names_the_missing_permission_and_nothing_else_of_the_answer() {
        assert_eq!(missing_permission("{\"missing\": \"dialog:read\"}"), "dialog:read");
        assert_eq!(missing_permission("<b>no</b>"), "dialog:execute or dialog:read");
    }
}
