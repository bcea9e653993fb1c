//! One stream to the recogniser: an utterance goes out as it is spoken, and what was
//! understood of it comes back. It opens no connection and tries nothing twice.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::wire::{self, CLOSE_STREAM, FINALIZE, KEEP_ALIVE, Told, Understood};
use crate::services::LiveSpeech;
use crate::services::http::ExchangeError;
use crate::types::{INNER_RATE, Transcript};

/// Longest wait for the finalized result. It is usual and not promised: the end of the
/// stream is, so that is what is asked for then.
const FINALIZED_WITHIN: Duration = Duration::from_millis(1_500);
/// Samples in one message (1 s). Only what was spoken while the stream was being opened
/// is longer.
const MESSAGE_SAMPLES: usize = INNER_RATE.hz() as usize;

/// A stream between two utterances, or in one.
#[derive(Debug)]
pub(super) struct Stream<S>(WebSocketStream<S>);

/// What came of an utterance.
#[derive(Debug)]
pub(super) struct Recognised<S> {
    pub(super) transcript: Transcript,
    /// The stream, if another utterance can follow: all of this one's results are in.
    pub(super) stream: Option<Stream<S>>,
}

/// How far an utterance is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Speaking,
    /// It was said; the result is waited for.
    Finalizing,
    /// It was not finalized in time; the end of the stream is waited for.
    Closing,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream<S> {
    pub(super) const fn new(socket: WebSocketStream<S>) -> Self {
        Self(socket)
    }

    /// Has an utterance recognised, from its first sample on. A stream that failed is gone,
    /// and so is one whose future is dropped.
    pub(super) async fn recognise(
        mut self,
        speech: &LiveSpeech,
    ) -> Result<Recognised<S>, ExchangeError> {
        let (mut understood, mut stage) = (Understood::default(), Stage::Speaking);
        let (mut samples, mut said) = (Vec::new(), 0);
        let mut finalized_by = Instant::now();
        loop {
            tokio::select! {
                ended = speech.follow(said, &mut samples), if stage == Stage::Speaking => {
                    said += samples.len();
                    self.say(&samples).await?;
                    samples.clear();
                    if ended {
                        self.order(FINALIZE).await?;
                        stage = Stage::Finalizing;
                        finalized_by = Instant::now() + FINALIZED_WITHIN;
                    }
                }
                message = self.next_text() => match understood.take_in(&message?) {
                    Told::Finalized if stage == Stage::Finalizing => break,
                    Told::Last if stage == Stage::Closing => break,
                    Told::More | Told::Finalized => {}
                    Told::Last | Told::Failed => return Err(ExchangeError::Broken),
                    Told::TooLong => {
                        return Err(ExchangeError::TooLong { bytes_max: wire::TEXT_BYTES_MAX });
                    }
                    Told::Malformed => {
                        return Err(ExchangeError::Malformed("is no message of the contract"));
                    }
                },
                () = sleep_until(finalized_by), if stage == Stage::Finalizing => {
                    self.order(CLOSE_STREAM).await?;
                    stage = Stage::Closing;
                }
            }
        }
        let stream = (stage == Stage::Finalizing).then_some(self);
        Ok(Recognised { transcript: understood.transcript(), stream })
    }

    /// Says that the stream is still wanted.
    pub(super) async fn keep_alive(&mut self) -> Result<(), ExchangeError> {
        self.order(KEEP_ALIVE).await
    }

    /// Waits until the server ends the stream. What it has to say meanwhile is of no
    /// interest: no utterance is open.
    pub(super) async fn ended(&mut self) {
        while self.next_text().await.is_ok() {}
    }

    /// Takes leave.
    pub(super) async fn close(mut self) {
        if self.order(CLOSE_STREAM).await.is_ok() {
            let _it_may_be_gone = self.0.close(None).await;
        }
    }

    async fn say(&mut self, samples: &[i16]) -> Result<(), ExchangeError> {
        // Never an empty message: it would end the stream.
        for piece in samples.chunks(MESSAGE_SAMPLES) {
            let bytes: Vec<u8> = piece.iter().flat_map(|sample| sample.to_le_bytes()).collect();
            self.send(Message::Binary(bytes.into())).await?;
        }
        Ok(())
    }

    async fn order(&mut self, order: &'static str) -> Result<(), ExchangeError> {
        self.send(Message::text(order)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), ExchangeError> {
        self.0.send(message).await.map_err(|_| ExchangeError::Broken)
    }

    async fn next_text(&mut self) -> Result<String, ExchangeError> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(ExchangeError::Broken),
                Some(Ok(_)) => {}
            }
        }
    }
}
