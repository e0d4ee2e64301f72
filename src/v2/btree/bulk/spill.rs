//! What a level of the tree leaves to the level above: each node's smallest key and its page.
//!
//! ```text
//! spill     = separator x node_count
//! separator = child u32 | key_type u8 | key_length u16 | key
//! ```
//!
//! It is written and read once, front to back; beyond a limit it goes to a temporary file.

use crate::bytes::Cursor;
use crate::files::{AppendWriter, InputFile};
use crate::v2::PageId;
use crate::v2::btree::key::{MAX_STORED_KEY, StoredKeyRef};
use crate::{Code, Error, Result};

/// Makes an empty temporary file.
pub(super) type SpillFiles<'a> = dyn FnMut() -> Result<AppendWriter> + 'a;

const HEADER_BYTES: usize = 4 + 1 + 2;
/// Bytes of one read from a spill file.
const READ_BYTES: usize = 64 << 10;
const _: () = assert!(READ_BYTES >= HEADER_BYTES + MAX_STORED_KEY);

/// A child with the smallest key below it.
#[derive(Debug, Default)]
pub(super) struct Separator {
    pub(super) child: PageId,
    key_type: u8,
    bytes: Vec<u8>,
}

impl Separator {
    pub(super) fn key(&self) -> StoredKeyRef<'_> {
        StoredKeyRef {
            key_type: self.key_type,
            bytes: &self.bytes,
            truncated: self.bytes.len() == MAX_STORED_KEY,
        }
    }
}

/// Separators being collected.
pub(super) struct Spill {
    /// Follows what is in the file.
    memory: Vec<u8>,
    limit: usize,
    file: Option<SpillFile>,
}

struct SpillFile {
    writer: AppendWriter,
    /// Where the first separator lies.
    start: u64,
}

impl Spill {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            memory: Vec::new(),
            limit,
            file: None,
        }
    }

    /// An empty one with the same limit.
    pub(super) fn sibling(&self) -> Self {
        Self::new(self.limit)
    }

    /// Goes on with a file that holds `length` bytes of separators and is open to append there.
    pub(super) fn resume(limit: usize, writer: AppendWriter, length: u64) -> Result<Self> {
        let size = writer.file().len()?;
        if writer.position() != length || size < length {
            let sentence = format!(
                "the separators' file has {size} bytes and is written on at {}, {length} were kept",
                writer.position()
            );
            return Err(Error::new(Code::Internal, sentence));
        }
        writer.file().set_len(length)?;
        Ok(Self {
            file: Some(SpillFile { writer, start: 0 }),
            ..Self::new(limit)
        })
    }

    pub(super) fn push(
        &mut self,
        key: StoredKeyRef<'_>,
        child: PageId,
        files: &mut SpillFiles<'_>,
    ) -> Result<()> {
        // Keys are at most 1024 bytes; a longer one could not be in a leaf.
        let length = u16::try_from(key.bytes.len()).unwrap_or(u16::MAX);
        self.memory.extend_from_slice(&child.0.to_le_bytes());
        self.memory.push(key.key_type);
        self.memory.extend_from_slice(&length.to_le_bytes());
        self.memory.extend_from_slice(key.bytes);
        if self.memory.len() > self.limit {
            self.move_to_file(files)?;
        }
        Ok(())
    }

    /// Makes all separators durable in the file; gives the file's length.
    pub(super) fn sync(&mut self, files: &mut SpillFiles<'_>) -> Result<u64> {
        let file = self.move_to_file(files)?;
        file.writer.sync()?;
        Ok(file.writer.position())
    }

    fn move_to_file(&mut self, files: &mut SpillFiles<'_>) -> Result<&mut SpillFile> {
        let file = match self.file.take() {
            Some(file) => file,
            None => {
                let writer = files()?;
                let start = writer.position();
                SpillFile { writer, start }
            }
        };
        let file = self.file.insert(file);
        file.writer.append(&self.memory)?;
        self.memory.clear();
        Ok(file)
    }

    /// Ends collecting.
    pub(super) fn into_reader(self) -> Result<SpillReader> {
        let Some(mut file) = self.file else {
            return Ok(SpillReader {
                input: None,
                buffer: self.memory,
                at: 0,
            });
        };
        file.writer.append(&self.memory)?;
        let end = file.writer.position();
        let input = file.writer.into_file()?.reader()?;
        Ok(SpillReader {
            input: Some(Unread {
                input,
                offset: file.start,
                end,
            }),
            buffer: Vec::new(),
            at: 0,
        })
    }
}

/// Separators being read back.
pub(super) struct SpillReader {
    input: Option<Unread>,
    buffer: Vec<u8>,
    at: usize,
}

/// The part of a spill file that has not been read yet.
struct Unread {
    input: InputFile,
    offset: u64,
    end: u64,
}

impl SpillReader {
    /// Reads the next separator.
    pub(super) fn read(&mut self, into: &mut Separator) -> Result<()> {
        if self.buffer.len().saturating_sub(self.at) < HEADER_BYTES.saturating_add(MAX_STORED_KEY) {
            self.refill()?;
        }
        let mut cursor = Cursor::new(self.buffer.get(self.at..).unwrap_or_default());
        let read = (|| {
            into.child = PageId(cursor.u32()?);
            into.key_type = cursor.u8()?;
            into.bytes.clear();
            into.bytes.extend_from_slice(cursor.bytes16()?);
            Some(cursor.position())
        })();
        let Some(length) = read else {
            let sentence = "a level of the tree left fewer separators than it has nodes";
            return Err(Error::new(Code::Internal, sentence));
        };
        self.at = self.at.saturating_add(length);
        Ok(())
    }

    /// Fills the buffer up from the file, if any of it is left.
    fn refill(&mut self) -> Result<()> {
        let Some(unread) = &mut self.input else {
            return Ok(());
        };
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        let left = usize::try_from(unread.end.saturating_sub(unread.offset)).unwrap_or(usize::MAX);
        let more = left.min(READ_BYTES.saturating_sub(kept.min(READ_BYTES)));
        self.buffer.resize(kept.saturating_add(more), 0);
        let target = self.buffer.get_mut(kept..).unwrap_or_default();
        unread.input.read_exact_at(target, unread.offset)?;
        unread.offset = unread.offset.saturating_add(more as u64);
        Ok(())
    }
}
