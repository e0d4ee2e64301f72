//! The sorters of all indexes, and the budget that they share.

mod ahead;
mod merges;
mod spilling;

use super::SpillFile;
use super::arena::{Arena, BLOCK_BYTES};
use super::batch::{KeyBatch, unsortable};
use super::order::{index_bytes, sorting_bytes};
use super::run::Run;
use crate::index::key::{KeyBuffer, RecordPieces, SortKey, is_cut};
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};
use ahead::Ahead;
use serde::{Deserialize, Serialize};
use spilling::Spilling;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Number of a sorter in its pool, from 0 in the order of [`SortPool::add_index`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SorterId(pub u32);

/// A place in the sequence of keys that a sorter is given. A spill can come between two keys of
/// one document, of which a text index takes many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Covered {
    /// All keys of the documents before this one.
    pub address: DocumentAddress,
    /// And so many of this one's.
    pub keys: u32,
}

impl Covered {
    /// True if the key of a document that has `before` keys before it lies within.
    #[must_use]
    pub fn has(self, address: DocumentAddress, before: u32) -> bool {
        address < self.address || (address == self.address && before < self.keys)
    }
}

/// What of a sorter is in the spill file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SorterState {
    /// Its runs.
    pub runs: Vec<Run>,
    /// The keys up to here are in the runs; `None` if nothing is.
    pub covered: Option<Covered>,
}

/// What of a pool is in the spill file: enough to continue, once the keys of later documents have
/// been pushed again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolState {
    /// Bytes of the spill file that runs take; the rest is to be cut off.
    pub spill_bytes: u64,
    /// One for each sorter.
    pub sorters: Vec<SorterState>,
}

#[derive(Debug, Default)]
struct Sorter {
    arena: Arena,
    stored: SorterState,
    /// The last key that was pushed, or document that was passed over.
    last: Option<Covered>,
}

/// Memory of the budget that is with a merge; it comes back when the merge ends.
#[derive(Debug)]
pub(in crate::index::sort) struct Lease {
    lent: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.lent.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Sorts the keys of many indexes in `budget` bytes of memory and one file.
///
/// The budget covers keys in memory, the array that sorts them and the buffers of merges; the spill
/// file's own write buffer comes on top.
#[derive(Debug)]
pub struct SortPool {
    budget: usize,
    spill: SpillFile,
    sorters: Vec<Sorter>,
    ahead: Option<Ahead>,
    spills_ahead: bool,
    spilling: Option<Spilling>,
    /// Scratch for sorting, as large as the largest sort so far.
    index: Vec<u128>,
    /// Blocks of full size that wait to be used again.
    free: Vec<Vec<u8>>,
    arena_bytes: usize,
    most_entries: usize,
    lent: Arc<AtomicUsize>,
}

impl SortPool {
    /// A pool without sorters.
    #[must_use]
    pub fn new(budget_bytes: usize, spill: SpillFile) -> Self {
        Self {
            budget: budget_bytes,
            spill,
            sorters: Vec::new(),
            ahead: None,
            spills_ahead: false,
            spilling: None,
            index: Vec::new(),
            free: Vec::new(),
            arena_bytes: 0,
            most_entries: 0,
            lent: Arc::default(),
        }
    }

    /// A pool as it was when `state` was taken. Of each sorter, the keys behind [`Self::covered`]
    /// have to be pushed again, and only those.
    ///
    /// # Errors
    /// [`Code::Internal`] if the runs do not lie in the spill file.
    pub fn restore(budget_bytes: usize, spill: SpillFile, state: PoolState) -> Result<Self> {
        let mut pool = Self::new(budget_bytes, spill);
        let inside = |run: &Run| run.end().is_some_and(|end| end <= state.spill_bytes);
        let mut runs = state.sorters.iter().flat_map(|sorter| &sorter.runs);
        if !runs.all(inside) {
            let sentence = "a sort run lies outside its file";
            return Err(Error::new(Code::Internal, sentence));
        }
        pool.spill.continue_at(state.spill_bytes);
        pool.sorters
            .extend(state.sorters.into_iter().map(|stored| Sorter {
                last: stored.covered,
                arena: Arena::default(),
                stored,
            }));
        Ok(pool)
    }

    /// Leaves the pool so much memory from here on.
    pub fn set_budget(&mut self, bytes: usize) {
        self.budget = bytes;
    }

    /// What is in the spill file now. Make that durable with [`Self::sync`] before relying on it.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let sorters = (0..).map(SorterId).zip(&self.sorters);
        let sorters = sorters.map(|(id, sorter)| SorterState {
            runs: sorter.stored.runs.clone(),
            covered: self.covered(id),
        });
        PoolState {
            spill_bytes: self.spill.position(),
            sorters: sorters.collect(),
        }
    }

    /// Makes what was spilled durable.
    ///
    /// # Errors
    /// The write or the fsync fails.
    pub fn sync(&mut self) -> Result<()> {
        self.settle()?;
        self.spill.sync()
    }

    /// Adds a sorter.
    pub fn add_index(&mut self) -> SorterId {
        self.sorters.push(Sorter::default());
        SorterId(u32::try_from(self.sorters.len() - 1).unwrap_or(u32::MAX))
    }

    /// Number of sorters.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sorters.len()
    }

    /// True without sorters.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorters.is_empty()
    }

    /// Bytes of memory in use.
    #[must_use]
    pub fn memory(&self) -> usize {
        let free: usize = self.free.len() * BLOCK_BYTES;
        self.arena_bytes + self.sort_bytes() + free + self.lent.load(Ordering::Relaxed)
    }

    /// Bytes that the sort of any sorter's keys takes at most.
    fn sort_bytes(&self) -> usize {
        sorting_bytes(self.most_entries).max(index_bytes(self.index.capacity()))
    }

    /// A sorter's runs in the spill file. A merge that needed several passes has changed them.
    #[must_use]
    pub fn runs(&self, id: SorterId) -> &[Run] {
        match self.sorters.get(position(id)) {
            Some(sorter) => &sorter.stored.runs,
            None => &[],
        }
    }

    /// Up to where the runs hold every key of the sorter.
    #[must_use]
    pub fn covered(&self, id: SorterId) -> Option<Covered> {
        let sorter = self.sorters.get(position(id))?;
        match &self.spilling {
            // Its keys are neither in memory nor in a run.
            Some(spilling) if spilling.id == id => sorter.stored.covered,
            _ => sorter.covered(),
        }
    }

    /// Keys that a sorter was given: those in memory and in its runs.
    #[must_use]
    pub fn entries(&self, id: SorterId) -> u64 {
        let in_memory = match (&self.ahead, self.sorters.get(position(id))) {
            (Some(ahead), _) if ahead.id == id => ahead.entries as u64,
            (_, sorter) => sorter.map_or(0, |sorter| sorter.arena.entries() as u64),
        };
        let spilling = self.spilling.as_ref().filter(|spilling| spilling.id == id);
        let runs = self.runs(id).iter().map(|run| run.entries);
        let runs = runs.chain(spilling.map(|spilling| spilling.entries));
        runs.fold(in_memory, u64::saturating_add)
    }

    /// Removes all sorters but the first `count`: those that building an index has added.
    pub fn truncate(&mut self, count: usize) {
        for sorter in self.sorters.drain(count.min(self.sorters.len())..) {
            self.arena_bytes -= sorter.arena.capacity();
        }
        self.count_entries();
    }

    fn sorter(&mut self, id: SorterId) -> Result<&mut Sorter> {
        self.sorters.get_mut(position(id)).ok_or_else(no_sorter)
    }

    /// Adds a key. Documents come in the order of their addresses, or [`Self::covered`] means
    /// nothing.
    ///
    /// # Errors
    /// Spilling fails, or the key was made whole and is too long.
    pub fn push(&mut self, id: SorterId, key: &KeyBuffer, address: DocumentAddress) -> Result<()> {
        self.push_key(id, &SortKey::Built(key), address)
    }

    /// [`Self::push`] of a key in any form.
    ///
    /// # Errors
    /// As [`Self::push`].
    #[inline]
    pub fn push_key(
        &mut self,
        id: SorterId,
        key: &SortKey<'_>,
        address: DocumentAddress,
    ) -> Result<()> {
        match key {
            SortKey::String(string) => self.push_record(id, string.record(address), address, false),
            SortKey::Exact(number) => self.push_record(id, number.record(address), address, false),
            SortKey::ObjectId(key) => self.push_record(id, key.record(address), address, false),
            SortKey::Built(key) => {
                let record = key.pieces(address).ok_or_else(unsortable)?;
                self.push_record(id, record, address, key.is_cut())
            }
        }
    }

    /// Adds the keys of a batch.
    ///
    /// # Errors
    /// Spilling fails.
    pub fn push_batch(&mut self, id: SorterId, batch: &KeyBatch) -> Result<()> {
        batch
            .records()
            .try_for_each(|(record, address)| self.push_record(id, record, address, is_cut(record)))
    }

    /// Says that all documents up to here have been given to the sorter, also those without a key.
    ///
    /// # Errors
    /// No such sorter.
    pub fn pass(&mut self, id: SorterId, address: DocumentAddress) -> Result<()> {
        let last = &mut self.sorter(id)?.last;
        if last.is_none_or(|last| last.address != address) {
            *last = Some(Covered { address, keys: 0 });
        }
        Ok(())
    }

    #[inline]
    fn push_record(
        &mut self,
        id: SorterId,
        record: impl RecordPieces,
        address: DocumentAddress,
        is_cut: bool,
    ) -> Result<()> {
        let Some(sorter) = self.sorters.get_mut(position(id)) else {
            return Err(no_sorter());
        };
        if !sorter.push(record, address, is_cut) {
            return self.push_to_block(id, record, address, is_cut);
        }
        // The array that sorts them has to fit as well, but not more than one at a time.
        let entries = sorter.arena.entries();
        if entries > self.most_entries {
            self.most_entries = entries;
            if entries % 64 == 0 && self.memory() > self.limit() && !self.settle()? {
                self.spill_largest()?;
            }
        }
        Ok(())
    }

    /// [`Self::push_record`] into another block.
    #[cold]
    fn push_to_block(
        &mut self,
        id: SorterId,
        record: impl RecordPieces,
        address: DocumentAddress,
        is_cut: bool,
    ) -> Result<()> {
        self.add_block(id)?;
        if self.sorter(id)?.push(record, address, is_cut) {
            Ok(())
        } else {
            Err(unsortable())
        }
    }

    /// Gives a sorter another block, spilling until the budget has room for it.
    #[cold]
    fn add_block(&mut self, id: SorterId) -> Result<()> {
        if self.sorter(id)?.arena.is_full() {
            self.seal(id)?;
        }
        self.begin_spilling()?;
        loop {
            let bytes = self.sorter(id)?.arena.next_block_bytes();
            if bytes == BLOCK_BYTES
                && let Some(block) = self.free.pop()
            {
                self.arena_bytes += bytes;
                self.sorter(id)?.arena.add_block(block);
                return Ok(());
            }
            // With nothing left to spill, one block has to be there whatever the budget.
            if self.memory() + bytes <= self.limit() || !self.free_memory()? {
                let block = Vec::with_capacity(bytes);
                self.arena_bytes += block.capacity();
                self.sorter(id)?.arena.add_block(block);
                return Ok(());
            }
        }
    }

    /// Frees some memory; false if none is left that could be.
    fn free_memory(&mut self) -> Result<bool> {
        Ok(self.free.pop().is_some() || self.settle()? || self.spill_largest()?)
    }

    fn spill_largest(&mut self) -> Result<bool> {
        match self.largest() {
            Some(id) => self.spill(id).map(|()| true),
            None => Ok(false),
        }
    }

    /// The sorter with the most memory, if it has keys.
    fn largest(&self) -> Option<SorterId> {
        let sorters = (0..).map(SorterId).zip(&self.sorters);
        let largest = sorters.max_by_key(|(_, sorter)| sorter.arena.capacity());
        let (id, sorter) = largest?;
        (sorter.arena.entries() > 0).then_some(id)
    }

    fn count_entries(&mut self) {
        let entries = self.sorters.iter().map(|sorter| sorter.arena.entries());
        self.most_entries = entries.max().unwrap_or_default();
    }

    /// Puts all keys of a sorter into runs.
    ///
    /// # Errors
    /// Spilling fails.
    pub fn seal(&mut self, id: SorterId) -> Result<()> {
        self.spill(id)
    }

    /// Puts all keys of all sorters into runs.
    ///
    /// # Errors
    /// Spilling fails.
    pub fn seal_all(&mut self) -> Result<()> {
        let ids = (0..).map(SorterId).take(self.sorters.len());
        ids.into_iter().try_for_each(|id| self.spill(id))
    }
}

impl Sorter {
    /// Appends a record; false if it needs another block.
    #[inline(always)]
    fn push(&mut self, record: impl RecordPieces, address: DocumentAddress, is_cut: bool) -> bool {
        if !self.arena.push(record, address, is_cut) {
            return false;
        }
        match &mut self.last {
            Some(last) if last.address == address => last.keys = last.keys.saturating_add(1),
            last => *last = Some(Covered { address, keys: 1 }),
        }
        true
    }

    fn covered(&self) -> Option<Covered> {
        if self.arena.entries() == 0 {
            self.last
        } else {
            self.stored.covered
        }
    }
}

#[cold]
fn no_sorter() -> Error {
    Error::new(Code::Internal, "no such sorter")
}

fn position(id: SorterId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}
