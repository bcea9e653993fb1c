//! Opens a WebSocket without giving the connection away: what answers a refusal is read,
//! and the socket stays one that can be written to without waiting.

use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::connection::{Connection, Trust, Unconnected};

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// First byte of what a port with TLS answers to anything else (RFC 8446, section 5.1).
const TLS_ALERT: u8 = 21;

/// Why a call was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The engine has no room. It may say when to come back.
    Refused { retry_after_ms: Option<u64> },
    /// Something went wrong; the name says what.
    Failed(&'static str),
}

/// Connects and upgrades. What the engine sent behind its answer comes with it.
pub(super) async fn open(
    url: &Url,
    trust: impl FnOnce() -> Result<Trust, Unconnected>,
) -> Result<(Connection, Vec<u8>), NotTaken> {
    let opening = async {
        let mut connection = Connection::open(url, trust).await.map_err(unconnected)?;
        let sent = connection.send(request(url).as_bytes()).await;
        sent.map_err(|_| NotTaken::Failed("connection"))?;
        let rest = read_answer(&mut connection).await?;
        Ok((connection, rest))
    };
    timeout(ANSWER_WITHIN, opening).await.unwrap_or(Err(NotTaken::Failed("no_answer")))
}

fn unconnected(error: Unconnected) -> NotTaken {
    NotTaken::Failed(match error {
        Unconnected::Io(_) => "not_connected",
        Unconnected::Tls(fault) => fault.as_str(),
    })
}

fn request(url: &Url) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!(
        "GET {}{query} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n\r\n",
        url.path(),
        url.authority(),
        generate_key()
    )
}

async fn read_answer(connection: &mut Connection) -> Result<Vec<u8>, NotTaken> {
    let (mut read, mut piece) = (Vec::with_capacity(1_024), [0; 1_024]);
    loop {
        let end = read.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        if let Some(end) = end {
            let rest = read.split_off(end + 4);
            return judge(&String::from_utf8_lossy(&read)).map(|()| rest);
        }
        match connection.receive(&mut piece).await {
            Ok(bytes @ 1..) if read.len() < HEAD_BYTES_MAX => read.extend(&piece[..bytes]),
            _ => return Err(bad_answer(&read)),
        }
    }
}

/// Why something is no answer: a port with TLS answers with an alert.
fn bad_answer(read: &[u8]) -> NotTaken {
    NotTaken::Failed(if read.first() == Some(&TLS_ALERT) { "tls_wanted" } else { "bad_answer" })
}

/// What the head of an answer says.
fn judge(head: &str) -> Result<(), NotTaken> {
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split_whitespace().nth(1));
    match status {
        Some("101") => Ok(()),
        Some("503" | "429") => {
            let retry_after = lines
                .filter_map(|line| line.split_once(':'))
                .find(|(name, _)| name.eq_ignore_ascii_case("retry-after"))
                .and_then(|(_, value)| value.trim().parse::<u64>().ok());
            Err(NotTaken::Refused { retry_after_ms: retry_after.map(|seconds| seconds * 1_000) })
        }
        Some(status) if status.starts_with('4') => Err(NotTaken::Failed("status_4xx")),
        Some(status) if status.starts_with('5') => Err(NotTaken::Failed("status_5xx")),
        _ => Err(NotTaken::Failed("bad_answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_room_is_no_error_and_says_when_to_come_back() {
        let refused = |retry_after_ms| Err(NotTaken::Refused { retry_after_ms });
        assert_eq!(judge("HTTP/1.1 101 Switching Protocols\r\n"), Ok(()));
        assert_eq!(judge("HTTP/1.1 503 x\r\nA: b\r\nretry-after: 2\r\n"), refused(Some(2_000)));
        assert_eq!(judge("HTTP/1.1 503 x\r\n"), refused(None));
        assert_eq!(judge("HTTP/1.1 400 x\r\n"), Err(NotTaken::Failed("status_4xx")));
        assert_eq!(bad_answer(&[21, 3, 3]), NotTaken::Failed("tls_wanted"));
        assert_eq!(bad_answer(b"nonsense"), NotTaken::Failed("bad_answer"));
        assert_eq!(judge("nonsense"), Err(NotTaken::Failed("bad_answer")));
    }
}
