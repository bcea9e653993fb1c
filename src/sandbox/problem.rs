//! Refusals, in the shape of the platform's own: RFC 7807 and a little more.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::web::Bytes;
use actix_web::{HttpResponse, error};
use serde::de::DeserializeOwned;
use serde_json::json;

/// A refusal with its reason.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    detail: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into() }
    }

    /// 400.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }
}

impl From<Problem> for HttpResponse {
    fn from(problem: Problem) -> Self {
        let title = problem.status.canonical_reason().unwrap_or("Error");
        Self::build(problem.status).content_type("application/problem+json").json(json!({
            "type": format!("{}Error", title.replace(' ', "")),
            "title": title,
            "status": problem.status.as_u16(),
            "detail": problem.detail,
            "details": {},
        }))
    }
}

/// A body as it came out of the extractor, read as `T`.
pub(super) fn read_json<T: DeserializeOwned>(body: BodyResult) -> Result<T, Problem> {
    serde_json::from_slice(&read_bytes(body)?).map_err(|error| {
        Problem::bad_request(format!("the body is not what the contract says: {error}"))
    })
}

/// What the body extractor gives: an overflow is a refusal of ours, not of actix.
pub(super) type BodyResult = Result<Bytes, error::Error>;

/// The body, or 413 when it was larger than the server takes.
pub(super) fn read_bytes(body: BodyResult) -> Result<Bytes, Problem> {
    body.map_err(|error| {
        let status = error.as_response_error().status_code();
        Problem::new(status, format!("the body is refused: {error}"))
    })
}

/// The credential of an `Authorization: {scheme} …` header.
pub(super) fn credential<'a>(headers: &'a HeaderMap, scheme: &str) -> Option<&'a str> {
    let (given, key) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    given.eq_ignore_ascii_case(scheme).then_some(key.trim())
}
