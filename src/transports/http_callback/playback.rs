//! Posts the reply audio to the URL that a call start named. It posts to listed
//! hosts only, follows no redirect, and gives a part up after a few attempts: a
//! receiver that is down costs its own call some audio and nothing else.

use std::time::Duration;

use actix_web::http::StatusCode;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use tokio::time::sleep;

use super::call::{ReplyReader, ReplyStep};
use super::format::content_type;
use super::messages::{AUDIO_POSITION, CALL_ID, EPOCH, PLAYBACK};
use crate::types::{CallId, Epoch, MediaFormat};

/// How long audio is gathered before it is posted.
const GATHER_MS: u64 = 100;

/// Largest post.
const POST_BYTES_MAX: usize = 32 * 1024;

/// Longest wait for one answer.
const ANSWER_MS_MAX: u64 = 2_000;

/// Pauses before the second and the third attempt.
const PAUSES_MS: [u64; 2] = [100, 400];

/// Longest playback URL.
const URL_BYTES_MAX: usize = 2_048;

/// Where and what to post.
pub(super) struct Playback {
    /// The call.
    pub call_id: CallId,
    /// The URL of the call start, checked.
    pub url: Url,
    /// What the audio is written in.
    pub format: MediaFormat,
    /// The client of this thread: connections cannot move to another.
    pub client: Client,
}

/// Why a playback URL is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaybackUrlError {
    /// Not a URL, or too long.
    #[error("playback_url is not an http or https URL")]
    NotHttp,
    /// Credentials would end up where they do not belong.
    #[error("playback_url must not hold a user name or a password")]
    Credentials,
    /// Not on the list.
    #[error("the host of playback_url is not listed in [http_callback] playback_hosts")]
    Host,
}

/// Checks a playback URL against the listed hosts (`host`, for any port, or
/// `host:port`).
pub(super) fn check_url(text: &str, hosts: &[String]) -> Result<Url, PlaybackUrlError> {
    let url = Url::parse(text).map_err(|_| PlaybackUrlError::NotHttp)?;
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return Err(PlaybackUrlError::NotHttp);
    };
    if text.len() > URL_BYTES_MAX || !matches!(url.scheme(), "http" | "https") {
        return Err(PlaybackUrlError::NotHttp);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(PlaybackUrlError::Credentials);
    }
    let host_and_port = format!("{host}:{port}");
    let is_listed = |listed: &String| {
        listed.eq_ignore_ascii_case(host) || listed.eq_ignore_ascii_case(&host_and_port)
    };
    if hosts.iter().any(is_listed) { Ok(url) } else { Err(PlaybackUrlError::Host) }
}

/// Makes the client of a thread.
pub(super) fn client() -> reqwest::Result<Client> {
    // Whoever makes the first TLS client of the process installs this; the others
    // are told that it is there.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::trace!("the TLS provider is installed already");
    }
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_millis(ANSWER_MS_MAX))
        .build()
}

/// What a post is for.
#[derive(Clone, Copy)]
enum Purpose {
    Audio,
    Flush,
    End,
}

impl Purpose {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Audio => "audio",
            Self::Flush => "flush",
            Self::End => "end",
        }
    }
}

impl Playback {
    /// Posts the reply until the call is over.
    pub(super) async fn run(self, mut reader: ReplyReader) {
        let mut lost_posts: u64 = 0;
        loop {
            let step = reader.next(POST_BYTES_MAX).await;
            let (purpose, epoch, position, bytes) = match step {
                ReplyStep::Audio(part) => (Purpose::Audio, part.epoch, part.position, part.bytes),
                ReplyStep::Flushed { epoch } => (Purpose::Flush, epoch, reader.position(), vec![]),
                ReplyStep::Ended => (Purpose::End, reader.epoch(), reader.position(), vec![]),
            };
            let is_delivered = self.deliver(purpose, epoch, position, bytes, &reader).await;
            if !is_delivered {
                lost_posts += 1;
            }
            match purpose {
                Purpose::Audio => sleep(Duration::from_millis(GATHER_MS)).await,
                Purpose::Flush => {}
                Purpose::End => break,
            }
        }
        if lost_posts > 0 {
            tracing::warn!(call_id = %self.call_id, lost_posts, "reply audio was not taken by the playback URL");
        }
    }

    /// Posts until the post is taken, cannot be taken, or is out of date.
    async fn deliver(
        &self,
        purpose: Purpose,
        epoch: Epoch,
        position: u64,
        bytes: Vec<u8>,
        reader: &ReplyReader,
    ) -> bool {
        let body = bytes::Bytes::from(bytes);
        let mut pauses = PAUSES_MS.iter();
        loop {
            let sent = self
                .client
                .post(self.url.clone())
                .header(CONTENT_TYPE, content_type(self.format).as_ref())
                .header(CALL_ID, self.call_id.to_string())
                .header(PLAYBACK, purpose.as_str())
                .header(AUDIO_POSITION, position)
                .header(EPOCH, epoch.0)
                .body(body.clone())
                .send()
                .await;
            let may_work_later = match sent {
                Ok(answer) if answer.status().is_success() => return true,
                Ok(answer) => is_passing(answer.status().as_u16()),
                Err(_) => true,
            };
            let Some(pause_ms) = pauses.next() else { return false };
            if !may_work_later || reader.is_out_of_date(epoch) {
                return false;
            }
            sleep(Duration::from_millis(*pause_ms)).await;
        }
    }
}

fn is_passing(status: u16) -> bool {
    status >= 500 || status == StatusCode::TOO_MANY_REQUESTS.as_u16()
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::Arc;

    use actix_web::http::header::LOCATION;
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
    use parking_lot::Mutex;

    use super::super::call::tests::{audio, call};
    use super::*;
    use crate::actors::link::LegCommand;

    #[test]
    fn only_listed_hosts_are_posted_to() {
        let hosts = ["carrier.example".to_owned(), "127.0.0.1:9000".to_owned()];
        let checked = |text| check_url(text, &hosts).map(|_| ());
        assert_eq!(checked("https://Carrier.example/play?x=1"), Ok(()));
        assert_eq!(checked("http://carrier.example:8000/"), Ok(()));
        assert_eq!(checked("http://127.0.0.1:9000/"), Ok(()));
        assert_eq!(checked("http://127.0.0.1:9001/"), Err(PlaybackUrlError::Host));
        assert_eq!(checked("http://carrier.example.evil/"), Err(PlaybackUrlError::Host));
        assert_eq!(checked("http://evil/?carrier.example"), Err(PlaybackUrlError::Host));
        assert_eq!(checked("http://a:b@carrier.example/"), Err(PlaybackUrlError::Credentials));
        assert_eq!(checked("file:///etc/passwd"), Err(PlaybackUrlError::NotHttp));
        assert_eq!(checked("carrier.example"), Err(PlaybackUrlError::NotHttp));
        assert_eq!(check_url("http://carrier.example/", &[]), Err(PlaybackUrlError::Host));
    }

    /// A receiver that answers its posts with the given statuses, then with 200,
    /// and writes down what each was.
    fn receiver(statuses: &'static [u16]) -> (Url, Arc<Mutex<Vec<String>>>) {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&posts);
        let app = move || {
            let seen = Arc::clone(&seen);
            let handler = move |request: HttpRequest, body: web::Bytes| {
                let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok());
                let [purpose, epoch, position] = [PLAYBACK, EPOCH, AUDIO_POSITION].map(header);
                let post = [purpose, epoch, position].map(Option::unwrap_or_default).join(" ");
                let mut seen = seen.lock();
                let status = statuses.get(seen.len()).copied().unwrap_or(200);
                seen.push(format!("{post} {}", body.len()));
                let status = StatusCode::from_u16(status).expect("a status");
                ready(HttpResponse::build(status).insert_header((LOCATION, "/elsewhere")).finish())
            };
            App::new().default_service(web::post().to(handler))
        };
        let server = HttpServer::new(app).workers(1).disable_signals();
        let server = server.bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/play", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        (Url::parse(&url).expect("a URL"), posts)
    }

    /// Plays a reply of one piece; after `before` posts an interruption and another
    /// piece.
    async fn posts_to(statuses: &'static [u16], before: usize) -> Vec<String> {
        let (url, posts) = receiver(statuses);
        let call = call("c");
        let playback = Playback {
            call_id: CallId::from_bits(1),
            url,
            format: call.request().format_out,
            client: client().expect("a client"),
        };
        let playing = actix_web::rt::spawn(playback.run(call.playback_reader()));
        call.carry_out(audio(0, 10));
        while posts.lock().len() < before {
            sleep(Duration::from_millis(5)).await;
        }
        call.carry_out(LegCommand::Flush { epoch: Epoch(1) });
        call.carry_out(audio(1, 5));
        call.close();
        playing.await.expect("it ends by itself");
        let posts = posts.lock();
        posts.clone()
    }

    #[actix_web::test]
    async fn the_reply_is_posted_with_its_interruptions_and_its_end() {
        let posts = posts_to(&[], 1).await;
        assert_eq!(posts, ["audio 0 0 20", "flush 1 10 0", "audio 1 10 10", "end 1 15 0"]);
    }

    #[actix_web::test]
    async fn a_post_that_may_work_later_is_repeated_and_others_are_not() {
        let again = posts_to(&[503, 429], 3).await;
        assert_eq!(again[..3], ["audio 0 0 20", "audio 0 0 20", "audio 0 0 20"]);
        for status in [&[404][..], &[307][..]] {
            let once = posts_to(status, 1).await;
            assert_eq!(once[..2], ["audio 0 0 20", "flush 1 10 0"]);
        }
    }
}
