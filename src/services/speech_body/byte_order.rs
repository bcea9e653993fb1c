//! Which byte of a 16-bit sample comes first. Pure.
//!
//! Where nobody says it, the sound does: neighbours of a sound are near to each other, and
//! in the wrong order they jump about.

/// Bytes that are looked at: 20 ms at 16 kHz.
const LOOKED_AT: usize = 640;
/// How many times smoother the other order must be. What tells nothing is little-endian.
const SMOOTHER: u64 = 4;

/// The order of the two bytes of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

/// Brings bytes into little-endian order.
#[derive(Debug)]
pub(super) struct Reader {
    order: Option<ByteOrder>,
    /// Half a sample, or what came before the order was known.
    held: Vec<u8>,
}

impl Reader {
    pub(super) const fn new(order: Option<ByteOrder>) -> Self {
        Self { order, held: Vec::new() }
    }

    /// Takes the next bytes and appends to `ordered` those whose order is known.
    pub(super) fn read(&mut self, bytes: &[u8], ordered: &mut Vec<u8>) {
        match self.order {
            Some(ByteOrder::Little) => ordered.extend_from_slice(bytes),
            Some(ByteOrder::Big) => {
                self.held.extend_from_slice(bytes);
                self.swap(ordered);
            }
            None => {
                self.held.extend_from_slice(bytes);
                self.pass_same(ordered);
                if self.held.len() >= LOOKED_AT {
                    self.decide(ordered);
                }
            }
        }
    }

    /// That was the last byte.
    pub(super) fn end(&mut self, ordered: &mut Vec<u8>) {
        if self.order.is_none() {
            self.decide(ordered);
        }
    }

    /// Samples that are the same in both orders, such as silence, need no decision.
    fn pass_same(&mut self, ordered: &mut Vec<u8>) {
        let pairs = self.held.as_chunks::<2>().0;
        let same = 2 * pairs.iter().take_while(|[a, b]| a == b).count();
        ordered.extend(self.held.drain(..same));
    }

    fn decide(&mut self, ordered: &mut Vec<u8>) {
        let pairs = self.held.as_chunks::<2>().0;
        let little = roughness(pairs.iter().map(|pair| i16::from_le_bytes(*pair)));
        let big = roughness(pairs.iter().map(|pair| i16::from_be_bytes(*pair)));
        if big.saturating_mul(SMOOTHER) < little {
            self.order = Some(ByteOrder::Big);
            self.swap(ordered);
        } else {
            self.order = Some(ByteOrder::Little);
            ordered.append(&mut self.held);
        }
    }

    fn swap(&mut self, ordered: &mut Vec<u8>) {
        let pairs = self.held.as_chunks::<2>().0;
        ordered.extend(pairs.iter().flat_map(|[high, low]| [*low, *high]));
        self.held.drain(..self.held.len() / 2 * 2);
    }
}

fn roughness(samples: impl Iterator<Item = i16>) -> u64 {
    let mut before = None;
    let steps = samples.map(|sample| {
        let from = before.replace(sample).unwrap_or(sample);
        u64::from(from.abs_diff(sample))
    });
    steps.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(order: Option<ByteOrder>, bytes: &[u8], cut: usize) -> Vec<i16> {
        let (mut reader, mut ordered) = (Reader::new(order), Vec::new());
        bytes.chunks(cut).for_each(|part| reader.read(part, &mut ordered));
        reader.end(&mut ordered);
        ordered.as_chunks().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect()
    }

    fn sound() -> Vec<i16> {
        let swing = |at: u32| (f64::from(at) / 9.0).sin() * f64::from(at.min(900)) * 20.0;
        [0; 500].into_iter().chain((0..2_000).map(|at| swing(at) as i16)).collect()
    }

    #[test]
    fn the_sound_tells_the_order_however_quietly_it_begins_and_is_cut() {
        let sound = sound();
        let big: Vec<u8> = sound.iter().flat_map(|sample| sample.to_be_bytes()).collect();
        let little: Vec<u8> = sound.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for cut in [1, 7, 640, 10_000] {
            assert_eq!(ordered(None, &big, cut), sound, "big, cut at {cut}");
            assert_eq!(ordered(None, &little, cut), sound, "little, cut at {cut}");
            assert_eq!(ordered(Some(ByteOrder::Big), &big, cut), sound);
            assert_eq!(ordered(Some(ByteOrder::Little), &little, cut), sound);
        }
    }

    #[test]
    fn what_tells_nothing_is_little_endian() {
        assert_eq!(ordered(None, &[0, 1, 0x34, 0x12], 4), [0x100, 0x1234]);
        assert!(ordered(None, &[5], 1).is_empty());
    }
}
