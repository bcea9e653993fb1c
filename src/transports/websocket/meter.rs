//! Counts the frames in the bytes of a WebSocket client, before anybody reads them: each
//! costs work, whatever its length, and pieces of a message are not seen later. Pure. It
//! judges nothing: bytes that are no frames are counted as something.

/// Bytes before the payload: two, the longer length, the mask.
const HEAD_BYTES_MAX: usize = 14;

/// Set in the second byte of a frame with a mask.
const MASKED: u8 = 0x80;

/// How far the bytes were read.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameMeter {
    head: [u8; HEAD_BYTES_MAX],
    /// Bytes of the head that came.
    head_bytes: usize,
    /// Bytes of the payload that are still to come.
    payload_bytes: u64,
}

impl FrameMeter {
    /// How many frames begin in the next bytes.
    pub(super) fn count(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        while !bytes.is_empty() {
            let skipped =
                usize::try_from(self.payload_bytes).unwrap_or(usize::MAX).min(bytes.len());
            self.payload_bytes -= skipped as u64;
            bytes = &bytes[skipped..];
            let Some((byte, rest)) = bytes.split_first() else { break };
            frames += u32::from(self.head_bytes == 0);
            self.head[self.head_bytes] = *byte;
            self.head_bytes += 1;
            bytes = rest;
            if let Some(payload_bytes) = self.payload_of_whole_head() {
                self.payload_bytes = payload_bytes;
                self.head_bytes = 0;
            }
        }
        frames
    }

    /// Length of the payload, when the head is whole.
    fn payload_of_whole_head(&self) -> Option<u64> {
        let head = &self.head[..self.head_bytes];
        let &[_, second, ref rest @ ..] = head else { return None };
        let (length_bytes, length) = match second & !MASKED {
            126 => (2, u64::from(u16::from_be_bytes(*rest.first_chunk()?))),
            127 => (8, u64::from_be_bytes(*rest.first_chunk()?)),
            length => (0, u64::from(length)),
        };
        let mask_bytes = if second & MASKED == 0 { 0 } else { 4 };
        (rest.len() == length_bytes + mask_bytes).then_some(length)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A frame of a client.
    fn frame(length: usize) -> Vec<u8> {
        let mut frame = vec![0x82];
        match length {
            0..126 => frame.push(MASKED | length as u8),
            126..65_536 => {
                frame.push(MASKED | 126);
                frame.extend((length as u16).to_be_bytes());
            }
            _ => {
                frame.push(MASKED | 127);
                frame.extend((length as u64).to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.resize(frame.len() + length, 0x81);
        frame
    }

    #[test]
    fn an_announced_terabyte_is_one_frame() {
        let mut meter = FrameMeter::default();
        let head = [0x81, 0xff, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!((meter.count(&head), meter.count(&[0x81; 10_000])), (1, 0));
    }

    #[test]
    fn a_frame_without_a_mask_has_a_shorter_head() {
        assert_eq!(FrameMeter::default().count(b"\x81\x01x\x81\x01x\x89\x00"), 3);
    }

    proptest! {
        #[test]
        fn every_frame_is_counted_once_however_the_bytes_are_cut(
            lengths in prop::collection::vec(prop_oneof![0..3_usize, 120..130_usize, 65_530..65_540_usize], 1..8),
            piece in 1..5_000_usize,
        ) {
            let bytes: Vec<u8> = lengths.iter().flat_map(|&length| frame(length)).collect();
            let mut meter = FrameMeter::default();
            let frames: u32 = bytes.chunks(piece).map(|piece| meter.count(piece)).sum();
            prop_assert_eq!(frames as usize, lengths.len());
        }

        #[test]
        fn any_bytes_are_counted(bytes: Vec<u8>) {
            prop_assert!(FrameMeter::default().count(&bytes) as usize <= bytes.len());
        }
    }
}
