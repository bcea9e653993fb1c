//! What is promised: whoever is taken is carried well, and hardly anybody is sent away whom
//! the machine could have carried.

use super::machine::{Load, Machine, Outcome};

/// Machines with light calls and with heavy ones.
const LOADS: [Load; 3] = [load(1, 0.7), load(2, 0.6), load(8, 2.5)];

/// Late frames, of all, with which calls are carried well.
const LATE_SHARE_MAX: f64 = 1e-4;

/// Beyond so many times the capacity, refusals and those who come back take seconds of their
/// own.
const TIMES_PROMISED: f64 = 2.0;

/// What comes first does not count: the machine fills.
const FILL_MS: u64 = 25_000;
const COUNTED_MS: u64 = 20_000;

const fn load(cores: usize, call_ms: f64) -> Load {
    Load { cores, call_ms, length_ms: 20_000, has_admission: true }
}

/// So many calls at a time on average, once it is full.
fn offered(load: Load, calls: f64) -> Outcome {
    let mut machine = Machine::new(load);
    let calls_per_s = calls * 1_000.0 / load.length_ms as f64;
    machine.offer(calls_per_s, FILL_MS);
    machine.count_anew();
    machine.offer(calls_per_s, COUNTED_MS);
    machine.outcome
}

/// The most calls that are carried well, found by bisection, without admission.
fn capacity(load: Load) -> f64 {
    let load = Load { has_admission: false, ..load };
    let cores = load.cores as f64 * 1_000.0 / load.call_ms;
    let (mut carried, mut too_many) = (0.5 * cores, 1.2 * cores);
    while too_many - carried > 0.03 * cores {
        let calls = f64::midpoint(carried, too_many);
        if offered(load, calls).late_share() <= LATE_SHARE_MAX {
            carried = calls;
        } else {
            too_many = calls;
        }
    }
    carried
}

#[test]
fn beyond_the_capacity_nobody_is_late_and_most_of_it_is_used() {
    for load in LOADS {
        let capacity = capacity(load);
        // Refusals take a share of the cores, too.
        for (times, used_min) in [(1.1, 0.85), (1.5, 0.85), (2.0, 0.85), (5.0, 0.6)] {
            let outcome = offered(load, times * capacity);
            let told = format!("{} cores, {times} times {capacity}: {outcome:?}", load.cores);
            let is_promised = times <= TIMES_PROMISED;
            assert!(!is_promised || outcome.late_share() <= LATE_SHARE_MAX, "{told}");
            let used = outcome.carried(COUNTED_MS) / capacity;
            assert!(used >= used_min, "{used}: {told}");
        }
    }
}

#[test]
fn without_admission_a_tenth_more_makes_everybody_late() {
    for load in LOADS {
        let load = Load { has_admission: false, ..load };
        let outcome = offered(load, 1.2 * capacity(load));
        assert!(outcome.late_share() > 0.2, "{outcome:?}");
    }
}

#[test]
fn a_ramp_to_what_is_carried_well_is_never_refused() {
    for load in LOADS {
        let capacity = capacity(load);
        for (share, seconds) in [(0.6, 7.0), (0.5, 4.0), (0.75, 15.0), (0.75, 60.0)] {
            let mut machine = Machine::new(Load { length_ms: 1_000_000, ..load });
            machine.offer(share * capacity / seconds, (seconds * 1_000.0) as u64);
            let told = format!("{} cores, {share} of {capacity}", load.cores);
            assert_eq!(machine.outcome.refused, 0, "{told}: {:?}", machine.outcome);
            assert!(machine.calls() as f64 > 0.9 * share * capacity, "{told}");
            machine.offer(0.0, 2_000);
            assert!(machine.outcome.late_share() <= LATE_SHARE_MAX, "{told}");
        }
    }
}

#[test]
fn calls_of_a_node_that_failed_are_taken_at_once_when_they_fit() {
    for load in LOADS {
        let capacity = capacity(load);
        let load = Load { length_ms: 1_000_000, ..load };
        for before in [0.0, 0.1, 0.3, 0.5] {
            for burst_ms in [500, 1_000] {
                let mut machine = Machine::new(load);
                machine.offer(before * capacity / 20.0, 20_000);
                machine.offer(0.0, 3_000);
                machine.count_anew();
                machine.offer(capacity / 3.0 * 1_000.0 / burst_ms as f64, burst_ms);
                let told = format!(
                    "{} cores of {} ms, {before} of {capacity} in {burst_ms} ms: {:?}",
                    load.cores, load.call_ms, machine.outcome
                );
                // Nobody knows of a fresh machine that its calls are heavier than expected.
                if before > 0.0 || load.call_ms < 1.0 {
                    assert_eq!(machine.outcome.refused, 0, "{told}");
                }
                machine.count_anew();
                machine.offer(0.0, 10_000);
                assert!(machine.outcome.late_share() <= LATE_SHARE_MAX, "{told}");
            }
        }
    }
}
