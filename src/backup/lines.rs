//! Lines of a file of unknown origin, one at a time in bounded memory.

use crate::Result;
use crate::files::InputFile;
use crate::large::{KEPT_BUFFER, grow};

/// Bytes read at once.
const READ: usize = 256 << 10;

/// A line that [`Lines`] found.
#[derive(Debug)]
pub(super) enum Line<'b> {
    /// With its line break, which only the last one can lack.
    Whole {
        /// File offset of its first byte.
        offset: u64,
        /// All of its bytes.
        bytes: &'b [u8],
    },
    /// Longer than the limit; nothing after it can be read.
    TooLong {
        /// File offset of its first byte.
        offset: u64,
    },
}

/// Reads a file line by line.
#[derive(Debug)]
pub(super) struct Lines<'f> {
    file: &'f InputFile,
    limit: usize,
    /// What was read and not given out yet, from `start` on.
    buffer: Vec<u8>,
    start: usize,
    /// File offset of `buffer[start]`.
    offset: u64,
    at_end: bool,
}

impl<'f> Lines<'f> {
    /// Lines of up to `limit` bytes, the line break not counted.
    pub(super) fn new(file: &'f InputFile, limit: usize) -> Self {
        file.advise_sequential();
        Self {
            file,
            limit,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            at_end: false,
        }
    }

    /// The next line, or `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>> {
        let mut searched = 0;
        let length = loop {
            let rest = self.buffer.get(self.start..).unwrap_or_default();
            let fresh = rest.get(searched..).unwrap_or_default();
            if let Some(found) = memchr::memchr(b'\n', fresh) {
                break searched.saturating_add(found).saturating_add(1);
            }
            searched = rest.len();
            if self.at_end || searched > self.limit {
                break searched;
            }
            self.fill()?;
        };
        if length == 0 {
            return Ok(None);
        }
        let (offset, start) = (self.offset, self.start);
        self.offset = self.offset.saturating_add(length as u64);
        self.start = self.start.saturating_add(length);
        let bytes = self
            .buffer
            .get(start..start.saturating_add(length))
            .unwrap_or_default();
        let text = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if text.len() > self.limit {
            return Ok(Some(Line::TooLong { offset }));
        }
        Ok(Some(Line::Whole { offset, bytes }))
    }

    /// Keeps no memory that a large line took.
    pub(super) fn release(&mut self) {
        if self.start > KEPT_BUFFER {
            self.buffer.drain(..self.start);
            self.start = 0;
            self.buffer.shrink_to(KEPT_BUFFER);
        }
    }

    /// Reads on; what was given out makes room.
    fn fill(&mut self) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        // Not while a long line is being put together, which would copy it again and again.
        if self.buffer.len() < READ {
            self.buffer.shrink_to(KEPT_BUFFER);
        }
        let kept = self.buffer.len();
        grow(&mut self.buffer, READ);
        self.buffer.resize(kept.saturating_add(READ), 0);
        let space = self.buffer.get_mut(kept..).unwrap_or_default();
        let filled = self
            .file
            .read_at(space, self.offset.saturating_add(kept as u64))?;
        self.buffer.truncate(kept.saturating_add(filled));
        self.at_end = filled < READ;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn lines(text: &[u8], limit: usize) -> Vec<(u64, Option<Vec<u8>>)> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        let file = InputFile::open(file.path()).unwrap();
        let mut lines = Lines::new(&file, limit);
        let mut found = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            match line {
                Line::Whole { offset, bytes } => found.push((offset, Some(bytes.to_vec()))),
                Line::TooLong { offset } => {
                    found.push((offset, None));
                    break;
                }
            }
        }
        found
    }

    #[test]
    fn lines_come_with_their_offsets() {
        assert_eq!(lines(b"", 3), []);
        let expected = [
            (0, Some(b"\n".to_vec())),
            (1, Some(b"abc\n".to_vec())),
            (5, Some(b"d".to_vec())),
        ];
        assert_eq!(lines(b"\nabc\nd", 3), expected);
    }

    #[test]
    fn a_line_beyond_the_limit_ends_it() {
        assert_eq!(
            lines(b"a\nabcd\nb\n", 3),
            [(0, Some(b"a\n".to_vec())), (2, None)]
        );
        assert_eq!(lines(b"abcd", 3), [(0, None)]);
    }

    #[test]
    fn lines_may_cross_reads() {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for length in [READ - 1, 0, READ, READ + 1, 3 * READ, 1] {
            expected.push((text.len() as u64, length + 1));
            text.extend(vec![b'x'; length]);
            text.push(b'\n');
        }
        let found = lines(&text, 4 * READ);
        let found: Vec<_> = found
            .into_iter()
            .map(|(offset, line)| (offset, line.unwrap().len()))
            .collect();
        assert_eq!(found, expected);
    }
}
