//! Where the ids of calls come from: the system's own source of chance.

/// 128 bits that nobody can guess. `None`: the system has none to give.
#[must_use]
pub fn draw() -> Option<u128> {
    let mut bits = [0; size_of::<u128>()];
    getrandom::fill(&mut bits).ok()?;
    Some(u128::from_ne_bytes(bits))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_draws_are_alike_and_every_bit_is_drawn() {
        let draws: BTreeSet<u128> = (0..1_000).filter_map(|_| draw()).collect();
        assert_eq!(draws.len(), 1_000);
        assert_eq!(draws.iter().fold(0, |seen, bits| seen | bits), u128::MAX);
        assert_eq!(draws.iter().fold(u128::MAX, |seen, bits| seen & bits), 0);
    }
}
