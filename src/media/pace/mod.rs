//! Notices audio that runs at another pace than its declared rate.
//!
//! A carrier that declares 16 kHz and sends 8 or 48 kHz is understood by nobody, and
//! nothing but the pace gives it away. Too slow and too fast are told apart from honest
//! senders in two ways; both take the time at which audio was offered, also where it was
//! refused for now: `slow` and `fast` say how. Nothing is corrected here.

mod fast;
mod slow;

use fast::FastWatch;
use slow::SlowWatch;

use super::lead::Lead;
use crate::types::{Now, SampleRate};

/// For so long the network may hold up the first audio of an honest sender, who catches up
/// then. Whoever begins later, begins later.
const HELD_UP_MS_MAX: u32 = 7_000;

/// Audio arrives at a pace that contradicts its declared rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateSuspected {
    /// What the carrier said.
    pub declared_hz: u32,
    /// Samples a second that arrived.
    pub measured_hz: u32,
}

/// Watches the arrivals of one connection, and reports at most once.
#[derive(Clone, Debug)]
pub struct PaceWatch {
    declared: SampleRate,
    lead: Lead,
    begun: bool,
    slow: SlowWatch,
    fast: FastWatch,
    reported: bool,
}

impl PaceWatch {
    /// A watch of a connection that declared `declared` and begins at `begun`.
    #[must_use]
    pub fn new(declared: SampleRate, begun: Now) -> Self {
        Self {
            declared,
            lead: Lead::new(declared, begun, 0),
            begun: false,
            slow: SlowWatch::default(),
            fast: FastWatch::new(declared),
            reported: false,
        }
    }

    /// Takes note of `samples` of one channel, at the declared rate, that arrived at
    /// `now`.
    pub fn handle_arrival(&mut self, now: Now, samples: usize) -> Option<RateSuspected> {
        if self.reported {
            return None;
        }
        if !std::mem::replace(&mut self.begun, true) {
            self.lead.limit_behind(now, HELD_UP_MS_MAX);
        }
        // First the time that passed: nobody is further behind than a lead can be.
        self.lead.ns(now);
        self.lead.add(samples as u64);
        let lead_ns = self.lead.ns(now);
        let slow = self.slow.handle_arrival(now, samples as u64, self.declared);
        let pace = slow.or_else(|| self.fast.handle_arrival(now, lead_ns))?;
        self.reported = true;
        let declared_hz = self.declared.hz();
        let measured_hz = (pace * f64::from(declared_hz)).round() as u32;
        Some(RateSuspected { declared_hz, measured_hz })
    }
}

#[cfg(test)]
#[path = "../tests/pace.rs"]
mod tests;
