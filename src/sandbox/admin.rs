//! The sandbox's own doors: what it saw, and what is to go wrong from now on.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use super::Stand;
use super::faults::FaultProfiles;
use super::problem::{BodyResult, Problem, read_json};

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/_sandbox/stats", web::get().to(stats))
        .route("/_sandbox/faults", web::post().to(set_faults));
}

async fn stats(stand: web::Data<Stand>) -> HttpResponse {
    let turns: BTreeMap<String, u64> =
        stand.turns.lock().iter().map(|(session, turns)| (session.clone(), *turns)).collect();
    HttpResponse::Ok().json(json!({
        "dialog": stand.dialog.counts(),
        "tts": stand.tts.counts(),
        "stt": stand.stt.counts(),
        "turns_by_session": turns,
    }))
}

/// Replaces all profiles; a door that is left out behaves again.
async fn set_faults(body: BodyResult, stand: web::Data<Stand>) -> HttpResponse {
    let faults: FaultProfiles = match read_json(body) {
        Ok(faults) => faults,
        Err(problem) => return problem.into(),
    };
    if let Err(error) = faults.check() {
        return Problem::bad_request(error.to_string()).into();
    }
    let answer = HttpResponse::Ok().json(&faults);
    stand.dialog.set_profile(faults.dialog);
    stand.tts.set_profile(faults.tts);
    stand.stt.set_profile(faults.stt);
    answer
}

pub(super) async fn nothing_here() -> HttpResponse {
    Problem::new(
        StatusCode::NOT_FOUND,
        "nothing is here: the stand-ins are GET /api/v2/bots, POST /api/v2/dialogs, \
         POST /{URLToken}, POST /tts/synthesize and POST /v1/audio/transcriptions",
    )
    .into()
}
