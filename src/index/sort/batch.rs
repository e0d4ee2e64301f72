//! Keys on their way from the thread that extracts them to the one that sorts.

use crate::index::key::{KeyBuffer, Record, RecordPieces};
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};

/// Keys of one index with their addresses, in one piece of memory.
#[derive(Clone, Debug, Default)]
pub struct KeyBatch {
    records: Vec<u8>,
}

impl KeyBatch {
    /// Appends a key.
    ///
    /// # Errors
    /// [`Code::Internal`] for a key that was made whole and is too long to be sorted so.
    #[inline]
    pub fn push(&mut self, key: &KeyBuffer, address: DocumentAddress) -> Result<()> {
        let record = key.pieces(address).ok_or_else(unsortable)?;
        record.append_to(&mut self.records);
        Ok(())
    }

    /// Bytes that the keys take.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.records.len()
    }

    /// True without keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Forgets the keys and keeps the memory.
    pub fn clear(&mut self) {
        self.records.clear();
    }

    /// The records and their addresses.
    pub(super) fn records(&self) -> impl Iterator<Item = (&[u8], DocumentAddress)> {
        let mut rest = self.records.as_slice();
        std::iter::from_fn(move || {
            let record = Record::parse(rest)?;
            let (bytes, after) = rest.split_at_checked(record.len())?;
            rest = after;
            Some((bytes, record.address))
        })
    }
}

pub(super) fn unsortable() -> Error {
    Error::new(Code::Internal, "a whole key is too long for the sorter")
}
