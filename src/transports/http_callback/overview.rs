//! The running calls as HTTP shows them, whichever transport carries them: which
//! there are, how one stands, and ending one.
//!
//! A call of the callback shows what its client needs as well. Nothing that was said is
//! shown, and nobody's number but what the carrier made its name for the call.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{CallbackCall, Presence};
use super::calls::Lookup;
use super::handlers::{Answer, Worker, name_of, unknown_call};
use super::messages::CallAnswer;
use crate::actors::link::{CallPage, CallView};
use crate::transports::refusal::Refusal;
use crate::types::{
    CallId, CallState, CarrierCallId, ConversationState, EndCause, RefusalReason, TurnId,
};

/// Calls in one answer unless it is asked otherwise, and at most.
const LIMIT: usize = 50;
const LIMIT_MAX: usize = 200;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    #[serde(default)]
    after: u64,
    #[serde(default = "default_limit")]
    limit: usize,
}

const fn default_limit() -> usize {
    LIMIT
}

/// One line of the list.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    view: &'a CallView,
    state: Value,
    turn: Option<TurnId>,
    conversation: Option<ConversationState>,
}

/// `GET /v1/calls`
pub(super) async fn list(request: HttpRequest, worker: Data<Worker>) -> Answer {
    let wrong = |_| Refusal::bad_request("bad_query", "use after=NUMBER and limit=1 to 200");
    let ListQuery { after, limit } =
        Query::<ListQuery>::from_query(request.query_string()).map_err(wrong)?.into_inner();
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(Refusal::bad_request("bad_query", "limit is 1 to 200"));
    }
    let page = worker.state().switchboard().calls(after, limit).await;
    let CallPage { calls, total, more } = page.ok_or(RefusalReason::Internal)?;
    let lines: Vec<Line<'_>> = calls.iter().map(line).collect();
    let next = calls.last().filter(|_| more).map(|call| call.number);
    Ok(HttpResponse::Ok().json(json!({ "calls": lines, "total": total, "next": next })))
}

fn line(view: &CallView) -> Line<'_> {
    let snapshot = view.snapshot.as_ref();
    Line {
        view,
        state: snapshot.map_or_else(|| json!("not_answering"), |snapshot| json!(snapshot.state)),
        turn: snapshot.map(|snapshot| snapshot.turn),
        conversation: snapshot.map(|snapshot| snapshot.conversation),
    }
}

/// `GET /v1/calls/{id}`
pub(super) async fn look(id: Path<String>, worker: Data<Worker>) -> Answer {
    let (name, state) = (name_of(&id)?, worker.state());
    let known = state.lookup(&name);
    if let Some(call_id) = id_of_another(&name, &known)
        && let Some(view) = state.switchboard().call(call_id).await
    {
        return shown(Some(&view), None);
    }
    match known {
        Lookup::Call(call) => {
            let view = match call.call_id() {
                Some(call_id) => state.switchboard().call(call_id).await,
                None => None,
            };
            let (state, cause) = match call.presence() {
                Presence::Connected => (json!("running"), None),
                Presence::Away => (json!(CallState::Away), None),
                Presence::Ended(cause) => (json!("ended"), Some(cause)),
            };
            shown(view.as_ref(), Some(&callback_part(&call, state, cause)))
        }
        Lookup::Ended => Err(RefusalReason::Ended.into()),
        Lookup::Unknown => Err(unknown_call()),
    }
}

/// `DELETE /v1/calls/{id}`: the carrier's hang-up for a call of the callback, an
/// operator's for any other.
pub(super) async fn hang_up(id: Path<String>, worker: Data<Worker>) -> Answer {
    let (name, state) = (name_of(&id)?, worker.state());
    let known = state.lookup(&name);
    let ending = json!(CallState::Ending);
    if let Some(call_id) = id_of_another(&name, &known)
        && state.switchboard().end_call(call_id, EndCause::EndedByOperator).await
    {
        return Ok(HttpResponse::Ok().json(json!({ "call_id": call_id, "state": ending })));
    }
    match known {
        Lookup::Call(call) if !matches!(call.presence(), Presence::Ended(_)) => {
            if let Some(input) = call.input() {
                input.hang_up(EndCause::CallerHungUp);
            }
            Ok(HttpResponse::Ok().json(callback_part(&call, ending, None)))
        }
        Lookup::Call(_) | Lookup::Ended => Err(RefusalReason::Ended.into()),
        Lookup::Unknown => Err(unknown_call()),
    }
}

/// The engine's id in a path, unless it is that of the callback's own call. It goes before
/// a name: a client may call its call as it likes, and hides no other call by that.
fn id_of_another(name: &CarrierCallId, known: &Lookup) -> Option<CallId> {
    let call_id = name.expose().parse().ok()?;
    let is_own = matches!(known, Lookup::Call(call) if call.call_id() == Some(call_id));
    (!is_own).then_some(call_id)
}

fn callback_part(call: &CallbackCall, state: Value, cause: Option<EndCause>) -> CallAnswer {
    call.with_reply(|reply| CallAnswer {
        call_id: call.call_id(),
        state,
        cause: cause.map(EndCause::as_str),
        epoch: reply.epoch(),
        audio_position: reply.end(),
        audio_dropped_samples: reply.dropped_samples(),
    })
}

/// What the engine sees of a call, and what the callback does, which knows better.
fn shown(view: Option<&CallView>, part: Option<&CallAnswer>) -> Answer {
    let mut shown = Map::new();
    if let Some(view) = view {
        add(&mut shown, view);
        add(&mut shown, view.snapshot.as_ref().ok_or_else(not_answering)?);
    }
    if let Some(part) = part {
        add(&mut shown, part);
    }
    Ok(HttpResponse::Ok().json(Value::Object(shown)))
}

/// Adds the fields of a struct; a later one replaces an earlier one of its name.
fn add(shown: &mut Map<String, Value>, part: &impl Serialize) {
    if let Ok(Value::Object(fields)) = serde_json::to_value(part) {
        shown.extend(fields);
    }
}

fn not_answering() -> Refusal {
    Refusal::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not_answering",
        "the call runs but did not answer in time: its media thread is late",
    )
}
