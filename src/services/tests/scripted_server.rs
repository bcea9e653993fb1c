//! An HTTP/1.1 server that does what its script says and remembers what it saw.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Answers. `headers` are whole lines, each with its end.
    Answer { status: u16, headers: String, body: Vec<u8> },
    /// Answers after a while.
    Slow { ms: u64, answer: Box<Self> },
    /// Never answers.
    Hang,
    /// Resets the connection once the request was read.
    Break,
    /// Breaks the connection in the middle of the answer.
    BreakInBody,
    /// Answers with these chunks, a while apart; without an end it breaks off then, or
    /// with `None` waits until the reader goes.
    Stream { every_ms: u64, chunks: Vec<Vec<u8>>, ends: Option<bool> },
    /// Answers with as many MB as the reader takes, up to 100.
    Flood,
}

impl Step {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let headers = "Content-Type: application/json\r\n".to_owned();
        Self::Answer { status, headers, body: body.to_string().into_bytes() }
    }

    pub(super) fn status(status: u16) -> Self {
        Self::Answer { status, headers: String::new(), body: b"no".to_vec() }
    }

    pub(super) fn retry_after(status: u16, value: &str) -> Self {
        let headers = format!("Retry-After: {value}\r\n");
        Self::Answer { status, headers, body: Vec::new() }
    }

    pub(super) fn coded(media_type: &str, coding: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = format!("Content-Type: {media_type}\r\nContent-Encoding: {coding}\r\n");
        Self::Answer { status: 200, headers, body: body.into() }
    }

    pub(super) fn part(range: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = format!("Content-Type: audio/pcm\r\nContent-Range: {range}\r\n");
        Self::Answer { status: 206, headers, body: body.into() }
    }

    pub(super) fn typed(media_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = format!("Content-Type: {media_type}\r\n");
        Self::Answer { status: 200, headers, body: body.into() }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) at: Instant,
    /// Request line and headers.
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Seen {
    /// Method and path.
    pub(super) fn target(&self) -> String {
        self.head.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find_map(|(found, value)| found.eq_ignore_ascii_case(name).then_some(value))
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Notes {
    seen: Vec<Seen>,
    in_flight: usize,
    in_flight_max: usize,
    flooded_bytes: usize,
    left: usize,
}

/// The running server. It ends with the test's runtime.
#[derive(Clone, Debug)]
pub(super) struct ScriptedServer {
    pub(super) addr: SocketAddr,
    notes: Arc<Mutex<Notes>>,
    hangs: bool,
}

/// A port where nobody listens yet, and nobody else can.
pub(in crate::services) struct ReservedPort {
    socket: TcpSocket,
    pub(in crate::services) addr: SocketAddr,
}

impl ReservedPort {
    pub(in crate::services) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let addr = socket.local_addr().unwrap();
        Self { socket, addr }
    }

    /// Begins to listen. The last of `steps` is repeated.
    pub(super) fn serve(self, steps: Vec<Step>) -> ScriptedServer {
        let hangs = steps.iter().any(|step| matches!(step, Step::Hang));
        let server = ScriptedServer { addr: self.addr, notes: Arc::default(), hangs };
        let listener = self.socket.listen(1_024).unwrap();
        tokio::spawn(server.clone().accept(listener, steps.into()));
        server
    }
}

impl ScriptedServer {
    pub(super) fn start(steps: Vec<Step>) -> Self {
        ReservedPort::new().serve(steps)
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    /// How long a client should wait: short where it would wait in vain, else long, so
    /// that a busy machine makes no test fail.
    pub(super) const fn patience_ms(&self) -> u32 {
        if self.hangs { 200 } else { 10_000 }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.notes.lock().seen.clone()
    }

    /// Most requests that were read and not yet answered at the same time.
    pub(super) fn in_flight_max(&self) -> usize {
        self.notes.lock().in_flight_max
    }

    /// Streams whose reader went before they ended.
    pub(super) fn left(&self) -> usize {
        self.notes.lock().left
    }

    pub(super) fn flooded_bytes(&self) -> usize {
        self.notes.lock().flooded_bytes
    }

    async fn accept(self, listener: TcpListener, steps: Arc<[Step]>) {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(self.clone().converse(stream, Arc::clone(&steps)));
        }
    }

    async fn converse(self, mut stream: TcpStream, steps: Arc<[Step]>) {
        while let Some(seen) = read_request(&mut stream).await {
            let is_head = seen.head.starts_with("HEAD ");
            let nth = {
                let mut notes = self.notes.lock();
                notes.seen.push(seen);
                notes.in_flight += 1;
                notes.in_flight_max = notes.in_flight_max.max(notes.in_flight);
                notes.seen.len() - 1
            };
            let mut step = steps[nth.min(steps.len() - 1)].clone();
            if let Step::Slow { ms, answer } = step {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                step = *answer;
            }
            // Before the answer is sent: the next request may follow it at once.
            self.notes.lock().in_flight -= 1;
            if let (Step::Answer { body, .. }, true) = (&mut step, is_head) {
                body.clear();
            }
            if !self.carry_out(step, &mut stream).await {
                return;
            }
        }
    }

    /// Whether the connection can be used again.
    async fn carry_out(&self, step: Step, stream: &mut TcpStream) -> bool {
        match step {
            Step::Answer { status, headers, body } => {
                let head = format!(
                    "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                stream.write_all(&[head.as_bytes(), &body].concat()).await.is_ok()
            }
            Step::Hang => std::future::pending().await,
            Step::Break => {
                stream.set_zero_linger().unwrap();
                false
            }
            Step::BreakInBody => {
                let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"outputs\":";
                stream.write_all(begun).await.ok();
                false
            }
            Step::Flood => {
                self.flood(stream).await;
                false
            }
            Step::Stream { every_ms, chunks, ends } => {
                self.stream(stream, every_ms, &chunks, ends).await
            }
            Step::Slow { .. } => unreachable!("a slow step holds another kind of step"),
        }
    }

    async fn stream(
        &self,
        stream: &mut TcpStream,
        every_ms: u64,
        chunks: &[Vec<u8>],
        ends: Option<bool>,
    ) -> bool {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head).await.ok();
        for chunk in chunks {
            let size = format!("{:x}\r\n", chunk.len());
            let framed = [size.as_bytes(), chunk.as_slice(), b"\r\n"].concat();
            stream.write_all(&framed).await.ok();
            if every_ms > 0 {
                tokio::time::sleep(Duration::from_millis(every_ms)).await;
            }
        }
        match ends {
            Some(true) => stream.write_all(b"0\r\n\r\n").await.is_ok(),
            Some(false) => false,
            None => {
                read_more(stream, &mut Vec::new()).await;
                self.notes.lock().left += 1;
                false
            }
        }
    }

    async fn flood(&self, stream: &mut TcpStream) {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                    Transfer-Encoding: chunked\r\n\r\n";
        let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 0x10_0000], b"\r\n"].concat();
        let mut open = stream.write_all(head.as_bytes()).await.is_ok();
        for _ in 0..100 {
            open = open && stream.write_all(&chunk).await.is_ok();
            if open {
                self.notes.lock().flooded_bytes += chunk.len();
            }
        }
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut bytes).await?;
    };
    let mut body = bytes.split_off(head_end);
    let mut seen =
        Seen { at: Instant::now(), head: String::from_utf8(bytes).unwrap(), body: Vec::new() };
    let length = seen.header("content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        read_more(stream, &mut body).await?;
    }
    seen.body = body;
    Some(seen)
}

/// `None` when the other side has closed.
async fn read_more(stream: &mut TcpStream, bytes: &mut Vec<u8>) -> Option<()> {
    let read = stream.read_buf(bytes).await.ok()?;
    (read > 0).then_some(())
}
