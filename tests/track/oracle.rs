//! What another runtime makes of the same model: `tests/track/oracle.bin` and, for the
//! held-out track, `tests/track/held_out.bin`, written by `make vad-oracle` with `rten`.
//!
//! For each stream, in order: a hash of its samples, the number of its windows, and the
//! probability of speech in each window, as a fraction of 65,535. All little-endian.

use super::{Stream, Track, recordings};

/// Samples of a window.
pub const WINDOW_SAMPLES: usize = 512;

/// Probabilities of every stream.
pub struct Oracle {
    rest: Vec<u8>,
}

impl Oracle {
    /// What it heard of the labelled track and the recordings.
    pub fn stored() -> Self {
        Self::read("oracle.bin")
    }

    /// What it heard of the held-out track.
    pub fn of_held_out() -> Self {
        Self::read("held_out.bin")
    }

    fn read(name: &str) -> Self {
        let path = format!("{}/tests/track/{name}", env!("CARGO_MANIFEST_DIR"));
        let rest = std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { rest }
    }

    /// The probabilities of the next stream, which must be `stream`.
    pub fn next(&mut self, stream: &Stream) -> Vec<f32> {
        let windows = stream.samples.len() / WINDOW_SAMPLES;
        let record: Vec<u8> = self.rest.drain(..10 + 2 * windows).collect();
        let heard = u64::from_le_bytes(record[..8].try_into().unwrap());
        let told = "the samples are others than those of the oracle: run `make vad-oracle`";
        assert_eq!(heard, hash(&stream.samples), "{}: {told}", stream.name);
        assert_eq!(windows as u16, u16::from_le_bytes([record[8], record[9]]));
        let values = record[10..].chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        values.map(|value| f32::from(value) / f32::from(u16::MAX)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Every stream that the oracle hears, in its order: the track first.
pub fn streams(track: &Track) -> Vec<Stream> {
    track.conditions().into_iter().chain(recordings()).collect()
}

/// FNV-1a over the samples' bytes.
fn hash(samples: &[i16]) -> u64 {
    let bytes = samples.iter().flat_map(|sample| sample.to_le_bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
