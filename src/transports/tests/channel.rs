//! A channel of the HTTP media callback, with a stage behind it.

use std::rc::Rc;
use std::time::Duration;

use actix_web::App;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::ACCEPT;
use actix_web::test::{TestRequest, call_service, init_service, read_body};
use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::actors::tests::stage::{Script, Stage, speech};
use crate::config::HttpCallbackSettings;
use crate::transports::http_callback::{HttpCallback, routes};
use crate::types::Route;

/// A channel that posts to a stage.
pub struct Channel {
    pub stage: Stage,
    /// Sends a request as it is.
    pub send: Box<dyn Fn(TestRequest) -> LocalBoxFuture<'static, ServiceResponse>>,
}

impl Channel {
    /// A channel to a stage of its own.
    pub async fn new(script: Script, settings: HttpCallbackSettings) -> Self {
        let stage = Stage::new(script, Route::default());
        let state = HttpCallback::new(stage.switchboard.clone(), &settings);
        let app = App::new().configure(move |config| routes(config, state));
        let app = Rc::new(init_service(app).await);
        let send = move |request: TestRequest| {
            let app = Rc::clone(&app);
            async move { call_service(&*app, request.to_request()).await }.boxed_local()
        };
        Self { stage, send: Box::new(send) }
    }

    /// Starts a call and expects it to be taken.
    pub async fn started(script: Script, settings: HttpCallbackSettings) -> Self {
        let channel = Self::new(script, settings).await;
        assert_eq!(channel.start(r#"{"call_id":"c"}"#).await.0, 201);
        channel
    }

    /// Starts a call; status and body.
    pub async fn start(&self, body: &str) -> (u16, Value) {
        self.ask(TestRequest::post().uri("/v1/calls").set_payload(body.to_owned())).await
    }

    /// Posts to the call `c`.
    pub async fn media(&self, sequence: u64, body: &[u8]) -> (u16, Value) {
        self.ask(post("c", sequence, body)).await
    }

    /// Status and body of a request.
    pub async fn ask(&self, request: TestRequest) -> (u16, Value) {
        let response = (self.send)(request).await;
        let status = response.status().as_u16();
        let body = read_body(response).await;
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    /// Speaks in posts of 100 ms at real-time pace, then is silent for `silence_ms`;
    /// gives the reply audio that came in the answers, and the next number.
    pub async fn speak(&self, mut sequence: u64, silence_ms: usize) -> (Vec<u8>, u64) {
        let mut audio = bytes_of(&speech());
        audio.resize(audio.len() / 3_200 * 3_200 + silence_ms * 32, 0);
        let mut reply = Vec::new();
        for piece in audio.chunks(3_200) {
            let request = post("c", sequence, piece).insert_header((ACCEPT, "audio/l16"));
            let response = (self.send)(request).await;
            assert_eq!(response.status(), 200);
            reply.extend(read_body(response).await);
            sequence += 1;
            sleep(Duration::from_millis(100)).await;
        }
        (reply, sequence)
    }

    /// Reads the reply stream to its end: status, epoch, position and audio.
    pub async fn listen(&self, from: u64) -> (u16, Option<String>, Option<String>, Bytes) {
        let uri = format!("/v1/calls/c/audio?from={from}");
        let response = (self.send)(TestRequest::get().uri(&uri)).await;
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            value.to_str().ok().map(str::to_owned)
        };
        let (status, epoch) = (response.status().as_u16(), header("x-epoch"));
        let position = header("x-audio-position");
        let body = timeout(Duration::from_secs(60), read_body(response)).await;
        (status, epoch, position, body.expect("the stream ends"))
    }
}

/// A media post.
pub fn post(call_id: &str, sequence: u64, body: &[u8]) -> TestRequest {
    TestRequest::post()
        .uri(&format!("/v1/calls/{call_id}/media"))
        .insert_header(("X-Sequence-Id", sequence))
        .set_payload(body.to_vec())
}

/// Samples as they are posted.
pub fn bytes_of(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

/// Status and error code of an answer.
pub fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["error"]["code"].as_str().unwrap_or_default())
}
