//! Building a B+tree from sorted keys, with checkpoints in its middle.

use super::{BuiltIndex, BuiltTree, ENTRIES_AT_ONCE, separators};
use crate::coordinator::collections::duplicate_id;
use crate::coordinator::context::Context;
use crate::coordinator::keys::SortedKeys;
use crate::coordinator::plan::{Plan, PlannedCollection};
use crate::coordinator::state::{CurrentTree, IndexesState, State, WrittenCollection};
use crate::coordinator::work::WorkDir;
use crate::document::bson::RawDocument;
use crate::document::{ID_FIELD, ejson};
use crate::files::AppendWriter;
use crate::index::IndexDefinition;
use crate::index::definition::ID_INDEX;
use crate::index::extract::{Extraction, KeyExtractor};
use crate::index::key::KeyBuffer;
use crate::index::sort::{FullKeys, Merge, MergePosition, SortedEntry};
use crate::v2::DocumentAddress;
use crate::v2::btree::bulk::SPILL_LIMIT;
use crate::v2::btree::{BulkLoader, TreeIds};
use crate::v2::data_file::DocumentReader;
use crate::v2::page_file::{PageFileReader, PageFileWriter};
use crate::{Code, Error, Place, Result};
use std::cell::Cell;

/// One tree that is being built, with what a checkpoint in its middle has to say.
pub(super) struct TreeBuild<'t, 'a, 's> {
    pub(super) context: &'t mut Context<'a, 's>,
    pub(super) plan: &'t Plan,
    pub(super) planned: &'t PlannedCollection,
    pub(super) definition: &'t IndexDefinition,
    pub(super) staged: &'t StagedKeys,
    pub(super) ids: TreeIds,
    pub(super) work: &'t WorkDir,
    pub(super) keys: &'t mut SortedKeys,
    pub(super) written: &'t [WrittenCollection],
    pub(super) finished: &'t [BuiltIndex],
    pub(super) first_page: u32,
}

/// Where a merge was, and how many entries it had given until then.
struct Mark {
    position: Option<MergePosition>,
    merged: u64,
}

type Loader<'l> = BulkLoader<'l, &'l mut PageFileWriter>;

impl TreeBuild<'_, '_, '_> {
    pub(super) fn run(
        mut self,
        data: &mut PageFileWriter,
        merge: &mut Merge<'_>,
        current: Option<CurrentTree>,
    ) -> Result<BuiltTree> {
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
        Ok(BuiltTree::Keys {
            tree,
            min_key,
            max_key,
        })
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

/// Reads long keys again, from the staged documents.
pub(in crate::coordinator) struct StagedKeys {
    pub(in crate::coordinator) reader: PageFileReader,
    pub(in crate::coordinator) extractor: KeyExtractor,
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
