//! From runs and memory to one sorted sequence, in as many passes as the budget needs.

use super::{Lease, SortPool, SorterId};
use crate::index::sort::FullKeys;
use crate::index::sort::arena::Arena;
use crate::index::sort::loser::LoserTree;
use crate::index::sort::merge::{Merge, MergePosition, Source};
use crate::index::sort::order::common_length;
use crate::index::sort::run::{LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES, Run, RunReader};
use crate::{Code, Error, Result};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl SortPool {
    /// Gives out the keys of a sorter in order, and empties its part of memory. Its runs stay, so
    /// a merge can be repeated or resumed if the sorter was sealed before.
    ///
    /// # Errors
    /// Spilling or reading a run fails.
    pub fn merge<'f>(&mut self, id: SorterId, full: &'f dyn FullKeys) -> Result<Merge<'f>> {
        self.settle()?;
        if self.runs(id).is_empty() {
            return self.merge_in_memory(id, full);
        }
        let buffer = self.prepare_runs(id)?;
        let starts = self.runs(id).iter().map(|run| run.offset).collect();
        self.merge_runs(id, full, starts, buffer)
    }

    /// Continues a merge from a place in it.
    ///
    /// # Errors
    /// [`Code::Internal`] if the place does not fit the runs, or keys have come since; reading fails.
    pub fn resume_merge<'f>(
        &mut self,
        id: SorterId,
        full: &'f dyn FullKeys,
        position: &MergePosition,
    ) -> Result<Merge<'f>> {
        self.settle()?;
        let runs = self.runs(id);
        let fits = |(run, offset): (&Run, &u64)| {
            (run.offset..=run.end().unwrap_or_default()).contains(offset)
        };
        let in_memory = self.sorter_entries(id);
        if in_memory > 0
            || runs.len() != position.offsets.len()
            || !runs.iter().zip(&position.offsets).all(fits)
        {
            let sentence = "the place to continue a merge does not fit its runs";
            return Err(Error::new(Code::Internal, sentence));
        }
        // The runs are as many as a merge with this budget left them, so no pass is due.
        let room = self.make_merge_room()?;
        let buffer = room / runs_or_one(self.runs(id));
        let mut merge = self.merge_runs(id, full, position.offsets.clone(), buffer)?;
        merge.resume(position)?;
        Ok(merge)
    }

    /// Ends a merge, and keeps what memory it has for the next sort.
    pub fn take_back(&mut self, merge: Merge<'_>) {
        if let Some(index) = merge.into_index() {
            self.index = index;
        }
    }

    fn sorter_entries(&self, id: SorterId) -> usize {
        let sorter = self.sorters.get(super::position(id));
        sorter.map_or(0, |sorter| sorter.arena.entries())
    }

    fn merge_in_memory<'f>(&mut self, id: SorterId, full: &'f dyn FullKeys) -> Result<Merge<'f>> {
        self.sorter(id)?;
        let (sorted, lease) = self.sorted(id)?;
        Ok(Merge::new(Source::Memory(sorted), full, lease))
    }

    /// Takes a sorter's keys out of the pool.
    pub(super) fn take_arena(&mut self, id: SorterId) -> Option<Arena> {
        let sorter = self.sorters.get_mut(super::position(id))?;
        // These keys will be in no run: after an interruption they have to come again.
        sorter.last = sorter.stored.covered;
        self.lift_arena(id)
    }

    pub(super) fn lend(&self, bytes: usize) -> Lease {
        self.lent.fetch_add(bytes, Ordering::Relaxed);
        Lease {
            lent: Arc::clone(&self.lent),
            bytes,
        }
    }

    /// Frees up to half of the budget; the bytes that a merge may take.
    fn make_merge_room(&mut self) -> Result<usize> {
        let half = self.budget / 2;
        while self.memory() > half && self.free_memory()? {}
        if self.memory() > half {
            self.index = Vec::new();
        }
        Ok(self.budget.saturating_sub(self.memory()).min(half))
    }

    /// Seals the sorter and merges runs until one pass can take them all; the bytes that each
    /// run's buffer may have.
    fn prepare_runs(&mut self, id: SorterId) -> Result<usize> {
        self.seal(id)?;
        let room = self.make_merge_room()?;
        let most = (room / LEAST_BUFFER_BYTES).max(2);
        while self.runs(id).len() > most {
            let count = most.min(self.runs(id).len() - most + 1);
            self.merge_pass(id, count, room / count)?;
        }
        Ok(room / runs_or_one(self.runs(id)))
    }

    /// Makes one run of the first `count`.
    fn merge_pass(&mut self, id: SorterId, count: usize, buffer: usize) -> Result<()> {
        let runs = self.runs(id).get(..count).unwrap_or_default().to_vec();
        let starts = runs.iter().map(|run| run.offset).collect();
        let (mut tree, common) = self.open_runs(&runs, starts, buffer)?;
        let writer = self.spill.writer()?;
        let offset = writer.position();
        while !tree.head_bytes().is_empty() {
            writer.append(tree.head_bytes())?;
            tree.advance()?;
        }
        let merged = Run {
            offset,
            bytes: writer.position() - offset,
            entries: runs.iter().map(|run| run.entries).sum(),
            common,
        };
        let stored = &mut self.sorter(id)?.stored;
        stored.runs.drain(..count.min(stored.runs.len()));
        stored.runs.push(merged);
        Ok(())
    }

    fn open_runs(
        &mut self,
        runs: &[Run],
        starts: Vec<u64>,
        buffer: usize,
    ) -> Result<(LoserTree, Vec<u8>)> {
        let file = self.spill.reader()?;
        let buffer = buffer.clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
        let mut common = runs.first().map(|run| run.common.clone());
        let mut readers = Vec::with_capacity(runs.len());
        for (run, start) in runs.iter().zip(starts) {
            if let Some(common) = &mut common {
                common.truncate(common_length(common, &run.common));
            }
            let end = run.end().unwrap_or_default();
            readers.push(RunReader::new(file.clone(), start, end, buffer)?);
        }
        let common = common.unwrap_or_default();
        Ok((LoserTree::new(readers, common.len()), common))
    }

    fn merge_runs<'f>(
        &mut self,
        id: SorterId,
        full: &'f dyn FullKeys,
        starts: Vec<u64>,
        buffer: usize,
    ) -> Result<Merge<'f>> {
        let runs = self.runs(id).to_vec();
        let buffer = buffer.clamp(LEAST_BUFFER_BYTES, MOST_BUFFER_BYTES);
        let lease = self.lend(buffer * runs.len());
        let (tree, _) = self.open_runs(&runs, starts, buffer)?;
        Ok(Merge::new(Source::Runs(tree), full, lease))
    }
}

fn runs_or_one(runs: &[Run]) -> usize {
    runs.len().max(1)
}
