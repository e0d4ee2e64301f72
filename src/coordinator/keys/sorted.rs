//! Keys of all indexes, in memory and in sorted runs.

use crate::Result;
use crate::coordinator::extract::{Extractors, Taken};
use crate::coordinator::plan::Plan;
use crate::coordinator::state::{IndexCounts, KeyState, NAMED_UNINDEXABLE, WrittenCollection};
use crate::coordinator::work::{SORT_RUNS, WorkDir};
use crate::document::bson::RawDocument;
use crate::index::extract::Extraction;
use crate::index::key::SortKey;
use crate::index::sort::{SortPool, SorterId, SpillFile};
use crate::index::text::LONGEST_SHORT_TERM;
use crate::options::Options;
use crate::v2::data_file::scan_with_deleted;
use crate::v2::page_file::PageFileReader;
use crate::v2::{DocumentAddress, PageId};

/// Bytes of the buffer that sort runs are written from.
const RUN_BUFFER: usize = 256 << 10;

/// Keys of all collections, in memory and in sorted runs.
pub(in crate::coordinator) struct SortedKeys {
    pub(in crate::coordinator) pool: SortPool,
    /// For each collection, in plan order, its indexes' keys.
    pub(in crate::coordinator) sorters: Vec<Vec<SortedIndex>>,
}

/// The keys of one index.
#[derive(Clone, Debug)]
pub(in crate::coordinator) struct SortedIndex {
    pub(in crate::coordinator) sorter: SorterId,
    pub(in crate::coordinator) counts: IndexCounts,
}

impl SortedIndex {
    /// True if the document is read again for what this index takes from it.
    #[inline]
    pub(super) fn reads_again(&self, taken: &Taken<'_>) -> bool {
        match taken {
            Taken::Key(_, key) => is_beginning(key),
            Taken::End(Extraction::Unindexable, _) => {
                self.counts.first_unindexable.len() < NAMED_UNINDEXABLE
            }
            Taken::End(..) => false,
        }
    }

    /// Sorts in what a document has for the index.
    #[inline]
    pub(super) fn add(
        &mut self,
        pool: &mut SortPool,
        address: DocumentAddress,
        taken: Taken<'_>,
    ) -> Result<()> {
        match taken {
            Taken::Key(_, key) => pool.push_key(self.sorter, key, address),
            Taken::End(extraction, totals) => {
                self.counts.totals += totals;
                if extraction == Extraction::Unindexable {
                    self.counts.add_unindexable(address);
                }
                pool.pass(self.sorter, address)
            }
        }
    }
}

/// True if the sort key may be only the beginning of a key or of a term.
#[inline]
pub(super) fn is_beginning(key: &SortKey<'_>) -> bool {
    key.is_cut() || key.normal_len() >= LONGEST_SHORT_TERM
}

impl SortedKeys {
    /// The keys of an interrupted run, as far as they are in runs; a new set for a new one.
    fn restore(plan: &Plan, options: &Options, work: &WorkDir, state: KeyState) -> Result<Self> {
        let runs = work.clone();
        let bytes = state.pool.spill_bytes;
        let spill = SpillFile::new(move || runs.append_to(SORT_RUNS, bytes, RUN_BUFFER));
        let mut pool = if state.pool.sorters.is_empty() {
            SortPool::new(sort_budget(options, plan), spill)
        } else {
            SortPool::restore(sort_budget(options, plan), spill, state.pool)?
        };
        if options.jobs > 1 {
            pool.spill_ahead();
        }
        let mut number = 0;
        let mut sorters = Vec::with_capacity(plan.collections.len());
        for (position, collection) in plan.collections.iter().enumerate() {
            let counts = state.counts.get(position);
            let mut sorted = Vec::with_capacity(collection.indexes.len());
            for index in 0..collection.indexes.len() {
                if pool.len() <= number as usize {
                    pool.add_index();
                }
                let counts = counts.and_then(|counts| counts.get(index)).cloned();
                sorted.push(SortedIndex {
                    sorter: SorterId(number),
                    counts: counts.unwrap_or_default(),
                });
                number += 1;
            }
            sorters.push(sorted);
        }
        Ok(Self { pool, sorters })
    }

    /// [`Self::restore`], and gives the sorters from `first` on the keys that were in memory, from
    /// the staged pages of `written`.
    pub(in crate::coordinator) fn refill(
        plan: &Plan,
        options: &Options,
        work: &WorkDir,
        state: KeyState,
        file: &PageFileReader,
        written: &[WrittenCollection],
        first: SorterId,
    ) -> Result<Self> {
        let mut keys = Self::restore(plan, options, work, state)?;
        for ((planned, written), sorters) in plan.collections.iter().zip(written).zip(&keys.sorters)
        {
            let pages = written.pages;
            let end = pages.first_page.0.saturating_add(pages.page_count);
            let wanted = sorters
                .iter()
                .map(|index| index.sorter)
                .filter(|sorter| *sorter >= first);
            let covered = wanted
                .map(|sorter| keys.pool.covered(sorter).unwrap_or_default().address)
                .min();
            let Some(covered) = covered else { continue };
            let start = covered.page.0.max(pages.first_page.0);
            if start >= end {
                continue;
            }
            let mut extractors = Extractors::new(planned, plan.infer_types)?;
            let pool = &mut keys.pool;
            // Keys of documents that are gone wait among the others, and are counted on.
            scan_with_deleted(file, (PageId(start), end - start), |address, bson| {
                extractors.extract(RawDocument::trusted(bson), |index, taken| {
                    match sorters.get(index).map(|index| index.sorter) {
                        Some(sorter) if sorter >= first => again(pool, sorter, address, taken),
                        _ => Ok(()),
                    }
                })
            })?;
        }
        Ok(keys)
    }

    /// All documents are written: nothing else needs memory any more.
    pub(in crate::coordinator) fn take_all_memory(&mut self, options: &Options) {
        let memory = usize::try_from(options.memory).unwrap_or(usize::MAX);
        self.pool.set_budget(memory);
    }

    /// What is in runs, made durable.
    pub(in crate::coordinator) fn state(&mut self) -> Result<KeyState> {
        self.pool.sync()?;
        let counts = |sorters: &Vec<SortedIndex>| {
            let counts = sorters.iter().map(|index| &index.counts);
            counts.cloned().collect()
        };
        Ok(KeyState {
            pool: self.pool.state(),
            counts: self.sorters.iter().map(counts).collect(),
        })
    }
}

/// Gives a sorter what a document has for it, unless it is in the runs. Everything else that there
/// is to know of the document, the checkpoint has.
fn again(
    pool: &mut SortPool,
    sorter: SorterId,
    address: DocumentAddress,
    taken: Taken<'_>,
) -> Result<()> {
    let covered = pool.covered(sorter);
    match taken {
        Taken::Key(before, key) => match covered {
            Some(covered) if covered.has(address, before) => Ok(()),
            _ => pool.push_key(sorter, key, address),
        },
        Taken::End(..) => match covered {
            Some(covered) if address <= covered.address => Ok(()),
            _ => pool.pass(sorter, address),
        },
    }
}

/// Bytes for keys that wait to be sorted: what the overlay of the write-ahead log and the batches
/// between the threads leave.
fn sort_budget(options: &Options, plan: &Plan) -> usize {
    let others = options.memory / 8 + plan.overlay_bytes;
    usize::try_from(options.memory.saturating_sub(others)).unwrap_or(usize::MAX)
}
