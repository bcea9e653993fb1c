//! What a WebSocket client may say of its call: in its URL and, as every proxy on the way
//! writes that down, who calls in a header. Pure. Unknown parameters are ignored (proxies
//! add their own); a known one with a wrong value is refused.

use actix_http::RequestHead;
use actix_web::web::Query;

use crate::types::{CallTarget, CarrierCallId, CarrierCallIdError, SampleRate, TwoTargets, UserId};

/// Rates that a WebSocket client may ask for, in hertz.
const RATES_HZ: [u32; 2] = [8_000, 16_000];

/// The rate of a client that asks for none, in hertz.
const RATE_HZ: u32 = 16_000;

/// Longest `user_id` and `route`, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Longest query string, in bytes.
const QUERY_BYTES_MAX: usize = 2_048;

/// Header: who calls.
const USER_ID: &str = "X-User-Id";

/// Parameters of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LegQuery {
    /// `rate`: 8000 or 16000; 16000 when absent.
    pub rate: SampleRate,
    /// `call_id`: the carrier's name for the call, which resumes it.
    pub carrier_call_id: Option<CarrierCallId>,
    /// Header `X-User-Id`, or `user_id` where that is allowed: who is calling.
    pub user_id: UserId,
    /// `route`, or `called`: selects the route.
    pub target: Option<CallTarget>,
    /// `events`: 1 or 0. `None`: as the protocol has it.
    pub events: Option<bool>,
}

/// Why the parameters are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum QueryError {
    /// Not `name=value` pairs, or far too long.
    #[error("the query string is not understood: use name=value pairs joined by &")]
    Malformed,
    /// A rate that is not one of [`RATES_HZ`].
    #[error("rate is not supported: use 8000 or 16000")]
    Rate,
    /// No id.
    #[error("call_id is not usable: {0}")]
    CallId(#[from] CarrierCallIdError),
    /// Too long.
    #[error("{name} is longer than {max} bytes", max = NAME_BYTES_MAX)]
    TooLong {
        /// The parameter.
        name: &'static str,
    },
    /// Who calls, where it would be logged.
    #[error(
        "user_id may not stand in the URL, which proxies log: send the header X-User-Id, or set \
         server.user_id_in_query"
    )]
    UserIdInQuery,
    /// Not text.
    #[error("the header X-User-Id is not readable: use UTF-8")]
    UserId,
    /// Two ways to select the route.
    #[error(transparent)]
    Target(#[from] TwoTargets),
    /// Neither 0 nor 1.
    #[error("events is not understood: use 1 or 0")]
    Events,
}

impl QueryError {
    /// The error code that the client gets.
    pub(super) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "bad_query",
            Self::Rate => "unsupported_rate",
            Self::CallId(_) => "bad_call_id",
            Self::TooLong { .. } => "too_long",
            Self::UserIdInQuery => "user_id_in_query",
            Self::UserId => "bad_user_id",
            Self::Target(_) => "two_targets",
            Self::Events => "bad_events",
        }
    }
}

/// Reads the head of a request. Of a repeated parameter the last one counts.
pub(super) fn parse(head: &RequestHead, user_id_in_query: bool) -> Result<LegQuery, QueryError> {
    let query = head.uri.query().unwrap_or_default();
    if query.len() > QUERY_BYTES_MAX {
        return Err(QueryError::Malformed);
    }
    let pairs =
        Query::<Vec<(String, String)>>::from_query(query).map_err(|_| QueryError::Malformed)?;
    let mut parsed = LegQuery {
        rate: rate(RATE_HZ)?,
        carrier_call_id: None,
        user_id: anonymous(),
        target: None,
        events: None,
    };
    let (mut route, mut called) = (None, None);
    for (name, value) in pairs.into_inner() {
        match name.as_str() {
            "rate" => parsed.rate = rate(value.parse().map_err(|_| QueryError::Rate)?)?,
            "call_id" => parsed.carrier_call_id = Some(CarrierCallId::new(&value)?),
            "user_id" if !user_id_in_query => return Err(QueryError::UserIdInQuery),
            "user_id" if !value.is_empty() => {
                parsed.user_id = UserId::from(short("user_id", value)?);
            }
            "route" if !value.is_empty() => route = Some(short("route", value)?),
            "called" if !value.is_empty() => called = Some(short("called", value)?),
            "events" => parsed.events = Some(flag(&value)?),
            _ => {}
        }
    }
    if let Some(value) = head.headers.get(USER_ID) {
        let user_id = std::str::from_utf8(value.as_bytes()).map_err(|_| QueryError::UserId)?;
        parsed.user_id = UserId::from(short("X-User-Id", user_id.to_owned())?);
    }
    parsed.target = CallTarget::of(route, called)?;
    Ok(parsed)
}

/// The user of a caller that does not say who calls.
pub(super) fn anonymous() -> UserId {
    UserId::from("anonymous")
}

fn rate(hz: u32) -> Result<SampleRate, QueryError> {
    if RATES_HZ.contains(&hz) {
        SampleRate::new(hz).map_err(|_| QueryError::Rate)
    } else {
        Err(QueryError::Rate)
    }
}

fn short(name: &'static str, value: String) -> Result<String, QueryError> {
    if value.len() > NAME_BYTES_MAX { Err(QueryError::TooLong { name }) } else { Ok(value) }
}

fn flag(value: &str) -> Result<bool, QueryError> {
    match value {
        "1" => Ok(true),
        "0" => Ok(false),
        _ => Err(QueryError::Events),
    }
}

#[cfg(test)]
mod tests {
    use actix_http::test::TestRequest;

    use super::*;

    fn head_of(uri: &str) -> TestRequest {
        TestRequest::with_uri(uri)
    }

    fn parsed(query: &str) -> Result<LegQuery, QueryError> {
        parse(head_of(&format!("/?{query}")).finish().head(), false)
    }

    #[test]
    fn a_client_that_says_nothing_gets_16_khz_and_no_name() {
        let query = parsed("").expect("empty is allowed");
        assert_eq!(query.rate.hz(), 16_000);
        assert_eq!((query.carrier_call_id, query.target, query.events), (None, None, None));
        assert_eq!(query.user_id.expose(), "anonymous");
    }

    #[test]
    fn every_parameter_is_read_and_unknown_ones_are_ignored() {
        let query =
            parsed("rate=8000&call_id=a-1&route=sales&events=1&utm=x").expect("all are right");
        assert_eq!(query.rate.hz(), 8_000);
        assert_eq!(query.carrier_call_id, CarrierCallId::new("a-1").ok());
        assert_eq!(query.target, Some(CallTarget::Route("sales".to_owned())));
        assert_eq!(query.events, Some(true));
        let called = parsed("called=%2B15550100").expect("right").target;
        assert_eq!(called, Some(CallTarget::Called("+15550100".to_owned())));
    }

    #[test]
    fn who_calls_stands_in_a_header_and_in_the_url_only_where_that_is_allowed() {
        let in_header = head_of("/").insert_header(("x-user-id", "+49 170")).finish();
        let query = parse(in_header.head(), false).expect("right");
        assert_eq!(query.user_id.expose(), "+49 170");
        assert_eq!(parsed("user_id=%2B49170"), Err(QueryError::UserIdInQuery));
        let in_query = head_of("/?user_id=%2B49%20170").finish();
        let query = parse(in_query.head(), true).expect("right");
        assert_eq!(query.user_id.expose(), "+49 170");
    }

    #[test]
    fn a_wrong_value_is_refused_and_says_what_is_allowed() {
        let refused = |query: &str| parsed(query).expect_err("must be refused");
        assert_eq!(refused("rate=44100"), QueryError::Rate);
        assert_eq!(refused("rate=fast"), QueryError::Rate);
        assert_eq!(refused("rate="), QueryError::Rate);
        assert!(refused("rate=1").to_string().contains("8000 or 16000"));
        assert_eq!(refused("call_id=a%2Fb"), QueryError::CallId(CarrierCallIdError::BadCharacter));
        assert_eq!(refused("events=yes"), QueryError::Events);
        assert_eq!(refused("route=a&called=1").to_string(), TwoTargets.to_string());
        let long = "u".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(refused(&format!("route={long}")), QueryError::TooLong { name: "route" });
        assert_eq!(refused(&"x".repeat(QUERY_BYTES_MAX + 1)), QueryError::Malformed);
    }
}
