//! Sorting the keys of the next index while those of the one before it are taken.

use super::{Lease, SortPool, SorterId, position};
use crate::index::sort::arena::Arena;
use crate::index::sort::merge::InMemory;
use crate::index::sort::order::{index_bytes, sorting_bytes};
use crate::{Code, Error, Result, threads};
use crossbeam_channel::bounded;
use std::thread::JoinHandle;

/// Keys that another thread sorts.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) id: SorterId,
    pub(super) entries: usize,
    thread: JoinHandle<InMemory>,
    /// Their memory.
    _lease: Lease,
}

impl SortPool {
    /// Sorts a sorter's keys on a thread of its own, if they are in memory only and the budget has
    /// room for it beside another sort. [`Self::merge`] of the same sorter takes them; no key may
    /// come until then.
    pub fn sort_ahead(&mut self, id: SorterId) {
        self.sort_beside(id, self.memory());
    }

    /// [`Self::sort_ahead`] while a merge is under way, and nothing else is sorted until it ends: the
    /// room that is kept for a sort serves for this one.
    pub fn sort_meanwhile(&mut self, id: SorterId) {
        self.sort_beside(id, self.memory() - self.sort_bytes());
    }

    fn sort_beside(&mut self, id: SorterId, others: usize) {
        let Some(sorter) = self.sorters.get_mut(position(id)) else {
            return;
        };
        let entries = sorter.arena.entries();
        let is_in_memory = sorter.stored.runs.is_empty() && entries > 0;
        if !is_in_memory || self.ahead.is_some() || self.spilling.is_some() {
            return;
        }
        if others.saturating_add(sorting_bytes(entries)) > self.budget {
            return;
        }
        let (give, given) = bounded::<(Arena, Vec<u128>)>(1);
        let sort = move || {
            let (arena, index) = given.recv().unwrap_or_default();
            InMemory::sort(arena, index)
        };
        // Without another thread they are sorted when they are asked for.
        let Ok(thread) = threads::start("sort", sort) else {
            return;
        };
        let arena = self.take_arena(id).unwrap_or_default();
        let index = std::mem::take(&mut self.index);
        let sorting = sorting_bytes(entries).max(index_bytes(index.capacity()));
        let lease = self.lend(arena.capacity() + sorting);
        // It waits for this.
        let _ = give.send((arena, index));
        self.ahead = Some(Ahead {
            id,
            entries,
            thread,
            _lease: lease,
        });
    }

    /// A sorter's keys in order, sorted ahead or now.
    pub(super) fn sorted(&mut self, id: SorterId) -> Result<(InMemory, Lease)> {
        let sorted = match self.ahead.take_if(|ahead| ahead.id == id) {
            Some(ahead) => ahead
                .thread
                .join()
                .map_err(|_| Error::new(Code::Internal, "a sorting thread has panicked"))?,
            None => {
                let arena = self.take_arena(id).unwrap_or_default();
                InMemory::sort(arena, std::mem::take(&mut self.index))
            }
        };
        let lease = self.lend(sorted.arena_bytes() + index_bytes(sorted.index_capacity()));
        Ok((sorted, lease))
    }
}
