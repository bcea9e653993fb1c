//! The way in and out of one stand-in: counts who comes, and lets happen what
//! the fault profile says.

use std::future::Future;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use parking_lot::Mutex;
use serde::Serialize;

use super::body::Broken;
use super::faults::{Fault, FaultProfile};
use super::problem::Problem;

/// What a door saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct DoorCounts {
    /// Requests that came, all of them.
    pub(super) requests: u64,
    /// Requests being answered now.
    pub(super) in_flight: u64,
    /// The most requests that were being answered at once.
    pub(super) in_flight_max: u64,
    /// Requests refused because of what they said: 4xx.
    pub(super) refused: u64,
    /// Requests that went wrong on purpose.
    pub(super) faults: u64,
}

/// One door.
#[derive(Debug, Default)]
pub(super) struct Door {
    profile: Mutex<FaultProfile>,
    counts: Mutex<DoorCounts>,
}

impl Door {
    pub(super) fn with_profile(profile: FaultProfile) -> Self {
        Self { profile: Mutex::new(profile), counts: Mutex::default() }
    }

    pub(super) fn set_profile(&self, profile: FaultProfile) {
        *self.profile.lock() = profile;
    }

    pub(super) fn counts(&self) -> DoorCounts {
        *self.counts.lock()
    }

    /// Lets one request in. `answer` runs only if the profile lets it.
    pub(super) async fn serve(
        &self,
        answer: impl Future<Output = Result<HttpResponse, Problem>>,
    ) -> HttpResponse {
        let (_visit, fault, profile) = self.let_in().await;
        let Some(fault) = fault else {
            return self.note(answer.await.unwrap_or_else(HttpResponse::from));
        };
        if fault == Fault::Break {
            let response = answer.await.unwrap_or_else(HttpResponse::from);
            return response.map_body(|_, body| Broken::new(body).boxed());
        }
        if profile.after_effect {
            // The effect is all that is wanted: this answer gets lost.
            drop(answer.await);
        }
        if fault == Fault::Status {
            return failed(&profile);
        }
        wait_ms(FaultProfile::HANG_MS).await;
        let detail = "the fault profile let this request hang";
        Problem::new(StatusCode::GATEWAY_TIMEOUT, detail).into()
    }

    /// Lets one utterance of a stream in, or tells what goes wrong with it.
    pub(super) async fn admit(&self) -> Result<(), Fault> {
        let (_visit, fault, _) = self.let_in().await;
        fault.map_or(Ok(()), Err)
    }

    async fn let_in(&self) -> (Visit<'_>, Option<Fault>, FaultProfile) {
        let visit = self.enter();
        let profile = self.profile.lock().clone();
        wait_ms(profile.latency_ms).await;
        let fault = profile.fault(visit.number);
        self.counts.lock().faults += u64::from(fault.is_some());
        (visit, fault, profile)
    }

    fn enter(&self) -> Visit<'_> {
        let mut counts = self.counts.lock();
        counts.requests += 1;
        counts.in_flight += 1;
        counts.in_flight_max = counts.in_flight_max.max(counts.in_flight);
        Visit { door: self, number: counts.requests }
    }

    fn note(&self, response: HttpResponse) -> HttpResponse {
        if response.status().is_client_error() {
            self.counts.lock().refused += 1;
        }
        response
    }
}

/// A request inside; a client that goes away ends it too.
struct Visit<'a> {
    door: &'a Door,
    number: u64,
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.door.counts.lock().in_flight -= 1;
    }
}

fn failed(profile: &FaultProfile) -> HttpResponse {
    let status = StatusCode::from_u16(profile.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let detail = "the fault profile let this request fail";
    let mut response = HttpResponse::from(Problem::new(status, detail));
    let retry_after = profile.retry_after.as_deref().and_then(|text| text.parse().ok());
    if let Some(value) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

async fn wait_ms(ms: u32) {
    if ms > 0 {
        tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
    }
}
