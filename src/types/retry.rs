//! What a failed request may be tried again for.

use serde::{Deserialize, Serialize};

/// A failure that a provider's settings may list as worth another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryOn {
    /// 429.
    TooManyRequests,
    /// 503.
    Unavailable,
    /// Any 5xx.
    ServerError,
    /// The connection could not be made: the request was never sent.
    NotSent,
}
