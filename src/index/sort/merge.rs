//! The sorted entries of one index, one after the other.

use super::arena::Arena;
use super::entries::EntryBatch;
use super::groups::sort_by_full_key;
use super::loser::LoserTree;
use super::order::{self, TOUCH_RECORDS, is_same_key, location, prefix_is_all, same_key};
use super::pool::Lease;
use super::{FullKeys, damaged_record};
use crate::index::key::{KeyBuffer, KeyError, Record, StoredKeyRef, is_cut};
use crate::v2::DocumentAddress;
use crate::{Code, Error, Result};
use serde::{Deserialize, Serialize};

/// Where the entries come from.
#[derive(Debug)]
pub(super) enum Source {
    /// Everything fitted in memory.
    Memory(InMemory),
    Runs(LoserTree),
}

impl Source {
    #[inline]
    fn head(&self) -> Option<Record<'_>> {
        match self {
            Self::Memory(memory) => Record::parse(memory.head_bytes()),
            Self::Runs(tree) => tree.head(),
        }
    }

    /// Whether the head's key was cut.
    #[inline]
    fn head_is_cut(&self) -> bool {
        match self {
            Self::Memory(memory) => memory.has_cut && is_cut(memory.head_bytes()),
            Self::Runs(tree) => is_cut(tree.head_bytes()),
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<()> {
        match self {
            Self::Memory(memory) => {
                memory.advance();
                Ok(())
            }
            Self::Runs(tree) => tree.advance(),
        }
    }

    fn offsets(&self, taken: bool) -> Option<Vec<u64>> {
        match self {
            Self::Memory(_) => None,
            Self::Runs(tree) => Some(tree.offsets(taken)),
        }
    }
}

/// Stands where there is no word; no word tells of a key that is equal to what this one tells of.
const NO_WORD: u128 = u128::MAX;

/// Records in memory, with the order of their keys.
#[derive(Debug)]
pub(super) struct InMemory {
    arena: Arena,
    index: Vec<u128>,
    at: usize,
    /// The word before the head, or [`NO_WORD`].
    before: u128,
    has_cut: bool,
    /// Words that are equal may tell so of their keys.
    is_flat: bool,
}

impl InMemory {
    /// Sorts the records of an arena, in the memory of `index`.
    pub(super) fn sort(arena: Arena, mut index: Vec<u128>) -> Self {
        Self {
            is_flat: order::sort(&arena, &mut index),
            has_cut: arena.has_cut(),
            arena,
            index,
            at: 0,
            before: NO_WORD,
        }
    }

    pub(super) fn arena_bytes(&self) -> usize {
        self.arena.capacity()
    }

    pub(super) fn index_capacity(&self) -> usize {
        self.index.capacity()
    }

    /// The bytes from the head's first on.
    #[inline]
    fn head_bytes(&self) -> &[u8] {
        match self.index.get(self.at) {
            Some(word) => self.arena.bytes_at(location(*word)),
            None => &[],
        }
    }

    /// Whether the keys of these words, the one before and that of a record, are equal.
    #[inline]
    fn is_repeated(&self, before: u128, word: u128) -> bool {
        // What words have of equal keys is equal.
        same_key(before, word)
            && ((self.is_flat && is_same_key(before, word))
                || self.arena.normal(location(before)) == self.arena.normal(location(word)))
    }

    /// Whether the head has the key of the one before.
    #[inline]
    fn head_repeats(&self) -> bool {
        let word = self.index.get(self.at);
        word.is_some_and(|word| self.is_repeated(self.before, *word))
    }

    /// Appends the entries from the head on to a batch. None of the keys is cut.
    fn fill(
        &mut self,
        batch: &mut EntryBatch,
        most: usize,
        has_previous: bool,
    ) -> std::result::Result<(), KeyError> {
        let words = self.index.get(self.at..).unwrap_or_default();
        let words = words.get(..most).unwrap_or(words);
        let mut before = match has_previous {
            true => self.before,
            false => NO_WORD,
        };
        let already = batch.len();
        let mut filled = Ok(());
        'words: for words in words.chunks(TOUCH_RECORDS) {
            self.arena.touch(words.iter().map(|word| location(*word)));
            for word in words {
                let same = self.is_repeated(before, *word);
                filled = batch.push_record(self.arena.bytes_at(location(*word)), same);
                if filled.is_err() {
                    break 'words;
                }
                before = *word;
                if batch.is_full() {
                    break 'words;
                }
            }
        }
        self.at += batch.len() - already;
        self.before = before;
        filled
    }

    #[inline]
    fn advance(&mut self) {
        self.before = self.index.get(self.at).copied().unwrap_or(NO_WORD);
        self.at += 1;
        if self.at.is_multiple_of(TOUCH_RECORDS) {
            let rest = self.index.get(self.at..).unwrap_or_default();
            let next = rest.iter().take(TOUCH_RECORDS);
            self.arena.touch(next.map(|word| location(*word)));
        }
    }
}

/// An entry of an index.
#[derive(Clone, Copy, Debug)]
pub struct SortedEntry<'a> {
    /// The normal form, or the first 1024 bytes of a longer one.
    pub normal: &'a [u8],
    /// What goes into the B+tree.
    pub stored: StoredKeyRef<'a>,
    /// The document.
    pub address: DocumentAddress,
    /// The whole key equals that of the entry before.
    pub same_key_as_previous: bool,
    /// The caller's own bytes of [`KeyBuffer::set_term`]; means nothing with other keys.
    pub payload: &'a [u8],
}

/// A place in a merge, between two entries. It means something only together with the list of runs
/// that [`SortPool::runs`](super::SortPool::runs) gave after the merge began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MergePosition {
    /// Where to read on, for each run.
    pub(super) offsets: Vec<u64>,
    /// Entries of the group of long keys there that were given out already.
    pub(super) skip: u64,
    /// Normal form of the last entry, unless it was cut.
    pub(super) previous: Option<Vec<u8>>,
}

/// Long keys that agree in what records keep, by whole key. Eight bytes for each, twice that
/// while they are sorted; each stands for a document of a kilobyte or more.
#[derive(Debug)]
struct Group {
    addresses: Vec<DocumentAddress>,
    at: usize,
    /// Where the source was at the group's first entry.
    offsets: Option<Vec<u64>>,
}

/// A merge that is under way.
pub struct Merge<'f> {
    source: Source,
    full: &'f dyn FullKeys,
    /// The head was given out and is to be passed.
    taken: bool,
    /// Outside of groups, the last entry's key, unless it is still in memory; in one, that of the
    /// entry before it.
    previous_key: KeyBuffer,
    has_previous: bool,
    group: Option<Group>,
    /// What all keys of `group` begin with.
    kept: Vec<u8>,
    /// The last entry's key, if it came from a group.
    group_key: KeyBuffer,
    stored: Vec<u8>,
    _lease: Lease,
}

impl std::fmt::Debug for Merge<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Merge")
            .field("group", &self.group)
            .finish_non_exhaustive()
    }
}

impl<'f> Merge<'f> {
    /// The memory of the array that has the order, if the keys were in memory.
    pub(super) fn into_index(self) -> Option<Vec<u128>> {
        match self.source {
            Source::Memory(memory) => Some(memory.index),
            Source::Runs(_) => None,
        }
    }

    pub(super) fn new(source: Source, full: &'f dyn FullKeys, lease: Lease) -> Self {
        Self {
            source,
            full,
            taken: false,
            previous_key: KeyBuffer::new(),
            has_previous: false,
            group: None,
            kept: Vec::new(),
            group_key: KeyBuffer::new(),
            stored: Vec::new(),
            _lease: lease,
        }
    }

    /// Continues after the last entry before `position`; the source starts at its offsets.
    pub(super) fn resume(&mut self, position: &MergePosition) -> Result<()> {
        if let Some(previous) = &position.previous {
            self.previous_key.set_record(&Record::of_normal(previous));
            self.has_previous = true;
        }
        for _ in 0..position.skip {
            let is_cut = |record: Record<'_>| record.is_cut();
            let in_group = self.group.is_some() || self.source.head().is_some_and(is_cut);
            if !in_group || self.next()?.is_none() {
                return Err(Error::new(
                    Code::Internal,
                    "the place to continue a merge does not fit its runs",
                ));
            }
        }
        Ok(())
    }

    /// Where the merge is, to continue it later with
    /// [`SortPool::resume_merge`](super::SortPool::resume_merge).
    ///
    /// `None` while the keys are in memory only: [`SortPool::seal`](super::SortPool::seal) first.
    #[must_use]
    pub fn position(&self) -> Option<MergePosition> {
        if let Some(group) = &self.group {
            return Some(MergePosition {
                offsets: group.offsets.clone()?,
                skip: group.at as u64,
                previous: None,
            });
        }
        Some(MergePosition {
            offsets: self.source.offsets(self.taken)?,
            skip: 0,
            previous: self
                .has_previous
                .then(|| self.previous_key.normal().to_vec()),
        })
    }

    /// The next entry.
    ///
    /// # Errors
    /// A run cannot be read or is damaged, or a whole key cannot be had.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the merge, which Iterator cannot express"
    )]
    #[inline]
    pub fn next(&mut self) -> Result<Option<SortedEntry<'_>>> {
        if self.group.is_some() {
            return self.next_of_group();
        }
        if self.taken {
            self.source.advance()?;
            self.taken = false;
        }
        if self.source.head_is_cut() {
            self.gather_group()?;
            return self.next_of_group();
        }
        let Some(record) = self.source.head() else {
            return Ok(None);
        };
        let same = match &self.source {
            Source::Memory(memory) => self.has_previous && memory.head_repeats(),
            Source::Runs(_) => {
                let same = self.has_previous && self.previous_key.normal() == record.normal;
                self.previous_key.set_record(&record);
                same
            }
        };
        self.has_previous = true;
        self.taken = true;
        let stored = record.stored(&mut self.stored).map_err(damaged_record)?;
        Ok(Some(SortedEntry {
            normal: record.normal,
            stored,
            address: record.address,
            same_key_as_previous: same,
            payload: record.trailer,
        }))
    }

    /// Appends entries to a batch, `most` of them at most and until it is full. There are no more if
    /// it gets none.
    ///
    /// # Errors
    /// As [`Self::next`]; the entries before are in the batch.
    pub(super) fn fill(&mut self, batch: &mut EntryBatch, most: usize) -> Result<()> {
        if let Source::Memory(memory) = &mut self.source
            && !memory.has_cut
        {
            if std::mem::take(&mut self.taken) {
                memory.advance();
            }
            let filled = memory.fill(batch, most, self.has_previous);
            self.has_previous |= !batch.is_empty();
            return filled.map_err(damaged_record);
        }
        self.fill_from_runs(batch, most)?;
        while batch.len() < most && !batch.is_full() {
            match self.next()? {
                Some(entry) => batch.push(&entry),
                None => break,
            }
        }
        Ok(())
    }

    /// [`Self::fill`] up to a key that is cut. What tells most keys apart is at hand in the tree of
    /// runs; only keys that go on behind that are kept for those that follow.
    fn fill_from_runs(&mut self, batch: &mut EntryBatch, most: usize) -> Result<()> {
        let (Source::Runs(tree), None) = (&mut self.source, &self.group) else {
            return Ok(());
        };
        let key = &mut self.previous_key;
        let mut previous = self.has_previous.then(|| tree.prefix_of(key.normal()));
        while batch.len() < most && !batch.is_full() {
            if std::mem::take(&mut self.taken) {
                tree.advance()?;
            }
            let bytes = tree.bytes_from_head();
            if bytes.is_empty() || is_cut(bytes) {
                return Ok(());
            }
            let prefix = tree.head_prefix();
            let is_all = prefix_is_all(prefix);
            let is_same = |record: Record<'_>| is_all || record.normal == key.normal();
            let same = previous == Some(prefix) && tree.head().is_some_and(is_same);
            batch.push_record(bytes, same).map_err(damaged_record)?;
            if let Some(record) = tree.head().filter(|_| !is_all) {
                key.set_record(&record);
            }
            (previous, self.has_previous, self.taken) = (Some(prefix), true, true);
        }
        if let Some(record) = tree.head().filter(|_| self.taken) {
            key.set_record(&record);
        }
        Ok(())
    }

    /// Takes all records from the source that keep the same bytes of a longer key. A single one
    /// needs nothing else: its stored form is in `previous_key`.
    fn gather_group(&mut self) -> Result<()> {
        self.release_keys();
        let offsets = self.source.offsets(false);
        let mut addresses = Vec::new();
        while let Some(record) = self.source.head() {
            if addresses.is_empty() {
                self.kept.clear();
                self.kept.extend_from_slice(record.normal);
                self.previous_key.set_record(&record);
            } else if !record.is_cut() || record.normal != self.kept {
                break;
            }
            addresses.push(record.address);
            self.source.advance()?;
        }
        sort_by_full_key(&mut addresses, self.full)?;
        self.group = Some(Group {
            addresses,
            at: 0,
            offsets,
        });
        // The key before the group is shorter than its keys, or differs.
        self.has_previous = false;
        Ok(())
    }

    /// Whole keys of a group that has ended are not kept while others are read.
    fn release_keys(&mut self) {
        self.group_key.release();
        self.previous_key.release();
    }

    fn next_of_group(&mut self) -> Result<Option<SortedEntry<'_>>> {
        let Some(group) = &mut self.group else {
            return Ok(None);
        };
        let Some(&address) = group.addresses.get(group.at) else {
            self.group = None;
            self.release_keys();
            return self.next();
        };
        let (first, alone) = (group.at == 0, group.addresses.len() == 1);
        group.at += 1;
        std::mem::swap(&mut self.group_key, &mut self.previous_key);
        if !alone {
            self.full.full_key(address, &mut self.group_key)?;
        }
        let same = !first && self.group_key.normal() == self.previous_key.normal();
        let stored = self
            .group_key
            .stored(&mut self.stored)
            .map_err(damaged_record)?;
        Ok(Some(SortedEntry {
            normal: &self.kept,
            stored,
            address,
            same_key_as_previous: same,
            payload: &[],
        }))
    }
}
