//! What a WebSocket client may say in its URL. Pure. Unknown parameters are
//! ignored (proxies add their own); a known one with a wrong value is refused.

use actix_web::web::Query;

use crate::types::{CarrierCallId, CarrierCallIdError, SampleRate, UserId};

/// Rates that a WebSocket client may ask for, in hertz.
const RATES_HZ: [u32; 2] = [8_000, 16_000];

/// The rate of a client that asks for none, in hertz.
const RATE_HZ: u32 = 16_000;

/// Longest `user_id` and `route`, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 128;

/// Longest query string, in bytes.
const QUERY_BYTES_MAX: usize = 2_048;

/// Parameters of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LegQuery {
    /// `rate`: 8000 or 16000; 16000 when absent.
    pub rate: SampleRate,
    /// `call_id`: the carrier's name for the call, which resumes it.
    pub carrier_call_id: Option<CarrierCallId>,
    /// `user_id`: who is calling.
    pub user_id: UserId,
    /// `route`: selects the route.
    pub route: Option<String>,
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
            Self::Events => "bad_events",
        }
    }
}

/// Reads the part of a URL after the question mark. Of a repeated parameter the
/// last one counts.
pub(super) fn parse(query: &str) -> Result<LegQuery, QueryError> {
    if query.len() > QUERY_BYTES_MAX {
        return Err(QueryError::Malformed);
    }
    let pairs =
        Query::<Vec<(String, String)>>::from_query(query).map_err(|_| QueryError::Malformed)?;
    let mut parsed = LegQuery {
        rate: rate(RATE_HZ)?,
        carrier_call_id: None,
        user_id: anonymous(),
        route: None,
        events: None,
    };
    for (name, value) in pairs.into_inner() {
        match name.as_str() {
            "rate" => parsed.rate = rate(value.parse().map_err(|_| QueryError::Rate)?)?,
            "call_id" => parsed.carrier_call_id = Some(CarrierCallId::new(&value)?),
            "user_id" if !value.is_empty() => {
                parsed.user_id = UserId::from(short("user_id", value)?);
            }
            "route" if !value.is_empty() => parsed.route = Some(short("route", value)?),
            "events" => parsed.events = Some(flag(&value)?),
            _ => {}
        }
    }
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
    use super::*;

    #[test]
    fn a_client_that_says_nothing_gets_16_khz_and_no_name() {
        let query = parse("").expect("empty is allowed");
        assert_eq!(query.rate.hz(), 16_000);
        assert_eq!((query.carrier_call_id, query.route, query.events), (None, None, None));
        assert_eq!(query.user_id.expose(), "anonymous");
    }

    #[test]
    fn every_parameter_is_read_and_unknown_ones_are_ignored() {
        let query = parse("rate=8000&call_id=a-1&user_id=%2B49%20170&route=sales&events=1&utm=x")
            .expect("all are right");
        assert_eq!(query.rate.hz(), 8_000);
        assert_eq!(query.carrier_call_id, CarrierCallId::new("a-1").ok());
        assert_eq!(query.user_id.expose(), "+49 170");
        assert_eq!(query.route.as_deref(), Some("sales"));
        assert_eq!(query.events, Some(true));
    }

    #[test]
    fn a_wrong_value_is_refused_and_says_what_is_allowed() {
        let refused = |query: &str| parse(query).expect_err("must be refused");
        assert_eq!(refused("rate=44100"), QueryError::Rate);
        assert_eq!(refused("rate=fast"), QueryError::Rate);
        assert_eq!(refused("rate="), QueryError::Rate);
        assert!(refused("rate=1").to_string().contains("8000 or 16000"));
        assert_eq!(refused("call_id=a%2Fb"), QueryError::CallId(CarrierCallIdError::BadCharacter));
        assert_eq!(refused("events=yes"), QueryError::Events);
        let long = "u".repeat(NAME_BYTES_MAX + 1);
        assert_eq!(refused(&format!("user_id={long}")), QueryError::TooLong { name: "user_id" });
        assert_eq!(refused(&"x".repeat(QUERY_BYTES_MAX + 1)), QueryError::Malformed);
    }
}
