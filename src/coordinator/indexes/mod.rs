//! The indexes phase: sorted keys to trees, one after the other, behind the documents.

mod built;
mod points;
mod share;
mod terms;
mod tree;

pub(super) use built::{Built, BuiltCollection, BuiltIndex, BuiltTree};
pub(super) use tree::StagedKeys;

use super::collections::{Collected, WRITE_BUFFER};
use super::context::Context;
use super::duplicates::{self, Apply, Dropped, DuplicateLog};
use super::extract::{key_extractor, text_extractor};
use super::keys::{SortedIndex, SortedKeys};
use super::plan::{Plan, PlannedCollection};
use super::quarantine::Quarantine;
use super::state::{CurrentTree, IndexesState, State, WrittenCollection};
use super::work::{SEPARATORS, WorkDir};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::index::definition::ID_INDEX;
use crate::index::sort::{SorterId, take_entries};
use crate::index::text::StoredLongTerms;
use crate::index::{IndexDefinition, IndexKind};
use crate::progress::{Phase, Totals};
use crate::v2::DocumentAddress;
use crate::v2::btree::TreeIds;
use crate::v2::data_file::DocumentReader;
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::{Code, Error, Result};
use share::Share;
use std::sync::atomic::Ordering;
use tree::TreeBuild;

/// Entries after which progress is reported and a checkpoint may be made. More than a leaf holds.
const ENTRIES_AT_ONCE: u64 = 4096;

/// Builds all indexes, or those that an interrupted run has not finished.
pub(super) struct IndexBuilder<'b, 'a, 's> {
    context: &'b mut Context<'a, 's>,
    plan: &'b Plan,
    work: &'b WorkDir,
    data: PageFileWriter,
    keys: SortedKeys,
    written: Vec<WrittenCollection>,
    finished: Vec<BuiltIndex>,
    current: Option<CurrentTree>,
    quarantine: Quarantine,
    /// Duplicates that the last finished tree has found and that are to go.
    pending: u64,
    /// Those of the collection at this position, for its other indexes.
    dropped: Option<(usize, Dropped)>,
}

impl<'b, 'a, 's> IndexBuilder<'b, 'a, 's> {
    /// Starts where the collections phase has ended.
    pub(super) fn new(
        context: &'b mut Context<'a, 's>,
        plan: &'b Plan,
        work: &'b WorkDir,
        collected: Collected,
    ) -> Self {
        Self {
            context,
            plan,
            work,
            data: collected.data,
            keys: collected.keys,
            written: collected.collections,
            finished: Vec::new(),
            current: None,
            quarantine: collected.quarantine,
            pending: 0,
            dropped: None,
        }
    }

    /// Goes on where an interrupted run's checkpoint stands.
    pub(super) fn resume(
        context: &'b mut Context<'a, 's>,
        plan: &'b Plan,
        work: &'b WorkDir,
        state: IndexesState,
    ) -> Result<Self> {
        let page_count = match &state.current {
            Some(current) => current.next_page().0,
            None => state.page_count,
        };
        let file = work.reopen_data(plan)?;
        let mut data = PageFileWriter::resume(file, page_count, WRITE_BUFFER)?;
        if state.pending > 0 {
            let tree = last(&state.finished)?;
            duplicates::restore(work, tree, state.pending, &mut data)?;
        }
        let file = PageFileReader::open(data.file().reader()?, ChecksumPolicy::Required)?;
        let first = SorterId(u32::try_from(state.finished.len()).unwrap_or(u32::MAX));
        let keys = SortedKeys::refill(
            plan,
            context.options,
            work,
            state.keys,
            &file,
            &state.written,
            first,
        )?;
        Ok(Self {
            quarantine: Quarantine::resume(work, context.options, state.quarantine),
            pending: state.pending,
            dropped: None,
            context,
            plan,
            work,
            data,
            keys,
            written: state.written,
            finished: state.finished,
            current: state.current,
        })
    }

    /// Runs the phase.
    pub(super) fn run(mut self) -> Result<Built> {
        self.start_phase();
        self.keys.take_all_memory(self.context.options);
        let mut number = 0;
        for (position, planned) in self.plan.collections.iter().enumerate() {
            for index in 0..planned.indexes.len() {
                if number + 1 == self.finished.len() && self.pending > 0 {
                    self.drop_duplicates(position)?;
                }
                if number >= self.finished.len() {
                    let built = self.index(position, index)?;
                    self.finished.push(built);
                    if self
                        .context
                        .dry
                        .as_ref()
                        .is_some_and(|dry| !dry.again.is_second())
                    {
                        // Their pages are not there. The second run will have them.
                        self.pending = 0;
                    }
                    if self.pending > 0 {
                        self.data.sync()?;
                        self.save()?;
                        self.drop_duplicates(position)?;
                    }
                    self.context
                        .counters()
                        .indexes
                        .fetch_add(1, Ordering::Relaxed);
                    self.pause()?;
                }
                number += 1;
            }
        }
        self.data.sync()?;
        self.quarantine.sync()?;
        self.finish()
    }

    fn start_phase(&mut self) {
        let count = |done: usize| {
            let sorters = self.written.iter().zip(&self.keys.sorters);
            let documents = sorters.flat_map(|(written, sorters)| {
                std::iter::repeat_n(written.tally.documents, sorters.len())
            });
            documents.take(done).sum::<u64>()
        };
        let totals = |indexes: usize| Totals {
            documents: count(indexes),
            bytes: count(indexes),
            indexes: indexes as u64,
            ..Totals::default()
        };
        let all = usize::try_from(self.plan.indexes()).unwrap_or(usize::MAX);
        let (all, done) = (totals(all), totals(self.finished.len()));
        self.context.tracker.start_phase(Phase::Indexes, all, done);
    }

    fn finish(self) -> Result<Built> {
        let page_count = self.data.page_count();
        let mut finished = self.finished.into_iter();
        let collections = self
            .plan
            .collections
            .iter()
            .zip(self.written)
            .map(|(planned, written)| BuiltCollection {
                written,
                indexes: finished.by_ref().take(planned.indexes.len()).collect(),
            })
            .collect();
        Ok(Built {
            collections,
            page_count,
        })
    }

    /// Between indexes: a checkpoint if one is due, and the end if that is asked for.
    fn pause(&mut self) -> Result<()> {
        if self.context.wants_checkpoint() {
            self.data.sync()?;
            self.save()?;
        }
        self.context.interrupt.check()
    }

    /// A checkpoint between two indexes.
    fn save(&mut self) -> Result<()> {
        self.quarantine.sync()?;
        self.work.sync()?;
        let state = IndexesState {
            written: self.written.clone(),
            finished: self.finished.clone(),
            page_count: self.data.page_count(),
            keys: self.keys.state()?,
            current: None,
            quarantine: self.quarantine.state(),
            pending: self.pending,
        };
        self.context.save(&State::Indexes(state))
    }

    /// Puts the duplicates of the last finished tree into quarantine.
    fn drop_duplicates(&mut self, position: usize) -> Result<()> {
        let missing = || Error::new(Code::Internal, "a collection that is not planned");
        let apply = Apply {
            planned: self.plan.collections.get(position).ok_or_else(missing)?,
            written: self.written.get_mut(position).ok_or_else(missing)?,
            sorted: self.keys.sorters.get_mut(position).ok_or_else(missing)?,
            context: self.context,
            plan: self.plan,
            work: self.work,
            data: &mut self.data,
            quarantine: &mut self.quarantine,
        };
        let tree = last(&self.finished)?;
        apply.run(tree, self.pending)?;
        self.pending = 0;
        Ok(())
    }

    /// Finds the duplicates that were dropped, for the other indexes of their collection.
    fn find_dropped(&mut self, position: usize, index: usize) -> Result<()> {
        let written = self.written.get(position);
        let has_dropped = written.is_some_and(|written| written.tally.duplicates > 0);
        let is_known = self.dropped.as_ref().is_some_and(|(at, _)| *at == position);
        let dry = self.context.dry.as_ref();
        let has_holes = dry.is_some_and(|dry| !dry.again.keeps_all());
        match written {
            Some(written) if has_dropped && index > 0 && !is_known && has_holes => {
                let tree = self.finished.len() - index;
                let dropped = Dropped::logged(self.work, tree, written.tally.duplicates)?;
                self.dropped = Some((position, dropped));
            }
            Some(written) if has_dropped && index > 0 && !is_known => {
                let file = self.data.file().reader()?;
                let pages = PageFileReader::open(file, ChecksumPolicy::Required)?;
                self.dropped = Some((position, Dropped::scan(pages, written)?));
            }
            Some(_) if has_dropped && index > 0 => {}
            _ => self.dropped = None,
        }
        Ok(())
    }

    fn index(&mut self, position: usize, index: usize) -> Result<BuiltIndex> {
        let missing = || Error::new(Code::Internal, "an index that is not planned");
        let planned = self.plan.collections.get(position).ok_or_else(missing)?;
        let definition = planned.indexes.get(index).ok_or_else(missing)?;
        let sorters = self.keys.sorters.get(position);
        let sorted = sorters
            .and_then(|sorters| sorters.get(index))
            .ok_or_else(missing)?
            .clone();
        if self.context.options.jobs > 1 {
            self.keys.pool.sort_ahead(next_sorter(&sorted));
        }
        self.data.flush()?;
        self.find_dropped(position, index)?;
        let reader = PageFileReader::open(self.data.file().reader()?, ChecksumPolicy::Required)?;
        let first_unindexable = ids_of(&reader, &sorted.counts.first_unindexable)?;
        let ids = TreeIds {
            index_id: u32::try_from(index + 1).unwrap_or(u32::MAX),
            collection_id: planned.id,
        };
        let documents = self
            .written
            .get(position)
            .map(|written| written.tally.documents);
        let share = Share {
            documents: documents.unwrap_or_default(),
            all: self.keys.pool.entries(sorted.sorter),
            ..Share::default()
        };
        let tree = match definition.kind {
            IndexKind::Btree | IndexKind::Ttl { .. } => {
                self.keys_index((planned, definition), &sorted, ids, reader)?
            }
            IndexKind::Text => {
                let extractor = text_extractor(planned, definition, self.plan.infer_types)?;
                let terms = StoredLongTerms::new(reader, extractor);
                self.text_index(&sorted, ids, &terms, share)?
            }
            IndexKind::Geo2d | IndexKind::Geo2dSphere => self.geo_index(&sorted, ids, share)?,
        };
        Ok(BuiltIndex {
            tree,
            unindexable: sorted.counts.unindexable,
            first_unindexable,
        })
    }

    fn keys_index(
        &mut self,
        (planned, definition): (&PlannedCollection, &IndexDefinition),
        sorted: &SortedIndex,
        ids: TreeIds,
        reader: PageFileReader,
    ) -> Result<BuiltTree> {
        let extractor = key_extractor(planned, definition, self.plan.infer_types)?;
        let staged = StagedKeys::new(reader, extractor);
        let pool = &mut self.keys.pool;
        if !pool.runs(sorted.sorter).is_empty() {
            // What is in memory joins the runs, so that a checkpoint can tell where the merge is.
            pool.seal(sorted.sorter)?;
        }
        let current = self.current.take();
        let mut merge = match &current {
            None => pool.merge(sorted.sorter, &staged)?,
            Some(current) => pool.resume_merge(sorted.sorter, &staged, &current.merge)?,
        };
        let ahead = self.context.options.jobs > 1;
        if ahead {
            pool.sort_meanwhile(next_sorter(sorted));
        }
        let mut duplicates = None;
        if definition.name == ID_INDEX && self.quarantine.is_allowed() {
            let count = current.as_ref().map_or(0, |current| current.duplicates);
            duplicates = Some(DuplicateLog::open(self.work, self.finished.len(), count)?);
        }
        let build = TreeBuild {
            context: self.context,
            plan: self.plan,
            planned,
            definition,
            staged: &staged,
            ids,
            work: self.work,
            keys: &mut self.keys,
            written: &self.written,
            finished: &self.finished,
            first_page: self.data.page_count(),
            quarantine: &mut self.quarantine,
            duplicates: duplicates.as_mut(),
            unique_duplicates: 0,
            dropped: self.dropped.as_mut().map(|(_, dropped)| dropped),
        };
        let data = &mut self.data;
        let tree = take_entries(&mut merge, ENTRIES_AT_ONCE, ahead, |entries| {
            build.run(data, entries, current)
        })?;
        self.keys.pool.take_back(merge);
        if let Some(mut duplicates) = duplicates {
            duplicates.sync()?;
            self.pending = duplicates.count();
        }
        Ok(tree)
    }
}

/// The number of the last finished tree, which has found duplicates.
fn last(finished: &[BuiltIndex]) -> Result<usize> {
    let sentence = "the checkpoint has duplicates of a tree that is not finished";
    let missing = || Error::new(Code::CheckpointDamaged, sentence);
    finished.len().checked_sub(1).ok_or_else(missing)
}

/// That of the index which is built behind this one.
fn next_sorter(sorted: &SortedIndex) -> SorterId {
    SorterId(sorted.sorter.0.saturating_add(1))
}

/// The `_id`s of documents, as people read them.
fn ids_of(file: &PageFileReader, addresses: &[DocumentAddress]) -> Result<Vec<String>> {
    let mut reader = DocumentReader::new(file);
    let ids = addresses.iter().map(|address| {
        let document = reader.read(*address)?.map(RawDocument::trusted);
        let id = document.and_then(|document| document.get(ID_FIELD));
        Ok(id.map(ejson::display_id).unwrap_or_default())
    });
    ids.collect()
}

/// Where what waits for a level of a tree goes. Each tree has its own files, since the last
/// checkpoint may still be one in the middle of the tree before.
fn separators(tree: usize, level: usize) -> String {
    format!("{SEPARATORS}{tree}.{level}")
}
