//! A connection that is looked at in rounds, with its media thread's other ones: what came
//! since the last visit is taken with one system call, and no packet wakes the thread. What
//! is written goes out at once, but for [`Pongs`]: they wait for the end of the visit. Of a
//! WebSocket it knows what its frames cost; TLS is a layer within.
//!
//! The system's readiness events are not used: at fifty frames a second from each of a
//! thousand callers they cost more than the frames.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use rustls::{ServerConnection, StreamOwned};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::meter::FrameMeter;
use super::pongs::Pongs;
use crate::actors::link::Visits;
use crate::transports::allowance::Allowance;

/// Most that is read at a visit: twenty times what a caller sends in real time. The rest
/// waits, so that nobody keeps the thread to himself.
const VISIT_BYTES_MAX: usize = 64 * 1024;

/// The same when what comes is thrown away, until the peer has closed.
const DRAIN_BYTES_MAX: usize = 1024 * 1024;

/// What the system may hold for a peer that does not read, in bytes: some seconds of audio.
/// It takes twice as much for its own bookkeeping. A reply that is sent as one message has
/// to fit: when the rest waits for the peer's acknowledgement, that may come 40 ms late.
pub(in crate::transports) const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// Frames that are taken of one peer in a second, whatever their length: a frame of a byte
/// costs as much as one of audio, of which callers send ten to a hundred. The rest waits.
const FRAMES_PER_SECOND_MAX: u32 = 2_500;

/// Frames taken at once: ten seconds of audio that waited somewhere.
const FRAMES_AT_ONCE_MAX: u32 = 500;

/// The connection.
pub(super) struct Connection {
    layers: Layers,
    visits: Visits,
    /// Came with the request.
    read_ahead: BytesMut,
    meter: FrameMeter,
    frames: Allowance,
    pongs: Pongs,
}

/// What bytes go through, none of which ever waits.
enum Layers {
    Plain(Tcp),
    Tls(Box<StreamOwned<ServerConnection, Tcp>>),
}

/// A socket that has nothing more to read once it has been read empty, or enough has been
/// read, until the next visit.
struct Tcp {
    stream: TcpStream,
    visit_bytes_max: usize,
    /// What may still be read before the next visit.
    left: usize,
}

/// Which visits are waited for: what is read waits for those of the rounds, and what could
/// not be written for the next tick, as the caller waits for it.
type PollVisits = fn(&Visits, &mut Context<'_>) -> Poll<()>;

impl Connection {
    /// Takes a connection over, the TLS session on it, and what was read of it before.
    pub(super) fn new(
        stream: TcpStream,
        session: Option<ServerConnection>,
        read_ahead: BytesMut,
        visits: Visits,
    ) -> io::Result<Self> {
        let tcp = Tcp::new(stream)?;
        let layers = match session {
            None => Layers::Plain(tcp),
            Some(session) => Layers::Tls(Box::new(StreamOwned::new(session, tcp))),
        };
        let frames = Allowance::new(FRAMES_PER_SECOND_MAX, FRAMES_AT_ONCE_MAX, Instant::now());
        let (meter, pongs) = (FrameMeter::default(), Pongs::new());
        Ok(Self { layers, visits, read_ahead, meter, frames, pongs })
    }

    /// What is read from now on costs little.
    pub(super) fn drain(&mut self) {
        self.layers.tcp().visit_bytes_max = DRAIN_BYTES_MAX;
    }

    /// Reads, unless the peer's frames are spent.
    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        let now = Instant::now();
        if self.frames.is_spent(now) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let into = buffer.initialize_unfilled();
        let bytes = if self.read_ahead.is_empty() {
            self.layers.read(into)?
        } else {
            let bytes = into.len().min(self.read_ahead.len());
            self.read_ahead.copy_to_slice(&mut into[..bytes]);
            bytes
        };
        // Too many at once are a debt.
        self.frames.spend(self.meter.count(&into[..bytes]), now);
        buffer.advance(bytes);
        Ok(())
    }

    /// Does `work`, again at each of `visits` as long as the socket does not let it.
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        visits: PollVisits,
        mut work: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            match work(self) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(visits(&self.visits, context));
                    self.layers.tcp().visit();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = |connection: &mut Self| {
            let read = connection.read(buffer);
            if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock) {
                connection.pongs.flush(&mut connection.layers)?;
            }
            read
        };
        self.poll(context, Visits::poll, read)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(context, Visits::poll_next, |connection| {
            connection.pongs.write(bytes, &mut connection.layers)
        })
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, Visits::poll_next, |connection| connection.layers.flush())
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(context, Visits::poll_next, |connection| connection.layers.shut_down())
    }
}

impl Layers {
    fn tcp(&mut self) -> &mut Tcp {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.sock,
        }
    }

    fn shut_down(&mut self) -> io::Result<()> {
        if let Self::Tls(tls) = self {
            tls.conn.send_close_notify();
            tls.flush()?;
        }
        self.tcp().stream.shutdown(Shutdown::Write)
    }
}

impl Read for Layers {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(bytes),
            Self::Tls(tls) => tls.read(bytes),
        }
    }
}

impl Write for Layers {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

impl Tcp {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let socket = socket2::SockRef::from(&stream);
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        Ok(Self { stream, visit_bytes_max: VISIT_BYTES_MAX, left: VISIT_BYTES_MAX })
    }

    fn visit(&mut self) {
        self.left = self.visit_bytes_max;
    }
}

impl Read for Tcp {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let read = self.stream.read(bytes);
        self.left = match read {
            // The end is there whenever somebody looks.
            Ok(0) => self.left,
            Ok(read) if read == bytes.len() => self.left.saturating_sub(read),
            Ok(_) | Err(_) => 0,
        };
        read
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
