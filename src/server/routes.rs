//! The routes that are about the engine as a whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Semaphore;

use super::health::HealthBoard;
use crate::actors::link::Switchboard;
use crate::telemetry::{Prometheus, Telemetry};

/// Content type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Slow turns in one answer unless it is asked otherwise, and at most.
const SLOW_TURNS: usize = 20;
const SLOW_TURNS_MAX: usize = 1_200;

/// What a client that is sent away should wait, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// What the routes look at.
#[derive(Clone)]
pub struct EngineState {
    pub board: HealthBoard,
    pub draining: Arc<AtomicBool>,
    pub switchboard: Switchboard,
    pub prometheus: Prometheus,
    pub telemetry: Telemetry,
}

/// Mounts `/live`, `/ready`, `/metrics` and `/v1/slow-turns`.
pub fn routes(config: &mut web::ServiceConfig, state: EngineState) {
    config
        .app_data(web::Data::new(state))
        // Resources, not routes: another method is answered with 405 and what is allowed.
        .service(web::resource("/live").get(live).head(live))
        .service(web::resource("/ready").get(ready).head(ready))
        .service(web::resource("/metrics").get(metrics).head(metrics))
        .service(web::resource("/v1/slow-turns").get(slow_turns).head(slow_turns));
}

/// The answer to everything that is not served.
pub async fn not_found() -> HttpResponse {
    let message = "there is nothing here; see /live, /ready, /metrics, /v1/calls, /v1/slow-turns and \
                   /v1/stream";
    HttpResponse::NotFound().json(json!({ "error": { "code": "not_found", "message": message } }))
}

async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

async fn ready(state: web::Data<EngineState>) -> HttpResponse {
    let mut complaints = state.board.complaints();
    if state.draining.load(Ordering::Relaxed) {
        complaints.push("the engine is shutting down".to_owned());
    }
    match state.switchboard.load().await {
        Some(load) => complaints.extend(load.complaints),
        None => complaints.push("the call registry does not answer".to_owned()),
    }
    if complaints.is_empty() {
        return HttpResponse::Ok().json(json!({ "ready": true }));
    }
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))
        .json(json!({ "ready": false, "because": complaints }))
}

/// The metrics are rendered for one client after the other: each rendering takes a thread.
static RENDERING: Semaphore = Semaphore::const_new(1);

async fn metrics(state: web::Data<EngineState>) -> HttpResponse {
    let Ok(_one) = RENDERING.acquire().await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    // Rendering takes a while and reads files; this thread has callers to serve.
    match web::block(move || state.prometheus.render()).await {
        Ok(text) => HttpResponse::Ok().content_type(PROMETHEUS_TEXT).body(text),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SlowTurnsQuery {
    #[serde(default = "default_limit")]
    limit: usize,
}

const fn default_limit() -> usize {
    SLOW_TURNS
}

async fn slow_turns(request: HttpRequest, state: web::Data<EngineState>) -> HttpResponse {
    let query = web::Query::<SlowTurnsQuery>::from_query(request.query_string());
    let limit = query.ok().map(|query| query.limit).filter(|n| (1..=SLOW_TURNS_MAX).contains(n));
    let Some(limit) = limit else {
        let message = format!("use limit=1 to {SLOW_TURNS_MAX}");
        let error = json!({ "code": "bad_query", "message": message });
        return HttpResponse::BadRequest().json(json!({ "error": error }));
    };
    HttpResponse::Ok().json(json!({ "turns": state.telemetry.slow_turns(limit) }))
}
