//! Bodies of answers that come piece by piece, as a synthesiser streams them, or that
//! break off on purpose. They hold what they send whole; nothing here makes it.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::Bytes;
use tokio::time::{Duration, Interval, Sleep, interval, sleep};

/// What a streamed piece of speech lasts.
const PIECE_MS: u32 = 100;
/// 16 kHz, 16 bit.
const BYTES_PER_MS: u32 = 32;
/// What comes of a streamed body before it breaks off: one second of speech. Of others it
/// is half.
const BREAKS_AT_BYTES: u64 = 1_000 * BYTES_PER_MS as u64;
/// Between the last byte and the break, so that the byte is on its way.
const BREAK_MS: u64 = 20;

/// Speech in pieces, chunk by chunk on the wire.
pub(super) struct Streamed {
    rest: Bytes,
    /// When the next piece is due; `None`: at once.
    pace: Option<Interval>,
}

impl Streamed {
    /// `pace`: how many times as fast as it is spoken; 0 for at once.
    pub(super) fn new(speech: Vec<u8>, pace: u32) -> Self {
        let every = |pace| interval(Duration::from_millis(u64::from(PIECE_MS)) / pace);
        Self { rest: speech.into(), pace: (pace > 0).then(|| every(pace)) }
    }
}

impl MessageBody for Streamed {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        BodySize::Stream
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(pace) = &mut self.pace {
            ready!(pace.poll_tick(task));
        }
        let piece = self.rest.len().min((PIECE_MS * BYTES_PER_MS) as usize);
        Poll::Ready(Some(Ok(self.rest.split_to(piece))))
    }
}

/// The beginning of another body; then the connection breaks.
pub(super) struct Broken {
    body: BoxBody,
    left: u64,
    breaks: Option<Pin<Box<Sleep>>>,
}

impl Broken {
    pub(super) fn new(body: BoxBody) -> Self {
        let left = match body.size() {
            BodySize::Sized(size) => size / 2,
            BodySize::None | BodySize::Stream => BREAKS_AT_BYTES,
        };
        Self { body, left, breaks: None }
    }
}

impl MessageBody for Broken {
    type Error = io::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        task: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        if self.left > 0
            && let Some(Ok(mut piece)) = ready!(pin!(&mut self.body).poll_next(task))
        {
            piece.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
            self.left -= piece.len() as u64;
            return Poll::Ready(Some(Ok(piece)));
        }
        self.left = 0;
        let breaks =
            self.breaks.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(BREAK_MS))));
        ready!(breaks.as_mut().poll(task));
        let reason = "the fault profile let this answer break off";
        Poll::Ready(Some(Err(io::Error::new(io::ErrorKind::ConnectionAborted, reason))))
    }
}
