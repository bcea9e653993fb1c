//! Whether the memory of the process has room for another call.
//!
//! A process keeps what ended calls gave back, so its size alone would close it for ever.
//! What it was full with, it may hold again: once calls have ended, others may take their
//! place. Nothing is taken while the process is clearly larger than it may be, whatever
//! the reason.

/// Share of the calls with which the limit was reached that may run while the process is
/// still that large.
const CALLS_SHARE: f64 = 0.95;

/// So much above its limit, the process takes no calls at all.
const EXCESS: f64 = 1.05;

/// The room that is left.
#[derive(Debug)]
pub struct MemoryRoom {
    bytes_max: u64,
    /// The calls with which the limit was reached, until the process is smaller.
    full_with: Option<usize>,
}

impl MemoryRoom {
    /// All of it is left.
    #[must_use]
    pub const fn new(bytes_max: u64) -> Self {
        Self { bytes_max, full_with: None }
    }

    /// Whether another call fits beside `calls` in a process of so many bytes.
    pub fn has_room(&mut self, bytes: u64, calls: usize) -> bool {
        if bytes <= self.bytes_max {
            self.full_with = None;
            return true;
        }
        let full_with = *self.full_with.get_or_insert(calls);
        let is_excessive = bytes as f64 > EXCESS * self.bytes_max as f64;
        !is_excessive && (calls as f64) < CALLS_SHARE * full_with as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_its_limit_it_takes_calls_only_in_the_place_of_others() {
        let mut room = MemoryRoom::new(1_000);
        assert!(room.has_room(1_000, 100));
        assert!(!room.has_room(1_001, 100));
        assert!(!room.has_room(1_001, 96), "not for each call that ends");
        assert!(room.has_room(1_001, 94), "the process is no smaller, but has room inside");
        assert!(!room.has_room(1_001, 95));
        assert!(room.has_room(999, 200), "smaller after all");
    }

    #[test]
    fn a_process_that_goes_on_growing_takes_none() {
        let mut room = MemoryRoom::new(1_000);
        assert!(!room.has_room(1_001, 100));
        assert!(!room.has_room(1_051, 1));
    }
}
