//! A file seen through a buffer of fixed size, front to back.

use crate::Result;
use crate::files::InputFile;
use std::path::Path;

/// Where the bytes come from: a file, or memory in tests.
pub(super) trait ReadAt {
    /// The path, for messages.
    fn path(&self) -> &Path;

    /// Reads up to `buffer.len()` bytes; fewer only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Reads the next piece, which begins at `offset`, into a buffer that may be exchanged for
    /// another one; no bytes at the end.
    fn fill(&self, buffer: &mut Vec<u8>, offset: u64) -> Result<usize> {
        self.read_at(buffer, offset)
    }
}

impl ReadAt for InputFile {
    fn path(&self) -> &Path {
        self.path()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        self.read_at(buffer, offset)
    }
}

/// Called with the offset reached each time the buffer is filled; its error ends the scan.
pub(super) type Progress<'a> = dyn FnMut(u64) -> Result<()> + 'a;

pub(super) struct Window<'a> {
    source: &'a dyn ReadAt,
    progress: &'a mut Progress<'a>,
    buffer: Vec<u8>,
    /// File offset of the buffer's first byte.
    base: u64,
    filled: usize,
    at: usize,
}

impl<'a> Window<'a> {
    pub(super) fn new(
        source: &'a dyn ReadAt,
        buffer_bytes: usize,
        progress: &'a mut Progress<'a>,
    ) -> Self {
        Self {
            source,
            progress,
            buffer: vec![0; buffer_bytes.max(1)],
            base: 0,
            filled: 0,
            at: 0,
        }
    }

    pub(super) fn path(&self) -> &'a Path {
        self.source.path()
    }

    /// File offset of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.base.saturating_add(self.at as u64)
    }

    /// The bytes at hand from the next one on; empty at the end of the file only.
    #[inline]
    pub(super) fn rest(&mut self) -> Result<&[u8]> {
        if self.at == self.filled {
            self.refill()?;
        }
        Ok(self.buffer.get(self.at..self.filled).unwrap_or_default())
    }

    /// The next byte, or `None` at the end of the file.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<Option<u8>> {
        Ok(self.rest()?.first().copied())
    }

    /// Goes on by `count` of the bytes that [`Self::rest`] gave.
    #[inline]
    pub(super) fn advance(&mut self, count: usize) {
        self.at = self.at.saturating_add(count).min(self.filled);
    }

    #[cold]
    fn refill(&mut self) -> Result<()> {
        let next = self.base.saturating_add(self.filled as u64);
        (self.progress)(next)?;
        self.filled = self.source.fill(&mut self.buffer, next)?;
        self.base = next;
        self.at = 0;
        Ok(())
    }
}
