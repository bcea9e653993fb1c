//! A call over the HTTP callback: one media post after the other, each answered with the
//! reply audio that is due. Its answers carry no events, so that the engine's stages stay
//! unknown and the end of an answer is known by its silence.

use std::cell::RefCell;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::sleep;

use super::connection::tls_fault;
use super::handshake::NotTaken;
use super::line::{Clock, LineEnd};
use super::said;
use super::talker::Talker;
use super::tally::Tally;
use crate::types::{Now, SampleRate, TlsFault};

/// Longest wait for an answer.
const ANSWER_MS_MAX: u64 = 10_000;

/// A client for the calls of one thread.
pub(super) fn client() -> Result<Client, reqwest::Error> {
    // Fails when it is installed already, which is as good.
    rustls::crypto::ring::default_provider().install_default().ok();
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_millis(ANSWER_MS_MAX))
        .tcp_nodelay(true)
        .build()
}

/// A call that runs.
pub(super) struct CallbackLine {
    client: Client,
    call: Url,
    media: Url,
    sequence: u64,
    epoch: u64,
    samples: Vec<i16>,
}

#[derive(Deserialize)]
struct Started {
    first_sequence: u64,
    media_url: String,
}

impl CallbackLine {
    /// Starts a call at `calls`, the URL that calls are posted to.
    pub(super) async fn start(
        client: Client,
        calls: &Url,
        rate: SampleRate,
    ) -> Result<Self, NotTaken> {
        let body = format!(r#"{{"format":{{"codec":"pcm16","rate":{}}}}}"#, rate.hz());
        let answer = client.post(calls.clone()).body(body).send().await;
        let answer = answer.map_err(|error| {
            NotTaken::Failed(tls_fault(&error).map_or("not_connected", TlsFault::as_str))
        })?;
        let started: Started =
            judge(answer).await?.json().await.map_err(|_| NotTaken::Failed("bad_answer"))?;
        let url = |path: &str| calls.join(path).map_err(|_| NotTaken::Failed("bad_answer"));
        let mut media = url(&started.media_url)?;
        let call = url(started.media_url.trim_end_matches("/media"))?;
        media.set_query(Some("reply=audio"));
        let (sequence, samples) = (started.first_sequence, Vec::new());
        Ok(Self { client, call, media, sequence, epoch: 0, samples })
    }

    /// Posts what is due until what is due next `is_over`; how the call ended.
    pub(super) async fn run(
        mut self,
        talker: &mut Talker,
        is_over: &dyn Fn(Now) -> bool,
        clock: Clock<'_>,
        tally: &RefCell<Tally>,
    ) -> LineEnd {
        loop {
            let due = talker.poll_timeout();
            if is_over(due) {
                talker.end(&mut tally.borrow_mut());
                return self.hang_up().await;
            }
            sleep(due.after(clock())).await;
            let chunk = talker.poll_chunk(clock(), &mut self.samples, &mut tally.borrow_mut());
            if chunk.is_none() {
                continue;
            }
            let now = clock();
            tally.borrow_mut().sent(now, now.0.saturating_sub(due.0) / 1_000);
            let answer = self.post().await;
            let end = match answer {
                Ok((epoch, audio)) => {
                    self.hear(epoch, &audio, clock(), talker, &mut tally.borrow_mut());
                    continue;
                }
                Err(NotTaken::Refused { retry_after_ms, said }) => {
                    tally.borrow_mut().answers.add(&said);
                    LineEnd::Refused { retry_after_ms }
                }
                Err(NotTaken::Declined { kind, said }) => {
                    tally.borrow_mut().answers.add(&said);
                    LineEnd::Failed(kind)
                }
                Err(NotTaken::Failed("ended")) => LineEnd::EngineEnded,
                Err(NotTaken::Failed(kind)) => LineEnd::Failed(kind),
            };
            talker.end(&mut tally.borrow_mut());
            return end;
        }
    }

    /// Posts the samples, and gets the epoch and the reply audio.
    async fn post(&mut self) -> Result<(u64, Vec<u8>), NotTaken> {
        let lost = |_| NotTaken::Failed("connection_lost");
        let body: Vec<u8> = self.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let post = self
            .client
            .post(self.media.clone())
            .header(CONTENT_TYPE, "application/octet-stream")
            .header("X-Sequence-Id", self.sequence)
            .body(body);
        let answer = judge(post.send().await.map_err(lost)?).await?;
        self.sequence += 1;
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let epoch = header("x-epoch").and_then(|value| value.parse().ok()).unwrap_or(self.epoch);
        let audio = answer.bytes().await.map_err(lost)?;
        Ok((epoch, audio.into()))
    }

    fn hear(&mut self, epoch: u64, audio: &[u8], now: Now, talker: &mut Talker, tally: &mut Tally) {
        if epoch > self.epoch {
            self.epoch = epoch;
            talker.handle_flush(now, tally);
        }
        self.samples.clear();
        let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]);
        self.samples.extend(audio.chunks_exact(2).map(sample));
        if !self.samples.is_empty() {
            talker.handle_audio(now, &self.samples, tally);
        }
    }

    async fn hang_up(self) -> LineEnd {
        match self.client.delete(self.call).send().await {
            Ok(_) => LineEnd::HungUp,
            Err(_) => LineEnd::Failed("connection_lost"),
        }
    }
}

async fn judge(answer: Response) -> Result<Response, NotTaken> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let seconds = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let seconds = seconds.and_then(|value| value.parse::<u64>().ok());
    let said = said::of_status(status.as_u16(), &beginning(answer).await);
    Err(match status {
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            NotTaken::Refused { retry_after_ms, said }
        }
        StatusCode::GONE => NotTaken::Failed("ended"),
        status if status.is_client_error() => NotTaken::Declined { kind: "status_4xx", said },
        _ => NotTaken::Declined { kind: "status_5xx", said },
    })
}

/// The beginning of an answer's body, as far as it comes.
async fn beginning(mut answer: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < said::BODY_BYTES_MAX {
        match answer.chunk().await {
            Ok(Some(chunk)) => body.extend(&chunk),
            _ => break,
        }
    }
    body
}
