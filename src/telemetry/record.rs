//! One line of the event file, and the same facts as one line of the log.
//!
//! What callers and the bot said is not in it: no type here can hold it. The
//! user's id and the carrier's name for the call go into the file, and into nothing else.

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use tracing::Level;

use super::CallScope;
use crate::types::{CallEvent, CallId, CarrierCallId, ExitReason};

/// What there is to tell about one event, before anybody is told.
pub(super) struct Facts<'a> {
    /// The event type.
    pub(super) name: &'static str,
    /// WARN: something failed and was made good. ERROR: something is lost, or an
    /// operator is needed. INFO: at most a few per utterance.
    pub(super) level: Level,
    pub(super) columns: Columns<'a>,
    pub(super) details: Details<'a>,
}

/// The columns that every line has; null where they do not apply.
#[derive(Default, PartialEq, Serialize)]
pub(super) struct Columns<'a> {
    #[serde(serialize_with = "bounded_option")]
    pub(super) intent: Option<&'a str>,
    pub(super) confidence: Option<f32>,
    pub(super) stt_latency_ms: Option<u64>,
    pub(super) tts_latency_ms: Option<u64>,
    #[serde(rename = "cognigy_latency_ms")]
    pub(super) dialog_latency_ms: Option<u64>,
    pub(super) audio_bytes_processed: Option<u64>,
}

/// What only this type of event has, in the order to be shown.
#[derive(Default)]
pub(super) struct Details<'a>(pub(super) Vec<(&'static str, Detail<'a>)>);

/// A value of a detail.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Detail<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

/// The line as it is written, without its newline.
#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    event_type: &'static str,
    user_id: Option<&'a str>,
    #[serde(flatten)]
    columns: &'a Columns<'a>,
    call_id: Option<CallId>,
    carrier_call_id: Option<&'a str>,
    route: Option<&'a str>,
    turn: Option<u32>,
    sequence: Option<u64>,
    audio_ms: Option<u64>,
    #[serde(flatten)]
    details: &'a Details<'a>,
}

/// Longest text of one field, in characters; what is longer is cut. Keeps a
/// line, and with it the queue, bounded whatever a platform sends.
const FIELD_CHARS_MAX: usize = 256;

/// Writes one event as one line with its newline.
pub(super) fn line(
    at: SystemTime,
    facts: &Facts<'_>,
    call: Option<(&CallScope, &CallEvent)>,
) -> Vec<u8> {
    let line = Line {
        timestamp: Timestamp(at),
        event_type: facts.name,
        user_id: call.map(|(scope, _)| bounded(scope.user_id.expose())),
        columns: &facts.columns,
        call_id: call.map(|(scope, _)| scope.call_id),
        carrier_call_id: call
            .and_then(|(scope, _)| scope.carrier_call_id.as_ref())
            .map(CarrierCallId::expose),
        route: call.map(|(scope, _)| bounded(&scope.route.name)),
        turn: call.and_then(|(_, event)| event.turn).map(|turn| turn.0),
        sequence: call.map(|(_, event)| event.sequence),
        audio_ms: call.map(|(_, event)| event.audio_at.as_ms()),
        details: &facts.details,
    };
    let mut text =
        serde_json::to_vec(&line).expect("every key is a string and a Vec takes every byte");
    text.push(b'\n');
    text
}

/// What a JSON line has of a fact. What is null is left out by the one who writes it.
#[derive(Serialize)]
struct Members<'a> {
    #[serde(flatten)]
    columns: &'a Columns<'a>,
    #[serde(flatten)]
    details: &'a Details<'a>,
}

impl Facts<'_> {
    /// Whether its name says it all.
    pub(super) fn is_empty(&self) -> bool {
        self.columns == Columns::default() && self.details.0.is_empty()
    }
}

/// `key=value` pairs for people. Texts are quoted and escaped, so that nothing in them can
/// begin a line of its own. In the alternate form (`{:#}`) a JSON object for machines.
impl fmt::Display for Facts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            let members = Members { columns: &self.columns, details: &self.details };
            return f.write_str(&serde_json::to_string(&members).map_err(|_| fmt::Error)?);
        }
        let mut pairs = Pairs { out: f, empty: true };
        pairs.put("intent", self.columns.intent.map(|text| format!("{:?}", bounded(text))))?;
        pairs.put("confidence", self.columns.confidence)?;
        pairs.put("stt_latency_ms", self.columns.stt_latency_ms)?;
        pairs.put("dialog_latency_ms", self.columns.dialog_latency_ms)?;
        pairs.put("tts_latency_ms", self.columns.tts_latency_ms)?;
        pairs.put("audio_bytes_processed", self.columns.audio_bytes_processed)?;
        for (key, value) in &self.details.0 {
            match value {
                Detail::Number(number) => pairs.put(key, Some(number))?,
                Detail::Text(text) => pairs.put(key, Some(format!("{:?}", bounded(text))))?,
            }
        }
        Ok(())
    }
}

struct Pairs<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    empty: bool,
}

impl Pairs<'_, '_> {
    fn put(&mut self, key: &str, value: Option<impl fmt::Display>) -> fmt::Result {
        let Some(value) = value else { return Ok(()) };
        let gap = if self.empty { "" } else { " " };
        self.empty = false;
        write!(self.out, "{gap}{key}={value}")
    }
}

impl<'a> Details<'a> {
    /// No details.
    pub(super) fn none() -> Self {
        Self::default()
    }

    /// Adds a number.
    pub(super) fn number(mut self, key: &'static str, value: impl Into<u64>) -> Self {
        self.0.push((key, Detail::Number(value.into())));
        self
    }

    /// Adds a text.
    pub(super) fn text(mut self, key: &'static str, value: impl Into<Cow<'a, str>>) -> Self {
        self.0.push((key, Detail::Text(value.into())));
        self
    }

    /// Adds how something ended.
    pub(super) fn exit(self, reason: &'a ExitReason) -> Self {
        let details = self.text("reason", reason.as_str());
        match reason {
            ExitReason::Panicked { at } => details.text("panicked_at", at),
            ExitReason::Completed | ExitReason::Cancelled | ExitReason::Wedged => details,
        }
    }
}

impl Serialize for Details<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            match value {
                Detail::Text(text) => map.serialize_entry(key, bounded(text))?,
                Detail::Number(number) => map.serialize_entry(key, number)?,
            }
        }
        map.end()
    }
}

fn bounded_option<S: Serializer>(text: &Option<&str>, serializer: S) -> Result<S::Ok, S::Error> {
    text.map(bounded).serialize(serializer)
}

fn bounded(text: &str) -> &str {
    text.char_indices().nth(FIELD_CHARS_MAX).map_or(text, |(end, _)| &text[..end])
}

/// A moment by the wall clock; written as RFC 3339 in UTC with milliseconds. A
/// clock set before 1970 reads 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp(pub(super) SystemTime);

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        Self(at)
    }
}

impl Timestamp {
    /// Its minute, counted from 1970.
    pub(super) fn minute(self) -> u64 {
        self.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        let (year, month, day) = civil_date(days);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let ms = since.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Year, month and day of a day counted from 1970-01-01. Years are counted from
/// March, so that the leap day is the last of its year.
fn civil_date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day_of_era) = (days / DAYS_PER_ERA, days % DAYS_PER_ERA);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: u64 = 719_468;
/// Days in the 400 years after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stamp(ms: u64) -> String {
        Timestamp(UNIX_EPOCH + Duration::from_millis(ms)).to_string()
    }

    #[test]
    fn a_timestamp_is_rfc_3339_in_utc_with_milliseconds() {
        assert_eq!(stamp(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(stamp(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(stamp(1_709_164_799_999), "2024-02-28T23:59:59.999Z");
        assert_eq!(stamp(1_735_689_600_000), "2025-01-01T00:00:00.000Z");
        assert_eq!(stamp(4_107_542_400_000), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn a_clock_before_1970_is_still_a_timestamp() {
        let before = Timestamp(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(before.to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let text = "é".repeat(FIELD_CHARS_MAX + 1);
        assert_eq!(bounded(&text), "é".repeat(FIELD_CHARS_MAX));
    }

    #[test]
    fn a_log_line_stays_one_line_whatever_a_text_holds() {
        let details = Details::none().number("count", 2_u64).text("message", "a\nb\u{1b}[31m");
        let facts = Facts { name: "x", level: Level::INFO, columns: Columns::default(), details };
        assert_eq!(facts.to_string(), r#"count=2 message="a\nb\u{1b}[31m""#);
    }
}
