//! How a recogniser is that was there before: asked for a list that costs nothing to give.
//!
//! Servers of one's own often have no such list. They answer with another status, and are
//! there all the same; a refused key, a server or gateway in trouble, another address and a
//! page instead of a list say that calls would fail.

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
        Ok((401, _)) => Health::Refused(format!(
            "the recogniser at {url} refuses the key (status 401): put another one into \
             {key_place}"
        )),
        // It may recognise and not list.
        Ok((403, _)) => Health::Ready(format!(
            "{url} answers (status 403); whether the key may recognise shows with the first \
             utterance"
        )),
        Ok((status @ 300..=399, _)) => Health::Unavailable(format!(
            "{url} leads elsewhere (status {status}), which is not followed: check {address_place}"
        )),
        Ok((200..=299, found)) if !found.is_json() => Health::Unavailable(format!(
            "what answers at {url} is no recogniser{}: check {address_place}",
            found.flaw()
        )),
        Ok((status @ (500 | 502..=504), _)) => {
            Health::Unavailable(format!("the recogniser at {url} is not ready (status {status})"))
        }
        Ok(_) => Health::Ready(format!("{url} answers")),
        Err(error) => Health::Unavailable(format!(
            "the recogniser at {url} is not reachable ({error}): check {address_place}"
        )),
    }
}
