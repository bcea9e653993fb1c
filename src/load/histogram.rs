//! Durations counted in buckets that grow with them: any percentile within one percent,
//! in a few kilobytes, and two of them add up. Pure; it keeps no single value.

/// Buckets of a power of two are this many.
const PER_OCTAVE: u64 = 64;

/// A histogram of microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: Vec<u32>,
    count: u64,
    max_us: u64,
}

impl Histogram {
    /// Counts one duration.
    pub fn add_us(&mut self, us: u64) {
        let bucket = bucket_of(us);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] += 1;
        self.count += 1;
        self.max_us = self.max_us.max(us);
    }

    /// Adds all that `other` counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.count += other.count;
        self.max_us = self.max_us.max(other.max_us);
    }

    /// Durations counted.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The duration in milliseconds that `percent` of all do not exceed; `None` without any.
    #[must_use]
    pub fn percentile_ms(&self, percent: f64) -> Option<f64> {
        let rank = ((self.count as f64 * percent / 100.0).ceil() as u64).max(1);
        let mut seen = 0;
        let reaches = |count: &u32| {
            seen += u64::from(*count);
            seen >= rank
        };
        let bucket = self.counts.iter().position(reaches)?;
        Some(ms(highest_of(bucket).min(self.max_us)))
    }

    /// The longest duration in milliseconds.
    #[must_use]
    pub fn max_ms(&self) -> Option<f64> {
        (self.count > 0).then(|| ms(self.max_us))
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

fn bucket_of(us: u64) -> usize {
    let octave = us.max(1).ilog2().saturating_sub(PER_OCTAVE.ilog2());
    (u64::from(octave) * PER_OCTAVE + (us >> octave)) as usize
}

fn highest_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    let octave = (bucket / PER_OCTAVE).saturating_sub(1);
    let first = bucket - octave * PER_OCTAVE;
    ((first + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_those_of_the_values() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|ms| histogram.add_us(ms * 1_000));
        for (percent, ms) in [(50.0, 500.0), (95.0, 950.0), (99.0, 990.0), (100.0, 1_000.0)] {
            let found = histogram.percentile_ms(percent).expect("values");
            assert!((found / ms - 1.0).abs() < 0.016, "{percent} %: {found}");
        }
        assert_eq!((histogram.count(), histogram.max_ms()), (1_000, Some(1_000.0)));
    }

    #[test]
    fn without_a_value_there_is_no_percentile() {
        assert_eq!(Histogram::default().percentile_ms(99.0), None);
        assert_eq!(Histogram::default().max_ms(), None);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_what_falls_into_it(us in 0_u64..1 << 40) {
            let highest = highest_of(bucket_of(us));
            prop_assert!(highest >= us && highest - us <= us / PER_OCTAVE);
        }

        #[test]
        fn two_histograms_add_up(a: Vec<u16>, b: Vec<u16>) {
            let of = |values: &[u16]| {
                let mut histogram = Histogram::default();
                values.iter().for_each(|us| histogram.add_us(u64::from(*us)));
                histogram
            };
            let mut sum = of(&a);
            sum.merge(&of(&b));
            prop_assert_eq!(sum, of(&[a, b].concat()));
        }
    }
}
