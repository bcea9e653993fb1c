//! How often one source may fill the log and the event file: a few lines a second, the rest
//! counted. What a stranger can provoke with each request hides nothing that others say.
//!
//! Pure: the time comes with each line.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// Lines of one source in a second.
pub(super) const LINES_PER_SECOND_MAX: u32 = 10;

/// Sources remembered; lines of another one are told as long as there are more.
const SOURCES_MAX: usize = 1_024;

/// Length of a stretch of time in which lines are counted.
const STRETCH: Duration = Duration::from_secs(1);

/// Counts the lines of each source.
pub(super) struct Repeats<S> {
    sources: HashMap<S, Stretch>,
}

struct Stretch {
    since: Duration,
    lines: u32,
    left_out: u64,
}

impl<S> Default for Repeats<S> {
    fn default() -> Self {
        Self { sources: HashMap::new() }
    }
}

impl<S: Eq + Hash + Clone> Repeats<S> {
    /// Whether a line of `source` is told. One that is not is counted.
    pub(super) fn take(&mut self, source: &S, now: Duration) -> bool {
        if !self.sources.contains_key(source) {
            if self.sources.len() >= SOURCES_MAX {
                return true;
            }
            let begun = Stretch { since: now, lines: 0, left_out: 0 };
            self.sources.insert(source.clone(), begun);
        }
        let Some(stretch) = self.sources.get_mut(source) else { return true };
        if now.saturating_sub(stretch.since) >= STRETCH {
            (stretch.since, stretch.lines) = (now, 0);
        }
        if stretch.lines < LINES_PER_SECOND_MAX {
            stretch.lines += 1;
            return true;
        }
        stretch.left_out += 1;
        false
    }

    /// How many lines of which sources were left out and not told yet. Forgets those that
    /// have been quiet.
    pub(super) fn left_out(&mut self, now: Duration) -> Vec<(S, u64)> {
        let mut left_out = Vec::new();
        self.sources.retain(|source, stretch| {
            let count = std::mem::take(&mut stretch.left_out);
            if count > 0 {
                left_out.push((source.clone(), count));
            }
            count > 0 || now.saturating_sub(stretch.since) < STRETCH
        });
        left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_source_has_a_few_lines_a_second_and_the_rest_is_counted() {
        let mut repeats = Repeats::default();
        let told = (0..3_450).filter(|n| repeats.take(&"stranger", ms(n * 1_000 / 345))).count();
        assert_eq!(told, 100, "ten in each of ten seconds");
        assert_eq!(repeats.left_out(ms(10_000)), [("stranger", 3_350)]);
        assert_eq!(repeats.left_out(ms(10_000)), [], "told once");
    }

    #[test]
    fn a_source_that_repeats_itself_hides_no_other_one() {
        let mut repeats = Repeats::default();
        let told = (0..1_000).filter(|_| repeats.take(&"stranger", ms(0))).count();
        assert_eq!(told, LINES_PER_SECOND_MAX as usize);
        assert!(repeats.take(&"neighbour", ms(0)));
    }

    #[test]
    fn sources_that_are_quiet_are_forgotten_and_there_are_never_too_many() {
        let mut repeats = Repeats::default();
        for source in 0..2 * SOURCES_MAX {
            assert!(repeats.take(&source, ms(0)));
        }
        assert_eq!(repeats.sources.len(), SOURCES_MAX);
        assert_eq!(repeats.left_out(ms(1_000)), []);
        assert!(repeats.sources.is_empty());
    }
}
