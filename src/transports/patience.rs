//! How long an HTTP connection is waited for, in each of its states. Pure: who reads and
//! writes says what happened, and asks when the wait is over.

use std::time::Duration;

use tokio::time::Instant;

/// Longest time from the first byte of a request to the end of its head; for the first
/// request of a connection, from its beginning.
const HEAD_MS_MAX: u64 = 5_000;

/// Longest time without a request.
const IDLE_MS_MAX: u64 = 5_000;

/// Longest time that a peer may take none of an answer...
const WRITE_MS_MAX: u64 = 10_000;

/// ...and it gets a second more for each so many bytes that it takes.
const WRITE_BYTES_PER_S_MIN: u32 = 16 * 1024;

/// Of one connection.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    phase: Phase,
    blocked: Option<Blocked>,
    /// An answer was made, and the system has not taken all of it.
    owes: bool,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// A request is waited for; the first bytes of it came at `begun`.
    Waiting { since: Instant, begun: Option<Instant> },
    /// A request is answered.
    Answering,
    /// It speaks another protocol, or is none of ours any more.
    Left,
}

/// The system takes no more of an answer.
#[derive(Clone, Copy, Debug)]
struct Blocked {
    since: Instant,
    bytes: u32,
}

/// What was waited for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// Any request.
    Request,
    /// The rest of a request.
    RestOfRequest,
    /// That the peer reads.
    Reading,
}

impl Patience {
    /// A connection that begins `now`.
    pub(super) fn new(now: Instant) -> Self {
        let phase = Phase::Waiting { since: now, begun: Some(now) };
        Self { phase, blocked: None, owes: false }
    }

    /// Bytes came.
    pub(super) fn read(&mut self, now: Instant) {
        if let Phase::Waiting { begun, .. } = &mut self.phase {
            begun.get_or_insert(now);
        }
    }

    /// The head of a request is there.
    pub(super) fn request_begins(&mut self) {
        self.phase = Phase::Answering;
    }

    /// The answer to it was made to its last byte, or nobody makes it any more.
    pub(super) fn answered(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Answering) {
            self.phase = Phase::Waiting { since: now, begun: None };
            self.owes = true;
        }
    }

    /// From now on it is somebody else's; what is written is still waited for.
    pub(super) fn leaves_http(&mut self) {
        self.phase = Phase::Left;
    }

    /// The system took so many bytes.
    pub(super) fn wrote(&mut self, bytes: usize) {
        if let Some(blocked) = &mut self.blocked {
            blocked.bytes = blocked.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    /// The system takes no more now.
    pub(super) fn write_is_blocked(&mut self, now: Instant) {
        self.blocked.get_or_insert(Blocked { since: now, bytes: 0 });
    }

    /// The system took everything there was.
    pub(super) fn flushed(&mut self) {
        self.blocked = None;
        self.owes = false;
    }

    /// Whether an answer is still to be taken: the next request waits for that.
    pub(super) const fn owes(&self) -> bool {
        self.owes
    }

    /// Since when it holds a connection for no request; `None` while it has one.
    pub(super) const fn waiting_since(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting { since, .. } => Some(since),
            Phase::Answering | Phase::Left => None,
        }
    }

    /// When the wait for something to read is over, and for what.
    pub(super) fn reading_due(&self) -> Option<(Instant, Overdue)> {
        let ms = Duration::from_millis;
        match self.phase {
            // An answer that is not taken has a time of its own.
            _ if self.blocked.is_some() => None,
            Phase::Waiting { begun: Some(begun), .. } => {
                Some((begun + ms(HEAD_MS_MAX), Overdue::RestOfRequest))
            }
            Phase::Waiting { since, begun: None } => {
                Some((since + ms(IDLE_MS_MAX), Overdue::Request))
            }
            Phase::Answering | Phase::Left => None,
        }
    }

    /// When the wait for the peer to read is over.
    pub(super) fn writing_due(&self) -> Option<(Instant, Overdue)> {
        let Blocked { since, bytes } = self.blocked?;
        let taken = Duration::from_secs(1) * bytes / WRITE_BYTES_PER_S_MIN;
        Some((since + Duration::from_millis(WRITE_MS_MAX) + taken, Overdue::Reading))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(from: Instant, due: Option<(Instant, Overdue)>) -> Option<(u64, Overdue)> {
        due.map(|(at, what)| (at.duration_since(from).as_secs(), what))
    }

    #[test]
    fn each_request_has_its_time_whether_it_is_the_first_or_the_hundredth() {
        let begin = Instant::now();
        let at = |s| begin + Duration::from_secs(s);
        let mut patience = Patience::new(begin);
        let due = |patience: &Patience| secs(begin, patience.reading_due());
        assert_eq!(due(&patience), Some((5, Overdue::RestOfRequest)));
        patience.read(at(4));
        assert_eq!(due(&patience), Some((5, Overdue::RestOfRequest)), "byte by byte is no more");
        for request in [10, 20, 30] {
            patience.request_begins();
            assert_eq!(due(&patience), None, "its answer may take a while");
            patience.answered(at(request));
            patience.flushed();
            assert_eq!(due(&patience), Some((request + 5, Overdue::Request)));
            patience.read(at(request + 3));
            patience.read(at(request + 4));
            assert_eq!(due(&patience), Some((request + 8, Overdue::RestOfRequest)));
        }
    }

    #[test]
    fn a_peer_that_reads_a_little_gets_a_little_more_time() {
        let begin = Instant::now();
        let mut patience = Patience::new(begin);
        patience.request_begins();
        patience.answered(begin);
        assert!(patience.owes());
        patience.write_is_blocked(begin);
        patience.wrote(3 * 16 * 1024);
        patience.write_is_blocked(begin + Duration::from_secs(9));
        assert_eq!(secs(begin, patience.writing_due()), Some((13, Overdue::Reading)));
        assert_eq!(patience.reading_due(), None, "nothing is asked while it does not read");
        patience.flushed();
        assert_eq!((patience.writing_due(), patience.owes()), (None, false));
    }

    #[test]
    fn a_websocket_is_not_waited_for_here() {
        let begin = Instant::now();
        let mut patience = Patience::new(begin);
        patience.leaves_http();
        patience.read(begin);
        patience.answered(begin);
        assert_eq!((patience.reading_due(), patience.waiting_since()), (None, None));
    }
}
