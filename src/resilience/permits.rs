//! The line in front of a scarce platform: a fixed number of permits, given out
//! in turn between calls, and a pause that holds everybody.
//!
//! It refuses to wait and to wake: it says who is next, the shell tells them.

use std::collections::{BTreeSet, VecDeque};

use crate::types::Now;

/// A place in the line, and later the permit itself. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Where a request joins the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind every call that waits.
    Back,
    /// Ahead of all: it had its permit before and comes back after a failed attempt.
    Front,
}

/// The line holds as many requests as it may; the new one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{waiting_max} requests are waiting already")]
pub struct LineFull {
    /// The limit.
    pub waiting_max: usize,
}

/// Permits and the line in front of them.
///
/// `K` names a call. A call that asks twice stands in the line once: its second
/// request waits behind the first ones of all other calls. `W` is whatever the
/// shell needs to wake a request; it is handed back with the permit.
#[derive(Debug)]
pub struct PermitQueue<K, W> {
    in_flight_max: usize,
    waiting_max: usize,
    in_flight: BTreeSet<Ticket>,
    line: VecDeque<CallInLine<K, W>>,
    paused_until: Now,
    next_ticket: u64,
}

#[derive(Debug)]
struct CallInLine<K, W> {
    call: K,
    /// In the order of their arrival; never empty.
    requests: VecDeque<(Ticket, W)>,
}

impl<K: PartialEq, W> PermitQueue<K, W> {
    /// A line with `in_flight_max` permits where at most `waiting_max` requests wait.
    /// Both are at least 1: every request passes through the line.
    #[must_use]
    pub fn new(in_flight_max: usize, waiting_max: usize) -> Self {
        Self {
            in_flight_max: in_flight_max.max(1),
            waiting_max: waiting_max.max(1),
            in_flight: BTreeSet::new(),
            line: VecDeque::new(),
            paused_until: Now(0),
            next_ticket: 0,
        }
    }

    /// Joins the line. The permit comes from [`Self::poll_granted`], perhaps at once.
    ///
    /// # Errors
    /// [`LineFull`]: the newcomer is refused, whoever waits keeps the place.
    pub fn enter(&mut self, call: K, place: Place, waker: W) -> Result<Ticket, LineFull> {
        if self.waiting() >= self.waiting_max {
            return Err(LineFull { waiting_max: self.waiting_max });
        }
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        match self.line.iter_mut().find(|in_line| in_line.call == call) {
            Some(in_line) => in_line.requests.push_back((ticket, waker)),
            None => {
                let in_line = CallInLine { call, requests: VecDeque::from([(ticket, waker)]) };
                match place {
                    Place::Back => self.line.push_back(in_line),
                    Place::Front => self.line.push_front(in_line),
                }
            }
        }
        Ok(ticket)
    }

    /// Gives the next permit. To be called until it returns `None`, after every
    /// change and when a pause is over.
    pub fn poll_granted(&mut self, now: Now) -> Option<W> {
        if self.in_flight.len() >= self.in_flight_max || self.is_paused(now) {
            return None;
        }
        let mut first = self.line.pop_front()?;
        let (ticket, waker) = first.requests.pop_front()?;
        if !first.requests.is_empty() {
            self.line.push_back(first);
        }
        self.in_flight.insert(ticket);
        Some(waker)
    }

    /// Leaves the line, or gives the permit back, whichever `ticket` stands for.
    pub fn leave(&mut self, ticket: Ticket) {
        if self.in_flight.remove(&ticket) {
            return;
        }
        for in_line in &mut self.line {
            in_line.requests.retain(|(waiting, _)| *waiting != ticket);
        }
        self.line.retain(|in_line| !in_line.requests.is_empty());
    }

    /// Gives no permit before `until`. An earlier end than the present one is ignored.
    pub fn pause_until(&mut self, until: Now) {
        self.paused_until = self.paused_until.max(until);
    }

    /// When the present or last pause ends.
    #[must_use]
    pub const fn paused_until(&self) -> Now {
        self.paused_until
    }

    /// Whether permits are held back.
    #[must_use]
    pub fn is_paused(&self, now: Now) -> bool {
        now < self.paused_until
    }

    /// Permits given out.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Requests in the line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.iter().map(|in_line| in_line.requests.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: Now = Now(1_000_000);

    type Line = PermitQueue<&'static str, &'static str>;

    fn line_of(in_flight_max: usize, calls: &[(&'static str, &'static str)]) -> Line {
        let mut line = Line::new(in_flight_max, 100);
        for (call, request) in calls {
            line.enter(call, Place::Back, request).expect("the line holds 100");
        }
        line
    }

    fn granted(line: &mut Line, now: Now) -> Vec<&'static str> {
        std::iter::from_fn(|| line.poll_granted(now)).collect()
    }

    #[test]
    fn permits_are_given_in_the_order_of_arrival_up_to_their_number() {
        let mut line = line_of(2, &[("a", "a1"), ("b", "b1"), ("c", "c1")]);
        assert_eq!(granted(&mut line, NOW), ["a1", "b1"]);
    }

    #[test]
    fn a_permit_given_back_goes_to_the_next_in_line() {
        let mut line = Line::new(1, 100);
        let first = line.enter("a", Place::Back, "a1").unwrap();
        line.enter("b", Place::Back, "b1").unwrap();
        assert_eq!(granted(&mut line, NOW), ["a1"]);
        line.leave(first);
        assert_eq!(granted(&mut line, NOW), ["b1"]);
    }

    #[test]
    fn a_call_that_asks_twice_waits_behind_the_first_request_of_every_other_call() {
        let mut line = line_of(10, &[("a", "a1"), ("a", "a2"), ("b", "b1"), ("c", "c1")]);
        assert_eq!(granted(&mut line, NOW), ["a1", "b1", "c1", "a2"]);
    }

    #[test]
    fn a_request_that_comes_back_after_a_failed_attempt_goes_first() {
        let mut line = line_of(10, &[("a", "a1"), ("b", "b1")]);
        line.enter("c", Place::Front, "c1").unwrap();
        assert_eq!(granted(&mut line, NOW), ["c1", "a1", "b1"]);
    }

    #[test]
    fn who_leaves_the_line_is_passed_over() {
        let mut line = Line::new(10, 100);
        let first = line.enter("a", Place::Back, "a1").unwrap();
        line.enter("b", Place::Back, "b1").unwrap();
        line.leave(first);
        assert_eq!(granted(&mut line, NOW), ["b1"]);
    }

    #[test]
    fn a_permit_given_back_twice_counts_once() {
        let mut line = line_of(1, &[]);
        let first = line.enter("a", Place::Back, "a1").unwrap();
        line.enter("b", Place::Back, "b1").unwrap();
        line.enter("c", Place::Back, "c1").unwrap();
        granted(&mut line, NOW);
        line.leave(first);
        line.leave(first);
        assert_eq!(granted(&mut line, NOW), ["b1"]);
    }

    #[test]
    fn a_full_line_refuses_the_newcomer() {
        let mut line = Line::new(1, 2);
        line.enter("a", Place::Back, "a1").unwrap();
        line.enter("b", Place::Back, "b1").unwrap();
        assert_eq!(line.enter("c", Place::Back, "c1"), Err(LineFull { waiting_max: 2 }));
        assert_eq!(granted(&mut line, NOW), ["a1"]);
    }

    #[test]
    fn a_pause_holds_everybody_and_an_earlier_end_does_not_shorten_it() {
        let mut line = line_of(10, &[("a", "a1")]);
        line.pause_until(NOW.plus_ms(500));
        line.pause_until(NOW.plus_ms(100));
        assert_eq!(granted(&mut line, NOW.plus_ms(499)), [""; 0]);
        assert_eq!(granted(&mut line, NOW.plus_ms(500)), ["a1"]);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Enter { call: u8, front: bool },
        Leave { nth: usize },
        Pause { ms: u32 },
        Wait { ms: u32 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0_u8..8, any::<bool>()).prop_map(|(call, front)| Step::Enter { call, front }),
            3 => (0_usize..64).prop_map(|nth| Step::Leave { nth }),
            1 => (0_u32..50).prop_map(|ms| Step::Pause { ms }),
            2 => (0_u32..50).prop_map(|ms| Step::Wait { ms }),
        ];
        proptest::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn never_more_permits_than_allowed_and_nobody_is_forgotten(steps in steps()) {
            const IN_FLIGHT_MAX: usize = 3;
            let mut line = PermitQueue::new(IN_FLIGHT_MAX, 20);
            let mut now = NOW;
            let mut inside: Vec<(Ticket, u32)> = Vec::new();
            let mut granted: BTreeSet<u32> = BTreeSet::new();
            for (name, step) in (0_u32..).zip(steps) {
                match step {
                    Step::Enter { call, front } => {
                        let place = if front { Place::Front } else { Place::Back };
                        if let Ok(ticket) = line.enter(call, place, name) {
                            inside.push((ticket, name));
                        }
                    }
                    Step::Leave { nth } if !inside.is_empty() => {
                        let (ticket, name) = inside.remove(nth % inside.len());
                        granted.remove(&name);
                        line.leave(ticket);
                    }
                    Step::Leave { .. } => {}
                    Step::Pause { ms } => line.pause_until(now.plus_ms(ms)),
                    Step::Wait { ms } => now = now.plus_ms(ms),
                }
                while let Some(name) = line.poll_granted(now) {
                    prop_assert!(granted.insert(name), "a permit was given twice");
                }
                prop_assert!(granted.len() <= IN_FLIGHT_MAX);
                if !line.is_paused(now) {
                    prop_assert_eq!(granted.len(), inside.len().min(IN_FLIGHT_MAX));
                }
            }
        }
    }
}
