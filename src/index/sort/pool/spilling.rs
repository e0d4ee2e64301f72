//! Keys on their way into runs of the spill file, on another thread if there is one.
//!
//! Keys that fit in memory stay there. Once some did not, and with a second thread, the largest
//! sorter's keys go as soon as memory is half full. The other half takes the keys that come
//! meanwhile; only when it is full as well, they wait.

use super::{Covered, Lease, SortPool, SorterId, position};
use crate::files::AppendWriter;
use crate::index::sort::arena::{Arena, BLOCK_BYTES};
use crate::index::sort::order::{self, common_length, sorting_bytes};
use crate::index::sort::run::{COMMON_BYTES, Run};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::bounded;
use std::thread::JoinHandle;

/// A sorter has to have this part of the budget to be spilled ahead: many small runs would cost
/// more than waiting.
const LEAST_PART: usize = 8;

/// Keys that another thread writes to the spill file.
#[derive(Debug)]
pub(super) struct Spilling {
    pub(super) id: SorterId,
    pub(super) entries: u64,
    covered: Option<Covered>,
    thread: Option<JoinHandle<Result<(Run, Lent)>>>,
    /// Their memory.
    _lease: Lease,
}

/// What it has for that, and gives back.
#[derive(Debug)]
struct Lent {
    arena: Arena,
    index: Vec<u128>,
    writer: AppendWriter,
}

impl Drop for Spilling {
    /// Nothing is written any more once the pool is gone.
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl SortPool {
    /// Lets another thread write runs while keys come.
    pub fn spill_ahead(&mut self) {
        self.spills_ahead = true;
    }

    /// What of the budget is used. Threads leave holes in the heap, which count as memory too.
    pub(super) fn limit(&self) -> usize {
        if self.spills_ahead && self.spill.position() > 0 {
            self.budget - self.budget / 4
        } else {
            self.budget
        }
    }

    /// Begins to spill the largest sorter if memory is half full, free blocks not counted, and has been
    /// full before.
    pub(super) fn begin_spilling(&mut self) -> Result<()> {
        let used = self.memory() - self.free.len() * BLOCK_BYTES;
        let is_wanted = self.spills_ahead && self.spilling.is_none() && self.spill.position() > 0;
        if !is_wanted || used <= self.budget / 2 {
            return Ok(());
        }
        let Some(id) = self.largest() else {
            return Ok(());
        };
        let Some(sorter) = self.sorters.get(position(id)) else {
            return Ok(());
        };
        let (entries, covered) = (sorter.arena.entries(), sorter.last);
        // One array is counted already: that of the sorter with the most keys.
        let others = (0..).map(SorterId).zip(&self.sorters);
        let others = others.filter(|(other, _)| *other != id);
        let others = others.map(|(_, other)| other.arena.entries()).max();
        let more = sorting_bytes(entries.min(others.unwrap_or_default()));
        let is_large = sorter.arena.capacity() >= self.budget / LEAST_PART;
        if !is_large || used.saturating_add(more) > self.limit() {
            return Ok(());
        }
        while self.memory().saturating_add(more) > self.limit() && self.free.pop().is_some() {}
        let (give, given) = bounded::<Lent>(1);
        let write = move || {
            let missing = || Error::new(Code::Internal, "there is nothing to spill");
            let mut lent = given.recv().map_err(|_| missing())?;
            let run = write_run(&lent.arena, &mut lent.index, &mut lent.writer)?;
            Ok((run, lent))
        };
        // Without another thread this one spills them when memory is full.
        let Ok(thread) = threads::start("spill", write) else {
            return Ok(());
        };
        let writer = self.spill.take_writer()?;
        let arena = self.lift_arena(id).unwrap_or_default();
        let lease = self.lend(arena.capacity() + sorting_bytes(entries));
        let index = std::mem::take(&mut self.index);
        // It waits for this.
        let _ = give.send(Lent {
            arena,
            index,
            writer,
        });
        self.spilling = Some(Spilling {
            id,
            entries: entries as u64,
            covered,
            thread: Some(thread),
            _lease: lease,
        });
        Ok(())
    }

    /// True while another thread writes a run, or has written it and was not waited for.
    #[cfg(test)]
    pub(in crate::index::sort) fn is_spilling(&self) -> bool {
        self.spilling.is_some()
    }

    /// Waits for what another thread spills; false if there is nothing.
    ///
    /// # Errors
    /// Its write has failed.
    pub fn settle(&mut self) -> Result<bool> {
        let Some(mut spilling) = self.spilling.take() else {
            return Ok(false);
        };
        let Some(thread) = spilling.thread.take() else {
            return Ok(false);
        };
        let panicked = |_| Error::new(Code::Internal, "a spilling thread has panicked");
        let (run, lent) = thread.join().map_err(panicked)??;
        self.spill.put_writer(lent.writer);
        self.index = lent.index;
        self.keep_run(spilling.id, run, spilling.covered, lent.arena)?;
        Ok(true)
    }

    /// Sorts what a sorter has in memory and appends it to the spill file as a run.
    pub(super) fn spill(&mut self, id: SorterId) -> Result<()> {
        self.settle()?;
        let Some(sorter) = self.sorters.get(position(id)) else {
            return Ok(());
        };
        if sorter.arena.entries() == 0 {
            return Ok(());
        }
        let covered = sorter.last;
        let run = write_run(&sorter.arena, &mut self.index, self.spill.writer()?)?;
        let arena = self.lift_arena(id).unwrap_or_default();
        self.keep_run(id, run, covered, arena)
    }

    /// Takes a sorter's keys out of the pool.
    pub(super) fn lift_arena(&mut self, id: SorterId) -> Option<Arena> {
        let sorter = self.sorters.get_mut(position(id))?;
        let arena = std::mem::take(&mut sorter.arena);
        self.arena_bytes -= arena.capacity();
        self.count_entries();
        Some(arena)
    }

    /// The keys of an arena are in this run, up to what it covers. Blocks of full size stay for other
    /// keys.
    fn keep_run(
        &mut self,
        id: SorterId,
        run: Run,
        covered: Option<Covered>,
        mut arena: Arena,
    ) -> Result<()> {
        let blocks = arena.take_blocks();
        self.free
            .extend(blocks.filter(|block| block.capacity() == BLOCK_BYTES));
        let stored = &mut self.sorter(id)?.stored;
        stored.runs.push(run);
        stored.covered = covered;
        Ok(())
    }
}

/// Sorts the keys, in the memory of `index`, and appends them to the spill file.
fn write_run(arena: &Arena, index: &mut Vec<u128>, writer: &mut AppendWriter) -> Result<Run> {
    order::sort(arena, index);
    let offset = writer.position();
    let mut records = Vec::new();
    for words in index.chunks(order::TOUCH_RECORDS) {
        arena.touch(words.iter().map(|word| order::location(*word)));
        records.clear();
        for word in words {
            records.extend_from_slice(arena.record_bytes(order::location(*word)));
        }
        writer.append(&records)?;
    }
    let ends = index.first().zip(index.last());
    let common = ends.map_or(&[][..], |(first, last)| {
        let first = arena.normal(order::location(*first));
        let last = arena.normal(order::location(*last));
        let common = common_length(first, last).min(COMMON_BYTES);
        first.get(..common).unwrap_or_default()
    });
    Ok(Run {
        offset,
        bytes: writer.position() - offset,
        entries: arena.entries() as u64,
        common: common.to_vec(),
    })
}
