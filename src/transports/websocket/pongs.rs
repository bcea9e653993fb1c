//! Pongs that wait for the end of a visit. The newest one stands for those before it (RFC
//! 6455, 5.5.3), unless a part of it went out: then the peer gets the rest. Pure: it is told
//! what the connection took.

use std::io::{self, Write};

/// First byte of a pong.
const PONG: u8 = 0x8a;

/// Head and longest payload of a pong.
const PONG_BYTES_MAX: usize = 2 + 125;

/// Of one connection.
pub(super) struct Pongs {
    /// The rest of a pong that is on its way, and the newest one.
    waiting: Vec<u8>,
    /// Length of that rest.
    rest: usize,
    /// The connection took a part of what is not kept here: no frame begins next.
    is_within_frame: bool,
}

impl Pongs {
    /// None yet.
    pub(super) fn new() -> Self {
        let waiting = Vec::with_capacity(2 * PONG_BYTES_MAX);
        Self { waiting, rest: 0, is_within_frame: false }
    }

    /// Keeps `bytes` if they are a pong. Others are written, behind what waits; what was not
    /// taken of them comes again.
    pub(super) fn write(&mut self, bytes: &[u8], to: &mut impl Write) -> io::Result<usize> {
        // What follows a part of a frame is the rest of it, whatever it looks like.
        if !self.is_within_frame && is_pong(bytes) {
            self.waiting.truncate(self.rest);
            self.waiting.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        self.flush(to)?;
        let taken = to.write(bytes)?;
        self.is_within_frame = taken < bytes.len();
        Ok(taken)
    }

    /// Writes what waits.
    pub(super) fn flush(&mut self, to: &mut impl Write) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let taken = to.write(&self.waiting)?;
            self.waiting.drain(..taken);
            self.rest = match taken.checked_sub(self.rest) {
                None => self.rest - taken,
                Some(0) => 0,
                // It begins with a part of the newest one now.
                Some(_) => self.waiting.len(),
            };
        }
        Ok(())
    }
}

/// Whether this is one pong and nothing else, where a frame begins.
fn is_pong(bytes: &[u8]) -> bool {
    matches!(bytes, [PONG, length, payload @ ..] if payload.len() == usize::from(*length))
        && bytes.len() <= PONG_BYTES_MAX
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    /// A connection with room for so many bytes, and what it took.
    #[derive(Default)]
    struct Full {
        room: usize,
        took: Vec<u8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
            self.room -= taken;
            self.took.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Writes each of `frames` in turn, the rest of one as often as there is room again, and
    /// gives all that went out.
    fn sent(frames: &[&[u8]], rooms: &[usize]) -> Vec<u8> {
        let (mut pongs, mut to) = (Pongs::new(), Full::default());
        let mut rooms = rooms.iter().copied();
        for frame in frames {
            let mut rest = *frame;
            while !rest.is_empty() {
                match pongs.write(rest, &mut to) {
                    Ok(taken) => rest = &rest[taken..],
                    Err(_) => to.room = rooms.next().unwrap_or(usize::MAX),
                }
            }
            // The end of a visit.
            let _no_room = pongs.flush(&mut to);
        }
        to.room = usize::MAX;
        pongs.flush(&mut to).expect("there is room");
        to.took
    }

    const ONE: &[u8] = b"\x8a\x03one";
    const TWO: &[u8] = b"\x8a\x03two";
    const THREE: &[u8] = b"\x8a\x03six";
    const TEXT: &[u8] = b"\x81\x02hi";

    #[test]
    fn the_newest_pong_stands_for_those_of_which_nothing_went_out() {
        assert_eq!(sent(&[ONE, TWO, THREE], &[]), THREE);
        assert_eq!(sent(&[ONE, TEXT, TWO], &[]), [ONE, TEXT, TWO].concat());
    }

    #[test]
    fn a_pong_that_is_on_its_way_goes_out_to_its_end_however_little_room_there_is() {
        for room in 1..ONE.len() {
            let (mut pongs, mut to) = (Pongs::new(), Full { room, took: Vec::new() });
            assert!(pongs.write(ONE, &mut to).is_ok() && pongs.flush(&mut to).is_err());
            assert!([TWO, THREE].iter().all(|pong| pongs.write(pong, &mut to).is_ok()));
            to.room = usize::MAX;
            assert_eq!(pongs.write(TEXT, &mut to).ok(), Some(TEXT.len()));
            assert_eq!(to.took, [ONE, THREE, TEXT].concat(), "{room}");
        }
    }

    #[test]
    fn two_pongs_that_wait_come_one_behind_the_other_wherever_they_are_cut() {
        for first in 1..ONE.len() {
            for second in 1..ONE.len() + TWO.len() {
                let (mut pongs, mut to) = (Pongs::new(), Full { room: first, took: Vec::new() });
                assert!(pongs.write(ONE, &mut to).is_ok() && pongs.flush(&mut to).is_err());
                assert!(pongs.write(TWO, &mut to).is_ok());
                to.room = second;
                let is_out = pongs.flush(&mut to).is_ok();
                assert!(pongs.write(THREE, &mut to).is_ok());
                to.room = usize::MAX;
                assert!(pongs.flush(&mut to).is_ok());
                let begun = is_out || first + second > ONE.len();
                let expected =
                    if begun { [ONE, TWO, THREE].concat() } else { [ONE, THREE].concat() };
                assert_eq!(to.took, expected, "{first}, {second}");
            }
        }
    }

    #[test]
    fn the_rest_of_a_frame_is_no_pong_whatever_it_looks_like() {
        let audio: &[u8] = &[&b"\x82\x08xyz"[..], ONE].concat();
        for room in 1..audio.len() {
            assert_eq!(sent(&[audio, TWO, TEXT], &[room]), [audio, TWO, TEXT].concat(), "{room}");
        }
    }
}
