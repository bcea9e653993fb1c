//! The line that shows how a run goes: a bar that is drawn over itself where somebody
//! watches, and now and then a line where not.

use std::io::{self, IsTerminal as _, Write as _};

use crate::load::Progress;

/// Between two lines where nobody watches, in milliseconds.
const LINE_EVERY_MS: u64 = 5_000;
/// Width of the bar.
const BAR: usize = 10;

/// Shows progress on standard error.
pub(super) struct ProgressLine {
    total_ms: u64,
    is_watched: bool,
    next_line_ms: u64,
}

impl ProgressLine {
    /// The progress of a run of `total_ms`.
    pub(super) fn new(total_ms: u64) -> Self {
        Self { total_ms, is_watched: io::stderr().is_terminal(), next_line_ms: LINE_EVERY_MS }
    }

    /// Shows how it stands after `elapsed_ms`.
    pub(super) fn show(&mut self, elapsed_ms: u64, progress: Progress) {
        if self.is_watched {
            // Back to the beginning, and clear what is longer than the new text.
            tell(&format!("\r{}\x1b[K", text(elapsed_ms, self.total_ms, progress)));
        } else if elapsed_ms >= self.next_line_ms {
            self.next_line_ms = elapsed_ms + LINE_EVERY_MS;
            tell(&format!("{}\n", text(elapsed_ms, self.total_ms, progress)));
        }
    }

    /// Leaves the line.
    pub(super) fn end(&self) {
        if self.is_watched {
            tell("\r\x1b[K");
        }
    }
}

fn text(elapsed_ms: u64, total_ms: u64, progress: Progress) -> String {
    let done = (elapsed_ms as f64 / total_ms.max(1) as f64).min(1.0);
    let filled = (done * BAR as f64) as usize;
    let Progress { calls, turns, turns_bad, refused, errors } = progress;
    format!(
        "[{}{}] {}/{} s  calls {calls} turns {turns} bad {turns_bad} refused {refused} errors {errors}",
        "#".repeat(filled),
        ".".repeat(BAR - filled),
        elapsed_ms / 1_000,
        total_ms / 1_000,
    )
}

/// Whoever closed standard error does not want to know.
fn tell(text: &str) {
    let mut out = io::stderr().lock();
    let _unheard = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_far_it_is_and_what_happened() {
        let progress = Progress { calls: 7, turns: 5, turns_bad: 1, refused: 2, errors: 3 };
        assert_eq!(
            text(15_000, 60_000, progress),
            "[##........] 15/60 s  calls 7 turns 5 bad 1 refused 2 errors 3"
        );
        assert!(text(90_000, 60_000, progress).starts_with("[##########]"));
    }
}
