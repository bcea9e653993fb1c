//! A connection as the HTTP server has it: it is given up when its peer lets it wait for a
//! request, for the rest of one, or for room to write, and when its place is needed for
//! somebody else. The server knows of no such limits after a connection's first request.

use std::io;
use std::net::TcpStream as StdTcpStream;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::patience::{Overdue, Patience};
use super::read_ahead::ReadAhead;
use super::tls::Stream;
use super::visitors::{Admitted, Place, Visitor};

/// What a peer gets that does not end its request.
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\
    Content-Type: application/json\r\nContent-Length: 84\r\n\r\n\
    {\"error\":{\"code\":\"request_too_slow\",\"message\":\"the request did not arrive in time\"}}";

/// See the module's text.
pub(super) struct HttpStream {
    stream: Stream,
    visitor: Rc<Visitor>,
    place: Place,
    /// Fires at the earliest wait that may be over, or before.
    timer: Pin<Box<Sleep>>,
    /// Nothing is read any more.
    is_over: bool,
}

impl HttpStream {
    pub(super) fn new(stream: Stream, Admitted { visitor, place }: Admitted) -> Self {
        let timer = Box::pin(sleep_until(Instant::now()));
        Self { stream, visitor, place, timer, is_over: false }
    }

    /// What is known of it.
    pub(super) fn visitor(&self) -> &Rc<Visitor> {
        &self.visitor
    }

    /// Its place among all connections.
    pub(super) const fn place(&self) -> &Place {
        &self.place
    }

    /// What comes from now on is no HTTP.
    pub(super) fn leave_http(&self) {
        self.visitor.leaves_http();
    }

    /// The connection, belonging to no thread, its session, and its place.
    pub(super) fn into_parts(self) -> io::Result<(StdTcpStream, Option<ServerConnection>, Place)> {
        let (tcp, session) = self.stream.into_parts()?;
        Ok((tcp, session, self.place))
    }

    /// Reads as much as the server may have now.
    fn poll_some(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.visitor.with_read_ahead(ReadAhead::lets_the_server_look) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let allowed = self.visitor.with_read_ahead(|ahead| ahead.allowed());
        let bytes_max = allowed.min(buffer.remaining());
        if bytes_max == 0 {
            return Poll::Pending;
        }
        let mut piece = ReadBuf::new(buffer.initialize_unfilled_to(bytes_max));
        ready!(Pin::new(&mut self.stream).poll_read(context, &mut piece))?;
        let bytes = piece.filled().len();
        if bytes > 0 {
            self.visitor.with_patience(|patience| patience.read(Instant::now()));
            self.visitor.with_read_ahead(|ahead| ahead.handed_over(piece.filled()));
        }
        buffer.advance(bytes);
        Poll::Ready(Ok(()))
    }

    /// Ready with what is overdue; looks again in time otherwise.
    fn poll_due(
        &mut self,
        due: impl Fn(&Patience) -> Option<(Instant, Overdue)>,
        context: &mut Context<'_>,
    ) -> Poll<Overdue> {
        loop {
            let Some((at, what)) = self.visitor.with_patience(|patience| due(patience)) else {
                return Poll::Pending;
            };
            if at <= Instant::now() {
                return Poll::Ready(what);
            }
            // One that fires too early costs less than one that is moved by each request.
            if self.timer.is_elapsed() || self.timer.deadline() > at {
                self.timer.as_mut().reset(at);
            }
            ready!(self.timer.as_mut().poll(context));
        }
    }

    /// Ready when nothing more is waited for; the peer is told why where that may help.
    fn poll_reading_is_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.visitor.poll_sent_away(context).is_ready()
            && self.visitor.with_patience(|patience| patience.waiting_since().is_some())
        {
            return Poll::Ready(());
        }
        if ready!(self.poll_due(Patience::reading_due, context)) == Overdue::RestOfRequest {
            // Whoever does not read it does without.
            let _told = Pin::new(&mut self.stream).poll_write(context, TOO_SLOW);
            let _told = Pin::new(&mut self.stream).poll_flush(context);
        }
        Poll::Ready(())
    }

    /// What a write comes to, unless it waited for too long.
    fn poll_written<T>(
        &mut self,
        written: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if written.is_pending() {
            self.visitor.with_patience(|patience| patience.write_is_blocked(Instant::now()));
            ready!(self.poll_due(Patience::writing_due, context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_over {
            return Poll::Ready(Ok(()));
        }
        if let Poll::Ready(read) = self.poll_some(context, buffer) {
            return Poll::Ready(read);
        }
        ready!(self.poll_reading_is_over(context));
        self.is_over = true;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if let Poll::Ready(Ok(bytes)) = written {
            self.visitor.with_patience(|patience| patience.wrote(bytes));
        }
        self.poll_written(written, context)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() {
            self.visitor.flushed();
        }
        self.poll_written(flushed, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        self.poll_written(shut, context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_to_a_slow_request_is_as_long_as_it_says() {
        let text = std::str::from_utf8(TOO_SLOW).expect("text");
        let (head, body) = text.split_once("\r\n\r\n").expect("both");
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{text}");
        assert!(serde_json::from_str::<serde_json::Value>(body).is_ok());
    }
}
