//! Terms that wait for their tree, which comes after the postings of all of them.
//!
//! ```text
//! spill = entry*
//! entry = cut u8 (0 or 1) | key length u16 | stored key | term value (12)
//! ```

use crate::bytes::Cursor;
use crate::files::{AppendWriter, InputFile};
use crate::index::key::{KeyType, MAX_STORED_KEY};
use crate::v2::address::ADDRESS_BYTES;
use crate::v2::btree::{StoredKey, StoredKeyRef};
use crate::v2::postings::TermHead;
use crate::{Code, Error, Result};

const MOST_BYTES: usize = 1 + 2 + MAX_STORED_KEY + ADDRESS_BYTES;
/// Bytes of one read from the file.
const READ_BYTES: usize = 64 << 10;

/// Makes an empty temporary file.
pub(super) type Files<'a> = dyn FnMut() -> Result<AppendWriter> + 'a;

/// Terms being collected; beyond a limit they go to a temporary file.
pub(super) struct TermSpill {
    memory: Vec<u8>,
    limit: usize,
    /// With where its first entry lies.
    file: Option<(AppendWriter, u64)>,
}

impl TermSpill {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            memory: Vec::new(),
            limit,
            file: None,
        }
    }

    pub(super) fn push(
        &mut self,
        key: StoredKeyRef<'_>,
        head: TermHead,
        files: &mut Files<'_>,
    ) -> Result<()> {
        // At most 1024.
        let length = u16::try_from(key.bytes.len()).unwrap_or(u16::MAX);
        self.memory.push(u8::from(key.truncated));
        self.memory.extend_from_slice(&length.to_le_bytes());
        self.memory.extend_from_slice(key.bytes);
        self.memory.extend_from_slice(&head.encode());
        if self.memory.len() > self.limit {
            let (mut writer, start) = match self.file.take() {
                Some(file) => file,
                None => {
                    let writer = files()?;
                    let start = writer.position();
                    (writer, start)
                }
            };
            writer.append(&self.memory)?;
            self.memory.clear();
            self.file = Some((writer, start));
        }
        Ok(())
    }

    pub(super) fn into_reader(self) -> Result<TermSpillReader> {
        let Some((mut writer, start)) = self.file else {
            return Ok(TermSpillReader {
                unread: None,
                buffer: self.memory,
                at: 0,
            });
        };
        writer.append(&self.memory)?;
        let end = writer.position();
        let input = writer.into_file()?.reader()?;
        Ok(TermSpillReader {
            unread: Some((input, start, end)),
            buffer: Vec::new(),
            at: 0,
        })
    }
}

/// Terms being read back, in the order in which they came.
pub(super) struct TermSpillReader {
    /// The file, and the part of it that is not in the buffer yet.
    unread: Option<(InputFile, u64, u64)>,
    buffer: Vec<u8>,
    at: usize,
}

impl TermSpillReader {
    /// Reads the next term over `key`; `None` at the end.
    pub(super) fn next(&mut self, key: &mut StoredKey) -> Result<Option<TermHead>> {
        if self.buffer.len() - self.at < MOST_BYTES {
            self.refill()?;
        }
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return Ok(None);
        }
        let mut cursor = Cursor::new(rest);
        let mut read = || {
            key.key_type = KeyType::String as u8;
            key.truncated = cursor.u8()? != 0;
            key.bytes.clear();
            key.bytes.extend_from_slice(cursor.bytes16()?);
            TermHead::decode(cursor.take(ADDRESS_BYTES)?.try_into().ok()?)
        };
        let head = read().ok_or_else(|| {
            let sentence = "a term that waits for its tree cannot be read back";
            Error::new(Code::Internal, sentence)
        })?;
        self.at += cursor.position();
        Ok(Some(head))
    }

    fn refill(&mut self) -> Result<()> {
        let Some((input, offset, end)) = &mut self.unread else {
            return Ok(());
        };
        self.buffer.drain(..self.at);
        self.at = 0;
        let kept = self.buffer.len();
        let left = usize::try_from(*end - *offset).unwrap_or(usize::MAX);
        let more = left.min(READ_BYTES);
        self.buffer.resize(kept + more, 0);
        let target = self.buffer.get_mut(kept..).unwrap_or_default();
        input.read_exact_at(target, *offset)?;
        *offset += more as u64;
        Ok(())
    }
}
