//! Connections below HTTP and WebSocket, for those who do not keep to either.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::HANG_GUARD;

/// First byte of a whole text message.
pub const TEXT: u8 = 0x81;
/// First byte of a whole binary message.
pub const BINARY: u8 = 0x82;
/// First byte of a text message that is continued.
pub const TEXT_BEGINS: u8 = 0x01;
/// First byte of a continuation that is continued.
pub const GOES_ON: u8 = 0x00;
/// First byte of a ping.
pub const PING: u8 = 0x89;
/// First byte of the answer to one.
pub const PONG: u8 = 0x8a;

/// A TCP connection to an address like `http://host:port` or `ws://host:port`.
pub struct Raw(TcpStream);

impl Raw {
    /// Connects.
    pub async fn connect(url: &str) -> Self {
        let address = url.split_once("://").map_or(url, |(_, address)| address);
        Self(TcpStream::connect(address).await.expect("the port is open"))
    }

    /// Connects from one of this computer's own addresses.
    pub async fn connect_from(source: &str, url: &str) -> io::Result<Self> {
        let address = |text: &str| text.parse::<SocketAddr>().expect("an address");
        let socket = TcpSocket::new_v4()?;
        socket.bind(address(source))?;
        let to = url.split_once("://").map_or(url, |(_, address)| address);
        Ok(Self(socket.connect(address(to)).await?))
    }

    /// Connects and makes a WebSocket of it.
    pub async fn websocket(url: &str, path: &str) -> Self {
        let mut raw = Self::connect(url).await;
        raw.send(upgrade(path).as_bytes()).await;
        let answer = raw.read_head().await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        raw
    }

    /// Sends bytes; whether they were taken. A peer that went away takes none.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        let sent = timeout(HANG_GUARD, self.0.write_all(bytes)).await;
        sent.expect("the engine reads or closes").is_ok()
    }

    /// Sends bytes one by one, each in a segment of its own.
    pub async fn dribble(&mut self, bytes: &[u8]) -> bool {
        self.0.set_nodelay(true).expect("a socket");
        for byte in bytes {
            if !self.send(&[*byte]).await {
                return false;
            }
            tokio::task::yield_now().await;
        }
        true
    }

    /// Sends as much as is taken without waiting; how many bytes.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    /// Waits until some more may be taken.
    pub async fn has_room(&self) {
        let room = timeout(HANG_GUARD, self.0.writable()).await;
        room.expect("the engine reads or closes").expect("a socket");
    }

    /// Waits until some more may be taken, or something has come.
    pub async fn has_room_or_answers(&self) {
        let change = timeout(HANG_GUARD, self.0.ready(Interest::READABLE | Interest::WRITABLE));
        change.await.expect("the engine reads, answers or closes").expect("a socket");
    }

    /// Adds what has come to `answers`, without waiting.
    pub fn take_answers(&mut self, answers: &mut Vec<u8>) {
        while self.0.try_read_buf(answers).is_ok_and(|bytes| bytes > 0) {}
    }

    /// The next `bytes` bytes, or fewer when the connection ends before.
    pub async fn read(&mut self, bytes: usize) -> Vec<u8> {
        let mut read = Vec::new();
        let mut limited = (&mut self.0).take(bytes as u64);
        let reading = timeout(HANG_GUARD, limited.read_to_end(&mut read)).await;
        // A reset is an end like any other here.
        drop(reading.expect("an answer or an end"));
        read
    }

    /// Everything up to the end of the connection.
    pub async fn rest(&mut self) -> String {
        String::from_utf8_lossy(&self.read(64 << 20).await).into_owned()
    }

    /// The head of an HTTP answer.
    pub async fn read_head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let byte = self.read(1).await;
            let Some(byte) = byte.first() else { break };
            head.push(char::from(*byte));
        }
        head
    }

    /// The code of the close frame that ends this WebSocket, and the text before it.
    pub async fn close_code(&mut self) -> (Option<u16>, String) {
        let mut texts = String::new();
        loop {
            let Some((first, payload)) = self.read_frame().await else { return (None, texts) };
            match first & 0x0f {
                0x8 => {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return (code, texts);
                }
                0x1 => texts.push_str(&String::from_utf8_lossy(&payload)),
                _ => {}
            }
        }
    }

    /// First byte and payload of the next frame.
    pub async fn read_frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let [first, length] = *self.read(2).await.first_chunk()?;
        let length = match length {
            126 => usize::from(u16::from_be_bytes(*self.read(2).await.first_chunk()?)),
            127 => u64::from_be_bytes(*self.read(8).await.first_chunk()?) as usize,
            length => usize::from(length),
        };
        Some((first, self.read(length).await))
    }
}

/// The request that asks for a WebSocket.
pub fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A WebSocket frame of a client. Its mask is zero, so that the payload is as it is.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, payload.len() as u64);
    frame.extend(payload);
    frame
}

/// The header of a frame whose payload is said to have `length` bytes.
pub fn header(first: u8, length: u64) -> Vec<u8> {
    const MASKED: u8 = 0x80;
    let mut header = vec![first];
    match length {
        0..126 => header.push(MASKED | length as u8),
        126..65_536 => {
            header.push(MASKED | 126);
            header.extend((length as u16).to_be_bytes());
        }
        _ => {
            header.push(MASKED | 127);
            header.extend(length.to_be_bytes());
        }
    }
    header.extend([0; 4]);
    header
}
