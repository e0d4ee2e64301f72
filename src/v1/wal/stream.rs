//! Reading the log from front to back through one reused buffer.

use crate::Result;
use crate::files::InputFile;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 256 * 1024;

/// A position in the log and the bytes that follow it.
#[derive(Debug)]
pub(super) struct Stream {
    file: InputFile,
    buffer: Vec<u8>,
    /// Where in the buffer the position is.
    start: usize,
    offset: u64,
}

impl Stream {
    pub(super) fn new(file: InputFile) -> Self {
        file.advise_sequential();
        Self {
            file,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
        }
    }

    pub(super) fn file(&self) -> &InputFile {
        &self.file
    }

    /// Offset of the position in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes from the position to the end of the file.
    pub(super) fn rest(&self) -> u64 {
        self.file.size().saturating_sub(self.offset)
    }

    /// The next `len` bytes, which the caller knows to be there ([`Self::rest`]) and bounds: the
    /// buffer grows to hold them.
    pub(super) fn peek(&mut self, len: usize) -> Result<&[u8]> {
        if self.buffer.len().saturating_sub(self.start) < len {
            self.refill(len)?;
        }
        Ok(self
            .buffer
            .get(self.start..self.start.saturating_add(len))
            .unwrap_or_default())
    }

    fn refill(&mut self, len: usize) -> Result<()> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let rest = usize::try_from(self.rest()).unwrap_or(usize::MAX);
        let kept = self.buffer.len();
        let want = len.max(CHUNK_BYTES.min(rest));
        self.buffer.reserve_exact(want.saturating_sub(kept));
        self.buffer.resize(want, 0);
        let target = self.buffer.get_mut(kept..).unwrap_or_default();
        self.file
            .read_exact_at(target, self.offset.saturating_add(kept as u64))
    }

    /// Moves the position on by `len` bytes.
    pub(super) fn skip(&mut self, len: u64) {
        let buffered = self.buffer.len().saturating_sub(self.start);
        match usize::try_from(len).ok().filter(|len| *len <= buffered) {
            Some(len) => self.start = self.start.saturating_add(len),
            None => {
                self.buffer.clear();
                self.start = 0;
            }
        }
        self.offset = self.offset.saturating_add(len);
    }

    /// Gives the buffer's memory back.
    pub(super) fn release(&mut self) {
        self.buffer = Vec::new();
        self.start = 0;
    }

    /// True if everything from the position on is zero.
    pub(super) fn rest_is_zero(&self) -> Result<bool> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = self.offset;
        while offset < self.file.size() {
            let left =
                usize::try_from(self.file.size().saturating_sub(offset)).unwrap_or(usize::MAX);
            let part = chunk.get_mut(..CHUNK_BYTES.min(left)).unwrap_or_default();
            self.file.read_exact_at(part, offset)?;
            if part.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            offset = offset.saturating_add(part.len() as u64);
        }
        Ok(true)
    }
}
