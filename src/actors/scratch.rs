//! Samples on their way through a step, in buffers that all calls of a thread share: a
//! thread goes from call to call, and buffers of each call's own would be cold memory
//! every time. Nothing is kept in them from one step to the next.

use std::cell::RefCell;

/// Samples and bytes of a buffer that a thread keeps for the next step.
const KEPT_MAX: usize = 1 << 15;

/// The buffers.
#[derive(Default)]
pub(super) struct Scratch {
    /// What was taken from somewhere.
    pub samples: Vec<i16>,
    /// What was made of it.
    pub converted: Vec<i16>,
    /// The same as bytes.
    pub bytes: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Does a step with the thread's buffers, empty.
pub(super) fn with_scratch<T>(step: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|scratch| {
        scratch.samples.clear();
        scratch.converted.clear();
        scratch.bytes.clear();
        scratch.samples.shrink_to(KEPT_MAX);
        scratch.converted.shrink_to(KEPT_MAX);
        scratch.bytes.shrink_to(KEPT_MAX);
        step(scratch)
    })
}
