//! Buffered appending: all bulk output is strictly sequential.

use super::output::OutputFile;
use crate::Result;

/// Collects appended bytes and writes them in large pieces.
#[derive(Debug)]
pub struct AppendWriter {
    file: OutputFile,
    buffer: Vec<u8>,
    capacity: usize,
    written: u64,
    /// Where the next window of write-behind starts, if there is write-behind.
    window: Option<u64>,
    discards: Discards,
}

/// What becomes of appended bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Discards {
    /// All are written.
    Nothing,
    /// None are written, but the file is as long as if they were.
    Everything,
    /// These are written, others were not.
    NotThese,
}

/// Bytes of a window of write-behind.
const WINDOW: u64 = 8 << 20;

impl AppendWriter {
    /// Appends to `file` from `offset` on, in writes of about `capacity` bytes.
    #[must_use]
    pub fn new(file: OutputFile, offset: u64, capacity: usize) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(capacity),
            capacity,
            written: offset,
            window: None,
            discards: Discards::Nothing,
        }
    }

    /// Counts what is appended to `file`, and writes none of it, but for what comes while
    /// [`Self::keep`] says so. After a flush the file is as long as if all of it were there; what
    /// was not written reads as zeros, and takes no space where the file system has sparse files.
    #[must_use]
    pub fn discarding(file: OutputFile) -> Self {
        Self {
            discards: Discards::Everything,
            ..Self::new(file, 0, 0)
        }
    }

    /// True if what is appended is thrown away, or may have been.
    #[must_use]
    pub fn is_discarding(&self) -> bool {
        self.discards != Discards::Nothing
    }

    /// From here on, writes what is appended after all, or throws it away again. Does nothing to a
    /// writer that is not [`Self::discarding`].
    pub fn keep(&mut self, keep: bool) {
        self.discards = match (self.discards, keep) {
            (Discards::Nothing, _) => Discards::Nothing,
            (_, true) => Discards::NotThese,
            (_, false) => Discards::Everything,
        };
    }

    /// Lets the kernel write each window as soon as it is complete, and forget it two windows
    /// later. A file that is not read back soon then takes little of the page cache, whose fresh
    /// pages cost more than the copy into them where memory is scarce or virtual; and the fsync at
    /// the end has little left to do.
    #[must_use]
    pub fn write_behind(mut self) -> Self {
        self.window = Some(self.written);
        self
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends.
    ///
    /// # Errors
    /// A write fails.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.discards == Discards::Everything {
            self.written += bytes.len() as u64;
            return Ok(());
        }
        if self.buffer.len() + bytes.len() > self.capacity {
            self.write_buffer()?;
        }
        if bytes.len() >= self.capacity {
            self.file.write_all_at(bytes, self.written)?;
            self.written += bytes.len() as u64;
            self.pass_windows();
        } else {
            self.buffer.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Hands everything to the kernel.
    ///
    /// # Errors
    /// The write fails.
    pub fn flush(&mut self) -> Result<()> {
        self.write_buffer()?;
        if self.is_discarding() {
            self.file.set_len(self.written)?;
        }
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
            self.pass_windows();
        }
        Ok(())
    }

    fn pass_windows(&mut self) {
        while let Some(start) = self.window
            && self.written >= start + WINDOW
        {
            self.file.write_behind(start, WINDOW);
            if let Some(before) = start.checked_sub(2 * WINDOW) {
                self.file.write_behind(before, WINDOW);
            }
            self.window = Some(start + WINDOW);
        }
    }

    /// Hands everything to the kernel and makes it durable, unless it is thrown away.
    ///
    /// # Errors
    /// The write or the fsync fails.
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
    /// The last write fails.
    pub fn into_file(mut self) -> Result<OutputFile> {
        self.flush()?;
        Ok(self.file)
    }
}
