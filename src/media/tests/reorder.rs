//! The reorder window: a list of arrivals in, a list of chunks and gaps out.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const LATENCY_MS_MAX: u32 = 300;

fn window() -> ReorderWindow<u64> {
    ReorderWindow::new(10, 8, LATENCY_MS_MAX)
}

fn at(ms: u32) -> Now {
    Now(0).plus_ms(ms)
}

/// Puts chunks in whose content is their number.
fn insert(window: &mut ReorderWindow<u64>, arrivals: &[(u64, u32)]) -> Vec<Insertion> {
    arrivals.iter().map(|(sequence, ms)| window.insert(*sequence, at(*ms), *sequence)).collect()
}

fn pop_all(window: &mut ReorderWindow<u64>, ms: u32) -> Vec<Ordered<u64>> {
    std::iter::from_fn(|| window.pop(at(ms))).collect()
}

/// A chunk whose content is its number, that came at `ms`.
fn chunk(sequence: u64, ms: u32) -> Ordered<u64> {
    Ordered::Chunk { sequence, arrived: at(ms), chunk: sequence }
}

#[test]
fn chunks_in_order_come_out_at_once() {
    let mut window = window();
    insert(&mut window, &[(10, 0), (11, 0)]);
    assert_eq!(pop_all(&mut window, 0), [chunk(10, 0), chunk(11, 0)]);
    assert_eq!((window.next_expected(), window.poll_timeout()), (12, None));
}

#[test]
fn an_early_chunk_waits_for_its_predecessor() {
    let mut window = window();
    insert(&mut window, &[(11, 0)]);
    assert_eq!(pop_all(&mut window, 299), []);
    insert(&mut window, &[(10, 299)]);
    assert_eq!(pop_all(&mut window, 299), [chunk(10, 299), chunk(11, 0)]);
}

#[test]
fn a_hole_is_given_up_when_the_oldest_held_chunk_has_waited() {
    let mut window = window();
    insert(&mut window, &[(14, 50), (12, 100)]);
    assert_eq!(window.poll_timeout(), Some(at(350)));
    assert_eq!(pop_all(&mut window, 349), []);
    let due = pop_all(&mut window, 350);
    let gap = |missing| Ordered::Gap { missing };
    assert_eq!(due, [gap(2), chunk(12, 100), gap(1), chunk(14, 50)]);
}

#[test]
fn a_number_that_was_taken_given_up_or_lies_before_the_first_is_a_duplicate() {
    let mut window = window();
    let taken = insert(&mut window, &[(9, 0), (12, 0), (12, 1)]);
    assert_eq!(taken, [Insertion::Duplicate, Insertion::Accepted, Insertion::Duplicate]);
    pop_all(&mut window, 300);
    assert_eq!(insert(&mut window, &[(11, 301), (12, 301)]), [Insertion::Duplicate; 2]);
}

#[test]
fn a_number_too_far_ahead_is_refused_and_stays_free() {
    let mut window = window();
    let refused = insert(&mut window, &[(19, 0), (u64::MAX, 0), (18, 0)]);
    let expected = [Insertion::TooFarAhead, Insertion::TooFarAhead, Insertion::Accepted];
    assert_eq!(refused, expected);
    pop_all(&mut window, 300);
    assert_eq!(insert(&mut window, &[(19, 301)]), [Insertion::Accepted]);
}

#[test]
fn the_end_of_time_releases_everything() {
    let mut window = window();
    insert(&mut window, &[(11, 0), (13, 0)]);
    let released: Vec<_> = std::iter::from_fn(|| window.pop(Now(u64::MAX))).collect();
    let gap = Ordered::Gap { missing: 1 };
    assert_eq!(released, [gap, chunk(11, 0), gap, chunk(13, 0)]);
}

proptest! {
    #[test]
    fn every_accepted_chunk_comes_out_once_in_order_and_no_later_than_allowed(
        arrivals in prop::collection::vec((0_u64..60, 0_u32..60), 0..200),
    ) {
        let mut window = ReorderWindow::new(5, 16, LATENCY_MS_MAX);
        // The model: what was accepted and has not come out, with its arrival.
        let mut owed: BTreeMap<u64, Now> = BTreeMap::new();
        let (mut next, mut now) = (5, Now(0));
        for (sequence, wait_ms) in arrivals {
            now = now.plus_ms(wait_ms);
            let expected = if sequence < next || owed.contains_key(&sequence) {
                Insertion::Duplicate
            } else if sequence > next + 16 {
                Insertion::TooFarAhead
            } else {
                owed.insert(sequence, now);
                Insertion::Accepted
            };
            prop_assert_eq!(window.insert(sequence, now, sequence), expected);

            while let Some(ordered) = window.pop(now) {
                match ordered {
                    Ordered::Chunk { sequence, arrived, chunk } => {
                        prop_assert_eq!((sequence, chunk), (next, next));
                        prop_assert_eq!(owed.remove(&sequence), Some(arrived));
                        next += 1;
                    }
                    Ordered::Gap { missing } => {
                        prop_assert!(missing > 0);
                        let first_held = owed.keys().next().copied();
                        prop_assert_eq!(first_held, Some(next + missing));
                        prop_assert!(owed.values().any(|at| now.ms_since(*at) >= 300));
                        next += missing;
                    }
                }
            }
            prop_assert!(owed.values().all(|at| now.ms_since(*at) < 300));
            prop_assert_eq!(window.next_expected(), next);
            prop_assert_eq!(window.poll_timeout().is_some(), !owed.is_empty());
        }
    }
}
