//! Sorting short byte strings with the pool that sorts index keys.

use super::join::{Scratch, ScratchFile};
use crate::index::key::KeyBuffer;
use crate::index::sort::{FullKeys, Merge, SortPool, SorterId, SpillFile};
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};
use std::sync::Arc;

/// Several sorts in one budget and one file.
pub(super) struct Sorts {
    pool: SortPool,
    key: KeyBuffer,
}

impl Sorts {
    pub(super) fn new(budget_bytes: usize, scratch: &Arc<dyn Scratch>) -> Self {
        let scratch = Arc::clone(scratch);
        let spill = SpillFile::new(move || scratch.create(ScratchFile::Runs));
        Self {
            pool: SortPool::new(budget_bytes, spill),
            key: KeyBuffer::new(),
        }
    }

    /// A sort of its own.
    pub(super) fn add(&mut self) -> SorterId {
        self.pool.add_index()
    }

    /// Adds up to 1000 bytes; equal ones are in the order of the addresses.
    pub(super) fn push(
        &mut self,
        id: SorterId,
        bytes: &[u8],
        address: DocumentAddress,
        payload: &[u8],
    ) -> Result<()> {
        self.key.set_term(bytes, payload);
        self.pool.push(id, &self.key, address)
    }

    /// Puts everything into the file, so that it can be merged more than once.
    pub(super) fn seal(&mut self, id: SorterId) -> Result<()> {
        self.pool.seal(id)
    }

    pub(super) fn merge(&mut self, id: SorterId) -> Result<Sorted> {
        self.pool.merge(id, &ShortKeys).map(Sorted)
    }
}

/// Sorted byte strings.
pub(super) struct Sorted(Merge<'static>);

/// One of them.
pub(super) struct SortedBytes<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) address: DocumentAddress,
    pub(super) payload: &'a [u8],
}

impl Sorted {
    pub(super) fn next(&mut self) -> Result<Option<SortedBytes<'_>>> {
        let entry = self.0.next()?;
        Ok(entry.map(|entry| SortedBytes {
            // A stored string has its length in front.
            bytes: entry.stored.bytes.get(2..).unwrap_or_default(),
            address: entry.address,
            payload: entry.payload,
        }))
    }
}

/// No key is longer than what a record keeps.
struct ShortKeys;

impl FullKeys for ShortKeys {
    fn full_key(&self, _: DocumentAddress, _: &mut KeyBuffer) -> Result<()> {
        Err(Error::new(Code::Internal, "a short key was cut"))
    }
}
