//! How the transports say no over HTTP: one JSON shape, one status for each
//! reason, and a time to come back where coming back may help.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::query::QueryError;
use crate::types::RefusalReason;

/// When a client whose piece of a call was refused for lack of room may try again, in
/// seconds.
const RETRY_AFTER_S: u32 = 1;

/// An answer that is not what the client hoped for:
/// `{"error":{"code":…,"message":…}}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: StatusCode,
    code: &'static str,
    message: String,
    retry_after_s: Option<u32>,
    /// Codings of a body that would have been taken.
    accepts: Option<&'static str>,
}

impl Refusal {
    /// A refusal that will be the same next time.
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl fmt::Display) -> Self {
        Self { status, code, message: message.to_string(), retry_after_s: None, accepts: None }
    }

    /// 400.
    pub(super) fn bad_request(code: &'static str, message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 415 for a body that is compressed.
    pub(super) fn unsupported_coding() -> Self {
        let message = "the body is compressed (Content-Encoding): send it as it is";
        let refusal = Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_coding", message);
        Self { accepts: Some("identity"), ..refusal }
    }

    /// Adds when the same request may succeed.
    pub(super) fn retry_later(mut self) -> Self {
        self.retry_after_s = Some(RETRY_AFTER_S);
        self
    }

    /// What a close frame says of a refusal that may end, in at most 123 bytes; `None` for
    /// one that will be the same next time.
    pub(super) fn close_reason(&self) -> Option<String> {
        let (code, seconds) = (self.code, self.retry_after_s?);
        Some(format!(r#"{{"code":"{code}","retry_after_s":{seconds}}}"#))
    }

    /// The error code, for the call's record.
    pub(super) const fn code(&self) -> &'static str {
        self.code
    }
}

impl From<RefusalReason> for Refusal {
    fn from(reason: RefusalReason) -> Self {
        let status = match reason {
            RefusalReason::Full { .. }
            | RefusalReason::Overloaded { .. }
            | RefusalReason::Memory { .. }
            | RefusalReason::Draining => StatusCode::SERVICE_UNAVAILABLE,
            RefusalReason::SourceRate { .. } | RefusalReason::ResumeRate => {
                StatusCode::TOO_MANY_REQUESTS
            }
            RefusalReason::UnknownRoute => StatusCode::NOT_FOUND,
            RefusalReason::AlreadyConnected => StatusCode::CONFLICT,
            RefusalReason::Ended => StatusCode::GONE,
            RefusalReason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let refusal = Self::new(status, reason.as_str(), &reason);
        Self { retry_after_s: reason.retry_after_s(), ..refusal }
    }
}

impl From<QueryError> for Refusal {
    fn from(error: QueryError) -> Self {
        Self::bad_request(error.code(), error)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_s {
            response.insert_header((RETRY_AFTER, seconds));
        }
        if let Some(codings) = self.accepts {
            response.insert_header((ACCEPT_ENCODING, codings));
        }
        response.json(Body { error: Fault { code: self.code, message: &self.message } })
    }
}

#[derive(Serialize)]
struct Body<'a> {
    error: Fault<'a>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_status_and_only_lack_of_room_invites_to_come_back() {
        let because = "busy".to_owned();
        let memory = RefusalReason::Memory { resident_mb: 2, memory_mb_max: 1, retry_after_s: 3 };
        let answers = [
            (RefusalReason::Full { calls_max: 2, retry_after_s: 7 }, 503, Some("7")),
            (RefusalReason::Overloaded { because, retry_after_s: 4 }, 503, Some("4")),
            (memory, 503, Some("3")),
            (RefusalReason::SourceRate { calls_max: 2 }, 429, Some("1")),
            (RefusalReason::ResumeRate, 429, Some("1")),
            (RefusalReason::Draining, 503, Some("1")),
            (RefusalReason::UnknownRoute, 404, None),
            (RefusalReason::AlreadyConnected, 409, None),
            (RefusalReason::Ended, 410, None),
            (RefusalReason::Internal, 500, None),
        ];
        for (reason, status, comes_back) in answers {
            let refusal = Refusal::from(reason);
            let response = refusal.error_response();
            assert_eq!(response.status().as_u16(), status);
            assert_eq!(refusal.close_reason().is_some(), comes_back.is_some());
            let retry_after = response.headers().get(RETRY_AFTER);
            assert_eq!(retry_after.map(|value| value.to_str().unwrap()), comes_back);
        }
        let reason = Refusal::from(RefusalReason::Draining).close_reason();
        assert_eq!(reason.as_deref(), Some(r#"{"code":"draining","retry_after_s":1}"#));
    }
}
