//! Refusals, in the shape of the platform's own: RFC 7807 and a little more.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, error};
use serde::de::DeserializeOwned;
use serde_json::json;

/// A refusal with its reason.
pub(super) fn problem(status: StatusCode, detail: &str) -> HttpResponse {
    let title = status.canonical_reason().unwrap_or("Error");
    HttpResponse::build(status).content_type("application/problem+json").json(json!({
        "type": format!("{}Error", title.replace(' ', "")),
        "title": title,
        "status": status.as_u16(),
        "detail": detail,
        "details": {},
    }))
}

/// A body as it came out of the extractor, read as `T`.
pub(super) fn read_json<T: DeserializeOwned>(body: BodyResult) -> Result<T, HttpResponse> {
    serde_json::from_slice(&read_bytes(body)?).map_err(|error| {
        problem(
            StatusCode::BAD_REQUEST,
            &format!("the body is not what the contract says: {error}"),
        )
    })
}

/// What the body extractor gives: an overflow is a refusal of ours, not of actix.
pub(super) type BodyResult = Result<Bytes, error::Error>;

/// The body, or 413 when it was larger than the server takes.
pub(super) fn read_bytes(body: BodyResult) -> Result<Bytes, HttpResponse> {
    body.map_err(|error| {
        problem(error.as_response_error().status_code(), &format!("the body is refused: {error}"))
    })
}

/// The credential of an `Authorization: {scheme} …` header.
pub(super) fn credential<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(key.trim())
}

/// 400 with its reason.
pub(super) fn bad_request(detail: &str) -> HttpResponse {
    problem(StatusCode::BAD_REQUEST, detail)
}
