//! Bounded lines: the only way either side of the protocol reads.
//!
//! A line that is too long is skipped to its end and never kept, so that a worker or
//! an engine gone mad costs a message and no memory.

use std::io::{self, BufRead};

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// What came out of a stream.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// A line without its line feed.
    Whole(Vec<u8>),
    /// One longer than allowed; it is gone.
    TooLong,
    /// Nothing more will come. A last line without line feed is not one.
    End,
}

/// A line in the making.
struct Collector {
    line: Vec<u8>,
    bytes_max: usize,
    is_too_long: bool,
}

impl Collector {
    const fn new(bytes_max: usize) -> Self {
        Self { line: Vec::new(), bytes_max, is_too_long: false }
    }

    /// Takes what belongs to this line off the front of `bytes`: how many, and
    /// whether the line is complete.
    fn take(&mut self, bytes: &[u8]) -> (usize, bool) {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let part = &bytes[..end.unwrap_or(bytes.len())];
        if self.line.len() + part.len() > self.bytes_max {
            self.is_too_long = true;
            self.line = Vec::new();
        }
        if !self.is_too_long {
            self.line.extend_from_slice(part);
        }
        (part.len() + usize::from(end.is_some()), end.is_some())
    }

    fn finish(self) -> Line {
        if self.is_too_long { Line::TooLong } else { Line::Whole(self.line) }
    }
}

/// Reads the next line, blocking.
pub(super) fn read(from: &mut impl BufRead, bytes_max: usize) -> io::Result<Line> {
    let mut collector = Collector::new(bytes_max);
    loop {
        let bytes = match from.fill_buf() {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if bytes.is_empty() {
            return Ok(Line::End);
        }
        let (used, is_complete) = collector.take(bytes);
        from.consume(used);
        if is_complete {
            return Ok(collector.finish());
        }
    }
}

/// Reads the next line. When dropped in the middle, that line is lost.
pub(super) async fn read_async(
    from: &mut (impl AsyncBufRead + Unpin),
    bytes_max: usize,
) -> io::Result<Line> {
    let mut collector = Collector::new(bytes_max);
    loop {
        let bytes = from.fill_buf().await?;
        if bytes.is_empty() {
            return Ok(Line::End);
        }
        let (used, is_complete) = collector.take(bytes);
        from.consume(used);
        if is_complete {
            return Ok(collector.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: &[u8] = b"one\n\nfar too long a line\nfour\nrest";

    fn expected() -> Vec<Line> {
        let whole = |text: &[u8]| Line::Whole(text.to_vec());
        vec![whole(b"one"), whole(b""), Line::TooLong, whole(b"four"), Line::End]
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_whole() {
        for buffer in [1, 3, 64] {
            let mut input = io::BufReader::with_capacity(buffer, INPUT);
            let lines: Vec<Line> = (0..5).map(|_| read(&mut input, 8).unwrap()).collect();
            assert_eq!(lines, expected());
        }
    }

    #[tokio::test]
    async fn the_engine_reads_the_same_lines_as_the_worker() {
        let mut input = tokio::io::BufReader::with_capacity(3, INPUT);
        let mut lines = Vec::new();
        for _ in 0..5 {
            lines.push(read_async(&mut input, 8).await.unwrap());
        }
        assert_eq!(lines, expected());
    }
}
