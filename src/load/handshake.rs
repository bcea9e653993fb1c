//! Opens a WebSocket without giving the connection away: what answers a refusal is read,
//! and the socket stays one that can be written to without waiting.

use std::time::Duration;

use reqwest::Url;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::connection::{Connection, Trust, Unconnected};
use super::said;

/// Longest wait for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// First byte of what a port with TLS answers to anything else (RFC 8446, section 5.1).
const TLS_ALERT: u8 = 21;

/// Why a call was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The engine has no room. It may say when to come back.
    Refused { retry_after_ms: Option<u64>, said: String },
    /// It answered that it does not take calls like this one; the name says of what kind.
    Declined { kind: &'static str, said: String },
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
            let mut rest = read.split_off(end + 4);
            let head = String::from_utf8_lossy(&read);
            if status_of(&head) != Some("101") {
                read_body(connection, &head, &mut rest).await;
            }
            return judge(&head, &rest).map(|()| rest);
        }
        match connection.receive(&mut piece).await {
            Ok(bytes @ 1..) if read.len() < HEAD_BYTES_MAX => read.extend(&piece[..bytes]),
            _ => return Err(bad_answer(&read)),
        }
    }
}

/// Reads the beginning of a body, as far as it is announced and comes.
async fn read_body(connection: &mut Connection, head: &str, body: &mut Vec<u8>) {
    let announced = header(head, "content-length").and_then(|value| value.parse().ok());
    let wanted = announced.unwrap_or(0).min(said::BODY_BYTES_MAX);
    let mut piece = [0; 1_024];
    while body.len() < wanted {
        match connection.receive(&mut piece).await {
            Ok(bytes @ 1..) => body.extend(&piece[..bytes]),
            _ => return,
        }
    }
}

fn status_of(head: &str) -> Option<&str> {
    head.lines().next()?.split_whitespace().nth(1)
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let (_, value) = headers.find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
    Some(value.trim())
}

/// Why something is no answer: a port with TLS answers with an alert.
fn bad_answer(read: &[u8]) -> NotTaken {
    NotTaken::Failed(if read.first() == Some(&TLS_ALERT) { "tls_wanted" } else { "bad_answer" })
}

/// What an answer says.
fn judge(head: &str, body: &[u8]) -> Result<(), NotTaken> {
    let status = status_of(head).and_then(|status| status.parse().ok());
    let said = |status| said::of_status(status, body);
    match status {
        Some(101) => Ok(()),
        Some(status @ (503 | 429)) => {
            let seconds = header(head, "retry-after").and_then(|value| value.parse::<u64>().ok());
            let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
            Err(NotTaken::Refused { retry_after_ms, said: said(status) })
        }
        Some(status @ 400..=499) => {
            Err(NotTaken::Declined { kind: "status_4xx", said: said(status) })
        }
        Some(status @ 500..=599) => {
            Err(NotTaken::Declined { kind: "status_5xx", said: said(status) })
        }
        Some(status @ 100..=399) => {
            Err(NotTaken::Declined { kind: "bad_answer", said: said(status) })
        }
        _ => Err(NotTaken::Failed("bad_answer")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_without_room_is_no_error_and_says_when_to_come_back() {
        let refused = |retry_after_ms| {
            let said = "503 full: no room".to_owned();
            Err(NotTaken::Refused { retry_after_ms, said })
        };
        let body = br#"{"error":{"code":"full","message":"no room"}}"#;
        assert_eq!(judge("HTTP/1.1 101 Switching Protocols\r\n", b""), Ok(()));
        let waits = judge("HTTP/1.1 503 x\r\nA: b\r\nretry-after: 2\r\n", body);
        assert_eq!(waits, refused(Some(2_000)));
        assert_eq!(judge("HTTP/1.1 503 x\r\n", body), refused(None));
        assert_eq!(bad_answer(&[21, 3, 3]), NotTaken::Failed("tls_wanted"));
        assert_eq!(bad_answer(b"nonsense"), NotTaken::Failed("bad_answer"));
        assert_eq!(judge("nonsense", b""), Err(NotTaken::Failed("bad_answer")));
    }

    #[test]
    fn an_answer_that_declines_keeps_its_status_and_its_words() {
        let kind = |head: &str, body: &[u8]| match judge(head, body) {
            Err(NotTaken::Declined { kind, said }) => (kind, said),
            other => panic!("{other:?}"),
        };
        let body = br#"{"error":{"code":"not_found","message":"there is nothing here"}}"#;
        assert_eq!(
            kind("HTTP/1.1 404 x\r\n", body),
            ("status_4xx", "404 not_found: there is nothing here".to_owned())
        );
        assert_eq!(kind("HTTP/1.1 502 x\r\n", b""), ("status_5xx", "502 Bad Gateway".to_owned()));
        assert_eq!(kind("HTTP/1.1 200 OK\r\n", b"x"), ("bad_answer", "200 OK".to_owned()));
    }
}
