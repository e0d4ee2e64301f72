//! The file that sorted runs are appended to.

use crate::files::{AppendWriter, InputFile};
use crate::{Code, Error, Place, Result};
use std::fmt;

type Open = Box<dyn FnMut() -> Result<AppendWriter> + Send>;

/// A file that is made when the first run is spilled.
pub struct SpillFile {
    open: Open,
    /// Where the first appended byte has to go: bytes that stored runs take.
    expected: u64,
    writer: Option<AppendWriter>,
    /// The writer is with a thread.
    is_taken: bool,
}

impl fmt::Debug for SpillFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SpillFile").field(&self.writer).finish()
    }
}

impl SpillFile {
    /// `open` creates the file, or opens the one of an interrupted run cut to the length that its
    /// [`PoolState`](super::PoolState) names. It is called once, and not at all if everything fits
    /// in memory.
    #[must_use]
    pub fn new(open: impl FnMut() -> Result<AppendWriter> + Send + 'static) -> Self {
        Self {
            open: Box::new(open),
            expected: 0,
            writer: None,
            is_taken: false,
        }
    }

    pub(super) fn continue_at(&mut self, bytes: u64) {
        self.expected = bytes;
    }

    /// Bytes that were appended, buffered ones included.
    pub(super) fn position(&self) -> u64 {
        match &self.writer {
            Some(writer) => writer.position(),
            None => self.expected,
        }
    }

    pub(super) fn writer(&mut self) -> Result<&mut AppendWriter> {
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None if self.is_taken => {
                let sentence = "the spill file is in use by another thread";
                return Err(Error::new(Code::Internal, sentence));
            }
            None => (self.open)()?,
        };
        let writer = self.writer.insert(writer);
        if writer.position() < self.expected {
            let path = writer.file().path().to_path_buf();
            return Err(Error::new(
                Code::Internal,
                format!(
                    "the sort runs end at byte {}, they have {} bytes",
                    writer.position(),
                    self.expected
                ),
            )
            .at(Place::file(path)));
        }
        Ok(writer)
    }

    /// Takes the writer away, for a run; the position stays where it begins.
    pub(super) fn take_writer(&mut self) -> Result<AppendWriter> {
        self.writer()?;
        let missing = || Error::new(Code::Internal, "the spill file has no writer");
        let writer = self.writer.take().ok_or_else(missing)?;
        self.expected = writer.position();
        self.is_taken = true;
        Ok(writer)
    }

    /// Brings it back.
    pub(super) fn put_writer(&mut self, writer: AppendWriter) {
        self.writer = Some(writer);
        self.is_taken = false;
    }

    /// The file to read runs from, with all that was appended handed to the kernel.
    pub(super) fn reader(&mut self) -> Result<InputFile> {
        let writer = self.writer()?;
        writer.flush()?;
        writer.file().reader()
    }

    pub(super) fn sync(&mut self) -> Result<()> {
        match &mut self.writer {
            Some(writer) => writer.sync(),
            None => Ok(()),
        }
    }
}
