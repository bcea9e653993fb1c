//! Log lines for machines: one flat JSON object a line, whatever is told. Every field is a
//! member of its own, those of a fact as well.

use std::error::Error;
use std::fmt;
use std::time::SystemTime;

use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::{DETAILS, Timestamp};
use crate::types::{CallId, TraceId};

/// The name of an event's text, as tracing calls it.
const MESSAGE: &str = "message";

/// The field that names a call, and the member that names its trace.
const CALL_ID: &str = "call_id";
const TRACE_ID: &str = "trace_id";

/// Writes events as JSON.
pub(super) struct JsonLines;

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut members = Members::default();
        event.record(&mut members);
        members.name_trace();
        let line = line(metadata.level().as_str(), metadata.target(), members.0);
        writeln!(writer, "{line}")
    }
}

/// One line, without its end. What comes first in every line comes first here.
pub(super) fn line(level: &str, target: &str, mut members: Map<String, Value>) -> String {
    let message = members.remove(MESSAGE).unwrap_or_default();
    let mut text = Vec::new();
    let mut json = serde_json::Serializer::new(&mut text);
    let mut write = || {
        let mut map = json.serialize_map(None)?;
        map.serialize_entry("timestamp", &Timestamp(SystemTime::now()))?;
        map.serialize_entry("level", level)?;
        map.serialize_entry("target", target)?;
        map.serialize_entry(MESSAGE, &message)?;
        for (key, value) in members.iter().filter(|(_, value)| !value.is_null()) {
            map.serialize_entry(key, value)?;
        }
        SerializeMap::end(map)
    };
    write().expect("every key is a string and a Vec takes every byte");
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// The members of a line.
#[derive(Default)]
struct Members(Map<String, Value>);

impl Members {
    /// A line that names a call names the call's trace as well.
    fn name_trace(&mut self) {
        let call_id = self.0.get(CALL_ID).and_then(Value::as_str).map(str::parse::<CallId>);
        if let Some(Ok(call_id)) = call_id {
            self.0.insert(TRACE_ID.to_owned(), TraceId::of_call(&call_id).to_string().into());
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Members {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, value.to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == DETAILS
            && let Ok(Value::Object(details)) = serde_json::from_str(&format!("{value:#?}"))
        {
            self.0.extend(details);
        } else {
            self.put(field, format!("{value:?}"));
        }
    }
}
