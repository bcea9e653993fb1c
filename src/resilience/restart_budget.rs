//! How often something may be restarted before that no longer helps.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::types::{BudgetSettings, Now};

/// Restarts within a sliding window. Each child has a budget of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestartBudget {
    settings: BudgetSettings,
    /// At most `restarts_max` instants, oldest first.
    spent: VecDeque<Now>,
}

impl RestartBudget {
    /// A full budget.
    #[must_use]
    pub fn new(settings: BudgetSettings) -> Self {
        Self { settings, spent: VecDeque::new() }
    }

    /// Takes one restart out of the budget. `false` when none is left.
    pub fn spend(&mut self, now: Now) -> bool {
        let window_ms = u64::from(self.settings.window_ms);
        while self.spent.front().is_some_and(|&at| now.ms_since(at) >= window_ms) {
            self.spent.pop_front();
        }
        if self.spent.len() >= self.settings.restarts_max as usize {
            return false;
        }
        self.spent.push_back(now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget(restarts_max: u32, window_ms: u32) -> RestartBudget {
        RestartBudget::new(BudgetSettings { restarts_max, window_ms })
    }

    #[test]
    fn three_in_the_window_and_not_one_more() {
        let mut budget = budget(3, 30_000);
        let at = |s: u32| Now::default().plus_ms(s * 1_000);
        assert!(budget.spend(at(0)) && budget.spend(at(1)) && budget.spend(at(2)));
        assert!(!budget.spend(at(29)));
        assert!(budget.spend(at(30)), "the first one has left the window");
        assert!(!budget.spend(at(30)));
    }

    proptest! {
        #[test]
        fn no_window_ever_holds_more_than_the_limit(
            steps in proptest::collection::vec(0u32..5_000, 1..200),
            restarts_max in 0u32..5,
        ) {
            let mut budget = budget(restarts_max, 10_000);
            let mut now = Now::default();
            let mut granted: Vec<Now> = Vec::new();
            for step in steps {
                now = now.plus_ms(step);
                if budget.spend(now) {
                    granted.push(now);
                }
                let recent = granted.iter().filter(|&&at| now.ms_since(at) < 10_000).count();
                prop_assert!(recent <= restarts_max as usize);
            }
        }
    }
}
