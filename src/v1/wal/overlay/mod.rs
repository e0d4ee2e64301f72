//! What the log changes: the last effective operation on every `_id` that it touches.
//!
//! Only the offset of each operation's record is kept, never a document. While the log is scanned,
//! [`OverlayBuilder`] collects entries as they come; [`Overlay`] then holds them sorted by
//! (collection, record), so that the documents which only the log has are one slice per collection,
//! in LSN order, and a hash table finds an entry by its id. Agreement of hashes is confirmed by
//! reading the record's `_id` back from the file.
//!
//! At most 48 bytes per id, see [`OverlayBuilder`]; afterwards 16 for the entry, at most 11.5 for
//! its place in the table and one bit that says whether the snapshot has it.

mod builder;
mod entry;

pub(super) use builder::{Effect, OverlayBuilder};

use super::stored::{self, StoredReader};
use crate::document::bson::RawValue;
use crate::document::order::{hash_id, same_id};
use crate::files::InputFile;
use crate::{Code, Error, Place, Result};
use entry::{ENTRY_BYTES, Entry, Salt, table_hash};
use hashbrown::HashTable;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// What the log has for a document of the snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replacement {
    /// The last operation deletes it.
    Deleted {
        /// Offset of the delete's record.
        record: u64,
    },
    /// The last operation writes this document.
    Document {
        /// Offset of the operation's record.
        record: u64,
        /// Where its BSON is in the file.
        bson: Range<u64>,
    },
    /// The id was taken before: the snapshot has it twice.
    AlreadyMatched,
}

/// How many ids of a collection the log touches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Touched {
    /// Ids whose last operation writes a document.
    pub documents: u64,
    /// Ids whose last operation is a delete.
    pub deletes: u64,
}

/// The state that a scan of the log ends in. All methods may be called from any thread.
#[derive(Debug)]
pub struct Overlay {
    file: InputFile,
    /// By (collection, record).
    entries: Vec<Entry>,
    /// Numbers of entries, by [`table_hash`].
    table: HashTable<u32>,
    salt: Salt,
    /// One bit per entry: the snapshot has the id.
    matched: Vec<AtomicU64>,
    created: Vec<u32>,
}

impl Overlay {
    pub(super) fn new(builder: OverlayBuilder) -> Self {
        let len = builder.len();
        let OverlayBuilder {
            file,
            blocks,
            table,
            salt,
            created,
            ..
        } = builder;
        // The numbers change with the order, so the table is built anew; without it there is room
        // to copy the entries, block by block.
        drop(table);
        let mut entries = Vec::with_capacity(len);
        for block in blocks {
            entries.extend_from_slice(&block);
        }
        entries.sort_unstable_by_key(|entry: &Entry| (entry.collection, entry.record()));
        let mut table = HashTable::with_capacity(len);
        for (number, entry) in (0u32..).zip(&entries) {
            // The capacity suffices, so the table never asks for an entry's hash.
            table.insert_unique(table_hash(entry.key), number, |_| 0);
        }
        Self {
            file,
            matched: (0..len.div_ceil(64)).map(|_| AtomicU64::new(0)).collect(),
            entries,
            table,
            salt,
            created: created.into_iter().collect(),
        }
    }

    /// True if no operation takes effect.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Ids touched, in all collections.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that the overlay takes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        (self.entries.capacity() as u64)
            .saturating_mul(ENTRY_BYTES)
            .saturating_add(self.table.allocation_size() as u64)
            .saturating_add(size_of_val(&*self.matched) as u64)
            .saturating_add(size_of_val(&*self.created) as u64)
    }

    /// The collections that an effective insert or update names, by number; they exist even if all
    /// those documents were deleted later.
    #[must_use]
    pub fn created(&self) -> &[u32] {
        &self.created
    }

    /// Collections in which an operation took effect.
    #[must_use]
    pub fn collections(&self) -> usize {
        self.entries
            .chunk_by(|a, b| a.collection == b.collection)
            .count()
    }

    /// What the log does to a collection.
    #[must_use]
    pub fn touched(&self, collection: u32) -> Touched {
        let entries = self.entries.get(self.range(collection)).unwrap_or_default();
        let deletes = entries.iter().filter(|entry| entry.is_deleted()).count();
        Touched {
            documents: entries.len().saturating_sub(deletes) as u64,
            deletes: deletes as u64,
        }
    }

    /// False if the log does not touch the id with this hash ([`hash_id`]); true if it may.
    ///
    /// Reads nothing from the file.
    #[must_use]
    pub fn may_contain(&self, hash: u64, collection: u32) -> bool {
        let key = self.salt.key(hash);
        let is_it = |number: &u32| {
            self.entry(*number)
                .is_some_and(|entry| entry.key == key && entry.collection == collection)
        };
        self.table.find(table_hash(key), is_it).is_some()
    }

    /// [`Self::may_contain`] for an id.
    #[must_use]
    pub fn probe(&self, collection: u32, id: RawValue<'_>) -> bool {
        self.may_contain(hash_id(id, collection), collection)
    }

    /// What becomes of the snapshot's document with this id, whose [`hash_id`] is `hash`: `None`
    /// leaves it as it is. Marks the id as matched.
    ///
    /// # Errors
    /// A record cannot be read back.
    pub fn take(
        &self,
        collection: u32,
        id: RawValue<'_>,
        hash: u64,
    ) -> Result<Option<Replacement>> {
        let Some((number, bson)) = self.find(collection, id, hash)? else {
            return Ok(None);
        };
        let Some(entry) = self.entry(number) else {
            return Ok(None);
        };
        let record = entry.record();
        Ok(Some(if self.mark(number) {
            Replacement::AlreadyMatched
        } else if entry.is_deleted() {
            Replacement::Deleted { record }
        } else {
            Replacement::Document { record, bson }
        }))
    }

    /// Reads the document of the insert or update record at offset `record`; its bytes are as they
    /// stand in the log.
    ///
    /// # Errors
    /// The record cannot be read back.
    pub fn read_document(&self, record: u64, buffer: &mut Vec<u8>) -> Result<()> {
        stored::read_document(&self.file, record, buffer)
    }

    /// The documents of a collection that no [`Self::take`] has matched, as offsets of their
    /// records, in the order of their last operations. Costs only the collection's own entries.
    pub fn remaining(&self, collection: u32) -> impl Iterator<Item = u64> + '_ {
        self.range(collection)
            .filter(|number| !self.is_matched(*number))
            .filter_map(|number| self.entries.get(number))
            .filter(|entry| !entry.is_deleted())
            .map(|entry| entry.record())
    }

    /// Marks the entries with these records, which [`Self::take`] has reported in an earlier run
    /// over the same log, as matched. Needs 4 bytes per touched id while it runs.
    ///
    /// # Errors
    /// [`Code::SourceChanged`] if a record is not the last operation on any id.
    pub fn restore_matched(&self, records: impl Iterator<Item = u64>) -> Result<()> {
        let record_of = |number: &u32| self.entry(*number).map(Entry::record);
        let mut by_record: Vec<u32> = (0u32..).take(self.entries.len()).collect();
        by_record.sort_unstable_by_key(record_of);
        for record in records {
            let found = by_record
                .binary_search_by_key(&Some(record), record_of)
                .ok()
                .and_then(|at| by_record.get(at));
            let Some(number) = found else {
                return Err(Error::new(
                    Code::SourceChanged,
                    "the checkpoint names a record that the log does not have",
                )
                .at(Place::offset(self.file.path(), record))
                .hint("run the same command with --restart to start over"));
            };
            self.mark(*number);
        }
        Ok(())
    }

    /// Takes all marks of a collection back, so that its documents can be read once more.
    pub fn forget_matched(&self, collection: u32) {
        for number in self.range(collection) {
            if let Some(word) = self.matched.get(number / 64) {
                word.fetch_and(!(1 << (number % 64)), Ordering::Relaxed);
            }
        }
    }

    fn find(
        &self,
        collection: u32,
        id: RawValue<'_>,
        hash: u64,
    ) -> Result<Option<(u32, Range<u64>)>> {
        let key = self.salt.key(hash);
        let mut reader = None;
        let mut outcome = Ok(None);
        self.table.find(table_hash(key), |number| {
            let Some(entry) = self.entry(*number) else {
                return false;
            };
            if entry.key != key || entry.collection != collection {
                return false;
            }
            let reader = reader.get_or_insert_with(StoredReader::new);
            match reader.read(&self.file, entry.record()) {
                Ok(stored) if same_id(stored.id, id) => {
                    outcome = Ok(Some((*number, stored.bson)));
                    true
                }
                Ok(_) => false,
                Err(error) => {
                    outcome = Err(error);
                    true
                }
            }
        });
        outcome
    }

    fn entry(&self, number: u32) -> Option<Entry> {
        self.entries.get(number as usize).copied()
    }

    fn range(&self, collection: u32) -> Range<usize> {
        let start = self
            .entries
            .partition_point(|entry| entry.collection < collection);
        let end = self
            .entries
            .partition_point(|entry| entry.collection <= collection);
        start..end
    }

    /// Marks an entry; true if it was marked before.
    fn mark(&self, number: u32) -> bool {
        let bit = 1 << (number % 64);
        self.matched
            .get(number as usize / 64)
            .is_some_and(|word| word.fetch_or(bit, Ordering::Relaxed) & bit != 0)
    }

    fn is_matched(&self, number: usize) -> bool {
        self.matched
            .get(number / 64)
            .is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (number % 64)) != 0)
    }
}
