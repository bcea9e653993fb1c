//! Planted panics, for the tests that prove that calls, and whatever else is to last, survive
//! them. Nothing of this is in the product: outside tests `sabotage!` is empty.

/// Panics here if a test has planted that.
macro_rules! sabotage {
    ($point:literal) => {
        #[cfg(test)]
        crate::sabotage::strike_at($point);
    };
    ($child:ident, $point:literal) => {
        #[cfg(test)]
        crate::sabotage::strike(crate::types::ChildKind::$child, $point);
    };
}

#[cfg(test)]
pub(crate) use plan::{Plan, plant, plant_at, seen, strike, strike_at};

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
        /// Points that belong to no child, and how often each is to be passed before it
        /// panics, the last time included.
        elsewhere: Vec<(&'static str, u32)>,
    }

    thread_local! {
        static STATE: RefCell<State> = RefCell::default();
    }

    /// Plants panics on this thread and forgets what was passed so far.
    pub(crate) fn plant(plans: Vec<Plan>) {
        STATE.with(|state| *state.borrow_mut() = State { plans, ..State::default() });
    }

    /// Plants a panic at a point that belongs to no child, when it is passed for the `nth`
    /// time from now on.
    pub(crate) fn plant_at(point: &'static str, nth: u32) {
        STATE.with(|state| state.borrow_mut().elsewhere.push((point, nth)));
    }

    pub(crate) fn strike_at(point: &'static str) {
        let due = STATE.with(|state| {
            let mut state = state.borrow_mut();
            let planted = state.elsewhere.iter_mut().filter(|(at, left)| *at == point && *left > 0);
            let mut due = false;
            for (_, left) in planted {
                *left -= 1;
                due |= *left == 0;
            }
            due
        });
        assert!(!due, "planted panic");
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
