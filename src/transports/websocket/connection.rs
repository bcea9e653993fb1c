//! A TCP connection that is looked at in rounds, with its media thread's other ones: what
//! came since the last visit is taken with one system call, and no packet wakes the
//! thread. What is written goes out at once. It knows no WebSocket.
//!
//! The system's readiness events are not used: at fifty frames a second from each of a
//! thousand callers they cost more than the frames.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::actors::link::Visits;

/// Most that is read at a visit: thirty times what a caller sends in real time. The rest
/// waits, so that nobody keeps the thread to himself.
const VISIT_BYTES_MAX: usize = 32 * 1024;

/// The same when what comes is thrown away, until the peer has closed.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// What the system may hold for a peer that does not read, in bytes: a second or two of
/// audio. It takes twice as much for its own bookkeeping.
const SEND_BUFFER_BYTES: usize = 32 * 1024;

/// The connection.
pub(super) struct Connection {
    stream: TcpStream,
    visits: Visits,
    visit_bytes_max: usize,
    /// What may still be read before the next visit.
    left: usize,
}

impl Connection {
    /// Takes a connection over.
    pub(super) fn new(stream: TcpStream, visits: Visits) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        Ok(Self { stream, visits, visit_bytes_max: VISIT_BYTES_MAX, left: VISIT_BYTES_MAX })
    }

    /// What is read from now on costs little.
    pub(super) fn drain(&mut self) {
        self.visit_bytes_max = DRAIN_BYTES_MAX;
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let room = buffer.remaining();
        let bytes = self.stream.read(buffer.initialize_unfilled())?;
        buffer.advance(bytes);
        match bytes {
            // The end is there whenever somebody looks.
            0 => {}
            _ if bytes < room => self.left = 0,
            _ => self.left = self.left.saturating_sub(bytes),
        }
        Ok(())
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            if self.left == 0 {
                ready!(self.visits.poll(context));
                self.left = self.visit_bytes_max;
            }
            match self.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.left = 0,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncWrite for Connection {
    /// Tried again at the next visit when the peer has no room.
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.visits.poll(context));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.stream.shutdown(Shutdown::Write))
    }
}
