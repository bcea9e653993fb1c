//! The running calls as HTTP shows them, whichever transport carries them: which
//! there are, how one stands, and ending one.
//!
//! A call of the callback shows what its client needs as well. Nothing that was
//! said, and nobody's number but what the carrier made the call's id, is shown.

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path, Query};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{CallbackCall, Presence};
use super::calls::Lookup;
use super::handlers::{Answer, Worker, call_id, unknown_call};
use super::messages::CallAnswer;
use crate::actors::link::{CallPage, CallView};
use crate::transports::refusal::Refusal;
use crate::types::{CallId, CallState, ConversationState, EndCause, RefusalReason, TurnId};

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
    let id = call_id(&id)?;
    let known = worker.state().lookup(&id);
    let running = worker.state().switchboard().call(&id).await;
    let mut shown = Map::new();
    match &running {
        Some(CallView { snapshot: None, .. }) => return Err(not_answering()),
        Some(view) => {
            add(&mut shown, view);
            add(&mut shown, &view.snapshot);
        }
        None => {}
    }
    match (known, running) {
        (Lookup::Call(call), running) => {
            let (state, cause) = match call.presence() {
                Presence::Connected => (json!("running"), None),
                Presence::Away => (json!(CallState::Away), None),
                // The id may have a call of another transport by now.
                Presence::Ended(_) if running.is_some() => return Ok(answer(shown)),
                Presence::Ended(cause) => (json!("ended"), Some(cause)),
            };
            add(&mut shown, &callback_part(&id, &call, state, cause));
        }
        (Lookup::Ended | Lookup::Unknown, Some(_)) => {}
        (Lookup::Ended, None) => return Err(RefusalReason::Ended.into()),
        (Lookup::Unknown, None) => return Err(unknown_call()),
    }
    Ok(answer(shown))
}

/// `DELETE /v1/calls/{id}`: the carrier's hang-up for a call of the callback, an
/// operator's for any other.
pub(super) async fn hang_up(id: Path<String>, worker: Data<Worker>) -> Answer {
    let id = call_id(&id)?;
    let state = worker.state();
    let known = state.lookup(&id);
    let ending = json!(CallState::Ending);
    if let Lookup::Call(call) = &known
        && !matches!(call.presence(), Presence::Ended(_))
    {
        if let Some(input) = call.input() {
            input.hang_up(EndCause::CallerHungUp);
        }
        return Ok(HttpResponse::Ok().json(callback_part(&id, call, ending, None)));
    }
    if state.switchboard().end_call(&id, EndCause::EndedByOperator).await {
        return Ok(HttpResponse::Ok().json(json!({ "call_id": id, "state": ending })));
    }
    match known {
        Lookup::Call(_) | Lookup::Ended => Err(RefusalReason::Ended.into()),
        Lookup::Unknown => Err(unknown_call()),
    }
}

fn callback_part<'a>(
    id: &'a CallId,
    call: &CallbackCall,
    state: Value,
    cause: Option<EndCause>,
) -> CallAnswer<'a> {
    call.with_reply(|reply| CallAnswer {
        call_id: id,
        state,
        cause: cause.map(EndCause::as_str),
        epoch: reply.epoch(),
        audio_position: reply.end(),
        audio_dropped_samples: reply.dropped_samples(),
    })
}

/// Adds the fields of a struct; a later one replaces an earlier one of its name.
fn add(shown: &mut Map<String, Value>, part: &impl Serialize) {
    if let Ok(Value::Object(fields)) = serde_json::to_value(part) {
        shown.extend(fields);
    }
}

fn answer(shown: Map<String, Value>) -> HttpResponse {
    HttpResponse::Ok().json(Value::Object(shown))
}

fn not_answering() -> Refusal {
    Refusal::new(
        StatusCode::GATEWAY_TIMEOUT,
        "not_answering",
        "the call runs but did not answer in time: its media thread is late",
    )
}
