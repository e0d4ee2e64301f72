//! The indexes phase: sorted keys to B+trees, one after the other, behind the documents.

use super::collections::{Collected, WRITE_BUFFER, duplicate_id};
use super::context::Context;
use super::duplicates::{self, Apply, Dropped, DuplicateLog};
use super::keys::{SortedKeys, extractor};
use super::plan::{Plan, PlannedCollection};
use super::quarantine::Quarantine;
use super::state::{CurrentTree, IndexesState, State, WrittenCollection};
use super::work::{SEPARATORS, STAGED_DATA, WorkDir};
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::files::AppendWriter;
use crate::index::IndexDefinition;
use crate::index::definition::ID_INDEX;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::key::KeyBuffer;
use crate::index::sort::{FullKeys, Merge, MergePosition, SortedEntry, SorterId};
use crate::progress::{Phase, Totals};
use crate::v2::DocumentAddress;
use crate::v2::btree::bulk::SPILL_LIMIT;
use crate::v2::btree::{BulkLoader, TreeIds, TreeSummary};
use crate::v2::data_file::DocumentReader;
use crate::v2::page::ChecksumPolicy;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::{Code, Error, Place, Result};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::sync::atomic::Ordering;

/// Everything in the staged `data.db`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Built {
    /// In plan order.
    pub(super) collections: Vec<BuiltCollection>,
    /// Pages of the file.
    pub(super) page_count: u32,
}

/// One collection in the staged `data.db`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct BuiltCollection {
    pub(super) written: WrittenCollection,
    /// In plan order.
    pub(super) indexes: Vec<BuiltIndex>,
}

/// One index in the staged `data.db`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BuiltIndex {
    pub(super) tree: TreeSummary,
    /// First and last key as JSON text, empty in an empty index.
    pub(super) min_key: String,
    pub(super) max_key: String,
    /// Documents whose value cannot be indexed.
    pub(super) unindexable: u64,
}

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
        let mut data =
            PageFileWriter::resume(work.dir.reopen(STAGED_DATA)?, page_count, WRITE_BUFFER)?;
        if state.pending > 0 {
            duplicates::restore(work, state.finished.len() - 1, state.pending, &mut data)?;
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
        let mut number = 0;
        for (position, planned) in self.plan.collections.iter().enumerate() {
            for index in 0..planned.indexes.len() {
                if number + 1 == self.finished.len() && self.pending > 0 {
                    self.drop_duplicates(position)?;
                }
                if number >= self.finished.len() {
                    let built = self.index(position, index)?;
                    self.finished.push(built);
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
        self.work.dir.sync()?;
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
        apply.run(self.finished.len() - 1, self.pending)?;
        self.pending = 0;
        Ok(())
    }

    /// Finds the duplicates that were dropped, for the other indexes of their collection.
    fn find_dropped(&mut self, position: usize, index: usize) -> Result<()> {
        let written = self.written.get(position);
        let has_dropped = written.is_some_and(|written| written.tally.duplicates > 0);
        let is_known = self.dropped.as_ref().is_some_and(|(at, _)| *at == position);
        match written {
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
        let sorted = *sorters
            .and_then(|sorters| sorters.get(index))
            .ok_or_else(missing)?;
        self.data.flush()?;
        self.find_dropped(position, index)?;
        let reader = PageFileReader::open(self.data.file().reader()?, ChecksumPolicy::Required)?;
        let staged = StagedKeys {
            reader,
            extractor: extractor(definition, self.plan.infer_types)?,
        };
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
        let mut duplicates = None;
        if index == 0 && self.quarantine.is_allowed() {
            let count = current.as_ref().map_or(0, |current| current.duplicates);
            duplicates = Some(DuplicateLog::open(self.work, self.finished.len(), count)?);
        }
        let index_id = u32::try_from(index + 1).unwrap_or(u32::MAX);
        let build = TreeBuild {
            context: self.context,
            plan: self.plan,
            planned,
            definition,
            staged: &staged,
            ids: TreeIds {
                index_id,
                collection_id: planned.id,
            },
            work: self.work,
            keys: &mut self.keys,
            written: &self.written,
            finished: &self.finished,
            first_page: self.data.page_count(),
            quarantine: &mut self.quarantine,
            duplicates: duplicates.as_mut(),
            dropped: self.dropped.as_mut().map(|(_, dropped)| dropped),
        };
        let (tree, min_key, max_key) = build.run(&mut self.data, &mut merge, current)?;
        if let Some(mut duplicates) = duplicates {
            duplicates.sync()?;
            self.pending = duplicates.count();
        }
        Ok(BuiltIndex {
            tree,
            min_key,
            max_key,
            unindexable: sorted.unindexable,
        })
    }
}

/// One tree that is being built, with what a checkpoint in its middle has to say.
struct TreeBuild<'t, 'a, 's> {
    context: &'t mut Context<'a, 's>,
    plan: &'t Plan,
    planned: &'t PlannedCollection,
    definition: &'t IndexDefinition,
    staged: &'t StagedKeys,
    ids: TreeIds,
    work: &'t WorkDir,
    keys: &'t mut SortedKeys,
    written: &'t [WrittenCollection],
    finished: &'t [BuiltIndex],
    first_page: u32,
    quarantine: &'t mut Quarantine,
    /// Where the duplicates of an `_id` go, if they do not fail the run.
    duplicates: Option<&'t mut DuplicateLog>,
    /// Documents that are in the pages no more.
    dropped: Option<&'t mut Dropped>,
}

/// Where a merge was, and how many entries it had given until then.
struct Mark {
    position: Option<MergePosition>,
    merged: u64,
    duplicates: u64,
}

type Loader<'l> = BulkLoader<'l, &'l mut PageFileWriter>;

impl TreeBuild<'_, '_, '_> {
    /// Gives the tree, and its first and last key as JSON.
    fn run(
        mut self,
        data: &mut PageFileWriter,
        merge: &mut Merge<'_>,
        current: Option<CurrentTree>,
    ) -> Result<(TreeSummary, String, String)> {
        let levels = Cell::new(usize::from(current.is_some()));
        let (work, tree) = (self.work.clone(), self.finished.len());
        let mut spill = || {
            levels.set(levels.get() + 1);
            work.append_to(&separators(tree, levels.get()), 0, SPILL_LIMIT)
        };
        // Entries that are in the tree already, and those that the merge has passed.
        let loaded = current
            .as_ref()
            .map_or(0, |current| current.bulk.entry_count());
        let mut merged = current.as_ref().map_or(0, |current| current.merged);
        let mut min_key = current
            .as_ref()
            .map(|current| current.min_key.clone())
            .unwrap_or_default();
        let current_has_entries = current.is_some();
        let mut loader = self.loader(data, current, &mut spill)?;
        let mut mark = Mark {
            position: merge.position(),
            merged,
            duplicates: self.duplicate_count(),
        };
        let mut previous = DocumentAddress::default();
        let mut max_key = String::new();
        // The one before with the same key may be a document that is gone.
        let mut is_group_open = current_has_entries;
        while let Some(entry) = merge.next()? {
            is_group_open &= entry.same_key_as_previous;
            if self.is_dropped(entry.address)? {
                continue;
            }
            let is_same = is_group_open;
            is_group_open = true;
            if is_same && self.definition.unique {
                self.note_duplicate(previous, &entry)?;
                continue;
            }
            previous = entry.address;
            if merged >= loaded {
                let value = entry.address.encode(self.ids.collection_id);
                loader.push(entry.stored, &value, is_same)?;
            }
            if self.dropped.is_some() {
                max_key = merge.last_key_json()?.unwrap_or_default();
            }
            merged += 1;
            if merged == 1 {
                min_key = merge.last_key_json()?.unwrap_or_default();
            }
            if merged.is_multiple_of(ENTRIES_AT_ONCE) {
                self.context.count(ENTRIES_AT_ONCE, ENTRIES_AT_ONCE);
                if self.context.wants_checkpoint() {
                    self.checkpoint(&mut loader, &mark, &min_key)?;
                }
                self.context.interrupt.check()?;
                mark = Mark {
                    position: merge.position(),
                    merged,
                    duplicates: self.duplicate_count(),
                };
            }
        }
        if self.dropped.is_none() {
            max_key = merge.last_key_json()?.unwrap_or_default();
        }
        let tree = loader.finish()?;
        self.context
            .count(merged % ENTRIES_AT_ONCE, merged % ENTRIES_AT_ONCE);
        Ok((tree, min_key, max_key))
    }

    fn loader<'l>(
        &self,
        data: &'l mut PageFileWriter,
        current: Option<CurrentTree>,
        spill: impl FnMut() -> Result<AppendWriter> + 'l,
    ) -> Result<Loader<'l>> {
        let Some(current) = current else {
            return Ok(BulkLoader::new(data, self.ids, SPILL_LIMIT, spill));
        };
        let bytes = current.bulk.spill_length();
        let file = self
            .work
            .append_to(&separators(self.finished.len(), 1), bytes, SPILL_LIMIT)?;
        BulkLoader::resume(data, self.ids, current.bulk, SPILL_LIMIT, file, spill)
    }

    /// A checkpoint as of the last closed leaf. The merge was at `mark` before that leaf's last
    /// entry, since it is older by more entries than a leaf holds. Keys that only are in memory
    /// have no such place; then the tree is begun anew.
    fn checkpoint(&mut self, loader: &mut Loader<'_>, mark: &Mark, min_key: &str) -> Result<()> {
        let current = match (&mark.position, loader.position()?) {
            (Some(position), Some(bulk)) if mark.merged > 0 => Some(CurrentTree {
                bulk,
                merge: position.clone(),
                merged: mark.merged,
                duplicates: mark.duplicates,
                min_key: min_key.to_owned(),
            }),
            _ => None,
        };
        loader.sink_mut().sync()?;
        if let Some(duplicates) = &mut self.duplicates {
            duplicates.sync()?;
        }
        self.quarantine.sync()?;
        self.work.dir.sync()?;
        let state = IndexesState {
            written: self.written.to_vec(),
            finished: self.finished.to_vec(),
            page_count: self.first_page,
            keys: self.keys.state()?,
            current,
            quarantine: self.quarantine.state(),
            pending: 0,
        };
        self.context.save(&State::Indexes(state))
    }

    fn duplicate_count(&self) -> u64 {
        self.duplicates.as_ref().map_or(0, |log| log.count())
    }

    fn is_dropped(&mut self, address: DocumentAddress) -> Result<bool> {
        match &mut self.dropped {
            Some(dropped) => dropped.contains(address),
            None => Ok(false),
        }
    }

    /// A document with the key of `first` in a unique index: an error, unless it is an `_id` and
    /// there is room in quarantine.
    fn note_duplicate(&mut self, first: DocumentAddress, second: &SortedEntry<'_>) -> Result<()> {
        let Some(count) = self.duplicates.as_mut().map(|log| log.count()) else {
            return Err(self.duplicate_key(first, second));
        };
        if !self.quarantine.has_room(count + 1) {
            let error = self.duplicate_key(first, second);
            return Err(self.quarantine.too_many(self.plan, error));
        }
        if let Some(log) = &mut self.duplicates {
            log.push(second.address)?;
        }
        if count.is_multiple_of(ENTRIES_AT_ONCE) {
            self.context.interrupt.check()?;
        }
        Ok(())
    }

    /// The error for two documents with one key in a unique index; names the key and both.
    fn duplicate_key(&self, first: DocumentAddress, second: &SortedEntry<'_>) -> Error {
        let staged = self.staged;
        let (one, two) = match (staged.document(first), staged.document(second.address)) {
            (Ok(one), Ok(two)) => (one, two),
            (Err(error), _) | (_, Err(error)) => return error,
        };
        let (index, collection) = (self.definition, self.planned);
        if index.name == ID_INDEX {
            return duplicate_id(self.plan, collection, &two);
        }
        let id = |document: &[u8]| {
            RawDocument::trusted(document)
                .get(ID_FIELD)
                .map(ejson::display_id)
                .unwrap_or_default()
        };
        let sentence = format!(
            "documents {} and {} have the same key {} in a unique index",
            id(&one),
            id(&two),
            second.stored,
        );
        Error::new(Code::DuplicateKey, sentence)
            .at(Place::default()
                .in_collection(&collection.v1_name)
                .in_index(&index.name))
            .hint(format!(
                "correct one of the documents in LauraDB, or leave the index out with \
                 --skip-index {}/{}",
                collection.v1_name, index.name
            ))
    }
}

/// Where the separators of a tree's level go. Each tree has its own, since the last checkpoint may
/// still be one in the middle of the tree before.
fn separators(tree: usize, level: usize) -> String {
    format!("{SEPARATORS}{tree}.{level}")
}

/// Reads long keys again, from the staged documents.
pub(super) struct StagedKeys {
    pub(super) reader: PageFileReader,
    pub(super) extractor: KeyExtractor,
}

impl StagedKeys {
    fn document(&self, address: DocumentAddress) -> Result<Vec<u8>> {
        let mut reader = DocumentReader::new(&self.reader);
        // A duplicate that is gone still has its place among the sorted keys.
        reader.read_deleted(address).map(<[u8]>::to_vec)
    }
}

impl FullKeys for StagedKeys {
    fn full_key(&self, address: DocumentAddress, key: &mut KeyBuffer) -> Result<()> {
        let document = self.document(address)?;
        match self
            .extractor
            .extract_whole(RawDocument::trusted(&document), key)
        {
            Extraction::Key => Ok(()),
            _ => Err(Error::new(
                Code::VerifyFailed,
                "a document has no key where the index has an entry",
            )
            .at(Place::page(self.reader.path(), address.page.0).with_slot(address.slot.0))),
        }
    }
}
