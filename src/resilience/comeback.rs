//! When those who were refused may come back: one after the other, so that asking in vain
//! does not take the time that the running calls need.
//!
//! Whoever is refused gets the next free place in a line of moments. The line is bounded:
//! whoever would stand beyond its end comes back at its end.

use crate::types::Now;

/// So many may come back in a second for each core. To refuse one takes a third of a
/// millisecond, and they are let in faster than calls end as long as that is a few seconds.
const PER_CORE_AND_S: u64 = 20;

/// The end of the line, in milliseconds: nobody is told to wait longer than half a minute, when a
/// caller would have hung up.
const END_MS: u32 = 29_000;

const NANOS_PER_S: u64 = 1_000_000_000;

/// The line.
#[derive(Debug)]
pub struct Comebacks {
    every_ns: u64,
    /// The first moment that nobody was given.
    free: Now,
}

impl Comebacks {
    /// Nobody waits for something that has so many cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        let per_s = PER_CORE_AND_S * cores.max(1) as u64;
        Self { every_ns: NANOS_PER_S / per_s, free: Now(0) }
    }

    /// In how many seconds the next one who is refused may come back.
    pub fn wait_s(&mut self, now: Now) -> u32 {
        let end = now.plus_ms(END_MS);
        let at = self.free.max(now).min(end);
        self.free = Now(at.0 + self.every_ns);
        let wait_ns = at.0 - now.0;
        (1 + wait_ns / NANOS_PER_S) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(comebacks: &mut Comebacks, now: Now, count: usize) -> Vec<u32> {
        (0..count).map(|_| comebacks.wait_s(now)).collect()
    }

    #[test]
    fn so_many_come_back_in_each_second_and_no_more() {
        let mut comebacks = Comebacks::new(2);
        let waits = waits(&mut comebacks, Now(0), 100);
        assert_eq!((waits[0], waits[39]), (1, 1));
        assert_eq!((waits[40], waits[79]), (2, 2));
        assert_eq!(waits[80], 3);
    }

    #[test]
    fn whoever_is_refused_when_nobody_waits_comes_back_at_once() {
        let mut comebacks = Comebacks::new(1);
        waits(&mut comebacks, Now(0), 30);
        let later = Now(60 * NANOS_PER_S);
        assert_eq!(comebacks.wait_s(later), 1);
    }

    #[test]
    fn nobody_waits_longer_than_a_caller_would() {
        let mut comebacks = Comebacks::new(1);
        assert_eq!(waits(&mut comebacks, Now(0), 100_000).into_iter().max(), Some(30));
        assert_eq!(comebacks.wait_s(Now(20 * NANOS_PER_S)), 10, "the line moves");
    }
}
