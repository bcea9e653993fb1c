//! How a recogniser behind HTTP is: asked for a list that costs nothing to give.
//!
//! Servers of one's own often have no such list. They answer with another status, and are
//! there all the same; only a refused key and 503 say that calls would fail.

use reqwest::{RequestBuilder, Url};

use super::Health;
use super::http;

/// Sends `get`, which asks for the list at `url`. The other two say where an address and a
/// key that do not work can be changed.
pub(super) async fn ask(
    get: RequestBuilder,
    url: &Url,
    address_place: &str,
    key_place: &str,
) -> Health {
    match http::probe(get).await {
        Ok((status @ (401 | 403), _)) => Health::Refused(format!(
            "the recogniser at {url} refuses the key (status {status}): put another one into \
             {key_place}"
        )),
        Ok((503, _)) => {
            Health::Unavailable(format!("the recogniser at {url} is not ready yet (status 503)"))
        }
        Ok(_) => Health::Ready(format!("{url} answers")),
        Err(error) => Health::Unavailable(format!(
            "the recogniser at {url} is not reachable ({error}): check {address_place}"
        )),
    }
}
