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
}

impl AppendWriter {
    /// Appends to `file` from `offset` on, in writes of about `capacity` bytes.
    #[must_use]
    pub fn new(file: OutputFile, offset: u64, capacity: usize) -> Self {
        Self {
            file,
            buffer: Vec::with_capacity(capacity),
            capacity,
            written: offset,
        }
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
        if self.buffer.len() + bytes.len() > self.capacity {
            self.flush()?;
        }
        if bytes.len() >= self.capacity {
            self.file.write_all_at(bytes, self.written)?;
            self.written += bytes.len() as u64;
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
        if !self.buffer.is_empty() {
            self.file.write_all_at(&self.buffer, self.written)?;
            self.written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }

    /// Hands everything to the kernel and makes it durable.
    ///
    /// # Errors
    /// The write or the fsync fails.
    pub fn sync(&mut self) -> Result<()> {
        self.flush()?;
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
