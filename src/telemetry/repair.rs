//! Makes an event file end with a whole line, whatever a crash left behind.
//!
//! Cuts the zeros that a power loss can leave at the end of a file, then
//! everything after the last newline. Refuses a file that is no event file:
//! cutting the end off somebody's notes would be worse than writing nothing.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// The file ends with a whole line and is this long.
    Whole(u64),
    /// The file ends with a whole line after this length; the rest is to be cut.
    Cut(u64),
    /// The file does not begin as an event file does.
    Foreign,
}

/// Looks where the last whole line ends.
pub(super) fn inspect(file: &mut File) -> io::Result<Repair> {
    let length = file.metadata()?.len();
    if length == 0 {
        return Ok(Repair::Whole(0));
    }
    let mut first = [0];
    file.seek(SeekFrom::Start(0))?;
    file.read_exact(&mut first)?;
    if first != *b"{" && first != [0] {
        return Ok(Repair::Foreign);
    }
    let written = end_of_last(file, length, |byte| byte != 0)?;
    let whole = end_of_last(file, written, |byte| byte == b'\n')?;
    Ok(if whole == length { Repair::Whole(whole) } else { Repair::Cut(whole) })
}

/// The position after the last byte before `end` that `wanted` accepts; 0 without one.
fn end_of_last(file: &mut File, end: u64, wanted: impl Fn(u8) -> bool) -> io::Result<u64> {
    let mut block = vec![0; BLOCK_BYTES];
    let mut end = end;
    while end > 0 {
        let start = end.saturating_sub(BLOCK_BYTES as u64);
        // At most BLOCK_BYTES, so it fits.
        let length = (end - start) as usize;
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut block[..length])?;
        if let Some(found) = block[..length].iter().rposition(|byte| wanted(*byte)) {
            return Ok(start + found as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

/// How much is read at once.
const BLOCK_BYTES: usize = 64 * 1024;
