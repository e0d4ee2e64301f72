//! Collecting the last operation on every `_id` while the log is scanned.

use super::entry::{ENTRY_BYTES, Entry, Salt, table_hash};
use crate::document::bson::RawValue;
use crate::document::order::same_id;
use crate::files::InputFile;
use crate::v1::wal::stored::StoredReader;
use crate::{Code, Error, Result};
use hashbrown::HashTable;
use std::collections::BTreeSet;

/// Entries per block. Blocks never move, so growing needs no second copy of what is there.
const BLOCK_ENTRIES: usize = 4096;

/// What a `BTreeSet<u32>` takes per element, rounded up.
const CREATED_BYTES: u64 = 16;

/// Grows by one entry per touched `_id`.
///
/// Bytes per id: 16 for the entry; the table has 5 per slot and between 16/7 and 8/7 slots per id,
/// so at most 11.5, and 17.2 while it moves to one of twice the size: 33.2 at worst, and a block.
#[derive(Debug)]
pub(in crate::v1::wal) struct OverlayBuilder {
    pub(super) file: InputFile,
    pub(super) blocks: Vec<Vec<Entry>>,
    /// Numbers of entries, by [`table_hash`].
    pub(super) table: HashTable<u32>,
    pub(super) salt: Salt,
    pub(super) created: BTreeSet<u32>,
    reader: StoredReader,
}

/// An operation that takes effect.
#[derive(Clone, Copy, Debug)]
pub(in crate::v1::wal) struct Effect<'a> {
    pub(in crate::v1::wal) collection: u32,
    pub(in crate::v1::wal) id: RawValue<'a>,
    pub(in crate::v1::wal) hash: u64,
    /// Offset of its record.
    pub(in crate::v1::wal) record: u64,
    pub(in crate::v1::wal) deletes: bool,
}

impl OverlayBuilder {
    pub(in crate::v1::wal) fn new(file: InputFile) -> Self {
        Self {
            file,
            blocks: Vec::new(),
            table: HashTable::new(),
            salt: Salt::new(),
            created: BTreeSet::new(),
            reader: StoredReader::new(),
        }
    }

    /// Makes `effect` the last operation on its id.
    pub(in crate::v1::wal) fn apply(&mut self, effect: Effect<'_>) -> Result<()> {
        let key = self.salt.key(effect.hash);
        let entry = Entry::new(key, effect.collection, effect.record, effect.deletes);
        if !effect.deletes {
            self.created.insert(effect.collection);
        }
        match self.find(key, &effect)? {
            Some(number) => {
                if let Some(known) = entry_mut(&mut self.blocks, number) {
                    *known = entry;
                }
                Ok(())
            }
            None => self.push(entry),
        }
    }

    fn find(&mut self, key: u32, effect: &Effect<'_>) -> Result<Option<u32>> {
        let Self {
            file,
            blocks,
            table,
            reader,
            ..
        } = self;
        let mut failure = None;
        let found = table.find(table_hash(key), |number| {
            let Some(entry) = entry(blocks, *number) else {
                return false;
            };
            if entry.key != key || entry.collection != effect.collection {
                return false;
            }
            match reader.read(file, entry.record()) {
                Ok(stored) => same_id(stored.id, effect.id),
                Err(error) => {
                    failure = Some(error);
                    true
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(found.copied()),
        }
    }

    /// Offset of the last operation on an id.
    pub(in crate::v1::wal) fn last_record(
        &self,
        collection: u32,
        id: RawValue<'_>,
        hash: u64,
    ) -> Result<Option<u64>> {
        let key = self.salt.key(hash);
        let mut reader = StoredReader::new();
        let mut outcome = Ok(None);
        self.table.find(table_hash(key), |number| {
            let Some(entry) = entry(&self.blocks, *number) else {
                return false;
            };
            if entry.key != key || entry.collection != collection {
                return false;
            }
            match reader.read(&self.file, entry.record()) {
                Ok(stored) if same_id(stored.id, id) => outcome = Ok(Some(entry.record())),
                Ok(_) => return false,
                Err(error) => outcome = Err(error),
            }
            true
        });
        outcome
    }

    fn push(&mut self, new: Entry) -> Result<()> {
        let number = u32::try_from(self.len()).map_err(|_| {
            Error::new(
                Code::SourceTooLarge,
                "the write-ahead log touches more than 4294967296 documents",
            )
        })?;
        if self
            .blocks
            .last()
            .is_none_or(|block| block.len() == BLOCK_ENTRIES)
        {
            // The first block grows as it fills, so that a short log stays small.
            let room = if self.blocks.is_empty() {
                0
            } else {
                BLOCK_ENTRIES
            };
            self.blocks.push(Vec::with_capacity(room));
        }
        if let Some(block) = self.blocks.last_mut() {
            block.push(new);
        }
        let blocks = &self.blocks;
        let rehash = |number: &u32| entry(blocks, *number).map_or(0, |entry| table_hash(entry.key));
        self.table
            .insert_unique(table_hash(new.key), number, rehash);
        Ok(())
    }

    /// Touched ids.
    pub(in crate::v1::wal) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes taken, including those that the next entry's growth of the table would take.
    pub(in crate::v1::wal) fn memory_bytes(&self) -> u64 {
        let entries: u64 = match self.blocks.as_slice() {
            [] => 0,
            [first, rest @ ..] => first
                .capacity()
                .saturating_add(rest.len().saturating_mul(BLOCK_ENTRIES))
                as u64,
        };
        let mut table = self.table.allocation_size() as u64;
        if self.table.len() == self.table.capacity() {
            table = table.saturating_mul(3);
        }
        let blocks = self
            .blocks
            .capacity()
            .saturating_mul(size_of::<Vec<Entry>>()) as u64;
        entries
            .saturating_mul(ENTRY_BYTES)
            .saturating_add(table)
            .saturating_add(blocks)
            .saturating_add((self.created.len() as u64).saturating_mul(CREATED_BYTES))
    }
}

/// The place of entry `number`: its block and where in it.
fn place(number: u32) -> (usize, usize) {
    let number = number as usize;
    (number / BLOCK_ENTRIES, number % BLOCK_ENTRIES)
}

fn entry(blocks: &[Vec<Entry>], number: u32) -> Option<Entry> {
    let (block, index) = place(number);
    blocks.get(block)?.get(index).copied()
}

fn entry_mut(blocks: &mut [Vec<Entry>], number: u32) -> Option<&mut Entry> {
    let (block, index) = place(number);
    blocks.get_mut(block)?.get_mut(index)
}
