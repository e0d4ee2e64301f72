//! The indexes phase: sorted keys to B+trees, one after the other, behind the documents.

use super::collections::{Collected, WRITE_BUFFER, duplicate_id};
use super::context::Context;
use super::keys::{SortedKeys, extractor};
use super::plan::{Plan, PlannedCollection};
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
        let data = PageFileWriter::resume(work.dir.reopen(STAGED_DATA)?, page_count, WRITE_BUFFER)?;
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
                if number >= self.finished.len() {
                    let built = self.index(position, index)?;
                    self.finished.push(built);
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
            let state = IndexesState {
                written: self.written.clone(),
                finished: self.finished.clone(),
                page_count: self.data.page_count(),
                keys: self.keys.state()?,
                current: None,
            };
            self.context.save(&State::Indexes(state))?;
        }
        self.context.interrupt.check()
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
        let reader = PageFileReader::open(self.data.file().reader()?, ChecksumPolicy::Required)?;
        let staged = StagedKeys {
            reader,
            extractor: extractor(
                definition,
                planned.infer_types_of(definition, self.plan.infer_types),
            )?,
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
        };
        let (tree, min_key, max_key) = build.run(&mut self.data, &mut merge, current)?;
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
}

/// Where a merge was, and how many entries it had given until then.
struct Mark {
    position: Option<MergePosition>,
    merged: u64,
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
        let mut loader = self.loader(data, current, &mut spill)?;
        let mut mark = Mark {
            position: merge.position(),
            merged,
        };
        let mut previous = DocumentAddress::default();
        while let Some(entry) = merge.next()? {
            if entry.same_key_as_previous && self.definition.unique {
                return Err(self.duplicate_key(previous, &entry));
            }
            previous = entry.address;
            if merged >= loaded {
                let value = entry.address.encode(self.ids.collection_id);
                loader.push(entry.stored, &value, entry.same_key_as_previous)?;
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
                };
            }
        }
        let max_key = merge.last_key_json()?.unwrap_or_default();
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
                min_key: min_key.to_owned(),
            }),
            _ => None,
        };
        loader.sink_mut().sync()?;
        self.work.dir.sync()?;
        let state = IndexesState {
            written: self.written.to_vec(),
            finished: self.finished.to_vec(),
            page_count: self.first_page,
            keys: self.keys.state()?,
            current,
        };
        self.context.save(&State::Indexes(state))
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
        let document = reader.read(address)?.map(<[u8]>::to_vec);
        document.ok_or_else(|| {
            Error::new(
                Code::VerifyFailed,
                "an index entry points at a deleted slot",
            )
            .at(Place::page(self.reader.path(), address.page.0).with_slot(address.slot.0))
        })
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
