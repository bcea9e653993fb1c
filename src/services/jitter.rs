//! The one source of chance of the services: it spreads retries, nothing else.
//!
//! Not for secrets. Pure code never calls it; it is handed a [`Jitter`].

use std::hash::{BuildHasher, Hasher, RandomState};

/// Draws a number from 0 to below 1.
pub type Jitter = fn() -> f64;

/// Draws from the hasher keys of the standard library, which differ with every
/// process and every call.
#[must_use]
pub fn by_chance() -> f64 {
    const MANTISSA_BITS: u32 = f64::MANTISSA_DIGITS;
    let bits = RandomState::new().build_hasher().finish() >> (u64::BITS - MANTISSA_BITS);
    bits as f64 / (1_u64 << MANTISSA_BITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_lie_between_0_and_1_and_differ() {
        let draws: Vec<f64> = (0..100).map(|_| by_chance()).collect();
        assert!(draws.iter().all(|draw| (0.0..1.0).contains(draw)));
        assert!(draws.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
