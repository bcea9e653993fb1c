//! What may go wrong on purpose: a profile per door of the sandbox, and the pure
//! decision what happens to the n-th request.
//!
//! Nothing here is random, so that a test that found something finds it again.

use serde::{Deserialize, Serialize};

/// How one door of the sandbox misbehaves. The default does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultProfile {
    /// Added to every answer; 0 to [`Self::LATENCY_MS_MAX`].
    pub latency_ms: u32,
    /// Every n-th request is answered with `status`. 0: none.
    pub status_every_nth: u32,
    /// That status; 400 to 599.
    pub status: u16,
    /// Goes with that status as `Retry-After`: seconds, or an HTTP date.
    pub retry_after: Option<String>,
    /// Every n-th request is not answered for [`Self::HANG_MS`]. 0: none.
    pub hang_every_nth: u32,
    /// Every n-th answer breaks off in its middle, speech after a second. 0: none.
    pub break_every_nth: u32,
    /// The request is carried out before it goes wrong: its answer is lost, its
    /// effect is not.
    pub after_effect: bool,
}

impl Default for FaultProfile {
    fn default() -> Self {
        Self {
            latency_ms: 0,
            status_every_nth: 0,
            status: 503,
            retry_after: None,
            hang_every_nth: 0,
            break_every_nth: 0,
            after_effect: false,
        }
    }
}

/// What happens to a request that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with the profile's status.
    Status,
    /// It is not answered for [`FaultProfile::HANG_MS`].
    Hang,
    /// It is carried out, and its answer breaks off.
    Break,
}

/// Why a profile is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FaultProfileError {
    /// Longer than any client waits.
    #[error("latency_ms is {0}: use 0 to {max}", max = FaultProfile::LATENCY_MS_MAX)]
    Latency(u32),
    /// Not an error status.
    #[error("status is {0}: use 400 to 599")]
    Status(u16),
    /// It cannot stand in a header.
    #[error("retry_after is not a header value: use seconds or an HTTP date")]
    RetryAfter,
}

impl FaultProfile {
    /// Longest added latency.
    pub const LATENCY_MS_MAX: u32 = 60_000;
    /// How long a hanging request is held before it is given up.
    pub const HANG_MS: u32 = 60_000;

    /// Checks the ranges.
    pub fn check(&self) -> Result<(), FaultProfileError> {
        if self.latency_ms > Self::LATENCY_MS_MAX {
            return Err(FaultProfileError::Latency(self.latency_ms));
        }
        if !(400..600).contains(&self.status) {
            return Err(FaultProfileError::Status(self.status));
        }
        let printable = |text: &String| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !self.retry_after.as_ref().is_none_or(printable) {
            return Err(FaultProfileError::RetryAfter);
        }
        Ok(())
    }

    /// What happens to the `request`-th request, counted from 1. A request that
    /// is due for several hangs rather than fails, and fails rather than breaks off.
    #[must_use]
    pub fn fault(&self, request: u64) -> Option<Fault> {
        let is_due = |nth: u32| nth > 0 && request.is_multiple_of(u64::from(nth));
        if is_due(self.hang_every_nth) {
            Some(Fault::Hang)
        } else if is_due(self.status_every_nth) {
            Some(Fault::Status)
        } else {
            is_due(self.break_every_nth).then_some(Fault::Break)
        }
    }
}

/// The profiles of all doors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultProfiles {
    /// Dialog turns, of both contracts.
    pub dialog: FaultProfile,
    /// Speech synthesis.
    pub tts: FaultProfile,
    /// Speech recognition.
    pub stt: FaultProfile,
}

impl FaultProfiles {
    /// Checks every profile.
    pub fn check(&self) -> Result<(), FaultProfileError> {
        self.dialog.check().and_then(|()| self.tts.check()).and_then(|()| self.stt.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nth_request_goes_wrong_and_the_others_do_not() {
        let profile = FaultProfile {
            status_every_nth: 2,
            hang_every_nth: 3,
            break_every_nth: 5,
            ..FaultProfile::default()
        };
        let faults: Vec<Option<Fault>> = (1..=7).map(|request| profile.fault(request)).collect();
        assert_eq!(
            faults,
            [
                None,
                Some(Fault::Status),
                Some(Fault::Hang),
                Some(Fault::Status),
                Some(Fault::Break),
                Some(Fault::Hang),
                None
            ]
        );
    }

    #[test]
    fn the_default_profile_harms_nobody() {
        let profile = FaultProfile::default();
        assert_eq!(profile.check(), Ok(()));
        assert!((1..1000).all(|request| profile.fault(request).is_none()));
    }

    #[test]
    fn a_profile_out_of_range_is_refused_with_the_range() {
        let refused = |profile: FaultProfile| profile.check().unwrap_err().to_string();
        assert_eq!(
            refused(FaultProfile { latency_ms: 60_001, ..FaultProfile::default() }),
            "latency_ms is 60001: use 0 to 60000"
        );
        assert_eq!(
            refused(FaultProfile { status: 200, ..FaultProfile::default() }),
            "status is 200: use 400 to 599"
        );
        let retry_after = Some("1\r\nX: y".to_owned());
        assert_eq!(
            FaultProfile { retry_after, ..FaultProfile::default() }.check(),
            Err(FaultProfileError::RetryAfter)
        );
    }
}
