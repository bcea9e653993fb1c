//! Both dialog contracts of the platform, answered by the hotel.
//!
//! `GET /api/v2/bots` and `POST /api/v2/dialogs` keep no state: it travels in the
//! session data. The REST endpoint `POST /{URLToken}` keeps it by session, as the
//! platform does, for the most recent [`SESSIONS_MAX`] sessions.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Stand;
use super::hotel::{HotelReply, HotelState, Step, answer};
use super::problem::{BodyResult, Problem, credential, read_json};

/// The bot that answers.
pub const BOT_ID: &str = "hotel";
/// Sessions whose state the REST endpoint keeps, and whose turns are counted.
pub const SESSIONS_MAX: usize = 10_000;
/// Largest body of a turn; the platform's own limit is 60 kB.
pub(super) const BODY_BYTES_MAX: usize = 64 * 1024;
/// Inputs of one turn.
const INPUTS_MAX: usize = 16;
/// Longest id of a dialog, a user or a session, in bytes.
const ID_BYTES_MAX: usize = 256;
/// Where the hotel's state lies in the session data; other entries are handed back.
const STATE_KEY: &str = "hotel";

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/api/v2/bots", web::get().to(bots))
        .route("/api/v2/dialogs", web::post().to(dialogs))
        .route("/{url_token:[0-9A-Fa-f]{64}}", web::post().to(endpoint));
}

async fn bots(request: HttpRequest, stand: web::Data<Stand>) -> HttpResponse {
    match check_key(&request, &stand) {
        Ok(()) => HttpResponse::Ok().json(json!({
            "items": [{"_id": BOT_ID, "name": "Hotel"}],
            "total": 1,
        })),
        Err(problem) => problem.into(),
    }
}

async fn dialogs(request: HttpRequest, body: BodyResult, stand: web::Data<Stand>) -> HttpResponse {
    let turn = async {
        check_key(&request, &stand)?;
        let turn: DialogsTurn = read_json(body)?;
        let text = turn.check()?;
        let (state, session) = split_session(turn.session_data)?;
        let reply = answer(state, &text);
        stand.turn_ran(&turn.dialog_id);
        Ok(dialogs_reply(&turn.dialog_id, &reply, session))
    };
    stand.dialog.serve(turn).await
}

async fn endpoint(
    url_token: web::Path<String>,
    body: BodyResult,
    stand: web::Data<Stand>,
) -> HttpResponse {
    let turn = async {
        if !url_token.eq_ignore_ascii_case(stand.url_token.expose()) {
            return Err(Problem::new(StatusCode::NOT_FOUND, "no endpoint has this URL token"));
        }
        let turn: EndpointTurn = read_json(body)?;
        turn.check()?;
        stand.turn_ran(&turn.session_id);
        let reply =
            turn.text.as_deref().map(|text| stand.answer_in_session(&turn.session_id, text));
        Ok(endpoint_reply(&turn, reply.as_ref()))
    };
    stand.dialog.serve(turn).await
}

/// A turn of the dialogs contract.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DialogsTurn {
    bot_id: String,
    dialog_id: String,
    user_id: String,
    inputs: Vec<DialogsInput>,
    #[serde(default)]
    session_data: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct DialogsInput {
    #[serde(rename = "type")]
    kind: String,
    text: String,
}

impl DialogsTurn {
    /// The text of the turn, if it is one this bot takes.
    fn check(&self) -> Result<String, Problem> {
        if self.bot_id != BOT_ID {
            let detail = format!("no bot has this botId: this sandbox knows {BOT_ID}");
            return Err(Problem::new(StatusCode::NOT_FOUND, detail));
        }
        check_id("dialogId", &self.dialog_id)?;
        check_id("userId", &self.user_id)?;
        if self.inputs.is_empty() || self.inputs.len() > INPUTS_MAX {
            return Err(Problem::bad_request(format!(
                "inputs must hold 1 to {INPUTS_MAX} entries"
            )));
        }
        if self.inputs.iter().any(|input| input.kind != "text") {
            return Err(Problem::bad_request("an input's type must be text"));
        }
        let texts: Vec<&str> = self.inputs.iter().map(|input| input.text.as_str()).collect();
        Ok(texts.join(" "))
    }
}

/// A turn of the REST endpoint.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct EndpointTurn {
    user_id: String,
    session_id: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
}

impl EndpointTurn {
    fn check(&self) -> Result<(), Problem> {
        check_id("userId", &self.user_id)?;
        check_id("sessionId", &self.session_id)?;
        if self.text.is_none() && self.data.is_none() {
            return Err(Problem::bad_request("text or data must be given"));
        }
        Ok(())
    }
}

fn check_id(name: &str, id: &str) -> Result<(), Problem> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(Problem::bad_request(format!("{name} must have 1 to {ID_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn check_key(request: &HttpRequest, stand: &Stand) -> Result<(), Problem> {
    match credential(request.headers(), "ApiKey") {
        Some(key) if key == stand.key.expose() => Ok(()),
        Some(super::FORBIDDEN_KEY) => Err(Problem::new(
            StatusCode::FORBIDDEN,
            "the API key lacks the permission dialog:execute",
        )),
        _ => Err(Problem::new(StatusCode::UNAUTHORIZED, "the API key is missing or not known")),
    }
}

/// The hotel's state, and the session data without it.
fn split_session(
    data: Option<Map<String, Value>>,
) -> Result<(HotelState, Map<String, Value>), Problem> {
    let mut data = data.unwrap_or_default();
    let state = data.remove(STATE_KEY).map_or_else(|| Ok(HotelState::default()), from_json);
    Ok((state?, data))
}

fn from_json(state: Value) -> Result<HotelState, Problem> {
    serde_json::from_value(state).map_err(|error| {
        Problem::bad_request(format!(
            "sessionData.{STATE_KEY} is not what this bot returned: {error}"
        ))
    })
}

fn dialogs_reply(
    dialog_id: &str,
    reply: &HotelReply,
    mut session: Map<String, Value>,
) -> HttpResponse {
    session.insert(STATE_KEY.to_owned(), json!(reply.state));
    let outputs: Vec<Value> =
        reply.outputs.iter().map(|text| json!({"type": "text", "text": text})).collect();
    HttpResponse::Ok().json(json!({
        "dialogId": dialog_id,
        "outputs": outputs,
        "nextState": reply.next_step().as_str(),
        "intent": reply.intent.as_str(),
        "confidence": reply.confidence,
        "sessionData": session,
    }))
}

/// Intent and score are not part of the platform's answer; a flow hands them over
/// in `data`, and so does this one. A turn without text runs, and says nothing.
fn endpoint_reply(turn: &EndpointTurn, reply: Option<&HotelReply>) -> HttpResponse {
    let data = reply.map_or_else(|| json!({}), reply_data);
    let outputs = reply.map_or(&[][..], |reply| &reply.outputs);
    let stack: Vec<Value> = outputs
        .iter()
        .map(|text| {
            json!({
                "text": text,
                "data": data,
                "traceId": format!("endpoint-{}", turn.session_id),
                "disableSensitiveLogging": false,
                "source": "bot",
            })
        })
        .collect();
    HttpResponse::Ok().json(json!({
        "text": outputs.join(" "),
        "data": data,
        "outputStack": stack,
        "userId": turn.user_id,
        "sessionId": turn.session_id,
    }))
}

fn reply_data(reply: &HotelReply) -> Value {
    let mut data = json!({
        "intent": reply.intent.as_str(),
        "confidence": reply.confidence,
        "nextState": reply.next_step().as_str(),
    });
    if reply.next_step() == Step::End {
        data["_cognigy"] = json!({"_voiceGateway2": {"json": {"hangup": {}}}});
    }
    data
}
