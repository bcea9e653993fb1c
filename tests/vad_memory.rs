//! What a detector takes of the memory: a little when it is made, and nothing for a
//! window. A program of its own, because it counts every allocation of the process.

#![allow(unsafe_code, reason = "an allocator is unsafe by its nature")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use antiphon::media::detector::new_detector;
use antiphon::types::Detector;

/// State and scratch of a call.
const CALL_BYTES_MAX: usize = 10_000;

struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

// SAFETY: the system's allocator does all the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// The only test of its program: another one would allocate at the same time.
#[test]
fn a_call_takes_less_than_10_kb_and_a_window_takes_nothing() {
    for kind in [Detector::Silero, Detector::Earshot] {
        // The first one of the process unpacks what all share.
        drop(new_detector(kind));
        let before = BYTES.load(Ordering::Relaxed);
        let mut detector = new_detector(kind);
        let taken = BYTES.load(Ordering::Relaxed) - before;
        assert!(taken < CALL_BYTES_MAX, "{kind:?} takes {taken} bytes");

        let window = vec![1_000; detector.window_samples()];
        detector.speech_probability(&window);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for _ in 0..100 {
            detector.speech_probability(&window);
        }
        let allocations = ALLOCATIONS.load(Ordering::Relaxed) - before;
        assert_eq!(allocations, 0, "{kind:?} allocates for a window");
    }
}
