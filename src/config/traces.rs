//! `[telemetry]`: what is told to others than the log, the metrics and the event file.

use serde::{Deserialize, Serialize};

/// `[telemetry]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetrySettings {
    /// `[telemetry.otlp]`
    pub otlp: OtlpSettings,
}

/// `[telemetry.otlp]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OtlpSettings {
    /// Base URL of a collector; `/v1/traces` is appended. Empty: no traces.
    pub endpoint: String,
}
