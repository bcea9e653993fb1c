//! The routes that are about the engine and not about a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::health::HealthBoard;
use crate::telemetry::Prometheus;

/// Content type of the Prometheus text format.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a client that is sent away should wait, in seconds.
const RETRY_AFTER_SECONDS: &str = "5";

/// What the routes look at.
#[derive(Clone)]
pub struct EngineState {
    pub board: HealthBoard,
    pub draining: Arc<AtomicBool>,
    pub prometheus: Prometheus,
}

/// Mounts `/live`, `/ready` and `/metrics`.
pub fn routes(config: &mut web::ServiceConfig, state: EngineState) {
    config
        .app_data(web::Data::new(state))
        // Resources, not routes: another method is answered with 405 and what is allowed.
        .service(web::resource("/live").get(live).head(live))
        .service(web::resource("/ready").get(ready).head(ready))
        .service(web::resource("/metrics").get(metrics));
}

/// The answer to everything that is not served.
pub async fn not_found() -> HttpResponse {
    let message = "there is nothing here; see /live, /ready, /metrics, /v1/calls and /v1/stream";
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
    if complaints.is_empty() {
        return HttpResponse::Ok().json(json!({ "ready": true }));
    }
    HttpResponse::ServiceUnavailable()
        .insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS))
        .json(json!({ "ready": false, "because": complaints }))
}

async fn metrics(state: web::Data<EngineState>) -> HttpResponse {
    HttpResponse::Ok().content_type(PROMETHEUS_TEXT).body(state.prometheus.render())
}
