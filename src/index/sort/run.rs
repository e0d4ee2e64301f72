//! Sorted runs in the spill file: records back to back, in order.

use crate::files::InputFile;
use crate::index::key::{MAX_RECORD_BYTES, RECORD_HEADER_BYTES, Record, record_length};
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};

/// The least that a reader may buffer.
pub(super) const LEAST_BUFFER_BYTES: usize = 16 * 1024;
/// More than this per run makes nothing faster.
pub(super) const MOST_BUFFER_BYTES: usize = 256 * 1024;

const _: () = assert!(LEAST_BUFFER_BYTES >= 2 * MAX_RECORD_BYTES);

/// How much of the keys' common beginning a run remembers.
pub(super) const COMMON_BYTES: usize = 64;

/// A sorted run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Where it starts in the spill file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Number of records.
    pub entries: u64,
    /// What all its keys begin with, so that a merge compares where they differ.
    pub common: Vec<u8>,
}

impl Run {
    /// The byte after its last, or `None` if no file is that long.
    pub(super) fn end(&self) -> Option<u64> {
        self.offset.checked_add(self.bytes)
    }
}

/// Reads one run from front to back; its head is the next record.
#[derive(Debug)]
pub(super) struct RunReader {
    file: InputFile,
    /// File offset of the first byte that is not in the buffer yet.
    next: u64,
    end: u64,
    buffer: Vec<u8>,
    capacity: usize,
    at: usize,
    head_len: usize,
}

impl RunReader {
    /// Reads from `offset` to `end`. The buffer has `capacity` bytes, at least
    /// [`LEAST_BUFFER_BYTES`].
    pub(super) fn new(file: InputFile, offset: u64, end: u64, capacity: usize) -> Result<Self> {
        let mut reader = Self {
            file,
            next: offset,
            end,
            buffer: Vec::new(),
            capacity: capacity.max(LEAST_BUFFER_BYTES),
            at: 0,
            head_len: 0,
        };
        reader.load()?;
        Ok(reader)
    }

    /// Where in the file the head starts; the run's end when there is none.
    pub(super) fn head_offset(&self) -> u64 {
        self.next - (self.buffer.len() - self.at) as u64
    }

    /// Bytes of the head, 0 when the run is exhausted.
    pub(super) fn head_len(&self) -> usize {
        self.head_len
    }

    #[inline]
    pub(super) fn head_bytes(&self) -> &[u8] {
        self.buffer
            .get(self.at..self.at + self.head_len)
            .unwrap_or_default()
    }

    /// What the buffer has from the head on: the head, and perhaps some of what follows it.
    #[inline]
    pub(super) fn bytes_from_head(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    #[inline]
    pub(super) fn head(&self) -> Option<Record<'_>> {
        Record::parse(self.head_bytes())
    }

    #[inline]
    pub(super) fn advance(&mut self) -> Result<()> {
        self.at += self.head_len;
        self.load()
    }

    /// Finds the record at the current place, reading on if it is not in the buffer.
    #[inline]
    fn load(&mut self) -> Result<()> {
        if !self.find_head()? {
            self.refill()?;
            if !self.find_head()? && self.at < self.buffer.len() {
                return Err(self.damaged());
            }
        }
        Ok(())
    }

    #[inline]
    fn find_head(&mut self) -> Result<bool> {
        self.head_len = 0;
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.len() < RECORD_HEADER_BYTES {
            return Ok(false);
        }
        let len = record_length(rest).unwrap_or_default();
        if len > MAX_RECORD_BYTES {
            return Err(self.damaged());
        }
        if len > rest.len() {
            return Ok(false);
        }
        self.head_len = len;
        Ok(true)
    }

    fn refill(&mut self) -> Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        let left = usize::try_from(self.end - self.next).unwrap_or(usize::MAX);
        let count = left.min(self.capacity.saturating_sub(kept));
        if self.buffer.capacity() == 0 {
            self.buffer.reserve_exact(left.min(self.capacity));
        }
        self.buffer.resize(kept + count, 0);
        let place = self.buffer.get_mut(kept..).unwrap_or_default();
        let read = self.file.read_at(place, self.next)?;
        self.next += read as u64;
        if read < count {
            self.buffer.truncate(kept + read);
            return Err(self.damaged());
        }
        Ok(())
    }

    #[cold]
    fn damaged(&self) -> Error {
        Error::new(Code::Internal, "a sort run does not parse")
            .at(Place::offset(self.file.path(), self.head_offset()))
            .hint("run the same command with --restart")
    }
}
