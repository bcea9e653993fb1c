//! How much of a connection is handed to the HTTP server before it is done with a request.
//! It makes a request of every head that it gets, hundreds of them in a few kilobytes, and
//! keeps them all; so it gets one after the other. Pure.

/// Handed over at once while a head is read.
const PIECE_BYTES: usize = 1_024;

/// What follows the head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// So many bytes.
    Bytes(u64),
    /// As many as come until the request is answered.
    Chunks,
}

/// Of one connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadAhead {
    state: State,
    /// A line has just ended; the next one may be empty.
    line_ended: bool,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// A head is handed over.
    Head,
    /// It ended, as far as that can be seen: the server looks at it first.
    HeadEnded,
    /// A request is answered, of whose body so much may follow.
    Request(Body),
    /// Everything.
    Open,
}

impl ReadAhead {
    /// Of a new connection.
    pub(super) const fn new() -> Self {
        Self { state: State::Head, line_ended: false }
    }

    /// How many bytes may be handed over now; 0: none until something changes.
    pub(super) fn allowed(&self) -> usize {
        match self.state {
            State::Head => PIECE_BYTES,
            State::HeadEnded => 0,
            State::Request(Body::Bytes(left)) => usize::try_from(left).unwrap_or(usize::MAX),
            State::Request(Body::Chunks) | State::Open => usize::MAX,
        }
    }

    /// These were handed over.
    pub(super) fn handed_over(&mut self, bytes: &[u8]) {
        match self.state {
            State::Head => {
                if self.end_of_head_is_in(bytes) {
                    self.state = State::HeadEnded;
                }
            }
            State::Request(Body::Bytes(left)) => {
                let left = left.saturating_sub(bytes.len() as u64);
                self.state = State::Request(Body::Bytes(left));
            }
            State::HeadEnded | State::Request(Body::Chunks) | State::Open => {}
        }
    }

    /// Whether the server is to look first; it has looked when this is asked again. What it
    /// did not take for a head was none, an empty line before one perhaps.
    pub(super) fn lets_the_server_look(&mut self) -> bool {
        let has_ended = matches!(self.state, State::HeadEnded);
        if has_ended {
            self.state = State::Head;
        }
        has_ended
    }

    /// The server took a head, and answers the request.
    pub(super) const fn request_begins(&mut self, body: Body) {
        self.state = State::Request(body);
    }

    /// The next head may come.
    pub(super) const fn answered(&mut self) {
        self.state = State::Head;
    }

    /// From now on it is not HTTP.
    pub(super) const fn open(&mut self) {
        self.state = State::Open;
    }

    /// A line feed after another, or after another and a carriage return.
    fn end_of_head_is_in(&mut self, bytes: &[u8]) -> bool {
        let mut has_ended = false;
        for &byte in bytes {
            match byte {
                b'\n' => {
                    has_ended |= self.line_ended;
                    self.line_ended = true;
                }
                b'\r' => {}
                _ => self.line_ended = false,
            }
        }
        has_ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of these bytes, which come as fast as they may, are handed over.
    fn taken(ahead: &mut ReadAhead, bytes: &[u8]) -> usize {
        let mut taken = 0;
        while taken < bytes.len() && ahead.allowed() > 0 {
            let piece = &bytes[taken..bytes.len().min(taken + ahead.allowed().min(10_000))];
            ahead.handed_over(piece);
            taken += piece.len();
        }
        taken
    }

    #[test]
    fn of_many_requests_a_piece_is_handed_over_and_the_next_when_it_is_answered() {
        let mut ahead = ReadAhead::new();
        for request in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.0\n\n"] {
            let flood = request.repeat(10_000);
            assert_eq!(taken(&mut ahead, flood.as_bytes()), PIECE_BYTES);
            ahead.request_begins(Body::Bytes(0));
            assert_eq!(taken(&mut ahead, flood.as_bytes()), 0, "while it is answered");
            ahead.answered();
        }
    }

    #[test]
    fn a_long_head_and_its_body_come_whole() {
        let mut ahead = ReadAhead::new();
        let head = format!("POST / HTTP/1.1\r\nA: {}\r\n", "a".repeat(100_000));
        assert_eq!(taken(&mut ahead, head.as_bytes()), head.len());
        assert_eq!(taken(&mut ahead, b"\r\n"), 2, "however it is cut");
        assert_eq!(ahead.allowed(), 0);
        ahead.request_begins(Body::Bytes(50_000));
        assert_eq!(taken(&mut ahead, &[b'\n'; 60_000]), 50_000, "whatever it holds");
        ahead.answered();
        ahead.request_begins(Body::Chunks);
        assert_eq!(taken(&mut ahead, &[0; 60_000]), 60_000);
    }

    #[test]
    fn an_empty_line_before_a_request_is_no_request() {
        let mut ahead = ReadAhead::new();
        assert_eq!(taken(&mut ahead, b"\r\n\r\n"), 4);
        assert!(ahead.lets_the_server_look() && !ahead.lets_the_server_look());
        assert_eq!(taken(&mut ahead, b"GET / HTTP/1.1\r\n"), 16, "it goes on");
    }
}
