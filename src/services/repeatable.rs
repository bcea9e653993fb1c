//! Requests that have no effect on anybody, so that they may be sent again.
//!
//! A server closes a connection that was idle for a while, and what is sent at that moment
//! is lost without having been read. Whether it was read does not matter here: an utterance
//! may be recognised twice, a sentence spoken twice. A turn of a dialog may not.

use reqwest::{Client, RequestBuilder, Url};

use super::http::{self, Answer, ExchangeError, HttpSetupError, Incoming};

/// Clients for one host.
#[derive(Debug)]
pub(super) struct Clients {
    /// Keeps its connections for the next request.
    kept: Client,
    /// Makes a new one for each.
    fresh: Client,
}

impl Clients {
    /// Clients for the host in `url`, on one runtime only.
    pub(super) fn new(setting: &'static str, url: &Url) -> Result<Self, HttpSetupError> {
        Ok(Self { kept: http::client(setting, url)?, fresh: http::fresh_client(setting, url)? })
    }

    /// The client that keeps its connections.
    pub(super) const fn kept(&self) -> &Client {
        &self.kept
    }

    /// As [`http::open`], once more on a new connection when the first one breaks.
    pub(super) async fn open(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
        bytes_max: usize,
    ) -> Result<Incoming, ExchangeError> {
        match http::open(request(&self.kept), bytes_max).await {
            Err(ExchangeError::Broken) => http::open(request(&self.fresh), bytes_max).await,
            opened => opened,
        }
    }

    /// As [`http::exchange`], likewise; both within `ms_max`.
    pub(super) async fn exchange(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
        bytes_max: usize,
        ms_max: u32,
    ) -> Result<Answer, ExchangeError> {
        http::within(ms_max, async {
            match http::exchange(request(&self.kept), bytes_max, ms_max).await {
                Err(ExchangeError::Broken) => {
                    http::exchange(request(&self.fresh), bytes_max, ms_max).await
                }
                answer => answer,
            }
        })
        .await
    }
}
