//! Watches the frame headers of a WebSocket and says no before a frame or a
//! message that is too large is read. Pure.
//!
//! The WebSocket library decides about the size of a frame only when all of it
//! has arrived, and until then keeps what came: a peer that announces a frame of
//! a terabyte would fill the memory. This guard decides when the header arrives.
//! It checks nothing else; a header that makes no sense is left to the library.

/// Fragments that one message may be cut into.
const FRAGMENTS_MAX: u32 = 256;

/// Longest header without its mask: two bytes and a 64-bit length.
const HEADER_BYTES_MAX: usize = 10;

/// Bytes of the mask that follows the length.
const MASK_BYTES: u64 = 4;

/// Why the connection is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is larger, or in more fragments, than allowed")]
pub(super) struct TooLarge;

/// Follows one connection's incoming bytes.
#[derive(Debug)]
pub(super) struct FrameGuard {
    message_bytes_max: u64,
    header: [u8; HEADER_BYTES_MAX],
    header_bytes: usize,
    payload_bytes_left: u64,
    message_bytes: u64,
    fragments: u32,
}

impl FrameGuard {
    /// Allows messages of up to `message_bytes_max` bytes.
    pub(super) const fn new(message_bytes_max: usize) -> Self {
        Self {
            message_bytes_max: message_bytes_max as u64,
            header: [0; HEADER_BYTES_MAX],
            header_bytes: 0,
            payload_bytes_left: 0,
            message_bytes: 0,
            fragments: 0,
        }
    }

    /// Follows the next bytes as they came off the wire.
    pub(super) fn check(&mut self, mut bytes: &[u8]) -> Result<(), TooLarge> {
        loop {
            let skipped = self.payload_bytes_left.min(bytes.len() as u64);
            self.payload_bytes_left -= skipped;
            bytes = &bytes[skipped as usize..];
            let Some((first, rest)) = bytes.split_first() else { return Ok(()) };
            self.header[self.header_bytes] = *first;
            self.header_bytes += 1;
            bytes = rest;
            if self.header_bytes >= 2 && self.header_bytes == self.header_len() {
                self.start_frame()?;
            }
        }
    }

    /// Bytes of the header at hand up to the mask.
    fn header_len(&self) -> usize {
        match self.header[1] & 0x7f {
            126 => 4,
            127 => HEADER_BYTES_MAX,
            _ => 2,
        }
    }

    fn start_frame(&mut self) -> Result<(), TooLarge> {
        let [first, second, ..] = self.header;
        let length = match self.header_bytes {
            2 => u64::from(second & 0x7f),
            len => self.header[2..len].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        self.header_bytes = 0;
        let is_control = first & 0x08 != 0;
        if !is_control {
            self.message_bytes = self.message_bytes.saturating_add(length);
            self.fragments += 1;
            if self.message_bytes > self.message_bytes_max || self.fragments > FRAGMENTS_MAX {
                return Err(TooLarge);
            }
            let is_last = first & 0x80 != 0;
            if is_last {
                self.message_bytes = 0;
                self.fragments = 0;
            }
        } else if length > self.message_bytes_max {
            return Err(TooLarge);
        }
        let mask_bytes = if second & 0x80 != 0 { MASK_BYTES } else { 0 };
        self.payload_bytes_left = length.saturating_add(mask_bytes);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: u8 = 0x81;
    const FIRST_FRAGMENT: u8 = 0x01;
    const MIDDLE_FRAGMENT: u8 = 0x00;
    const PING: u8 = 0x89;

    fn frame(first: u8, payload_bytes: usize) -> Vec<u8> {
        let mut bytes = header(first, payload_bytes as u64);
        bytes.resize(bytes.len() + 4 + payload_bytes, 0xff);
        bytes
    }

    fn header(first: u8, length: u64) -> Vec<u8> {
        match length {
            0..126 => vec![first, 0x80 | length as u8],
            126..65_536 => [&[first, 0xfe][..], &(length as u16).to_be_bytes()].concat(),
            _ => [&[first, 0xff][..], &length.to_be_bytes()].concat(),
        }
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_by_its_header_alone() {
        assert_eq!(FrameGuard::new(1_000).check(&header(TEXT, 1 << 40)), Err(TooLarge));
        assert_eq!(FrameGuard::new(1_000).check(&header(PING, 1 << 40)), Err(TooLarge));
        assert_eq!(FrameGuard::new(1_000).check(&frame(TEXT, 1_000)), Ok(()));
    }

    #[test]
    fn fragments_count_together_and_a_finished_message_does_not() {
        let mut guard = FrameGuard::new(1_000);
        assert_eq!(guard.check(&frame(TEXT, 900)), Ok(()));
        assert_eq!(guard.check(&frame(FIRST_FRAGMENT, 600)), Ok(()));
        assert_eq!(guard.check(&frame(PING, 100)), Ok(()));
        assert_eq!(guard.check(&frame(MIDDLE_FRAGMENT, 600)), Err(TooLarge));
    }

    #[test]
    fn a_message_in_countless_fragments_is_refused() {
        let mut guard = FrameGuard::new(1_000);
        assert_eq!(guard.check(&frame(FIRST_FRAGMENT, 0)), Ok(()));
        let refused = (1..=FRAGMENTS_MAX).find(|_| guard.check(&frame(0x00, 0)).is_err());
        assert_eq!(refused, Some(FRAGMENTS_MAX));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_the_bytes_are_cut(
            sizes in prop::collection::vec(0usize..70_000, 1..6), piece in 1usize..5_000,
        ) {
            let bytes: Vec<u8> = sizes.iter().flat_map(|size| frame(TEXT, *size)).collect();
            let mut guard = FrameGuard::new(60_000);
            let outcome: Result<(), _> = bytes.chunks(piece).try_for_each(|cut| guard.check(cut));
            prop_assert_eq!(outcome.is_err(), sizes.iter().any(|size| *size > 60_000));
        }

        #[test]
        fn any_bytes_are_followed_without_a_panic(bytes: Vec<u8>) {
            let verdict = FrameGuard::new(100).check(&bytes);
            prop_assert!(matches!(verdict, Ok(()) | Err(TooLarge)));
        }
    }
}
