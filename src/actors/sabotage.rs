//! Planted panics, for the tests that prove a call survives them. Nothing of this
//! is in the product: outside tests `sabotage!` is empty.

/// Panics here if a test has planted that.
macro_rules! sabotage {
    ($child:ident, $point:literal) => {
        #[cfg(test)]
        crate::actors::sabotage::strike(crate::types::ChildKind::$child, $point);
    };
}

#[cfg(test)]
pub(crate) use plan::{Plan, plant, seen, strike};

#[cfg(test)]
mod plan {
    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use crate::types::ChildKind;

    /// Where to panic: in `child`, when `point` is passed for the `nth` time (from 1).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub(crate) struct Plan {
        pub child: ChildKind,
        pub point: &'static str,
        pub nth: u32,
    }

    #[derive(Default)]
    struct State {
        plans: Vec<Plan>,
        passed: BTreeMap<(ChildKind, &'static str), u32>,
    }

    thread_local! {
        static STATE: RefCell<State> = RefCell::default();
    }

    /// Plants panics on this thread and forgets what was passed so far.
    pub(crate) fn plant(plans: Vec<Plan>) {
        STATE.with(|state| *state.borrow_mut() = State { plans, ..State::default() });
    }

    /// How often each point was passed.
    pub(crate) fn seen() -> BTreeMap<(ChildKind, &'static str), u32> {
        STATE.with(|state| state.borrow().passed.clone())
    }

    pub(crate) fn strike(child: ChildKind, point: &'static str) {
        let due = STATE.with(|state| {
            let mut state = state.borrow_mut();
            let passed = state.passed.entry((child, point)).or_default();
            *passed += 1;
            let nth = *passed;
            state
                .plans
                .iter()
                .any(|plan| plan.child == child && plan.point == point && plan.nth == nth)
        });
        assert!(!due, "planted panic");
    }
}
