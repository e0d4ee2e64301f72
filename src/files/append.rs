//! Buffered appending: all bulk output is strictly sequential.

use super::direct::AlignedBuffer;
use super::output::OutputFile;
use super::pieces::{PieceThread, Pieces};
use crate::Result;

/// Collects appended bytes and writes them in large pieces.
#[derive(Debug)]
pub struct AppendWriter {
    file: OutputFile,
    buffer: AlignedBuffer,
    /// Bytes of the buffer that wait to be written.
    filled: usize,
    written: u64,
    out: Out,
}

/// What becomes of full buffers.
#[derive(Debug)]
enum Out {
    /// They are written at once.
    Here,
    /// A thread writes them.
    Behind(PieceThread),
    /// They are thrown away.
    Discarded(Discards),
}

/// What becomes of appended bytes that are not all written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discards {
    /// None are written, but the file is as long as if they were.
    Everything,
    /// These are written, others were not.
    NotThese,
}

impl AppendWriter {
    /// Appends to `file` from `offset` on, in writes of about `capacity` bytes.
    #[must_use]
    pub fn new(file: OutputFile, offset: u64, capacity: usize) -> Self {
        Self {
            file,
            buffer: AlignedBuffer::new(capacity),
            filled: 0,
            written: offset,
            out: Out::Here,
        }
    }

    /// Counts what is appended to `file`, and writes none of it, but for what comes while
    /// [`Self::keep`] says so. After a flush the file is as long as if all of it were there; what
    /// was not written reads as zeros, and takes no space where the file system has sparse files.
    #[must_use]
    pub fn discarding(file: OutputFile) -> Self {
        Self {
            out: Out::Discarded(Discards::Everything),
            ..Self::new(file, 0, 0)
        }
    }

    /// True if what is appended is thrown away, or may have been.
    #[must_use]
    pub fn is_discarding(&self) -> bool {
        matches!(self.out, Out::Discarded(_))
    }

    /// From here on, writes what is appended after all, or throws it away again. Does nothing to a
    /// writer that is not [`Self::discarding`].
    pub fn keep(&mut self, keep: bool) {
        if let Out::Discarded(discards) = &mut self.out {
            *discards = match keep {
                true => Discards::NotThese,
                false => Discards::Everything,
            };
        }
    }

    /// Writes on a thread of its own, and so that little stays in the page cache: past it, if the
    /// file can be written so ([`Dir::bypass_cache`](super::Dir::bypass_cache)).
    #[must_use]
    pub fn write_behind(mut self) -> Self {
        // Where neither a descriptor nor a thread is to be had, writing at once does as well.
        let pieces = self.file.try_clone().ok();
        let pieces = pieces.map(|file| Pieces::new(file, self.written));
        if let Some(thread) = pieces.and_then(PieceThread::start) {
            self.out = Out::Behind(thread);
        }
        self
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.written + self.filled as u64
    }

    /// Appends.
    ///
    /// # Errors
    /// A write fails, this one or one before.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if matches!(self.out, Out::Discarded(Discards::Everything)) {
            self.written += bytes.len() as u64;
            return Ok(());
        }
        if self.buffer.len() - self.filled < bytes.len() {
            self.write_buffer()?;
        }
        let end = self.filled + bytes.len();
        if let Some(place) = self.buffer.get_mut(self.filled..end) {
            place.copy_from_slice(bytes);
            self.filled = end;
            return Ok(());
        }
        // Larger than the buffer, which is empty now.
        if let Out::Behind(thread) = &mut self.out {
            thread.settle()?;
        }
        self.file.write_all_at(bytes, self.written)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Hands everything to the kernel.
    ///
    /// # Errors
    /// A write fails, this one or one before.
    pub fn flush(&mut self) -> Result<()> {
        self.write_buffer()?;
        match &mut self.out {
            Out::Here => Ok(()),
            Out::Behind(thread) => thread.settle(),
            Out::Discarded(_) => self.file.set_len(self.written),
        }
    }

    fn write_buffer(&mut self) -> Result<()> {
        let bytes = self.buffer.get(..self.filled).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        match &mut self.out {
            Out::Behind(thread) => thread.write(&mut self.buffer, self.filled, self.written)?,
            Out::Here | Out::Discarded(_) => self.file.write_all_at(bytes, self.written)?,
        }
        self.written += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    /// Hands everything to the kernel and makes it durable, unless it is thrown away.
    ///
    /// # Errors
    /// A write or the fsync fails.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
        if self.is_discarding() {
            return Ok(());
        }
        self.file.sync()
    }

    /// The file below, for reading what was flushed.
    #[must_use]
    pub fn file(&self) -> &OutputFile {
        &self.file
    }

    /// Ends buffering.
    ///
    /// # Errors
    /// A write fails, the last one or one before.
    pub fn into_file(mut self) -> Result<OutputFile> {
        self.flush()?;
        Ok(self.file)
    }
}
